"""The differential operator −∇·(K∇u) + v·∇u − ωu in Fourier space: its symbol, its inverse and its residual."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf, pi
from typing import TypeAlias

import numpy as np
from array_api_compat import array_namespace, device

from pdebench_fm.physics.source import Array

COEFFICIENT_NAMES = ("k11", "k22", "k12", "v1", "v2", "omega")


@dataclass(frozen=True)
class WaveNumbers:
    """Integer wave numbers of the real two-dimensional transform of an n×n field.

    Attributes:
        kx: (1, n//2+1), the half-spectrum axis; `ky`: (n, 1).
        kx_odd: like `kx`, with the Nyquist number set to 0; `ky_odd` likewise. An odd derivative of a real grid
            function has no Nyquist component, since its two signs cannot be told apart on the grid.
    """

    kx: Array
    ky: Array
    kx_odd: Array
    ky_odd: Array

    @classmethod
    @cache
    def of_grid(cls, n: int) -> "WaveNumbers":
        """Return the wave numbers of an n×n grid as float64 NumPy arrays, not to be written to."""
        kx = np.arange(n // 2 + 1, dtype=np.float64)[None, :]
        ky = np.fft.fftfreq(n, 1 / n)[:, None]
        kx_odd, ky_odd = kx.copy(), ky.copy()
        if n % 2 == 0:
            kx_odd[0, n // 2] = 0.0
            ky_odd[n // 2, 0] = 0.0
        return cls(kx, ky, kx_odd, ky_odd)

    def like(self, array: Array) -> "WaveNumbers":
        """Return these wave numbers in the namespace, precision and device of a real `array`."""
        if isinstance(array, np.ndarray):
            return self
        xp = array_namespace(array)
        return WaveNumbers(
            *(
                xp.asarray(k, dtype=array.dtype, device=device(array))
                for k in (self.kx, self.ky, self.kx_odd, self.ky_odd)
            )
        )


Symbol: TypeAlias = Callable[[WaveNumbers, Array], Array]
"""`symbol(wave_numbers, coefficients: (B, 6)) -> (B, n, n//2+1)`: what the operator multiplies each mode by."""


def _columns(coefficients: Array) -> tuple[Array, ...]:
    """Split (B, 6) coefficients into six (B, 1, 1) arrays."""
    return tuple(coefficients[:, i][:, None, None] for i in range(len(COEFFICIENT_NAMES)))


def diffusive_symbol(k: WaveNumbers, coefficients: Array) -> Array:
    """Return the real symbol 4π² kᵀKk − ω of −∇·(K∇u) − ωu, (B, n, n//2+1)."""
    k11, k22, k12, _, _, omega = _columns(coefficients)
    scale = 4.0 * pi**2
    # rows and columns first: only two operations pass over whole spectra
    along_x = (scale * k11) * k.kx**2 - omega
    along_y = (scale * k22) * k.ky**2
    return ((2.0 * scale * k12) * k.kx_odd) * k.ky_odd + (along_x + along_y)


def advective_symbol(k: WaveNumbers, coefficients: Array) -> Array:
    """Return the complex symbol 4π² kᵀKk + 2πi v·k − ω of the full operator, (B, n, n//2+1)."""
    _, _, _, v1, v2, _ = _columns(coefficients)
    return diffusive_symbol(k, coefficients) + 2j * pi * (v1 * k.kx_odd + v2 * k.ky_odd)


def _rfft2(field: Array) -> Array:
    return array_namespace(field).fft.rfftn(field, axes=(-2, -1))


def _irfft2(spectrum: Array, n: int) -> Array:
    return array_namespace(spectrum).fft.irfftn(spectrum, s=(n, n), axes=(-2, -1))


def reciprocal(symbol: Array) -> Array:
    """Return 1 / symbol, and 0 where the symbol is 0 (a resonant mode): what a source's spectrum is multiplied by."""
    xp = array_namespace(symbol)
    if not xp.isdtype(symbol.dtype, "complex floating"):
        return 1.0 / xp.where(symbol == 0, inf, symbol)
    # by the conjugate: several times as fast as a complex division
    squared = xp.real(symbol) ** 2 + xp.imag(symbol) ** 2
    inverse = xp.conj(symbol)
    inverse *= 1.0 / xp.where(squared == 0, inf, squared)
    return inverse


def solve(source: Array, coefficients: Array, symbol: Symbol = advective_symbol) -> tuple[Array, Array]:
    """Solve −∇·(K∇u) + v·∇u − ωu = f exactly on the grid.

    Args:
        source: (B, n, n) real, f; use float64 for solutions exact to rounding.
        coefficients: (B, 6), same kind of array and precision.
        symbol: the operator's symbol.

    Returns:
        The consistent pair (source, solution), each (B, n, n): modes on which the operator vanishes (the mean, for
        pure diffusion) are removed from the source and are zero in the solution.
    """
    xp = array_namespace(source)
    n = source.shape[-1]
    values = symbol(WaveNumbers.of_grid(n).like(source), coefficients)
    spectrum = _rfft2(source)
    resonant = values == 0
    if bool(xp.any(resonant)):
        spectrum = xp.where(resonant, xp.zeros_like(spectrum), spectrum)
        source = _irfft2(spectrum, n)
    return source, _irfft2(spectrum * reciprocal(values), n)


def apply_operator(solution: Array, coefficients: Array, symbol: Symbol = advective_symbol) -> Array:
    """Return −∇·(K∇u) + v·∇u − ωu on the grid, (B, n, n), by spectral differentiation."""
    n = solution.shape[-1]
    values = symbol(WaveNumbers.of_grid(n).like(solution), coefficients)
    return _irfft2(values * _rfft2(solution), n)


def relative_residual(source: Array, solution: Array, coefficients: Array, symbol: Symbol = advective_symbol) -> Array:
    """Return ‖Lu − f‖₂ / ‖f‖₂ for each sample, (B,)."""
    xp = array_namespace(source)
    difference = apply_operator(solution, coefficients, symbol) - source
    return xp.sqrt(xp.sum(difference**2, axis=(-2, -1)) / xp.sum(source**2, axis=(-2, -1)))


def advection_diffusion_ratio(solution: Array, coefficients: Array) -> Array:
    """Return Ψ = ‖v·∇u‖₂ / ‖∇·(K∇u)‖₂ for each sample, (B,) (the paper's ratio for SYS-2).

    Args:
        solution: (B, n, n), u.
        coefficients: (B, 6); the same kind of array.
    """
    xp = array_namespace(solution)
    n = solution.shape[-1]
    k = WaveNumbers.of_grid(n).like(solution)
    spectrum = _rfft2(solution)
    _, _, _, v1, v2, omega = _columns(coefficients)
    advection = _irfft2(2j * pi * (v1 * k.kx_odd + v2 * k.ky_odd) * spectrum, n)
    diffusion = _irfft2((diffusive_symbol(k, coefficients) + omega) * spectrum, n)
    return xp.sqrt(xp.sum(advection**2, axis=(-2, -1)) / xp.sum(diffusion**2, axis=(-2, -1)))
