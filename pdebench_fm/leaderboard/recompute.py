"""Running a row's model again: on the rows that it was scored on, and on fresh ones that nobody has seen.

No code of a submission is executed. What runs are this package's own models and architectures, whose weights are
fetched by a commit of the Hub and read as safetensors; or ONNX graphs, which are checked as data and run in a process
of their own. What either is is told by its digest.
"""

import math
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pdebench_fm.data.batches import Batch, concatenate
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cell import Cell, Failed
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.orders import compute_with_threads
from pdebench_fm.evaluation.suite import plan
from pdebench_fm.files import sha256_of
from pdebench_fm.graphs.process import require_packages
from pdebench_fm.hub.repository import Repository, hub_client
from pdebench_fm.leaderboard.official import is_official, shipped_model
from pdebench_fm.leaderboard.records import Adaptation, PrivateScore, Rerun, are_other_devices, relative
from pdebench_fm.limits import GRAPH_BYTES
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.graph import close_graph, open_graph
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sources import source_on_hub
from pdebench_fm.own_models import has_kept
from pdebench_fm.protocol.methods import OWN_METHODS
from pdebench_fm.protocol.recipes import PROTOCOL_RECIPE
from pdebench_fm.protocol.task import EvaluationTask, load_task
from pdebench_fm.protocol.tracks import Track
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.result import CellKey, CellRecord, Graph, Result, Run
from pdebench_fm.results.samples import errors_of
from pdebench_fm.version import __version__

_LEAST_STANDARD_ERROR = 1e-6  # of models whose error is the same on every row, such as predicting zero

OnProgress = Callable[[str], None]
"""Told what is computed, in words."""


class NotRunError(PdefmError):
    """A model that cannot be run by a verifier: no fault of the submission, whose row stays self-reported."""


class ScoredRows(HeldTask):
    """The rows that models are run on: those of a task, and behind its test rows fresh ones that nobody has seen.

    The train split is the public one, so that models are adapted to the support sets that the row says; one adaptation
    gives the scores on both kinds of test rows. Rows are made once for all models on a device.

    Attributes:
        rows: how many of the test rows are public.
        private: the task that the fresh ones are of; None without a private seed.
    """

    def __init__(
        self, task: EvaluationTask, private: EvaluationTask | None, track: Track, device: torch.device
    ) -> None:
        """Hold nothing yet."""
        super().__init__(task, track, device)
        self.rows = task.test_rows(track)
        self.private = private
        self._both: Batch | None = None

    def test(self) -> Batch:
        """Return the public rows, then the fresh ones."""
        if self._both is None:
            fresh = [] if self.private is None else [self.private.test_batch(self.track).to(self.device)]
            self._both = concatenate([super().test(), *fresh])
        return self._both


class RowsOfTasks:
    """Rows on request; those of one task are held at a time."""

    def __init__(self, private_seed: int | None) -> None:
        """Hold nothing yet; without a seed there are no fresh rows."""
        self._seed = private_seed
        self._key: tuple[object, ...] = ()
        self._held: ScoredRows | None = None

    def of(self, result: Result, device: torch.device) -> ScoredRows:
        """Return the rows that a result's model is run on, made from their recipes."""
        version = result.dataset.version
        key = (result.task, version, result.track, device)
        if self._held is None or key != self._key:
            self._held = None  # the last task's rows make room first
            private = None if self._seed is None else load_task(result.task, version=version, seed=self._seed)
            self._key = key
            self._held = ScoredRows(load_task(result.task, version=version), private, result.track, device)
        return self._held


