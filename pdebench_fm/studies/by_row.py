"""A study's errors on each test row as a CSV file, a line a run: by them runs on the same rows are paired."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.errors import PdefmError
from pdebench_fm.limits import SAMPLES_BYTES
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.fields import SAMPLE_ERRORS
from pdebench_fm.studies.runs import RunKey, RunRow, table_text

ByRow = Mapping[RunKey, NDArray[np.float64]]
"""The relative ℓ² error of runs on each row of their test split, mean over seeds, (test rows,)."""

_DIGITS: Final = 6
_TOLERANCE: Final = 10.0 ** (1 - _DIGITS)


def by_row_text(by_row: ByRow) -> str:
    """Return errors as CSV, to six digits: which run, then its error on row 0, row 1 and so on."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_columns(max(map(len, by_row.values()), default=0)))
    for key, errors in by_row.items():
        writer.writerow([*key, *(f"{error:.{_DIGITS}g}" for error in errors)])
    return out.getvalue()


def read_by_row(path: Path, rows: Sequence[RunRow]) -> dict[RunKey, NDArray[np.float64]]:
    """Read the file of errors by test row.

    Args:
        path: of the file.
        rows: the study's runs, each of which has a line there.

    Raises:
        UsageError: if there is none.
        PdefmError: if it is not of these runs, or a run's errors do not have the mean that the run has.
    """
    lines = csv.reader(io.StringIO(table_text(path, SAMPLES_BYTES, "errors by test row")))
    known = {row.key: row for row in rows}
    found: dict[RunKey, NDArray[np.float64]] = {}
    try:
        if next(lines, []) != _columns(max((row.test_rows for row in rows), default=0)):
            raise ValueError(f"the columns should be {','.join(RunKey._fields)} and the test rows, from 0")
        for cells in lines:
            key = _key_of(cells[: len(RunKey._fields)])
            if key not in known or key in found:
                raise ValueError("there twice" if key in found else "no run of the study")
            found[key] = _errors_of(cells[len(RunKey._fields) :], known[key])
    except (ValueError, csv.Error) as error:
        raise PdefmError(f"{path}, line {max(lines.line_num, 1)}: {error}") from error
    if missing := known.keys() - found.keys():
        raise PdefmError(f"{path} has no errors of {min(missing)}")
    return found


def _columns(test_rows: int) -> list[str]:
    return [*RunKey._fields, *map(str, range(test_rows))]


def _key_of(cells: Sequence[str]) -> RunKey | None:
    """Return the run that a line begins with; None if it is not one."""
    words: dict[str, Any] = dict(zip(RunKey._fields, cells, strict=False))
    if len(words) < len(RunKey._fields) or words["start"] not in get_args(Start):
        return None
    return RunKey(**words | {"shots": int(words["shots"])}) if re.fullmatch("[0-9]{1,9}", words["shots"]) else None


def _errors_of(cells: Sequence[str], row: RunRow) -> NDArray[np.float64]:
    """Return a run's errors; a `ValueError` unless they are as many as its test rows and have its mean."""
    if not re.fullmatch("[0-9.e+-]*", "".join(cells)):  # as they are written: no nan, no 1_000, no other digits
        raise ValueError("an error should be a number such as 0.0123")
    errors = np.array([float(cell) for cell in cells])
    if not ((errors >= 0.0) & (errors <= SAMPLE_ERRORS[1])).all():
        raise ValueError(f"an error should be from 0 to {SAMPLE_ERRORS[1]:g}")
    if len(errors) != row.test_rows or not math.isclose(errors.mean(), row.error, rel_tol=_TOLERANCE):
        raise ValueError(f"not {row.test_rows} errors with the mean {row.error:.{_DIGITS}g}")
    return errors
