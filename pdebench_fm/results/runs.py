"""Runs, derived from cells and their per-sample scores: means, intervals, and the score by value of the parameter."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pdebench_fm.data.catalogue import known_datasets
from pdebench_fm.errors import PdefmError
from pdebench_fm.protocol.metrics import METRIC_NAMES
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.contamination import Contamination, contamination_of
from pdebench_fm.results.intervals import interval_of_mean
from pdebench_fm.results.result import (
    CellRecord,
    DatasetRecord,
    ModelRecord,
    ParameterScore,
    Result,
    Run,
    Summary,
    agree,
    covered,
    headline,
)
from pdebench_fm.results.samples import by_cell


def runs_of(cells: Sequence[CellRecord], samples: pa.Table, dataset: DatasetRecord) -> tuple[Run, ...]:
    """Return the runs of a result: one for each start and number of shots, in the order of the cells.

    Args:
        cells: in the order of a result.
        samples: their per-sample scores, at least two rows each.
        dataset: what was scored, which says whether its parameter takes whole numbers alone.
    """
    if not cells:
        return ()
    parts = by_cell(samples)
    errors = np.stack([parts[cell.key].column("relative_l2").to_numpy() for cell in cells])
    return _runs(cells, errors, parts[cells[0].key].column("parameter").to_numpy(), dataset)


def check_derived(result: Result, samples: pa.Table, where: str) -> None:
    """Hold everything in a result that follows from its per-sample scores to them, as `read_own_samples` gives them.

    Raises:
        PdefmError: if a value is not what the scores give; `where` names the file.
    """
    if not result.cells:
        return
    columns = {name: samples.column(name).to_numpy().reshape(-1, result.test_rows) for name in METRIC_NAMES}
    for cell, expected in zip(result.cells, _summaries(columns), strict=True):
        for field, right in expected.items():
            found = getattr(cell.metrics, field)
            if not agree(found, right):
                name = f"{cell.start}, {cell.shots} shots, seed {cell.seed}"
                raise PdefmError(f"{where} is not a valid result: {field} of {name} is {found!r}, not {right!r}")
    parameters = samples.column("parameter").to_numpy()[: result.test_rows]
    _check_shares(result, parameters, where)
    derived = _runs(result.cells, columns["relative_l2"], parameters, result.dataset)
    for given, due in zip(result.runs, derived, strict=True):
        name = f"{given.start}, {given.shots} shots"
        for field in ("interval_low", "interval_high"):
            found, right = getattr(given.summary, field), getattr(due.summary, field)
            if not agree(found, right):
                raise PdefmError(f"{where} is not a valid result: {field} of {name} is {found!r}, not {right!r}")
        known = bool(due.by_parameter) or not given.by_parameter
        if known and not _alike(given.by_parameter, due.by_parameter):
            raise PdefmError(f"{where} is not a valid result: by_parameter of {name} is not what the samples give")


def contamination_by(model: ModelRecord, dataset: DatasetRecord, test_rows: int, samples: pa.Table) -> Contamination:
    """Return what a model's training means for the rows that it was scored on, with these per-sample scores."""
    parameters = samples.column("parameter").to_numpy()[:test_rows]
    return contamination_of(model.training, dataset.scored_rows(test_rows), parameters if len(parameters) else None)


def _check_shares(result: Result, parameters: NDArray[np.float64], where: str) -> None:
    due = contamination_of(result.model.training, result.dataset.scored_rows(result.test_rows), parameters)
    for field in ("trained_share", "looked_at_share"):
        found, right = getattr(result.contamination, field), getattr(due, field)
        if not agree(found, right):
            raise PdefmError(
                f"{where} is not a valid result: contamination.{field} is {found!r}, but manifest and samples give "
                f"{right!r}"
            )


def _summaries(columns: Mapping[str, NDArray[np.float64]]) -> list[dict[str, float]]:
    """Return the metrics of every cell as `summarise` does, to `AGREEMENT`, all cells at once.

    Args:
        columns: errors by metric, (cells, rows).
    """
    summaries = {f"{name}_mean": values.mean(axis=1).tolist() for name, values in columns.items()}
    median, high = np.quantile(columns["relative_l2"], [0.5, 0.95], axis=1).tolist()
    summaries |= {"relative_l2_median": median, "relative_l2_p95": high}
    return [dict(zip(summaries, values, strict=True)) for values in zip(*summaries.values(), strict=True)]


def _runs(
    cells: Sequence[CellRecord],
    errors: NDArray[np.float64],
    parameters: NDArray[np.float64],
    dataset: DatasetRecord,
) -> tuple[Run, ...]:
    """Return the runs of cells with these errors, (cells, rows), on rows with these parameters, (rows,)."""
    settings: dict[tuple[Start, int], list[int]] = {}
    for i, cell in enumerate(cells):
        settings.setdefault((cell.start, cell.shots), []).append(i)
    discrete = _is_discrete(dataset)
    return tuple(
        _run([cells[i] for i in of_run], errors[of_run], parameters if discrete else None)
        for of_run in settings.values()
    )


def _run(cells: Sequence[CellRecord], errors: NDArray[np.float64], parameters: NDArray[np.float64] | None) -> Run:
    low, high = interval_of_mean(errors)
    summary = {
        **headline([cell.metrics.relative_l2_mean for cell in cells]),
        "interval_low": float(low),
        "interval_high": float(high),
        "covers": covered(len(cells)),
    }
    first = cells[0]
    return Run(
        start=first.start,
        shots=first.shots,
        seeds=tuple(cell.seed for cell in cells),
        summary=Summary.model_validate(summary),
        by_parameter=() if parameters is None else _by_parameter(errors, parameters),
    )


def _by_parameter(errors: NDArray[np.float64], parameters: NDArray[np.float64]) -> tuple[ParameterScore, ...]:
    """Return the mean error at each value of the parameter, over the rows that have it and over the seeds."""
    of_sample = errors.mean(axis=0)
    return tuple(
        ParameterScore(
            parameter=float(value),
            rows=int((parameters == value).sum()),
            mean=float(of_sample[parameters == value].mean()),
        )
        for value in np.unique(parameters)
    )


def _is_discrete(dataset: DatasetRecord) -> bool:
    """Tell whether the varied parameter of a regime takes whole numbers alone; not of a system that isn't here."""
    known = known_datasets().get(dataset.name)  # no plug-in is loaded for reading a file
    span = known.system.regimes.get(dataset.regime) if known is not None else None
    return span is not None and span.integer


def _alike(given: Sequence[ParameterScore], derived: Sequence[ParameterScore]) -> bool:
    return len(given) == len(derived) and all(
        (one.parameter, one.rows) == (other.parameter, other.rows) and agree(one.mean, other.mean)
        for one, other in zip(given, derived, strict=True)
    )
