"""Adaptation of any module: what is trained, what is left alone, and that it does what the recipe says."""

import pytest
import torch
from torch import nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import UserCodeError
from pdebench_fm.models.prediction import ModelOutputError
from pdebench_fm.training import search
from pdebench_fm.training.adapt import AdaptationRecipe, FineTuning, adapt, visiting_order
from pdebench_fm.training.search import SearchRecipe, adapt_by_search, mean_error

RECIPE = AdaptationRecipe(learning_rate=5e-2, steps=60, batch_size=3, warmup_steps=2)


class Linear(nn.Module):
    """u = (Σ |weight|² of whatever kind of weight) f, with parts that a careless loop would spoil."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), 0.5, dtype=dtype))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm2d(1, affine=False)

    def forward(self, source, _):
        self.norm(self.dropout(source[:, None]))
        factor = (self.weight.abs() ** 2).sum() * self.frozen
        return source * factor


@pytest.fixture
def rows():
    source = torch.randn(7, 8, 8, generator=torch.Generator().manual_seed(0))
    return Batch(source, torch.zeros(7, 6), 3.0 * source)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_a_module_of_real_or_complex_parameters_learns_the_support_set(rows, dtype):
    module = Linear(dtype)
    adapted = adapt(module, rows, RECIPE, seed=0)
    assert mean_error(adapted, rows) < 0.05 < mean_error(module.eval(), rows)
    assert not adapted.training


def test_the_module_itself_and_frozen_parameters_stay_as_they_are(rows):
    module = Linear().eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    adapted = adapt(module, rows, RECIPE, seed=0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert not module.training
    assert torch.equal(adapted.frozen, module.frozen)
    assert not adapted.frozen.requires_grad


def test_the_modules_own_training_mode_is_used(rows):
    module = Linear()
    module.norm.training = False
    module.norm.train = lambda *_: module.norm  # an author's way to keep statistics as they were learnt
    adapted = adapt(module, rows, RECIPE, seed=0)
    assert torch.equal(adapted.norm.running_mean, torch.zeros(1))
    assert not torch.equal(adapt(Linear(), rows, RECIPE, seed=0).norm.running_mean, torch.zeros(1))


def test_a_large_gradient_is_clipped_to_its_norm(rows):
    steps = []
    for scale in (1.0, 1e-6):  # of the solution: the relative error's gradient grows as it shrinks
        tuning = FineTuning(Linear(), gradient_clip=1e-12)  # far below Adam's epsilon, so that its size shows
        tuning.step(Batch(rows.source, rows.coefficients, rows.solution * scale), 1.0)
        steps.append((tuning.module.weight - 0.5).abs().max().item())
    assert steps == pytest.approx([1e-4 / 2**0.5] * 2, rel=0.01)  # learning rate · clip / epsilon, over two weights


def test_every_row_is_visited_once_before_any_comes_again():
    visits = visiting_order(7, 3, seed=4)
    order = torch.cat([next(visits) for _ in range(7)]).tolist()
    for start in (0, 7, 14):
        assert sorted(order[start : start + 7]) == list(range(7))
    again = visiting_order(7, 3, seed=4)
    assert torch.cat([next(again) for _ in range(7)]).tolist() == order


def test_steps_and_losses_are_reported(rows):
    seen = []
    adapt(Linear(), rows, RECIPE, 0, lambda step, loss: seen.append((step, loss)))
    assert [step for step, _ in seen] == list(range(1, 61))
    assert seen[0][1] == pytest.approx(5 / 6)
    assert seen[-1][1] < seen[0][1]


def test_a_module_that_cannot_be_copied_is_named_so(rows):
    module = Linear()
    module.open = (each for each in ())  # nothing copies a generator
    with pytest.raises(UserCodeError, match="copying the model raised TypeError"):
        adapt(module, rows, RECIPE, seed=0)


def test_the_search_keeps_the_learning_rate_and_epoch_that_validate_best(rows, monkeypatch):
    # the factor passes the validation rows' 2 on its way to the support set's 3: an early epoch is the best
    validation = Batch(rows.source, rows.coefficients, 2.0 * rows.source)
    recipe = SearchRecipe(learning_rates=(1e-6, 2e-2), epochs=40, batch_size=3)
    errors = []

    def recorded(*arguments):
        errors.append(mean_error(*arguments))
        return errors[-1]

    monkeypatch.setattr(search, "mean_error", recorded)
    found = adapt_by_search(Linear(), rows, validation, recipe, seed=0)
    assert len(errors) == 80
    assert errors.index(min(errors)) in range(41, 79)
    assert mean_error(found, validation) == min(errors)


class Counting(nn.Module):
    """u = weight · f + what it counted while it was trained, which its `state_dict` does not hold."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))
        self.steps = 0
        self.last = None

    def forward(self, source, _):
        if self.training:
            self.steps += 1
            self.last = source * self.weight  # a tensor with a history
        return source * self.weight + 0.1 * self.steps


def test_the_best_epoch_is_restored_with_what_a_state_dict_leaves_out(rows):
    validation = Batch(rows.source, rows.coefficients, rows.source + 0.2)  # what the second epoch predicts
    found = adapt_by_search(Counting(), rows, validation, SearchRecipe((1e-9,), epochs=5, batch_size=7), seed=0)
    assert found.steps == 2
    assert mean_error(found, validation) < 1e-5
    assert not found.last.requires_grad


def test_the_search_goes_on_after_a_learning_rate_that_diverges(rows):
    recipe = SearchRecipe(learning_rates=(1e30, 1e-2), epochs=3, batch_size=128)
    found = adapt_by_search(Linear(), rows, rows, recipe, seed=0)
    assert mean_error(found, rows) < mean_error(Linear().eval(), rows)
    with pytest.raises(ModelOutputError, match=r"not finite.*, with learning rate 1e\+30"):
        adapt_by_search(Linear(), rows, rows, SearchRecipe((1e30,), epochs=3), seed=0)


def test_an_epoch_has_a_step_for_each_batch_and_one_for_the_rest(rows):
    steps = []
    recipe = SearchRecipe(learning_rates=(1e-3,), epochs=2, batch_size=3)
    adapt_by_search(Linear(), rows, rows, recipe, 0, lambda step, _: steps.append(step))
    assert steps == list(range(1, 7))
    assert recipe.steps(len(rows)) == 6
