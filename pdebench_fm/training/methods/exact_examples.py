"""Endless exact examples out of a few: symmetries, translations and superposition, by which nothing is approximated."""

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from pdebench_fm.data.batches import Batch
from pdebench_fm.physics.symmetries import Symmetry, translated
from pdebench_fm.training.adapt import visiting_order
from pdebench_fm.training.support import SupportSet

_Term = tuple[int, int]  # an example, and a symmetry that is applied to it


class ExactExamples:
    """Draws examples that solve the equation because those of a support set do (see `physics.symmetries`).

    Each is an example of the support set, under a symmetry of the system and moved by grid points; or, as often as
    `superposed` says, a weighted mean of two such with equal coefficients: two examples, or one under two symmetries or
    translations.
    """

    def __init__(self, support: SupportSet, seed: int, superposed: float) -> None:
        """Find out which examples can be added to which.

        Args:
            support: At least one example of a system that declares symmetries.
            seed: Of all that is drawn.
            superposed: Probability that an example is a mean of two.

        Raises:
            NoSymmetriesError: If the system declares none.
        """
        self._support = support
        self._group = support.symmetries
        self._superposed = superposed
        self._random = np.random.Generator(np.random.Philox(seed))
        self._visits = visiting_order(len(support), 1, seed)
        self._alike: dict[tuple[float, ...], list[_Term]] = defaultdict(list)
        self._keys: dict[_Term, tuple[float, ...]] = {}
        for place, symmetry in enumerate(self._group):
            for row, key in enumerate(_keys(symmetry, support.coefficients)):
                self._alike[key].append((row, place))
                self._keys[row, place] = key

    def draw(self, count: int) -> Batch:
        """Return this many examples; every one of the support set takes part before any does again."""
        drawn = [self._one() for _ in range(count)]
        return Batch(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def _one(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return source (n, n), coefficients (6,) and solution (n, n)."""
        term = int(next(self._visits)), int(self._random.integers(len(self._group)))
        source, solution = self._moved(term)
        if self._random.random() < self._superposed:
            alike = self._alike[self._keys[term]]
            others = self._moved(alike[int(self._random.integers(len(alike)))])
            weight = float(self._random.random())
            source, solution = (
                weight * one + (1.0 - weight) * other for one, other in zip((source, solution), others, strict=True)
            )
        row, place = term
        coefficients = self._group[place].of_coefficients(self._support.coefficients[row : row + 1])[0]
        return source, coefficients, solution

    def _moved(self, term: _Term) -> tuple[Tensor, Tensor]:
        """Return an example's source and solution, transformed and then moved by grid points."""
        row, place = term
        fields = torch.stack([self._support.source[row], self._support.solution[row]])
        down, right = self._random.integers(fields.shape[-1], size=2).tolist()
        source, solution = translated(self._group[place].of_field(fields), down, right)
        return source, solution


def _keys(symmetry: Symmetry, coefficients: Tensor) -> list[tuple[float, ...]]:
    """Return the transformed coefficients of each example, so that equal ones are equal keys."""
    return [tuple(values) for values in (symmetry.of_coefficients(coefficients) + 0.0).tolist()]  # -0.0 is 0.0
