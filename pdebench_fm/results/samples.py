"""Per-sample scores beside a result file, so that anyone can aggregate them anew or compare two models in pairs."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import atomic_path
from pdebench_fm.limits import ROW_BYTES, SAMPLE_ROWS, MiB, in_bytes
from pdebench_fm.protocol.metric_names import METRIC_NAMES, Errors
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

_PIECE_ROWS = 65_536  # read at once
_LONGEST_WORD = 16  # letters, of which "pretrained" has ten
_KEY_NAMES = ("start", "shots", "seed")  # of a cell
_NAMES = SCHEMA.names.index("parameter")  # the columns before it name the cell and the row
_REPEATED = SCHEMA.names[: _NAMES + 1]  # from row to row, or from cell to cell
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
        pq.write_table(table, temporary, use_dictionary=_REPEATED)  # no two errors are the same


def read_samples(path: Path) -> pa.Table:
    """Read a table of per-sample scores.

    Raises:
        UsageError: if there is no such file.
        PdefmError: if it is not one of per-sample scores.
    """
    return pa.concat_tables([_NONE, *_pieces(path)])


def read_own_samples(path: Path, result: Result) -> pa.Table:
    """Return the per-sample scores beside a result file, cell after cell as in the result, if they are its own.

    Scores of cells that the result doesn't have are left aside: those of a writing that was interrupted between its two
    files.

    Raises:
        UsageError: if there are none.
        PdefmError: if they are not scores, or not this result's.
    """
    place = samples_path(path)
    due = len(result.cells) * result.test_rows
    if due > SAMPLE_ROWS:
        raise PdefmError(f"{path} states {due:,} per-sample scores: at most {SAMPLE_ROWS:,} are read")
    gathered, held, has_others = [_NONE], 0, False
    for piece in _pieces(place, due):
        gathered.append(_of_cells(piece, result) if has_others else piece)
        held += gathered[-1].num_rows
        if held > due and not has_others:
            gathered, has_others = [_of_cells(each, result) for each in gathered], True
            held = sum(each.num_rows for each in gathered)
        if held > due:
            break
    if held != due:
        raise PdefmError(f"{place} does not hold the {due:,} scores that {path.name} states: evaluate again")
    table, places = _cells_in(pa.concat_tables(gathered))
    columns = {name: table.column(name).to_numpy() for name in SCHEMA.names[_NAMES:]}
    own = []
    for cell in result.cells:
        begin, end = places.get(cell.key, (0, 0))
        digest = _digest({name: values[begin:end] for name, values in columns.items()})
        if end - begin != result.test_rows or digest != cell.samples_sha256:
            raise PdefmError(
                f"{place} does not hold the scores of {path.name} ({cell.start}, {cell.shots} shots, seed "
                f"{cell.seed}): evaluate again, into another folder"
            )
        own.append((begin, end))
    if own != list(pairwise(range(0, table.num_rows + 1, result.test_rows))):
        table = pa.concat_tables([table.slice(begin, end - begin) for begin, end in own]) if own else _NONE
    if wrong := _what_cannot_be(table, result.test_rows):
        raise PdefmError(f"{place} does not hold per-sample scores: {wrong}")
    return table


def by_cell(table: pa.Table) -> dict[CellKey, pa.Table]:
    """Return the rows of each cell, in the order of the test split."""
    ordered, places = _cells_in(table)
    return {key: ordered.slice(begin, end - begin) for key, (begin, end) in places.items()}


def _of_cells(piece: pa.Table, result: Result) -> pa.Table:
    """Return the rows of a table that are of a result's cells."""
    if max(*(cell.shots for cell in result.cells), *(cell.seed for cell in result.cells), 0) >= 2**63:
        return piece.slice(0, 0)  # no file holds such a number
    cells = {
        name: pa.array([getattr(cell, name) for cell in result.cells], SCHEMA.field(name).type) for name in _KEY_NAMES
    }
    return piece.join(pa.table(cells), list(_KEY_NAMES), join_type="left semi", use_threads=False)


