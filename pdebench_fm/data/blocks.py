"""Reading finished shards a block of rows at a time: passes over data of any size in constant memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pdebench_fm.data.rows import block_rows, features, row_bytes
from pdebench_fm.errors import PdefmError
from pdebench_fm.limits import SHARD_RATIO, MiB, in_bytes
from pdebench_fm.physics import Draws, SampleKey, Samples


class DamagedShardError(PdefmError):
    """A shard that cannot be read as rows of its dataset; the message says why, without the path."""


def read_blocks(path: Path, key: SampleKey, resolution: int) -> Iterator[Samples]:
    """Yield the rows of one shard as they are stored, a block at a time and in order.

    What a row does not store is empty in the draws: attempts are 0 and latents have no columns.

    Raises:
        DamagedShardError: if the file is not Parquet, is cut short or does not have the columns of the row schema.
    """
    with _explained(), pq.ParquetFile(path) as file:
        _check_header(path, file, resolution)
        for batch in file.iter_batches(batch_size=block_rows(resolution), use_threads=False):
            yield _samples(batch, key, resolution)


def check_shard(path: Path, rows: int, resolution: int) -> None:
    """Check by its header alone that a shard unfolds to so many rows of the row schema, and to nothing larger.

    Raises:
        DamagedShardError: if it does not, or cannot be read.
    """
    with _explained(), pq.ParquetFile(path) as file:
        _check_header(path, file, resolution)
        if file.metadata.num_rows != rows:
            raise DamagedShardError(f"it has {file.metadata.num_rows} rows, the manifest says {rows}")


def _check_header(path: Path, file: pq.ParquetFile, resolution: int) -> None:
    """Raise a `DamagedShardError` unless a file has the columns of the row schema and values for its rows alone."""
    check_columns(file.schema_arrow, resolution)
    rows = file.metadata.num_rows
    sizes = {"source": resolution**2, "solution": resolution**2, "weights": 12 * 12, "coefficients": 6}
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        for place in range(group.num_columns):
            column = group.column(place)
            name = column.path_in_schema.partition(".")[0]
            if column.num_values != (due := group.num_rows * sizes.get(name, 1)):
                raise DamagedShardError(f"column {name!r} has {column.num_values} values, not {due}")
    size = path.stat().st_size
    if rows * row_bytes(resolution) > SHARD_RATIO * size + MiB:
        raise DamagedShardError(
            f"its {in_bytes(size)} would unfold to {in_bytes(rows * row_bytes(resolution))}, more than real fields do"
        )


def table_blocks(table: pa.Table, key: SampleKey, resolution: int, *, whole_chunks: bool = False) -> Iterator[Samples]:
    """Yield the rows of a table in memory, or mapped into it, as `read_blocks` does those of a shard.

    Args:
        table: of the row schema.
        key: the names of its rows' stream.
        resolution: of their fields.
        whole_chunks: yield as many rows at once as lie beside each other, for views of the whole table.

    Raises:
        DamagedShardError: if it does not have the columns of the row schema.
    """
    with _explained():
        check_columns(table.schema, resolution)
        for batch in table.to_batches(max_chunksize=None if whole_chunks else block_rows(resolution)):
            yield _samples(batch, key, resolution)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what a file that is not as it should be leads to into an error that says so."""
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, MemoryError, pa.ArrowException) as error:
        # beside Arrow's own: what damaged metadata of an extension type lead to
        lines = str(error).strip().splitlines()
        raise DamagedShardError(lines[0] if lines else type(error).__name__) from error


def check_columns(held: pa.Schema, resolution: int) -> None:
    """Raise a `DamagedShardError` unless these are the columns of the row schema, by name and type."""
    wanted = features(resolution).arrow_schema
    for name in wanted.names:
        if name not in held.names:
            raise DamagedShardError(f"it has no column {name!r}")
        if (found := _storage(held.field(name).type)) != (right := _storage(wanted.field(name).type)):
            raise DamagedShardError(f"column {name!r} is {found}, not {right}")
    if extra := [name for name in held.names if name not in wanted.names]:
        raise DamagedShardError(f"it has a column {extra[0]!r} that the row schema does not know")


def _storage(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type that an extension type is stored as, and any other as it is."""
    return arrow_type.storage_type if isinstance(arrow_type, pa.BaseExtensionType) else arrow_type


def _samples(batch: pa.RecordBatch, key: SampleKey, resolution: int) -> Samples:
    """Return a batch of the file as samples whose arrays share its memory."""
    rows = batch.num_rows
    shapes = {
        "index": (),
        "source": (resolution, resolution),
        "solution": (resolution, resolution),
        "coefficients": (6,),
        "parameter": (),
        "sparsity": (),
        "weights": (12, 12),
    }
    return samples_of({name: _values(batch.column(name), (rows, *shape), name) for name, shape in shapes.items()}, key)


def samples_of(columns: Mapping[str, NDArray[Any]], key: SampleKey) -> Samples:
    """Return the columns of the row schema as samples; what rows do not store is empty in the draws."""
    rows = len(columns["index"])
    draws = Draws(
        key=key,
        indices=columns["index"],
        attempts=np.zeros(rows, np.int64),
        weights=columns["weights"],
        sparsity=columns["sparsity"],
        parameter=columns["parameter"],
        latents=np.empty((rows, 0)),
        coefficients=columns["coefficients"],
    )
    return Samples(draws, columns["source"], columns["solution"])


def _values(column: pa.Array, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return the innermost values of nested lists of this shape, without a copy."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    for width in shape[1:]:
        if column.null_count:
            break
        if pa.types.is_list(column.type) and not (np.diff(column.offsets.to_numpy()) == width).all():
            raise DamagedShardError(f"column {name!r} has a row that is not of shape {shape[1:]}")
        column = column.flatten()
    if column.null_count:
        raise DamagedShardError(f"column {name!r} has empty values")
    flat: NDArray[Any] = column.to_numpy(zero_copy_only=True)
    return flat.reshape(shape)
