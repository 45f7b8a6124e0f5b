"""The Fourier neural operator's network: from normalised source and coefficients to a normalised solution."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdebench_fm.models.fused import fourier_layer, projection
from pdebench_fm.models.spectral import SpectralConvolution

COEFFICIENTS = 6
INPUT_CHANNELS = 1 + COEFFICIENTS


class FourierLayer(nn.Module):
    """S(x) + W x + b: a spectral convolution beside a pointwise linear map."""

    def __init__(self, width: int, modes: int, *, gain: float = 1.0) -> None:
        """Draw the weights; `gain` is that of `SpectralConvolution`."""
        super().__init__()
        self.spectral = SpectralConvolution(width, width, modes, gain=gain)
        self.pointwise = nn.Linear(width, width)

    def forward(self, field: Tensor) -> Tensor:
        """Map a field of (B, d, ny, nx) to one of the same shape, without activation."""
        convolved: Tensor = self.spectral(field)
        return convolved + _pointwise(self.pointwise, field)


class FNO(nn.Module):
    """Lift, Fourier layers with GELU between them, and a two-layer pointwise projection to one channel.

    The architecture of Subramanian et al. 2023 (arXiv 2306.00258): 7 -> d pointwise, `layers` times
    x <- GELU(S(x) + W x + b) without the last GELU, then d -> 2d pointwise, GELU, 2d -> 1.
    """

    def __init__(self, width: int, modes: int, layers: int = 4, *, gain: float = 1.0) -> None:
        """Draw the weights from PyTorch's global generator.

        Args:
            width: Channels d of the hidden fields.
            modes: m, the Fourier modes kept along each axis and sign.
            layers: Number of Fourier layers.
            gain: Scale of the spectral weights, see `SpectralConvolution`.
        """
        super().__init__()
        self.lift = nn.Linear(INPUT_CHANNELS, width)
        self.layers = nn.ModuleList(FourierLayer(width, modes, gain=gain) for _ in range(layers))
        self.expand = nn.Linear(width, 2 * width)
        self.project = nn.Linear(2 * width, 1)

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Apply the network.

        Under `torch.autocast` the pointwise maps are in the lower precision, and everything spectral stays as it is.

        Args:
            source: (B, ny, nx), normalised.
            coefficients: (B, 6), normalised.

        Returns:
            (B, ny, nx), of the source's dtype.
        """
        if torch.is_autocast_enabled(source.device.type):
            return self.forward_plain(source, coefficients).to(source.dtype)
        first, *others = self._fourier_layers()
        first.spectral.check_grid(*source.shape[-2:])
        field = source[:, None]
        weight, pointwise, bias = self._lifted_into(first, coefficients)
        field = fourier_layer(field, weight, pointwise, bias, activate=bool(others))
        for index, layer in enumerate(others, start=1):
            bias = layer.pointwise.bias.expand(len(source), -1)
            activate = index < len(others)
            field = fourier_layer(field, layer.spectral.weight, layer.pointwise.weight, bias, activate=activate)
        return projection(field, self.expand.weight, self.expand.bias, self.project.weight, self.project.bias)

    def forward_plain(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Apply the network as it is defined, layer by layer: slower, differentiable any number of times."""
        ny, nx = source.shape[-2:]
        constant = coefficients[:, :, None, None].expand(-1, -1, ny, nx)
        field = _pointwise(self.lift, torch.cat([source[:, None], constant], dim=1))
        *inner, last = self._fourier_layers()
        for layer in inner:
            field = functional.gelu(layer(field))
        hidden = functional.gelu(_pointwise(self.expand, last(field)))
        return _pointwise(self.project, hidden)[:, 0]

    def _fourier_layers(self) -> list[FourierLayer]:
        """Return the Fourier layers under their own type."""
        return [layer for layer in self.layers if isinstance(layer, FourierLayer)]

    def _lifted_into(self, layer: FourierLayer, coefficients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the lift and the first Fourier layer as one Fourier layer of the source alone.

        Both are linear, and of the lifted field w f + c only w f varies over the grid: so the first layer needs one
        transform instead of d, and the constants c become a bias for each sample.

        Args:
            layer: The first Fourier layer.
            coefficients: (B, 6), normalised.

        Returns:
            Spectral weight (2, 2m, m, 1, d), pointwise weight (d, 1) and bias (B, d).
        """
        by_source, by_coefficients = self.lift.weight[:, :1], self.lift.weight[:, 1:]
        constant = functional.linear(coefficients, by_coefficients, self.lift.bias)
        # Not matmul, which chooses its order of summation by whether a gradient is wanted.
        spectral = layer.spectral.weight
        matrices = spectral.flatten(0, 2)
        weight = torch.bmm(by_source.T.expand(len(matrices), -1, -1), matrices).view(*spectral.shape[:3], 1, -1)
        pointwise = torch.mm(layer.pointwise.weight, by_source)
        # A constant is multiplied by the spectral weight's mode k = 0, and only its real part reaches the field.
        by_constant = layer.pointwise.weight + spectral[0, 0, 0].T
        return weight, pointwise, functional.linear(constant, by_constant, layer.pointwise.bias)


def _pointwise(linear: nn.Linear, field: Tensor) -> Tensor:
    """Apply `linear` over the channels of (B, in, ny, nx), giving (B, out, ny, nx)."""
    batch, _, ny, nx = field.shape
    weight = linear.weight.expand(batch, -1, -1)
    return torch.baddbmm(linear.bias[:, None], weight, field.flatten(2)).view(batch, -1, ny, nx)
