"""Adaptation: fine-tuning a module on a support set, by a recipe fixed in advance."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import PdefmError
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.models.fresh import copied
from pdebench_fm.models.prediction import ModelOutputError, checked
from pdebench_fm.surroundings import unchanged
from pdebench_fm.training.loss import relative_l2
from pdebench_fm.training.replayed import replayed
from pdebench_fm.training.schedule import warmup_cosine


@dataclass(frozen=True)
class AdaptationRecipe:
    """Adam on the relative ℓ² error, linear warm-up and cosine to zero; nothing but the support set is looked at.

    Attributes:
        learning_rate: the peak.
        steps: optimizer steps; `warmup_steps` of them to reach the peak.
        batch_size: rows of each step; the whole support set where it is smaller.
        gradient_clip: largest 2-norm of a step's gradient.
    """

    learning_rate: float
    steps: int
    batch_size: int
    warmup_steps: int = 10
    gradient_clip: float = 1.0


class DivergenceError(PdefmError):
    """The loss of an adaptation is no longer finite."""


class Rows(Protocol):
    """Rows of a split that a module is trained on: a `Batch`, or some rows of one."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, rows: Tensor) -> Batch:
        """Return the rows at these positions."""


class FineTuning:
    """A copy of a module and its optimizer, one step at a time.

    Frozen parameters stay as they are; the copy is in the module's own training mode.

    Attributes:
        module: the copy.
        passes: what to call in its place, see `replayed`.
    """

    def __init__(self, module: nn.Module, gradient_clip: float | None, anchor: float = 0.0) -> None:
        """Copy the module.

        Args:
            module: left as it is.
            gradient_clip: largest 2-norm of a step's gradient; None for any.
            anchor: the weight, in the loss, of the parameters' squared distance from where they began.

        Raises:
            UserCodeError: if it cannot be copied, or has no parameters that Adam can train.
        """
        with user_code("copying the model"):
            self.module = copied(module).train()
            self.passes = replayed(self.module)
        with user_code("training the model's parameters"):
            self._trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
            # the fused optimizer, one pass over all parameters a step, knows real numbers only
            real = all(parameter.is_floating_point() for parameter in self._trained)
            self._optimizer = torch.optim.Adam(self._trained, fused=real or None)
            self._began = [parameter.detach().clone() for parameter in self._trained] if anchor else []
        self._clip = gradient_clip
        self._anchor = anchor

    def step(self, batch: Batch, learning_rate: float) -> float:
        """Train on a batch and return its loss before the step.

        Raises:
            ModelOutputError: if the prediction is no finite solution.
            DivergenceError: if the loss is not finite all the same.
            UserCodeError: if the module raises.
        """
        with torch.enable_grad(), user_code("the model"):
            with unchanged():  # what the model's code turns is back before the loss is computed
                output = self.passes(batch.source, batch.coefficients)
            prediction = checked(output, batch.source, "the model")
            loss = relative_l2(prediction, batch.solution).mean()
            value = loss.item()
            if not math.isfinite(value):
                raise DivergenceError(f"the loss became {value}")
            self._optimizer.zero_grad()
            if self._anchor:
                pairs = zip(self._trained, self._began, strict=True)
                loss = loss + self._anchor * sum((now - then).abs().square().sum() for now, then in pairs)
            loss.backward()
            if self._clip is not None:
                torch.nn.utils.clip_grad_norm_(self._trained, self._clip)
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate
            self._optimizer.step()
        return value


def adapt(
    module: nn.Module,
    support: Rows,
    recipe: AdaptationRecipe,
    seed: int,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> nn.Module:
    """Return a copy of the module, fine-tuned on the support set, in evaluation mode.

    Args:
        module: left as it is. Any module with parameters to train, real or complex.
        support: on the module's device.
        recipe: how to train.
        seed: of the order in which rows are visited: one random permutation after another.
        on_step: called with the steps done and the step's loss.

    Raises:
        DivergenceError: if the loss is no longer finite.
        ModelOutputError: if a prediction is no finite solution.
        UserCodeError: if the module raises.
    """
    visits = visiting_order(len(support), min(recipe.batch_size, len(support)), seed)
    return train(module, lambda: support[next(visits)], recipe, on_step)


def train(
    module: nn.Module,
    draw: Callable[[], Batch],
    recipe: AdaptationRecipe,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
    *,
    anchor: float = 0.0,
) -> nn.Module:
    """Return a copy of the module, trained on one batch after another, in evaluation mode.

    Args:
        module: left as it is.
        draw: returns the next batch, on the module's device.
        recipe: how to train.
        on_step: called with the steps done and the step's loss.
        anchor: as `FineTuning` takes it.

    Raises:
        DivergenceError: if the loss is no longer finite.
        ModelOutputError: if a prediction is no finite solution.
        UserCodeError: if the module raises.
    """
    tuning = FineTuning(module, recipe.gradient_clip, anchor)
    for step in range(recipe.steps):
        learning_rate = recipe.learning_rate * warmup_cosine(step, recipe.steps, recipe.warmup_steps)
        try:
            loss = tuning.step(draw(), learning_rate)
        except (DivergenceError, ModelOutputError) as error:
            raise type(error)(f"{error}, at step {step + 1} of the adaptation") from error
        on_step(step + 1, loss)
    with user_code("the model"):
        return tuning.module.eval()


def visiting_order(rows: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows of one step after another, without end: consecutive pieces of one permutation after another."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    while True:
        while len(order) < batch_size:
            order = torch.cat([order, torch.randperm(rows, generator=generator)])
        yield order[:batch_size]
        order = order[batch_size:]
