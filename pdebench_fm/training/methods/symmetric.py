"""`symmetric`: fine-tuning on endless exact examples out of the support set, and averaging over the symmetries."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pdebench_fm.training.adapt import AdaptationRecipe, train
from pdebench_fm.training.interpolation import InterpolationRecipe, OnStep, as_far_as_serves, with_choice
from pdebench_fm.training.methods.averaging import SymmetryAveraged
from pdebench_fm.training.methods.exact_examples import ExactExamples
from pdebench_fm.training.methods.table import TabledMethod
from pdebench_fm.training.search import mean_error
from pdebench_fm.training.support import SupportSet


@dataclass(frozen=True)
class Symmetric(TabledMethod):
    """Trains on all that the equation says of the examples and averages predictions; without any, averages alone.

    How far a pretrained model goes is chosen within the support set, as by the protocol's recipe.
    """

    zero_shot: ClassVar[bool] = True
    averages: ClassVar[bool] = True
    makes_examples: ClassVar[bool] = True

    def recipe(self, shots: int, *, fresh: bool) -> AdaptationRecipe | InterpolationRecipe:
        """Return how it trains: for a pretrained start and more than one row, on either half of them as well."""
        if fresh:
            return super().recipe(shots, fresh=True)
        return with_choice(lambda rows: self.row(rows).recipe, shots)

    def __call__(
        self,
        module: nn.Module,
        support: SupportSet,
        seed: int,
        on_step: OnStep = lambda _step, _loss: None,
    ) -> nn.Module:
        """Return a module whose predictions are averages of the fine-tuned one's.

        Raises:
            NoSymmetriesError: If the system declares none.
            DivergenceError, ModelOutputError: If the training diverges, or the module predicts no solution.
            UserCodeError: If the module raises.
        """
        symmetries = support.symmetries
        shots = len(support)

        def tuned_on(rows: Tensor | None, recipe: AdaptationRecipe, told: OnStep) -> nn.Module:
            given = support if rows is None else support.subset(rows)
            settings = self.row(shots if rows is None else (shots + 1) // 2)
            examples = ExactExamples(given, seed, settings.superposed)
            return train(module, lambda: examples.draw(recipe.batch_size), recipe, told, anchor=settings.anchor)

        def error(tried: nn.Module, rows: Tensor) -> float:
            return mean_error(SymmetryAveraged(tried, symmetries).eval(), support[rows])

        if not shots:
            return SymmetryAveraged(module, symmetries).eval()
        recipe = self.recipe(shots, fresh=support.fresh)
        if isinstance(recipe, InterpolationRecipe):
            tuned = as_far_as_serves(module, shots, recipe, tuned_on, error, on_step)
        else:
            tuned = tuned_on(None, recipe, on_step)
        return SymmetryAveraged(tuned, symmetries).eval()
