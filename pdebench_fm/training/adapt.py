"""Adaptation: fine-tuning all of a model's parameters on a support set, by a recipe fixed in advance."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.training.loss import relative_l2
from pdebench_fm.training.schedule import warmup_cosine

_Module = TypeVar("_Module", bound=nn.Module)


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


def adapt(
    model: _Module,
    support: Batch,
    recipe: AdaptationRecipe,
    seed: int,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> _Module:
    """Return a copy of the model, fine-tuned on the support set.

    Args:
        model: left as it is.
        support: on the model's device.
        recipe: how to train.
        seed: of the order in which rows are visited: one random permutation after another.
        on_step: called with the steps done and the step's loss.

    Raises:
        FloatingPointError: if the loss is no longer finite.
    """
    adapted = copy.deepcopy(model).train()
    # The fused optimizer, one pass over all parameters a step, knows real numbers only.
    real = all(parameter.is_floating_point() for parameter in adapted.parameters())
    optimizer = torch.optim.Adam(adapted.parameters(), lr=recipe.learning_rate, fused=real or None)
    generator = torch.Generator().manual_seed(seed)
    batch_size = min(recipe.batch_size, len(support))
    order = torch.empty(0, dtype=torch.int64)
    for step in range(recipe.steps):
        while len(order) < batch_size:
            order = torch.cat([order, torch.randperm(len(support), generator=generator)])
        batch, order = support[order[:batch_size].to(support.source.device)], order[batch_size:]
        loss = relative_l2(adapted(batch.source, batch.coefficients), batch.solution).mean()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} at step {step + 1} of the adaptation")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(adapted.parameters(), recipe.gradient_clip)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * warmup_cosine(step, recipe.steps, recipe.warmup_steps)
        optimizer.step()
        on_step(step + 1, loss.item())
    return adapted.eval()
