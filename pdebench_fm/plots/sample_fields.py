"""The best, the median and the worst test sample of one run, remade: source, solution, prediction and error."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.data.digest import recipe_digest
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cell import Cell
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.scoring import adapted
from pdebench_fm.evaluation.settings import RunSettings
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.prediction import predict
from pdebench_fm.models.references import open_candidate
from pdebench_fm.physics import draw
from pdebench_fm.plots.chart import parameter_range, shots_words
from pdebench_fm.plots.palette import FieldKind
from pdebench_fm.plots.selection import STARTS, Found, Selection, find_results
from pdebench_fm.protocol.methods import Method, known_method
from pdebench_fm.protocol.metrics import sample_errors
from pdebench_fm.protocol.task import EvaluationTask, load_task, rows_at
from pdebench_fm.results.remarks import start_in_words
from pdebench_fm.results.result import Result, Run
from pdebench_fm.results.samples import errors_of, read_own_samples
from pdebench_fm.surroundings import seeded, standard

ZERO_SHOT_AGREEMENT = 1e-3
"""Relative difference allowed between a sample's error in the file and here; across machines it is 1e-4 or less."""

ADAPTED_AGREEMENT = 0.25
"""The same after an adaptation, in whose steps other machines' last digits grow."""


@dataclass(frozen=True, eq=False)
class Field:
    """One field, (n, n) float32, with its title, its colour map's kind and the values at the map's ends."""

    title: str
    kind: FieldKind
    values: NDArray[np.float32]
    limits: tuple[float, float]


@dataclass(frozen=True, eq=False)
class SampleFields:
    """One test sample.

    Attributes:
        rank: "best", "median" or "worst".
        index: of the row in the test split.
        error: relative ℓ² error of the prediction that is shown.
        label: all of that in words.
        fields: source, solution, prediction and error.
    """

    rank: str
    index: int
    error: float
    label: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, eq=False)
class FieldsPicture:
    """A whole picture: title, caption, a sample a line, and notes on how it came to be."""

    title: str
    caption: str
    samples: tuple[SampleFields, ...]
    notes: tuple[str, ...]


def fields_picture(paths: Iterable[Path], selection: Selection, reference: str | None = None) -> FieldsPicture:
    """Remake the rows and the predictions of one run of one result.

    Without a choice in `selection` the run is the one with the fewest shots, pretrained if it can be, and of several
    seeds the first. The samples are chosen by the per-sample scores beside the result; after shots above 0 the model is
    adapted again, by the result's own method and seed.

    Args:
        paths: of result files or folders in which the selection finds one result.
        selection: which result and which run.
        reference: what to open the model from, as an evaluation takes it; by default a model that came with the
            package, or a Hub id at its commit, as the result names it.

    Raises:
        UsageError: none or several results, no such run, no per-sample scores, or a model that nobody can find.
        PdefmError: the model or the rows are not those that were scored.
    """
    notes: list[str] = []
    found = _only(find_results(paths, selection, notes))
    result = found.result
    run = _chosen_run(found, selection)
    seed = run.seeds[0]
    if run.shots and result.dataset.origin == "rows":
        raise UsageError(
            f"{found.path} was adapted on rows of {result.dataset.location}, which are not at hand: of such a result "
            "only zero-shot fields can be drawn"
        )
    (scores,) = errors_of(read_own_samples(found.path, result), [(run.start, run.shots, seed)])
    task = _task_of(found)
    candidate = _opened(result, reference)
    chosen = chosen_samples(scores)
    truth = rows_at(task.test, list(chosen.values()), result.track)
    settings = RunSettings(track=result.track, method=_method_of(found), deterministic=result.deterministic)
    cell = Cell(candidate, task, settings, run.start, run.shots, seed)
    with standard(deterministic=cell.deterministic), seeded(seed, candidate.device):
        model = adapted(cell, HeldTask(task, result.track, candidate.device))
        prediction = predict(model, truth)
    errors = sample_errors(prediction, truth, task.task.dataset.system.symbol)["relative_l2"].tolist()
    _check_errors(found, run, errors, [float(scores[i]) for i in chosen.values()])
    parameters = draw(task.test.key, list(chosen.values())).parameter
    symbol = task.task.dataset.system.parameter_symbol
    samples = tuple(
        SampleFields(
            rank,
            index,
            error,
            f"{rank.capitalize()}: test row {index}, {symbol} = {parameters[i]:.3g}, relative ℓ² error {error:.3g}",
            _fields(truth.source[i].numpy(), truth.solution[i].numpy(), prediction[i].numpy()),
        )
        for i, ((rank, index), error) in enumerate(zip(chosen.items(), errors, strict=True))
    )
    how = shots_words(run.shots)
    if run.shots:
        how = f"{start_in_words(result.model, run.start)}, {how}, seed {seed}"
    caption = (
        f"{result.model.model_id}, {how}; best, median and worst of {result.test_rows} test samples "
        f"({parameter_range(task.task)}) by relative ℓ² error, {result.track} track, "
        f"{result.resolution}×{result.resolution}. All quantities are dimensionless."
    )
    return FieldsPicture(f"Predicted fields: {result.task}", caption, samples, (*notes, *_adaptation_note(cell)))


