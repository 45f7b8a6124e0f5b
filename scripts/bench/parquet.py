"""Encodings and compressions of Parquet for 128×128 rows: size against raw fields, writing and reading time.

python scripts/bench/parquet.py
"""

import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pdebench_fm.data.rows import to_table
from pdebench_fm.physics import SYSTEMS, SampleKey, sample

ROWS = 512
REPEATS = 3
LEAVES = [f"{name}.list.element.list.element" for name in ("source", "solution", "weights")]


def main():
    pa.set_cpu_count(1)
    path = Path(tempfile.mkdtemp()) / "rows.parquet"
    raw = ROWS * 2 * 128 * 128 * 4
    tables = [to_table(sample(SampleKey(name, "pretrain", "train"), range(ROWS))) for name in SYSTEMS]
    print(f"{ROWS} rows of each of {', '.join(SYSTEMS)}; µs a row, one thread, median of {REPEATS}")
    print(f"{'encoding':<20}{'compression':<13}" + "".join(f"{name[:9]:>11}" for name in SYSTEMS) + "   write    read")
    for split in (False, True):
        for compression, level in (
            ("none", None),
            ("snappy", None),
            ("lz4", None),
            ("zstd", 1),
            ("zstd", 3),
            ("zstd", 6),
        ):
            sizes, writing, reading = [], [], []
            for table in tables:
                for _ in range(REPEATS):
                    began = time.perf_counter()
                    pq.write_table(
                        table,
                        path,
                        row_group_size=ROWS,
                        compression=compression,
                        compression_level=level,
                        use_dictionary=False,
                        use_byte_stream_split=LEAVES if split else False,
                    )
                    writing.append(time.perf_counter() - began)
                    began = time.perf_counter()
                    pq.read_table(path, use_threads=False)
                    reading.append(time.perf_counter() - began)
                sizes.append(path.stat().st_size / raw)
            name = f"{compression} {level}" if level else compression
            write, read = (statistics.median(times) / ROWS * 1e6 for times in (writing, reading))
            encoding = "BYTE_STREAM_SPLIT" if split else "plain"
            print(
                f"{encoding:<20}{name:<13}" + "".join(f"{s:>11.3f}" for s in sizes) + f"{write:>8.0f}{read:>8.0f}",
                flush=True,
            )
    path.unlink()


if __name__ == "__main__":
    main()
