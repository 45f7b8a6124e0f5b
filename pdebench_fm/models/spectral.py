"""Convolution by learned weights on the lowest Fourier modes, the one non-local part of the network.

Fields are indexed `[y, x]`; kx is the half-spectrum axis.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from pdebench_fm.errors import UsageError
from pdebench_fm.models.modes import mix
from pdebench_fm.models.transform import Implementation, transform_of


class SpectralConvolution(nn.Module):
    """Multiplies the lowest Fourier modes of a field by learned complex matrices over channels.

    It equals `irfft2(W(k) @ rfft2(x))`, with zero for every mode that has no weight. Kept are kx = 0..m-1 and
    ky = 0..m-1, -m..-1, so the same weights give the same function of a band-limited field on any grid of at least
    2m points along each axis.

    Attributes:
        weight: (2, 2m, m, in_channels, out_channels) float32: real and imaginary part, ky in the order 0..m-1,
            -m..-1, then kx, input and output channel.
        implementation: Of the Fourier transform, see `transform.Implementation`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: int,
        *,
        gain: float = 1.0,
        implementation: Implementation = "auto",
    ) -> None:
        """Draw the weights.

        Args:
            in_channels: Channels of the input field.
            out_channels: Channels of the output field.
            modes: m, the modes kept along each axis and sign.
            gain: Real and imaginary parts are drawn from N(0, gain² / (2 in_channels)), which at gain 1 keeps each
                kept mode's mean square.
            implementation: See the class.
        """
        super().__init__()
        self.modes = modes
        self.gain = gain
        self.implementation: Implementation = implementation
        self.weight = nn.Parameter(torch.empty(2, 2 * modes, modes, in_channels, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew from PyTorch's global generator."""
        if self.weight.is_meta:  # for which PyTorch would load its compiler, to draw nothing
            return
        nn.init.normal_(self.weight, std=self.gain / math.sqrt(2 * self.weight.shape[3]))

    def forward(self, field: Tensor) -> Tensor:
        """Convolve.

        Args:
            field: (B, in_channels, ny, nx), ny and nx at least 2m.

        Returns:
            (B, out_channels, ny, nx).

        Raises:
            UsageError: If the grid is too coarse for the modes.
        """
        if torch.is_autocast_enabled(field.device.type):
            # Half precision would spoil the Fourier sums, so a surrounding autocast stops here.
            with torch.autocast(field.device.type, enabled=False):
                return self(field.to(self.weight.dtype))  # type: ignore[no-any-return]
        shape = (field.shape[-2], field.shape[-1])
        self.check_grid(*shape)
        transform = transform_of(shape, self.modes, field.device, field.dtype, self.implementation)
        spectrum = _linear(transform.analyse, transform.analyse_adjoint, field)
        return _linear(transform.synthesise, transform.synthesise_adjoint, mix(spectrum, self.weight))

    def check_grid(self, ny: int, nx: int) -> None:
        """Raise a UsageError if a grid of ny x nx points is too coarse for the modes."""
        if min(ny, nx) < 2 * self.modes:
            raise UsageError(
                f"a grid of {ny} x {nx} points cannot carry the model's {self.modes} modes: "
                f"it needs at least {2 * self.modes} points along each axis"
            )

    def extra_repr(self) -> str:
        """Return the dimensions for `print(model)`."""
        _, _, modes, in_channels, out_channels = self.weight.shape
        return f"{in_channels}, {out_channels}, modes={modes}, implementation={self.implementation!r}"


LinearMap = Callable[[Tensor], Tensor]


def _linear(forward: LinearMap, adjoint: LinearMap, values: Tensor) -> Tensor:
    """Apply a linear map whose derivative is its adjoint, so that it can be differentiated any number of times."""
    result: Tensor = _Linear.apply(values, forward, adjoint)  # type: ignore[no-untyped-call]
    return result


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, forward: LinearMap, adjoint: LinearMap) -> Tensor:
        ctx.maps = forward, adjoint
        return forward(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        forward, adjoint = ctx.maps
        return _linear(adjoint, forward, gradient), None, None
