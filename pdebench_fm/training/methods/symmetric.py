"""`symmetric`: fine-tuning on endless exact examples out of the support set, and averaging over the symmetries."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pdebench_fm.training.adapt import AdaptationRecipe, train
from pdebench_fm.training.interpolation import InterpolationRecipe, between, counting_on, share_that_serves
from pdebench_fm.training.methods.averaging import SymmetryAveraged
from pdebench_fm.training.methods.exact_examples import ExactExamples
from pdebench_fm.training.methods.table import OnStep, TabledMethod
from pdebench_fm.training.search import mean_error
from pdebench_fm.training.support import SupportSet


@dataclass(frozen=True)
class Symmetric(TabledMethod):
    """Trains on all that the equation says of the examples and averages predictions; without any, averages alone.

    How far a pretrained model goes is chosen within the support set, as by the protocol's recipe.
    """

    zero_shot: ClassVar[bool] = True

    def recipe(self, shots: int, *, fresh: bool) -> AdaptationRecipe | InterpolationRecipe:
        """Return how it trains: for a pretrained start and more than one row, on either half of them as well."""
        if fresh or shots == 1:  # as by the protocol's recipe
            return super().recipe(shots, fresh=fresh)
        return InterpolationRecipe(self.row(shots).recipe, half=self.row((shots + 1) // 2).recipe)

    def __call__(
        self,
        module: nn.Module,
        support: SupportSet,
        seed: int,
        on_step: OnStep = lambda _step, _loss: None,
        *,
        fresh: bool = False,
    ) -> nn.Module:
        """Return a module whose predictions are averages of the fine-tuned one's.

        Raises:
            NoSymmetriesError: If the system declares none.
            DivergenceError, ModelOutputError: If the training diverges, or the module predicts no solution.
            UserCodeError: If the module raises.
        """
        symmetries = support.symmetries
        counted = counting_on(on_step)

        def tuned_on(given: SupportSet, recipe: AdaptationRecipe) -> nn.Module:
            row = self.row(len(given))
            examples = ExactExamples(given, seed, row.superposed)
            return train(module, lambda: examples.draw(recipe.batch_size), recipe, counted, anchor=row.anchor)

        def error(tried: nn.Module, rows: Tensor) -> float:
            return mean_error(SymmetryAveraged(tried, symmetries).eval(), support[rows])

        if len(support):
            recipe, share = self.recipe(len(support), fresh=fresh), 1.0
            if isinstance(recipe, InterpolationRecipe):
                half = recipe.half
                share = share_that_serves(
                    module, len(support), lambda rows: tuned_on(support.subset(rows), half), error, recipe.shares
                )
                recipe = recipe.whole
            module = between(module, tuned_on(support, recipe), share)
        return SymmetryAveraged(module, symmetries).eval()
