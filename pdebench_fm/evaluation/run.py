"""Running a suite: finished cells from the cache, the others computed and kept, each result as soon as it is whole."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.cell import Cell, Failed, Outcome, Scored
from pdebench_fm.evaluation.evaluation import evaluation_of
from pdebench_fm.evaluation.graphs import has_its_graph
from pdebench_fm.evaluation.progress import Pace, SuiteProgress
from pdebench_fm.evaluation.runners import LocalRunner, Runner
from pdebench_fm.evaluation.suite import Suite
from pdebench_fm.results.evaluation import Evaluation

_logger = logging.getLogger("pdebench_fm")


def run_suite(
    suite: Suite,
    *,
    cache: CellCache | None = None,
    runner: Runner | None = None,
    on_progress: Callable[[SuiteProgress], None] = lambda _: None,
    on_evaluation: Callable[[Evaluation], None] = lambda _: None,
) -> list[Evaluation]:
    """Compute a suite's cells, and return an evaluation for each task and model.

    A model that fails ends in its result's `failures`, with its own traceback in the log; the other cells go on.

    Args:
        suite: from `plan`.
        cache: where finished cells are looked for and kept; None computes everything and keeps nothing. Stopped at any
            moment, the same call goes on and returns the same scores.
        runner: where cells are computed; this process by default.
        on_progress: called at the start, after each step of an adaptation, and after each cell.
        on_evaluation: called with each evaluation as soon as its last cell is finished.

    Returns:
        The evaluations, task by task.

    Raises:
        PdefmError: if rows cannot be made or read, or workers or the cluster fail.
    """
    return _SuiteRun(suite, cache, on_progress, on_evaluation).finish(runner or LocalRunner())


class _SuiteRun:
    """A suite on its way."""

    def __init__(
        self,
        suite: Suite,
        cache: CellCache | None,
        on_progress: Callable[[SuiteProgress], None],
        on_evaluation: Callable[[Evaluation], None],
    ) -> None:
        self.groups = [suite.cells(candidate, task) for task in suite.tasks for candidate in suite.candidates]
        self.cells = [cell for group in self.groups for cell in group]
        self.cache = cache
        self.on_progress = on_progress
        self.on_evaluation = on_evaluation
        self.outcomes: dict[Cell, Outcome] = {}
        self.evaluations: dict[int, Evaluation] = {}
        self.under_way: dict[Cell, int] = {}
        self.told: set[tuple[str, str]] = set()
        self.pace = Pace()
        self.remaining: Counter[str] = Counter()
        self.estimator = _Estimator()

    def finish(self, runner: Runner) -> list[Evaluation]:
        if self.cache is not None:
            kept = ((cell, self.cache.load(cell)) for cell in self.cells if has_its_graph(cell))
            self.outcomes.update({cell: outcome for cell, outcome in kept if outcome is not None})
        missing = [cell for cell in self.cells if cell not in self.outcomes]
        for cell in missing:
            self.remaining[cell.candidate.name] += cell.work
        self._emit_whole_groups()
        self._report(None)
        with closing(
            runner.run(missing, self._step, self._batch)
        ) as finished:  # whatever stops it here, its processes end
            for cell, outcome, seconds in finished:
                self.outcomes[cell] = outcome
                if isinstance(outcome, Failed):
                    self._tell(cell, outcome)
                else:
                    self._keep(cell, outcome)
                self._emit_whole_groups()
                self.pace.record(cell.candidate.name, cell.work, seconds)
                self.remaining[cell.candidate.name] -= cell.work
                self._report(cell, cell.steps)
        return [self.evaluations[i] for i in range(len(self.groups))]

    def _keep(self, cell: Cell, outcome: Scored) -> None:
        """Put a score into the cache; where that cannot be written, say so once and go on without it."""
        if self.cache is None:
            return
        try:
            self.cache.store(cell, outcome)
            if not outcome.known:
                self._tell_unknown(cell.candidate.name)
            if not outcome.method_known:
                self._tell_unknown(f"the adaptation {cell.settings.method.name}")
        except PdefmError as error:
            _logger.warning("finished runs are not kept, so that the same call would compute them again: %s", error)
            self.cache = None

    def _emit_whole_groups(self) -> None:
        for i, group in enumerate(self.groups):
            if i not in self.evaluations and all(cell in self.outcomes for cell in group):
                self.evaluations[i] = evaluation_of(group, self.outcomes)
                self.on_evaluation(self.evaluations[i])

    def _tell(self, cell: Cell, failed: Failed) -> None:
        """Log a failure with the traceback of the model's own code, each traceback once."""
        known = (cell.candidate.name, failed.details)
        details = f"\n{failed.details.rstrip()}" if failed.details and known not in self.told else ""
        self.told.add(known)
        _logger.warning("%s failed: %s%s", cell, failed.reason, details)

    def _tell_unknown(self, name: str) -> None:
        """Log, once for each model and method, that it was another one after it was used."""
        known = (name, "changed")
        if known not in self.told:
            _logger.warning("%s changed while it was used (its state, or what it imports): not kept", name)
        self.told.add(known)

    def _step(self, cell: Cell, step: int, loss: float) -> None:
        self._tell_estimate(self.estimator.after_step(cell, step))
        self._report(cell, step, loss)

    def _batch(self, cell: Cell, rows: int, seconds: float) -> None:
        self._tell_estimate(self.estimator.after_batch(cell, rows, seconds))

    def _tell_estimate(self, pace: float | None) -> None:
        """Tell, once, how long all of it will take at a pace, in seconds for a forward pass of one sample."""
        if pace is not None:
            estimate = pace * sum(self.remaining.values()) / max(1, len(self.under_way))
            self.on_progress(SuiteProgress(len(self.outcomes), len(self.cells), estimate=estimate))

    def _report(self, cell: Cell | None, step: int = 0, loss: float | None = None) -> None:
        if cell is not None:
            self.under_way[cell] = step
        self.under_way = {cell: step for cell, step in self.under_way.items() if cell not in self.outcomes}
        remaining = dict(self.remaining)
        for other, made in self.under_way.items():  # several at once, with workers
            remaining[other.candidate.name] -= round(other.work * made / max(1, other.steps))
        self.on_progress(
            SuiteProgress(
                done=len(self.outcomes),
                cells=len(self.cells),
                cell=cell,
                step=step,
                steps=cell.steps if cell is not None else 0,
                loss=loss,
                seconds_left=self.pace.seconds_left(remaining),
            )
        )


class _Estimator:
    """How long a forward pass of one sample takes, from the first work that is seen; nothing is run for it.

    The first batch, or step, prepares what the next ones find ready, so it is the second that counts.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._first_steps: dict[Cell, tuple[int, float]] = {}
        self._told = False

    def after_batch(self, cell: Cell, rows: int, seconds: float) -> float | None:
        """Return the pace, once."""
        self._batches += 1
        of_a_row = cell.scoring_work / cell.task.test_rows(cell.track)
        return self._once(seconds / (rows * of_a_row)) if self._batches == 2 else None

    def after_step(self, cell: Cell, step: int) -> float | None:
        """Return the pace, once; workers tell of a step now and then, and several in turn."""
        now = time.perf_counter()
        first, then = self._first_steps.setdefault(cell, (step, now))
        training = cell.work - cell.scoring_work
        if step <= first or training <= 0:
            return None
        return self._once((now - then) / (step - first) / (training / cell.steps))

    def _once(self, pace: float) -> float | None:
        if self._told:
            return None
        self._told = True
        return pace
