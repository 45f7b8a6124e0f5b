"""Measures: what they are of errors by hand calculation, and that their intervals hold what they should."""

from math import inf

import numpy as np
import pytest
from pydantic import TypeAdapter
from studies_rows import key, row

from pdebench_fm.studies.claims import Claim, UntoldError, questions_of
from pdebench_fm.studies.measures import (
    Told,
    bootstrapped,
    examples,
    gain,
    largest_ratio,
    slope,
    slope_between,
    smallest_step,
)
from pdebench_fm.studies.table import table_of

CURVE = [key(shots, "scratch") for shots in (8, 32, 128)]
ERRORS = dict(zip(CURVE, (0.4, 0.2, 0.1), strict=True))


@pytest.mark.parametrize(
    ("error", "told"),
    [(0.4, Told(8, 8)), (0.2, Told(32, 32)), (0.1, Told(128, 128)), (0.5, Told(0.0, 8)), (0.05, Told(128, inf))],
)
def test_examples_needed_are_those_of_the_curve_or_beyond_it(error, told):
    found = examples(ERRORS, CURVE, error)
    assert found.low == pytest.approx(told.low)
    assert found.high == pytest.approx(told.high)


def test_between_two_runs_examples_follow_a_power_law():
    assert examples(ERRORS, CURVE, 0.2 / 2**0.5).low == pytest.approx(64)


def test_a_gain_is_in_multiples_of_the_examples_given():
    adapted = key(8)
    found = gain(ERRORS | {adapted: 0.2}, adapted, CURVE)
    assert (found.low, found.high) == (pytest.approx(4), pytest.approx(4))


def test_an_unreached_error_passes_a_bound_at_the_most_that_was_tried():
    adapted = key(128)
    found = gain(ERRORS | {adapted: 0.05}, adapted, CURVE)
    assert 1 < found.low < 1 + 1e-9
    assert found.high == inf


def test_a_power_law_has_its_exponent():
    sizes = [1e3, 1e4, 1e6]
    assert slope(sizes, [5 * size**-0.37 for size in sizes]) == pytest.approx(-0.37)


def test_the_smallest_step_is_the_least_increase():
    keys = [key(model=name) for name in "abc"]
    assert smallest_step(dict(zip(keys, (1.0, 3.0, 6.0), strict=True)), keys) == 2.0


def test_the_interval_of_a_ratio_is_that_of_independent_lognormal_errors():
    a, b = key(), key(8)
    table = table_of([row(a, 0.2, spread=1.2), row(b, 0.1, spread=1.1)])
    found = bootstrapped(table, [a, b], lambda errors: errors[a] / errors[b])
    reach = np.hypot(np.log(1.2), np.log(1.1))
    assert found.value == pytest.approx(2.0)
    assert np.log([found.low, found.high]) == pytest.approx([np.log(2) - reach, np.log(2) + reach], abs=0.02)
    assert bootstrapped(table, [b, a], lambda errors: errors[a] / errors[b]) == found  # whatever the order


def test_intervals_hold_the_true_ratio_in_95_percent_of_studies():
    random = np.random.default_rng(0)
    a, b, held = key(), key(8), 0
    for _ in range(200):
        errors = [0.2 * np.exp(0.1 * random.standard_normal()), 0.1 * np.exp(0.2 * random.standard_normal())]
        spreads = np.exp(1.96 * np.array([0.1, 0.2]))
        table = table_of([row(of, *each) for of, each in zip((a, b), zip(errors, spreads, strict=True), strict=True)])
        found = bootstrapped(table, [a, b], lambda errors: errors[a] / errors[b])
        held += found.low <= 2.0 <= found.high
    assert 182 <= held <= 199  # 95 % and three standard deviations of the count


def test_the_largest_of_many_equal_ratios_is_not_taken_for_a_difference():
    random = np.random.default_rng(1)
    pairs = [(key(shots), key(shots, "scratch")) for shots in range(1, 41)]
    claimed = naive = 0
    for _ in range(100):
        rows = [row(of, 0.1 * np.exp(0.1 * random.standard_normal()), np.exp(0.196)) for pair in pairs for of in pair]
        table = table_of(rows)
        claimed += largest_ratio(table, pairs).low > 1
        naive += max(largest_ratio(table, [pair]).low for pair in pairs) > 1
    assert claimed <= 11  # 5 % and three standard deviations of the count; one side of the interval is 2.5 %
    assert naive > 40  # which shows that the correction is needed


def test_the_largest_ratio_is_found_and_far_ones_are_seen():
    pairs = [(key(shots), key(shots, "scratch")) for shots in (8, 32)]
    errors = {pairs[0][0]: 0.1, pairs[0][1]: 0.2, pairs[1][0]: 0.3, pairs[1][1]: 0.1}
    found = largest_ratio(table_of([row(of, error) for of, error in errors.items()]), pairs)
    assert found.value == pytest.approx(3.0)
    assert 2.5 < found.low < 3 < found.high < 3.5


