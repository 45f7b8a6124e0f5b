"""What is kept of a run's per-sample scores to rank it by: the samples' part of its variance, and the seeds'."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.intervals import interaction


@dataclass(frozen=True)
class RunScores:
    """The errors of one run, all relative to their mean over seeds and samples; 1 where that is 0.

    Attributes:
        samples: (rows,) float32, of each test sample, averaged over the seeds.
        seeds: (seeds,) float64, of each seed, averaged over the samples.
        interaction: the part of the mean's variance that seeds and samples have only together; 0 for one seed.
    """

    samples: NDArray[np.float32]
    seeds: NDArray[np.float64]
    interaction: float


def run_scores(errors: NDArray[np.float64]) -> RunScores:
    """Return what is kept of the errors of a run, (seeds, rows): nonnegative, at least two rows."""
    mean = errors.mean()
    relative = errors / mean if mean > 0.0 else np.ones_like(errors)
    return RunScores(
        samples=relative.mean(axis=0).astype(np.float32),
        seeds=relative.mean(axis=1),
        interaction=float(interaction(relative)) if len(errors) > 1 else 0.0,
    )


def scores_of(evaluation: Evaluation) -> dict[tuple[Start, int], RunScores]:
    """Return what is kept of each run by start and shots; of a run with failed seeds, which is not ranked, nothing.

    Args:
        evaluation: with per-sample scores cell after cell as in the result, as `read_evaluation` gives them.
    """
    result = evaluation.result
    errors = evaluation.samples.column("relative_l2").to_numpy().reshape(-1, result.test_rows)
    found: dict[tuple[Start, int], RunScores] = {}
    first = 0
    for run in result.runs:  # in the order of the cells
        last = first + len(run.seeds)
        if not result.failed_seeds(run):
            found[run.start, run.shots] = run_scores(errors[first:last])
        first = last
    return found
