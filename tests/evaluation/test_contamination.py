"""From a model's training.json to the labels of its results: by folder, by manifest, after a change, in every way."""

import json
import shutil

import pytest
import torch

import pdebench_fm as pf
from pdebench_fm.cli import main
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of, write_manifest
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.models.baselines import MEAN_ROWS
from pdebench_fm.physics import SampleKey
from pdebench_fm.protocol.task import load_task
from pdebench_fm.results.evaluation import read_evaluation

PRETRAINED = TrainingManifest(trained=(stream_of(SampleKey("poisson", "pretrain", "train"), range(1000), 64),))
CHEATED = TrainingManifest(trained=(stream_of(SampleKey("poisson", "medium", "test"), range(10), 64),))
MINE = """
import torch


class Mine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((1,), 0.5))

    def forward(self, source, coefficients):
        return self.weight * source


def build():
    return Mine()


def other():
    return Mine()
"""


@pytest.fixture
def folder(model_folder, tmp_path):
    """A model whose training is stated beside its weights."""
    place = shutil.copytree(model_folder, tmp_path / "mine")
    write_manifest(PRETRAINED, place / "training.json")
    return place


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    write_manifest(PRETRAINED, tmp_path / "training.json")
    return f"{tmp_path / 'mine.py'}:build"


def label(model, task, **words):
    return evaluate(model, task, track="lite", **words).result.contamination


def test_a_folder_with_a_manifest_is_labelled_by_it(folder, small_task):
    found = [label(folder, small_task(f"poisson-ood/{regime}")).regime for regime in ("mild", "medium")]
    assert found == ["overlapping", "unseen"]
    assert label(folder, small_task("poisson/in-domain")).model_dump() == {
        "regime": "seen",
        "trained_share": 1.0,
        "looked_at_share": 0.0,
        "test_rows_seen": 0,
    }


def test_a_folder_without_one_is_unknown(model_folder, small_task):
    assert label(model_folder, small_task()).regime == "unknown"


def test_a_model_that_was_changed_is_no_longer_what_its_manifest_says(folder, small_task):
    model = pf.load_model(folder)
    assert pf.candidate_of(model).training == PRETRAINED
    kept = pf.candidate_of(model)
    with torch.no_grad():
        next(model.parameters()).mul_(1.01)
    assert pf.candidate_of(model).training is None
    assert label(kept, small_task()).regime == "unknown"


def test_a_damaged_training_json_is_named(folder):
    content = json.loads((folder / "training.json").read_text())
    content["manifest"]["trained"][0]["stop"] = -1
    (folder / "training.json").write_text(json.dumps(content))
    with pytest.raises(PdefmError, match=r"training\.json holds no training manifest: manifest\.trained\.0\.stop"):
        pf.open_candidate(folder)


def test_scored_rows_that_were_trained_on_are_counted_but_for_private_ones(small_task):
    known = pf.candidate_of(lambda source, _: source, "mine", training=CHEATED)
    assert label(known, small_task()).test_rows_seen == 10
    private = label(known, small_task(seed=5))
    assert (private.regime, private.test_rows_seen) == ("seen", 0)
    result = evaluate(known, small_task(seed=5), track="lite").result
    assert result.dataset.sampling_seed == 5


def test_baselines_state_what_they_are_made_of():
    assert {pf.open_candidate(name).training for name in ("oracle", "zero", "unet")} == {TrainingManifest()}
    streams = pf.open_candidate("mean").training.trained
    assert {(s.system, s.regime, s.split, s.start, s.stop) for s in streams} == {
        (system, "pretrain", "train", 0, MEAN_ROWS) for system in ("poisson", "advection-diffusion", "helmholtz")
    }


def test_a_manifest_is_given_beside_a_model_that_states_none(mine, small_task):
    assert label(mine, small_task()).regime == "unknown"
    assert label(mine, small_task(), training=PRETRAINED).regime == "unseen"


def test_a_model_states_its_training_once(folder, mine, small_task):
    assert label(folder, small_task(), training=PRETRAINED).regime == "unseen"  # the same
    with pytest.raises(UsageError, match="mine states what it was trained on by itself: give no other manifest for it"):
        evaluate(folder, small_task(), track="lite", training=CHEATED)
    with pytest.raises(UsageError, match="a training manifest is that of one model, and here are 2"):
        pf.evaluate_suite(["zero", mine], [small_task()], track="lite", training=PRETRAINED)


@pytest.mark.usefixtures("quick_recipes")
def test_a_support_set_is_no_contamination(folder, small_task):
    few = evaluate(folder, small_task(), [0, 4], track="lite", seeds=1)
    assert few.result.contamination == label(folder, small_task())
    assert few.result.contamination.regime == "unseen"


def test_the_command_line_takes_a_manifest_and_says_what_follows(mine, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["eval", "--model", mine, "--task", "poisson-ood/mild", "--track", "lite"]
    assert main(words) == 0
    assert "what it was trained on is not stated (--manifest): mine" in " ".join(capsys.readouterr().out.split())
    assert main([*words, "--manifest", "training.json"]) == 0
    assert "of the test rows in the range trained on" in " ".join(capsys.readouterr().out.split())
    found = [read_evaluation(path).result for path in (tmp_path / "results").rglob("*.json")]
    assert sorted(result.contamination.regime for result in found) == ["overlapping", "unknown"]
    assert {result.contamination.test_rows_seen for result in found} == {None, 0}
    assert main([*words, "--manifest", "nowhere.json"]) == 2
    assert "no training manifest at nowhere.json" in " ".join(capsys.readouterr().err.split())


def test_tasks_of_plug_ins_are_labelled_too(plugin, mine):
    plugin()
    task = load_task("drum/near")  # T in U(0.5, 3); far-2 is U(2, 6)
    training = TrainingManifest(trained=(stream_of(SampleKey("drum", "far-2", "train"), range(100), 64),))
    found = label(mine, task, training=training)
    assert found.regime == "overlapping"
    assert 0.3 < found.trained_share < 0.5
    assert label("zero", task).regime == "unseen"


@pytest.mark.parametrize("seed", [2**53, True, 1.0, "0"])
def test_a_sampling_seed_that_no_file_could_hold_is_refused(seed):
    with pytest.raises(UsageError, match="a sampling seed is a whole number of up to 53 bits"):
        load_task("poisson-ood/mild", seed=seed)
