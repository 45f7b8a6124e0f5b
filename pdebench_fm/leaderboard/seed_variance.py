"""How uncertain a model's overall error is because few seeds were tried, of all contenders of a ranking at once.

With A(t) for the variance that the seeds' means have on task t, over the number of seeds (`results.intervals`), the
mean log error over T tasks has Σ A(t) / T² from them if a seed's luck differs from task to task. It need not: a seed
stands for the random weights too, which a start from scratch has in common on all tasks. So the variance of the seeds'
means over tasks is looked at as well. Three seeds tell it badly (two degrees of freedom); its ratio to Σ A(t) / T² is
therefore averaged over the contenders with the same start, for which it has one cause. Counted is the largest of

* Σ A(t) / T²,
* that times the average ratio,
* the contender's own variance of its seeds' means over tasks.

The degrees of freedom are those of the ratio and of Σ A(t), together. In simulations, with three seeds whose luck is
correlated between tasks by 0 to 1, this keeps the orders of equal models below 5 % (`tests/leaderboard`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.leaderboard.records import ROUNDING
from pdebench_fm.leaderboard.run_scores import RunScores
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.intervals import parts_of_seeds

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SeedParts:
    """What seeds add to the variance of mean log errors, as `results.intervals.half_width` takes it.

    Attributes:
        excess: their part of the variance, beside that of the samples.
        of_seeds: what the variances of seeds' means add up to in it.
        squares: the sum of the squares of those, each over its degrees of freedom. All are (contenders,).
    """

    excess: Array
    of_seeds: Array
    squares: Array


@dataclass(frozen=True)
class SeededRun:
    """The scores of one run, and the numbers of its seeds in the same order."""

    scores: RunScores
    seeds: tuple[int, ...]


def seed_parts(runs: Sequence[Sequence[SeededRun]], starts: Sequence[Start]) -> SeedParts:
    """Return what seeds add to the variance of each contender's mean log error over tasks.

    Args:
        runs: (contenders, tasks).
        starts: (contenders,), how each starts.
    """
    variances = _Variances.of(runs)
    larger = np.maximum(variances.alone, variances.together)
    freedom = np.full(len(runs), np.inf)
    known = (variances.alone > ROUNDING**2) & (variances.freedom_together > 0.0)
    for start in set(starts):
        members = np.flatnonzero(known & (np.array(starts) == start))
        if len(members):
            weights = variances.freedom_together[members]
            ratio = float(weights @ (variances.together[members] / variances.alone[members])) / weights.sum()
            larger[members] = np.maximum(larger[members], variances.alone[members] * ratio)
            freedom[members] = np.maximum(weights.sum() / 2.0, weights)  # halved, as the two of a pair share the ratio
    added = larger - variances.alone
    of_seeds = variances.counted + added
    return SeedParts(
        excess=variances.excess + added,
        of_seeds=of_seeds,
        squares=of_seeds**2 * (1.0 / freedom + 1.0 / variances.freedom_alone),
    )


@dataclass(frozen=True)
class _Variances:
    """Parts of variances of means over tasks, each (contenders,).

    Attributes:
        alone: Σ A(t) / T², and `freedom_alone` its degrees of freedom.
        counted, excess: that of the tasks where A is above the interaction's C, and what is above it.
        together: the variance of the seeds' means over the tasks, of the seeds that all tasks have in common, over all
            seeds; and `freedom_together` its degrees of freedom, 0 where it is not known.
    """

    alone: Array
    freedom_alone: Array
    counted: Array
    excess: Array
    together: Array
    freedom_together: Array

    @classmethod
    def of(cls, runs: Sequence[Sequence[SeededRun]]) -> "_Variances":
        """Return the variances of (contenders, tasks) runs; those with the same seeds are computed at once."""
        alike: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
        for i, of_one in enumerate(runs):
            alike[tuple(run.seeds for run in of_one)].append(i)
        found = np.zeros((6, len(runs)))
        for seeds, members in alike.items():
            found[:, members] = _variances([[run.scores for run in runs[i]] for i in members], seeds)
        return cls(*found)


def _variances(runs: Sequence[Sequence[RunScores]], seeds: Sequence[tuple[int, ...]]) -> Array:
    """Return the values of `_Variances`, (6, contenders), of contenders with the same seeds on each task."""
    tasks = len(seeds)
    alone, squares, counted, excess, together, freedom_together = np.zeros((6, len(runs)))
    for task, numbers in enumerate(seeds):
        if len(numbers) > 1:
            means = np.stack([of_one[task].seeds for of_one in runs])
            raw = means.var(axis=-1, ddof=1) / len(numbers) / tasks**2
            part, above = parts_of_seeds(means, np.array([of_one[task].interaction for of_one in runs]))
            alone += raw
            squares += raw**2 / (len(numbers) - 1)
            counted += part / tasks**2
            excess += above / tasks**2
    common = sorted(set(seeds[0]).intersection(*seeds[1:]))
    if tasks > 1 and len(common) > 1:
        places = [[numbers.index(number) for number in common] for numbers in seeds]
        effects = np.array([[run.seeds[chosen] for run, chosen in zip(of_one, places, strict=True)] for of_one in runs])
        together = effects.mean(axis=1).var(axis=-1, ddof=1) / len(common)
        freedom_together = np.full(len(runs), len(common) - 1.0)
    freedom = np.divide(alone**2, squares, out=np.ones(len(runs)), where=squares > 0.0)
    return np.stack([alone, freedom, counted, excess, together, freedom_together])
