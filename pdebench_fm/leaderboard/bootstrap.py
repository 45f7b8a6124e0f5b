"""Which of many models differ in their overall error, by a bootstrap that is paired by test sample: arrays alone.

The overall error of a model is the geometric mean of its errors over tasks, so its logarithm is the mean over tasks of
log(mean error). Two models' difference of that has a variance of two parts, as `results.intervals` says:

* of test samples: each task's samples are drawn anew with replacement, the same ones for all models, and the covariance
  of the models' log(mean error) over such draws is taken (the paired bootstrap: Efron and Tibshirani 1993, An
  Introduction to the Bootstrap, chapters 6 and 8). Test splits of different tasks are independent, so tasks add up;
* of seeds, of which few were drawn: their analysis of variance, by the delta method on the logarithm
  (`leaderboard.seed_variance`). Seeds of two models are taken as independent, though both may have been given the same
  support sets, which makes orders more cautious.

The difference over its standard error is held to a Student's t. Its tail is the mean of those with the samples' and
with the seeds' degrees of freedom (Satterthwaite's), by the weight that the quantile of an interval has there.

Of all pairs of one ranking those count as ordered that Holm's procedure rejects (Scandinavian Journal of Statistics 6,
1979): however many models there are, and whichever of them are equal, the probability that a ranking orders any pair of
equal models is held to 5 %.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from pdebench_fm.leaderboard.records import ROUNDING
from pdebench_fm.leaderboard.seed_variance import SeedParts
from pdebench_fm.results.intervals import LEVEL, POWER, freedom_and_share

DRAWS = 2000
"""Of each task's samples: a standard error from so many is right to 1.6 %."""

_HOLM_LEVEL = 1.0 - LEVEL
_BLOCK = 2**20  # samples drawn at once

Array = NDArray[np.float64]


def log_errors(means: Array) -> Array:
    """Return the logarithms of mean errors, those below `ROUNDING` as that: they are zero to what a field holds."""
    logs: Array = np.log(np.maximum(means, ROUNDING))
    return logs


def covariance_over_samples(relative: Array, means: Array, key: str, draws: int = DRAWS) -> Array:
    """Return the covariance of models' log(mean error) on one task over new test samples.

    Args:
        relative: (models, samples), errors over their mean, averaged over seeds.
        means: (models,), the mean errors.
        key: of the random draws: a digest of the rows that were scored, so that nothing else changes them.
        draws: of the samples.

    Returns:
        (models, models).
    """
    models, samples = relative.shape
    relative = np.where((means > ROUNDING)[:, None], relative, 1.0)
    floors = ROUNDING / np.maximum(means, ROUNDING)
    seed = int.from_bytes(hashlib.sha256(f"pdebench_fm ranking\x1f{key}".encode()).digest()[:16], "little")
    generator = np.random.Generator(np.random.Philox(key=seed))
    logs = np.empty((draws, models))
    step = max(_BLOCK // samples, 1)
    for start in range(0, draws, step):
        count = min(step, draws - start)
        drawn = generator.integers(samples, size=(count, samples)) + samples * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * samples).reshape(count, samples)
        logs[start : start + count] = np.log(np.maximum(times / samples @ relative.T, floors))
    logs -= logs.mean(axis=0)
    covariance: Array = logs.T @ logs * (samples / (samples - 1) / (draws - 1))  # a bootstrap's divisor is samples
    return covariance


def significantly_better(logs: Array, covariance: Array, of_seeds: SeedParts, samples: int) -> NDArray[np.bool_]:
    """Return for each pair of models whether the first is better, so that it is hardly chance.

    Args:
        logs: (models,), mean log errors over tasks.
        covariance: (models, models), of those over test samples.
        of_seeds: what seeds add to their variance.
        samples: of the task that has the fewest.

    Returns:
        (models, models), true at [i, j] where i is better than j.
    """
    models, spread = len(logs), covariance.diagonal()
    variance = -2.0 * covariance  # (models, models), as all that follows until most pairs are left aside
    variance += spread
    variance += spread[:, None]
    np.maximum(variance, 0.0, out=variance)
    variance += of_seeds.excess
    variance += of_seeds.excess[:, None]
    np.maximum(variance, ROUNDING**2, out=variance)  # scores that don't vary differ by their rounding
    statistic = np.abs(logs - logs[:, None])
    statistic /= np.sqrt(variance)
    statistic = np.triu(statistic, 1)
    pairs = models * (models - 1) // 2
    # Of many models most pairs are not far apart, and their probability is dear.
    first, second = np.nonzero(statistic >= _least_rejected(statistic[statistic > 0.0], pairs))
    variance, statistic = variance[first, second], statistic[first, second]
    part, squares = (values[first] + values[second] for values in (of_seeds.of_seeds, of_seeds.squares))
    difference = logs[second] - logs[first]
    rejected = holm(_two_sided(statistic, variance, samples, part, squares), pairs)
    better = np.zeros((len(logs), len(logs)), dtype=np.bool_)
    better[first, second] = rejected & (difference > 0.0)
    better[second, first] = rejected & (difference < 0.0)
    return better


def holm(probabilities: Array, hypotheses: int | None = None, level: float = _HOLM_LEVEL) -> NDArray[np.bool_]:
    """Return which hypotheses Holm's step-down procedure rejects, so that any false one is among them by `level`.

    Args:
        probabilities: of what was seen, under each hypothesis.
        hypotheses: how many there are, if more than those: the others are known not to be rejected.
        level: by which any false one may be among the rejected.
    """
    order = np.argsort(probabilities, kind="stable")
    count = len(order)
    kept = probabilities[order] > level / ((hypotheses or count) - np.arange(count))
    rejected = np.zeros(count, dtype=np.bool_)
    rejected[order[: int(kept.argmax()) if kept.any() else count]] = True
    return rejected


def _least_rejected(statistic: Array, pairs: int) -> float:
    """Return a statistic above 0 below which Holm's procedure rejects no pair; of the pairs not given it is 0.

    A Student's tail is above the normal one. So of pairs whose normal tail is above the level none is rejected; if
    there are m of those, none whose tail is above level / (m + 1) is either, as at most the others come before it.
    """
    kept = 0
    for _ in range(3):
        least = float(-ndtri(_HOLM_LEVEL / (kept + 1) / 2.0))
        kept = pairs - int(np.count_nonzero(statistic >= least))
    return least


def _two_sided(statistic: Array, variance: Array, samples: int, part: Array, squares: Array) -> Array:
    """Return the probability that chance gives a statistic so large."""
    tail: Array = stdtr(samples - 1, -statistic)
    freedom, share = freedom_and_share(variance, part, squares)
    varied = share > 0.0
    tail[varied] += (stdtr(freedom[varied], -statistic[varied]) - tail[varied]) * share[varied] ** POWER
    return 2.0 * tail
