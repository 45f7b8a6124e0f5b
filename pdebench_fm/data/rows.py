"""The row schema of every dataset, and its translation to Arrow and Parquet.

Fields are `Array2D` features, so that stock users see (n, n) arrays; on disk they are lists of lists of float32.

A shard is one row group. Arrow's scanner, by which the `datasets` library streams Parquet, reads ahead to the next row
group of a file in a thread of its own; whoever breaks off before a file's end then ends in an interpreter that never
exits (apache/arrow#45214, huggingface/datasets#7467). In a file of one row group there is nothing to read ahead to.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pdebench_fm.data.digest import stored_columns
from pdebench_fm.physics import Samples

if TYPE_CHECKING:
    from datasets import Features

_FIELDS = ("source", "solution", "weights")
_COMPRESSION_LEVEL = 1


_BLOCK_VALUES = 128 * 128**2


def block_rows(resolution: int) -> int:
    """Return the rows that are made or checked at once: 128 up to 128×128.

    Above, as many as have the same size in memory, so that a build's memory does not grow with the resolution.
    """
    return min(128, _BLOCK_VALUES // resolution**2)


def row_bytes(resolution: int) -> int:
    """Return the size of a row's values in memory."""
    floats = 2 * resolution**2 + 12 * 12 + 6 + 2  # two fields, weights, coefficients, parameter and sparsity
    return 4 * floats + 8


def features(resolution: int) -> "Features":
    """Return the row schema at a resolution, as the `datasets` library declares it."""
    # Most commands read no stored rows, and the library takes a second to load.
    from datasets import Array2D, Features, List, Value

    return Features(
        {
            "index": Value("int64"),
            "source": Array2D((resolution, resolution), "float32"),
            "solution": Array2D((resolution, resolution), "float32"),
            "coefficients": List(Value("float32"), length=6),
            "parameter": Value("float32"),
            "sparsity": Value("float32"),
            "weights": Array2D((12, 12), "float32"),
        }
    )


def to_table(samples: Samples) -> pa.Table:
    """Return samples as an Arrow table of the row schema, without copying their fields."""
    schema = features(samples.source.shape[-1]).arrow_schema
    columns = [_arrow_column(values, schema.field(name).type) for name, values in stored_columns(samples).items()]
    return pa.Table.from_arrays(columns, schema=schema)


def _arrow_column(values: NDArray[np.generic], arrow_type: pa.DataType) -> pa.Array:
    """Return (B, …) values as an Arrow array of this type, nested lists sharing the values' memory."""
    flat = pa.array(values.reshape(-1))
    if isinstance(arrow_type, pa.ExtensionType):
        for width in reversed(values.shape[1:]):
            flat = pa.ListArray.from_arrays(np.arange(0, len(flat) + 1, width, dtype=np.int32), flat)
        return pa.ExtensionArray.from_storage(arrow_type, flat)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if values.ndim > 1 else flat


class ShardWriter:
    """Writes one Parquet shard: a context, at whose end the rows are written as one row group."""

    def __init__(self, path: Path, resolution: int) -> None:
        """Open the file for writing."""
        leaves = [f"{field}.list.element.list.element" for field in _FIELDS]
        self._tables: list[pa.Table] = []
        self._writer = pq.ParquetWriter(
            path,
            features(resolution).arrow_schema,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            use_dictionary=False,
            use_byte_stream_split=leaves,
            write_statistics=["index", "parameter", "sparsity"],
        )

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def write(self, samples: Samples) -> None:
        """Append samples, whose arrays must stay as they are until the end."""
        self._tables.append(to_table(samples))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the rows, unless making them failed, and close the file."""
        try:
            if kind is None:
                table = pa.concat_tables(self._tables)
                self._writer.write_table(table, row_group_size=len(table))
        finally:
            self._writer.close()
