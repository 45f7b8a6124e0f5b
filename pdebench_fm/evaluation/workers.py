"""Cells in several processes of this machine, each of which holds one task's rows: the same scores, sooner."""

import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from threadpoolctl import threadpool_limits

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cell import Cell, Failed, Outcome
from pdebench_fm.evaluation.orders import CellOrder, compute_order, order_of
from pdebench_fm.evaluation.provenance import provenance_here
from pdebench_fm.evaluation.runners import Finished, OnBatch, OnStep
from pdebench_fm.evaluation.schedule import Schedule
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.processes import end_in_words, end_with_parent, require_main_guard

_BETWEEN_STEPS = 0.2  # seconds: no display needs more
_PATIENCE = 5.0  # seconds for a process to end before it is killed


@dataclass(frozen=True)
class _Ready:
    """A worker has started."""


@dataclass(frozen=True)
class _Step:
    """A step of an adaptation has been made."""

    step: int
    loss: float


@dataclass(frozen=True)
class _Done:
    """A cell is finished."""

    outcome: Outcome
    seconds: float


@dataclass(frozen=True)
class _Raised:
    """A cell could not be computed, for a reason that is not the model's: an exception, in words."""

    message: str
    details: str
    kind: type[PdefmError] | None  # None: nobody raised it on purpose

    def error(self) -> Exception:
        """Return it as an exception of this process."""
        if self.kind is None:
            error: Exception = RuntimeError(self.message)
            error.add_note(self.details)
            return error
        told = self.kind(self.message)
        told.details = self.details
        return told


@dataclass(frozen=True)
class _Died:
    """The process ended over its cell: how."""

    how: str


class WorkersRunner:
    """Processes of this machine; a cell whose process dies is given to another one once more."""

    def __init__(self, devices: Sequence[str], references: Mapping[Candidate, str]) -> None:
        """Say where to compute.

        Args:
            devices: of each process: one "cpu" for each, or one GPU for each.
            references: by which word a worker opens each model.
        """
        self._devices = devices
        self._references = references

    def run(self, cells: Sequence[Cell], on_step: OnStep, on_batch: OnBatch = lambda *_: None) -> Finished:
        """Yield the outcomes as the workers finish them; of batches nothing is heard.

        Raises:
            UsageError: if a model is an object of this process, or the script that calls has no main guard.
            PdefmError: if a worker cannot start, or cannot open what it needs.
        """
        del on_batch
        orders = {cell: order_of(cell, self._references) for cell in cells}
        if not orders:
            return
        require_main_guard()
        schedule = Schedule(cells)
        crew = [_Worker(device) for device in self._devices[: len(cells)]]
        lost: set[Cell] = set()
        try:
            while schedule or any(worker.cell for worker in crew):
                _give_out(schedule, crew, orders)
                for worker in _with_news(crew):
                    cell, news = worker.hear()
                    if isinstance(news, _Step):
                        on_step(cell, news.step, news.loss)
                    elif isinstance(news, _Raised):
                        raise news.error()
                    elif isinstance(news, _Died) and cell not in lost:
                        lost.add(cell)
                        schedule.put_back(cell)
                    elif isinstance(news, _Died):
                        method = cell.settings.method
                        by = "" if method.function is None else f", adapting the model by {method.name}"
                        reason = f"the process that computed it died twice ({news.how}){by}"
                        yield cell, Failed(reason, "", provenance_here(cell.candidate.device, 0.0)), 0.0
                    elif isinstance(news, _Done):
                        yield cell, news.outcome, news.seconds / len(crew)
        finally:
            for worker in crew:
                worker.end()


