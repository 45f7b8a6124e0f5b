"""A pretraining run in a folder: checkpoints, metrics, the final model, and going on after a kill."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import write_atomically
from pdebench_fm.training.checkpoint import read_checkpoint, write_checkpoint
from pdebench_fm.training.pretrain import (
    PretrainConfig,
    Pretraining,
    Progress,
    steps_for_minutes,
    validation_errors,
)
from pdebench_fm.training.record import training_record, write_training_record

CHECKPOINT_NAME = "checkpoint.safetensors"
METRICS_NAME = "metrics.csv"

_METRICS_HEADER = ("step", "samples", "seconds", "training_error")


def pretrain(
    config: PretrainConfig,
    out: Path,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    validate_every: int = 500,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train to the end, going on from the folder's checkpoint if there is one, and save the averaged model.

    The folder gets `checkpoint.safetensors` and `metrics.csv` (a row at each validation) while training, and the
    model's own folder, `fno-<family>-<size>`, at the end. Killed at any moment, the same call ends with the same
    weights as if it had not been.

    Args:
        config: what to train; its `steps` are replaced by as many as fit where `minutes` is given.
        out: a new or empty folder, or one with this run's checkpoint.
        minutes: wall time to train for; measured once, when the run starts.
        device: a PyTorch device.
        validate_every: steps between validations, which are also the checkpoints.
        on_progress: called after every step.

    Returns:
        The folder of the saved model.

    Raises:
        UsageError: if the folder holds something else or the checkpoint of another configuration.
        PdefmError: if the loss is no longer finite; the last checkpoint stays and is named.
    """
    run = _start_or_resume(config, out, minutes, device)
    validation: dict[str, float] = {}
    losses: list[float] = []
    while run.step < run.config.steps:
        try:
            loss = run.advance()
        except FloatingPointError as error:
            raise PdefmError(f"{error}; {_kept(out)}") from error
        losses.append(loss)
        if run.step % validate_every == 0 or run.step == run.config.steps:
            validation = validation_errors(run.averaged_model(), run.config)
            _append_metrics(out / METRICS_NAME, run, sum(losses) / len(losses), validation)
            write_checkpoint(run.checkpoint(), out / CHECKPOINT_NAME)
            losses = []
        on_progress(Progress(run.step, run.config.steps, loss, validation, run.seconds))
    folder = out / run.config.model_name
    model = run.averaged_model()
    record = training_record(run.config, run.seconds, run.device, validation_errors(model, run.config))
    write_training_record(record, folder)
    model.save_pretrained(folder)  # type: ignore[operator]  # the Hub's mixin is untyped
    return folder


def _kept(out: Path) -> str:
    """Say which checkpoint is left after a failure."""
    path = out / CHECKPOINT_NAME
    return f"the last good checkpoint is {path}" if path.exists() else "there is no checkpoint yet"


def _start_or_resume(config: PretrainConfig, out: Path, minutes: float | None, device: str) -> Pretraining:
    """Return the run of the folder's checkpoint if it is of this configuration, or a new run."""
    path = out / CHECKPOINT_NAME
    if path.exists():
        run = Pretraining.resume(read_checkpoint(path), device)
        wanted = config if minutes is None else config.model_copy(update={"steps": run.config.steps})
        differing = [name for name in type(config).model_fields if getattr(wanted, name) != getattr(run.config, name)]
        if differing:
            raise UsageError(
                f"{path} belongs to a run with another {', '.join(differing)}: choose another --out, or remove it"
            )
        _drop_metrics_after(out / METRICS_NAME, run.step)
        return run
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} already holds something that is not a pretraining run: choose a new or empty folder")
    if minutes is not None:
        config = steps_for_minutes(config, minutes, device)
    run = Pretraining(config, device)
    write_checkpoint(run.checkpoint(), path)
    return run


def _append_metrics(path: Path, run: Pretraining, loss: float, validation: dict[str, float]) -> None:
    """Add one row to the metrics, with a header if the file is new."""
    new = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.writer(handle)
        if new:
            writer.writerow([*_METRICS_HEADER, *(f"validation_{system}" for system in validation)])
        samples = run.step * run.config.batch_size
        writer.writerow(
            [run.step, samples, f"{run.seconds:.1f}", f"{loss:.6g}", *(f"{e:.6g}" for e in validation.values())]
        )


def _drop_metrics_after(path: Path, step: int) -> None:
    """Remove rows that a killed run wrote after its last checkpoint."""
    if not path.exists():
        return
    with path.open(newline="") as handle:
        header, *rows = csv.reader(handle)
    text = io.StringIO()
    csv.writer(text).writerows([header, *(row for row in rows if len(row) == len(header) and int(row[0]) <= step)])
    write_atomically(path, text.getvalue())
