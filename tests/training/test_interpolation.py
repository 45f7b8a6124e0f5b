"""Weights between those before and after fine-tuning: what they are, and that the choice sees the support set alone."""

import pytest
import torch
from torch import nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.models.prediction import ModelOutputError
from pdebench_fm.training import interpolation
from pdebench_fm.training.adapt import AdaptationRecipe, DivergenceError, adapt
from pdebench_fm.training.interpolation import InterpolationRecipe, adapt_by_interpolation, between
from pdebench_fm.training.search import mean_error

WHOLE = AdaptationRecipe(5e-2, steps=30, batch_size=3, warmup_steps=2)
HALF = AdaptationRecipe(5e-2, steps=20, batch_size=3, warmup_steps=2)
RECIPE = InterpolationRecipe(WHOLE, HALF)


class Factor(nn.Module):
    """u = factor · f, with a statistic, a counter and a frozen parameter beside it."""

    def __init__(self, factor=1.0, dtype=torch.float32):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=dtype))
        self.frozen = nn.Parameter(torch.tensor(0.25), requires_grad=False)
        self.register_buffer("statistic", torch.tensor(0.0))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, source, _):
        if self.training:
            self.calls += 1
            self.statistic.fill_(1.0)
        return self.factor.abs() * source


def examples(*factors):
    source = torch.randn(len(factors), 8, 8, generator=torch.Generator().manual_seed(0))
    return Batch(source, torch.zeros(len(factors), 6), torch.tensor(factors)[:, None, None] * source)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_and_statistics_lie_between(share, dtype):
    before, after = Factor(1.0, dtype).eval(), Factor(3.0, dtype)
    after.statistic.fill_(1.0)
    after.calls.fill_(7)
    found = between(before, after, share)
    assert found.factor.item() == 1.0 + 2.0 * share
    assert found.statistic.item() == share
    assert found.calls.item() == (7 if share else 0)
    assert found.frozen.item() == 0.25
    assert not found.training
    assert (before.factor.item(), after.factor.item(), after.training) == (1.0, 3.0, True)


def test_what_has_no_value_between_is_as_after_training():
    def factor(mask, seen):
        module = Factor()
        module.register_buffer("grid", torch.arange(3.0).expand(2, 3))  # one memory for two rows: not to be written
        module.register_buffer("mask", torch.tensor([0.0, -torch.inf, mask]))
        module.register_buffer("seen", torch.zeros(seen))
        module.register_buffer("eighth", torch.ones(1).to(torch.float8_e4m3fn))
        return module

    found = between(factor(mask=torch.inf, seen=1), factor(mask=2.0, seen=4), 0.5)
    assert found.mask.tolist() == [0.0, -torch.inf, 2.0]
    assert found.seen.shape == (4,)
    assert torch.equal(found.grid, torch.arange(3.0).expand(2, 3))


def test_views_of_one_memory_go_the_way_once():
    def factor(value):
        module = Factor()
        module.register_buffer("whole", torch.full((4,), value))
        module.register_buffer("part", module.whole[:2])
        return module

    found = between(factor(1.0), factor(3.0), 0.25)
    assert found.whole.tolist() == [1.5] * 4
    assert found.part.tolist() == [1.5] * 2


def test_what_a_training_step_left_in_a_module_is_no_hindrance():
    class Keeping(Factor):
        def forward(self, source, coefficients):
            self.kept = [super().forward(source, coefficients)]
            return self.kept[0]

    support = examples(2.0, 2.0, 2.0, 2.0, 2.0)
    found, plain = (adapt_by_interpolation(each(), support, RECIPE, seed=0) for each in (Keeping, Factor))
    assert torch.equal(found.factor, plain.factor)


def test_a_model_whose_halves_disagree_stays_as_it_is():
    support = examples(1.4, 1.4, 1.4, 0.6, 0.6)
    assert adapt_by_interpolation(Factor(), support, RECIPE, seed=0).factor.item() == 1.0
    assert adapt(Factor(), support, WHOLE, seed=0).factor.item() != 1.0


def test_a_model_that_is_far_off_goes_all_the_way():
    support = examples(2.0, 2.0, 2.0, 2.0, 2.0)
    found, whole = adapt_by_interpolation(Factor(), support, RECIPE, seed=0), adapt(Factor(), support, WHOLE, seed=0)
    assert torch.equal(found.factor, whole.factor)


def test_the_share_is_that_of_the_smallest_error_on_the_rows_left_out():
    support = examples(2.0, 2.0, 2.0, 1.2, 1.2)  # three rows in the first half, as `tensor_split` has it
    halves = support[torch.arange(3)], support[torch.arange(3, 5)]
    tuned = [adapt(Factor(), half, HALF, seed=3) for half in halves]
    errors = {
        share: 2 * mean_error(between(Factor(), tuned[0], share), halves[1])
        + 3 * mean_error(between(Factor(), tuned[1], share), halves[0])
        for share in RECIPE.shares
    }
    share = min(errors, key=errors.get)
    assert 0.0 < share < 1.0
    expected = between(Factor(), adapt(Factor(), support, WHOLE, seed=3), share)
    assert torch.equal(adapt_by_interpolation(Factor(), support, RECIPE, seed=3).factor, expected.factor)


def test_every_step_is_told_once_in_order():
    told = []
    adapt_by_interpolation(Factor(), examples(2.0, 2.0), RECIPE, 0, lambda step, _: told.append(step))
    assert told == list(range(1, RECIPE.steps + 1))


def test_a_share_without_a_solution_is_not_chosen(monkeypatch):
    support = examples(2.0, 2.0)

    def broken_at_the_end(module, rows):
        if module.factor.item() > 1.8:
            raise ModelOutputError("no solution")
        return mean_error(module, rows)

    monkeypatch.setattr(interpolation, "mean_error", broken_at_the_end)
    found = adapt_by_interpolation(Factor(), support, RECIPE, seed=0)
    assert 1.0 < found.factor.item() < 1.9


def test_divergence_is_an_error_and_one_row_has_no_halves():
    class Exploding(Factor):
        def forward(self, source, _):
            return torch.where(self.factor == 1.0, 1.0, torch.nan) * source * self.factor

    with pytest.raises((DivergenceError, ModelOutputError)):
        adapt_by_interpolation(Exploding(), examples(2.0, 2.0), RECIPE, seed=0)
    with pytest.raises(ValueError, match="no halves"):
        adapt_by_interpolation(Factor(), examples(2.0), RECIPE, seed=0)
