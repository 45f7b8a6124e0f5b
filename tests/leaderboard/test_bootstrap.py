"""Orders of models: right as often as they say, in simulations with models of known quality; and each of its pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pdebench_fm.leaderboard import bootstrap
from pdebench_fm.leaderboard.bootstrap import covariance_over_samples, holm, log_errors, significantly_better
from pdebench_fm.leaderboard.run_scores import run_scores
from pdebench_fm.leaderboard.seed_variance import SeededRun, SeedParts, seed_parts

LEVEL = 0.05
DRAWS = 300


def simulated(generator, qualities, tasks=4, samples=128, seeds=1, luck=0.0, alike=0.0, skew=0.8):
    """Which of simulated models are better, (models, models), by skewed errors that are paired by sample.

    The logarithms of errors are normal: 70 % of their variance over samples is common to all models. A seed's `luck` is
    its standard deviation between seeds, of which the part `alike` is the same on all tasks.
    """
    models = len(qualities)
    covariance, means, runs = np.zeros((models, models)), np.empty((models, tasks)), [[] for _ in qualities]
    of_seed = generator.normal(size=(models, seeds))
    for task in range(tasks):
        logs = np.log(qualities)[:, None, None] + skew * np.sqrt(0.7) * generator.normal(size=samples)
        logs = logs + skew * np.sqrt(0.3) * generator.normal(size=(models, 1, samples))
        own = generator.normal(size=(models, seeds))
        logs = logs + luck * (np.sqrt(alike) * of_seed + np.sqrt(1 - alike) * own)[:, :, None]
        logs = logs + (seeds > 1) * 0.2 * generator.normal(size=(models, seeds, samples))
        for model, errors in enumerate(np.exp(logs)):
            runs[model].append(SeededRun(run_scores(errors), tuple(range(seeds))))
            means[model, task] = errors.mean()
        relative = np.stack([run[task].scores.samples for run in runs]).astype(float)
        key = str(generator.integers(2**60))
        covariance += covariance_over_samples(relative, means[:, task], key, DRAWS) / tasks**2
    parts = seed_parts(runs, ["scratch"] * models)
    return significantly_better(log_errors(means).mean(axis=1), covariance, parts, samples)


@pytest.mark.parametrize(
    "setting",
    [
        {"models": 6},
        {"models": 3, "skew": 1.5, "samples": 256},
        {"models": 6, "seeds": 3, "luck": 0.1},
        {"models": 6, "seeds": 3, "luck": 0.3, "alike": 0.5, "tasks": 12, "samples": 64},
        {"models": 4, "seeds": 3, "luck": 0.3, "alike": 1.0},
        {"models": 4, "seeds": 3, "luck": 0.1, "tasks": 1},
        {"models": 4, "seeds": 2, "luck": 0.1},
    ],
    ids=lambda setting: ", ".join(f"{value} {name}" for name, value in setting.items()),
)
def test_equal_models_are_ordered_in_less_than_5_percent_of_rankings(setting):
    generator = np.random.default_rng(0)
    rankings = 300
    setting = dict(setting)
    qualities = np.full(setting.pop("models"), 0.1)
    ordered = sum(simulated(generator, qualities, **setting).any() for _ in range(rankings))
    assert ordered / rankings <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / rankings)


@pytest.mark.parametrize("seeds", [1, 3])
def test_clearly_different_models_are_ordered(seeds):
    generator = np.random.default_rng(1)
    for _ in range(20):
        better = simulated(generator, 0.1 * 2.0 ** np.arange(6), seeds=seeds, luck=0.05)
        assert (better == np.triu(np.ones((6, 6), dtype=bool), 1)).all()


def test_of_models_that_are_close_those_that_are_ordered_are_ordered_right():
    generator = np.random.default_rng(2)
    wrong, right, rankings = 0, 0, 200
    for _ in range(rankings):
        better = simulated(generator, 0.1 * 1.05 ** np.arange(6))
        wrong += np.tril(better).any()
        right += np.triu(better).sum()
    assert wrong / rankings <= LEVEL
    assert 0.1 < right / rankings / 15 < 0.9  # the question is neither easy nor hopeless


def test_of_equal_and_different_models_together_only_equal_ones_are_tied():
    generator = np.random.default_rng(3)
    qualities = np.array([0.05, 0.1, 0.1, 0.1, 0.3])
    equal = qualities[:, None] == qualities
    ordered, rankings = 0, 200
    for _ in range(rankings):
        better = simulated(generator, qualities)
        assert (better | better.T | equal).all()
        ordered += (better & equal).any()
    assert ordered / rankings <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / rankings)


def test_the_covariance_over_samples_is_that_of_the_delta_method_where_there_are_many():
    generator = np.random.default_rng(4)
    errors = np.exp(generator.normal(size=2000) + 0.3 * generator.normal(size=(3, 2000)))
    relative = errors / errors.mean(axis=1, keepdims=True)
    found = covariance_over_samples(relative, errors.mean(axis=1), "rows", 4000)
    assert found == pytest.approx(np.cov(relative) / 2000, rel=0.1)


def test_the_covariance_over_samples_is_that_of_resampling_in_a_plain_loop():
    generator = np.random.default_rng(5)
    errors = np.exp(generator.normal(size=(3, 12)))  # so few that the logarithm is far from straight
    means = errors.mean(axis=1)
    found = covariance_over_samples(errors / means[:, None], means, "rows", 20_000)
    drawn = [np.log(errors[:, generator.integers(12, size=12)].mean(axis=1)) for _ in range(20_000)]
    assert found == pytest.approx(np.cov(np.array(drawn).T) * 12 / 11, rel=0.05, abs=0.002)


def test_the_draws_are_those_of_the_rows_alone():
    errors = np.exp(np.random.default_rng(6).normal(size=(3, 50)))
    means = np.ones(3)
    first = covariance_over_samples(errors, means, "rows", 100)
    assert (covariance_over_samples(errors, means, "rows", 100) == first).all()
    assert covariance_over_samples(errors[:2], means[:2], "rows", 100) == pytest.approx(first[:2, :2], rel=1e-12)
    assert covariance_over_samples(errors, means, "other rows", 100) != pytest.approx(first, rel=1e-3)


def test_long_splits_are_drawn_in_blocks(monkeypatch):
    errors = np.exp(np.random.default_rng(7).normal(size=(3, 50)))
    whole = covariance_over_samples(errors, np.ones(3), "rows", 101)
    monkeypatch.setattr("pdebench_fm.leaderboard.bootstrap._BLOCK", 130)
    assert covariance_over_samples(errors, np.ones(3), "rows", 101) == pytest.approx(whole, rel=1e-12)


def rejected_one_by_one(probabilities, level):
    """Holm's procedure as he words it: the smallest is held to level / n, the next to level / (n - 1), … ."""
    left = dict(enumerate(probabilities))
    rejected = []
    while left:
        smallest = min(left, key=left.get)
        if left.pop(smallest) > level / (len(left) + 1):
            break
        rejected.append(smallest)
    return sorted(rejected)


