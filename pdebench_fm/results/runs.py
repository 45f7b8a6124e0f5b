"""Runs, derived from cells and their per-sample scores: means, intervals, and the score by value of the parameter."""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pdebench_fm.data.catalogue import known_datasets
from pdebench_fm.errors import PdefmError
from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.contamination import Contamination, contamination_of
from pdebench_fm.results.intervals import interval_of_mean
from pdebench_fm.results.result import (
    AGREEMENT,
    CellRecord,
    DatasetRecord,
    Metrics,
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
    rows = result.test_rows
    errors = np.stack([samples.column(name).to_numpy() for name in METRIC_NAMES])
    errors = errors.reshape(len(METRIC_NAMES), -1, rows)
    _check_metrics(result, errors, where)
    headline_errors = errors[METRIC_NAMES.index("relative_l2")]
    of_run = _by_run(result.cells)
    ends = _intervals([headline_errors[indices] for indices in of_run])
    parameters = samples.column("parameter").to_numpy()[:rows]
    discrete, whole = _is_discrete(result.dataset), bool((parameters == np.round(parameters)).all())
    _check_shares(result, parameters, where)
    for run, indices, interval in zip(result.runs, of_run, ends, strict=True):
        name = f"{run.start}, {run.shots} shots"
        for field, right in zip(("interval_low", "interval_high"), interval, strict=True):
            found = getattr(run.summary, field)
            if not agree(found, right):
                raise PdefmError(f"{where} is not a valid result: {field} of {name} is {found!r}, not {right!r}")
        # of a system that is not known here, both can be right: scores by whole numbers, and none
        wanted = bool(run.by_parameter) and whole if discrete is None else discrete
        due = _by_parameter(headline_errors[indices], parameters) if wanted else ()
        if not _alike(run.by_parameter, due):
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


_METRICS = tuple(Metrics.model_fields)
_VALUES = attrgetter(*_METRICS)


def _check_metrics(result: Result, errors: NDArray[np.float64], where: str) -> None:
    """Hold the metrics of every cell to the errors, (metrics, cells, rows), to `AGREEMENT`, all cells at once."""
    means = dict(zip((f"{name}_mean" for name in METRIC_NAMES), errors.mean(axis=2), strict=True))
    median, high = np.quantile(errors[METRIC_NAMES.index("relative_l2")], [0.5, 0.95], axis=1)
    derived = means | {"relative_l2_median": median, "relative_l2_p95": high}
    due = np.stack([derived[name] for name in _METRICS], axis=1)
    given = np.array([_VALUES(cell.metrics) for cell in result.cells])
    wrong = ~(np.abs(given - due) <= AGREEMENT * np.maximum(given, due))
    if wrong.any():
        i, j = np.argwhere(wrong)[0].tolist()
        cell, field = result.cells[i], _METRICS[j]
        name = f"{cell.start}, {cell.shots} shots, seed {cell.seed}"
        found, right = float(given[i, j]), float(due[i, j])
        raise PdefmError(f"{where} is not a valid result: {field} of {name} is {found!r}, not {right!r}")


def _intervals(runs: Sequence[NDArray[np.float64]]) -> list[tuple[float, float]]:
    """Return the ends of the interval of each run, with errors (seeds, rows); those of as many seeds at once."""
    by_seeds: dict[int, list[int]] = {}
    for i, errors in enumerate(runs):
        by_seeds.setdefault(len(errors), []).append(i)
    found: dict[int, tuple[float, float]] = {}
    for alike in by_seeds.values():
        low, high = interval_of_mean(np.stack([runs[i] for i in alike]))
        found |= dict(zip(alike, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    return [found[i] for i in range(len(runs))]


def _by_run(cells: Sequence[CellRecord]) -> list[list[int]]:
    """Return which cells each run consists of, in the order of the cells."""
    settings: dict[tuple[Start, int], list[int]] = {}
    for i, cell in enumerate(cells):
        settings.setdefault((cell.start, cell.shots), []).append(i)
    return list(settings.values())


def _runs(
    cells: Sequence[CellRecord],
    errors: NDArray[np.float64],
    parameters: NDArray[np.float64],
    dataset: DatasetRecord,
) -> tuple[Run, ...]:
    """Return the runs of cells with these errors, (cells, rows), on rows with these parameters, (rows,)."""
    discrete = _is_discrete(dataset)
    return tuple(
        _run([cells[i] for i in indices], errors[indices], parameters if discrete else None)
        for indices in _by_run(cells)
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


def _is_discrete(dataset: DatasetRecord) -> bool | None:
    """Tell whether the varied parameter of a regime takes whole numbers alone; None of a system that isn't here."""
    known = known_datasets().get(dataset.name)  # no plug-in is loaded for reading a file
    span = known.system.regimes.get(dataset.regime) if known is not None else None
    return None if span is None else span.integer


def _alike(given: Sequence[ParameterScore], derived: Sequence[ParameterScore]) -> bool:
    return len(given) == len(derived) and all(
        (one.parameter, one.rows) == (other.parameter, other.rows) and agree(one.mean, other.mean)
        for one, other in zip(given, derived, strict=True)
    )
