"""Comparing two results sample by sample: how far apart they are, and whether that could be chance."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pdebench_fm.errors import UsageError
from pdebench_fm.protocol.tracks import BOOTSTRAP_RESAMPLES, Start
from pdebench_fm.results.result import Result, Run, read_result
from pdebench_fm.results.samples import read_own_samples, sample_errors_of

_CHUNK = 250  # resamples at once


@dataclass(frozen=True)
class Difference:
    """Two models in one setting: the paired difference of their errors.

    Attributes:
        start, shots: of both.
        first, second: mean relative ℓ² errors, each over its own seeds and the same test rows.
        mean: of first − second over the test rows.
        low, high: ends of its 95 % bootstrap interval.
    """

    start: Start
    shots: int
    first: float
    second: float
    mean: float
    low: float
    high: float

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


def compare(first: Path, second: Path) -> Comparison:
    """Compare two result files of one task, sample by sample.

    For each start and number of shots that both have, each test row's relative ℓ² error is averaged over the seeds of
    each file and the two are subtracted. The interval is a percentile bootstrap of the mean difference over the test
    rows (Efron and Tibshirani 1993, chapter 13), so it covers the choice of test rows and not that of seeds.

    Raises:
        UsageError: if a file is missing, or the two are of different tasks, tracks or rows, or share no setting.
        PdefmError: if a file is damaged, or the per-sample scores beside a result are not its own.
    """
    results = read_result(first), read_result(second)
    _check_comparable(*results)
    tables = tuple(read_own_samples(path, result) for path, result in zip((first, second), results, strict=True))
    settings = [(a, b) for a in results[0].runs for b in results[1].runs if (a.start, a.shots) == (b.start, b.shots)]
    if not settings:
        raise UsageError(f"{first} and {second} have no start and number of shots in common: nothing to compare")
    differences = []
    for a, b in settings:
        for run, result, path in ((a, results[0], first), (b, results[1], second)):
            if failed := result.failed_seeds(run):
                raise UsageError(
                    f"{path}: {run.start}, {run.shots} shots failed with seed {failed[0]}: those that did not are no "
                    "fair sample"
                )
        differences.append(_difference(a, _errors(tables[0], a), _errors(tables[1], b)))
    return Comparison(*results, tuple(differences))


def bootstrap_of_mean(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean of `values`, (n,), fixed by the seed."""
    generator = np.random.Generator(np.random.PCG64(seed))
    means = [
        values[generator.integers(len(values), size=(min(_CHUNK, BOOTSTRAP_RESAMPLES - done), len(values)))].mean(
            axis=1
        )
        for done in range(0, BOOTSTRAP_RESAMPLES, _CHUNK)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _check_comparable(a: Result, b: Result) -> None:
    """Refuse results that were not scored on the same rows."""
    for what, one, other in (
        ("tasks", a.task, b.task),
        ("tracks", a.track, b.track),
        ("dataset versions", a.dataset.version, b.dataset.version),
        ("numbers of test rows", a.test_rows, b.test_rows),
        ("test rows (recipe digests)", a.dataset.recipe_digest[:12], b.dataset.recipe_digest[:12]),
    ):
        if one != other:
            raise UsageError(f"the results are of different {what}, {one} and {other}: they cannot be paired")


def _errors(table: pa.Table, run: Run) -> NDArray[np.float64]:
    """Return each test row's error, (rows,), averaged over the seeds."""
    errors: NDArray[np.float64] = np.mean([sample_errors_of(table, run, scores.seed) for scores in run.seeds], axis=0)
    return errors


def _difference(run: Run, first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    paired = first - second
    low, high = bootstrap_of_mean(paired)
    return Difference(
        start=run.start,
        shots=run.shots,
        first=math.fsum(first) / len(first),
        second=math.fsum(second) / len(second),
        mean=math.fsum(paired) / len(paired),
        low=low,
        high=high,
    )
