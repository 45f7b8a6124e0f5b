"""A model as one file that runs without this package: a `torch.export` program or an ONNX graph.

The exported program is the physical operator at one resolution, for any batch size: normaliser, network and all. Models
of this package are traced from `FNO.forward_plain`, whose Fourier transforms are matrix products; the complex numbers
of other people's modules, which ONNX does not have, are taken apart (`real_numbers`).
"""

import importlib
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.files import atomic_path
from pdebench_fm.graphs.interface import INPUTS, OUTPUT
from pdebench_fm.graphs.process import WRITING_PACKAGES, RunningGraph, is_installed, require_packages
from pdebench_fm.models.candidate import Operator
from pdebench_fm.models.frames import solve_in_frame
from pdebench_fm.models.fresh import copied
from pdebench_fm.models.normalisers import normalise
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.prediction import predicted
from pdebench_fm.models.real_numbers import InRealNumbers, has_complex_numbers
from pdebench_fm.surroundings import standard
from pdebench_fm.text import in_one_line

TOLERANCE = 1e-5
"""The largest relative ℓ² difference between a model and its export, unless the model rounds as coarsely itself."""

ONNX_TOLERANCE = 5e-5
"""The same of an ONNX graph, whose runtime has functions of its own: measured, 1.5e-5 of the U-Net, by its GELUs."""

# Another order of the same float32 sums errs by a few times as much as the model's own.
_ROUNDINGS = 10
_TRACED_BATCH, _CHECKED_BATCH = 2, 3
# Of the size of the benchmark's coefficients: diffusion, advection, wavenumber.
_TYPICAL = (0.03, 0.03, 0.01, 0.5, 0.5, 5.0)
_UNKNOWN_OPERATOR = re.compile(r"OpOverload\(op='([^']+)'")
_LONGEST_REASON = 200
_T = TypeVar("_T")


@dataclass(frozen=True)
class Exporter:
    """A format.

    Attributes:
        write: From a traced program to a file.
        run: From a file, sources (B, n, n) and coefficients (B, 6) to solutions (B, n, n), by that format's runtime.
        packages: What it needs beside PyTorch.
        tolerance: The largest relative ℓ² difference from the model, unless that rounds as coarsely itself.
    """

    write: Callable[[ExportedProgram, Path], None]
    run: Callable[[Path, Tensor, Tensor], Tensor]
    packages: tuple[str, ...] = ()
    tolerance: float = TOLERANCE


class _PlainOperator(nn.Module):
    """An operator of this package by plain operators only, which can be traced."""

    def __init__(self, model: NeuralOperator) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        return solve_in_frame(self.model.config.frame, self._solve, source, coefficients)

    def _solve(self, source: Tensor, coefficients: Tensor) -> Tensor:
        inputs = normalise(self.model.config.normaliser, source, coefficients)
        return inputs.amplitude * self.model.network.forward_plain(inputs.source, inputs.coefficients)


class _AnyOperator(nn.Module):
    """Any other model, which is called as it is."""

    def __init__(self, model: Operator) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        return self.model(source, coefficients)


def export_model(model: Operator, target: str, path: Path, resolution: int = 128, *, name: str = "the model") -> float:
    """Write a model as one file, after comparing what the file computes with the model.

    Args:
        model: A module of any code, or a function of tensors alone. It is not changed; a module may be on any device.
        target: `"torch-export"` (read it with `torch.export.load`) or `"onnx"`.
        path: The file to write; it takes this name only when it has been found equal to the model.
        resolution: n, the points a side of the fields it takes.
        name: Names the model in messages.

    Returns:
        The relative ℓ² difference found: from the model in double precision, or, of one that cannot compute in it, from
        the model as it is.

    Raises:
        UsageError: If there is no such target, its packages are missing, or the grid is too coarse for the model.
        UserCodeError: If the model raises.
        PdefmError: If it cannot be traced for any batch size, has an operator that the format does not have, the file
            cannot be written, or computes something else than the model.
    """
    if target not in EXPORTERS:
        raise unknown_name("export target", target, EXPORTERS)
    exporter = EXPORTERS[target]
    require_packages(f"export to {target}", exporter.packages)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if isinstance(model, NeuralOperator) and resolution < 2 * model.config.modes:
        raise UsageError(
            f"a model of {model.config.modes} modes needs a resolution of {2 * model.config.modes} or more"
        )
    if resolution < 1:
        raise UsageError(f"a resolution is a number of points a side, not {resolution}")
    with standard(), torch.no_grad(), _quiet(), atomic_path(path) as temporary:
        given = _on_cpu(model, name)
        inputs = _example(_CHECKED_BATCH, resolution)
        plain = predicted(given, Batch(*inputs, inputs[0]), name)  # which tells what it raises
        _told(f"{name} cannot be written as {target}", lambda: exporter.write(trace(given, resolution), temporary))
        exact = _in_double_precision(given, *inputs, name)
        rounding = exporter.tolerance / _ROUNDINGS if exact is None else _difference(plain, exact)
        difference = _difference(exporter.run(temporary, *inputs), plain.double() if exact is None else exact)
        allowed = max(exporter.tolerance, _ROUNDINGS * rounding)
        if not difference <= allowed:  # a NaN included
            raise PdefmError(
                f"{path} is not written: the exported program differs from the model by {difference:.1e}, "
                f"more than {allowed:.1e}"
            )
    return difference


