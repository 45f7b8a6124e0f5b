"""How far to go: weights between those before and after fine-tuning, the share chosen within the support set.

A few examples help a model that is far off, and make one worse that knows the task already. Weights on the straight
line between the two (Wortsman et al. 2022, arXiv 2109.01903) have the better of both where the share fits. The share is
chosen by two-fold cross-validation: the model is fine-tuned on either half of the support set, and the share taken that
does best on the other halves. Nothing but the support set is looked at.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pdebench_fm.extensions.calling import user_code
from pdebench_fm.models.fresh import copied
from pdebench_fm.models.prediction import ModelOutputError
from pdebench_fm.training.adapt import AdaptationRecipe, Rows, adapt
from pdebench_fm.training.search import mean_error

OnStep = Callable[[int, float], None]
"""`on_step(steps done, loss)`."""

TunedOn = Callable[[Tensor | None, AdaptationRecipe, OnStep], nn.Module]
"""Returns a module fine-tuned on some rows of a support set, by their places, or on all of them (None)."""


@dataclass(frozen=True)
class InterpolationRecipe:
    """Fine-tuning of which the share is kept that does best by cross-validation.

    Attributes:
        whole: how to fine-tune on the support set.
        half: how to fine-tune on either half of it.
        shares: what is tried, of the way from the weights before (0) to those after (1).
    """

    whole: AdaptationRecipe
    half: AdaptationRecipe
    shares: tuple[float, ...] = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)

    @property
    def steps(self) -> int:
        """The optimizer steps of all three."""
        return self.whole.steps + 2 * self.half.steps


def with_choice(settings: Callable[[int], AdaptationRecipe], shots: int) -> AdaptationRecipe | InterpolationRecipe:
    """Return how a pretrained model is fine-tuned on at least one row; one row has no halves, and goes all the way.

    Args:
        settings: how to fine-tune on a number of rows.
        shots: the rows of the support set.
    """
    if shots == 1:
        return settings(1)
    return InterpolationRecipe(settings(shots), half=settings((shots + 1) // 2))


def adapt_by_interpolation(
    module: nn.Module,
    support: Rows,
    recipe: InterpolationRecipe,
    seed: int,
    on_step: OnStep = lambda _step, _loss: None,
) -> nn.Module:
    """Return a copy of the module, fine-tuned as far as serves, in evaluation mode.

    Args:
        module: left as it is.
        support: at least two rows, on the module's device.
        recipe: how to train, and what to try.
        seed: of the order in which rows are visited.
        on_step: called with the steps done, of all fine-tunings together, and the step's loss.

    Raises:
        ValueError: if there are fewer than two rows.
        DivergenceError, ModelOutputError: if the training diverges, or the module predicts no solution as it is.
        UserCodeError: if the module raises.
    """

    def tuned_on(rows: Tensor | None, settings: AdaptationRecipe, told: OnStep) -> nn.Module:
        return adapt(module, support if rows is None else support[rows], settings, seed, told)

    def error(tried: nn.Module, rows: Tensor) -> float:
        return mean_error(tried, support[rows])

    return as_far_as_serves(module, len(support), recipe, tuned_on, error, on_step)


def as_far_as_serves(
    module: nn.Module,
    shots: int,
    recipe: InterpolationRecipe,
    tuned_on: TunedOn,
    error: Callable[[nn.Module, Tensor], float],
    on_step: OnStep,
) -> nn.Module:
    """Return a module fine-tuned on a support set, and of that the share of the way that two-fold validation chooses.

    Args:
        module: left as it is.
        shots: the rows of the support set, at least two.
        recipe: how to train, and what to try.
        tuned_on: returns a fine-tuned copy of the module.
        error: of a module on some of the rows, by their places.
        on_step: called with the steps done, of all fine-tunings together, and the step's loss.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    if shots < 2:
        raise ValueError("a support set of one row has no halves")
    halves = torch.arange(shots).tensor_split(2)
    totals = dict.fromkeys(recipe.shares, 0.0)
    for i, left in enumerate(halves[::-1]):
        tuned = tuned_on(halves[i], recipe.half, _after(i * recipe.half.steps, on_step))
        for share in recipe.shares:
            try:
                totals[share] += len(left) * error(between(module, tuned, share), left)
            except ModelOutputError:
                totals[share] = math.inf
    tuned = tuned_on(None, recipe.whole, _after(2 * recipe.half.steps, on_step))
    best = min(recipe.shares, key=lambda share: (totals[share], share))  # of equals the one that changes least
    return between(module, tuned, best)


def _after(steps: int, on_step: OnStep) -> OnStep:
    """Return what tells the steps of a fine-tuning after as many of others."""
    return lambda step, loss: on_step(steps + step, loss)


def between(before: nn.Module, after: nn.Module, share: float) -> nn.Module:
    """Return a module whose weights are a share of the way from one module's to another's, in evaluation mode.

    Args:
        before: a module, left as it is.
        after: a copy of it that was trained, left as it is.
        share: 0 for a copy of `before`, 1 for one of `after`.

    Returns:
        For shares between, a copy of `after` with interpolated parameters and floating-point buffers; what has no
        finite value between two, such as counters, masks of -inf and buffers that changed their shape, is as in
        `after`.

    Raises:
        UserCodeError: if a module cannot be copied.
    """
    with torch.no_grad(), user_code("copying the model"):
        if share in (0.0, 1.0):
            return copied(after if share else before).eval()
        module = copied(after)
        first, last = _tensors(before), _tensors(module)
        # all of them before any is written: some may be views of one memory
        mixed = {name: _mixed(first[name], tensor, share) for name, tensor in last.items() if name in first}
        for name, value in mixed.items():
            if not torch.equal(value, last[name]):  # what stayed as it was may not be writable, such as expanded grids
                last[name].copy_(value)
        return module.eval()


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers that have values between others, by name."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        name: tensor
        for name, tensor in tensors.items()
        if (tensor.is_floating_point() or tensor.is_complex())
        and tensor.layout is torch.strided
        and tensor.itemsize > 1  # PyTorch computes nothing in eight bits
    }


def _mixed(first: Tensor, last: Tensor, share: float) -> Tensor:
    """Return what is a share of the way from one tensor to another; the other where that is not finite."""
    if first.shape != last.shape:
        return last
    between = first + share * (last - first)
    return torch.where(between.isfinite(), between, last)
