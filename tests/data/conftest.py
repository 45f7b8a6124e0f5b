"""Small builds, a Hub, and a way to publish the one on the other."""

import shutil

import pytest
from hub_server import HubServer
from huggingface_hub import HfApi, constants
from published_state import ALICE

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


@pytest.fixture
def hub(tmp_path):
    """A Hub where Alice may write to her own namespace and to `pde-lab`."""
    with HubServer(tmp_path / "hub") as server:
        server.add_user("alice", token=ALICE, organizations=("pde-lab",))
        yield server


@pytest.fixture
def api(hub):
    """The Hub's own client, as Alice."""
    return HfApi(endpoint=hub.url, token=ALICE)


@pytest.fixture
def plain_uploads(monkeypatch):
    """The test server does not speak the client's newer upload protocol."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


@pytest.fixture
def send(hub, plain_uploads):  # noqa: ARG001
    """Publish on the test's Hub as Alice; `send.waits` lists the seconds that were waited."""

    def send(folder, version="1.0.0", namespace="pde-lab", token=ALICE, **options):
        return publish(folder, namespace, version, token=token, endpoint=hub.url, sleep=send.waits.append, **options)

    send.waits = []
    return send
