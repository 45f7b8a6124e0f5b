"""What is drawn from a support set solves the equation exactly, and what symmetries and sums give is all drawn."""

import numpy as np
import pytest
import torch

from pdebench_fm.data.batches import batch_of
from pdebench_fm.physics import SampleKey, registered_system, sample, solve
from pdebench_fm.training.methods.exact_examples import ExactExamples
from pdebench_fm.training.support import NoSymmetriesError, SupportSet

SYSTEMS = ["poisson", "advection-diffusion", "helmholtz"]


def support_of(system, rows=range(6), symmetries=None):
    batch = batch_of(sample(SampleKey(system, "medium", "train"), rows, 64))
    group = registered_system(system).symmetry_group if symmetries is None else symmetries
    return SupportSet(batch.source, batch.solution, batch.coefficients, system, group)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("superposed", [0.0, 1.0])
def test_every_example_solves_the_equation(system, superposed):
    drawn = ExactExamples(support_of(system), 3, superposed).draw(48)
    _, exact = solve(drawn.source.double(), drawn.coefficients.double())
    off = torch.linalg.vector_norm(drawn.solution - exact, dim=(1, 2)) / torch.linalg.vector_norm(exact, dim=(1, 2))
    assert off.max() < 1e-5
    assert drawn.source.dtype == drawn.solution.dtype == torch.float32


def test_without_sums_the_examples_are_the_moved_orbit_and_all_of_it_is_drawn():
    support = support_of("advection-diffusion", range(2))
    drawn = ExactExamples(support, 0, 0.0).draw(200)
    orbit = torch.cat([symmetry.of_coefficients(support.coefficients) for symmetry in support.symmetries])
    assert len(torch.unique(orbit, dim=0)) == 16
    assert {tuple(row) for row in drawn.coefficients.tolist()} == {tuple(row) for row in orbit.tolist()}
    power = torch.fft.fft2(drawn.source).abs().amax(dim=(1, 2))  # which no movement changes
    own = torch.fft.fft2(support.source).abs().amax(dim=(1, 2))
    assert (power[:, None] - own).abs().amin(dim=1).max() < 1e-3


def test_a_sum_is_of_examples_with_equal_coefficients_and_of_different_ones_where_there_are_such():
    support = support_of("helmholtz", range(40))
    drawn = ExactExamples(support, 0, 1.0).draw(60)
    known = support.coefficients.unique(dim=0)
    assert (drawn.coefficients[:, None] == known).all(dim=2).any(dim=1).all()
    power, own = (
        torch.fft.fft2(fields).abs().flatten(1).sort(dim=1).values for fields in (drawn.source, support.source)
    )
    apart = torch.cdist(power, own).amin(dim=1) / torch.linalg.vector_norm(power, dim=1)
    assert (apart > 0.01).float().mean() > 0.9  # a single example's, wherever it is moved, is 0


def test_every_example_of_the_support_set_comes_before_any_comes_again():
    support = support_of("poisson", range(5))
    drawn = ExactExamples(support, 9, 0.0).draw(10)
    traces = drawn.coefficients[:, :2].sum(dim=1)
    for part in traces.split(5):
        np.testing.assert_allclose(sorted(part), sorted(support.coefficients[:, :2].sum(dim=1)), rtol=1e-6)


def test_the_seed_decides_what_is_drawn():
    one, again, other = (ExactExamples(support_of("poisson"), seed, 0.5).draw(12) for seed in (0, 0, 1))
    assert torch.equal(one.source, again.source)
    assert not torch.equal(one.source, other.source)


def test_a_system_without_symmetries_gives_none():
    with pytest.raises(NoSymmetriesError, match="the system 'poisson' declares no symmetries"):
        ExactExamples(support_of("poisson", symmetries=()), 0, 0.5)


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        (2, [2]),
        (slice(1, 5, 2), [1, 3]),
        (slice(None), [0, 1, 2, 3, 4, 5]),
        ([4, 0], [4, 0]),
        (torch.tensor([5, 5]), [5, 5]),
        (torch.tensor(3), [3]),
    ],
    ids=str,
)
def test_a_support_set_is_indexed_as_tensors_are_and_gives_batches(rows, places):
    support = support_of("poisson")
    some = support[rows]
    assert torch.equal(some.source, support.source[places])
    assert torch.equal(some.solution, support.solution[places])
    assert torch.equal(some.coefficients, support.coefficients[places])


def test_a_support_set_is_gone_through_one_example_after_another():
    support = support_of("poisson")
    assert [len(one) for one in support] == [1] * 6
    with pytest.raises(IndexError):
        support[6]
