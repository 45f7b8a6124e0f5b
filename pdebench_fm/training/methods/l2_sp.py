"""`l2-sp`: fine-tuning that is held near the weights it starts with, of Li et al. 2018 (arXiv 1802.01483)."""

from dataclasses import dataclass

from torch import nn

from pdebench_fm.training.adapt import train, visiting_order
from pdebench_fm.training.interpolation import OnStep
from pdebench_fm.training.methods.table import TabledMethod
from pdebench_fm.training.support import SupportSet


@dataclass(frozen=True)
class L2SP(TabledMethod):
    """The examples as they are, and a penalty on how far all parameters together have moved."""

    def __call__(
        self,
        module: nn.Module,
        support: SupportSet,
        seed: int,
        on_step: OnStep = lambda _step, _loss: None,
    ) -> nn.Module:
        """Return the module fine-tuned, in the same way from whatever start.

        Raises:
            DivergenceError, ModelOutputError: If the training diverges, or the module predicts no solution.
            UserCodeError: If the module raises.
        """
        row = self.row(len(support))
        visits = visiting_order(len(support), min(row.recipe.batch_size, len(support)), seed)
        return train(module, lambda: support[next(visits)], row.recipe, on_step, anchor=row.anchor)
