"""Computing a cell: adapting the model, scoring it on the test rows, and telling what went wrong instead of raising."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import PdefmError, UsageError, words_of
from pdebench_fm.evaluation.cell import Cell, Failed, Outcome, Scored
from pdebench_fm.evaluation.graphs import write_graph
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.provenance import provenance_here
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.memory import is_out_of_memory
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import watch
from pdebench_fm.models.operator import ShapeError
from pdebench_fm.models.prediction import ModelOutputError, predict
from pdebench_fm.physics.operator import Symbol
from pdebench_fm.protocol.metric_names import Errors
from pdebench_fm.protocol.metrics import sample_errors
from pdebench_fm.results.fields import SAMPLE_ERRORS
from pdebench_fm.surroundings import process_kept, seeded, standard
from pdebench_fm.training.adapt import AdaptationRecipe, adapt
from pdebench_fm.training.interpolation import InterpolationRecipe, adapt_by_interpolation
from pdebench_fm.training.search import SearchRecipe, adapt_by_search

BATCH = 32
"""Rows that a model is given at once. Fixed: a matrix product may round differently in a batch of another size."""

_LONGEST_REASON = 300

OnStep = Callable[[int, float], None]
"""`on_step(steps done, loss)`."""


OnBatch = Callable[[int, float], None]
"""`on_batch(rows, seconds that they took)`."""


def compute(
    cell: Cell,
    rows: HeldTask,
    on_step: OnStep = lambda _step, _loss: None,
    on_batch: OnBatch = lambda _rows, _seconds: None,
) -> Outcome:
    """Adapt and score; a model that fails gives a `Failed`, whatever it did.

    The outcome does not depend on the caller's surroundings (`surroundings.standard`) or generators, nor are they
    changed; two threads that compute cells do so in turn.

    Args:
        cell: what to compute.
        rows: of the cell's task and track, on the candidate's device.
        on_step: called after every step of an adaptation.
        on_batch: called after every batch of test rows.

    Raises:
        PdefmError: if rows cannot be made or read, which is not the model's fault.
    """
    began = time.perf_counter()
    device = cell.candidate.device
    symbol = rows.task.task.dataset.system.symbol
    method = cell.settings.method
    unchanged, method_unchanged = watch(cell.candidate, method), watch(method, cell.candidate)
    try:
        with standard(deterministic=cell.deterministic), process_kept(), seeded(cell.seed, device):
            test = _prepared(cell, rows)
            model = adapted(cell, rows, on_step)
            errors = score_samples(model, test, symbol, on_batch)
    except _RowsError as error:
        raise error.why from error
    except (PdefmError, MemoryError, RuntimeError) as error:
        # a RuntimeError that is no lack of memory comes from this package, not from the model
        if not isinstance(error, PdefmError) and not is_out_of_memory(error):
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        unchanged(), method_unchanged()  # which empty caches
        return Failed(_reason(error), _details(error), provenance_here(device, time.perf_counter() - began))
    provenance = provenance_here(device, time.perf_counter() - began)
    scored = Scored(errors, provenance, known=unchanged(), method_known=method_unchanged())
    if cell.settings.graphs is not None:
        write_graph(cell, model)
    return scored


def score_samples(
    candidate: Candidate, test: Batch, symbol: Symbol, on_batch: OnBatch = lambda _rows, _seconds: None
) -> Errors:
    """Return a model's errors on rows of a task.

    Args:
        candidate: the model.
        test: rows on its device.
        symbol: of the system's operator.
        on_batch: called after every batch.

    Raises:
        ModelOutputError: if a prediction is no finite solution; the message counts rows from 0.
        UserCodeError: if the model raises.
    """
    parts: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(test), BATCH):
        began = time.perf_counter()
        batch = test[start : start + BATCH]
        try:
            prediction = predict(candidate, batch)
        except ModelOutputError as error:
            raise ModelOutputError(f"{error}, in test rows {start} to {start + len(batch) - 1}") from error
        except ShapeError as error:  # of an operator of this package, which does not know what it is called
            raise ModelOutputError(f"{candidate.name}: {error}") from error
        if prediction.device.type == "mps":  # which has no float64
            prediction, batch = prediction.cpu(), batch.to("cpu")
        parts.append({name: values.cpu() for name, values in sample_errors(prediction, batch, symbol).items()})
        on_batch(len(batch), time.perf_counter() - began)
    errors = {
        name: np.ascontiguousarray(torch.cat([part[name] for part in parts]).numpy(), dtype=np.float64)
        for name in parts[0]
    }
    least, most = SAMPLE_ERRORS
    for name, values in errors.items():
        if not (values <= most).all():
            raise ModelOutputError(f"its {name} is {values.max():.3g} in a test row, and {most:g} at most is a score")
        values[values < least] = 0.0
    return errors


def adapted(cell: Cell, rows: HeldTask, on_step: OnStep = lambda _step, _loss: None) -> Candidate:
    """Return the model that a cell scores: as it is, adapted, or trained from fresh weights.

    What is random in it is not fixed here, nor are the algorithms: see `compute`.

    Raises:
        UsageError: if the model cannot be trained.
        AdaptationError: if a method of the open division fails.
    """
    method, recipe = cell.method, cell.recipe
    if method is None:
        return cell.candidate
    with cell.candidate.its_modules():
        if method.function is not None:
            model = _starting_module(cell) if cell.shots else cell.candidate.operator
            support_set = rows.support_set(cell.shots, cell.seed, fresh=cell.start == "scratch")
            module = method.adapted(model, support_set, cell.seed, on_step)
            name = f"{cell.candidate.name} adapted by {method.name}"
            both = partial(_within, cell.candidate.its_modules, method.its_modules)
            return replace(cell.candidate, operator=module, name=name, its_modules=both)
        start = _starting_module(cell)
        support = rows.support(cell.shots, cell.seed)
        if isinstance(recipe, AdaptationRecipe):
            operator = adapt(start, support, recipe, cell.seed, on_step)
        elif isinstance(recipe, InterpolationRecipe):
            operator = adapt_by_interpolation(start, support, recipe, cell.seed, on_step)
        else:
            assert recipe is not None  # noqa: S101 (every recipe trains)
            operator = adapt_by_search(start, support, rows.validation(), recipe, cell.seed, on_step)
    return replace(cell.candidate, operator=operator)


@contextmanager
def _within(*contexts: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Enter contexts, each in the one before it."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context())
        yield


def _prepared(cell: Cell, rows: HeldTask) -> Batch:
    """Hold all rows that a cell needs, and return those that it is scored on."""
    try:
        if cell.shots:
            rows.support(cell.shots, cell.seed)
        if isinstance(cell.recipe, SearchRecipe):
            rows.validation()
        return rows.test()
    except PdefmError as error:
        raise _RowsError(error) from error


class _RowsError(Exception):
    """Rows could not be made or read: no failure of the model."""

    def __init__(self, why: PdefmError) -> None:
        super().__init__(str(why))
        self.why = why


def _starting_module(cell: Cell) -> nn.Module:
    candidate = cell.candidate
    if cell.start == "scratch" and candidate.fresh is not None:
        with user_code(f"making {candidate.name} with fresh weights"):
            return candidate.fresh(cell.seed)
    module = candidate.module
    if cell.start == "scratch" or module is None:
        raise UsageError(f"{candidate.name} cannot be trained")
    return module


def _reason(error: BaseException) -> str:
    text = words_of(error)
    if is_out_of_memory(error):
        text = f"not enough memory: {text or type(error).__name__}"
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def _details(error: BaseException) -> str:
    return error.details if isinstance(error, PdefmError) and not is_out_of_memory(error) else ""
