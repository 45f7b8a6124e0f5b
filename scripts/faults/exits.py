"""How processes end that have read a dataset: counts of their exit statuses, for each way of reading.

    python scripts/faults/exits.py --trials 100 --at-once 4

Each trial is a child of this process, forked after the imports, that reads a small dataset and then runs off its end as
a script does. Several at once compete for the cores, which provokes the race that docs/how-to/read-datasets.md
describes under "Streaming". A status of 0 is a clean end, -6 an abort after everything was read, and "hang" one that
was killed after a minute. Ends with 1 if a way of which the documentation says that it ends cleanly did not, in any
trial.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

WORK = Path(tempfile.mkdtemp(prefix="pdefm-exits-"))
os.environ["HF_HOME"] = str(WORK / "hub")
os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
from datasets import load_dataset
from pyarrow.dataset import ParquetFileFormat
from torch.utils.data import DataLoader

from pdebench_fm.data.blocks import read_blocks
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.stored import open_split
from pdebench_fm.physics import SampleKey

DATASET = find_dataset("helmholtz-ood")
ROWS, RESOLUTION = 16, 64
PATIENCE = 60  # seconds


def stream(folder):
    return load_dataset(str(folder), "medium", split="train", streaming=True)


def scan_as_stock(folder):
    for shard in sorted(folder.glob("medium/*.parquet")):
        with shard.open("rb") as file:  # as packaged_modules/parquet in `datasets` 5.2 does
            fragment = ParquetFileFormat().make_fragment(file)
            for _ in fragment.to_batches(batch_size=ROWS, batch_readahead=0, fragment_readahead=0):
                pass


def stream_tables(folder):
    assert sum(len(table) for table in stream(folder).with_format("arrow").iter(ROWS)) == ROWS


def stream_all(folder):
    assert sum(1 for _ in stream(folder).select_columns(["index"])) == ROWS


def stream_all_and_leave(folder):
    stream_all(folder)
    os._exit(0)


def stream_first(folder):
    assert next(iter(stream(folder)))["index"] == 0


def stream_first_and_leave(folder):
    stream_first(folder)
    os._exit(0)


def stream_in_a_worker(folder):
    batches = DataLoader(stream(folder).select_columns(["index"]).with_format("torch"), batch_size=4, num_workers=1)
    assert sum(len(batch["index"]) for batch in batches) == ROWS


def load_stock(folder):
    assert len(load_dataset(str(folder), "medium", split="train", cache_dir=tempfile.mkdtemp(dir=WORK))) == ROWS


def read_stored(folder):
    datasets.config.HF_DATASETS_CACHE = tempfile.mkdtemp(dir=WORK)  # so that each trial reads the Parquet files
    assert len(open_split(str(folder), DATASET, "medium", "train").batch(range(ROWS)).source) == ROWS


def read_shards(folder):
    key = SampleKey("helmholtz", "medium", "train")
    for shard in sorted(folder.glob("medium/*.parquet")):
        assert sum(len(block) for block in read_blocks(shard, key, RESOLUTION)) == ROWS


WAYS = {
    # what a process does: (how, whether the documentation says that it ends cleanly)
    "pyarrow alone, called as by stock": (scan_as_stock, False),
    "stock stream of tables, to its end": (stream_tables, False),
    "stock stream, to its end": (stream_all, False),
    "stock stream, to its end, os._exit(0)": (stream_all_and_leave, True),
    "stock stream, first row": (stream_first, False),
    "stock stream, first row, os._exit(0)": (stream_first_and_leave, True),
    "stock stream, in a DataLoader's worker": (stream_in_a_worker, True),
    "stock load, without streaming": (load_stock, False),
    "this package, a stored split": (read_stored, True),
    "this package, blocks of shards": (read_shards, True),
}


def count(way, folder, trials, at_once):
    """Return how often each exit status was seen."""
    statuses, running, begun = Counter(), {}, 0
    while begun < trials or running:
        while begun < trials and len(running) < at_once:
            if (child := os.fork()) == 0:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                way(folder)
                sys.exit(0)
            running[child] = time.monotonic()
            begun += 1
        for child, started in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                statuses[os.waitstatus_to_exitcode(status)] += 1
                del running[child]
            elif time.monotonic() - started > PATIENCE:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                statuses["hang"] += 1
                del running[child]
        time.sleep(0.005)
    return statuses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--only", default="", help="ways whose name contains this")
    arguments = parser.parse_args()
    folder = build(BuildPlan(DATASET, ("medium",), {"train": ROWS}, RESOLUTION), WORK / "builds")
    broken = False
    for name, (way, clean) in WAYS.items():
        if arguments.only in name:
            statuses = count(way, folder, arguments.trials, arguments.at_once)
            broken |= clean and set(statuses) != {0}
            counts = ", ".join(f"{status}: {times}" for status, times in statuses.most_common())
            print(f"{name:<42}{counts}", flush=True)
    shutil.rmtree(WORK)
    sys.exit(broken)


if __name__ == "__main__":
    main()
