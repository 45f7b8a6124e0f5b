"""Predictions averaged over a system's symmetries: the mean is equivariant, as the operator is, whatever the model."""

from collections.abc import Iterator
from typing import TypeGuard

import torch
from torch import Tensor, nn

from pdebench_fm.models.frames import coefficients_in, frame_of
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.physics.symmetries import Symmetry

_POINTS_AT_ONCE = 2**20
"""Grid points of all problems of one call of the model: all eight of 32 fields at 64×64, and memory stays bounded."""

_ROUNDING = 1e-5  # of float32 coefficients that one frame turns into the same ones, relative to the largest


def has_symmetries_built_in(module: nn.Module) -> TypeGuard[NeuralOperator]:
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
        if torch.compiler.is_compiling():  # a traced program has the same parts whatever the problems are
            return self._mean_of_all(source, coefficients)
        weights = self._weights(coefficients)
        total = torch.zeros_like(source)
        for problems in self._in_parts(weights, source.shape[-1] ** 2):
            predicted = self.module(
                torch.cat([symmetry.of_field(source[rows]) for symmetry, rows, _ in problems]),
                torch.cat([symmetry.of_coefficients(coefficients[rows]) for symmetry, rows, _ in problems]),
            )
            parts = predicted.split([len(rows) for _, rows, _ in problems])
            for (symmetry, rows, weight), prediction in zip(problems, parts, strict=True):
                total[rows] += weight[:, None, None] * symmetry.element.inverse.of_field(prediction)
        return total / len(self._symmetries)

    def _mean_of_all(self, source: Tensor, coefficients: Tensor) -> Tensor:
        predicted = self.module(
            torch.cat([symmetry.of_field(source) for symmetry in self._symmetries]),
            torch.cat([symmetry.of_coefficients(coefficients) for symmetry in self._symmetries]),
        )
        parts = predicted.unflatten(0, (len(self._symmetries), -1))
        undone = [each.element.inverse.of_field(part) for each, part in zip(self._symmetries, parts, strict=True)]
        return torch.stack(undone).mean(dim=0)

    def _weights(self, coefficients: Tensor) -> Tensor:
        """Return how many symmetries each one stands for in each problem's mean: (symmetries, B), of the input's dtype.

        A model with a frame is given one and the same problem by several of them; the first stands for all of these.
        """
        count, module = len(self._symmetries), self.module
        if not has_symmetries_built_in(module):
            return torch.ones(count, len(coefficients), dtype=coefficients.dtype, device=coefficients.device)
        transformed = torch.cat([symmetry.of_coefficients(coefficients) for symmetry in self._symmetries])
        frame = frame_of(module.config.frame, transformed)
        seen = coefficients_in(frame, transformed.double()).view(count, -1, 6)
        elements = torch.tensor([each.element.matrix for each in self._symmetries], device=frame.device)
        coordinates = (frame.view(count, -1, 2, 2)[..., None] * elements[:, None, None]).sum(dim=-2)
        close = (seen[:, None] - seen).abs() <= _ROUNDING * seen.abs().amax(dim=(0, 2), keepdim=True)
        alike = (coordinates[:, None] == coordinates).all(dim=(-2, -1)) & close.all(dim=-1)
        first = alike.int().argmax(dim=1)  # of those that give the same problem as each: (symmetries, B)
        return (first == torch.arange(count, device=first.device)[:, None, None]).sum(dim=1).to(coefficients.dtype)

    def _in_parts(self, weights: Tensor, points: int) -> Iterator[list[tuple[Symmetry, Tensor, Tensor]]]:
        """Yield symmetries, the rows that each has a weight for, and this: as many as one call of the model takes."""
        part: list[tuple[Symmetry, Tensor, Tensor]] = []
        held = 0
        for symmetry, weight in zip(self._symmetries, weights, strict=True):
            rows = weight.nonzero()[:, 0]
            if part and held + len(rows) * points > _POINTS_AT_ONCE:
                yield part
                part, held = [], 0
            if len(rows):
                part.append((symmetry, rows, weight[rows]))
                held += len(rows) * points
        if part:
            yield part
