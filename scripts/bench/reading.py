"""Random batches of 64 rows from a stored dataset, as tensors, against memory-mapped NumPy on the same bytes.

python scripts/bench/reading.py
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["HF_HOME"] = tempfile.mkdtemp()

import numpy as np
import torch
from datasets import load_dataset

from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.stored import open_split

ROWS = 2000
BATCH = 64
BATCHES = 60
REPEATS = 5


def main():
    folder = Path(tempfile.mkdtemp())
    dataset = find_dataset("helmholtz-ood")
    built = build(BuildPlan(dataset, ("medium",), {"train": ROWS}), folder)
    ours = open_split(str(built), dataset, "medium", "train")
    stock = load_dataset(str(built), "medium", split="train").with_format("torch")
    everything = ours.batch(range(ROWS))
    mapped = {}
    for name in ("source", "solution"):
        getattr(everything, name).numpy().tofile(folder / name)
        mapped[name] = np.memmap(folder / name, np.float32, "r", shape=(ROWS, 128, 128))
    generator = np.random.default_rng(0)
    indices = [generator.integers(ROWS, size=BATCH) for _ in range(BATCHES)]
    readers = {
        "memory-mapped NumPy (reference)": lambda i: [torch.from_numpy(mapped[name][i]) for name in mapped],
        "pdebench_fm, stored rows": ours.batch,
        "datasets, Array2D as torch": lambda i: stock[i],
    }
    times = {name: [] for name in readers}
    for _ in range(REPEATS):
        for name, read in readers.items():
            few = indices[:6] if name.startswith("datasets") else indices
            began = time.perf_counter()
            for batch in few:
                read(batch)
            times[name].append((time.perf_counter() - began) / len(few))
    reference = statistics.median(times["memory-mapped NumPy (reference)"])
    field_bytes = BATCH * 2 * 128 * 128 * 4
    for name, values in times.items():
        seconds = statistics.median(values)
        print(f"{name:<34}{field_bytes / seconds / 1e9:7.2f} GB/s{reference / seconds:8.2f} of the reference")


if __name__ == "__main__":
    main()
