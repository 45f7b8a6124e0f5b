"""Source functions: sums of 144 Gaussians on a 12×12 lattice, built as two small matrix products.

f(x, y) = Σ_ij p_ij φ(y − c_i) φ(x − c_j) is separable, so on a grid f = Gᵀ P G, and its discrete Fourier transform is
Ĝᵀ P Ĝ: neither needs a loop over Gaussians or a transform of the field.
"""

from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LATTICE = 12
SIGMA = 1.0 / 32.0
REFERENCE_RESOLUTION = 128
"""Sources are normalised by their maximum and mean on this grid, whatever the resolution of the output."""

Float64: TypeAlias = NDArray[np.float64]
Complex128: TypeAlias = NDArray[np.complex128]


@cache
def gaussian_basis(n: int) -> Float64:
    """Return G, (12, n): the twelve Gaussians of one axis at the grid points j/n.

    Centres are 0.5 − 11/32 + i/16, the width is σ = 1/32, and the Gaussians are not wrapped around the period.
    """
    centres = 0.5 - 11.0 / 32.0 + np.arange(LATTICE) / 16.0
    points = np.arange(n) / n
    basis = np.exp(-((points[None, :] - centres[:, None]) ** 2) / (2.0 * SIGMA**2))
    basis.setflags(write=False)
    return basis


@cache
def basis_spectrum(n: int) -> Complex128:
    """Return Ĝ, (12, n): the discrete Fourier transforms of the rows of G."""
    spectrum: Complex128 = np.fft.fft(gaussian_basis(n), axis=-1)
    spectrum.setflags(write=False)
    return spectrum


def raw_source(weights: Float64, n: int) -> Float64:
    """Return GᵀPG, (B, n, n), for weights P, (B, 12, 12), indexed `[y, x]`; not normalised."""
    basis = gaussian_basis(n)
    source: Float64 = np.matmul(np.matmul(basis.T, weights), basis)
    return source


def raw_source_spectrum(weights: Float64, n: int, cutoff: int | None = None) -> Complex128:
    """Return the real-transform half-spectrum of `raw_source`, as two matrix products.

    Args:
        weights: (B, 12, 12).
        n: points of the grid a side.
        cutoff: keep wave numbers |k| ≤ cutoff only; None keeps all.

    Returns:
        (B, n, n//2+1), or (B, 2·cutoff+1, cutoff+1) in the order 0…cutoff, −cutoff…−1 along y.
    """
    spectrum = basis_spectrum(n)
    along_x = spectrum[:, : n // 2 + 1]
    along_y = spectrum
    if cutoff is not None:
        along_x = spectrum[:, : cutoff + 1]
        along_y = np.concatenate([spectrum[:, : cutoff + 1], spectrum[:, -cutoff:]], axis=1)
    half_spectrum: Complex128 = np.matmul(np.matmul(along_y.T, weights), along_x)
    return half_spectrum


def normalisation(weights: Float64, *, zero_mean: bool) -> tuple[Float64, Float64]:
    """Return (scale, offset), each (B,), such that the source is `raw_source · scale − offset`.

    The scale is one over the maximum on the reference grid; the offset is the scaled mean over that grid where the
    equation determines its solution only up to a constant (`zero_mean`), and 0 otherwise.
    """
    scale = 1.0 / raw_source(weights, REFERENCE_RESOLUTION).max(axis=(1, 2))
    if not zero_mean:
        return scale, np.zeros_like(scale)
    mean_basis = gaussian_basis(REFERENCE_RESOLUTION).mean(axis=1)
    mean = np.matmul(np.matmul(mean_basis, weights)[:, None, :], mean_basis)[:, 0]
    return scale, scale * mean
