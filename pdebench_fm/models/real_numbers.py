"""A traced program without complex numbers, which ONNX does not have: each becomes its real and its imaginary part.

Fourier neural operators of other codes multiply complex weights with the output of `torch.fft`. Here the operators of a
traced program are run one by one with pairs of real tensors in the place of complex ones, and what they do is traced
again. Discrete Fourier transforms are products with their matrices.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from pdebench_fm.errors import PdefmError


class ComplexOperatorError(PdefmError):
    """An operator on complex numbers is none of those that are known here; says which."""


@dataclass(frozen=True)
class Pair:
    """A complex tensor as two real ones of one shape.

    Attributes:
        re: Its real part.
        im: Its imaginary part.
    """

    re: Tensor
    im: Tensor


Matrices = Callable[[str, int], Tensor]
"""`matrices(kind, n)`: a constant of the discrete Fourier transform of n points; see `fourier_matrix`."""


def has_complex_numbers(program: ExportedProgram) -> bool:
    """Tell whether a program computes with complex tensors, or frequencies of transforms, anywhere."""
    if any(_name(node.target) in _FREQUENCIES for node in program.graph.nodes if node.op == "call_function"):
        return True
    values = (node.meta.get("val") for node in program.graph.nodes)
    return any(isinstance(leaf, Tensor) and leaf.is_complex() for value in values for leaf in pytree.tree_leaves(value))


class InRealNumbers(nn.Module):
    """What a traced program computes, without complex numbers; to be called once before it is traced itself."""

    def __init__(self, program: ExportedProgram) -> None:
        """Take a program's constants apart.

        Args:
            program: Of tensors alone, with one output.
        """
        super().__init__()
        self._program = (program.graph_module,)  # in a tuple: a part would have its complex constants traced
        self._held: list[str | None] = []
        for place, spec in enumerate(program.graph_signature.input_specs):
            if spec.kind is InputKind.USER_INPUT:
                self._held.append(None)
                continue
            assert spec.target is not None  # noqa: S101 (which all that is no user's input has)
            constant = program.state_dict.get(spec.target)
            constant = program.constants[spec.target] if constant is None else constant
            assert isinstance(constant, Tensor)  # noqa: S101 (models are given no other objects)
            name = f"constant_{place}"
            self._held.append(name)
            parts = {name: constant.detach()}
            if constant.is_complex():
                held = constant.detach().resolve_conj().resolve_neg()
                parts = {f"{name}_re": held.real.contiguous(), f"{name}_im": held.imag.contiguous()}
            for key, value in parts.items():
                self.register_buffer(key, value)
        kinds = [spec.kind for spec in program.graph_signature.output_specs]
        self._output = kinds.index(OutputKind.USER_OUTPUT)

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Return what the program returns for these inputs, (B, n, n) and (B, 6)."""
        given = iter((source, coefficients))
        values = [next(given) if name is None else self._constant(name) for name in self._held]
        outputs = _Interpreter(self._program[0], self._matrix).run(*values)
        found = outputs[self._output]
        if isinstance(found, Pair):
            raise ComplexOperatorError("it returns complex numbers: a solution is real")
        result: Tensor = found
        return result

    def _constant(self, name: str) -> Tensor | Pair:
        held = dict(self.named_buffers(recurse=False))
        return held[name] if name in held else Pair(held[f"{name}_re"], held[f"{name}_im"])

    def _matrix(self, kind: str, n: int) -> Tensor:
        name = f"fourier_{kind}_{n}"
        if not hasattr(self, name):  # in the first call, before it is traced
            self.register_buffer(name, torch.from_numpy(fourier_matrix(kind, n)))
        matrix: Tensor = getattr(self, name)
        return matrix


