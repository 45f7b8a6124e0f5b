"""Per-sample scores beside a result file, so that anyone can aggregate them anew or compare two models in pairs."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import atomic_path
from pdebench_fm.protocol.metrics import METRIC_NAMES, Errors
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.fields import SAMPLE_ERRORS
from pdebench_fm.results.result import CellKey, Metrics, Result

SCHEMA = pa.schema(
    [
        ("start", pa.string()),
        ("shots", pa.int64()),
        ("seed", pa.int64()),
        ("index", pa.int64()),
        ("parameter", pa.float64()),
        *((name, pa.float64()) for name in METRIC_NAMES),
    ]
)
"""`index` is the row's in the test split, `parameter` its e, Ψ or ω; then every metric, unrounded."""

_NAMES = SCHEMA.names.index("parameter")  # the columns before it name the cell and the row
_NONE = SCHEMA.empty_table()


@dataclass(frozen=True)
class CellScores:
    """The scores of every test row after one adaptation with one seed.

    Attributes:
        start, shots, seed: of the adaptation.
        parameters: e, Ψ or ω of each row.
        errors: by metric, (rows,) float64.
    """

    start: Start
    shots: int
    seed: int
    parameters: Sequence[float]
    errors: Errors


def summarise(errors: Errors) -> Metrics:
    """Return the errors reduced over the samples of a split: means, each the exact sum rounded once, and quantiles."""
    means = {f"{name}_mean": math.fsum(values) / len(values) for name, values in errors.items()}
    median, high = np.quantile(errors["relative_l2"], [0.5, 0.95])
    return Metrics(**means, relative_l2_median=float(median), relative_l2_p95=float(high))


def samples_path(result_path: Path) -> Path:
    """Return where the per-sample scores of a result file lie: beside it, as `<its name>.samples.parquet`."""
    return result_path.with_suffix(".samples.parquet")


def samples_table(scored: Iterable[CellScores]) -> pa.Table:
    """Return the per-sample scores of cells of one task as a table of `SCHEMA`."""
    parts = []
    for cell in scored:
        rows = len(cell.parameters)
        columns = {
            "start": pa.array([cell.start] * rows),
            "shots": pa.array([cell.shots] * rows),
            "seed": pa.array([cell.seed] * rows),
            "index": pa.array(np.arange(rows)),
            "parameter": pa.array(cell.parameters),
            **{name: pa.array(cell.errors[name]) for name in METRIC_NAMES},
        }
        parts.append(pa.table(columns, schema=SCHEMA))
    return pa.concat_tables(parts) if parts else _NONE


def write_samples(table: pa.Table, path: Path) -> None:
    """Write a table of per-sample scores atomically; raises a `PdefmError` if that fails."""
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_samples(path: Path) -> pa.Table:
    """Read a table of per-sample scores.

    Raises:
        UsageError: if there is no such file.
        PdefmError: if it is not one of per-sample scores.
    """
    if not path.is_file():
        raise UsageError(f"no per-sample scores at {path}: evaluate again to get them")
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:  # of a small file, threads would take most of the time
            table = file.read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise PdefmError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    if not table.schema.equals(SCHEMA):
        raise PdefmError(f"{path} does not hold per-sample scores: its columns are {', '.join(table.column_names)}")
    return table


def read_own_samples(path: Path, result: Result) -> pa.Table:
    """Return the per-sample scores beside a result file, cell after cell as in the result, if they are its own.

    Scores of cells that the result doesn't have are left aside: those of a writing that was interrupted between its two
    files.

    Raises:
        UsageError: if there are none.
        PdefmError: if they are not scores, or not this result's.
    """
    place = samples_path(path)
    parts = by_cell(read_samples(place))
    own = []
    for cell in result.cells:
        samples = parts.get(cell.key, _NONE)
        if samples.num_rows != result.test_rows or samples_digest(samples) != cell.samples_sha256:
            raise PdefmError(
                f"{place} does not hold the scores of {path.name} ({cell.start}, {cell.shots} shots, seed "
                f"{cell.seed}): evaluate again, into another folder"
            )
        own.append(samples)
    table = pa.concat_tables(own) if own else _NONE
    if wrong := _what_cannot_be(table, result.test_rows):
        raise PdefmError(f"{place} does not hold per-sample scores: {wrong}")
    return table


