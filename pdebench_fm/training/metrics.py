"""The record of a training as it goes: a CSV file for programs, TensorBoard for eyes."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from pdebench_fm.files import write_atomically

METRICS_NAME = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"

_HEADER = ("step", "samples", "seconds", "training_error")


class MetricsLog:
    """Appends one entry at each validation; opened at a step, it forgets what a killed run wrote after it."""

    def __init__(self, out: Path, step: int) -> None:
        """Open the log of a run's folder.

        Args:
            out: the folder.
            step: of the checkpoint from which the run goes on, 0 for a new run.
        """
        self._path = out / METRICS_NAME
        self._forget_after(step)
        self._board = SummaryWriter(out / TENSORBOARD_FOLDER, purge_step=step + 1)

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close TensorBoard's file."""
        self._board.close()

    def append(
        self, step: int, samples: int, seconds: float, training_error: float, errors: Mapping[str, float]
    ) -> None:
        """Write one entry.

        Args:
            step: optimizer steps done.
            samples: seen so far.
            seconds: spent so far.
            training_error: mean relative ℓ² error since the last entry.
            errors: mean relative ℓ² error by system on the validation samples.
        """
        new = not self._path.exists()
        with self._path.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if new:
                writer.writerow([*_HEADER, *(f"validation_{system}" for system in errors)])
            numbers = [f"{error:.6g}" for error in (training_error, *errors.values())]
            writer.writerow([step, samples, f"{seconds:.1f}", *numbers])
        self._board.add_scalar("error/training", training_error, step)
        for system, error in errors.items():
            self._board.add_scalar(f"error/validation/{system}", error, step)
        self._board.flush()

    def _forget_after(self, step: int) -> None:
        """Remove rows of later steps, and a last row that was cut off."""
        if not self._path.exists():
            return
        with self._path.open(newline="") as handle:
            header, *rows = csv.reader(handle)
        text = io.StringIO()
        kept = (row for row in rows if len(row) == len(header) and int(row[0]) <= step)
        csv.writer(text).writerows([header, *kept])
        write_atomically(self._path, text.getvalue())
