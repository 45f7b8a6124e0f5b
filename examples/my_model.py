"""A model of your own: try it with `pdefm eval --model examples/my_model.py:build --smoke`."""

import torch
from torch import Tensor, nn


class MyModel(nn.Module):
    """Three periodic convolutions on the source and the coefficients, scaled as the equation is."""

    def __init__(self, width: int = 16) -> None:
        """Draw random weights."""
        super().__init__()
        self.first = nn.Conv2d(7, width, 7, padding=3, padding_mode="circular")
        self.second = nn.Conv2d(width, width, 7, padding=3, padding_mode="circular")
        self.last = nn.Conv2d(width, 1, 7, padding=3, padding_mode="circular")

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Map (B, n, n) and (B, 6) to (B, n, n)."""
        size = source.square().mean(dim=(1, 2), keepdim=True).sqrt()
        constants = coefficients[:, :, None, None].expand(-1, -1, *source.shape[1:])
        field = torch.cat([(source / size)[:, None], constants], dim=1)
        field = torch.tanh(self.second(torch.tanh(self.first(field))))
        return size * self.last(field)[:, 0]


def build() -> nn.Module:
    """Return the model; load trained weights here if there are any."""
    return MyModel()
