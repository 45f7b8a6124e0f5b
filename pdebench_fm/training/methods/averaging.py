"""Predictions averaged over a system's symmetries: the mean is equivariant, as the operator is, whatever the model."""

import torch
from torch import Tensor, nn

from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.physics.symmetries import Symmetry

_POINTS_AT_ONCE = 2**20
"""Grid points of all problems of one call of the model: all eight of 32 fields at 64×64, and memory stays bounded."""


class SymmetryAveraged(nn.Module):
    """The mean of what a module predicts for a problem under each symmetry, each prediction transformed back."""

    def __init__(self, module: nn.Module, symmetries: tuple[Symmetry, ...]) -> None:
        """Wrap a module.

        Args:
            module: Maps sources (B, n, n) and coefficients (B, 6) to solutions (B, n, n).
            symmetries: A group, the identity first.
        """
        super().__init__()
        self.module = module
        self._symmetries = symmetries

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Map (B, n, n) and (B, 6) to (B, n, n)."""
        symmetries = self._that_matter(coefficients)
        at_once = max(1, _POINTS_AT_ONCE // source.numel())
        total = torch.zeros_like(source)
        for first in range(0, len(symmetries), at_once):
            some = symmetries[first : first + at_once]
            sources = torch.cat([symmetry.of_field(source) for symmetry in some])
            predicted = self.module(sources, torch.cat([symmetry.of_coefficients(coefficients) for symmetry in some]))
            for symmetry, prediction in zip(some, predicted.split(len(source)), strict=True):
                total += symmetry.element.inverse.of_field(prediction)
        return total / len(symmetries)

    def _that_matter(self, coefficients: Tensor) -> list[Symmetry]:
        """Return the symmetries by which the mean is what it is over all.

        A model that sees each problem in coordinates of its own choice (`models.frames`) predicts the same under all
        symmetries that give different coefficients. Only those are left that change none, by which it cannot choose.
        """
        if not (type(self.module) is NeuralOperator and self.module.config.frame != "given"):
            return list(self._symmetries)
        return [
            symmetry
            for symmetry in self._symmetries
            if bool((symmetry.of_coefficients(coefficients) == coefficients).all(dim=1).any())
        ]