@dataclass(frozen=True)
class SubmittedGraphs:
    """Where the graphs of a row are, one for each of its cells that names one.

    Attributes:
        weights_at: `organisation/name@commit` on the Hub; they lie side by side in its root.
    """

    weights_at: str

    @contextmanager
    def opened(self, graph: Graph) -> Iterator[Candidate]:
        """Fetch and load one of the graphs, for the time of this context.

        Raises:
            PdefmError: if it is not there, is not what was scored, or is no graph that is run.
        """
        name, _, commit = self.weights_at.partition("@")
        repository = Repository(hub_client(token=False), name, "model")
        with tempfile.TemporaryDirectory() as cache:
            folder = repository.download([graph.file], commit, cache_dir=cache, most={graph.file: GRAPH_BYTES})
            path = folder / graph.file
            if not path.is_file():
                raise PdefmError(f"{self.weights_at} has no {graph.file}")
            if (held := sha256_of(path)) != graph.sha256:
                raise PdefmError(
                    f"{graph.file} of {self.weights_at} is another (SHA-256), {held:.12}…, than was scored, "
                    f"{graph.sha256:.12}…"
                )
            candidate = open_graph(path)
            try:
                yield candidate
            finally:
                close_graph(candidate)


METRIC_TOLERANCE = 0.01
"""Of the mean of a zero-shot cell's metrics but its score: a GPU and a CPU differed by at most 5e-7 in eleven cells."""

_ROUNDED = {"residual": 1e-3, "relative_h1": 1e-4}  # the operator and the gradient magnify the rounding of fields

Submitted = Candidate | SubmittedGraphs
"""A row's model: one that a verifier adapts itself, or graphs that were adapted by whoever submitted them."""


def has_graphs(result: Result) -> bool:
    """Tell whether a row is run by its graphs: its weights, if it names any, are none of this package's files."""
    digests = {cell.graph.sha256 for cell in result.cells if cell.graph is not None}
    return bool(digests) and (result.model.weights_sha256 is None or result.model.weights_sha256 in digests)


def open_submitted(result: Result) -> Submitted:
    """Return the model of a row, held to what the row says of it; graphs are held to it when they are run.

    Raises:
        NotRunError: if it is none of this package's architectures, or does not say where its weights are.
        PdefmError: if what is there is not what was scored.
    """
    model = result.model
    if is_official(model):
        candidate = shipped_model(model.model_id)
        if candidate is None:
            kept = has_kept(model.weights_sha256)
            why = "are too large to come with the package: verify it in a clone" if kept else "were not kept"
            raise NotRunError(f"the weights of {model.model_id} {why}")
        return candidate
    graphs = has_graphs(result)
    if model.weights_sha256 is None and not graphs:
        raise NotRunError(
            "its code is none of this package's architectures, and nobody else's code is run: evaluated with --graphs, "
            "it comes as ONNX graphs"
        )
    if model.weights_at is None:
        what = "graphs" if graphs else "weights"
        raise NotRunError(f"it does not say where its {what} are on the Hub (pdefm submit --weights ORG/REPO@COMMIT)")
    if graphs:
        try:
            require_packages("running its graphs")
        except UsageError as error:
            raise NotRunError(str(error)) from error
        return SubmittedGraphs(model.weights_at)
    name, _, commit = model.weights_at.partition("@")
    found = candidate_of(NeuralOperator.from_source(source_on_hub(name, commit, token=False), "cpu"))
    for what, scored, held in (
        ("weights (SHA-256)", model.weights_sha256, found.weights_sha256),
        ("configuration and weights (fingerprint)", model.fingerprint, found.fingerprint),
    ):
        if scored != held:
            raise PdefmError(f"{model.weights_at} has other {what}, {held!s:.12}…, than were scored, {scored!s:.12}…")
    if found.training is not None and found.training != model.training:
        raise PdefmError(f"{model.weights_at} states other training rows than the row does")
    return replace(found, name=model.model_id)


