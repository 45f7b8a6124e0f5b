"""Small builds, and a way to publish them on the tests' Hub."""

import shutil

import pytest
from described import ALICE

from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.publishing.publish import publish

ROWS = {"train": 24, "validation": 8, "test": 8}


@pytest.fixture(scope="session")
def make_build(tmp_path_factory):
    """Build a dataset at 64²; the same arguments give the same folder, which tests must not change."""
    made = {}

    def make(name="helmholtz-ood", regimes=("mild", "medium"), version="1.0.0", seed=0, **rows):
        key = (name, regimes, version, seed, *sorted(rows.items()))
        if key not in made:
            plan = BuildPlan(DATASETS[name], regimes, ROWS | rows, 64, version, seed)
            made[key] = build(plan, tmp_path_factory.mktemp("builds"))
        return made[key]

    return make


@pytest.fixture
def built(make_build, tmp_path):
    """A finished build of `helmholtz-ood`, two regimes in six shards, of this test alone."""
    return shutil.copytree(make_build(), tmp_path / "helmholtz-ood")


@pytest.fixture(scope="session")
def _in_shards(tmp_path_factory):
    plan = BuildPlan(DATASETS["helmholtz-ood"], ("medium",), ROWS, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pdebench_fm.data.build._SHARD_VALUES", 8 * 64 * 64)
        return build(plan, tmp_path_factory.mktemp("shards"))


@pytest.fixture
def built_in_shards(_in_shards, tmp_path):
    """A finished build of one regime, eight rows a shard, of this test alone."""
    return shutil.copytree(_in_shards, tmp_path / "in-shards" / "helmholtz-ood")


@pytest.fixture
def send(hub):
    """Publish on the test's Hub as Alice; `send.waits` lists the seconds that were waited."""

    def send(folder, version="1.0.0", namespace="pde-lab", token=ALICE, **options):
        return publish(folder, namespace, version, token=token, endpoint=hub.url, sleep=send.waits.append, **options)

    send.waits = []
    return send
