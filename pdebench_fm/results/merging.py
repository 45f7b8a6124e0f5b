"""What makes two results one: results of one identity are merged, and no score that was written is ever erased."""

import hashlib
import json
from typing import Final

import pyarrow as pa

from pdebench_fm.errors import PdefmError
from pdebench_fm.results.fields import MOST_CELLS
from pdebench_fm.results.result import CellRecord, Failure, Result, in_order
from pdebench_fm.results.runs import contamination_by, runs_of
from pdebench_fm.results.samples import SCHEMA, by_cell

_DIGITS: Final = 12


def identity(result: Result) -> dict[str, object]:
    """Return all that the cells of one result have in common, as JSON values.

    That is the model with its training manifest, the rows that are scored and those that support sets are drawn from,
    protocol, track, method and determinism. Where rows were read is no part of it, as their digest is.
    """
    model, dataset = result.model, result.dataset
    return {
        "protocol_version": result.protocol_version,
        "task": result.task,
        "track": result.track,
        "resolution": result.resolution,
        "test_rows": result.test_rows,
        "division": result.division,
        "method": result.method if result.method_fingerprint is None else list(result.adaptation),
        "deterministic": result.deterministic,
        "model": [model.model_id, model.revision, model.weights_sha256, model.fingerprint],
        "training": None if model.training is None else model.training.digest,
        "dataset": [dataset.version, dataset.origin, dataset.recipe_digest, dataset.content_digest],
        "train": [dataset.train_rows, dataset.train_content_digest],
    }


def fingerprint(result: Result) -> str:
    """Return 12 hexadecimal digits that results share if they are of one identity, and only then.

    A model or method that cannot be known again has no identity: its results are told apart by their scores.
    """
    known: dict[str, object] = identity(result)
    unknown_method = result.division == "open" and result.method_fingerprint is None
    if result.model.fingerprint is None or unknown_method:
        known["cells"] = [(*cell.key, cell.samples_sha256) for cell in result.cells]
        known["failures"] = [(*failure.key, failure.reason) for failure in result.failures]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def may_merge(one: Result, other: Result) -> bool:
    """Tell whether two results are of one identity."""
    return fingerprint(one) == fingerprint(other)


def conflicts(one: Result, other: Result) -> list[CellRecord]:
    """Return the cells of `one` that `other` has with other scores."""
    theirs = {cell.key: cell.samples_sha256 for cell in other.cells}
    return [cell for cell in one.cells if theirs.get(cell.key, cell.samples_sha256) != cell.samples_sha256]


def merged(kept: Result, kept_samples: pa.Table, new: Result, new_samples: pa.Table) -> tuple[Result, pa.Table]:
    """Return the union of two results of one identity, with its per-sample scores.

    A cell of `kept` stays as it is, and gets the graph that gave its scores, if the new one names it. A score takes the
    place of a failure of the same start, shots and seed; of two failures the newer is kept.

    Raises:
        ValueError: if they are not of one identity.
        PdefmError: if together they have more cells than a result holds.
    """
    if not may_merge(kept, new):
        raise ValueError("results of two identities are never merged")
    theirs = {cell.key: cell for cell in new.cells}
    cells = {cell.key: (cell, new_samples) for cell in new.cells} | {
        cell.key: (_with_graph(cell, theirs.get(cell.key)), kept_samples) for cell in kept.cells
    }
    if len(cells) > MOST_CELLS:
        raise PdefmError(
            f"two results of {kept.model.model_id} on {kept.task} have {len(cells)} scores together, and one holds "
            f"{MOST_CELLS} at most"
        )
    failures: dict[tuple[object, ...], Failure] = {}
    for failure in sorted((*kept.failures, *new.failures), key=lambda failure: failure.date):
        if failure.key not in cells:
            failures[failure.key] = failure
    records = in_order(tuple(cell for cell, _ in cells.values()))
    tables = {id(table): by_cell(table) for table in (kept_samples, new_samples)}
    parts = [tables[id(cells[record.key][1])][record.key] for record in records]
    samples = pa.concat_tables(parts) if parts else SCHEMA.empty_table()
    union = {
        "contamination": contamination_by(kept.model, kept.dataset, kept.test_rows, samples),
        "cells": records,
        "failures": tuple(failures.values()),
        "runs": runs_of(records, samples, kept.dataset),
    }
    return Result(**(dict(kept) | union)), samples


def _with_graph(kept: CellRecord, new: CellRecord | None) -> CellRecord:
    """Return a cell with the graph of another one that has the same scores, if it has none."""
    if kept.graph is not None or new is None or new.samples_sha256 != kept.samples_sha256:
        return kept
    return kept.model_copy(update={"graph": new.graph})
