"""A pretraining run in a folder: checkpoints, metrics, the final model, and going on after a kill."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from accelerate import Accelerator
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import folder_lock, is_unused
from pdebench_fm.training.checkpoint import LogEntry, read_checkpoint, write_checkpoint
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.metrics import MetricsFiles
from pdebench_fm.training.pretrain import (
    Pretraining,
    PretrainProgress,
    selection_errors,
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
    on_start: Callable[[int, int], None] = lambda _step, _steps: None,
    on_progress: Callable[[PretrainProgress], None] = lambda _: None,
) -> Path:
    """Train to the end, going on from the folder's checkpoint if there is one, and save the averaged model.

    The folder gets `checkpoint.safetensors`, `metrics.csv` and `tensorboard/` (an entry at each validation) while
    training, and the model's own folder, `fno-<family>-<size>`, at the end. Killed at any moment, the same call ends
    with the same weights as if it had not been. Interrupted by Ctrl-C, it finishes the step and saves a checkpoint
    first; a second Ctrl-C ends it at once. Started by `torchrun` or `accelerate launch`, the processes share every
    batch.

    Args:
        config: what to train; its `steps` are replaced by as many as fit where `minutes` is given.
        out: a new or empty folder, or one with this run's checkpoint.
        minutes: wall time to train for; measured once, when the run starts.
        device: a PyTorch device.
        validate_every: steps between validations, which are also the checkpoints.
        on_start: called with the steps done and planned before the first one here.
        on_progress: called after every step.

    Returns:
        The folder of the saved model.

    Raises:
        UsageError: if the folder holds something else or the checkpoint of another configuration.
        PdefmError: if the loss is no longer finite, or nothing can be written; the last checkpoint stays and is named.
            Or if the checkpoint is damaged, or another run writes to the folder now.
        KeyboardInterrupt: after Ctrl-C, with a message that says at which step the run was saved.
    """
    processes = _processes(device, config.batch_size)
    is_main = processes is None or processes.is_main_process
    if is_main:
        _refuse_anything_else(out)
    with folder_lock(out) if is_main else nullcontext(), _postponed_interrupt(again=processes is None) as interrupted:
        if processes is None:
            run = _start_or_resume(config, out, minutes, device)
        else:
            if is_main:
                _start_or_resume(config, out, minutes, device, processes.num_processes)
            processes.wait_for_everyone()
            run = _resumed(out / CHECKPOINT_NAME, device, processes)
        on_start(run.step, run.config.steps)
        folder = out / run.config.model_name
        if is_main:
            _train(run, out, validate_every, on_progress, interrupted)
            _save_model(run, folder)
        else:
            while run.step < run.config.steps and not run.stopping:
                run.advance(stop=interrupted())
            if run.step < run.config.steps:
                raise KeyboardInterrupt
        if processes is not None:
            processes.wait_for_everyone()
    return folder


def _train(
    run: Pretraining,
    out: Path,
    validate_every: int,
    on_progress: Callable[[PretrainProgress], None],
    interrupted: Callable[[], bool],
) -> None:
    """Train to the end, with a checkpoint and an entry in the metrics at each validation."""
    validation = run.log[-1].validation_errors if run.log else {}
    path = out / CHECKPOINT_NAME
    files = MetricsFiles(out, run.log, run.seconds)
    while run.step < run.config.steps:
        try:
            loss = run.advance(stop=interrupted())
        except FloatingPointError as error:
            raise PdefmError(f"{error}; the last good checkpoint is {path}") from error
        run.losses.append(loss)
        if run.step % validate_every == 0 or run.step == run.config.steps:
            model = run.averaged_model()
            validation = validation_errors(model, run.config)
            run.log.append(
                LogEntry(
                    step=run.step,
                    samples=run.samples,
                    seconds=run.seconds,
                    training_error=sum(run.losses) / len(run.losses),
                    validation_errors=validation,
                    selection_errors=selection_errors(model, run.config),
                )
            )
            run.losses.clear()
            write_checkpoint(run.checkpoint(), path)
            files.append(run.log)
        on_progress(PretrainProgress(run.step, run.config.steps, loss, validation, run.seconds))
        stopping = interrupted() if run.processes is None else run.stopping
        if stopping and run.step < run.config.steps:
            write_checkpoint(run.checkpoint(), path)
            raise KeyboardInterrupt(f"saved at step {run.step} of {run.config.steps}; run again to go on")


@contextmanager
def _postponed_interrupt(*, again: bool) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed; it interrupts nothing by itself.

    Where a program has its own answer to Ctrl-C, or outside of the main thread, where Python allows none, it stays.

    Args:
        again: whether a second Ctrl-C interrupts at once. Not under a launcher, which passes each one on once more.
    """
    pressed: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if pressed and again:
            raise KeyboardInterrupt
        pressed.append(number)

    own_thread = threading.current_thread() is threading.main_thread()
    if not own_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _processes(device: str, batch_size: int) -> Accelerator | None:
    """Return the distributed run that `torchrun` or `accelerate launch` has put this process in; None if neither."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return None
    if batch_size % world:
        raise UsageError(f"a batch of {batch_size} cannot be shared by {world} processes: choose a multiple")
    if os.environ.get("LOCAL_WORLD_SIZE") == str(world):  # one machine, whose processes are all started again at once
        _meet_anew("gloo" if device == "cpu" else None)
    return Accelerator(cpu=device == "cpu")


def _meet_anew(backend: str | None) -> None:
    """Join the processes that `torchrun` started together, apart from those of its earlier attempts.

    All attempts share one store, in which the addresses of processes that were killed as they met stay: new ones would
    wait for those for half an hour.

    Args:
        backend: of the communication; None for PyTorch's choice by device.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT")
    if attempt is None or distributed.is_initialized():
        return
    store, rank, world = next(rendezvous("env://"))
    distributed.init_process_group(backend, store=PrefixStore(f"attempt {attempt}", store), rank=rank, world_size=world)


