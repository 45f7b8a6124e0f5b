"""True evaluations of a small model for tests of verification, and false ones made from them."""

from dataclasses import replace

from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.result import Result, write_result
from pdebench_fm.results.runs import runs_of
from pdebench_fm.results.samples import (
    CellScores,
    by_cell,
    samples_digest,
    samples_of,
    samples_path,
    samples_table,
    summarise,
    write_samples,
)


def with_scores(evaluation, change):
    """The evaluation with other scores, everything that follows from them computed anew.

    `change(name, values)` returns the new values of a column, of one cell at a time.
    """
    scores = []
    for key, table in by_cell(evaluation.samples).items():
        columns = {name: change(name, table.column(name).to_numpy()) for name in ("parameter", *METRIC_NAMES)}
        scores.append(CellScores(*key, columns.pop("parameter"), columns))
    samples = samples_table(scores)
    by_key = {(cell.start, cell.shots, cell.seed): cell.errors for cell in scores}
    cells = tuple(
        cell.model_copy(
            update={
                "metrics": summarise(by_key[cell.key]),
                "samples_sha256": samples_digest(samples_of(samples, cell.key)),
            }
        )
        for cell in evaluation.result.cells
    )
    runs = runs_of(cells, samples, evaluation.result.dataset)
    return Evaluation(Result(**(dict(evaluation.result) | {"cells": cells, "runs": runs})), samples)


def improved(evaluation):
    """The evaluation with all errors a tenth lower, in both files alike."""
    return with_scores(evaluation, lambda name, values: values if name == "parameter" else 0.9 * values)


def changed(evaluation, **changes):
    """The evaluation with other fields of its result."""
    return replace(evaluation, result=Result(**(dict(evaluation.result) | changes)))


def modelled(evaluation, **changes):
    """The evaluation with other fields of its model's record."""
    return changed(evaluation, model=evaluation.result.model.model_copy(update=changes))


def put(evaluation, path):
    """Write an evaluation, whatever is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_samples(evaluation.samples, samples_path(path))
    write_result(evaluation.result, path)
    return path
