"""Time and memory of the leaderboard's ranking, and how its standard errors compare with those of an independent one.

The models are made up: lognormal errors on the twelve tasks of the lite track (512 samples), three seeds each. What is
timed is everything after the rows were read: boards, and the four rankings (overall and by system). The reference is
`scipy.stats.bootstrap`, paired, with as many draws, on a few pairs of models; its time for all pairs is that of these
few, multiplied.

    python scripts/bench/ranking.py [200]
"""

import resource
import sys
import time

import numpy as np
import scipy.stats

from leaderboard import RANKED, ROWS, made, named
from pdebench_fm.leaderboard.bootstrap import DRAWS, covariance_over_samples
from pdebench_fm.leaderboard.ranking import rankings
from pdebench_fm.leaderboard.run_scores import run_scores
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.results.paths import row_path

SETTING = ("pretrained", 8)
SEEDS = 3
PAIRS = 3


def scores_of_models(models, generator):
    """Return errors by task, (models, seeds, samples): paired by sample, models from good to bad."""
    qualities = 0.05 + 0.005 * np.arange(models)
    return {
        task: qualities[:, None, None]
        * np.exp(
            0.6 * generator.normal(size=ROWS)
            + 0.3 * generator.normal(size=(models, 1, ROWS))
            + 0.1 * generator.normal(size=(models, SEEDS, 1))
        )
        for task in RANKED
    }


def entries_of(scores):
    """Return the rows of the leaderboard that have these scores, as they are when they were read."""
    entries = []
    for task, errors in scores.items():
        result = made(task, np.random.default_rng(0)).result
        [run] = [run for run in result.runs if (run.start, run.shots) == SETTING]
        for number, of_model in enumerate(errors):
            summary = run.summary.model_copy(update={"mean": float(of_model.mean())})
            runs = (run.model_copy(update={"summary": summary}),)
            one = result.model_copy(update={"model": named(number), "runs": runs})
            path = row_path(one)
            entries.append(Entry(path, path.parts[1], one, scores={SETTING: run_scores(of_model)}))
    return entries


def standard_error(first, second, generator):
    """Return that of the mean over tasks of log(mean error), first minus second, and the seconds that it took."""

    def difference(one, other, axis=-1):
        return np.log(one.mean(axis=axis)) - np.log(other.mean(axis=axis))

    start = time.perf_counter()
    variance = 0.0
    for one, other in zip(first, second, strict=True):
        found = scipy.stats.bootstrap(
            (one, other), difference, n_resamples=DRAWS, paired=True, method="percentile", rng=generator
        )
        variance += found.standard_error**2
    return np.sqrt(variance) / len(first), time.perf_counter() - start


def main():
    """Print both."""
    models = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    generator = np.random.default_rng(0)
    scores = scores_of_models(models, generator)
    entries = entries_of(scores)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, processor = time.perf_counter(), time.process_time()
    found = rankings(entries)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ranks = [standing.rank for standing in found[0].standings]
    print(f"{models} models, {len(RANKED)} tasks, {ROWS} samples, {SEEDS} seeds, {DRAWS} draws: {len(found)} rankings")
    print(f"{seconds:.1f} s ({processor:.1f} s of processors), {memory:.0f} MiB at most, of which {before:.0f} before")
    print(f"{len(set(ranks))} different ranks, the last {max(ranks)}")

    relative = {task: errors.mean(axis=1) / errors.mean(axis=(1, 2))[:, None] for task, errors in scores.items()}
    pairs = [(0, 1 + i) for i in range(PAIRS)]
    covariance = sum(covariance_over_samples(each, np.ones(models), task) for task, each in relative.items())
    covariance = covariance / len(relative) ** 2
    took = 0.0
    for i, j in pairs:
        ours = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
        sides = [[each[model] for each in relative.values()] for model in (i, j)]
        reference, seconds = standard_error(*sides, generator)
        took += seconds
        print(f"models {i} and {j}: standard error {ours:.5f}, by scipy.stats.bootstrap {reference:.5f}")
    every = models * (models - 1) // 2
    print(
        f"scipy: {took / PAIRS:.2f} s a pair (measured on {PAIRS}), so {took / PAIRS * every:,.0f} s for all {every:,}"
    )


if __name__ == "__main__":
    main()
