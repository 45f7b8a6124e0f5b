"""Cells on their way to other processes: as words and numbers, from which a worker opens model and task itself."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cell import Cell, Outcome, described_inputs
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.scoring import compute
from pdebench_fm.evaluation.settings import RunSettings
from pdebench_fm.extensions.plugins import load_plugins, named_plugins
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.references import open_candidate
from pdebench_fm.physics import BUILT_IN
from pdebench_fm.protocol.methods import Method, open_method
from pdebench_fm.protocol.task import load_task
from pdebench_fm.protocol.tracks import Start, Track
from pdebench_fm.surroundings import one_at_a_time, torch_threads

_MODELS_HELD = 8  # by a worker, so that models of one suite are opened once


@dataclass(frozen=True)
class CellOrder:
    """A cell as it is sent to another process.

    Attributes:
        reference, device: what `open_candidate` takes.
        fingerprint: of the model that is meant.
        task, data, version, sampling_seed: what `load_task` takes.
        method, method_fingerprint: what `open_method` takes, and of the method that is meant.
        track, deterministic, threads: as in `RunSettings`.
        graphs: as in `RunSettings`, the whole path of the folder.
        start, shots, seed: as in `Cell`.
        digest: of all that the cell's outcome depends on, as this process knows it.
        plugins: files and modules that a task of a plug-in needs.
    """

    reference: str
    device: str
    fingerprint: str | None
    task: str
    data: str | None
    version: str
    sampling_seed: int
    method: str
    method_fingerprint: str | None
    track: Track
    deterministic: bool | None
    threads: int
    graphs: str | None
    start: Start
    shots: int
    seed: int
    digest: str
    plugins: tuple[str, ...]


def order_of(cell: Cell, references: Mapping[Candidate, str]) -> CellOrder:
    """Return a cell as another process can understand it.

    Args:
        cell: to be computed there.
        references: by which word each model is opened.

    Raises:
        UsageError: if its model or its method is an object of this process.
    """
    candidate, task, settings = cell.candidate, cell.task, cell.settings
    if candidate not in references:
        raise UsageError(
            f"{candidate.name} is an object of this process: workers open a model by its name, path or "
            "path/to/file.py:function, so give it as one"
        )
    if settings.method.reference is None:
        raise UsageError(
            f"the adaptation {settings.method.name} is an object of this process: workers open one by its name or "
            "path/to/file.py:function, so give it as one"
        )
    origin = task.task.dataset.origin
    return CellOrder(
        reference=references[candidate],
        device=str(candidate.device),
        fingerprint=candidate.fingerprint,
        task=task.name,
        data=task.data,
        version=task.test.key.version,
        sampling_seed=task.test.key.seed,
        method=settings.method.reference,
        method_fingerprint=settings.method.fingerprint,
        track=settings.track,
        deterministic=settings.deterministic,
        threads=settings.threads,
        graphs=None if settings.graphs is None else str(settings.graphs.resolve()),
        start=cell.start,
        shots=cell.shots,
        seed=cell.seed,
        digest=_digest(cell),
        plugins=() if origin == BUILT_IN else tuple(dict.fromkeys((*named_plugins(), origin))),
    )


def compute_order(order: CellOrder, on_step: Callable[[int, float], None] = lambda _step, _loss: None) -> Outcome:
    """Compute a cell in a worker.

    Raises:
        PdefmError: if the model or data cannot be opened, or are other ones than those that were asked for.
    """
    with one_at_a_time:
        if order.plugins:
            load_plugins(order.plugins)
        candidate = _candidate(order.reference, order.device, order.fingerprint)
        settings = RunSettings(
            track=order.track,
            method=_method(order.method, order.method_fingerprint),
            deterministic=order.deterministic,
            threads=order.threads,
            graphs=None if order.graphs is None else Path(order.graphs),
        )
        held = _held(order.task, order.data, order.version, order.sampling_seed, order.track, candidate.device)
        cell = Cell(candidate, held.task, settings, order.start, order.shots, order.seed)
        if _digest(cell) != order.digest:
            raise PdefmError(
                f"a worker would compute another thing than {cell}: its data, its package or its PyTorch is not that "
                "of the process that asks"
            )
        return compute_with_threads(cell, held, on_step)


def compute_with_threads(
    cell: Cell,
    held: HeldTask,
    on_step: Callable[[int, float], None],
    on_batch: Callable[[int, float], None] = lambda _rows, _seconds: None,
) -> Outcome:
    """Compute a cell with as many of PyTorch's threads as its settings say, here or in a worker."""
    with one_at_a_time, torch_threads(cell.settings.threads):
        return compute(cell, held, on_step, on_batch)


def _digest(cell: Cell) -> str:
    """Return a digest that holds for a model that cannot be known again too: of the rest."""
    return hashlib.sha256(json.dumps(described_inputs(cell), sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=_MODELS_HELD)
def _candidate(reference: str, device: str, fingerprint: str | None) -> Candidate:
    candidate = open_candidate(reference, device)
    if candidate.fingerprint != fingerprint:
        raise PdefmError(f"{reference} is another model for a worker than for the process that asks")
    return candidate


@lru_cache(maxsize=_MODELS_HELD)
def _method(reference: str, fingerprint: str | None) -> Method:
    method = open_method(reference)
    if method.fingerprint != fingerprint:
        raise PdefmError(f"{reference} is another adaptation for a worker than for the process that asks")
    return method


@lru_cache(maxsize=1)
def _held(
    task: str, data: str | None, version: str, sampling_seed: int, track: Track, device: torch.device
) -> HeldTask:
    return HeldTask(load_task(task, data, version=version, seed=sampling_seed), track, device)
