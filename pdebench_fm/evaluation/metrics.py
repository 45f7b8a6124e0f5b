"""Errors of predicted solutions, each computed per sample in float64 and only then averaged over the split."""

from math import pi

import torch
from torch import Tensor

from pdebench_fm.data.batches import Batch
from pdebench_fm.evaluation.result import Metrics
from pdebench_fm.physics import relative_residual
from pdebench_fm.physics.operator import Symbol, WaveNumbers

BANDS = {"low": (-1.0, 4.0), "mid": (4.0, 12.0), "high": (12.0, float("inf"))}
"""Bands of |k|, lower end excluded, upper end included (PDEBench, arXiv 2210.07182, splits at 4 and 12)."""


def sample_errors(prediction: Tensor, truth: Batch, symbol: Symbol) -> dict[str, Tensor]:
    """Return every error of every sample.

    With e = û − u, and norms over the grid:

    - `relative_l2`: ‖e‖₂ / ‖u‖₂, the benchmark's score.
    - `relative_h1`: ‖e‖_H¹ / ‖u‖_H¹, where ‖u‖²_H¹ = Σ (1 + 4π²|k|²) |û(k)|² (Evans, Partial Differential Equations,
      section 5.8).
    - `band_low`, `band_mid`, `band_high`: the part of `relative_l2` in a band of |k|, that is ‖e_band‖₂ / ‖u‖₂; by
      Parseval the squares of the three add up to the square of `relative_l2`.
    - `residual`: ‖Lû − f‖₂ / ‖f‖₂ by spectral differentiation of the prediction.
    - `max_error`: max|e| / max|u|.

    Args:
        prediction: (B, n, n).
        truth: B rows on the same device.
        symbol: of the system's operator.

    Returns:
        Tensors of (B,) float64 by name.
    """
    prediction, solution = prediction.double(), truth.solution.double()
    error = prediction - solution
    n = solution.shape[-1]
    k = WaveNumbers.of_grid(n).like(solution)
    squared_wave_number = k.kx**2 + k.ky**2
    # the half-spectrum holds one of each conjugate pair, but for the columns kx = 0 and, for even n, kx = n/2
    multiplicity = torch.full_like(k.kx, 2.0)
    multiplicity[0, 0] = 1.0
    if n % 2 == 0:
        multiplicity[0, -1] = 1.0
    error_power = multiplicity * torch.fft.rfft2(error).abs().square()
    power = multiplicity * torch.fft.rfft2(solution).abs().square()
    total = power.sum(dim=(-2, -1))
    sobolev = 1.0 + 4.0 * pi**2 * squared_wave_number
    norm = torch.linalg.vector_norm(solution, dim=(-2, -1))
    errors = {
        "relative_l2": torch.linalg.vector_norm(error, dim=(-2, -1)) / norm,
        "relative_h1": ((sobolev * error_power).sum(dim=(-2, -1)) / (sobolev * power).sum(dim=(-2, -1))).sqrt(),
        "residual": relative_residual(truth.source.double(), prediction, truth.coefficients.double(), symbol),
        "max_error": error.abs().amax(dim=(-2, -1)) / solution.abs().amax(dim=(-2, -1)),
    }
    wave_number = squared_wave_number.sqrt()
    for name, (low, high) in BANDS.items():
        inside = (wave_number > low) & (wave_number <= high)
        errors[f"band_{name}"] = ((error_power * inside).sum(dim=(-2, -1)) / total).sqrt()
    return errors


def summarise(errors: dict[str, Tensor]) -> Metrics:
    """Return the errors reduced over the samples of a split."""
    score = errors["relative_l2"]
    means = {f"{name}_mean": float(values.mean()) for name, values in errors.items()}
    return Metrics(**means, relative_l2_median=float(score.quantile(0.5)), relative_l2_p95=float(score.quantile(0.95)))
