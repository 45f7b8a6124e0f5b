"""The recipe form: the same rows as the dataset's, and every row exactly once however they are shared out."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pdebench_fm.data import stream
from pdebench_fm.data.recipe_stream import RecipeStream
from pdebench_fm.errors import UsageError
from pdebench_fm.physics import SampleKey, sample
from pdebench_fm.physics.sampling import build_fields


def sources(batches):
    return [row.numpy().tobytes() for batch in batches for row in batch.source]


def test_row_7_is_the_same_row_however_it_is_reached():
    expected = sample(SampleKey("poisson", "pretrain", "train"), [7], 64)
    by_start = next(iter(stream("poisson/pretrain", resolution=64, batch_size=1, start=7)))
    in_batch = next(iter(stream("poisson/pretrain", resolution=64, batch_size=9)))
    for solution in (by_start.solution[0], in_batch.solution[7]):
        np.testing.assert_array_equal(solution.numpy(), expected.solution[0])


def test_an_endless_stream_goes_on_beyond_the_published_rows():
    batches = iter(stream("helmholtz-ood/hard", resolution=64, batch_size=4, start=40_000))
    assert len(set(sources([next(batches), next(batches)]))) == 8


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_of_a_loader_see_each_row_once(workers):
    rows = stream("poisson/pretrain", resolution=64, batch_size=4, rows=22)
    seen = sources(DataLoader(rows, batch_size=None, num_workers=workers))
    expected = [row.tobytes() for row in sample(SampleKey("poisson", "pretrain", "train"), range(22), 64).source]
    assert sorted(seen) == sorted(expected)


def test_ranks_and_workers_together_see_each_row_once():
    seen = []
    for rank in range(3):
        rows = RecipeStream(
            SampleKey("poisson", "pretrain", "train"),
            resolution=64,
            batch_size=2,
            start=0,
            rows=25,
            device="cpu",
            place=(rank, 3),
        )
        seen += sources(DataLoader(rows, batch_size=None, num_workers=2))
    assert len(seen) == 25
    assert len(set(seen)) == 25


@pytest.mark.parametrize("loader", ["", "fork", "spawn"])
def test_ranks_of_a_process_group_are_found_even_by_a_stream_made_before_it(tmp_path, loader):
    script = tmp_path / "ranks.py"
    script.write_text(
        "import copy, hashlib\n"
        "import torch.distributed as dist\n"
        "from torch.utils.data import DataLoader\n"
        "from pdebench_fm.data import stream\n"
        "if __name__ == '__main__':\n"
        "    early = copy.deepcopy(stream('poisson/pretrain', resolution=64, batch_size=2, rows=9))\n"
        "    dist.init_process_group('gloo')\n"
        "    late = stream('poisson/pretrain', resolution=64, batch_size=2, rows=9)\n"
        "    for batches in (early, late):\n"
        f"        if {loader!r}:\n"
        f"            batches = DataLoader(batches, None, num_workers=1, multiprocessing_context={loader!r})\n"
        "        rows = [hashlib.sha256(row.numpy().tobytes()).digest() for batch in batches for row in batch.source]\n"
        "        every = [None, None]\n"
        "        dist.all_gather_object(every, rows)\n"
        "        flat = every[0] + every[1]\n"
        "        assert len(set(flat)) == len(flat) == 9\n"
        "        if dist.get_rank() == 0:\n"
        "            print('rows of the ranks:', sorted(map(len, every)))\n"
        "    dist.destroy_process_group()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rows of the ranks: [4, 5]") == 2


def test_fields_built_as_tensors_equal_those_built_as_arrays():
    # the path of a GPU, taken on the CPU; two FFT libraries agree to the tolerance for remade fields
    expected = sample(SampleKey("advection-diffusion", "pretrain", "train"), range(6), 64)
    source, solution = build_fields(
        expected.draws.key.definition,
        torch.from_numpy(expected.draws.weights).double(),
        torch.from_numpy(expected.draws.coefficients).double(),
        64,
    )
    largest = np.abs(expected.solution).max(axis=(1, 2), keepdims=True)
    assert np.all(np.abs(solution.numpy() - expected.solution) <= 2e-6 * largest)
    assert np.all(np.abs(source.numpy() - expected.source) <= 2e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": "poison/pretrain"}, "poisson"),
        ({"task": "poisson/hard"}, "pretrain"),
        ({"task": "poisson/pretrain", "split": "trian"}, "train, validation, test"),
        ({"task": "poisson/pretrain", "resolution": 100}, "multiple of 64"),
        ({"task": "poisson/pretrain", "batch_size": 0}, "at least one row"),
        ({"task": "poisson/pretrain", "start": -1}, "negative"),
    ],
)
def test_impossible_streams_are_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        stream(**arguments)
