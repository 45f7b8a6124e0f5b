"""A sound model in a few lines, of which the odd ones in tests change one thing."""

import torch
from torch import nn


class Pointwise(nn.Module):
    """One linear map of the source and the coefficients at each point."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(7, 1)

    def forward(self, source, coefficients):
        constants = coefficients[:, None, None].expand(-1, *source.shape[1:], -1)
        return self.map(torch.cat([source[..., None], constants], dim=-1))[..., 0]
