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
    """The transform of one grid to the kept modes, its inverse, and the adjoints of both (their derivatives)."""

    def analyse(self, field: Tensor) -> Tensor:
        """Return the spectrum of a field, as a view with other strides where that saves a copy."""

    def synthesise(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the field with this spectrum and no other modes, in contiguous memory `out` if given."""

    def analyse_adjoint(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the adjoint of `analyse` applied to a spectrum: a field."""

    def synthesise_adjoint(self, field: Tensor) -> Tensor:
        """Return the adjoint of `synthesise` applied to a field: a spectrum."""


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

    By measurement on a CPU (`scripts/bench/transform.py`; docs/models.md has the table): the cost of the matrix
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
        ky: (2, ny, 4m), from y of the real and the imaginary part to (real, imaginary) ky.
    """

    to_kx: Tensor
    from_kx: Tensor
    ky: Tensor

    def analyse(self, field: Tensor) -> Tensor:
        """See `Transform`."""
        return _to_modes(field, self.to_kx, self.ky)

    def synthesise(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return _to_points(spectrum, self.ky, self.from_kx, out)

    def analyse_adjoint(self, spectrum: Tensor, out: Tensor | None = None) -> Tensor:
        """See `Transform`."""
        return _to_points(spectrum, self.ky, self.to_kx, out)

    def synthesise_adjoint(self, field: Tensor) -> Tensor:
        """See `Transform`."""
        return _to_modes(field, self.from_kx, self.ky)


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

    def analyse(self, field: Tensor) -> Tensor:
        """See `Transform`."""
        spectrum = torch.fft.rfft2(field)[..., : self.modes]
        low = torch.cat([spectrum[:, :, : self.modes], spectrum[:, :, -self.modes :]], dim=2)
        return torch.view_as_real(low).permute(2, 3, 4, 0, 1)

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

    def synthesise_adjoint(self, field: Tensor) -> Tensor:
        """See `Transform`."""
        return self.analyse(field) * self.norm


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
        # (a + ib) exp(-i angle) has the real part a cos + b sin and the imaginary part b cos - a sin.
        cos, sin = _waves(torch.cat([positive, positive - modes]), ny)
        ky = torch.stack([torch.cat([cos, -sin]).T, torch.cat([sin, cos]).T])
        return MatrixTransform(*(matrix.to(device, dtype).contiguous() for matrix in (to_kx, from_kx, ky)))


def _waves(wavenumbers: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return cos and sin of 2 pi k j / n, each (len(wavenumbers), n) float64."""
    # Integers modulo n first: the angles stay exact to rounding however large k j is.
    turns = torch.outer(wavenumbers, torch.arange(n)) % n
    angles = turns.double() * (2 * math.pi / n)
    return angles.cos(), angles.sin()


def _to_modes(field: Tensor, along_x: Tensor, along_y: Tensor) -> Tensor:
    """Return the sums of a field (B, d, ny, nx) over x, by `along_x` (2m, nx), and y, by `along_y` (2, ny, 4m)."""
    batch, channels, ny, nx = field.shape
    modes = along_x.shape[0] // 2
    # Modes lead from the first product on, so that each step is one large matrix product.
    real, imaginary = torch.mm(along_x, field.reshape(-1, nx).T).view(2, modes * batch * channels, ny)
    spectrum = torch.addmm(torch.mm(real, along_y[0]), imaginary, along_y[1])
    return spectrum.view(modes, batch, channels, 2, 2 * modes).permute(4, 0, 3, 1, 2)


def _to_points(spectrum: Tensor, along_y: Tensor, along_x: Tensor, out: Tensor | None) -> Tensor:
    """Return the adjoint of `_to_modes` with the same matrices."""
    _, modes, _, batch, channels = spectrum.shape
    ny, nx = along_y.shape[1], along_x.shape[1]
    rows = spectrum.permute(1, 3, 4, 2, 0).reshape(modes * batch * channels, 4 * modes)
    partial = torch.stack([torch.mm(rows, along_y[0].T), torch.mm(rows, along_y[1].T)])
    points = None if out is None else out.view(-1, nx)
    # Flattened first, because torch.export cannot prove the direct view to be one for every batch size.
    columns = partial.flatten(1).view(2 * modes, -1).T
    return torch.mm(columns, along_x, out=points).view(batch, channels, ny, nx)
