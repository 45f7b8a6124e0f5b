"""From the outcomes of cells to an evaluation: the result of one model on one task, with its per-sample scores."""

from collections.abc import Mapping, Sequence

from torch import nn

from pdebench_fm.data.training_manifest import stated_range
from pdebench_fm.evaluation.cell import Cell, Failed, Outcome, Scored
from pdebench_fm.evaluation.graphs import graph_of
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.tensors import tensors_digest
from pdebench_fm.protocol.task import EvaluationTask
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, Track, find_track
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.result import (
    CellRecord,
    DatasetRecord,
    Failure,
    ModelRecord,
    Result,
    in_order,
)
from pdebench_fm.results.runs import contamination_by, runs_of
from pdebench_fm.results.samples import CellScores, by_cell, samples_digest, samples_table


def evaluation_of(cells: Sequence[Cell], outcomes: Mapping[Cell, Outcome]) -> Evaluation:
    """Return the evaluation of one model on one task.

    Args:
        cells: all its cells, at least one.
        outcomes: of those and maybe other cells.
    """
    first = cells[0]
    method = first.settings.method
    scored = [(cell, outcome) for cell in cells if isinstance(outcome := outcomes[cell], Scored)]
    failed = [(cell, outcome) for cell in cells if isinstance(outcome := outcomes[cell], Failed)]
    parameters = first.task.test_parameters(first.track)
    samples = samples_table(
        CellScores(cell.start, cell.shots, cell.seed, parameters, outcome.errors) for cell, outcome in scored
    )
    parts = by_cell(samples)
    dataset = dataset_record(first.task, first.track)
    records = in_order(
        tuple(
            CellRecord(
                start=cell.start,
                shots=cell.shots,
                seed=cell.seed,
                metrics=outcome.metrics,
                samples_sha256=samples_digest(parts[cell.start, cell.shots, cell.seed]),
                graph=graph_of(cell),
                environment=outcome.provenance.environment,
                seconds=outcome.provenance.seconds,
                date=outcome.provenance.date,
            )
            for cell, outcome in scored
        )
    )
    model = model_record(first.candidate, known=all(outcome.known for _, outcome in scored))
    test_rows = first.task.test_rows(first.track)
    result = Result(
        protocol_version=PROTOCOL_VERSION,
        task=first.task.name,
        track=first.track,
        resolution=find_track(first.track).resolution,
        test_rows=test_rows,
        division=method.division,
        method=method.name,
        method_fingerprint=method.fingerprint if all(outcome.method_known for _, outcome in scored) else None,
        deterministic=first.deterministic,
        model=model,
        dataset=dataset,
        contamination=contamination_by(model, dataset, test_rows, samples),
        cells=records,
        failures=tuple(
            Failure(
                start=cell.start,
                shots=cell.shots,
                seed=cell.seed,
                reason=outcome.reason,
                environment=outcome.provenance.environment,
                date=outcome.provenance.date,
            )
            for cell, outcome in failed
        ),
        runs=runs_of(records, samples, dataset),
    )
    return Evaluation(result, samples)


def dataset_record(task: EvaluationTask, track: Track) -> DatasetRecord:
    """Return the provenance of the rows that are scored, and of those that support sets are drawn from."""
    test = task.test
    system, regime = task.task.dataset.system, task.task.regime.name
    return DatasetRecord(
        name=task.task.dataset.name,
        regime=regime,
        version=test.key.version,
        sampling_seed=test.key.seed,
        parameter_range=stated_range(system.name, regime, system.regimes[regime]),
        origin="recipe" if test.content_digest is None else "rows",
        recipe_digest=task.recipe_digest(track),
        content_digest=test.content_digest,
        train_rows=task.train.size,
        # as stated: it was checked where a support set was drawn, and a zero-shot score reads nothing of it
        train_content_digest=task.train.stated_digest,
        location=test.location,
        revision=test.revision,
    )


def model_record(candidate: Candidate, *, known: bool = True) -> ModelRecord:
    """Return what a result says of a model; one that was not `known` throughout has no fingerprint."""
    return ModelRecord(
        model_id=candidate.name,
        revision=candidate.revision,
        weights_sha256=candidate.weights_sha256,
        fingerprint=candidate.fingerprint if known else None,
        tensors_sha256=_tensors_sha256(candidate),
        parameters=candidate.parameters or None,
        family=candidate.family,
        size=candidate.size,
        training=candidate.training,
    )


def _tensors_sha256(candidate: Candidate) -> str | None:
    """Return the digest of the weights of a model without a file of them; random ones follow from each cell's seed."""
    if candidate.weights_sha256 is not None or not candidate.pretrained:
        return None
    return tensors_digest(candidate.operator) if isinstance(candidate.operator, nn.Module) else None
