"""The truncated Fourier transform as small real matrix products, forming only the modes a model keeps.

Fields are (B, d, ny, nx), indexed `[y, x]`. A spectrum is (2m, m, 2, B, d): ky in the order 0..m-1, -m..-1, then
kx = 0..m-1, then the real and the imaginary part, then samples and channels; in that order a complex matrix per mode
is a batched real matrix product.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class FourierMatrices:
    """The matrices of one grid.

    Attributes:
        to_kx: (2m, nx), from x to (real, imaginary) kx.
        from_kx: (2m, nx), its inverse transposed, with the factor 1 / (nx ny) of the whole inverse transform.
        ky: (2, ny, 4m), from y of the real and the imaginary part to (real, imaginary) ky.
    """

    to_kx: Tensor
    from_kx: Tensor
    ky: Tensor


@lru_cache(maxsize=64)
def fourier_matrices(shape: tuple[int, int], modes: int, device: torch.device, dtype: torch.dtype) -> FourierMatrices:
    """Return the matrices for a grid of `shape` (ny, nx), computed in float64 and cast."""
    ny, nx = shape
    with torch.inference_mode(mode=False), torch.no_grad(), torch.device("cpu"):
        positive = torch.arange(modes)
        cos, sin = _waves(positive, nx)
        to_kx = torch.cat([cos, -sin])
        # The modes -kx of a real field are the conjugates of the modes kx, so all but kx = 0 count twice.
        multiplicity = torch.where(positive > 0, 2.0, 1.0).double()
        from_kx = to_kx * multiplicity.repeat(2)[:, None] / (nx * ny)
        # (a + ib) exp(-i angle) has the real part a cos + b sin and the imaginary part b cos - a sin.
        cos, sin = _waves(torch.cat([positive, positive - modes]), ny)
        ky = torch.stack([torch.cat([cos, -sin]).T, torch.cat([sin, cos]).T])
        return FourierMatrices(*(matrix.to(device, dtype).contiguous() for matrix in (to_kx, from_kx, ky)))


def _waves(wavenumbers: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return cos and sin of 2 pi k j / n, each (len(wavenumbers), n) float64."""
    # Integers modulo n first: the angles stay exact to rounding however large k j is.
    turns = torch.outer(wavenumbers, torch.arange(n)) % n
    angles = turns.double() * (2 * math.pi / n)
    return angles.cos(), angles.sin()


def analyse(field: Tensor, along_x: Tensor, along_y: Tensor) -> Tensor:
    """Transform a field to the kept modes.

    Args:
        field: (B, d, ny, nx).
        along_x: `to_kx` for the transform, `from_kx` for the adjoint of `synthesise`.
        along_y: `ky`.

    Returns:
        The spectrum, (2m, m, 2, B, d), as a view with other strides.
    """
    batch, channels, ny, nx = field.shape
    modes = along_x.shape[0] // 2
    # Modes lead from the first product on, so that each step is one large matrix product.
    real, imaginary = torch.mm(along_x, field.reshape(-1, nx).T).view(2, modes * batch * channels, ny)
    spectrum = torch.addmm(torch.mm(real, along_y[0]), imaginary, along_y[1])
    return spectrum.view(modes, batch, channels, 2, 2 * modes).permute(4, 0, 3, 1, 2)


def synthesise(spectrum: Tensor, along_y: Tensor, along_x: Tensor, out: Tensor | None = None) -> Tensor:
    """Transform the kept modes to a field; with the same matrices, the adjoint of `analyse`.

    Args:
        spectrum: (2m, m, 2, B, d).
        along_y: `ky`.
        along_x: `from_kx` for the inverse transform, `to_kx` for the adjoint of `analyse`.
        out: Contiguous memory for the result.

    Returns:
        (B, d, ny, nx).
    """
    _, modes, _, batch, channels = spectrum.shape
    ny, nx = along_y.shape[1], along_x.shape[1]
    rows = spectrum.permute(1, 3, 4, 2, 0).reshape(modes * batch * channels, 4 * modes)
    partial = torch.stack([torch.mm(rows, along_y[0].T), torch.mm(rows, along_y[1].T)])
    points = None if out is None else out.view(-1, nx)
    # Flattened first, because torch.export cannot prove the direct view to be one for every batch size.
    columns = partial.flatten(1).view(2 * modes, -1).T
    return torch.mm(columns, along_x, out=points).view(batch, channels, ny, nx)


def mix(spectrum: Tensor, weight: Tensor) -> Tensor:
    """Multiply each mode of a spectrum by its complex matrix over channels.

    Args:
        spectrum: (2m, m, 2, B, in).
        weight: (2, 2m, m, in, out), real and imaginary part.

    Returns:
        (2m, m, 2, B, out).
    """
    real, imaginary = weight.flatten(1, 2).unbind()
    mixed = torch.baddbmm(torch.bmm(as_rows(spectrum), real), as_rows(times_i(spectrum)), imaginary)
    return mixed.view(*spectrum.shape[:4], weight.shape[4])


def mix_adjoint(gradient: Tensor, spectrum: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of `mix` with respect to its spectrum and its weight.

    Args:
        gradient: (2m, m, 2, B, out), with respect to the result.
        spectrum: (2m, m, 2, B, in), as given to `mix`.
        weight: (2, 2m, m, in, out), as given to `mix`.

    Returns:
        (2m, m, 2, B, in) and (2, 2m, m, in, out).
    """
    to_spectrum = mix(gradient, torch.stack([weight[0].mT, -weight[1].mT]))
    rows = as_rows(gradient)
    to_weight = torch.empty_like(weight)
    flat = to_weight.flatten(1, 2)
    torch.bmm(as_rows(spectrum).mT, rows, out=flat[0])
    torch.bmm(as_rows(times_i(spectrum)).mT, rows, out=flat[1])
    return to_spectrum, to_weight


def times_i(spectrum: Tensor) -> Tensor:
    """Multiply a spectrum (2m, m, 2, B, d) by the imaginary unit."""
    real, imaginary = spectrum.unbind(2)
    return torch.stack([-imaginary, real], dim=2)


def as_rows(spectrum: Tensor) -> Tensor:
    """Return a spectrum (2m, m, 2, B, d) as one matrix per mode, (2m m, 2 B, d)."""
    return spectrum.flatten(2, 3).flatten(0, 1)