class _Worker:
    """A process as its parent sees it, which is started with its first cell, and again after it has died.

    Attributes:
        cell: what it computes, if anything.
        task: name of the task whose rows it holds.
        connection: to it, while it lives.
        exit_code: of a process that died; negative for a signal.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.cell: Cell | None = None
        self.task: str | None = None
        self.connection: Connection | None = None
        self.exit_code: int | None = None
        self._process: BaseProcess | None = None
        self._is_ready = False

    def give(self, cell: Cell, order: CellOrder) -> None:
        """Let it compute a cell."""
        if self.connection is None:
            self._start()
        assert self.connection is not None  # noqa: S101 (it was started)
        self.cell, self.task = cell, cell.task.name
        with suppress(OSError):  # it has died: `hear` will tell
            self.connection.send(replace(order, device=self.device))

    def hear(self) -> tuple[Cell, _Ready | _Step | _Done | _Raised | _Died]:
        """Return its news of its cell.

        Raises:
            PdefmError: if it died before it began.
        """
        cell = self.cell
        assert self.connection is not None and cell is not None  # noqa: S101, PT018 (only a busy worker is heard)
        try:
            news = self.connection.recv()
        except (EOFError, OSError):
            self.end()
            if not self._is_ready:
                raise PdefmError(f"a worker process ended as it started ({_in_words(self.exit_code)})") from None
            self.cell = self.task = None
            return cell, _Died(_in_words(self.exit_code))
        if isinstance(news, _Ready):
            self._is_ready = True
        elif not isinstance(news, _Step):
            self.cell = None
        return cell, news

    def end(self) -> None:
        """End the process, if there is one, whatever it does."""
        if self.connection is not None:
            self.connection.close()  # an idle one ends by itself
            self.connection = None
        if self._process is None:
            return
        if self.cell is not None:
            self._process.terminate()
        self._process.join(_PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self.exit_code = self._process.exitcode
        self._process = None

    def _start(self) -> None:
        context = get_context("spawn")  # not forked: the parent's threads (Arrow's, BLAS's) do not survive a fork
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="pdefm-worker", daemon=True)
        self._is_ready = False
        with _deaf_to_interrupts(), theirs:
            self._process.start()


def _with_news(crew: Sequence[_Worker]) -> list[_Worker]:
    """Wait until busy workers have something to tell, and return them."""
    busy = {worker.connection: worker for worker in crew if worker.cell is not None and worker.connection is not None}
    return [busy[connection] for connection in wait(list(busy)) if isinstance(connection, Connection)]


def _give_out(schedule: Schedule, crew: Sequence["_Worker"], orders: Mapping[Cell, CellOrder]) -> None:
    """Let idle workers have what waits."""
    for worker in crew:
        if worker.cell is None and schedule:
            others = [other.task for other in crew if other is not worker and other.task is not None]
            cell = schedule.next(worker.task, others)
            worker.give(cell, orders[cell])


def _in_words(exit_code: int | None) -> str:
    end = end_in_words(exit_code)
    return f"{end}: was there enough memory?" if end == "SIGKILL" else end


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let a process that is started here never see Ctrl-C, which a terminal sends to all: its parent ends it."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # or the first process that is started would, and unblock what is blocked here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """Compute what is ordered until the parent hangs up; what a worker process does."""
    end_with_parent()
    keep_freed_memory()
    connection.send(_Ready())
    with threadpool_limits(1):  # NumPy's: each process has one core
        while True:
            try:
                order: CellOrder = connection.recv()
            except EOFError:
                return
            connection.send(_answer(order, connection))


def _answer(order: CellOrder, connection: Connection) -> _Done | _Raised:
    began = time.perf_counter()
    told = began

    def on_step(step: int, loss: float) -> None:
        nonlocal told
        if (now := time.perf_counter()) - told >= _BETWEEN_STEPS:
            told = now
            connection.send(_Step(step, loss))

    try:
        return _Done(compute_order(order, on_step), time.perf_counter() - began)
    except PdefmError as error:
        return _Raised(str(error), error.details, UsageError if isinstance(error, UsageError) else PdefmError)
    except Exception as error:  # noqa: BLE001 (the parent raises it)
        return _Raised(f"{type(error).__name__}: {error}", traceback.format_exc(), None)