def by_cell(table: pa.Table) -> dict[CellKey, pa.Table]:
    """Return the rows of each cell, in the order of the test split."""
    if not table.num_rows:
        return {}
    columns = _names_and_rows(table)
    if not _is_in_order(columns):
        table = table.sort_by([(name, "ascending") for name in columns])
        columns = _names_and_rows(table)
    begins = np.flatnonzero(_changes(columns)).tolist()
    starts = table.column("start").take(pa.array(begins)).to_pylist()
    return {
        (start, int(columns["shots"][begin]), int(columns["seed"][begin])): table.slice(begin, end - begin)
        for start, begin, end in zip(starts, begins, [*begins[1:], table.num_rows], strict=True)
    }


def samples_of(table: pa.Table, key: CellKey) -> pa.Table:
    """Return the rows of one cell, in the order of the test split."""
    return by_cell(table).get(key, _NONE)


def samples_digest(samples: pa.Table) -> str:
    """Return the SHA-256 of the per-sample scores of one cell.

    That is, of its columns from `parameter` on, each as its name, a zero byte and little-endian float64 values in the
    order of the test split: of the numbers, however a file holds them.
    """
    digest = hashlib.sha256()
    for name in SCHEMA.names[_NAMES:]:
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(samples.column(name).to_numpy(), "<f8").tobytes())
    return digest.hexdigest()


def errors_of(table: pa.Table, keys: Iterable[CellKey]) -> NDArray[np.float64]:
    """Return the relative ℓ² errors of cells of one task, (cells, rows), in the order of the test split."""
    parts = by_cell(table)
    return np.stack([parts[key].column("relative_l2").to_numpy() for key in keys])


def _names_and_rows(table: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Return the columns that name cells and rows, as whole numbers in their order."""
    starts = table.column("start").combine_chunks().dictionary_encode()
    ranks = np.argsort(np.argsort(starts.dictionary.to_numpy(zero_copy_only=False).astype(str)))
    columns = {"start": ranks[starts.indices.to_numpy(zero_copy_only=False)]}
    return columns | {name: table.column(name).to_numpy() for name in SCHEMA.names[1:_NAMES]}


def _changes(columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Return which rows are of another cell than the ones before them; the first is."""
    named = np.stack([columns[name] for name in SCHEMA.names[: _NAMES - 1]])
    return np.append(True, (named[:, 1:] != named[:, :-1]).any(axis=0))


def _is_in_order(columns: Mapping[str, NDArray[np.int64]]) -> bool:
    """Tell whether the rows of each cell stand together, in the order of the test split."""
    changes = _changes(columns)
    cells = np.stack([columns[name] for name in SCHEMA.names[: _NAMES - 1]])[:, changes]
    together = len(np.unique(cells, axis=1).T) == changes.sum()
    return bool(together and (np.diff(columns["index"])[~changes[1:]] > 0).all())


def _what_cannot_be(table: pa.Table, rows: int) -> str:
    """Return what values no evaluation gives, "" if there are none; of cells with so many rows each."""
    index = table.column("index").to_numpy().reshape(-1, rows)
    if (index != np.arange(rows)).any():
        return f"its rows are not those of a test split from 0 to {rows - 1}"
    if not np.isfinite(table.column("parameter").to_numpy()).all():
        return "a parameter is not finite"
    low, high = SAMPLE_ERRORS
    for name in METRIC_NAMES:
        values = table.column(name).to_numpy()
        if not ((values == 0.0) | ((values >= low) & (values <= high))).all():
            return f"{name} should be 0, or from {low} to {high}, everywhere"
    return ""
