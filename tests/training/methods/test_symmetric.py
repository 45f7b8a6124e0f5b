"""`symmetric`: how far a pretrained model goes, that a fresh one goes all the way, and which steps are told."""

import pytest
import torch
from torch import nn

from pdebench_fm.models.fresh import copied
from pdebench_fm.physics import registered_system
from pdebench_fm.protocol.methods import OWN_METHODS
from pdebench_fm.training.adapt import AdaptationRecipe, train
from pdebench_fm.training.interpolation import InterpolationRecipe, between
from pdebench_fm.training.methods.averaging import SymmetryAveraged
from pdebench_fm.training.methods.exact_examples import ExactExamples
from pdebench_fm.training.methods.symmetric import Symmetric
from pdebench_fm.training.methods.table import MethodRow
from pdebench_fm.training.search import mean_error
from pdebench_fm.training.support import SupportSet

WHOLE = AdaptationRecipe(5e-2, steps=30, batch_size=4, warmup_steps=2)
HALF = AdaptationRecipe(5e-2, steps=20, batch_size=4, warmup_steps=2)
SCRATCH = AdaptationRecipe(5e-2, steps=50, batch_size=3, warmup_steps=2)
METHOD = Symmetric((MethodRow(1, HALF, superposed=0.5), MethodRow(4, WHOLE, SCRATCH, superposed=0.25)))


class Factor(nn.Module):
    """u = factor · f with weights over the columns, so that it is not the same from every side."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))
        self.slope = nn.Parameter(torch.tensor(0.1))

    def forward(self, source, _):
        return (self.factor + self.slope * torch.linspace(-1.0, 1.0, source.shape[-1])) * source


def support_of(*factors, fresh=False):
    source = torch.randn(len(factors), 8, 8, generator=torch.Generator().manual_seed(0))
    coefficients = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).repeat(len(factors), 1)
    solution = torch.tensor(factors)[:, None, None] * source
    symmetries = registered_system("poisson").symmetry_group
    return SupportSet(source, solution, coefficients, "poisson", symmetries, fresh=fresh)


def weights(module):
    return torch.stack([module.factor, module.slope])


def trained(support, row, recipe=None):
    recipe = recipe or row.recipe
    examples = ExactExamples(support, 3, row.superposed)
    return train(Factor(), lambda: examples.draw(recipe.batch_size), recipe)


def test_a_pretrained_model_takes_the_share_of_the_smallest_averaged_error_on_the_rows_left_out():
    support = support_of(2.0, 2.0, 2.0, 1.2, 1.2)
    halves = support.subset(torch.arange(3)), support.subset(torch.arange(3, 5))
    tuned = [trained(half, METHOD.table[0]) for half in halves]

    def error(half, share, left):
        module = SymmetryAveraged(between(Factor(), half, share), support.symmetries).eval()
        return mean_error(module, left[torch.arange(len(left))])

    shares = InterpolationRecipe(WHOLE, HALF).shares
    errors = {share: 2 * error(tuned[0], share, halves[1]) + 3 * error(tuned[1], share, halves[0]) for share in shares}
    share = min(errors, key=errors.get)
    assert 0.0 < share < 1.0
    expected = between(Factor(), trained(support, METHOD.table[1]), share)
    assert torch.equal(weights(METHOD(Factor(), support, 3).module), weights(expected))


def test_a_model_whose_halves_disagree_is_averaged_as_it_is_and_a_fresh_one_trained_as_one_from_scratch():
    support = support_of(1.4, 1.4, 1.4, 0.6, 0.6)
    assert torch.equal(weights(METHOD(Factor(), support, 3).module), weights(Factor()))
    whole = trained(support, METHOD.table[1], SCRATCH)
    assert not torch.equal(weights(whole), weights(Factor()))
    fresh = support_of(1.4, 1.4, 1.4, 0.6, 0.6, fresh=True)
    assert torch.equal(weights(METHOD(Factor(), fresh, 3).module), weights(whole))


def test_one_example_has_no_halves():
    support = support_of(1.5)
    expected = weights(trained(support, METHOD.table[0]))
    assert torch.equal(weights(METHOD(Factor(), support, 3).module), expected)
    assert torch.equal(weights(METHOD(Factor(), support_of(1.5, fresh=True), 3).module), expected)  # of a row for both


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("shots", [1, 2, 5])
def test_the_steps_that_are_told_are_those_of_its_recipe(shots, fresh):
    told, given = [], Factor()
    before = copied(given)
    METHOD(given, support_of(*[2.0] * shots, fresh=fresh), 0, lambda step, _: told.append(step))
    assert told == list(range(1, METHOD.recipe(shots, fresh=fresh).steps + 1))
    assert torch.equal(weights(given), weights(before))


def test_halves_are_trained_by_the_row_of_as_many_examples_and_random_weights_by_settings_of_their_own():
    method = OWN_METHODS["symmetric"]
    for shots in (2, 31, 32, 33, 255, 512, 8192):
        row = method.row(shots)
        assert method.recipe(shots, fresh=False) == InterpolationRecipe(row.recipe, method.row((shots + 1) // 2).recipe)
        assert method.recipe(shots, fresh=True) == (row.scratch or row.recipe)


def test_both_halves_of_an_odd_number_have_the_settings_of_the_larger():
    seven = AdaptationRecipe(1e-3, steps=2, batch_size=4)
    rows = (MethodRow(1, seven, superposed=0.0), MethodRow(3, seven, superposed=1.0), MethodRow(5, seven))
    shares = []

    class Drawing(ExactExamples):
        def __init__(self, support, seed, superposed):
            shares.append((len(support), superposed))
            super().__init__(support, seed, superposed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pdebench_fm.training.methods.symmetric.ExactExamples", Drawing)
        Symmetric(rows)(Factor(), support_of(*[2.0] * 5), 0)
    assert shares == [(3, 1.0), (2, 1.0), (5, 0.0)]


class Once(Factor):
    """Can be copied as long as it was not called."""

    def forward(self, source, coefficients):
        self.held = (row for row in source)
        return super().forward(source, coefficients)


@pytest.mark.parametrize(("shots", "fresh"), [(1, False), (5, True)])
def test_what_goes_all_the_way_is_not_copied_after_it_was_trained(shots, fresh):
    assert not torch.equal(weights(METHOD(Once(), support_of(*[2.0] * shots, fresh=fresh), 0).module), weights(Once()))