CLAIMS = {
    "slope": (
        {"measure": "slope", "of": {"task": "poisson-ood/medium"}, "models": ["a", "b", "c"], "against": "parameters"},
        -0.5,
    ),
    "steps": (
        {"measure": "slope", "of": {"task": "poisson-ood/medium"}, "models": ["a", "b", "c"], "against": "steps"},
        -1.0,
    ),
    "optimum": ({"measure": "optimum", "of": {"task": "poisson-ood/medium"}, "models": ["a", "b", "c"]}, 400.0),
    "gain-slope": (
        {
            "measure": "gain-slope",
            "of": {"task": "poisson-ood/medium", "shots": 8},
            "curve": {"task": "poisson-ood/medium", "start": "scratch"},
            "models": ["a", "b", "c"],
        },
        0.5,
    ),
    "largest": (
        {
            "measure": "largest-ratio",
            "each": [{"task": "poisson-ood/medium"}],
            "of": {"model": "c"},
            "over": [{"model": "a"}, {"model": "b"}],
        },
        0.5,
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_about_several_models_measure_what_they_say(name):
    said, expected = CLAIMS[name]
    sizes = {"a": (1000, 100), "b": (4000, 200), "c": (16000, 400)}
    rows = []
    for model, (parameters, steps) in sizes.items():
        error = parameters**-0.5
        of = {"parameters": parameters, "pretraining_steps": steps}
        rows.append(row(key(model=model), error, 1.0001, **of))
        reached = 8 * (parameters / 1000) ** 0.5  # by so many examples from scratch: a gain by the power 1/2
        rows.append(row(key(8, model=model), reached**-1.0, 1.0001, **of))
        rows += [row(key(k, "scratch", model=model), 1 / k, 1.0001, **of) for k in (4, 8, 16, 32, 64)]
    table = table_of(rows)
    (question,) = questions_of("claim", parsed(said), "lite", set(table), ValueError)
    found = question.estimate(table)
    assert found.value == pytest.approx(expected, rel=1e-3)
    assert found.low - 1e-3 <= expected <= found.high + 1e-3


def test_the_exponent_of_gains_that_are_beyond_the_runs_cannot_be_told():
    said, _ = CLAIMS["gain-slope"]
    for few, untold in ((0.05, False), (0.01, True)):  # 64 from scratch have 1/64
        rows = []
        for model, parameters in {"a": 1000, "b": 4000, "c": 16000}.items():
            of = {"parameters": parameters, "pretraining_steps": 100}
            rows.append(row(key(8, model=model), few, 1.0001, **of))
            rows += [row(key(k, "scratch", model=model), 1 / k, 1.0001, **of) for k in (4, 8, 16, 32, 64)]
        table = table_of(rows)
        (question,) = questions_of("claim", parsed(said), "lite", set(table), ValueError)
        if untold:
            with pytest.raises(UntoldError, match="beyond the runs from scratch"):
                question.estimate(table)
        else:
            assert question.estimate(table).value == pytest.approx(0.0, abs=1e-3)


def test_an_exponent_lies_between_what_bounds_of_its_values_allow():
    x, random = [1.0, 3.0, 20.0], np.random.default_rng(0)
    low, high = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.5, 9.0])
    found = slope_between(x, [Told(*ends) for ends in zip(low, high, strict=True)])
    drawn = [slope(x, random.uniform(low, high)) for _ in range(2000)]
    assert found.low < min(drawn) < found.low + 0.05
    assert found.high - 0.05 < max(drawn) < found.high
    assert slope_between(x, [Told(y, y) for y in low]).low == pytest.approx(slope(x, low))
    assert slope_between(x, [Told(1.0, 1.0), Told(1.0, 1.0), Told(2.0, np.inf)]).high == np.inf


def parsed(said):
    return TypeAdapter(Claim).validate_python({"says": "so", **said})


def test_a_claim_is_asked_for_each_combination_with_what_each_says():
    runs = {key(shots, start, model) for shots in (0, 8, 32) for start in ("pretrained", "scratch") for model in "ab"}
    claim = parsed(
        {
            "measure": "ratio",
            "each": [{"model": "a"}, {"model": "b"}],
            "shots": "every",
            "of": {"task": "poisson-ood/medium"},
            "to": {"task": "poisson-ood/medium", "start": "scratch"},
        }
    )
    questions = list(questions_of("c", claim, "lite", runs, ValueError))
    assert [question.name for question in questions] == [
        f"c ({model}, {shots} shots)" for model in "ab" for shots in (8, 32)
    ]
    assert questions[1].needs == (key(32, model="a"), key(32, "scratch", "a"))
