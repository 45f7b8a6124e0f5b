"""Builds in several processes and on a real Dask cluster end with the digests of a build in one."""

import os
import signal

import pytest
from clusters import local_cluster

from pdebench_fm.cli import main
from pdebench_fm.data import build as building
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.executors import open_executor
from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.errors import PdefmError, UsageError

ROWS = {"train": 48, "validation": 8, "test": 8}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(building, "_SHARD_VALUES", 8 * 64 * 64)


@pytest.fixture
def plan():
    return BuildPlan(DATASETS["poisson-ood"], ("mild",), ROWS, 64)


def digests(folder):
    splits = read_manifest(folder / "manifest.json").splits
    return [(split.split, split.rows, split.recipe_digest, split.content_digest) for split in splits]


@pytest.fixture
def expected(plan, tmp_path):
    return digests(build(plan, tmp_path / "alone"))


@pytest.fixture
def cluster(tmp_path):
    with local_cluster(tmp_path / "dask") as running:
        yield running


def test_a_pool_of_processes_changes_no_digest(plan, expected, tmp_path):
    with open_executor(workers=2) as executor:
        assert digests(build(plan, tmp_path / "pool", executor=executor)) == expected


def test_a_dask_cluster_that_loses_a_worker_half_way_still_ends_with_the_same_digests(
    plan, expected, tmp_path, cluster
):
    finished = []

    def kill_a_worker_after_the_second_shard(shard):
        finished.append(shard.path)
        if len(finished) == 2:
            os.kill(cluster.workers[0].pid, signal.SIGKILL)

    with open_executor(scheduler=cluster.scheduler_address) as executor:
        folder = build(plan, tmp_path / "dask-build", executor=executor, on_shard=kill_a_worker_after_the_second_shard)
    assert len(finished) == 8
    assert digests(folder) == expected


def test_a_killed_process_is_a_clear_error_and_running_again_goes_on(plan, expected, tmp_path):
    def kill_the_pool(_):
        for process in executor._processes.values():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(PdefmError, match="run the same command again"), open_executor(workers=2) as executor:
        build(plan, tmp_path / "pool", executor=executor, on_shard=kill_the_pool)
    assert digests(build(plan, tmp_path / "pool")) == expected


def test_impossible_executors_are_refused(capsys, tmp_path):
    with pytest.raises(UsageError, match="at least one worker"), open_executor(workers=0):
        pass
    both = {"workers": 2, "scheduler": "tcp://127.0.0.1:1"}
    with pytest.raises(UsageError, match="either --workers or --scheduler"), open_executor(**both):
        pass
    out = str(tmp_path / "x")
    assert main(["data", "build", "poisson", "--out", out, "--scheduler", "nonsense://x"]) == 1
    assert "no Dask scheduler answers" in capsys.readouterr().err
