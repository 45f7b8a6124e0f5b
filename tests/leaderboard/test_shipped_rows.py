"""Which rows this repository's leaderboard holds: the models of the package, adapted by the protocol and otherwise."""

import json
from itertools import product
from pathlib import Path

import pytest

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.physics import PAPER_SYSTEMS

RESULTS = Path(__file__).parents[2] / "leaderboard" / "results" / "pdebench-fm"
SYSTEMS = [system.name for system in PAPER_SYSTEMS]


@pytest.fixture(scope="module")
def seeds():
    """How many seeds each run on the lite track has, by model, method, task, start and shots."""
    found = {}
    for path in RESULTS.rglob("*-lite-*.json"):
        result = json.loads(path.read_bytes())
        for run in result["runs"]:
            key = path.parent.name, result["method"], result["task"], run["start"], run["shots"]
            found[key] = max(len(run["seeds"]), found.get(key, 0))
    return found


def tasks_of(family):
    return [name for name, task in TASKS.items() if family in ("mixed", task.dataset.system_name)]


def missing(seeds, models, method, start, shots, families=()):
    """The runs that lack: of each model on its own tasks, or on those of some families, with three seeds."""
    wanted = [
        (model, method, task, start, number)
        for model, number in product(models, shots)
        for family in families or [model.removeprefix("fno-").rpartition("-")[0]]
        for task in tasks_of(family)
    ]
    assert wanted
    return [key for key in wanted if seeds.get(key, 0) < (3 if key[-1] else 1)]


SMALL = [f"fno-{family}-{size}" for family in (*SYSTEMS, "mixed") for size in ("64k", "1m")]


def test_small_models_have_the_closed_division_whole_beside_training_from_scratch(seeds):
    assert not missing(seeds, SMALL, "v1", "pretrained", (0, 8, 32, 128))
    assert not missing(seeds, SMALL, "v1", "pretrained", (0, 32), ["mixed"])
    assert not missing(seeds, SMALL, "v1", "scratch", (8, 32, 128))


def test_small_models_are_adapted_by_symmetric_too(seeds):
    assert not missing(seeds, SMALL, "symmetric", "pretrained", (0, 32))


def test_large_models_have_zero_and_32_shots(seeds):
    models = ["fno-mixed-16m", "fno-poisson-16m", "fno-advection-diffusion-16m"]
    assert not missing(seeds, models, "v1", "pretrained", (0, 32))
