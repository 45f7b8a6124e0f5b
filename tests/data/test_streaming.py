"""A process that has read a dataset ends, wherever it stopped and from wherever it read.

With the stock library it has then done all of its work, but may abort at its exit ("Streaming" in
docs/how-to/read-datasets.md, and `scripts/faults/exits.py`, which counts how often): the exit status is held for what
the documentation recommends, and for this package's own readers.
"""

import signal
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from described import ALICE
from hub_server import HubServer, client_environment
from huggingface_hub import constants

from pdebench_fm.data.blocks import read_blocks
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.publishing.publish import publish
from pdebench_fm.data.stored import open_split
from pdebench_fm.physics import SampleKey

NAME = "pde-lab/helmholtz-ood"
SHARDS = ["medium/train-00000-of-00002.parquet", "medium/train-00001-of-00002.parquet"]
ROWS = 600  # two shards of 300 rows, each made of three blocks

READ = """
import sys
from itertools import islice
from datasets import load_dataset
from torch.utils.data import DataLoader

def stream(*columns):
    rows = load_dataset(sys.argv[1], "medium", split="train", streaming=True)
    return rows.select_columns(list(columns)) if columns else rows  # which spares decoding the others

def indices(rows):
    return [int(row["index"]) for row in rows]
"""

WAYS = {
    "the first row": "print(indices([next(iter(stream()))]))",
    "an iterator that is kept": "rows = iter(stream()); print(indices(islice(rows, 2)))",
    "into the second shard": "rows = iter(stream('index')); print(indices(islice(rows, 302))[-2:])",
    "tensors": "print(indices(islice(stream().with_format('torch'), 2)))",
    "a shuffled stream": "print(len(indices(islice(stream('index').shuffle(seed=0, buffer_size=20), 2))))",
    "a loader": "print(next(iter(DataLoader(stream().with_format('torch'), batch_size=2)))['index'].tolist())",
    "a loader with workers": (
        "batches = iter(DataLoader(stream().with_format('torch'), batch_size=2, num_workers=2))\n"
        "print([next(batches)['index'].tolist() for _ in range(2)])"
    ),
    "all rows": "print(sum(indices(stream('index'))))",
}
LEAVE = "\nimport os; sys.stdout.flush(); os._exit(0)"
SEEN = {
    "the first row": "[0]",
    "an iterator that is kept": "[0, 1]",
    "into the second shard": "[300, 301]",
    "tensors": "[0, 1]",
    "a shuffled stream": "2",
    "a loader": "[0, 1]",
    "a loader with workers": "[[0, 1], [300, 301]]",
    "all rows": str(sum(range(ROWS))),
}
OURS = {
    "a stored split": """
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.stored import open_split
rows = open_split(sys.argv[1], find_dataset("helmholtz-ood"), "medium", "train")
print(rows.size, len(rows.batch([0, 599, 301])))
""",
    "a block of a shard": """
from pathlib import Path
from pdebench_fm.data.blocks import read_blocks
from pdebench_fm.physics import SampleKey
shard = min(Path(sys.argv[1]).glob("medium/*.parquet"))
blocks = read_blocks(shard, SampleKey("helmholtz", "medium", "train"), 128)
print(len(next(blocks)))
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plan = BuildPlan(DATASETS["helmholtz-ood"], ("medium",), {"train": ROWS}, 128)
    return build(plan, tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory, folder):
    with HubServer(tmp_path_factory.mktemp("hub")) as server, pytest.MonkeyPatch.context() as patch:
        server.add_user("alice", token=ALICE, organizations=("pde-lab",))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        publish(folder, "pde-lab", "1.0.0", token=ALICE, endpoint=server.url)
        yield server


def ended(script, location, hub, home):
    """A fresh process that read a dataset, and was given a minute to end."""
    return subprocess.run(
        [sys.executable, "-c", script, str(location)],
        env=client_environment(hub, home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def printed(script, location, hub, home):
    """What such a process printed that ended cleanly."""
    done = ended(script, location, hub, home)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_streams_a_folder_has_done_its_work_when_it_ends(way, folder, hub, tmp_path):
    done = ended(READ + WAYS[way], folder, hub, tmp_path)
    assert done.stdout.strip() == SEEN[way], done.stderr
    assert done.returncode in (0, -signal.SIGABRT), done.stderr


@pytest.mark.parametrize("way", ["the first row", "tensors", "a loader with workers", "all rows"])
def test_a_process_that_streams_from_the_hub_has_done_its_work_when_it_ends(way, hub, tmp_path):
    done = ended(READ + WAYS[way], NAME, hub, tmp_path)
    assert done.stdout.strip() == SEEN[way], done.stderr
    assert done.returncode in (0, -signal.SIGABRT), done.stderr


@pytest.mark.parametrize("way", ["the first row", "an iterator that is kept", "all rows"])
def test_a_process_that_streams_and_leaves_as_documented_ends_cleanly(way, folder, hub, tmp_path):
    assert printed(READ + WAYS[way] + LEAVE, folder, hub, tmp_path) == SEEN[way]


def test_a_process_whose_loader_streams_in_workers_to_the_end_ends_cleanly(folder, hub, tmp_path):
    every = (
        "batches = DataLoader(stream('index').with_format('torch'), batch_size=50, num_workers=2)\n"
        "print(sum(int(batch['index'].sum()) for batch in batches))"
    )
    assert printed(READ + every, folder, hub, tmp_path) == SEEN["all rows"]


@pytest.mark.parametrize("way", OURS)
def test_a_process_that_reads_with_this_package_ends_cleanly(way, folder, hub, tmp_path):
    expected = {"a stored split": "600 3", "a block of a shard": "128"}
    assert printed("import sys\n" + OURS[way], folder, hub, tmp_path) == expected[way]


def test_this_package_gives_arrow_no_python_file_to_hold(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)  # so that the Parquet files are read
    opened = []

    class Spied(pq.ParquetFile):
        def __init__(self, source, *arguments, **options):
            opened.append(source)
            super().__init__(source, *arguments, **options)

    monkeypatch.setattr(pq, "ParquetFile", Spied)
    open_split(str(folder), DATASETS["helmholtz-ood"], "medium", "train").batch([0, ROWS - 1])
    next(read_blocks(folder / SHARDS[0], SampleKey("helmholtz", "medium", "train"), 128))
    assert {Path(source).relative_to(folder).as_posix() for source in opened} == set(SHARDS)
