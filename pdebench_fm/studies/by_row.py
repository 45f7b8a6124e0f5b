"""A study's errors on each test row as a CSV file, a line a run: by them runs on the same rows are paired."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.limits import SAMPLES_BYTES, read_limited
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.studies.runs import RunKey, RunRow

ByRow = Mapping[RunKey, NDArray[np.float64]]
"""The relative ℓ² error of runs on each row of their test split, mean over seeds, (test rows,)."""

_DIGITS: Final = 6
_TOLERANCE: Final = 10.0 ** (1 - _DIGITS)


def by_row_text(by_row: ByRow) -> str:
    """Return errors as CSV, to six digits: which run, then its error on row 0, row 1 and so on."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*RunKey._fields, *range(max(map(len, by_row.values()), default=0))])
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
    try:
        lines = list(csv.reader(io.StringIO(read_limited(path, SAMPLES_BYTES).decode())))
    except FileNotFoundError as error:
        raise UsageError(f"no errors by test row at {path}: run the study first") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PdefmError(f"cannot read {path}: {error}") from error
    known = {row.key: row for row in rows}
    found: dict[RunKey, NDArray[np.float64]] = {}
    for number, cells in enumerate(lines[1:], 2):
        key = _key_of(cells[: len(RunKey._fields)])
        if key not in known or key in found:
            raise PdefmError(f"{path}, line {number}: {'there twice' if key in found else 'no run of the study'}")
        try:
            errors = np.array([float(cell) for cell in cells[len(RunKey._fields) :]])
        except ValueError as error:
            raise PdefmError(f"{path}, line {number}: {error}") from error
        row = known[key]
        if len(errors) != row.test_rows or not math.isclose(errors.mean(), row.error, rel_tol=_TOLERANCE):
            raise PdefmError(f"{path}, line {number}: not {row.test_rows} errors with the mean {row.error:.{_DIGITS}g}")
        found[key] = errors
    if missing := known.keys() - found.keys():
        raise PdefmError(f"{path} has no errors of {min(missing)}")
    return found


def _key_of(cells: Sequence[str]) -> RunKey | None:
    """Return the run that a line begins with; None if it is not one."""
    words: dict[str, Any] = dict(zip(RunKey._fields, cells, strict=False))
    if len(words) < len(RunKey._fields) or words["start"] not in get_args(Start) or not words["shots"].isdecimal():
        return None
    return RunKey(**words | {"shots": int(words["shots"])})
