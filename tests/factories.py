"""Valid results with per-sample scores for tests, each detail of which a test may change."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from pdebench_fm.data.catalogue import known_datasets, system_of
from pdebench_fm.data.training_manifest import stated_range
from pdebench_fm.leaderboard.store import submit
from pdebench_fm.leaderboard.submission import Submitter
from pdebench_fm.physics import BUILT_IN, Range
from pdebench_fm.protocol.divisions import division_of
from pdebench_fm.protocol.pinned_digests import PINNED_DIGESTS
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.result import (
    CellRecord,
    DatasetRecord,
    Environment,
    Failure,
    ModelRecord,
    Result,
    in_order,
)
from pdebench_fm.results.runs import contamination_by, runs_of
from pdebench_fm.results.samples import CellScores, samples_digest, samples_of, samples_table, summarise

DIGEST = "0123456789abcdef" * 4
WEIGHTS = np.array([0.5, 0.5, 1.0, 2.0])  # of an error: powers of two, so that their mean is that error to the last bit
SHARES = {
    "relative_l2": 1.0,
    "relative_h1": 1.3,
    "band_low": 0.8,
    "band_mid": 1.7,
    "band_high": 4.2,
    "residual": 6.5,
    "max_error": 1.9,
}
DATE = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class MadeRun:
    """What a result is to hold for one start and number of shots: seeds 0, 1, … have these mean errors."""

    errors: tuple[float, ...]
    start: str
    shots: int


def make_run(errors=(0.1, 0.11, 0.12), start="pretrained", shots=8) -> MadeRun:
    return MadeRun(tuple(errors), start, shots)


def make_errors(error, rows):
    """Per-sample errors, (rows,), the mean of whose `relative_l2` is `error`."""
    weights = np.ones(rows)
    weights[: rows // 4 * 4] = np.tile(WEIGHTS, rows // 4)
    return {name: share * (error * weights) for name, share in SHARES.items()}


def make_parameters(task, rows):
    """Values of the varied parameter in the task's range, (rows,)."""
    name, regime = task.split("/")
    known = known_datasets().get(name)
    if known is None or regime not in known.system.regimes:
        return [0.0] * rows
    span = known.system.regimes[regime]
    return [float(value) for value in span.at(np.arange(rows) / rows)]


def make_model(model_id="fno-poisson-1m", **changes) -> ModelRecord:
    values = {
        "model_id": model_id,
        "revision": "v1.0.0",
        "weights_sha256": DIGEST,
        "fingerprint": "ab" + DIGEST[2:],
        "parameters": 1_060_000,
        "family": "poisson",
        "size": "1m",
    }
    return ModelRecord(**(values | changes))


def make_dataset(task="poisson/in-domain", track="lite", **changes) -> DatasetRecord:
    """The standard test rows of a task on a track, made from their recipes."""
    name, regime = task.split("/")
    pinned = PINNED_DIGESTS[1].get(task, {})
    known = known_datasets().get(name)
    plugin = known is not None and known.origin != BUILT_IN and regime in known.system.regimes
    span = known.system.regimes[regime] if plugin else Range(0, 1)
    values = {
        "name": name,
        "regime": regime,
        "version": "1.0.0",
        "parameter_range": stated_range(system_of(name), regime, span),
        "origin": "recipe",
        "recipe_digest": pinned.get(track, DIGEST[::-1]),
        "train_rows": 32768,
    }
    return DatasetRecord(**(values | changes))


def make_environment(**changes) -> Environment:
    values = {
        "package_version": "0.1.0",
        "python": "3.11.9",
        "libraries": {"numpy": "2.1.0", "torch": "2.5.1"},
        "device": "cpu",
        "threads": 2,
    }
    return Environment(**(values | changes))


def make_evaluation(task="poisson/in-domain", model="fno-poisson-1m", runs=None, **changes) -> Evaluation:
    """A lite-track evaluation of `model` (an id or a record) on `task`: zero-shot and 8 shots unless told.

    `environment`, `seconds` and `date` are those of every cell; a failure may leave its own out.
    """
    lite = changes.get("track", "lite") == "lite"
    values = {
        "protocol_version": 1,
        "method": "v1",
        "task": task,
        "track": "lite",
        "resolution": 64 if lite else 128,
        "test_rows": 512 if lite else 4096,
        "deterministic": True,
        "model": make_model(model) if isinstance(model, str) else model,
        "dataset": make_dataset(task, "lite" if lite else "full"),
        "failures": (),
    } | {name: value for name, value in changes.items() if name in Result.model_fields}
    where = {
        "environment": changes.get("environment", make_environment()),
        "date": changes.get("date", DATE),
    }
    made = (make_run((0.2,), shots=0), make_run()) if runs is None else runs
    parameters = make_parameters(task, values["test_rows"])
    scores = [
        CellScores(run.start, run.shots, seed, parameters, make_errors(error, values["test_rows"]))
        for run in made
        for seed, error in enumerate(run.errors)
    ]
    samples = samples_table(scores)
    cells = in_order(
        tuple(
            CellRecord(
                start=cell.start,
                shots=cell.shots,
                seed=cell.seed,
                metrics=summarise(cell.errors),
                samples_sha256=samples_digest(samples_of(samples, (cell.start, cell.shots, cell.seed))),
                seconds=changes.get("seconds", 12.5),
                **where,
            )
            for cell in scores
        )
    )
    values["failures"] = tuple(
        failure if isinstance(failure, Failure) else Failure(**(where | failure)) for failure in values["failures"]
    )
    values["division"] = changes.get("division", division_of(values["method"]))
    contamination = contamination_by(values["model"], values["dataset"], values["test_rows"], samples)
    values = {"contamination": contamination} | values
    result = Result(**values, cells=cells, runs=runs_of(cells, samples, values["dataset"]))
    return Evaluation(result, samples)


def make_result(*arguments, **changes) -> Result:
    """The result of `make_evaluation`."""
    return make_evaluation(*arguments, **changes).result


def with_samples(result: Result) -> Evaluation:
    """A made result with the per-sample scores that it was made of."""
    parameters = make_parameters(result.task, result.test_rows)
    return Evaluation(
        result,
        samples_table(
            CellScores(*cell.key, parameters, make_errors(cell.metrics.relative_l2_mean, result.test_rows))
            for cell in result.cells
        ),
    )


def write_made(result: Result, path) -> None:
    """Write a made result with its per-sample scores."""
    assert with_samples(result).write(path) == path


def put_on(paths, board, organisation=None, **options):
    """Submit results to a leaderboard in a folder; returns the rows' files."""
    return [board / row.place for row in submit(paths, board, Submitter(organisation), **options).rows]
