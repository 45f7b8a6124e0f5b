"""L2-SP: what the penalty does to the weights, and that it is the protocol's recipe but for that."""

import pytest
import torch
from torch import nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.protocol.methods import OWN_METHODS
from pdebench_fm.protocol.recipes import PROTOCOL_TABLE, adaptation_recipe
from pdebench_fm.training.adapt import AdaptationRecipe, FineTuning, adapt
from pdebench_fm.training.methods.l2_sp import L2SP
from pdebench_fm.training.methods.table import MethodRow
from pdebench_fm.training.support import SupportSet

RECIPE = AdaptationRecipe(2e-2, steps=80, batch_size=3)


class Scaled(nn.Module):
    """u = (Σ |weight|²) f."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), 0.5, dtype=dtype))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, source, _):
        return source * (self.weight.abs() ** 2).sum() * self.frozen


@pytest.fixture
def support():
    source = torch.randn(5, 8, 8, generator=torch.Generator().manual_seed(0))
    return SupportSet(source, 3.0 * source, torch.zeros(5, 6), "poisson")


def method(anchor):
    return L2SP((MethodRow(1, RECIPE, anchor=anchor),))


def distance(module):
    return (module.weight.detach() - 0.5).abs().square().sum().item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_the_stronger_the_penalty_the_nearer_the_weights_stay(support, dtype):
    found = [distance(method(strength)(Scaled(dtype), support, 0)) for strength in (0.0, 1.0, 100.0)]
    assert found[0] > 1.2 * found[1] > 5.0 * found[2] > 0.0


def test_without_a_penalty_it_is_plain_fine_tuning(support):
    plain = adapt(Scaled(), support, RECIPE, seed=4)
    assert torch.equal(method(0.0)(Scaled(), support, 4).weight, plain.weight)


def test_it_ends_where_loss_and_penalty_are_least_together(support):
    tuning, strength = FineTuning(Scaled(), None, anchor=0.3), 0.3
    batch = support[torch.arange(5)]
    for step in range(600):
        tuning.step(batch, 1e-2 * 0.99**step)
    ends = torch.linspace(0.0, 2.0, 20001)  # of both weights, by the loss's own formula
    losses = (3.0 - 2.0 * ends**2).abs() / 3.0 + strength * 2.0 * (ends - 0.5) ** 2
    assert tuning.module.weight.detach().tolist() == pytest.approx([ends[losses.argmin()].item()] * 2, abs=2e-3)


def test_the_loss_that_is_told_is_that_of_the_examples(support):
    tuning = FineTuning(Scaled(), None, anchor=1e6)
    batch = Batch(support.source, support.coefficients, support.solution)
    told = [tuning.step(batch, 1e-2) for _ in range(3)]
    assert told == pytest.approx([5 / 6] * 3, abs=0.02)


def test_its_settings_are_the_protocols_for_a_pretrained_start():
    for row in PROTOCOL_TABLE:
        own = OWN_METHODS["l2-sp"].row(row.shots + 1)
        assert own.recipe == adaptation_recipe("pretrained", row.shots + 1).whole
        assert own.anchor > 0.0