def chosen_samples(scores: NDArray[np.float64]) -> dict[str, int]:
    """Return the rows of lowest, median and highest error; of an even number the lower of the two in the middle."""
    order = np.argsort(scores, kind="stable")
    return {"best": int(order[0]), "median": int(order[(len(order) - 1) // 2]), "worst": int(order[-1])}


def _only(found: list[Found]) -> Found:
    if len(found) > 1:
        first = ", ".join(f"{each.result.model.model_id} on {each.result.task}" for each in found[:3])
        raise UsageError(
            f"fields are those of one result, and there are {len(found)} ({first}, …): name a file, or choose with "
            "--model and --task"
        )
    return found[0]


def _chosen_run(found: Found, selection: Selection) -> Run:
    runs = [run for run in found.result.runs if selection.has(run)]
    if not runs:
        there = ", ".join(f"{run.start} with {run.shots}" for run in found.result.runs) or "none, as all failed"
        raise UsageError(f"{found.path} has no run with that start and number of shots: there are {there}")
    return min(runs, key=lambda run: (run.shots, STARTS.index(run.start)))


def _task_of(found: Found) -> EvaluationTask:
    """Return the task with rows that are made, after a check that they are those that were scored."""
    result = found.result
    task = load_task(result.task, version=result.dataset.version)
    if recipe_digest(task.test.key, result.test_rows) != result.dataset.recipe_digest:
        raise PdefmError(
            f"the test rows of {found.path} cannot be made again: their recipe digest is not that of {result.task} "
            f"{result.dataset.version}, so they were drawn with another seed"
        )
    return task


def _opened(result: Result, reference: str | None) -> Candidate:
    """Return the model that was scored; one is never opened by a name that could be a file of code."""
    model = result.model
    if reference is None:
        if model.revision is None:
            raise UsageError(
                f"the result does not say where {model.model_id} is to be found: name its folder, or whatever it was "
                "evaluated as, with --reference"
            )
        reference = model.model_id if model.revision == "package" else f"{model.model_id}@{model.revision}"
    candidate = open_candidate(reference)
    if candidate.weights_sha256 != model.weights_sha256:
        raise PdefmError(
            f"{reference} is not the model that was scored: its weights have the SHA-256 "
            f"{(candidate.weights_sha256 or 'none')[:12]}, those of the result {(model.weights_sha256 or 'none')[:12]}"
        )
    return candidate


def _method_of(found: Found) -> Method:
    """Return the way of adapting that a result names, which is never opened by a name that could be a file of code."""
    result = found.result
    method = known_method(result.method)
    if method is None or method.fingerprint != result.method_fingerprint:
        raise UsageError(
            f"the models of {found.path} were adapted by {result.method!r}, which is not at hand as it was then: "
            "fields can be drawn of results by the package's own methods"
        )
    return method


def _check_errors(found: Found, run: Run, errors: list[float], expected: list[float]) -> None:
    allowed = ADAPTED_AGREEMENT if run.shots else ZERO_SHOT_AGREEMENT
    for here, there in zip(errors, expected, strict=True):
        if not math.isclose(here, there, rel_tol=allowed):
            raise PdefmError(
                f"the model does not predict what {found.path} scored: a sample's error is {here:.4g} here and "
                f"{there:.4g} there"
            )


def _adaptation_note(cell: Cell) -> tuple[str, ...]:
    if not cell.shots:
        return ()
    start = "trained again from scratch" if cell.start == "scratch" else "adapted again"
    note = (
        f"the model was {start} for this picture: {cell.shots} shots, seed {cell.seed}, "
        f"method {cell.settings.method.name}, {cell.steps} steps; on another machine its "
        "errors differ a little from the result's"
    )
    return (note,)


def _fields(
    source: NDArray[np.float32], solution: NDArray[np.float32], prediction: NDArray[np.float32]
) -> tuple[Field, ...]:
    """Return the four fields; solution and prediction on one scale."""
    error = prediction - solution
    largest = float(max(np.abs(solution).max(), np.abs(prediction).max()))
    farthest = float(np.abs(error).max()) or 1.0
    return (
        Field("source f", "source", source, (float(source.min()), float(source.max()))),
        Field("true solution u", "solution", solution, (-largest, largest)),
        Field("prediction û", "solution", prediction, (-largest, largest)),
        Field("error û − u", "error", error, (-farthest, farthest)),
    )
