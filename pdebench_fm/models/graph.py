"""An ONNX graph as a model: it only predicts, in a process of its own, on the CPU and in one thread."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import sha256_of
from pdebench_fm.graphs.interface import GraphError, is_graph_name
from pdebench_fm.graphs.process import RunningGraph
from pdebench_fm.models.candidate import Candidate, GraphFile
from pdebench_fm.naming import safe_name

SUFFIX = ".onnx"


@dataclass(frozen=True, eq=False)
class GraphOperator:
    """A running graph, called with tensors.

    Attributes:
        title: Names it in messages.
        running: The graph.
    """

    title: str
    running: RunningGraph

    def __call__(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Return the solutions, (B, n, n), of sources (B, n, n) and coefficients (B, 6), on the CPU.

        Raises:
            UsageError: If the graph is for another n.
            PdefmError: If it fails.
        """
        n, made = source.shape[-1], self.running.resolution
        if made not in (None, n):
            raise UsageError(
                f"{self.title} is for fields of {made}×{made}, and these are {n}×{n}: export it with --resolution {n} "
                "(the full track has 128, the lite one 64)"
            )
        try:
            return torch.from_numpy(self.running(source.numpy(), coefficients.numpy()))
        except GraphError as error:
            raise PdefmError(f"{self.title} failed: {error}") from error


def is_graph(path: Path) -> bool:
    """Tell whether a path is meant as that of a graph."""
    return path.suffix.lower() == SUFFIX


def open_graph(path: Path, name: str | None = None) -> Candidate:
    """Return the model that an ONNX file is; it is known by the file's SHA-256.

    Args:
        path: Of the file.
        name: What results call the model; by default as the file, less its ending.

    Raises:
        UsageError: If there is no such file, results cannot have its name, or the runtime is not installed.
        PdefmError: If it is no graph that is run; says why.
    """
    if not path.is_file():
        raise UsageError(f"no file {path}: a graph is given as path/to/graph.onnx")
    if not is_graph_name(path.name):
        raise UsageError(f"a graph cannot be called {path.name!a:.80}: use letters, digits and single '-', '_' or '.'")
    digest = sha256_of(path)
    try:
        running = RunningGraph(path)
    except GraphError as error:
        raise PdefmError(f"{path} is not run: {error}") from error
    return Candidate(
        GraphOperator(path.name, running),
        name or safe_name(path.stem),
        torch.device("cpu"),
        fingerprint=hashlib.sha256(f"onnx\x1f{digest}".encode()).hexdigest(),
        weights_sha256=digest,
        graph=GraphFile(path.name, digest),
    )


def close_graph(candidate: Candidate) -> None:
    """End the process of a graph that `open_graph` opened."""
    assert isinstance(candidate.operator, GraphOperator)  # noqa: S101 (it is one)
    candidate.operator.running.close()
