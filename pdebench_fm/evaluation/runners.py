"""Where cells are computed: in this process, or on a Dask cluster; `workers` has a third place. All score alike."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from functools import partial
from typing import Protocol

from pdebench_fm.evaluation.cell import Cell, Outcome
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.orders import compute_order, compute_with_threads, order_of
from pdebench_fm.models.candidate import Candidate

OnStep = Callable[[Cell, int, float], None]
"""`on_step(cell, steps done, loss)`, from runners that see steps."""

OnBatch = Callable[[Cell, int, float], None]
"""`on_batch(cell, rows, seconds)`, after each batch of test rows, from runners that see them."""

Finished = Generator[tuple[Cell, Outcome, float], None, None]
"""Each cell with its outcome, as it is finished, and how many seconds of the run it accounts for; to be closed."""


class Runner(Protocol):
    """Computes cells."""

    def run(self, cells: Sequence[Cell], on_step: OnStep, on_batch: OnBatch) -> Finished:
        """Yield the cells as they are finished, in any order."""


class LocalRunner:
    """This process. Cells of one task should be neighbours: its rows are held while they last.

    Seeds are trained one after another. Three of `fno-mixed-64k` in one batched program (`torch.func.vmap`) took 1.6
    times as long as three in turn, 8 rows at 64×64 on one core: what is batched has to do without the network's
    hand-written derivatives, and a step is long enough that there is no overhead to save.
    """

    def run(self, cells: Sequence[Cell], on_step: OnStep, on_batch: OnBatch = lambda *_: None) -> Finished:
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
            of_cell: Callable[[int, float], None] = partial(on_step, cell)
            outcome = compute_with_threads(cell, held, of_cell, partial(on_batch, cell))
            yield cell, outcome, time.perf_counter() - began


class ClusterRunner:
    """A Dask cluster, whose workers have this package and can open the same models and data by the same names."""

    def __init__(self, executor: Executor, references: Mapping[Candidate, str]) -> None:
        """Use an open executor; `references` say by which word a worker opens each model."""
        self._executor = executor
        self._references = references

    def run(self, cells: Sequence[Cell], on_step: OnStep, on_batch: OnBatch = lambda *_: None) -> Finished:
        """Yield the outcomes as the cluster finishes them; of steps and batches nothing is heard.

        Raises:
            UsageError: if a model is an object of this process.
            PdefmError: if a worker cannot compute what is asked for.
        """
        del on_step, on_batch
        began = time.perf_counter()
        orders = {cell: order_of(cell, self._references) for cell in cells}
        futures = {self._executor.submit(compute_order, order): cell for cell, order in orders.items()}
        try:
            for future in as_completed(futures):
                outcome = future.result()
                now = time.perf_counter()
                yield futures[future], outcome, now - began
                began = now
        finally:  # after a failure or an interrupt, what has not begun is not worth beginning
            for future in futures:
                future.cancel()
