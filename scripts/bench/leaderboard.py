"""Time and memory of `pdefm leaderboard build` by the number of rows: it has to be linear.

The rows are made up and valid: models with a zero-shot score and, from a pretrained and a fresh start, 8 shots with
three seeds, on all twelve tasks of the lite track, every one with its 512 per-sample scores. Each number of rows is
built in a process of its own, from which its time, that of its processor and its peak of memory come. "Usable" is the
time from opening the front page in headless Chromium until the ranking's first rows and the table of tasks are there,
the median of five; "-" where there is no browser.

    python scripts/bench/leaderboard.py [1000 3000 10000]
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.leaderboard.site import build_site
from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.protocol.pinned_digests import PINNED_DIGESTS
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.result import (
    CellRecord,
    DatasetRecord,
    Environment,
    ModelRecord,
    Result,
    in_order,
    write_result,
)
from pdebench_fm.results.runs import contamination_by, runs_of
from pdebench_fm.results.samples import (
    CellScores,
    samples_digest,
    samples_of,
    samples_path,
    samples_table,
    summarise,
    write_samples,
)

NUMBERS = (1_000, 3_000, 10_000)
ROWS = 512
RANKED = [name for name, task in TASKS.items() if task.regime.name != "pretrain"]
CELLS = [
    ("pretrained", 0, 0),
    *((start, 8, seed) for start in ("pretrained", "scratch") for seed in range(3)),
]
ENVIRONMENT = Environment(
    package_version="0.1.0", python="3.11.9", libraries={"numpy": "2.1.0", "torch": "2.6.0"}, device="cpu", threads=1
)


def made(task, generator):
    """Return one evaluation on a task, with lognormal errors that fall with the shots."""
    name, regime = task.split("/")
    span = TASKS[task].dataset.system.regimes[regime]
    parameters = [float(value) for value in span.at(np.arange(ROWS) / ROWS)]
    scores = [
        CellScores(
            *cell, parameters, {metric: 0.5 / (1 + cell[1]) * generator.lognormal(size=ROWS) for metric in METRIC_NAMES}
        )
        for cell in CELLS
    ]
    samples = samples_table(scores)
    dataset = DatasetRecord(
        name=name,
        regime=regime,
        version="1.0.0",
        origin="recipe",
        recipe_digest=PINNED_DIGESTS[1][task]["lite"],
        train_rows=32768,
    )
    cells = in_order(
        tuple(
            CellRecord(
                start=cell.start,
                shots=cell.shots,
                seed=cell.seed,
                metrics=summarise(cell.errors),
                samples_sha256=samples_digest(samples_of(samples, (cell.start, cell.shots, cell.seed))),
                environment=ENVIRONMENT,
                seconds=1.0,
                date=datetime(2026, 1, 31, tzinfo=UTC),
            )
            for cell in scores
        )
    )
    model = named(0)
    result = Result(
        protocol_version=1,
        task=task,
        track="lite",
        resolution=64,
        test_rows=ROWS,
        division="closed",
        method="v1",
        deterministic=True,
        model=model,
        dataset=dataset,
        contamination=contamination_by(model, dataset, ROWS, samples),
        cells=cells,
        runs=runs_of(cells, samples, dataset),
    )
    return Evaluation(result, samples)


def named(number):
    """Return a model of its own for each number."""
    return ModelRecord(
        model_id=f"lab-{number % 17}/model-{number}",
        revision="v1.0.0",
        weights_sha256=f"{number:064x}",
        fingerprint=f"{number:064x}",
        parameters=70_000,
        size="64k",
    )


def fill(root, rows):
    """Write so many rows: models one after another, each on the twelve tasks, with the scores of one of four."""
    generator = np.random.default_rng(0)
    made_ones = {task: [made(task, generator) for _ in range(4)] for task in RANKED}
    files = {}
    for row in range(rows):
        number, task = row // len(RANKED), RANKED[row % len(RANKED)]
        evaluation = made_ones[task][number % 4]
        result = evaluation.result.model_copy(update={"model": named(number)})
        path = root / row_path(result)
        write_result(result, path)
        if (task, number % 4) not in files:
            write_samples(evaluation.samples, samples_path(path))
            files[task, number % 4] = samples_path(path)
        else:
            shutil.copyfile(files[task, number % 4], samples_path(path))


def build(root, out):
    """Build the page in this process, and print its seconds, the processor's, and MiB of memory at most.

    Those of the processes that read the rows are in the last two: of memory, that of the largest.
    """
    start = time.perf_counter()
    build_site(root, out)
    seconds = time.perf_counter() - start
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(each.ru_utime + each.ru_stime for each in used)
    print(seconds, processor, sum(each.ru_maxrss for each in used) / 1024)


def usable(page):
    """Return the seconds until the front page is usable in a headless browser; None without one."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    seconds = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(5):
            opened = browser.new_page()
            start = time.perf_counter()
            opened.goto(page.as_uri(), wait_until="commit")
            for table in ("#ranking", "#by-task"):
                opened.locator(f"{table} tbody tr:not(.spacer)").first.wait_for()
            seconds.append(time.perf_counter() - start)
            opened.close()
        browser.close()
    return sorted(seconds)[2]


def main():
    """Print a line for each number of rows."""
    first = None
    print(
        f"{'rows':>7} {'seconds':>9} {'processor, s':>14} {'ratio to linear':>16} {'MiB':>7} {'data, MB':>9} "
        f"{'usable, s':>10}"
    )
    for rows in [int(word) for word in sys.argv[1:]] or NUMBERS:
        with tempfile.TemporaryDirectory() as folder:
            root, out = Path(folder, "board"), Path(folder, "site")
            fill(root, rows)
            done = subprocess.run(
                [sys.executable, __file__, "--build", root, out], check=True, capture_output=True, text=True
            )
            seconds, processor, memory = map(float, done.stdout.split())
            [data] = (out / "data").glob("data-*.js")
            size, view = data.stat().st_size / 1e6, usable(out / "index.html")
        first = first or processor / rows
        print(
            f"{rows:7,} {seconds:9.1f} {processor:14.1f} {processor / rows / first:16.2f} {memory:7.0f} {size:9.1f} "
            f"{'-' if view is None else f'{view:.2f}':>10}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        build(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
