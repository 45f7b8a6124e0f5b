"""Fine-tuning as the paper does: a grid of learning rates, and the epoch that does best on validation rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.models.candidate import Operator
from pdebench_fm.models.fresh import copied
from pdebench_fm.models.prediction import ModelOutputError, predicted
from pdebench_fm.training.adapt import DivergenceError, FineTuning, Rows
from pdebench_fm.training.loss import relative_l2

_BATCH = 32


@dataclass(frozen=True)
class SearchRecipe:
    """Adam on the relative ℓ² error by epochs, cosine to zero, for each learning rate; the best epoch of all is kept.

    The grid, the epochs, the schedule and the choice by validation are those of Subramanian et al. 2023 (arXiv
    2306.00258); the batch size is that of its published configurations. The loss is this benchmark's score, where
    theirs is the squared error.

    Attributes:
        learning_rates: tried one after another, from the same start.
        epochs: passes over the support set with each.
        batch_size: rows of each step; an epoch's last step takes what is left.
    """

    learning_rates: tuple[float, ...] = (1e-5, 5e-5, 1e-4, 5e-4, 1e-3)
    epochs: int = 500
    batch_size: int = 128

    def steps(self, shots: int) -> int:
        """Return the optimizer steps of the whole search."""
        return len(self.learning_rates) * self.epochs * math.ceil(shots / self.batch_size)


def adapt_by_search(
    module: nn.Module,
    support: Rows,
    validation: Batch,
    recipe: SearchRecipe,
    seed: int,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> nn.Module:
    """Return a copy of the module, fine-tuned with the learning rate and for the epochs that validate best.

    Args:
        module: left as it is.
        support: on the module's device.
        validation: rows on the same device that the choice is made by.
        recipe: what to try.
        seed: of the order of rows in each epoch.
        on_step: called with the steps done, of all learning rates together, and the step's loss.

    Raises:
        DivergenceError, ModelOutputError: if no learning rate leads to a finite prediction.
        UserCodeError: if the module raises.
    """
    best: tuple[float, nn.Module] | None = None
    failure: DivergenceError | ModelOutputError | None = None
    step = 0
    for learning_rate in recipe.learning_rates:
        tuning = FineTuning(module, gradient_clip=None)
        generator = torch.Generator().manual_seed(seed)
        try:
            for epoch in range(recipe.epochs):
                rate = 0.5 * learning_rate * (1.0 + math.cos(math.pi * epoch / recipe.epochs))
                for rows in torch.randperm(len(support), generator=generator).split(recipe.batch_size):
                    loss = tuning.step(support[rows], rate)
                    step += 1
                    on_step(step, loss)
                error = mean_error(tuning.passes, validation)
                if best is None or error < best[0]:
                    with user_code("copying the model"):
                        best = error, copied(tuning.module)
        except (DivergenceError, ModelOutputError) as diverged:
            failure = type(diverged)(f"{diverged}, with learning rate {learning_rate:g}")
    if best is None:
        raise failure or DivergenceError("the recipe has no epochs")
    with user_code("the model"):
        return best[1].eval()


def mean_error(operator: Operator, rows: Batch) -> float:
    """Return the mean relative ℓ² error of a model on rows.

    Raises:
        ModelOutputError: if a prediction is no finite solution.
        UserCodeError: if the model raises.
    """
    total = 0.0
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        prediction = predicted(operator, batch, "the model")
        total += float(relative_l2(prediction.double(), batch.solution.double()).sum())
    return total / len(rows)
