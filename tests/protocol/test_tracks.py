"""The protocol's data: support sets, tracks, recipes, intervals."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdebench_fm.errors import UsageError
from pdebench_fm.protocol.recipes import PROTOCOL_TABLE, adaptation_recipe
from pdebench_fm.protocol.task import load_task
from pdebench_fm.protocol.tracks import (
    find_track,
    support_indices,
)
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.search import SearchRecipe


@settings(max_examples=25, deadline=None)
@given(shots=st.integers(0, 500), more=st.integers(0, 500), seed=st.integers(0, 2**31))
def test_support_sets_are_nested_without_repetition(shots, more, seed):
    small = support_indices("poisson-ood/medium", shots, 1000, seed)
    large = support_indices("poisson-ood/medium", min(1000, shots + more), 1000, seed)
    assert large[:shots] == small
    assert len(set(large)) == len(large)
    assert all(0 <= index < 1000 for index in large)


def test_support_sets_differ_between_seeds_and_tasks_and_are_fixed_for_ever():
    chosen = support_indices("poisson-ood/medium", 8, 32768, 0)
    assert chosen != support_indices("poisson-ood/medium", 8, 32768, 1)
    assert chosen != support_indices("poisson-ood/hard", 8, 32768, 0)
    assert chosen == [24170, 11719, 20759, 31119, 5415, 18212, 29210, 18929]


@pytest.mark.parametrize("shots", [-1, 1001])
def test_impossible_shots_are_refused_with_what_is_possible(shots):
    with pytest.raises(UsageError, match=r"0 \(zero-shot\)|at most 1000"):
        support_indices("poisson-ood/medium", shots, 1000, 0)


def test_unknown_track_names_the_nearest_one():
    with pytest.raises(UsageError, match="lite"):
        find_track("light")


def test_an_unranked_track_is_a_grid_and_a_number_of_rows():
    track = find_track("n256-rows32")
    assert (track.name, track.resolution, track.test_rows) == ("n256-rows32", 256, 32)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("n100-rows32", "16, 32, 64, 128, 256, 384 or 512, not 100"),
        ("n8-rows32", "unknown track|not 8"),
        ("n999-rows32", "not 999"),
        ("n64-rows1", "2 to 4096 test rows, not 1"),
        ("n64-rows9999", "not 9999"),
        ("n64-row32", "did you mean"),
    ],
)
def test_a_track_that_cannot_be_is_refused(name, message):
    with pytest.raises(UsageError, match=message):
        find_track(name)


def test_rows_of_a_finer_track_are_the_same_functions_at_more_points():
    task = load_task("helmholtz-ood/medium")
    coarse, fine = (task.test_batch(name) for name in ("n128-rows2", "n256-rows2"))
    assert fine.source.shape == (2, 256, 256)
    assert torch.allclose(fine.source[:, ::2, ::2], coarse.source, atol=1e-6)
    assert torch.allclose(fine.solution[:, ::2, ::2], coarse.solution, atol=1e-5)
    assert torch.equal(fine.coefficients, coarse.coefficients)


def test_a_row_of_the_recipe_table_holds_up_to_the_next():
    for row, following in pairwise(PROTOCOL_TABLE):
        assert adaptation_recipe("scratch", following.shots - 1) == adaptation_recipe("scratch", row.shots)
        assert adaptation_recipe("pretrained", row.shots + 1).whole.steps == row.pretrained.steps


def test_the_papers_recipe_is_the_same_for_all():
    assert adaptation_recipe("scratch", 8, "paper") == adaptation_recipe("pretrained", 2048, "paper") == SearchRecipe()
    assert SearchRecipe().learning_rates == (1e-5, 5e-5, 1e-4, 5e-4, 1e-3)
    assert SearchRecipe().steps(129) == 5 * 500 * 2


def test_every_standard_number_of_shots_has_a_recipe_for_both_starts():
    for shots in (8, 32, 128, 512, 2048, 8192, 32768):
        pretrained, scratch = (adaptation_recipe(start, shots) for start in ("pretrained", "scratch"))
        assert scratch.steps > pretrained.whole.steps
        assert scratch.learning_rate > pretrained.whole.learning_rate
        assert pretrained.whole.batch_size == scratch.batch_size


def test_either_half_of_a_support_set_is_adapted_to_by_the_settings_for_its_size():
    recipe = adaptation_recipe("pretrained", 33)
    assert (recipe.whole, recipe.half) == (
        adaptation_recipe("pretrained", 32).whole,
        adaptation_recipe("pretrained", 17).whole,
    )
    assert recipe.half != recipe.whole
    assert isinstance(adaptation_recipe("pretrained", 1), AdaptationRecipe)  # which has no halves
