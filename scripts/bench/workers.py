"""How much sooner several worker processes finish a suite than one process: seconds and their ratio.

    python scripts/bench/workers.py [--workers 2] [--tasks 2] [--shots 8,32] [--model fno-mixed-64k] [--repeats 1]

Nothing is cached; the scores are compared. The machine should be idle and have a core for each worker. The start of a
worker (some seconds, to import PyTorch) is part of what is measured, so that a longer suite comes closer to the ideal.
"""

import argparse
import os
import statistics
import time

import pyarrow as pa

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.protocol.names import shots_list


def timed(workers: int, options: argparse.Namespace):
    """Run the suite; return its seconds and the scores of every sample."""
    began = time.perf_counter()
    evaluations = evaluate_suite(
        [options.model],
        list(TASKS)[: options.tasks],
        shots_list(options.shots),
        track="lite",
        device="cpu",
        workers=workers,
    )
    seconds = time.perf_counter() - began
    return seconds, [evaluation.samples for evaluation in evaluations]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--shots", default="8,32")
    parser.add_argument("--model", default="fno-mixed-64k")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    keep_freed_memory()
    ratios = []
    for _ in range(options.repeats):
        one, expected = timed(1, options)
        several, found = timed(options.workers, options)
        assert all(map(pa.Table.equals, found, expected)), "the scores differ"
        ratios.append(one / several)
        print(f"1 process: {one:.1f} s; {options.workers} workers: {several:.1f} s; {one / several:.2f} times as fast")
    load = os.getloadavg()[0]
    print(
        f"median: {statistics.median(ratios):.2f} times as fast, on {os.cpu_count()} cores (load at the end {load:.1f})"
    )


if __name__ == "__main__":
    main()
