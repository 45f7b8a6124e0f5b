"""The runs of a study, in one CSV file: a line has what a run was, its error and the interval of that."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pdebench_fm.contracts import Contract, first_problem
from pdebench_fm.data.catalogue import find_task
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RESULT_BYTES, read_limited
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.fields import Count, Error, IntervalEnd, Positive, Seconds, Text
from pdebench_fm.results.result import Covers
from pdebench_fm.results.samples import errors_of

NORMAL_QUANTILE = 1.959963984540054
"""Half the width of a normal distribution's 95 % interval, in standard deviations."""

TOGETHER: Final = " and "
"""Between the devices of a run whose cells were computed on several."""

SMALLEST_ERROR: Final = 1e-100
"""What an error of 0, which has no logarithm and divides nothing, is taken for: the smallest that a run can have."""


class RunKey(NamedTuple):
    """Which run of a study.

    Attributes:
        model: its name in the study.
        task: `<dataset>/<regime>`.
        start, shots, method, track: as in results.
    """

    model: str
    task: str
    start: Start
    shots: int
    method: str
    track: str

    def __str__(self) -> str:
        """Return the run in words."""
        how = "zero-shot" if self.shots == 0 else f"{self.start}, {self.shots} shots"
        method = "" if self.method == "v1" else f", method {self.method}"
        return f"{self.model} on {self.task} ({self.track}), {how}{method}"


class RunRow(Contract):
    """One run: a line of the CSV file.

    Attributes:
        model: its name in the study; `model_id`, `family`, `size`, `parameters` are those of results.
        pretraining_steps: of a model that this package pretrained.
        system, task, regime: what it was scored on; how, by the others.
        seeds: adaptations.
        error: mean relative ℓ² error over seeds and test rows.
        low, high: ends of its 95 % interval, for what it `covers`.
        standard_deviation: between seeds.
        device: that its cells were computed on: `cpu`, or a GPU's name.
        seconds: that they took.
    """

    model: Text
    model_id: Text
    family: Text | None
    size: Text | None
    parameters: Positive | None
    pretraining_steps: Positive | None
    system: Text
    task: Text
    regime: Text
    track: Text
    resolution: Positive
    test_rows: Annotated[Positive, Field(ge=2)]
    method: Text
    start: Start
    shots: Count
    seeds: Positive
    error: Error
    low: IntervalEnd
    high: IntervalEnd
    covers: Covers
    standard_deviation: IntervalEnd | None
    device: Text
    seconds: Seconds

    @property
    def key(self) -> RunKey:
        """Which run it is."""
        return RunKey(self.model, self.task, self.start, self.shots, self.method, self.track)

    @property
    def log_error(self) -> tuple[float, float]:
        """The natural logarithm of the error, and its standard error as the 95 % interval has it.

        With few seeds the interval is wider than a normal one, by Student's t: so is this.
        """
        low, middle, high = (math.log(max(value, SMALLEST_ERROR)) for value in (self.low, self.error, self.high))
        return middle, (high - low) / 2.0 / NORMAL_QUANTILE


@dataclass(frozen=True)
class LeftOut:
    """A run that gave no fair score, and why."""

    key: RunKey
    reason: str


def rows_of(
    evaluation: Evaluation, model: str, pretraining_steps: int | None
) -> tuple[list[RunRow], dict[RunKey, NDArray[np.float64]], list[LeftOut]]:
    """Return the runs of an evaluation; those with failed seeds, whose rest is no fair sample, apart.

    With each run come its errors on single test rows, mean over seeds, (test rows,).

    Args:
        evaluation: of one model on one task.
        model: its name in the study.
        pretraining_steps: of the model, if that is known.
    """
    result = evaluation.result
    task = find_task(result.task)
    rows: list[RunRow] = []
    by_row: dict[RunKey, NDArray[np.float64]] = {}
    left_out: list[LeftOut] = []
    for failure in result.failures:
        key = RunKey(model, result.task, failure.start, failure.shots, result.method, result.track)
        left_out.append(LeftOut(key, failure.reason))
    failed = {each.key for each in left_out}
    for run in result.runs:
        cells = result.cells_of(run)
        row = RunRow(
            model=model,
            model_id=result.model.model_id,
            family=result.model.family,
            size=result.model.size,
            parameters=result.model.parameters,
            pretraining_steps=pretraining_steps,
            system=task.dataset.system_name,
            task=result.task,
            regime=task.regime.name,
            track=result.track,
            resolution=result.resolution,
            test_rows=result.test_rows,
            method=result.method,
            start=run.start,
            shots=run.shots,
            seeds=len(run.seeds),
            error=run.summary.mean,
            low=run.summary.interval_low,
            high=run.summary.interval_high,
            covers=run.summary.covers,
            standard_deviation=run.summary.standard_deviation,
            device=TOGETHER.join(sorted({cell.environment.device for cell in cells})),
            seconds=round(math.fsum(cell.seconds for cell in cells), 3),
        )
        if row.key not in failed:
            rows.append(row)
            by_row[row.key] = errors_of(evaluation.samples, [cell.key for cell in cells]).mean(axis=0)
    return rows, by_row, left_out


def runs_text(rows: Sequence[RunRow]) -> str:
    """Return rows as CSV; numbers to their last digit, nothing for what is not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RunRow.model_fields)
    for row in rows:
        values = (getattr(row, name) for name in RunRow.model_fields)
        writer.writerow("" if value is None else repr(value) if isinstance(value, float) else value for value in values)
    return out.getvalue()


def write_runs(rows: Sequence[RunRow], path: Path) -> None:
    """Write rows as a CSV file, atomically."""
    write_atomically(path, runs_text(rows))


def table_text(path: Path, most: int, holds: str) -> str:
    """Return the text of a table in a study's folder.

    Args:
        path: of the file.
        most: bytes that it may have.
        holds: what, in words.

    Raises:
        UsageError: if there is none.
        PdefmError: if it cannot be read, or is no text.
    """
    try:
        return read_limited(path, most).decode()
    except FileNotFoundError as error:
        raise UsageError(f"no {holds} at {path}: run the study first") from error
    except UnicodeDecodeError as error:
        raise PdefmError(f"cannot read {path}: it is not UTF-8 text") from error
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror or error}") from error


def read_runs(path: Path) -> list[RunRow]:
    """Read a CSV file of runs.

    Raises:
        UsageError: if there is none.
        PdefmError: if a line is not a run, or a run is there twice; the message has the line.
    """
    reader = csv.DictReader(io.StringIO(table_text(path, RESULT_BYTES, "runs")))
    rows: list[RunRow] = []
    seen: set[RunKey] = set()
    try:
        columns = list(reader.fieldnames or [])
        if columns != list(RunRow.model_fields):
            raise PdefmError(f"{path} does not hold runs of a study: its columns are {','.join(columns)!a}")
        for cells in reader:
            row = RunRow.model_validate({name: value if value != "" else None for name, value in cells.items()})
            if row.key in seen:
                raise PdefmError(f"{path}, line {reader.line_num}: {row.key} is there twice")
            seen.add(row.key)
            rows.append(row)
    except ValidationError as error:
        raise PdefmError(f"{path}, line {reader.line_num}: {first_problem(error)}") from error
    except csv.Error as error:
        raise PdefmError(f"{path}, line {max(reader.line_num, 1)}: {error}") from error
    return rows