def _pieces(path: Path, least: int = 0) -> Iterator[pa.Table]:
    """Yield a table of per-sample scores in pieces, so that memory is bounded whatever a small file unfolds to.

    Raises:
        UsageError: if there is no such file.
        PdefmError: if it is not one of per-sample scores, or of fewer than `least` or more than `SAMPLE_ROWS` rows.
    """
    if not path.is_file():
        raise UsageError(f"no per-sample scores at {path}: evaluate again to get them")
    try:
        # A word stays in the file's dictionary: there it lies once, however many rows repeat it. Of a small file,
        # reading ahead would take most of the time.
        with (
            pa.OSFile(str(path)) as source,
            pq.ParquetFile(source, read_dictionary=["start"], pre_buffer=False) as file,
        ):
            _check_header(path, file, source.size(), least)
            for batch in file.iter_batches(_PIECE_ROWS, use_threads=False):
                yield _checked(path, batch)
    except (OSError, pa.ArrowException, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PdefmError(f"{path} cannot be read as Parquet ({reason})") from error


def _check_header(path: Path, file: pq.ParquetFile, size: int, least: int) -> None:
    """Check what a file of so many bytes says of itself before its rows are read."""
    schema = pa.schema([_as_word(field) for field in file.schema_arrow])
    if not schema.equals(SCHEMA):
        names = ", ".join(schema.names)
        raise PdefmError(f"{path} does not hold per-sample scores: its columns are {names:.300}")
    rows = file.metadata.num_rows
    if rows > SAMPLE_ROWS:
        raise PdefmError(f"{path} has {rows:,} rows: at most {SAMPLE_ROWS:,} per-sample scores are read")
    if rows < least:
        raise PdefmError(f"{path} has {rows:,} rows, fewer than the {least:,} scores that its result states")
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    unfolded = sum(group.total_byte_size for group in groups)
    if max(unfolded, size) > rows * ROW_BYTES + MiB:
        raise PdefmError(
            f"{path} is not one of {rows:,} per-sample scores: its columns take {in_bytes(unfolded)}, more than "
            f"{ROW_BYTES} bytes a row"
        )


def _checked(path: Path, piece: pa.RecordBatch) -> pa.Table:
    """Return a piece in the columns' own types, after a look at the words in it."""
    words, *numbers = piece.columns
    longest = pc.max(pc.binary_length(words.dictionary)).as_py() or 0
    if longest > _LONGEST_WORD or any(column.null_count for column in piece.columns):
        raise PdefmError(f"{path} does not hold per-sample scores: it has empty values, or words where none belong")
    return pa.Table.from_arrays([words.cast(SCHEMA.field("start").type), *numbers], schema=SCHEMA)


def _as_word(field: pa.Field) -> pa.Field:
    """Return the field without the dictionary that a column of words is read with."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def samples_of(table: pa.Table, key: CellKey) -> pa.Table:
    """Return the rows of one cell, in the order of the test split."""
    return by_cell(table).get(key, _NONE)


def samples_digest(samples: pa.Table) -> str:
    """Return the SHA-256 of the per-sample scores of one cell.

    That is, of its columns from `parameter` on, each as its name, a zero byte and little-endian float64 values in the
    order of the test split: of the numbers, however a file holds them.
    """
    return _digest({name: samples.column(name).to_numpy() for name in SCHEMA.names[_NAMES:]})


def _digest(columns: Mapping[str, NDArray[np.float64]]) -> str:
    digest = hashlib.sha256()
    for name, values in columns.items():
        digest.update(name.encode() + b"\0")
        digest.update(np.ascontiguousarray(values, "<f8").data)
    return digest.hexdigest()


def errors_of(table: pa.Table, keys: Iterable[CellKey]) -> NDArray[np.float64]:
    """Return the relative ℓ² errors of cells of one task, (cells, rows), in the order of the test split."""
    parts = by_cell(table)
    return np.stack([parts[key].column("relative_l2").to_numpy() for key in keys])


def _cells_in(table: pa.Table) -> tuple[pa.Table, dict[CellKey, tuple[int, int]]]:
    """Return the rows with those of each cell together, in the order of the test split, and where each cell's are."""
    if not table.num_rows:
        return table, {}
    changed = _changed(table)
    places = _places(table, changed)
    index = table.column("index").to_numpy()
    descends = index[1:] <= index[:-1]
    if len(places) <= np.count_nonzero(changed) or (descends & ~changed).any():
        table = table.sort_by([(name, "ascending") for name in SCHEMA.names[:_NAMES]])
        places = _places(table, _changed(table))
    return table, places


def _changed(table: pa.Table) -> NDArray[np.bool_]:
    """Return for each row but the first whether it is of another cell than the one before it, (rows - 1,)."""
    start = table.column("start").combine_chunks()
    changed = pc.not_equal(start[1:], start[:-1]).to_numpy(zero_copy_only=False)
    for name in _KEY_NAMES[1:]:
        column = table.column(name).to_numpy()
        changed = changed | (column[1:] != column[:-1])
    found: NDArray[np.bool_] = changed
    return found


def _places(table: pa.Table, changed: NDArray[np.bool_]) -> dict[CellKey, tuple[int, int]]:
    """Return where the rows of each cell begin and end."""
    begins = [0, *(np.flatnonzero(changed) + 1).tolist()]
    start, *numbers = (table.column(name) for name in _KEY_NAMES)
    first = zip(
        (start[i].as_py() for i in begins), *(each.to_numpy()[begins].tolist() for each in numbers), strict=True
    )
    return dict(zip(first, pairwise([*begins, table.num_rows]), strict=True))


def _what_cannot_be(table: pa.Table, rows: int) -> str:
    """Return what values no evaluation gives, "" if there are none; of cells with so many rows each."""
    index = table.column("index").to_numpy().reshape(-1, rows)
    if (index != np.arange(rows)).any():
        return f"its rows are not those of a test split from 0 to {rows - 1}"
    if not np.isfinite(table.column("parameter").to_numpy()).all():
        return "a parameter is not finite"
    low, high = SAMPLE_ERRORS
    values = np.stack([table.column(name).to_numpy() for name in METRIC_NAMES])
    possible = ((values == 0.0) | ((values >= low) & (values <= high))).all(axis=1)
    if not possible.all():
        return f"{METRIC_NAMES[int(possible.argmin())]} should be 0, or from {low} to {high}, everywhere"
    return ""