def rerun(
    submitted: Evaluation,
    model: Submitted,
    rows: RowsOfTasks,
    shots: Collection[int] | None = None,
    on_progress: OnProgress = lambda _: None,
) -> tuple[tuple[Rerun, ...], tuple[PrivateScore, ...]]:
    """Compute the cells of a row anew; of graphs, those that have one.

    Args:
        submitted: the row with its per-sample scores.
        model: as `open_submitted` returns it.
        rows: that models are run on.
        shots: the numbers of shots that are computed; by default all that the row has.
        on_progress: told what is computed, in words.

    Returns:
        What was found for each cell, and, with private rows, for each run of which all cells were computed.

    Raises:
        NotRunError: if the row has no such shots, or its models were adapted by a method that is not the protocol's.
        PdefmError: if a cell fails here that did not fail there.
    """
    result = submitted.result
    wanted = [cell for cell in result.cells if shots is None or cell.shots in shots]
    by_graphs = isinstance(model, SubmittedGraphs)
    if by_graphs:
        wanted = [cell for cell in wanted if cell.graph is not None]
    if not wanted:
        raise NotRunError("it has no cell with these shots" + (" and a graph" if by_graphs else ""))
    if not by_graphs and result.method not in (PROTOCOL_RECIPE, *OWN_METHODS):
        raise NotRunError(f"its models were adapted by {result.method!r}, which is no method of this package")
    if isinstance(model, SubmittedGraphs):
        held = rows.of(result, torch.device("cpu"))
        errors = _graph_errors(result, model, held, wanted, on_progress)
    else:
        held = rows.of(result, model.device)
        errors = _errors(result, model, held, wanted, on_progress)
    reruns = tuple(
        _compared(
            cell,
            submitted.samples,
            errors[cell.key][: held.rows],
            _adaptation(result, cell, by_graphs=by_graphs),
            held.device.type,
        )
        for cell in wanted
    )
    if held.private is None:
        return reruns, ()
    private = {key: of_cell[held.rows :] for key, of_cell in errors.items()}
    digest = held.private.recipe_digest(result.track)
    runs = [run for run in result.runs if all(cell.key in private for cell in result.cells_of(run))]
    return reruns, tuple(_private_score(result, run, submitted.samples, private, digest) for run in runs)


_Errors = Mapping[CellKey, NDArray[np.float64]]
"""Errors of every row, public and private, (rows,), by cell."""


def _adaptation(result: Result, cell: CellRecord, *, by_graphs: bool) -> Adaptation:
    """Return who adapted the model of a cell: one that is scored as it is has nobody who did."""
    as_it_is = cell.shots == 0 and result.division == "closed"
    return "self-reported" if by_graphs and not as_it_is else "verified"


def _graph_errors(
    result: Result, graphs: SubmittedGraphs, rows: ScoredRows, wanted: Sequence[CellRecord], on_progress: OnProgress
) -> _Errors:
    errors = {}
    for i, cell in enumerate(wanted):
        assert cell.graph is not None  # noqa: S101 (the caller has looked)
        with graphs.opened(cell.graph) as candidate:
            suite = plan([candidate], [rows.task], 0, track=result.track)
            there, *_ = suite.cells(suite.candidates[0], rows.task)
            errors[cell.key] = _computed(there, cell, rows, partial(_tell, on_progress, i, wanted))
    return errors


def _errors(
    result: Result, candidate: Candidate, rows: ScoredRows, wanted: Sequence[CellRecord], on_progress: OnProgress
) -> _Errors:
    suite = plan(
        [candidate],
        [rows.task],
        sorted({cell.shots for cell in wanted}),
        track=result.track,
        seeds=max(cell.seed for cell in wanted) + 1,
        scratch=any(cell.start == "scratch" for cell in wanted),
        recipe=result.method if result.method == PROTOCOL_RECIPE else None,
        adaptation=None if result.method == PROTOCOL_RECIPE else result.method,
        deterministic=result.deterministic,
    )
    cells = {(cell.start, cell.shots, cell.seed): cell for cell in suite.cells(suite.candidates[0], rows.task)}
    for cell in wanted:
        if cell.key not in cells:
            raise PdefmError(f"{_words(cell)} gives no score when it is run again: there is no such cell of this model")
    rows.expect((cell.shots, cell.seed) for cell in wanted if cell.shots)
    return {
        cell.key: _computed(cells[cell.key], cell, rows, partial(_tell, on_progress, i, wanted))
        for i, cell in enumerate(wanted)
    }


def _computed(
    cell: Cell, record: CellRecord, rows: ScoredRows, tell: Callable[[CellRecord, int, int], None]
) -> NDArray[np.float64]:
    """Return the errors of a cell on all rows, (rows,)."""
    tell(record, 0, cell.steps)
    outcome = compute_with_threads(cell, rows, lambda step, _loss: tell(record, step, cell.steps))
    if isinstance(outcome, Failed):
        raise PdefmError(f"{_words(record)} gives no score when it is run again: {outcome.reason}")
    if not record.shots:
        _check_metrics(record, {name: float(errors[: rows.rows].mean()) for name, errors in outcome.errors.items()})
    return outcome.errors["relative_l2"]