def _save_model(run: Pretraining, folder: Path) -> None:
    """Save the averaged model and how it was trained."""
    model = run.averaged_model()
    world = 1 if run.processes is None else run.processes.num_processes
    errors = validation_errors(model, run.config), selection_errors(model, run.config)
    record = training_record(run.config, run.manifest, run.seconds, run.device, *errors, processes=world)
    model.save_pretrained(folder)  # which removes the record of older weights
    write_training_record(record, folder)


def _refuse_anything_else(out: Path) -> None:
    """Raise a `UsageError` if the folder holds something that is not a run, not even one killed at its beginning."""
    if not (out / CHECKPOINT_NAME).exists() and not is_unused(out):
        raise UsageError(f"{out} already holds something that is not a pretraining run: choose a new or empty folder")


def _resumed(path: Path, device: str, processes: Accelerator | None = None) -> Pretraining:
    """Return the run of a checkpoint, or raise a `PdefmError` that names its file."""
    checkpoint = read_checkpoint(path)
    try:
        return Pretraining.resume(checkpoint, device, processes)
    except PdefmError as error:
        raise type(error)(f"cannot go on from {path}: {error}") from error


def _start_or_resume(
    config: PretrainConfig, out: Path, minutes: float | None, device: str, processes: int = 1
) -> Pretraining:
    """Return the run of the folder's checkpoint if it is of this configuration, or a new run."""
    path = out / CHECKPOINT_NAME
    if path.exists():
        run = _resumed(path, device)
        wanted = config if minutes is None else config.model_copy(update={"steps": run.config.steps})
        differing = [name for name in type(config).model_fields if getattr(wanted, name) != getattr(run.config, name)]
        if differing:
            raise UsageError(
                f"{path} belongs to a run with another {', '.join(differing)}: choose another --out, or remove it"
            )
        return run
    _refuse_anything_else(out)
    if minutes is not None:
        config = steps_for_minutes(config, minutes, device, processes)
    run = Pretraining(config, device)
    write_checkpoint(run.checkpoint(), path)
    return run
