"""Settings of the package's own methods by the number of shots, and what such a method is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import nn

from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.interpolation import InterpolationRecipe, OnStep
from pdebench_fm.training.support import SupportSet


@dataclass(frozen=True)
class MethodRow:
    """The settings from a number of shots on, up to the next row.

    Attributes:
        shots: the fewest shots that they are for.
        recipe: how to train a pretrained model.
        scratch: how to train a network whose weights are random; None if in the same way.
        anchor: what the squared distance from the starting weights is multiplied by in the loss.
        superposed: for `symmetric`, the probability that an example that it trains on is a mean of two.
    """

    shots: int
    recipe: AdaptationRecipe
    scratch: AdaptationRecipe | None = None
    anchor: float = 0.0
    superposed: float = 0.0


@dataclass(frozen=True)
class TabledMethod(ABC):
    """A method that trains by a table, so that it is known beforehand how many steps it takes.

    Attributes:
        table: its settings by shots, the fewest first.
        zero_shot: whether it does something without any example.
        averages: whether a prediction is the mean of those for a problem under each symmetry.
        makes_examples: whether it trains on examples that it makes of those given, so that a batch may hold more.
    """

    table: tuple[MethodRow, ...]
    zero_shot: ClassVar[bool] = False
    averages: ClassVar[bool] = False
    makes_examples: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self,
        module: nn.Module,
        support: SupportSet,
        seed: int,
        on_step: OnStep = lambda _step, _loss: None,
    ) -> nn.Module:
        """Return the module adapted to the support set, in evaluation mode; the one given stays as it is.

        Args:
            module: what to adapt.
            support: what to adapt it to.
            seed: of all that is random.
            on_step: called with the steps done, of all trainings together, and the step's loss.
        """

    def recipe(self, shots: int, *, fresh: bool) -> AdaptationRecipe | InterpolationRecipe:
        """Return how it trains a model, or a network of random weights (`fresh`), on at least one row."""
        row = self.row(shots)
        return row.scratch if fresh and row.scratch is not None else row.recipe

    def row(self, shots: int) -> MethodRow:
        """Return its settings for a support set of at least one row."""
        return max((row for row in self.table if row.shots <= shots), key=lambda row: row.shots)

    def shortened(self, steps: int) -> Self:
        """Return the same method with as few steps, to try whether it runs."""
        rows = (
            replace(
                row,
                recipe=replace(row.recipe, steps=steps),
                scratch=row.scratch and replace(row.scratch, steps=steps),
            )
            for row in self.table
        )
        return replace(self, table=tuple(rows))
