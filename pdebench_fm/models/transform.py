"""The Fourier transform to the few modes a model keeps, and back: by matrix products, or by fast Fourier transforms.

Fields are (B, d, ny, nx), indexed `[y, x]`. A spectrum is (2m, m, 2, B, d): ky in the order 0..m-1, -m..-1, then
kx = 0..m-1, then the real and the imaginary part, then samples and channels; in that order a complex matrix per mode
is a batched real matrix product (`modes.py`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import torch
from torch import Tensor

Implementation = Literal["auto", "dft", "fft"]
"""`"dft"`: two matrix products, which form no mode that is not kept; `"fft"`: the whole fast Fourier transform;
`"auto"`: the faster of the two, see `fastest`. The results differ by rounding only."""

_MOST_MODES_BY_PRODUCTS = 24


class Transform(Protocol):
    """The transform of one grid to the kept modes, its inverse, and the adjoints of both.

    They are not to be differentiated: the adjoints are their derivatives.
    """

    def analyse(self, field: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the spectrum of a field, in `out` if given: contiguous, or some of the samples of such a one."""

    def synthesise(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the field with this spectrum and no other modes, in contiguous memory `out` if given."""

    def analyse_adjoint(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the adjoint of `analyse` applied to a spectrum: a field."""

    def synthesise_adjoint(self, field: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the adjoint of `synthesise` applied to a field: a spectrum, in `out` as for `analyse`."""


@lru_cache(maxsize=64)
def transform_of(
    shape: tuple[int, int],
    modes: int,
    device: torch.device,
    dtype: torch.dtype,
    implementation: Implementation = "auto",
) -> Transform:
    """Return the transform of a grid of `shape` (ny, nx) that keeps `modes` along each axis and sign."""
    kind = fastest(modes) if implementation == "auto" else implementation
    return (_matrix_transform if kind == "dft" else _fast_transform)(shape, modes, device, dtype)


def fastest(modes: int) -> Literal["dft", "fft"]:
    """Return the faster implementation for m kept modes.

    By measurement on a CPU (`scripts/bench/transform.py`; docs/design/network.md has the table): the cost of the matrix
    products grows with m, that of the whole transforms does not, and they cross at about m = 24 on grids of 64 to 512
    points a side. It has not been measured on GPUs, where the same rule is used.
    """
    return "dft" if modes <= _MOST_MODES_BY_PRODUCTS else "fft"


@dataclass(frozen=True)
class MatrixTransform:
    """The truncated discrete Fourier transform as two small real matrix products.

    Attributes:
        to_kx: (2m, nx), from x to (real, imaginary) kx.
        from_kx: (2m, nx), its inverse transposed, with the factor 1 / (nx ny) of the whole inverse transform.
        waves: (2m + 1, ny), cos(ky y) for ky = 0..m, then sin(ky y) for ky = 1..m: the modes ky and -ky share them.
    """

    to_kx: Tensor
    from_kx: Tensor
    waves: Tensor

    def analyse(self, field: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return _to_modes(field, self.to_kx, self.waves, out)

    def synthesise(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return _to_points(spectrum, self.waves, self.from_kx, out)

    def analyse_adjoint(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return _to_points(spectrum, self.waves, self.to_kx, out)

    def synthesise_adjoint(self, field: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return _to_modes(field, self.from_kx, self.waves, out)


@dataclass(frozen=True)
class FastTransform:
    """The same through fast Fourier transforms of the whole grid.

    Attributes:
        shape: ny, nx.
        modes: m.
        norm: (m, 1, 1, 1), what `synthesise` weighs each kx by: how often it stands in a real field, over nx ny.
    """

    shape: tuple[int, int]
    modes: int
    norm: Tensor

    def analyse(self, field: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        whole = torch.fft.rfft2(field)[..., : self.modes]
        low = torch.cat([whole[:, :, : self.modes], whole[:, :, -self.modes :]], dim=2)
        spectrum = torch.view_as_real(low).permute(2, 3, 4, 0, 1)
        return spectrum if out is None else out.copy_(spectrum)

    def synthesise(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        ny, nx = self.shape
        low = torch.view_as_complex(spectrum.permute(3, 4, 0, 1, 2).contiguous())
        whole = low.new_zeros(*low.shape[:2], ny, nx // 2 + 1)
        whole[:, :, : self.modes, : self.modes] = low[:, :, : self.modes]
        whole[:, :, -self.modes :, : self.modes] = low[:, :, self.modes :]
        field: Tensor = torch.fft.irfft2(whole, s=(ny, nx))
        return field if out is None else out.copy_(field)

    def analyse_adjoint(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return self.synthesise(spectrum / self.norm, out)

    def synthesise_adjoint(self, field: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return self.analyse(field, out).mul_(self.norm)


def _multiplicity(modes: int) -> Tensor:
    """Return how often each kx stands in the spectrum of a real field, (m,) float64.

    The modes -kx are the conjugates of the modes kx, so all but kx = 0 count twice.
    """
    return torch.where(torch.arange(modes) > 0, 2.0, 1.0).double()


def _fast_transform(shape: tuple[int, int], modes: int, device: torch.device, dtype: torch.dtype) -> FastTransform:
    with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
        norm = _multiplicity(modes) / (shape[0] * shape[1])
        return FastTransform(shape, modes, norm.to(device, dtype).view(-1, 1, 1, 1))


def _matrix_transform(shape: tuple[int, int], modes: int, device: torch.device, dtype: torch.dtype) -> MatrixTransform:
    """Return the matrices of a grid, computed in float64 and cast."""
    ny, nx = shape
    with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
        positive = torch.arange(modes)
        cos, sin = _waves(positive, nx)
        to_kx = torch.cat([cos, -sin])
        from_kx = to_kx * _multiplicity(modes).repeat(2)[:, None] / (nx * ny)
        cos, sin = _waves(torch.arange(modes + 1), ny)
        waves = torch.cat([cos, sin[1:]])
        return MatrixTransform(*(matrix.to(device, dtype).contiguous() for matrix in (to_kx, from_kx, waves)))


def _waves(wavenumbers: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return cos and sin of 2 pi k j / n, each (len(wavenumbers), n) float64."""
    # Integers modulo n first: the angles stay exact to rounding however large k j is.
    turns = torch.outer(wavenumbers, torch.arange(n)) % n
    angles = turns.double() * (2 * math.pi / n)
    return angles.cos(), angles.sin()


def _to_modes(field: Tensor, along_x: Tensor, waves: Tensor, out: Tensor | None) -> Tensor:
    """Return the sums of a field (B, d, ny, nx) over x by `along_x` (2m, nx), and over y by exp(-i ky y)."""
    batch, channels, ny, nx = field.shape
    rows, m = batch * channels, along_x.shape[0] // 2
    # Modes lead from the first product on, so that samples and channels end up beside each other.
    columns = torch.mm(along_x, field.reshape(-1, nx).T).view(2 * m, rows, ny)
    sums = torch.bmm(waves.expand(2 * m, *waves.shape), columns.mT)
    sums = sums.view(2, m, 2 * m + 1, rows).transpose(1, 2)
    (real_cos, imaginary_cos), (real_sin, imaginary_sin) = sums[:, : m + 1], sums[:, m + 1 :]
    # (a + ib) exp(-i angle) = (a cos + b sin) + i (b cos - a sin), and the sine changes its sign with ky.
    spectrum = field.new_empty(2 * m, m, 2, batch, channels) if out is None else out
    modes = spectrum.flatten(3)
    real, imaginary = modes[:, :, 0], modes[:, :, 1]  # written through `unbind`, torch.export would fix the batch size
    real[0], imaginary[0] = real_cos[0], imaginary_cos[0]
    torch.add(real_cos[1:m], imaginary_sin[:-1], out=real[1:m])
    torch.sub(imaginary_cos[1:m], real_sin[:-1], out=imaginary[1:m])
    real[m:] = (real_cos[1:] - imaginary_sin).flip(0)
    imaginary[m:] = (imaginary_cos[1:] + real_sin).flip(0)
    return spectrum


def _to_points(spectrum: Tensor, waves: Tensor, along_x: Tensor, out: Tensor | None) -> Tensor:
    """Return the adjoint of `_to_modes` with the same matrices."""
    _, m, _, batch, channels = spectrum.shape
    ny, nx = waves.shape[1], along_x.shape[1]
    modes = spectrum.flatten(3).permute(2, 0, 1, 3)
    zero, positive, negative = modes[:, 0], modes[:, 1:m], modes[:, m:].flip(1)
    # Of the modes ky and -ky, p and q, the sum p + q belongs to the cosine and i (p - q) to the sine.
    sums = spectrum.new_empty(2, m, 2 * m + 1, batch * channels)
    cos, sin = sums[:, :, : m + 1].transpose(1, 2), sums[:, :, m + 1 :].transpose(1, 2)
    cos[:, 0], cos[:, m] = zero, negative[:, -1]
    torch.add(positive, negative[:, :-1], out=cos[:, 1:m])
    torch.sub(negative[1, :-1], positive[1], out=sin[0, :-1])
    torch.sub(positive[0], negative[0, :-1], out=sin[1, :-1])
    sin[0, -1], sin[1, -1] = negative[1, -1], -negative[0, -1]
    columns = torch.bmm(sums.view(2 * m, 2 * m + 1, -1).mT, waves.expand(2 * m, *waves.shape))
    points = None if out is None else out.view(-1, nx)
    return torch.mm(columns.view(2 * m, -1).T, along_x, out=points).view(batch, channels, ny, nx)
