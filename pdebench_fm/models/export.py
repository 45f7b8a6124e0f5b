"""A model as one file that runs without this package: a `torch.export` program or an ONNX graph.

The exported program is the physical operator at one resolution, for any batch size: normaliser, network and all. It is
traced from `FNO.forward_plain`, whose Fourier transforms are matrix products, so that ONNX needs no complex numbers.
"""

import copy
import importlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.files import atomic_path
from pdebench_fm.models.frames import solve_in_frame
from pdebench_fm.models.normalisers import normalise
from pdebench_fm.models.operator import NeuralOperator

TOLERANCE = 1e-5
"""The largest relative ℓ² difference between a model and its export, unless the model rounds as coarsely itself."""

# Another order of the same float32 sums errs by a few times as much as the model's own.
_ROUNDINGS = 10
_TRACED_BATCH, _CHECKED_BATCH = 2, 3
# Of the size of the benchmark's coefficients: diffusion, advection, wavenumber.
_TYPICAL = (0.03, 0.03, 0.01, 0.5, 0.5, 5.0)


@dataclass(frozen=True)
class Exporter:
    """A format.

    Attributes:
        write: From a traced program to a file.
        run: From a file, sources (B, n, n) and coefficients (B, 6) to solutions (B, n, n), by that format's runtime.
        packages: What it needs beside PyTorch.
    """

    write: Callable[[ExportedProgram, Path], None]
    run: Callable[[Path, Tensor, Tensor], Tensor]
    packages: tuple[str, ...] = ()


class _PlainOperator(nn.Module):
    """The operator by plain operators only, which can be traced."""

    def __init__(self, model: NeuralOperator) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        return solve_in_frame(self.model.config.frame, self._solve, source, coefficients)

    def _solve(self, source: Tensor, coefficients: Tensor) -> Tensor:
        inputs = normalise(self.model.config.normaliser, source, coefficients)
        return inputs.amplitude * self.model.network.forward_plain(inputs.source, inputs.coefficients)


def export_model(model: NeuralOperator, target: str, path: Path, resolution: int = 128) -> float:
    """Write a model as one file, after comparing what the file computes with the model.

    Args:
        model: On the CPU.
        target: `"torch-export"` (read it with `torch.export.load`) or `"onnx"`.
        path: The file to write; it takes this name only when it has been found equal to the model.
        resolution: n, the points a side of the fields it takes.

    Returns:
        The relative ℓ² difference found, from the model in double precision.

    Raises:
        UsageError: If there is no such target, its packages are missing, or the grid is too coarse for the model.
        PdefmError: If the file cannot be written, or computes something else than the model.
    """
    if target not in EXPORTERS:
        raise unknown_name("export target", target, EXPORTERS)
    exporter = EXPORTERS[target]
    missing = [package for package in exporter.packages if not _installed(package)]
    if missing:
        raise UsageError(f"export to {target} needs {' and '.join(missing)}: pip install 'pdebench-fm[{target}]'")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if resolution < 2 * model.config.modes:
        raise UsageError(
            f"a model of {model.config.modes} modes needs a resolution of {2 * model.config.modes} or more"
        )
    model = copy.deepcopy(model).requires_grad_(requires_grad=False)  # or the program would need torch.no_grad()
    with torch.no_grad(), _quiet(), atomic_path(path) as temporary:
        exporter.write(trace(model, resolution), temporary)
        inputs = _example(_CHECKED_BATCH, resolution)
        exact = copy.deepcopy(model).double()(*(array.double() for array in inputs))
        difference = _difference(exporter.run(temporary, *inputs), exact)
        allowed = max(TOLERANCE, _ROUNDINGS * _difference(model(*inputs), exact))
        if not difference <= allowed:  # a NaN included
            raise PdefmError(
                f"{path} is not written: the exported program differs from the model by {difference:.1e}, "
                f"more than {allowed:.1e}"
            )
    return difference


def trace(model: NeuralOperator, resolution: int) -> ExportedProgram:
    """Return a model as a program for one resolution and any batch size."""
    plain, inputs = _PlainOperator(model).eval(), _example(_TRACED_BATCH, resolution)
    plain(*inputs)  # makes the constants of this grid, which tracing must find ready
    batch = Dim("batch", min=1)
    return torch.export.export(plain, inputs, dynamic_shapes=({0: batch}, {0: batch}))


def _example(batch: int, resolution: int) -> tuple[Tensor, Tensor]:
    """Return smooth periodic sources of mean zero and coefficients, always the same."""
    generator = torch.Generator().manual_seed(batch)
    centres = torch.rand(2, batch, 4, 1, generator=generator)
    along_y, along_x = torch.exp(-50 * torch.sin(math.pi * (torch.arange(resolution) / resolution - centres)) ** 2)
    source = along_y.mT @ along_x
    coefficients = torch.rand(batch, len(_TYPICAL), generator=generator) * torch.tensor(_TYPICAL)
    coefficients[:, :2] += _TYPICAL[
        2
    ]  # so that the first three are a positive-definite tensor, as normalisers may need
    return source - source.mean(dim=(1, 2), keepdim=True), coefficients


def _difference(found: Tensor, exact: Tensor) -> float:
    """Return the relative ℓ² difference of two batches."""
    return float(torch.linalg.vector_norm(found.double() - exact) / torch.linalg.vector_norm(exact))


def _installed(package: str) -> bool:
    """Return whether a package can be imported."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes about their own internals from the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _write_program(program: ExportedProgram, path: Path) -> None:
    with path.open("wb") as file:
        torch.export.save(program, file)


def _run_program(path: Path, source: Tensor, coefficients: Tensor) -> Tensor:
    with path.open("rb") as file:
        solution: Tensor = torch.export.load(file).module()(source, coefficients)
    return solution


def _write_onnx(program: ExportedProgram, path: Path) -> None:
    graph = torch.onnx.export(
        program, dynamo=True, input_names=["source", "coefficients"], output_names=["solution"], verbose=False
    )
    if graph is None:
        raise PdefmError("PyTorch's exporter gave no ONNX graph")
    graph.save(path, external_data=False)


def _run_onnx(path: Path, source: Tensor, coefficients: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    feed = {"source": source.numpy(), "coefficients": coefficients.numpy()}
    return torch.from_numpy(session.run(["solution"], feed)[0])


EXPORTERS = {
    "torch-export": Exporter(_write_program, _run_program),
    "onnx": Exporter(_write_onnx, _run_onnx, packages=("onnx", "onnxscript", "onnxruntime")),
}
"""By the name of the target."""
