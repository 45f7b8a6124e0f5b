"""The record of a training as it goes: a CSV file for programs, TensorBoard for eyes.

Both are made from the log in the run's checkpoint, and only ever written: whatever happened to them, they are as the
log says again when the run goes on.
"""

import csv
import io
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import write_atomically
from pdebench_fm.training.checkpoint import LogEntry

METRICS_NAME = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"

_EVENTS = "events.out.tfevents."  # what TensorBoard looks for


class MetricsFiles:
    """The files of a run's log."""

    def __init__(self, out: Path, log: Sequence[LogEntry], seconds: float) -> None:
        """Write the files of a run that starts or goes on, in place of what lies there.

        Args:
            out: the run's folder.
            log: so far.
            seconds: spent so far.

        Raises:
            PdefmError: if they cannot be written.
        """
        self._table = out / METRICS_NAME
        self._began = time.time() - seconds  # as if it had never stopped, so that TensorBoard shows time trained
        board = out / TENSORBOARD_FOLDER
        before = sorted(board.glob(f"{_EVENTS}*"))
        self._events = board / f"{_EVENTS}{time.time_ns():020d}"  # a new name, as an open TensorBoard reads on by names
        version = Event(wall_time=self._began, file_version="brain.Event:2")
        write_atomically(self._events, _records([version, *self._scalars(log)]))
        for path in before:
            path.unlink(missing_ok=True)
        if log:
            self._write_table(log)
        else:
            self._table.unlink(missing_ok=True)

    def append(self, log: Sequence[LogEntry]) -> None:
        """Write a log with one more entry.

        Raises:
            PdefmError: if it cannot be written.
        """
        self._write_table(log)
        try:
            with self._events.open("ab") as handle:
                handle.write(_records(self._scalars(log[-1:])))
        except OSError as error:
            raise PdefmError(f"cannot write {self._events}: {error.strerror or error}") from error

    def _write_table(self, log: Sequence[LogEntry]) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        systems = [f"{kind}_{system}" for kind, system in _errors(log[0])]
        writer.writerow(["step", "samples", "seconds", "training_error", *systems])
        for entry in log:
            errors = (entry.training_error, *_errors(entry).values())
            writer.writerow([entry.step, entry.samples, f"{entry.seconds:.1f}", *(f"{error:.6g}" for error in errors)])
        write_atomically(self._table, text.getvalue())

    def _scalars(self, log: Iterable[LogEntry]) -> Iterable[Event]:
        for entry in log:
            values = {"error/training": entry.training_error}
            values |= {f"error/{kind}/{system}": error for (kind, system), error in _errors(entry).items()}
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            yield Event(wall_time=self._began + entry.seconds, step=entry.step, summary=summary)


def _errors(entry: LogEntry) -> dict[tuple[str, str], float]:
    """Return the errors of an entry by what they are on and by system."""
    kinds = {"validation": entry.validation_errors, "selection": entry.selection_errors}
    return {(kind, system): error for kind, errors in kinds.items() for system, error in errors.items()}


def _records(events: Iterable[Event]) -> bytes:
    """Return events as they lie in TensorBoard's files."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()
