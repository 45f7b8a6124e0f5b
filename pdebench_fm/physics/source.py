"""Source functions: sums of 144 Gaussians on a 12×12 lattice, built as two small matrix products.

f(x, y) = Σ_ij p_ij φ(y − c_i) φ(x − c_j) is separable, so on a grid f = Gᵀ P G, and its discrete Fourier transform is
Ĝᵀ P Ĝ: neither needs a loop over Gaussians or a transform of the field.
"""

from functools import cache
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

LATTICE = 12
SIGMA = 1.0 / 32.0
REFERENCE_RESOLUTION = 128
"""Sources are normalised by their maximum and mean on this grid, whatever the resolution of the output."""

Float64: TypeAlias = NDArray[np.float64]
Complex128: TypeAlias = NDArray[np.complex128]
Array: TypeAlias = Any
"""A NumPy array, or an array of another library with the array-API namespace (a PyTorch tensor)."""


SPARSITY_LEVELS = (0.2, 0.4, 0.6, 0.8)


@cache
def gaussian_basis(n: int, width: float = SIGMA) -> Float64:
    """Return G, (12, n): the twelve Gaussians of one axis, of width σ, at the grid points j/n.

    Centres are 0.5 − 11/32 + i/16, and the Gaussians are not wrapped around the period.
    """
    centres = 0.5 - 11.0 / 32.0 + np.arange(LATTICE) / 16.0
    points = np.arange(n) / n
    basis = np.exp(-((points[None, :] - centres[:, None]) ** 2) / (2.0 * width**2))
    basis.setflags(write=False)
    return basis


@cache
def basis_spectrum(n: int, width: float = SIGMA) -> Complex128:
    """Return Ĝ, (12, n): the discrete Fourier transforms of the rows of G."""
    spectrum: Complex128 = np.fft.fft(gaussian_basis(n, width), axis=-1)
    spectrum.setflags(write=False)
    return spectrum


def _beside(constant: Any, array: Any) -> Any:
    """Return a NumPy constant in the namespace and on the device of `array`."""
    if isinstance(array, np.ndarray):
        return constant
    return array_namespace(array).asarray(constant.copy(), device=device(array))  # the cached constant is read-only


def raw_source(weights: Array, n: int, width: float = SIGMA) -> Array:
    """Return GᵀPG, (B, n, n), for weights P, (B, 12, 12) float64, indexed `[y, x]`; not normalised."""
    basis = _beside(gaussian_basis(n, width), weights)
    return basis.T @ weights @ basis


def raw_source_spectrum(weights: Array, n: int, cutoff: int | None = None, width: float = SIGMA) -> Array:
    """Return the real-transform half-spectrum of `raw_source`, as two matrix products.

    Args:
        weights: (B, 12, 12) float64.
        n: points of the grid a side.
        cutoff: keep wave numbers |k| ≤ cutoff only; None keeps all.
        width: of the Gaussians.

    Returns:
        (B, n, n//2+1), or (B, 2·cutoff+1, cutoff+1) in the order 0…cutoff, −cutoff…−1 along y.
    """
    spectrum = basis_spectrum(n, width)
    along_x, along_y = spectrum[:, : n // 2 + 1], spectrum
    if cutoff is not None:
        along_x = spectrum[:, : cutoff + 1]
        along_y = np.concatenate([spectrum[:, : cutoff + 1], spectrum[:, -cutoff:]], axis=1)
    xp = array_namespace(weights)
    return _beside(along_y, weights).T @ xp.astype(weights, xp.complex128) @ _beside(along_x, weights)


def normalisation(weights: Array, reference: Array, *, zero_mean: bool, width: float = SIGMA) -> tuple[Array, Array]:
    """Return (scale, offset), each (B,), such that the source is `raw_source · scale − offset`.

    The scale is one over the maximum on the reference grid; the offset is the scaled mean over that grid where the
    equation determines its solution only up to a constant (`zero_mean`), and 0 otherwise.

    Args:
        weights: (B, 12, 12) float64.
        reference: (B, 128, 128), their `raw_source` on the reference grid.
        zero_mean: whether the mean is removed.
        width: of the Gaussians.
    """
    xp = array_namespace(weights)
    scale = 1.0 / xp.max(reference, axis=(1, 2))
    if not zero_mean:
        return scale, xp.zeros_like(scale)
    mean_basis = _beside(gaussian_basis(REFERENCE_RESOLUTION, width).mean(axis=1), weights)
    return scale, scale * (weights @ mean_basis @ mean_basis)
