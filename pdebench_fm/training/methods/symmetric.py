"""`symmetric`: fine-tuning on endless exact examples out of the support set, and averaging over the symmetries."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from pdebench_fm.training.adapt import train
from pdebench_fm.training.methods.averaging import SymmetryAveraged
from pdebench_fm.training.methods.exact_examples import ExactExamples
from pdebench_fm.training.methods.table import OnStep, TabledMethod
from pdebench_fm.training.support import SupportSet


@dataclass(frozen=True)
class Symmetric(TabledMethod):
    """Trains on all that the equation says of the examples and averages predictions; without any, averages alone."""

    zero_shot: ClassVar[bool] = True

    def __call__(
        self, module: nn.Module, support: SupportSet, seed: int, on_step: OnStep = lambda _step, _loss: None
    ) -> nn.Module:
        """Return a module whose predictions are averages of the fine-tuned one's.

        Raises:
            NoSymmetriesError: If the system declares none.
            DivergenceError, ModelOutputError: If the training diverges, or the module predicts no solution.
            UserCodeError: If the module raises.
        """
        symmetries = support.symmetries
        if len(support):
            row = self.row(len(support))
            examples = ExactExamples(support, seed, row.superposed)
            module = train(module, lambda: examples.draw(row.recipe.batch_size), row.recipe, on_step, anchor=row.anchor)
        return SymmetryAveraged(module, symmetries).eval()
