"""A pretraining run in a folder: checkpoints, metrics, the final model, and going on after a kill."""

import os
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.training.checkpoint import read_checkpoint, write_checkpoint
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.metrics import MetricsLog
from pdebench_fm.training.pretrain import (
    Pretraining,
    Progress,
    steps_for_minutes,
    validation_errors,
)
from pdebench_fm.training.record import training_record, write_training_record

CHECKPOINT_NAME = "checkpoint.safetensors"


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

    The folder gets `checkpoint.safetensors`, `metrics.csv` and `tensorboard/` (an entry at each validation) while
    training, and the model's own folder, `fno-<family>-<size>`, at the end. Killed at any moment, the same call ends
    with the same weights as if it had not been. Started by `torchrun` or `accelerate launch`, the processes share every
    batch.

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
    processes = _processes(device, config.batch_size)
    if processes is None:
        run = _start_or_resume(config, out, minutes, device)
    else:
        if processes.is_main_process:
            _start_or_resume(config, out, minutes, device, processes.num_processes)
        processes.wait_for_everyone()
        run = Pretraining.resume(read_checkpoint(out / CHECKPOINT_NAME), device, processes)
    folder = out / run.config.model_name
    if run.is_main:
        _train(run, out, validate_every, on_progress)
        _save_model(run, folder)
    else:
        while run.step < run.config.steps:
            run.advance()
    if processes is not None:
        processes.wait_for_everyone()
    return folder


def _train(run: Pretraining, out: Path, validate_every: int, on_progress: Callable[[Progress], None]) -> None:
    """Train to the end, with a checkpoint and an entry in the metrics at each validation."""
    validation: dict[str, float] = {}
    losses: list[float] = []
    with MetricsLog(out, run.step) as log:
        while run.step < run.config.steps:
            try:
                loss = run.advance()
            except FloatingPointError as error:
                raise PdefmError(f"{error}; {_kept(out)}") from error
            losses.append(loss)
            if run.step % validate_every == 0 or run.step == run.config.steps:
                validation = validation_errors(run.averaged_model(), run.config)
                log.append(run.step, run.samples, run.seconds, sum(losses) / len(losses), validation)
                write_checkpoint(run.checkpoint(), out / CHECKPOINT_NAME)
                losses = []
            on_progress(Progress(run.step, run.config.steps, loss, validation, run.seconds))


def _processes(device: str, batch_size: int) -> Accelerator | None:
    """Return the distributed run that `torchrun` or `accelerate launch` has put this process in; None if neither."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return None
    if batch_size % world:
        raise UsageError(f"a batch of {batch_size} cannot be shared by {world} processes: choose a multiple")
    return Accelerator(cpu=device == "cpu")


def _save_model(run: Pretraining, folder: Path) -> None:
    """Save the averaged model and how it was trained."""
    model = run.averaged_model()
    world = 1 if run.processes is None else run.processes.num_processes
    record = training_record(run.config, run.seconds, run.device, validation_errors(model, run.config), world)
    write_training_record(record, folder)
    model.save_pretrained(folder)


def _kept(out: Path) -> str:
    """Say which checkpoint is left after a failure."""
    path = out / CHECKPOINT_NAME
    return f"the last good checkpoint is {path}" if path.exists() else "there is no checkpoint yet"


def _start_or_resume(
    config: PretrainConfig, out: Path, minutes: float | None, device: str, processes: int = 1
) -> Pretraining:
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
        return run
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} already holds something that is not a pretraining run: choose a new or empty folder")
    if minutes is not None:
        config = steps_for_minutes(config, minutes, device, processes)
    run = Pretraining(config, device)
    write_checkpoint(run.checkpoint(), path)
    return run
