"""An evaluation: a result with its per-sample scores, as it is computed, written and read."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import file_lock
from pdebench_fm.results.merging import fingerprint, may_merge, merged
from pdebench_fm.results.result import Failure, Result, Run, read_result, write_result
from pdebench_fm.results.runs import check_derived
from pdebench_fm.results.samples import read_own_samples, samples_path, write_samples

if TYPE_CHECKING:
    import pandas as pd

_PATIENCE = 60.0  # seconds to wait for another one who writes the same file

_logger = logging.getLogger("pdebench_fm")


@dataclass(frozen=True, repr=False)
class Evaluation:
    """One model on one task.

    Attributes:
        result: what a result file holds.
        samples: the scores of every test row, of `results.samples.SCHEMA`.
    """

    result: Result
    samples: pa.Table

    @property
    def runs(self) -> tuple[Run, ...]:
        """The scores: one run for each start and number of shots."""
        return self.result.runs

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What gave no score, and why."""
        return self.result.failures

    def __repr__(self) -> str:
        """Return the scores in a line."""
        return f"Evaluation({self.result!r})"

    def _repr_html_(self) -> str:
        """Return the scores as a table, as notebooks show it."""
        return self.result._repr_html_()

    def to_pandas(self) -> "pd.DataFrame":
        """Return the scores as a data frame, a row for each run; see `Result.to_pandas`.

        The scores of every test row are `samples.to_pandas()`.

        Raises:
            UsageError: if pandas is not installed.
        """
        return self.result.to_pandas()

    def merged_with(self, other: "Evaluation") -> "Evaluation":
        """Return this evaluation with the cells of another one of the same identity, which erase none of these.

        Raises:
            PdefmError: if together they have more cells than a result holds.
        """
        return Evaluation(*merged(self.result, self.samples, other.result, other.samples))

    def write(self, path: Path | str) -> Path:
        """Write the result to `path` and its per-sample scores beside it, together with what lies there already.

        A result of the same identity is merged: its cells stay as they are. Anything else at `path` (another model's
        result, other rows, a damaged file) is left alone, and this one goes to a name of its own beside it, which is
        logged. Stopped between the two files, what lies there can still be read.

        Returns:
            Where it was written.

        Raises:
            PdefmError: if that fails.
        """
        wanted = Path(path)
        own = wanted.with_name(f"{wanted.stem}-{fingerprint(self.result)}{wanted.suffix}")
        for place in (wanted, own):
            with file_lock(place, wait_seconds=_PATIENCE):
                reason = self._write_or_merge(place)
            if reason is None:
                return place
            if place == wanted:
                _logger.warning("%s; it is left as it is, and the new result written to %s", reason, own)
        raise PdefmError(f"cannot write the result: {reason}")

    def _write_or_merge(self, place: Path) -> str | None:
        """Write to a place that nobody else writes to now; if that would lose what lies there, return why not."""
        if not place.exists():
            _write_both(self, place)
            return None
        try:
            kept = read_evaluation(place)
        except PdefmError as error:
            return str(error)
        if not may_merge(kept.result, self.result):
            return f"{place} holds another result"
        try:
            union = kept.merged_with(self)
        except PdefmError as error:
            return f"{place} is full: {error}"
        _write_both(union, place)
        return None


def read_evaluation(path: Path | str) -> Evaluation:
    """Read a result file with its per-sample scores, and hold everything in the one to the other.

    Raises:
        UsageError: if one of the two files is missing.
        PdefmError: if one of them is damaged, or they don't belong together.
    """
    path = Path(path)
    result = read_result(path)
    samples = read_own_samples(path, result)
    check_derived(result, samples, str(path))
    return Evaluation(result, samples)


def _write_both(evaluation: Evaluation, path: Path) -> None:
    """Write scores first: the result that lies there has its cells among them, the new one comes when all are there."""
    write_samples(evaluation.samples, samples_path(path))
    write_result(evaluation.result, path)
