"""Comparing two results sample by sample: how far apart they are, and whether that could be chance."""

import math
from dataclasses import dataclass
from pathlib import Path

from pdebench_fm.errors import UsageError
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.intervals import interval_of_difference
from pdebench_fm.results.result import Covers, Result, Run
from pdebench_fm.results.samples import errors_of


@dataclass(frozen=True)
class Difference:
    """Two models, or one adapted in two ways, in one setting: the paired difference of their errors.

    Attributes:
        start, shots: of both.
        seeds: how many the first and the second have.
        first, second: mean relative ℓ² errors, each over its own seeds and the same test rows.
        mean: first − second.
        low, high: ends of its 95 % interval.
        covers: what the interval allows for; of a side adapted with a single seed nothing is known of others.
    """

    start: Start
    shots: int
    seeds: tuple[int, int]
    first: float
    second: float
    mean: float
    low: float
    high: float
    covers: Covers

    @property
    def better(self) -> int | None:
        """1 or 2 for the better of the two; None if the interval holds 0, so that they can't be told apart."""
        if self.low <= 0.0 <= self.high:
            return None
        return 1 if self.mean < 0.0 else 2


@dataclass(frozen=True)
class Comparison:
    """Two results and their differences in every setting that both have."""

    first: Result
    second: Result
    differences: tuple[Difference, ...]


def compare(first: Path | str, second: Path | str) -> Comparison:
    """Compare two result files of one task, sample by sample.

    They are of two models that were adapted alike, or of one model that was adapted in two ways. For each start and
    number of shots that both have. The interval of the mean difference is for new test samples, by
    which the two are paired, and for new seeds, which are taken as independent (`results.intervals`).

    Raises:
        UsageError: if a file is missing, or the two are of different tasks, tracks or rows, or of different
            models and methods at once, or share no setting.
        PdefmError: if a file is damaged, or the per-sample scores beside a result are not its own.
    """
    evaluations = read_evaluation(first), read_evaluation(second)
    results = evaluations[0].result, evaluations[1].result
    _check_comparable(*results)
    settings = [(a, b) for a in results[0].runs for b in results[1].runs if (a.start, a.shots) == (b.start, b.shots)]
    if not settings:
        raise UsageError(f"{first} and {second} have no start and number of shots in common: nothing to compare")
    for runs in settings:
        for run, result, path in zip(runs, results, (first, second), strict=True):
            if failed := result.failed_seeds(run):
                raise UsageError(
                    f"{path}: {run.start}, {run.shots} shots failed with seed {failed[0]}: those that did not are no "
                    "fair sample"
                )
    return Comparison(*results, tuple(_difference(evaluations, runs) for runs in settings))


def _check_comparable(a: Result, b: Result) -> None:
    """Refuse results that were scored on other rows, or that differ both in their model and in its adaptation."""
    methods = [(each.division, each.method, each.method_fingerprint) for each in (a, b)]
    alike = methods[0] == methods[1] and (a.division != "open" or a.method_fingerprint is not None)
    if not alike and (a.model.fingerprint is None or a.model.fingerprint != b.model.fingerprint):
        ways = " and ".join(adaptation_in_words(each) for each in (a, b))
        raise UsageError(
            f"the results are of different models, and of different ways of adapting them ({ways}): compare two models "
            "adapted alike, or one model adapted in two ways"
        )
    for what, one, other in (
        ("tasks", a.task, b.task),
        ("tracks", a.track, b.track),
        ("dataset versions", a.dataset.version, b.dataset.version),
        ("numbers of test rows", a.test_rows, b.test_rows),
        ("test rows (recipe digests)", a.dataset.recipe_digest[:12], b.dataset.recipe_digest[:12]),
    ):
        if one != other:
            raise UsageError(f"the results are of different {what}, {one} and {other}: they cannot be paired")


def adaptation_in_words(result: Result) -> str:
    """Return how a result's model was adapted: the method, its division, and the beginning of its fingerprint."""
    version = f", version {result.method_fingerprint[:8]}" if result.method_fingerprint else ""
    return f"{result.method} ({result.division}{version})"


def _difference(evaluations: tuple[Evaluation, Evaluation], runs: tuple[Run, Run]) -> Difference:
    errors = [
        errors_of(each.samples, [cell.key for cell in each.result.cells_of(run)])
        for each, run in zip(evaluations, runs, strict=True)
    ]
    low, high = interval_of_difference(*errors)
    means = [math.fsum(scores.ravel()) / scores.size for scores in errors]
    seeds = len(runs[0].seeds), len(runs[1].seeds)
    return Difference(
        start=runs[0].start,
        shots=runs[0].shots,
        seeds=seeds,
        first=means[0],
        second=means[1],
        mean=means[0] - means[1],
        low=float(low),
        high=float(high),
        covers="samples" if 1 in seeds else "seeds and samples",
    )
