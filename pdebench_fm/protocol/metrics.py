"""Errors of predicted solutions, each computed per sample in float64 and only then averaged over the split.

A sample's errors are the same bits whatever the batch it comes in, and an average is the same bits whatever the order
of the samples: sums over a grid are added up in a fixed tree, and sums over samples exactly.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdebench_fm.data.batches import Batch
from pdebench_fm.physics import apply_operator
from pdebench_fm.physics.operator import Symbol, WaveNumbers

BANDS = {"low": (-1.0, 4.0), "mid": (4.0, 12.0), "high": (12.0, math.inf)}
"""Bands of |k|, lower end excluded, upper end included (PDEBench, arXiv 2210.07182, splits at 4 and 12)."""


def sample_errors(prediction: Tensor, truth: Batch, symbol: Symbol) -> dict[str, Tensor]:
    """Return every error of every sample.

    With e = û − u, and norms over the grid:

    - `relative_l2`: ‖e‖₂ / ‖u‖₂, the benchmark's score (Subramanian et al. 2023, arXiv 2306.00258).
    - `relative_h1`: ‖e‖_H¹ / ‖u‖_H¹, where ‖u‖²_H¹ = Σ (1 + 4π²|k|²) |û(k)|² (Evans, Partial Differential Equations,
      section 5.8).
    - `band_low`, `band_mid`, `band_high`: the part of `relative_l2` in a band of |k|, that is ‖e_band‖₂ / ‖u‖₂; by
      Parseval the squares of the three add up to the square of `relative_l2` (the split is PDEBench's, see `BANDS`).
    - `residual`: ‖Lû − f‖₂ / ‖f‖₂ by spectral differentiation of the prediction (Li et al. 2021, arXiv 2111.03794,
      section 3.2, with exact derivatives).
    - `max_error`: max|e| / max|u| (PDEBench's maximum error, relative).

    Args:
        prediction: (B, n, n).
        truth: B rows on the same device, which must have float64.
        symbol: of the system's operator.

    Returns:
        Tensors of (B,) float64 by name, in the order of `METRIC_NAMES`.
    """
    if len(truth) == 1:
        # a lone field goes through another algorithm of MKL's Fourier transform than one of several
        twice = torch.zeros(2, dtype=torch.int64, device=truth.source.device)
        return {name: both[:1] for name, both in sample_errors(prediction[twice], truth[twice], symbol).items()}
    prediction, solution, source = prediction.double(), truth.solution.double(), truth.source.double()
    error = prediction - solution
    weights = _spectral_weights(solution.shape[-1], solution.device)
    error_power, power = _power(error), _power(solution)
    total = _sum(weights.every * power)
    residual = apply_operator(prediction, truth.coefficients.double(), symbol) - source
    return {
        "relative_l2": (_sum(error.square()) / _sum(solution.square())).sqrt(),
        "relative_h1": (_sum(weights.sobolev * error_power) / _sum(weights.sobolev * power)).sqrt(),
        **{f"band_{name}": (_sum(band * error_power) / total).sqrt() for name, band in weights.bands.items()},
        "residual": (_sum(residual.square()) / _sum(source.square())).sqrt(),
        "max_error": error.abs().amax(dim=(-2, -1)) / solution.abs().amax(dim=(-2, -1)),
    }


@dataclass(frozen=True)
class _SpectralWeights:
    """What |û(k)|² of a half-spectrum is weighted with in each sum: (n, n//2+1) float64.

    Attributes:
        every: how often a mode stands for itself and its conjugate: 2, but 1 in the columns kx = 0 and kx = n/2.
        sobolev: `every` times 1 + 4π²|k|².
        bands: `every` inside each band of |k|, 0 outside.
    """

    every: Tensor
    sobolev: Tensor
    bands: dict[str, Tensor]


@lru_cache(maxsize=8)
def _spectral_weights(n: int, device: torch.device) -> _SpectralWeights:
    k = WaveNumbers.of_grid(n)
    squared = k.kx**2 + k.ky**2
    every = np.full_like(squared, 2.0)
    every[:, 0] = 1.0
    if n % 2 == 0:
        every[:, -1] = 1.0
    length = np.sqrt(squared)
    bands = {name: every * ((length > low) & (length <= high)) for name, (low, high) in BANDS.items()}

    def tensor(values: NDArray[np.float64]) -> Tensor:
        with torch.inference_mode(mode=False):
            return torch.from_numpy(values).to(device)

    return _SpectralWeights(
        tensor(every),
        tensor(every * (1.0 + 4.0 * math.pi**2 * squared)),
        {name: tensor(band) for name, band in bands.items()},
    )


def _power(field: Tensor) -> Tensor:
    """Return |û(k)|² of the half-spectrum, (B, n, n//2+1)."""
    spectrum = torch.view_as_real(torch.fft.rfft2(field)).square()
    return spectrum[..., 0] + spectrum[..., 1]


def _sum(values: Tensor) -> Tensor:
    """Return the sums over the grids of (B, ny, nx), (B,), added up in the same tree for each sample.

    PyTorch's own sum splits its work by the shape of the whole batch, so that a sample's last digit would depend on its
    company.
    """
    rest = values.flatten(1)
    while (width := rest.shape[1]) > 1:
        half = width // 2
        folded = rest[:, :half] + rest[:, half : 2 * half]
        rest = torch.cat([folded, rest[:, 2 * half :]], dim=1) if width % 2 else folded
    return rest[:, 0]
