"""One evaluation asked for in many ways: twice, killed in between, in another order, with workers: one table."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

MINE = """
import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 0.5))
        self.act = act

    def reset_parameters(self):
        nn.init.uniform_(self.weight)

    def forward(self, source, coefficients):
        return self.weight * self.act(source)


def a():
    return Layer(torch.tanh)


def b():
    return Layer(torch.relu)
"""
MODELS = ("oracle", "zero", "mean", "unet", "mine.py:a", "mine.py:b")
TASKS = ("poisson/in-domain", "helmholtz-ood/medium")
RECIPE = """
from pdebench_fm.evaluation import cell
from pdebench_fm.training.adapt import AdaptationRecipe

cell.adaptation_recipe = lambda *_: AdaptationRecipe(2e-3, steps=3, batch_size=4)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    # three steps instead of hundreds, in every process of the test
    (tmp_path / "sitecustomize.py").write_text(RECIPE)
    return tmp_path


def start(folder, out, models=MODELS, tasks=TASKS, *more):
    words = [
        "--model",
        ",".join(models),
        "--task",
        ",".join(tasks),
        "--shots",
        "0,8",
        "--seeds",
        "2",
        "--track",
        "n64-rows16",
    ]
    places = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PDEFM_CACHE": str(folder / "cache"), "PYTHONPATH": places}
    command = [sys.executable, "-m", "pdebench_fm", "eval", *words, "--out", out, *more]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(process):
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    return output


def scores(folder, out):
    """Every score by model, task, start, shots and seed, unrounded."""
    found = {}
    for path in (folder / out).rglob("*.json"):
        result = json.loads(path.read_text())
        for cell in result["cells"]:
            key = (result["model"]["model_id"], result["task"], cell["start"], cell["shots"], cell["seed"])
            assert key not in found
            found[key] = cell["metrics"]["relative_l2_mean"]
    return found


def test_one_table_however_it_is_asked_for(folder):
    finish(start(folder, "first"))
    table = scores(folder, "first")
    # 2 tasks × (3 zero-shot baselines + unet: 2 seeds from scratch + 2 × (zero-shot, 2 seeds, 2 seeds from scratch))
    assert len(table) == 2 * (3 + 2 + 2 * 5)
    by_model = {
        model: table[model, TASKS[0], "pretrained", 0, 0] for model in ("oracle", "zero", "mean", "mine-a", "mine-b")
    }
    assert len(set(by_model.values())) == 5, "no two models share a score"
    assert by_model["oracle"] < 1e-6
    assert by_model["zero"] == 1.0

    finish(start(folder, "again"))  # all from the cache
    assert scores(folder, "again") == table

    (folder / "cache").rename(folder / "cache-of-before")
    killed = start(folder, "killed")
    while len(list((folder / "cache").rglob("*.json"))) < len(table) // 3:
        assert killed.poll() is None, "there was nothing left to kill"
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    finish(start(folder, "killed", MODELS[::-1], TASKS[::-1]))  # goes on, in another order
    assert scores(folder, "killed") == table

    (folder / "cache").rename(folder / "cache-of-the-killed")
    finish(start(folder, "workers", MODELS, TASKS, "--workers", "2"))
    assert scores(folder, "workers") == table
