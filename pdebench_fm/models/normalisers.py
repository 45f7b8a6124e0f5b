"""From physical inputs to the network's and back: one function for each kind of normaliser in `config.json`."""

from dataclasses import dataclass
from functools import lru_cache
from math import pi

import torch
from torch import Tensor

from pdebench_fm.models.config import (
    DiffusionNormaliser,
    Diffusivity,
    HomogeneousNormaliser,
    IdentityNormaliser,
    Normaliser,
    TLScalingNormaliser,
)

_TERMS = (
    4 * pi**2,
    4 * pi**2,
    4 * pi**2,
    2 * pi,
    2 * pi,
    1.0,
)  # each coefficient's term for a wave as long as the domain


@dataclass(frozen=True)
class Normalised:
    """What the network sees, and what its output is multiplied by to become the solution.

    Attributes:
        source: (B, n, n).
        coefficients: (B, 6).
        amplitude: (B, 1, 1).
    """

    source: Tensor
    coefficients: Tensor
    amplitude: Tensor


def normalise(normaliser: Normaliser, source: Tensor, coefficients: Tensor) -> Normalised:
    """Apply a normaliser.

    Args:
        normaliser: Which, with its scales.
        source: (B, n, n), physical.
        coefficients: (B, 6), physical, (k11, k22, k12, v1, v2, omega).
    """
    match normaliser:
        case HomogeneousNormaliser():
            return _homogeneous(normaliser, source, coefficients)
        case DiffusionNormaliser():
            return _diffusion(normaliser, source, coefficients)
        case TLScalingNormaliser():
            return _tl_scaling(normaliser, source, coefficients)
        case IdentityNormaliser():
            return Normalised(source, coefficients, torch.ones_like(source[:, :1, :1]))


def _homogeneous(normaliser: HomogeneousNormaliser, source: Tensor, coefficients: Tensor) -> Normalised:
    """Divide the source by its root mean square, which the output gets back, and each coefficient by its scale.

    A zero source is divided by 1 and has amplitude 0, so that the output is exactly 0 and every gradient finite.
    """
    shape, amplitude = shape_and_amplitude(source)
    scales = _constant(normaliser.coefficient_scales, coefficients.device, coefficients.dtype)
    return Normalised(shape, coefficients / scales, amplitude)


def _diffusion(normaliser: DiffusionNormaliser, source: Tensor, coefficients: Tensor) -> Normalised:
    """Divide the source by its root mean square, and the operator by a size of its own, see `DiffusionNormaliser`."""
    shape, amplitude = shape_and_amplitude(source)
    size = operator_size(coefficients, normaliser.diffusivity, normaliser.velocity_share, normaliser.omega_share)
    scales = _constant(normaliser.coefficient_scales, coefficients.device, coefficients.dtype)
    return Normalised(shape, relative_terms(coefficients, size) / scales, amplitude / size[:, None, None])


def operator_size(coefficients: Tensor, diffusivity: Diffusivity, velocity_share: float, omega_share: float) -> Tensor:
    """Return s = 4π² d + `velocity_share` · 2π|v| + `omega_share` · |ω|, (B,), of coefficients (B, 6).

    See `DiffusionNormaliser`. Where the first three coefficients are no diffusion tensor and d would not be positive,
    d is 1.
    """
    k11, k22, k12 = coefficients[:, 0], coefficients[:, 1], coefficients[:, 2]
    diffusion = k11 * k22 - k12 * k12 if diffusivity == "geometric" else (k11 + k22) / 2
    diffusion = torch.where(diffusion > 0, diffusion, 1.0)
    if diffusivity == "geometric":
        diffusion = diffusion.sqrt()
    size = 4 * pi**2 * diffusion
    if velocity_share:
        size = size + velocity_share * 2 * pi * torch.linalg.vector_norm(coefficients[:, 3:5], dim=1)
    if omega_share:
        size = size + omega_share * coefficients[:, 5].abs()
    return size


def relative_terms(coefficients: Tensor, size: Tensor) -> Tensor:
    """Return (4π² K, 2π v, ω) / s, (B, 6), of coefficients (B, 6) and the operator's size s, (B,)."""
    return coefficients * _constant(_TERMS, coefficients.device, coefficients.dtype) / size[:, None]


def _tl_scaling(normaliser: TLScalingNormaliser, source: Tensor, coefficients: Tensor) -> Normalised:
    """Divide source and coefficients by the source's norm over its typical norm; the output is the solution itself.

    A zero source, for which that would be 0 / 0, is divided by 1 and has amplitude 0: its solution is exactly 0.
    """
    shape, amplitude = shape_and_amplitude(source)
    present = amplitude > 0
    ny, nx = source.shape[1:]
    # The authors' norm is the root of the sum of squares times the area of a grid cell.
    cell = normaliser.length_x / nx * normaliser.length_y / ny
    norm_of_shape = cell * (nx * ny) ** 0.5 / normaliser.source_scale
    norm = torch.where(present, amplitude, 1.0)[:, :, 0] * norm_of_shape
    scales = _constant(normaliser.coefficient_scales, coefficients.device, coefficients.dtype)
    return Normalised(shape / norm_of_shape, coefficients / norm / scales, present.to(source.dtype))


def shape_and_amplitude(source: Tensor) -> tuple[Tensor, Tensor]:
    """Return the source divided by its root mean square, (B, n, n), and that, (B, 1, 1); zeros for a zero source."""
    # The largest value first: squares of tiny or huge sources would leave float32's range. As the result does not
    # depend on it, no gradient needs to pass through it.
    largest = source.detach().abs().amax(dim=(1, 2), keepdim=True)
    present = largest > 0
    scaled = source / torch.where(present, largest, 1.0)
    mean_square = scaled.square().mean(dim=(1, 2), keepdim=True)
    root = torch.where(present, mean_square, 1.0).sqrt()
    return scaled / root, torch.where(present, largest, 0.0) * root


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return numbers of a configuration as a tensor, made once per device."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype)
