"""Outcomes of cells on disk, so that no cell is computed twice, whenever the last attempt stopped."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue, ValidationError

from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.cell import Cell, Scored, cell_inputs, cell_key, key_of
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RECORD_BYTES, ROW_BYTES, MiB, read_limited
from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.results.fields import Digest, Record
from pdebench_fm.results.result import Metrics, Provenance


class _Entry(Record):
    """The JSON file of a cell; beside it lies a Parquet file with a row per test sample and a column per metric."""

    inputs: dict[str, JsonValue]
    scores_sha256: Digest
    metrics: Metrics
    provenance: Provenance


class CellCache:
    """A folder of finished cells, two files each, under the hash of all that their outcome depends on.

    Failed cells are not kept: what failed for want of memory may succeed next time.

    Attributes:
        folder: may be shared by any number of processes, and deleted at any time.
    """

    def __init__(self, folder: Path | str) -> None:
        """Use a folder, which is made when the first cell is kept."""
        self.folder = Path(folder)

    def load(self, cell: Cell) -> Scored | None:
        """Return a cell's outcome if it is here, whole, and that of this very cell."""
        key = cell_key(cell)
        if key is None:
            return None
        try:
            rows = cell.task.test_rows(cell.track)
            entry = _Entry.model_validate_json(read_limited(self._path(key, "json"), RECORD_BYTES))
            scores = read_limited(self._path(key, "parquet"), rows * ROW_BYTES + MiB)
            if key_of(entry.inputs) != key or hashlib.sha256(scores).hexdigest() != entry.scores_sha256:
                return None
            with pq.ParquetFile(pa.BufferReader(scores)) as file:
                if not _is_plain(file.metadata, rows):
                    return None
                table = file.read(columns=list(METRIC_NAMES), use_threads=False)
        except (OSError, ValidationError, pa.ArrowException, PdefmError):
            return None
        scored = Scored({name: table.column(name).to_numpy() for name in METRIC_NAMES}, entry.provenance)
        return scored if scored.metrics == entry.metrics else None

    def store(self, cell: Cell, scored: Scored) -> None:
        """Keep a cell's outcome; nothing is kept of a model, method or rows that cannot be known again.

        Raises:
            PdefmError: if the folder cannot be written.
        """
        inputs = cell_inputs(cell)
        if inputs is None or not (scored.known and scored.method_known):
            return
        key = key_of(inputs)
        buffer = pa.BufferOutputStream()
        columns = {name: pa.array(scored.errors[name]) for name in METRIC_NAMES}
        pq.write_table(pa.table(columns), buffer, compression="none", use_dictionary=False)
        scores = buffer.getvalue().to_pybytes()
        entry = _Entry.model_validate(
            {
                "inputs": dict(inputs),
                "scores_sha256": hashlib.sha256(scores).hexdigest(),
                "metrics": scored.metrics,
                "provenance": scored.provenance,
            }
        )
        write_atomically(self._path(key, "parquet"), scores)
        write_atomically(self._path(key, "json"), entry.model_dump_json(indent=2) + "\n")

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / "cells" / key[:2] / f"{key}.{suffix}"


def _is_plain(held: pq.FileMetaData, rows: int) -> bool:
    """Return whether a file has so many numbers in each column and cannot unfold to more, as it is not compressed."""
    groups = [held.row_group(index) for index in range(held.num_row_groups)]
    columns = [group.column(index) for group in groups for index in range(group.num_columns)]
    return (
        held.num_rows == rows == sum(group.num_rows for group in groups)
        and held.schema.names == list(METRIC_NAMES)
        and all(held.schema.column(i).max_repetition_level == 0 for i in range(held.num_columns))
        and all((column.physical_type, column.compression) == ("DOUBLE", "UNCOMPRESSED") for column in columns)
    )
