"""Multiplication of each kept Fourier mode by its complex matrix over channels, as batched real matrix products.

A spectrum is (2m, m, 2, B, d), as in `transform.py`.
"""

import torch
from torch import Tensor


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
