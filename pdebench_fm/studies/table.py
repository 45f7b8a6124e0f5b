"""All that claims and figures follow from: a study's runs, and how far the errors of two rise and fall together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from pdebench_fm.studies.by_row import ByRow
from pdebench_fm.studies.runs import NORMAL_QUANTILE, RunKey, RunRow

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table(Mapping[RunKey, RunRow]):
    """Runs by what they are of.

    Attributes:
        runs: each of them.
        by_row: their errors on each test row; a run without is taken as independent of the others.
    """

    runs: Mapping[RunKey, RunRow]
    by_row: ByRow = field(default_factory=dict)

    def __getitem__(self, key: RunKey) -> RunRow:
        """Return a run."""
        return self.runs[key]

    def __iter__(self) -> Iterator[RunKey]:
        """Yield what the runs are of."""
        return iter(self.runs)

    def __len__(self) -> int:
        """Return how many runs there are."""
        return len(self.runs)

    def log_errors(self, keys: Sequence[RunKey]) -> tuple[Array, Array]:
        """Return the natural logarithms of runs' errors, and the covariance of their estimates.

        The variance of each is what its 95 % interval tells. The part of it that comes from the choice of test rows is
        shared by runs on the same rows as far as their errors on these rows are correlated (delta method:
        log ȳ − log μ ≈ (ȳ − μ)/μ); the rest, which comes from seeds, is independent. Two runs of one task have the rows
        in common that both have, at whatever resolution, as rows are drawn one by one.

        Returns:
            Logarithms, (keys,), and covariance, (keys, keys).
        """
        means, deviations = (np.array(values) for values in zip(*(self[key].log_error for key in keys), strict=True))
        of_rows = np.zeros((len(keys), len(keys)))
        for task in dict.fromkeys(key.task for key in keys):
            places = [i for i, key in enumerate(keys) if key.task == task and key in self.by_row]
            if places:
                of_rows[np.ix_(places, places)] = _of_rows([self.by_row[keys[i]] for i in places])
        parts = np.sqrt(of_rows.diagonal())
        scale = np.minimum(parts, deviations) / np.where(parts > 0.0, parts, 1.0)
        covariance = of_rows * np.outer(scale, scale)
        np.fill_diagonal(covariance, deviations**2)
        return means, covariance


def table_of(rows: Sequence[RunRow], by_row: ByRow | None = None) -> Table:
    """Return runs as a table."""
    return Table({row.key: row for row in rows}, {} if by_row is None else by_row)


def _of_rows(errors: Sequence[Array]) -> Array:
    """Return the covariance, (runs, runs), that the logarithms of runs' mean errors have by the choice of rows.

    Args:
        errors: of each run on its test rows, which are the first ones of the longest.
    """
    influence = np.zeros((len(errors), max(map(len, errors))))
    for line, own in zip(influence, errors, strict=True):
        mean = own.mean()
        if mean > 0.0:
            widened = stdtrit(len(own) - 1, 0.975) / NORMAL_QUANTILE  # by Student's t, as the interval is
            line[: len(own)] = widened * (own - mean) / mean / np.sqrt(len(own) * (len(own) - 1))
    covariance: Array = influence @ influence.T
    return covariance
