"""Whether a system's declaration can work, tried out on a few draws before anything is built from it."""

import re
from collections.abc import Mapping
from math import isfinite

import numpy as np

from pdebench_fm.errors import UsageError
from pdebench_fm.physics.operator import COEFFICIENT_NAMES, WaveNumbers
from pdebench_fm.physics.source import LATTICE, Array, Float64
from pdebench_fm.physics.stream import WINDOW, philox_key, uniforms
from pdebench_fm.physics.symmetries import ELEMENTS, Symmetry
from pdebench_fm.physics.systems import Drawn, Range, System

MAXIMUM_LATENTS = 16
"""Latents a system may have: they share a sample's window of random numbers with the source."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME_LENGTH = 40
_ROWS = 3
_GRID = 64
_MANY_ROWS, _COARSE_GRID = 256, 16  # for symmetries, which rare draws may break
_NARROWEST = 1 / 64  # which the reference grid of 128 points resolves to 3e-9
_WIDEST = 1 / 25  # as Gaussians are not wrapped, a wider one would end at the boundary in a jump of more than 5e-4
_ROUNDING = 1e-9  # relative, of values computed in another order
_CANCELLED = 1e-15  # of the largest value: sums whose terms cancel out are no more accurate than their terms


def check_system(system: System) -> None:
    """Raise a `UsageError` in one line if a declaration cannot work."""
    if not isinstance(system, System):
        raise UsageError(f"a {type(system).__name__} is registered as a system: make it a System")
    try:
        _check_words(system)
        _check_ranges(system.regimes, "regime")
        _check_ranges(system.latents, "latent")
        group = _declared_symmetries(system)
        for regime in system.regimes:
            coefficients = _checked_coefficients(system, regime)
            _check_symbol(system, coefficients)
            many = system.coefficients(_drawn(system, regime, _MANY_ROWS)).astype(np.float32).astype(np.float64)
            for symmetry in group:
                _check_symmetry(system, coefficients, symmetry, _GRID)
                _check_symmetry(system, many, symmetry, _COARSE_GRID)
    except _InvalidError as error:
        raise UsageError(f"system {system.name!r}: {error}") from None


class _InvalidError(Exception):
    """What is wrong with a declaration."""


def _check_words(system: System) -> None:
    for kind, name in (("its name", system.name), *(("a regime's name", name) for name in system.regimes)):
        if not _NAME.fullmatch(name) or len(name) > _NAME_LENGTH:
            raise _InvalidError(
                f"{kind} {name!r} must be lower-case words of letters and digits joined by '-', as in screened-poisson"
            )
    if not system.regimes:
        raise _InvalidError("it has no regime")
    if len(system.latents) > MAXIMUM_LATENTS:
        raise _InvalidError(f"it has {len(system.latents)} latents, {MAXIMUM_LATENTS} are possible")
    names, places = system.coefficient_names, len(COEFFICIENT_NAMES)
    if not 1 <= len(names) <= places or len(set(names)) != len(names) or not all(names):
        raise _InvalidError(f"coefficient_names must be 1 to {places} different names, not {names!r}")
    bound = system.solution_bound
    if not _NARROWEST <= system.source_width <= _WIDEST:
        raise _InvalidError(f"source_width must be from 1/64 to 1/25, not {system.source_width!r}")
    if not system.sparsities or not all(0 <= level < 1 for level in system.sparsities):
        raise _InvalidError(f"sparsities must be numbers from 0 to below 1, at least one, not {system.sparsities!r}")
    if bound is not None and not (isfinite(bound) and bound > 0):
        raise _InvalidError(f"solution_bound must be positive and finite, or None, not {bound!r}")


def _check_ranges(ranges: Mapping[str, Range], kind: str) -> None:
    for name, span in ranges.items():
        if not (isfinite(span.low) and isfinite(span.high)):
            raise _InvalidError(f"the range of {kind} {name!r} is not finite: {span}")
        if span.integer and (span.low != int(span.low) or span.high != int(span.high)):
            raise _InvalidError(f"the range of {kind} {name!r} is of integers, but its ends are not: {span}")
        if not (span.low <= span.high if span.integer else np.float32(span.low) < np.float32(span.high)):
            raise _InvalidError(f"the range of {kind} {name!r} is empty: {span}")


def _drawn(system: System, regime: str, rows: int = _ROWS) -> Drawn:
    """Return a few draws of a regime, from a stream that no dataset uses."""
    u = uniforms(philox_key("declaration", system.name, regime), np.arange(rows), 0)
    centres = LATTICE * LATTICE
    weights = np.where(u[:, :centres] < 0.5, u[:, centres : 2 * centres], 0.0).astype(np.float32)
    rest = u[:, 2 * centres : WINDOW]
    return Drawn(
        parameter=system.regimes[regime].at(rest[:, 0]).astype(np.float32).astype(np.float64),
        latents={name: span.at(rest[:, 1 + i]) for i, (name, span) in enumerate(system.latents.items())},
        weights=weights.astype(np.float64).reshape(-1, LATTICE, LATTICE),
    )


def _row(drawn: Drawn, row: int) -> Drawn:
    one = slice(row, row + 1)
    latents = {name: values[one] for name, values in drawn.latents.items()}
    return Drawn(drawn.parameter[one], latents, drawn.weights[one])


def _checked_coefficients(system: System, regime: str) -> Float64:
    """Return the coefficients of a few draws as a dataset stores them, (B, 6)."""
    drawn = _drawn(system, regime)
    values = system.coefficients(drawn)
    places = len(COEFFICIENT_NAMES)
    if not isinstance(values, np.ndarray) or values.shape != (_ROWS, places):
        raise _InvalidError(
            f"coefficients must return an array of shape (B, {places}), here ({_ROWS}, {places}), not {_kind(values)}"
        )
    with np.errstate(over="ignore"):
        stored = values.astype(np.float32).astype(np.float64)
    if not np.isfinite(stored).all():
        raise _InvalidError(f"coefficients of regime {regime!r} are not finite in float32")
    if np.any(stored[:, len(system.coefficient_names) :]):
        raise _InvalidError(f"it has {len(system.coefficient_names)} coefficient_names, but more coefficients than 0")
    if not stored.any(axis=1).all():
        raise _InvalidError(f"all coefficients of a draw of regime {regime!r} are 0")
    if not np.array_equal(system.coefficients(drawn), values):
        raise _InvalidError("coefficients differ from call to call: they must follow from what is drawn alone")
    alone = np.concatenate([system.coefficients(_row(drawn, row)) for row in range(_ROWS)])
    if not _close(alone, values):
        raise _InvalidError("the coefficients of a row depend on the other rows of the batch")
    return stored


def _check_symbol(system: System, coefficients: Float64) -> None:
    k = WaveNumbers.of_grid(_GRID)
    shape = (_ROWS, _GRID, _GRID // 2 + 1)
    with np.errstate(all="ignore"):
        values = system.symbol(k, coefficients)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise _InvalidError(
                f"the symbol must have the shape (B, n, n//2+1), here {shape}, not {_kind(values)}: write it with "
                "k.kx, k.ky and coefficients[:, i][:, None, None], so that it works on whole batches"
            )
        if values.dtype not in (np.float64, np.complex128):
            raise _InvalidError(f"the symbol must be float64 or complex128, not {values.dtype}")
        again = system.symbol(k, coefficients)
        alone = np.concatenate([system.symbol(k, coefficients[row : row + 1]) for row in range(_ROWS)])
        opposite = system.symbol(WaveNumbers(-k.kx, -k.ky, -k.kx_odd, -k.ky_odd), coefficients)
    if not np.isfinite(values).all():
        raise _InvalidError("the symbol is not finite")
    if not np.array_equal(again, values):
        raise _InvalidError("the symbol differs from call to call")
    if not _close(alone, values):
        raise _InvalidError("the symbol of a row depends on the other rows of the batch")
    if not (_close(opposite, values.conj()) and _is_real_on_the_grid(values)):
        raise _InvalidError(
            "the symbol is not Hermitian, symbol(−k) = conj(symbol(k)), so solutions would not be real: give odd "
            "derivatives a factor of 2πi each, and k.kx_odd and k.ky_odd for k.kx and k.ky"
        )
    if not values.any(axis=(1, 2)).all():
        raise _InvalidError("the symbol is 0 for every wave number")
    if not system.zero_mean and not values[:, 0, 0].all():
        raise _InvalidError("the symbol is 0 for k = 0, so the mean of a source cannot be kept: set zero_mean=True")


def _declared_symmetries(system: System) -> tuple[Symmetry, ...]:
    try:
        return system.symmetry_group
    except ValueError as error:
        raise _InvalidError(str(error)) from None


def _check_symmetry(system: System, coefficients: Float64, symmetry: Symmetry, n: int) -> None:
    """Compare the symbol of transformed coefficients at k with the symbol at g⁻¹k, on all wave numbers of a grid."""
    half = WaveNumbers.of_grid(n)
    k = WaveNumbers(half.ky.T, half.ky, half.ky_odd.T, half.ky_odd)
    sign_x, sign_y = (-1.0 if flip else 1.0 for flip in (symmetry.element.flip_x, symmetry.element.flip_y))
    # g⁻¹ undoes the reflections first
    back = WaveNumbers(sign_x * k.kx, sign_y * k.ky, sign_x * k.kx_odd, sign_y * k.ky_odd)
    with np.errstate(all="ignore"):
        transformed = system.symbol(k, symmetry.of_coefficients(coefficients))
        if symmetry.element.exchange:
            back = WaveNumbers(back.ky.T, back.kx.T, back.ky_odd.T, back.kx_odd.T)
            original = system.symbol(back, coefficients).mT
        else:
            original = system.symbol(back, coefficients)
    # terms that cancel out are no larger than the symbol is at this wave number or at a smaller one
    terms = _largest_up_to(np.abs(original), k.kx**2 + k.ky**2)
    if not np.all(np.abs(transformed - original) <= _ROUNDING * np.abs(original) + _CANCELLED * terms):
        name = next(name for name, element in ELEMENTS.items() if element == symmetry.element)
        raise _InvalidError(
            f"its operator does not commute with {name!r}, which its symmetries declare or have as a product: the "
            "symbol of the transformed coefficients is not the symbol at the transformed wave numbers"
        )


def _largest_up_to(sizes: Float64, radii: Float64) -> Float64:
    """Return the largest of each row's sizes, (B, n, n), at the radii, (n, n), up to that of each place."""
    order = np.argsort(radii, axis=None)
    largest = np.maximum.accumulate(sizes.reshape(len(sizes), -1)[:, order], axis=1)
    last = np.searchsorted(radii.ravel()[order], radii.ravel(), side="right") - 1
    return largest[:, last].reshape(sizes.shape)


def _is_real_on_the_grid(values: Array) -> bool:
    """Return whether the columns that hold conjugate pairs whole, kx = 0 and n/2, are conjugate to themselves."""
    columns = values[:, :, [0, -1]]
    mirrored = columns[:, -np.arange(values.shape[1]), :]
    return _close(mirrored, columns.conj())


def _close(one: Array, other: Array) -> bool:
    """Return whether arrays agree to rounding, each value relative to itself.

    A symbol of high order has values that are larger by many orders of magnitude than those of the waves that fields
    consist of. To the largest alone goes what is left of values that cancel out.
    """
    if one.shape != other.shape:
        return False
    sizes = np.abs(other)
    return bool(np.all(np.abs(one - other) <= _ROUNDING * sizes + _CANCELLED * sizes.max(initial=0.0)))


def _kind(values: object) -> str:
    return f"one of shape {values.shape}" if isinstance(values, np.ndarray) else f"a {type(values).__name__}"
