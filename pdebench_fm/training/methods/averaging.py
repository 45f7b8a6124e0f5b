"""Predictions averaged over a system's symmetries: the mean is equivariant, as the operator is, whatever the model."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.physics.symmetries import Symmetry

_POINTS_AT_ONCE = 2**20
"""Grid points of all problems of one call of the model: all eight of 32 fields at 64×64, and memory stays bounded."""


def has_symmetries_built_in(module: nn.Module) -> bool:
    """Return whether a model sees each problem in coordinates of its own choice (`models.frames`)."""
    return type(module) is NeuralOperator and module.config.frame != "given"


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
        matter = self._that_matter(coefficients)
        total = torch.zeros_like(source)
        for problems in self._in_parts(matter, source.shape[-1] ** 2):
            predicted = self.module(
                torch.cat([symmetry.of_field(source[rows]) for symmetry, rows in problems]),
                torch.cat([symmetry.of_coefficients(coefficients[rows]) for symmetry, rows in problems]),
            )
            parts = predicted.split([len(rows) for _, rows in problems])
            for (symmetry, rows), prediction in zip(problems, parts, strict=True):
                total[rows] += symmetry.element.inverse.of_field(prediction)
        return total / matter.sum(dim=0)[:, None, None]

    def _that_matter(self, coefficients: Tensor) -> Tensor:
        """Return the symmetries by which each problem's mean is what it is over all: (symmetries, B) bool.

        A model that has symmetries built in predicts the same under all
        symmetries that give different coefficients. Only those are left that change none, by which it cannot choose.
        """
        if not has_symmetries_built_in(self.module):
            shape = len(self._symmetries), len(coefficients)
            return torch.ones(shape, dtype=torch.bool, device=coefficients.device)
        return torch.stack(
            [(symmetry.of_coefficients(coefficients) == coefficients).all(dim=1) for symmetry in self._symmetries]
        )

    def _in_parts(self, matter: Tensor, points: int) -> Iterator[list[tuple[Symmetry, Tensor]]]:
        """Yield the symmetries with the rows that each matters for, as many together as one call of the model takes."""
        part: list[tuple[Symmetry, Tensor]] = []
        held = 0
        for symmetry, rows in zip(self._symmetries, (each.nonzero()[:, 0] for each in matter), strict=True):
            if part and held + len(rows) * points > _POINTS_AT_ONCE:
                yield part
                part, held = [], 0
            if len(rows):
                part.append((symmetry, rows))
                held += len(rows) * points
        if part:
            yield part
