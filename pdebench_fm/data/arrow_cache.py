"""Shards as memory-mapped Arrow tables, which the `datasets` library makes and keeps in its cache.

The library's own Parquet builder opens a shard as a Python file. Arrow's threads then hold that file for a moment after
the last row was handed out, and an interpreter that exits in this moment aborts ("Streaming" in
docs/how-to/read-datasets.md). The builder here opens shards by their paths: what Arrow's threads hold is then no
Python object.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ArrowBasedBuilder, DatasetInfo, DownloadManager, Features, SplitGenerator
from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars


class Shards(ArrowBasedBuilder):  # type: ignore[misc]  # the library has no types
    """Makes the Arrow files of the Parquet files it is given, one split's."""

    def _info(self) -> DatasetInfo:
        return DatasetInfo()

    def _split_generators(self, _: DownloadManager) -> list[SplitGenerator]:
        ((split, files),) = self.config.data_files.items()
        self.info.features = Features.from_arrow_schema(pq.read_schema(files[0]))
        return [SplitGenerator(name=split, gen_kwargs={"files": list(files)})]

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[tuple[str, int], pa.Table]]:
        for path in files:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    yield (path, group), file.read_row_group(group)


def cached_table(key: str, split: str, files: Sequence[Path]) -> pa.Table:
    """Return the rows of Parquet files, memory-mapped, from the cache if they are there under this key.

    Args:
        key: says what the files hold.
        split: which split that is.
        files: in the order of their rows.

    Raises:
        DatasetsError, OSError, ValueError, ArrowException: if a file cannot be read.
    """
    data_files = {split: [str(file.absolute()) for file in files]}
    builder = Shards(dataset_name="pdebench_fm", config_name=key, data_files=data_files)
    shown = not are_progress_bars_disabled()
    disable_progress_bars()  # of making the cache's files, which is nothing that a user asked for
    try:
        builder.download_and_prepare()
    finally:
        if shown:
            enable_progress_bars()
    return builder.as_dataset(split=split).with_format("arrow").data.table