def fourier_matrix(kind: str, n: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a matrix by which discrete Fourier transforms of n points are taken, float32.

    Args:
        kind: `"cos"` and `"sin"`, (n, n), of 2π jk/n; `"half_cos"` and `"half_sin"`, their first n//2 + 1 columns;
            `"back_cos"` and `"back_sin"`, (n//2 + 1, n), which sum a real signal from its half-spectrum, whose inner
            columns count twice.
        n: Points.
    """
    half = n // 2 + 1
    turns = (np.outer(np.arange(n), np.arange(n)) % n) / n
    matrix = (np.cos if kind.endswith("cos") else np.sin)(2 * np.pi * turns)
    if kind.startswith("half"):
        matrix = matrix[:, :half]
    if kind.startswith("back"):
        weights = np.full((half, 1), 2.0)
        weights[0] = 1.0
        if n % 2 == 0:
            weights[-1] = 1.0
        matrix = weights * matrix[:half]
    return np.ascontiguousarray(matrix, dtype=np.float32)


class _Interpreter(fx.Interpreter):
    """Runs a graph with pairs in the place of complex tensors."""

    def __init__(self, program: fx.GraphModule, matrices: Matrices) -> None:
        super().__init__(program)
        self._matrices = matrices

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run one operator."""
        leaves = pytree.tree_leaves((args, dict(kwargs)))
        name = _name(target)
        if name in _FREQUENCIES:
            return _frequencies(name, *args)
        complex_asked = any(isinstance(leaf, torch.dtype) and leaf.is_complex for leaf in leaves)
        if not complex_asked and name not in _BRINGING and not any(isinstance(leaf, Pair | complex) for leaf in leaves):
            return super().call_function(target, args, dict(kwargs))
        if name in _PARTWISE:
            return _partwise(target, args, kwargs)
        if name in _FOURIER:
            return _FOURIER[name](self._matrices, *args)
        if name in _RULES:
            return _RULES[name](target, *args, **kwargs)
        raise ComplexOperatorError(f"{target} of complex numbers has no form in real ones here")


# Operators that move values about, or add them up: the same with each part.
_PARTWISE = frozenset(
    {
        "_unsafe_view",
        "alias",
        "as_strided",
        "cat",
        "chunk",
        "clone",
        "contiguous",
        "cumsum",
        "detach",
        "diagonal",
        "expand",
        "flip",
        "gather",
        "index",
        "index_put",
        "index_select",
        "lift_fresh_copy",
        "mean",
        "neg",
        "permute",
        "repeat",
        "reshape",
        "resolve_conj",
        "resolve_neg",
        "roll",
        "scatter",
        "select",
        "select_scatter",
        "slice",
        "slice_scatter",
        "split",
        "split_with_sizes",
        "squeeze",
        "stack",
        "sum",
        "t",
        "transpose",
        "tril",
        "triu",
        "unbind",
        "unfold",
        "unsqueeze",
        "view",
        "where",
        "zeros_like",
    }
)
_BRINGING = frozenset({"_fft_r2c", "_fft_c2c", "_fft_c2r", "complex", "view_as_complex", "polar"})

# Of real numbers, and only used beside transforms.
_FREQUENCIES = frozenset({"fft_fftfreq", "fft_rfftfreq"})


def _name(target: Any) -> str:
    return str(target).removeprefix("aten.").partition(".")[0]


def _frequencies(name: str, n: int, spacing: float = 1.0) -> Tensor:
    """Return the frequencies of a transform of n points, as `torch.fft` orders them, in cycles per unit."""
    count = torch.arange(n if name == "fft_fftfreq" else n // 2 + 1)
    wrapped = torch.where(count < (n + 1) // 2, count, count - n) if name == "fft_fftfreq" else count
    return wrapped / (n * spacing)


def _part(value: Any, side: str) -> Any:
    """Return a part of a value; that of a real tensor is itself or zero, and whole numbers and truths are indices."""
    if isinstance(value, Pair):
        return getattr(value, side)
    if isinstance(value, complex):
        return value.real if side == "re" else value.imag
    if isinstance(value, Tensor) and value.is_floating_point() and side == "im":
        return torch.zeros_like(value)
    return value


def _partwise(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Run an operator on the real parts, and on the imaginary ones."""
    plain = {key: value for key, value in kwargs.items() if not _is_complex_dtype(value)}
    is_leaf = lambda value: isinstance(value, Pair)  # noqa: E731
    results = [
        target(*pytree.tree_map(lambda value: _part(value, side), args, is_leaf=is_leaf), **plain)  # noqa: B023
        for side in ("re", "im")
    ]
    if isinstance(results[0], list | tuple):
        return [Pair(re, im) for re, im in zip(*results, strict=True)]
    return Pair(*results)


def _is_complex_dtype(value: Any) -> bool:
    return isinstance(value, torch.dtype) and value.is_complex


def _real_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.complex128 else torch.float32


def _parts(value: Any) -> tuple[Any, Any]:
    """Return both parts of any operand; None for an imaginary part that is zero."""
    if isinstance(value, Pair):
        return value.re, value.im
    if isinstance(value, complex):
        return value.real, value.imag
    return value, None


def _add(_target: Any, one: Any, other: Any, *, alpha: Any = 1) -> Pair:
    return _sum(one, _product(other, alpha) if alpha != 1 else other)


def _subtract(_target: Any, one: Any, other: Any, *, alpha: Any = 1) -> Pair:
    return _sum(one, _product(other, -alpha))


def _sum(one: Any, other: Any) -> Pair:
    (a, b), (c, d) = _parts(one), _parts(other)
    re = a + c
    im = b if d is None else d if b is None else b + d
    return Pair(re, im + torch.zeros_like(re))  # of the shape that both have together


def _product(one: Any, other: Any, by: Callable[[Any, Any], Any] = lambda a, b: a * b) -> Any:
    """Return a product, of numbers or, with another `by`, of matrices."""
    (a, b), (c, d) = _parts(one), _parts(other)
    if b is None and d is None:
        return by(a, c)
    if d is None:
        return Pair(by(a, c), by(b, c))
    if b is None:
        return Pair(by(a, c), by(a, d))
    return Pair(by(a, c) - by(b, d), by(a, d) + by(b, c))


def _conjugate(_target: Any, value: Pair) -> Pair:
    return Pair(value.re, -value.im)


def _reciprocal(_target: Any, value: Any) -> Pair:
    re, im = _parts(value)
    size = re * re + im * im
    return Pair(re / size, -im / size)


def _quotient(target: Any, one: Any, other: Any) -> Any:
    if isinstance(other, Pair):
        return _product(one, _reciprocal(target, other))
    return _product(one, 1 / other)


def _magnitude(_target: Any, value: Pair) -> Tensor:
    return torch.sqrt(value.re * value.re + value.im * value.im)


def _exponential(_target: Any, value: Pair) -> Pair:
    size = torch.exp(value.re)
    return Pair(size * torch.cos(value.im), size * torch.sin(value.im))


def _power(target: Any, value: Any, exponent: Any) -> Any:
    if not isinstance(value, Pair) or exponent not in (2, 3, 4):
        raise ComplexOperatorError(f"{target} of complex numbers, to {exponent}, has no form in real ones here")
    result: Any = value
    for _ in range(int(exponent) - 1):
        result = _product(result, value)
    return result


def _full(target: Any, size: Any, value: Any = 0, **options: Any) -> Pair:
    """Return a tensor of one value, of a size or as large as another one."""
    like = _parts(size)[0] if isinstance(size, Pair) else size
    plain = {key: each for key, each in options.items() if key != "dtype"}
    re, im = _parts(value)
    kept = like.dtype if isinstance(like, Tensor) else torch.float32
    plain["dtype"] = _real_dtype(options["dtype"]) if options.get("dtype") is not None else kept
    return Pair(target(like, re, **plain), target(like, im or 0.0, **plain))


def _empty(_target: Any, size: Any, **options: Any) -> Pair:
    dtype, device = _real_dtype(options.get("dtype", torch.complex64)), options.get("device")
    return Pair(*(torch.zeros(size, dtype=dtype, device=device) for _ in range(2)))


def _padded(target: Any, value: Pair, widths: Any, filled: Any = 0) -> Pair:
    re, im = _parts(filled)
    return Pair(target(value.re, widths, re), target(value.im, widths, im or 0.0))


def _converted(target: Any, value: Any, **options: Any) -> Any:
    dtype = options.get("dtype")
    if dtype is not None and not dtype.is_complex:
        return target(_parts(value)[0], **options)  # the imaginary part is dropped, as PyTorch does
    plain = {key: each for key, each in options.items() if key != "dtype"}
    re, im = _parts(value)
    wanted = (re.dtype if re.is_floating_point() else torch.float32) if dtype is None else _real_dtype(dtype)
    re = target(re, dtype=wanted, **plain)
    return Pair(re, torch.zeros_like(re) if im is None else target(im, dtype=wanted, **plain))


def _copied(target: Any, onto: Any, value: Any) -> Any:
    return _partwise(target, (onto, value), {}) if isinstance(onto, Pair) else target(onto, _parts(value)[0])


def _matrix_product(target: Any, one: Any, other: Any) -> Any:
    return _product(one, other, target)


def _added_product(_target: Any, added: Any, one: Any, other: Any, **options: Any) -> Any:
    if options:
        raise ComplexOperatorError("a scaled sum with a product of complex matrices has no form in real ones here")
    return _sum(added, _product(one, other, torch.matmul))


_RULES: dict[str, Callable[..., Any]] = {
    "add": _add,
    "sub": _subtract,
    "rsub": lambda target, one, other, **options: _subtract(target, other, one, **options),
    "mul": lambda _target, one, other: _product(one, other),
    "div": _quotient,
    "reciprocal": _reciprocal,
    "pow": _power,
    "square": lambda target, value: _power(target, value, 2),
    "abs": _magnitude,
    "angle": lambda _target, value: torch.atan2(value.im, value.re),
    "exp": _exponential,
    "conj": _conjugate,
    "_conj": _conjugate,
    "_conj_physical": _conjugate,
    "conj_physical": _conjugate,
    "real": lambda _target, value: value.re,
    "imag": lambda _target, value: value.im,
    "view_as_real": lambda _target, value: torch.stack([value.re, value.im], dim=-1),
    "view_as_complex": lambda _target, value: Pair(value[..., 0], value[..., 1]),
    "complex": lambda _target, re, im: Pair(re, im),
    "polar": lambda _target, size, angle: Pair(size * torch.cos(angle), size * torch.sin(angle)),
    "full": _full,
    "full_like": _full,
    "zeros": _empty,
    "empty": _empty,
    "new_zeros": lambda _target, like, size, **_options: _empty(
        None, size, dtype=torch.complex128 if _parts(like)[0].dtype is torch.float64 else torch.complex64
    ),
    "constant_pad_nd": _padded,
    "copy": _copied,
    "_to_copy": _converted,
    "mm": _matrix_product,
    "bmm": _matrix_product,
    "mv": _matrix_product,
    "matmul": _matrix_product,
    "addmm": _added_product,
    "sym_size": lambda target, value, *axis: target(value.re, *axis),
    "sym_numel": lambda target, value: target(value.re),
}
"""By the name of an operator of `aten`: what it does with pairs, called with the operator and its arguments."""


# The discrete Fourier transforms of `aten`; their second-last arguments are a scaling: 0 for none, 1 by √n, 2 by n.


def _real_to_complex(
    matrices: Matrices,
    value: Tensor,
    axes: Sequence[int],
    scaling: int,
    onesided: bool,
) -> Pair:
    *others, last = [axis % value.ndim for axis in axes]
    n, kind = value.shape[last], "half_" if onesided else ""
    found = Pair(
        _along(last, value, matrices(f"{kind}cos", n)),
        -_along(last, value, matrices(f"{kind}sin", n)),
    )
    for axis in others:
        found = _transformed(matrices, found, axis, forward=True)
    return _scaled(found, scaling, [value.shape[axis] for axis in (*others, last)])


def _complex_to_complex(
    matrices: Matrices,
    value: Any,
    axes: Sequence[int],
    scaling: int,
    forward: bool,
) -> Pair:
    re, im = _parts(value)
    found = Pair(re, torch.zeros_like(re) if im is None else im)
    for axis in axes:
        found = _transformed(matrices, found, axis, forward=forward)
    return _scaled(found, scaling, [re.shape[axis] for axis in axes])


def _complex_to_real(matrices: Matrices, value: Any, axes: Sequence[int], scaling: int, points: int) -> Tensor:
    re, im = _parts(value)
    found = Pair(re, torch.zeros_like(re) if im is None else im)
    *others, last = [axis % re.ndim for axis in axes]
    for axis in others:
        found = _transformed(matrices, found, axis, forward=False)
    real = _along(last, found.re, matrices("back_cos", points)) - _along(last, found.im, matrices("back_sin", points))
    return _scaled(Pair(real, real), scaling, [*(re.shape[axis] for axis in others), points]).re


def _transformed(matrices: Matrices, value: Pair, axis: int, *, forward: bool) -> Pair:
    """Return a transform along one axis."""
    n = value.re.shape[axis]
    cosine, sine = matrices("cos", n), matrices("sin", n)
    sign = 1 if forward else -1
    return Pair(
        _along(axis, value.re, cosine) + sign * _along(axis, value.im, sine),
        _along(axis, value.im, cosine) - sign * _along(axis, value.re, sine),
    )


def _along(axis: int, value: Tensor, matrix: Tensor) -> Tensor:
    """Return the product with a matrix along an axis."""
    return (value.movedim(axis, -1) @ matrix.to(value.dtype)).movedim(-1, axis)


def _scaled(value: Pair, scaling: int, points: Sequence[int]) -> Pair:
    if scaling == 0:
        return value
    factor = 1.0 / math.prod(points)
    factor = math.sqrt(factor) if scaling == 1 else factor
    return Pair(factor * value.re, factor * value.im)


_FOURIER: dict[str, Callable[..., Any]] = {
    "_fft_r2c": _real_to_complex,
    "_fft_c2c": _complex_to_complex,
    "_fft_c2r": _complex_to_real,
}
