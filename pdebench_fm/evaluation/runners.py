"""Where cells are computed: one after another in this process, or on a Dask cluster; the outcomes are the same."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cell import Cell, Outcome, cell_key
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.scoring import compute
from pdebench_fm.extensions.plugins import load_plugins, named_plugins
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.references import open_candidate
from pdebench_fm.physics import BUILT_IN
from pdebench_fm.protocol.task import EvaluationTask, load_task
from pdebench_fm.protocol.tracks import Start, Track
from pdebench_fm.surroundings import one_at_a_time

OnStep = Callable[[Cell, int, float], None]
"""`on_step(cell, steps done, loss)`, from runners that see steps."""


class Runner(Protocol):
    """Computes cells."""

    def run(self, cells: Sequence[Cell], on_step: OnStep) -> Iterator[tuple[Cell, Outcome, float]]:
        """Yield each cell with its outcome as it is finished, and the seconds since the last one or the start."""


class LocalRunner:
    """This process. Cells of one task should be neighbours: its rows are held while they last.

    Seeds are trained one after another. Three of `fno-mixed-64k` in one batched program (`torch.func.vmap`) took 1.6
    times as long as three in turn, 8 rows at 64×64 on one core: what is batched has to do without the network's
    hand-written derivatives, and a step is long enough that there is no overhead to save.
    """

    def run(self, cells: Sequence[Cell], on_step: OnStep) -> Iterator[tuple[Cell, Outcome, float]]:
        """Yield the outcomes in the order of the cells."""
        held: HeldTask | None = None
        for i, cell in enumerate(cells):
            began = time.perf_counter()
            place = (cell.task, cell.track, cell.candidate.device)
            if held is None or (held.task, held.track, held.device) != place:
                held = None  # the last task's rows make room first
                held = HeldTask(*place)
                same = [c for c in cells[i:] if (c.task, c.track, c.candidate.device) == place]
                held.expect((c.shots, c.seed) for c in same if c.shots)
            outcome = compute(cell, held, lambda step, loss, cell=cell: on_step(cell, step, loss))  # type: ignore[misc]
            yield cell, outcome, time.perf_counter() - began


@dataclass(frozen=True)
class CellOrder:
    """A cell as it is sent to another process, which opens model and task itself.

    Attributes:
        reference, device: what `open_candidate` takes.
        fingerprint: of the model that is meant.
        task, data, version, sampling_seed: what `load_task` takes.
        track, start, shots, seed, recipe, deterministic: as in `Cell`.
        threads: PyTorch's, for the same bits.
        key: the cell's, as this process knows it.
        plugins: named here, for a task of a plug-in.
    """

    reference: str
    device: str
    fingerprint: str | None
    task: str
    data: str | None
    version: str
    sampling_seed: int
    track: Track
    start: Start
    shots: int
    seed: int
    recipe: str
    deterministic: bool
    threads: int
    key: str | None
    plugins: tuple[str, ...]


class ClusterRunner:
    """A Dask cluster, whose workers have this package and can open the same models and data by the same names."""

    def __init__(self, executor: Executor, references: Mapping[Candidate, str]) -> None:
        """Use an open executor; `references` say by which word a worker opens each model."""
        self._executor = executor
        self._references = references

    def run(self, cells: Sequence[Cell], on_step: OnStep) -> Iterator[tuple[Cell, Outcome, float]]:
        """Yield the outcomes as the cluster finishes them; of steps nothing is heard."""
        del on_step
        began = time.perf_counter()
        futures = {self._executor.submit(compute_order, self._order(cell)): cell for cell in cells}
        try:
            for future in as_completed(futures):
                outcome = future.result()
                now = time.perf_counter()
                yield futures[future], outcome, now - began
                began = now
        finally:  # after a failure or an interrupt, what has not begun is not worth beginning
            for future in futures:
                future.cancel()

    def _order(self, cell: Cell) -> CellOrder:
        candidate, task = cell.candidate, cell.task
        if candidate not in self._references:
            raise UsageError(f"{candidate.name} is an object of this process: a cluster needs a model's name or path")
        return CellOrder(
            reference=self._references[candidate],
            device=str(candidate.device),
            fingerprint=candidate.fingerprint,
            task=task.name,
            data=task.data,
            version=task.test.key.version,
            sampling_seed=task.test.key.seed,
            track=cell.track,
            start=cell.start,
            shots=cell.shots,
            seed=cell.seed,
            recipe=cell.recipe,
            deterministic=cell.deterministic,
            threads=torch.get_num_threads(),
            key=cell_key(cell),
            plugins=() if task.task.dataset.origin == BUILT_IN else named_plugins(),
        )


def compute_order(order: CellOrder) -> Outcome:
    """Compute a cell in a worker.

    Raises:
        PdefmError: if the model or data cannot be opened, or are other ones than those that were asked for.
    """
    with one_at_a_time:
        threads = torch.get_num_threads()
        torch.set_num_threads(order.threads)
        try:
            if order.plugins:
                load_plugins(order.plugins)
            candidate = _candidate(order.reference, order.device, order.fingerprint)
            held = _held(order.task, order.data, order.version, order.sampling_seed, order.track, candidate.device)
            cell = Cell(
                candidate,
                held.task,
                order.track,
                order.start,
                order.shots,
                order.seed,
                order.recipe,
                order.deterministic,
            )
            if cell_key(cell) != order.key:
                raise PdefmError(
                    f"a worker of the cluster would compute another thing than {cell}: its data, its package or its "
                    "PyTorch is not that of this machine"
                )
            return compute(cell, held)
        finally:
            torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _candidate(reference: str, device: str, fingerprint: str | None) -> Candidate:
    candidate = open_candidate(reference, device)
    if candidate.fingerprint != fingerprint:
        raise PdefmError(f"{reference} is another model on a worker of the cluster than here")
    return candidate


@lru_cache(maxsize=1)
def _held(
    task: str, data: str | None, version: str, sampling_seed: int, track: Track, device: torch.device
) -> HeldTask:
    loaded: EvaluationTask = load_task(task, data, version=version, seed=sampling_seed)
    return HeldTask(loaded, track, device)
