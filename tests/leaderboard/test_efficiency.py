"""Data-efficiency gains, against curves whose answer is known."""

import pytest
from factories import make_model, make_result, make_run
from hypothesis import given
from hypothesis import strategies as st

from pdebench_fm.leaderboard.board import make_boards
from pdebench_fm.leaderboard.efficiency import Needed, comparisons, shots_needed
from pdebench_fm.leaderboard.store import Entry, row_path

SHOTS = (8, 32, 128, 512)


def compare(*results):
    entries = [Entry(row_path(result), row_path(result).parts[1], result) for result in results]
    [board] = make_boards(entries)
    return comparisons(board)


@given(
    exponent=st.floats(0.1, 2),
    scale=st.floats(1e-3, 1e3),
    shots=st.floats(8.01, 511.9),
)
def test_a_power_law_is_inverted_exactly(exponent, scale, shots):
    scratch = {count: scale * count**-exponent for count in SHOTS}
    needed = shots_needed(scale * shots**-exponent, scratch)
    assert needed.relation == "="
    assert needed.shots == pytest.approx(shots, rel=1e-6)


def test_a_measured_error_gives_its_own_shots():
    assert shots_needed(0.5, {8: 0.9, 32: 0.5, 128: 0.2}).shots == pytest.approx(32)
    assert shots_needed(0.9, {8: 0.9, 32: 0.5}) == Needed(8, "=")


def test_an_error_outside_the_curve_gives_a_bound():
    assert shots_needed(0.01, {8: 0.9, 32: 0.5}) == Needed(32, ">")
    assert shots_needed(2.0, {8: 0.9, 32: 0.5}) == Needed(8, "<")


def test_of_a_noisy_curve_the_first_crossing_counts():
    needed = shots_needed(0.5, {8: 1.0, 32: 0.4, 128: 0.6, 512: 0.3})
    assert 8 < needed.shots < 32


def test_an_exact_model_is_handled():
    assert shots_needed(0.0, {8: 0.9, 32: 0.5}) == Needed(32, ">")
    assert shots_needed(0.0, {8: 0.9, 32: 0.0}).shots == pytest.approx(32)


def test_a_comparison_holds_both_starts_of_each_model():
    runs = [make_run((0.2,), shots=0), make_run((0.1,), shots=8)]
    scratch = [make_run((1.0,), start="scratch", shots=8), make_run((0.1,), start="scratch", shots=128)]
    [comparison] = compare(make_result(runs=runs + scratch))
    [curve] = comparison.curves
    assert comparison.shots == (0, 8, 128)
    assert curve.needed(8).shots == pytest.approx(128)
    assert curve.needed(0).relation == "="
    assert curve.needed(128) is None


def test_fresh_weights_are_shared_by_models_of_one_architecture():
    scratch = make_run((1.0,), start="scratch", shots=8)
    [comparison] = compare(
        make_result(model=make_model("fno-poisson-1m"), runs=[make_run((0.1,)), scratch]),
        make_result(model=make_model("fno-mixed-1m"), runs=[make_run((0.2,))]),
        make_result(model=make_model("fno-mixed-64k", size="64k", parameters=70_000), runs=[make_run((0.3,))]),
        make_result(model=make_model("acme/other"), runs=[make_run((0.4,))]),
    )
    borrowed = {curve.row.name: bool(curve.scratch) for curve in comparison.curves}
    assert borrowed == {"fno-poisson-1m": True, "fno-mixed-1m": True, "fno-mixed-64k": False, "other": False}


def test_scores_on_other_test_rows_are_not_compared_with_borrowed_ones():
    scratch = make_run((1.0,), start="scratch", shots=8)
    [comparison] = compare(
        make_result(model=make_model("fno-poisson-1m"), runs=[make_run((0.1,)), scratch]),
        make_result(model=make_model("fno-mixed-1m"), runs=[make_run((0.2,))], test_rows=16),
    )
    assert {curve.row.name: bool(curve.scratch) for curve in comparison.curves} == {
        "fno-poisson-1m": True,
        "fno-mixed-1m": False,
    }


def test_zero_shot_results_alone_make_no_comparison():
    assert compare(make_result(runs=[make_run((0.1,), shots=0)])) == []