@given(arrays(float, st.integers(0, 12), elements=st.floats(0, 0.2)))
def test_holm_rejects_one_after_another(probabilities):
    assert np.flatnonzero(holm(probabilities)).tolist() == rejected_one_by_one(probabilities, 0.05)


def test_holm_on_an_example_of_old():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == [True, False, False, True]
    assert holm(np.array([])).tolist() == []


def seeded(effects, seeds=None):
    """A run on four samples without noise, with these relative errors of the seeds."""
    errors = np.repeat(np.asarray(effects, float)[:, None], 4, axis=1)
    return SeededRun(run_scores(errors), tuple(range(len(effects))) if seeds is None else seeds)


def test_seeds_whose_luck_is_the_same_on_all_tasks_count_as_one_draw():
    effects = [0.9, 1.0, 1.1]
    parts = seed_parts([[seeded(effects)] * 4], ["scratch"])
    assert parts.excess == pytest.approx(0.01 / 3)
    assert 1.0 < parts.of_seeds[0] ** 2 / parts.squares[0] <= 2.0  # degrees of freedom


def test_seeds_of_other_numbers_are_other_draws():
    runs = [[seeded([0.9, 1.0, 1.1], (3 * task, 3 * task + 1, 3 * task + 2)) for task in range(4)]]
    parts = seed_parts(runs, ["scratch"])
    assert parts.excess == pytest.approx(0.01 / 3 / 4)
    assert parts.of_seeds**2 / parts.squares == pytest.approx(8.0)


def test_a_single_seed_or_seeds_without_luck_add_nothing():
    for run in (seeded([1.0]), seeded([1.0, 1.0, 1.0])):
        parts = seed_parts([[run] * 4], ["pretrained"])
        assert (parts.excess, parts.of_seeds, parts.squares) == (0.0, 0.0, 0.0)


def test_contenders_that_start_alike_say_together_how_alike_luck_is():
    same = [seeded([0.9, 1.0, 1.1])] * 4
    own = [seeded(effects) for effects in ([0.9, 1.0, 1.1], [1.1, 0.9, 1.0], [1.0, 1.1, 0.9], [1.0, 1.0, 1.0])]
    alone = sum(run.scores.seeds.var(ddof=1) for run in own) / 3 / 16
    together = seed_parts([same, own], ["scratch", "scratch"]).excess
    apart = seed_parts([same, own], ["scratch", "pretrained"]).excess
    assert apart == pytest.approx([0.01 / 3, alone])
    assert together == pytest.approx([0.01 / 3, alone * (4 + 0) / 2])  # ratios of 4 and 0


def test_pairs_that_are_left_aside_are_those_that_holm_would_not_reject(monkeypatch):
    """With and without them the same orders are found, in rankings of which few, some and most pairs are ordered."""
    generator = np.random.default_rng(3)
    for spread in (0.0, 0.02, 0.1, 1.0):
        models = 60
        logs = generator.normal(scale=spread, size=models)
        covariance = np.diag(generator.uniform(1e-4, 4e-3, size=models))
        seeds = SeedParts(*generator.uniform(0, 1e-3, size=(2, models)), generator.uniform(1e-8, 1e-7, size=models))
        quick = significantly_better(logs, covariance, seeds, 512)
        with monkeypatch.context() as patch:
            patch.setattr(bootstrap, "_least_rejected", lambda _statistic, _pairs: 1e-300)
            assert (significantly_better(logs, covariance, seeds, 512) == quick).all()
        assert (spread < 0.05) or quick.any()
