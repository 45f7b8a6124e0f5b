"""Intervals: that they hold the true mean as often as they say, and are what simple cases have them be."""

import numpy as np
import pytest
from scipy import stats

from pdebench_fm.results.intervals import interval_of_difference, interval_of_mean

EXPERIMENTS, SAMPLES = 2000, 300
SPREAD = {"normal": 0.3, "lognormal": 0.8}  # standard deviation of the samples' errors, over their mean


def draws(generator, law, shape, deviation):
    """Positive numbers of mean 1 with a standard deviation."""
    standard = generator.standard_normal(shape)
    if law == "normal":
        return 1.0 + deviation * standard
    sigma = np.sqrt(np.log1p(deviation**2))
    return np.exp(sigma * standard - sigma**2 / 2.0)


def seed_deviation(law, seeds, ratio):
    """Standard deviation between seeds that makes their part of the mean's variance `ratio` times the samples'."""
    return SPREAD[law] * np.sqrt(ratio * seeds / SAMPLES)


def coverage(interval, truth):
    low, high = interval
    return float(np.mean((low <= truth) & (truth <= high)))


LAWS = pytest.mark.parametrize("law", ["normal", "lognormal"])
RATIOS = pytest.mark.parametrize("ratio", [0.1, 1.0, 10.0])


@LAWS
@RATIOS
@pytest.mark.parametrize("seeds", [3, 10])
def test_the_interval_of_a_mean_covers_new_seeds_and_samples(seeds, ratio, law):
    generator = np.random.default_rng([seeds, int(10 * ratio)])
    effect = draws(generator, "normal", (EXPERIMENTS, seeds, 1), seed_deviation(law, seeds, ratio))
    errors = effect * draws(generator, law, (EXPERIMENTS, 1, SAMPLES), SPREAD[law])
    assert 0.92 <= coverage(interval_of_mean(errors), 1.0) <= 0.97


@LAWS
@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("seeds", [3, 10])
def test_what_seeds_and_samples_make_together_counts_once(seeds, ratio, law):
    generator = np.random.default_rng([7, seeds, int(10 * ratio)])
    together = draws(generator, law, (EXPERIMENTS, seeds, SAMPLES), SPREAD[law])
    effect = draws(generator, "normal", (EXPERIMENTS, seeds, 1), SPREAD[law] * np.sqrt(ratio / SAMPLES))
    assert 0.92 <= coverage(interval_of_mean(effect * together), 1.0) <= 0.975


def two_seed_coverage(law, ratio, samples_differ_by_seed):
    """Coverage of 4,000 experiments with two seeds."""
    generator = np.random.default_rng([2, int(10 * ratio)])
    samples = draws(generator, law, (4000, 2 if samples_differ_by_seed else 1, SAMPLES), SPREAD[law])
    effect = draws(generator, "normal", (4000, 2, 1), seed_deviation(law, 2, ratio))
    return coverage(interval_of_mean(effect * samples), 1.0)


def test_from_two_seeds_it_covers_87_to_97_percent_as_the_documentation_says():
    found = [
        two_seed_coverage(law, ratio, together)
        for law in SPREAD
        for ratio in (0.1, 0.3, 1.0, 3.0, 10.0)
        for together in (False, True)
    ]
    assert min(found) == pytest.approx(0.87, abs=0.005)
    assert max(found) == pytest.approx(0.97, abs=0.005)


@LAWS
@RATIOS
def test_from_one_seed_the_interval_covers_new_samples_of_that_seed(ratio, law):
    generator = np.random.default_rng([1, int(10 * ratio)])
    effect = draws(generator, "normal", (EXPERIMENTS, 1, 1), seed_deviation(law, 1, ratio))
    errors = effect * draws(generator, law, (EXPERIMENTS, 1, SAMPLES), SPREAD[law])
    assert 0.92 <= coverage(interval_of_mean(errors), effect[:, 0, 0]) <= 0.97


@LAWS
@RATIOS
@pytest.mark.parametrize("seeds", [(1, 1), (3, 3), (10, 10), (3, 10)])
def test_the_interval_of_a_difference_covers_new_seeds_and_samples(seeds, ratio, law):
    generator = np.random.default_rng([*seeds, int(10 * ratio)])
    shared = draws(generator, law, (EXPERIMENTS, 1, SAMPLES), SPREAD[law])
    sides, truths = [], []
    for mean, number in zip((1.0, 1.1), seeds, strict=True):
        own = draws(generator, law, (EXPERIMENTS, 1, SAMPLES), 0.2)
        deviation = 0.2 * np.sqrt(ratio * number / SAMPLES)
        effect = mean + deviation * generator.standard_normal((EXPERIMENTS, number, 1))
        sides.append(effect * shared * own)
        truths.append(effect[:, 0, 0] if number == 1 else mean)
    assert 0.92 <= coverage(interval_of_difference(*sides), truths[0] - truths[1]) <= 0.97


def test_without_seeds_it_is_students_interval_on_the_logarithmic_scale():
    errors = np.random.default_rng(0).lognormal(0.0, 0.5, 200)
    low, high = interval_of_mean(errors[None])
    reach = stats.t.ppf(0.975, 199) * errors.std(ddof=1) / np.sqrt(200) / errors.mean()
    assert (low, high) == pytest.approx((errors.mean() * np.exp(-reach), errors.mean() * np.exp(reach)))


def test_where_samples_are_alike_it_is_students_interval_over_the_seeds():
    means = np.array([1.0, 1.2, 1.1])
    low, high = interval_of_difference(np.tile(means[:, None], 50), np.zeros((1, 50)))
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, 1.1, 0.1 / np.sqrt(3)))


def test_where_seeds_are_alike_they_add_nothing():
    one = np.random.default_rng(0).lognormal(0.0, 0.5, (1, 200))
    assert interval_of_mean(np.tile(one, (3, 1))) == pytest.approx(interval_of_mean(one))


def test_paired_differences_are_narrower_than_either_interval():
    shared = np.random.default_rng(0).lognormal(0.0, 0.5, (1, 200))
    low, high = interval_of_difference(1.05 * shared, shared)
    assert low == pytest.approx(0.05 * shared.mean(), rel=0.2)
    assert high - low < 0.1 * np.subtract(*interval_of_mean(shared)[::-1])


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1.0, 1e150, 1e306])
def test_it_scales_with_the_errors_and_never_goes_below_zero(scale):
    errors = np.random.default_rng(0).lognormal(0.0, 1.0, (2, 20))
    low, high = interval_of_mean(scale * errors)
    assert 0.0 <= low < scale * errors.mean() < high < np.inf
    assert (low / scale, high / scale) == pytest.approx(interval_of_mean(errors))


def test_an_exact_model_has_an_exact_interval():
    assert interval_of_mean(np.zeros((3, 8))) == (0.0, 0.0)
