"""The whole build to Parquet at 128×128: rows a second with one and two workers, beside writing the same bytes raw.

python scripts/bench/build.py [--rows 32768] [--dataset helmholtz-ood] [--regime medium]
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.executors import open_executor
from pdebench_fm.data.manifest import read_manifest


def write_raw(folder, total_bytes):
    """Write as many bytes as the rows' fields have, flushed to disk; return the seconds."""
    block = np.random.default_rng(0).integers(0, 256, 1 << 26, dtype=np.uint8).tobytes()
    began = time.perf_counter()
    with (folder / "raw").open("wb") as handle:
        for start in range(0, total_bytes, len(block)):
            handle.write(block[: total_bytes - start])
        os.fsync(handle.fileno())
    return time.perf_counter() - began


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "--rows", type=int, default=32768, help="of the train split; validation and test have an eighth"
    )
    arguments.add_argument("--dataset", default="helmholtz-ood")
    arguments.add_argument("--regime", default="medium")
    options = arguments.parse_args()
    rows = {"train": options.rows, "validation": options.rows // 8, "test": options.rows // 8}
    total = sum(rows.values())
    plan = BuildPlan(find_dataset(options.dataset), (options.regime,), rows)
    rates = {}
    for workers in (1, 2):
        folder = Path(tempfile.mkdtemp())
        began = time.perf_counter()
        with open_executor(workers) as executor:
            built = build(plan, folder, executor=executor)
        rates[workers] = total / (time.perf_counter() - began)
        size = sum(shard.bytes for split in read_manifest(built / "manifest.json").splits for shard in split.shards)
        shutil.rmtree(folder)
        who = resource.RUSAGE_CHILDREN if workers > 1 else resource.RUSAGE_SELF
        peak = resource.getrusage(who).ru_maxrss / 1024
        print(f"{workers} worker(s): {rates[workers]:.0f} rows/s, peak memory of a process {peak:.0f} MiB", flush=True)
    folder = Path(tempfile.mkdtemp())
    raw = total * 2 * 128 * 128 * 4
    seconds = write_raw(folder, raw)
    shutil.rmtree(folder)
    print(f"reference, the same bytes written raw: {total / seconds:.0f} rows/s ({raw / seconds / 1e6:.0f} MB/s)")
    print(f"2 workers against 1: {rates[2] / rates[1]:.2f}×; against raw: {rates[2] / (total / seconds):.2f}×")
    print(f"size against raw fields: {size / raw:.3f}")


if __name__ == "__main__":
    main()
