"""The overall error of a model: the geometric mean over the benchmark's twelve tasks, where all of them are there."""

import math
from collections.abc import Sequence

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.result import Result


def overall_error(results: Sequence[Result], start: Start, shots: int) -> float | None:
    """Return the geometric mean of a model's errors over the twelve tasks, the mean of its digits.

    Args:
        results: of one model on one track; those on other tasks are passed over.
        start: of the runs that count.
        shots: likewise.

    Returns:
        The error; None unless each of the twelve tasks has such a run, and exactly one, all seeds of which were scored.
    """
    errors: dict[str, float] = {}
    for result in results:
        for run in result.runs:
            if result.task not in TASKS or (run.start, run.shots) != (start, shots):
                continue
            if result.task in errors or result.failed_seeds(run):
                return None
            errors[result.task] = run.summary.mean
    if len(errors) < len(TASKS):
        return None
    if not all(errors.values()):
        return 0.0
    return math.exp(math.fsum(map(math.log, errors.values())) / len(errors))
