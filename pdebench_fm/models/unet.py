"""A plain convolutional baseline: a U-Net on the torus."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdebench_fm.errors import UsageError
from pdebench_fm.models.channels import ChannelOperator
from pdebench_fm.models.fno import INPUT_CHANNELS

_GROUPS = 4
_WIDEST = 8  # times the first level's width


class UNet(nn.Module):
    """Convolutions at n, n/2, …, n/2^depth points a side, with skips between equal resolutions (arXiv 1505.04597).

    All padding is periodic. Unlike a neural operator it learns stencils in grid points, so it belongs to the resolution
    that it was trained at.

    Attributes:
        depth: How often the resolution is halved.
    """

    def __init__(
        self, in_channels: int = INPUT_CHANNELS, out_channels: int = 1, *, width: int = 16, depth: int = 4
    ) -> None:
        """Draw the weights from PyTorch's global generator.

        Args:
            in_channels: Channels of the input.
            out_channels: Channels of the output.
            width: Channels at full resolution, a multiple of 4; twice as many a level down, up to 8 times as many.
            depth: How often the resolution is halved.
        """
        super().__init__()
        self.depth = depth
        widths = [width * min(2**level, _WIDEST) for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _block(before, after) for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(_block(widths[level] + widths[level + 1], widths[level]) for level in range(depth))
        self.project = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, field: Tensor) -> Tensor:
        """Map (B, in, n, n) to (B, out, n, n).

        Raises:
            UsageError: If n cannot be halved so often.
        """
        if any(n % 2**self.depth for n in field.shape[-2:]):
            raise UsageError(f"a U-Net of depth {self.depth} needs a grid whose sides are multiples of {2**self.depth}")
        skips = []
        for level, block in enumerate(self.down):
            field = block(functional.avg_pool2d(field, 2) if level else field)
            skips.append(field)
        field = skips.pop()
        for block in reversed(list(self.up)):
            coarse = functional.interpolate(field, scale_factor=2.0, mode="nearest")
            field = block(torch.cat([skips.pop(), coarse], dim=1))
        output: Tensor = self.project(field)
        return output


def unet(width: int = 16, depth: int = 4) -> ChannelOperator:
    """Return the U-Net baseline with random weights from PyTorch's global generator."""
    return ChannelOperator(UNet(width=width, depth=depth))


def _block(before: int, after: int) -> nn.Sequential:
    """Return two periodic 3×3 convolutions, each normalised over groups of channels and activated."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [
            nn.Conv2d(channels, after, kernel_size=3, padding=1, padding_mode="circular"),
            nn.GroupNorm(_GROUPS, after),
            nn.GELU(),
        ]
    return nn.Sequential(*layers)