def _check_metrics(record: CellRecord, here: Mapping[str, float]) -> None:
    """Raise a `PdefmError` if a zero-shot cell's other metrics are not those of its model.

    Those of an adapted model are not held to anything: from one device to another they differ by up to ten times as
    much as its score.
    """
    score = record.metrics.relative_l2_mean
    if abs(here["relative_l2"] - score) > METRIC_TOLERANCE * score:
        return  # what is wrong is the score, which is looked at by itself
    for name, found in here.items():
        said = getattr(record.metrics, f"{name}_mean")
        if abs(found - said) > METRIC_TOLERANCE * said + _ROUNDED.get(name, 1e-5):
            raise PdefmError(f"{_words(record)}: its mean {name} is {said:.4g}, and {found:.4g} when it is run again")


def _tell(
    on_progress: OnProgress, place: int, wanted: Sequence[CellRecord], cell: CellRecord, step: int, of: int
) -> None:
    """Say which cell is computed, and how far that is."""
    steps = f", step {step:,} of {of:,}" if of else ""
    on_progress(f"{_words(cell)}, {place + 1} of {len(wanted)}{steps}")


def _compared(
    cell: CellRecord, submitted: pa.Table, here: NDArray[np.float64], adaptation: Adaptation, device: str
) -> Rerun:
    there = errors_of(submitted, [cell.key])[0]
    trained = cell.shots and adaptation == "verified"
    gap = abs(float(here.mean() - there.mean())) if trained else float(np.abs(here - there).mean())
    return Rerun(
        start=cell.start,
        shots=cell.shots,
        seed=cell.seed,
        samples_sha256=cell.samples_sha256,
        mean=float(here.mean()),
        difference=min(relative(gap, float(there.mean())), 1e100),
        package_version=__version__,
        date=datetime.now(UTC),
        adaptation=adaptation,
        other_device=are_other_devices(cell.environment.device, device),
    )


def _private_score(result: Result, run: Run, submitted: pa.Table, private: _Errors, recipe_digest: str) -> PrivateScore:
    cells = result.cells_of(run)
    keys = [cell.key for cell in cells]
    there = errors_of(submitted, keys).mean(axis=0)
    here = np.mean([private[key] for key in keys], axis=0)
    gap, standard_error = gap_between(there, here)
    return PrivateScore(
        start=run.start,
        shots=run.shots,
        samples_sha256=tuple(cell.samples_sha256 for cell in cells),
        rows=len(here),
        recipe_digest=recipe_digest,
        public_mean=float(there.mean()),
        private_mean=float(here.mean()),
        gap=gap,
        standard_error=standard_error,
        package_version=__version__,
        date=datetime.now(UTC),
    )


def gap_between(public: NDArray[np.float64], private: NDArray[np.float64]) -> tuple[float, float]:
    """Return log(mean private / mean public) and its standard error over new draws of both test splits.

    The seeds are the same on both sides and count as fixed; Var(log ȳ) ≈ Var(ȳ)/ȳ² (delta method).

    Args:
        public: the errors of the rows that everybody has, (rows,), averaged over seeds.
        private: the same of the fresh ones.
    """
    means = [float(errors.mean()) for errors in (public, private)]
    if min(means) <= 0.0:
        return (0.0 if max(means) <= 0.0 else math.copysign(1e3, means[1] - means[0])), _LEAST_STANDARD_ERROR
    parts = [errors.var(ddof=1) / len(errors) / mean**2 for errors, mean in zip((public, private), means, strict=True)]
    return math.log(means[1] / means[0]), max(math.sqrt(sum(parts)), _LEAST_STANDARD_ERROR)


def _words(cell: CellRecord) -> str:
    return "zero-shot" if cell.shots == 0 else f"{cell.start}, {cell.shots} shots, seed {cell.seed}"