def trace(model: Operator, resolution: int) -> ExportedProgram:
    """Return a model as a program for one resolution and any batch size."""
    plain: nn.Module = _PlainOperator(model) if isinstance(model, NeuralOperator) else _AnyOperator(_in_plain(model))
    return _traced(plain.eval(), resolution)


def _in_plain(model: Operator) -> Operator:
    """Return a copy of a module whose operators of this package can be traced; a function as it is."""
    if not isinstance(model, nn.Module):
        return model
    twin = copied(model)
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is NeuralOperator:
                setattr(parent, name, _PlainOperator(child))
    return twin


def _traced(module: nn.Module, resolution: int) -> ExportedProgram:
    inputs = _example(_TRACED_BATCH, resolution)
    module(*inputs)  # makes the constants of this grid, which tracing must find ready
    batch = Dim("batch", min=1)
    with _sums_in_the_given_order():
        return torch.export.export(module, inputs, dynamic_shapes=({0: batch}, {0: batch}), strict=False)


@contextmanager
def _sums_in_the_given_order() -> Iterator[None]:
    """Let products of several tensors be summed in the order that they are given in.

    The library `opt_einsum`, by which PyTorch, and neuraloperator directly, find a better one, makes plain numbers of
    the sizes, so that what is traced would hold for this batch size alone.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.backends.opt_einsum.flags(enabled=False))
        if is_installed("opt_einsum"):
            library = importlib.import_module("opt_einsum")
            plain = {
                "contract": lambda equation, *operands, **_: torch.einsum(equation, *operands),
                "contract_expression": lambda equation, *_shapes, **_: partial(torch.einsum, equation),
            }
            for name, function in plain.items():
                stack.callback(setattr, library, name, getattr(library, name))
                setattr(library, name, function)
        yield


def _on_cpu(model: Operator, name: str) -> Operator:
    """Return a copy of a module on the CPU, ready to predict; a function as it is."""
    if not isinstance(model, nn.Module):
        return model
    with user_code(name):
        # without gradients, or the program would need torch.no_grad()
        return copied(model).cpu().eval().requires_grad_(requires_grad=False)


def _in_double_precision(model: Operator, source: Tensor, coefficients: Tensor, name: str) -> Tensor | None:
    """Return a model's solutions computed in float64; None if it cannot."""
    if not isinstance(model, nn.Module):
        return None
    with user_code(name):
        twin = copied(model)
    try:
        with user_code(name):
            twin._apply(_doubled)  # noqa: SLF001 (`double` leaves complex numbers as they are)
        batch = Batch(source.double(), coefficients.double(), source.double())
        return predicted(twin, batch, name)
    except PdefmError:  # it makes float32 tensors by itself, say
        return None


def _doubled(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.double() if tensor.is_floating_point() else tensor


def _told(what: str, action: Callable[[], _T]) -> _T:
    """Return what an exporter returns; what it raises becomes one line that names the operator, if it is one's."""
    try:
        return action()
    except (MemoryError, OSError):
        raise
    except PdefmError as error:
        raise PdefmError(f"{what}: {error}") from error
    except Exception as error:
        chain: list[BaseException] = [error]
        while (cause := chain[-1].__cause__) is not None:
            chain.append(cause)
        unknown = next((found[1] for each in chain if (found := _UNKNOWN_OPERATOR.search(str(each)))), None)
        if unknown is not None:
            raise PdefmError(f"{what}: PyTorch has no form of its operator {unknown} in that format") from error
        text = in_one_line(str(chain[-1])) or type(chain[-1]).__name__
        raise PdefmError(f"{what}: {text[:_LONGEST_REASON]}") from error


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
    difference = torch.linalg.vector_norm(found.double() - exact)
    return float(difference / torch.linalg.vector_norm(exact)) if difference else 0.0  # of what is zero everywhere too


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
    if has_complex_numbers(program):
        resolution = next(node for node in program.graph.nodes if node.name == INPUTS[0]).meta["val"].shape[-1]
        program = _traced(InRealNumbers(program.run_decompositions()).eval(), int(resolution))
    graph = torch.onnx.export(program, dynamo=True, input_names=[*INPUTS], output_names=[OUTPUT], verbose=False)
    if graph is None:
        raise PdefmError("PyTorch's exporter gave no graph")
    graph.save(path, external_data=False)


def _run_onnx(path: Path, source: Tensor, coefficients: Tensor) -> Tensor:
    graph = RunningGraph(path)
    try:
        return torch.from_numpy(graph(source.numpy(), coefficients.numpy()))
    finally:
        graph.close()


EXPORTERS = {
    "torch-export": Exporter(_write_program, _run_program),
    "onnx": Exporter(_write_onnx, _run_onnx, packages=WRITING_PACKAGES, tolerance=ONNX_TOLERANCE),
}
"""By the name of the target."""
