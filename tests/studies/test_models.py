"""Models of studies: what is there is taken, what isn't is trained, and a training goes on where it was stopped."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from pdebench_fm.cli import main
from pdebench_fm.errors import UsageError
from pdebench_fm.studies.estimate import costs_of
from pdebench_fm.studies.models import check_models, found, pretraining_steps, run_folder, trained
from pdebench_fm.studies.reproduce import reproduce
from pdebench_fm.studies.runs import read_runs
from pdebench_fm.studies.study import ModelSource, load_study
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.run import CHECKPOINT_NAME

CONFIG = PretrainConfig(
    family="poisson", size="64k", steps=6, batch_size=2, resolution=16, warmup_steps=1, learning_rate=1e-3
)
SAID = "{pretrain: {family: poisson, size: 64k, steps: 6, batch_size: 2, resolution: 16, warmup_steps: 1}}"


def test_a_model_is_trained_once_and_then_found(tmp_path):
    told = []
    folder = trained(CONFIG, tmp_path, "cpu", lambda *state: told.append(state))
    assert folder.parent == run_folder(CONFIG, tmp_path)
    assert told[-1] == ("fno-poisson-64k", 6, 6)
    weights = (folder / "model.safetensors").read_bytes()
    assert trained(CONFIG, tmp_path, "cpu", lambda *_: pytest.fail("trained again")) == folder
    assert (folder / "model.safetensors").read_bytes() == weights
    source = ModelSource(pretrain=CONFIG)
    assert found(source, tmp_path) == str(folder)
    assert pretraining_steps(source, str(folder)) == 6


def test_an_interrupted_training_goes_on_and_ends_with_the_same_weights(tmp_path):
    class StopError(Exception):
        pass

    def stop(_what, step, _steps):
        if step == 3:
            raise StopError

    whole = trained(CONFIG, tmp_path / "whole", "cpu", lambda *_: None)
    with pytest.raises(StopError):
        trained(CONFIG, tmp_path / "stopped", "cpu", stop)
    assert (run_folder(CONFIG, tmp_path / "stopped") / CHECKPOINT_NAME).is_file()
    assert found(ModelSource(pretrain=CONFIG), tmp_path / "stopped") is None
    again = trained(CONFIG, tmp_path / "stopped", "cpu", lambda *_: None)
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_every_configuration_has_a_folder_of_its_own(tmp_path):
    others = [CONFIG.model_copy(update=change) for change in ({"steps": 7}, {"seed": 1}, {"gain": 0.4})]
    assert len({run_folder(config, tmp_path) for config in (CONFIG, *others)}) == 4


def test_what_lies_in_the_folder_of_models_goes_before_all_else(tmp_path, model_folder):
    for name in ("fno-poisson-16m", "fno-poisson-64k"):
        (tmp_path / name).symlink_to(model_folder)
        assert found(ModelSource(open=name), tmp_path) == str(tmp_path / name)
    assert found(ModelSource(open="fno-poisson-1m"), tmp_path) == "fno-poisson-1m"
    assert found(ModelSource(open="fno-mixed-256m", pretrain=CONFIG), tmp_path) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fno-mixed-256m", "line 8: fno-mixed-256m comes without weights"),
        ("fno-poisson-128k", "line 8: unknown model 'fno-poisson-128k': did you mean 'fno-poisson-"),
        ("fno-poisson-256m", "line 8: fno-poisson-256m is a size that does not come with the package"),
        ("./nowhere", "line 8: no directory ./nowhere"),
        ("a/b/c", "line 8: no directory a/b/c"),
        ("nowhere.py:build", "line 8: no file nowhere.py"),
        ("nowhere.onnx", "line 8: no file nowhere.onnx"),
        ("..", "line 8: .. is not a model"),
    ],
)
def test_a_model_that_is_nowhere_is_told_with_its_line(tiny_file, tmp_path, monkeypatch, name, words):
    study = load_study(tiny_file(("MODEL", name)), "smoke")
    monkeypatch.chdir(tmp_path)  # whose parent holds no model, whatever the parent of the tests' folder holds
    with pytest.raises(UsageError, match=words):
        check_models(study, tmp_path)


def test_a_file_is_no_folder_of_models(tiny_file):
    path = tiny_file()
    with pytest.raises(UsageError, match="is a file: --pretrained takes the folder"):
        check_models(load_study(path, "smoke"), path)


def test_what_needs_the_steps_of_a_pretraining_is_not_run_without_them(tiny_file, tmp_path):
    study = load_study(tiny_file(("kind: shots", "kind: steps")), "smoke")
    with pytest.raises(UsageError, match="line 8: how many steps tiny was pretrained for is not known"):
        check_models(study, tmp_path)
    study = load_study(tiny_file(("kind: shots", "kind: steps"), ("MODEL", "fno-poisson-64k")), "smoke")
    check_models(study, tmp_path)


def test_a_model_that_is_not_evaluated_is_not_trained(tiny_file, tmp_path, places, quick_recipes):  # noqa: ARG001
    unused = "tiny: {open: MODEL}\n  unused: {pretrain: {family: poisson, size: 64k, steps: 100000}}"
    study = load_study(tiny_file(("tiny: {open: MODEL}", unused), ("[0, 4, 8]", "[0, 4]")), "smoke")
    assert [cost.what for cost in costs_of(study, places.pretrained, timed=False)] == ["evaluate main"]
    reproduce(study, tmp_path / "out", places)
    assert not places.pretrained.exists()


def test_without_the_extra_for_training_it_is_said_what_to_install(tiny_file, tmp_path, monkeypatch, capsys):
    path = tiny_file(("{open: MODEL}", SAID))
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "cache"))
    assert main(["reproduce", str(path), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "pip install 'pdebench-fm[train]'" in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_a_study_trains_what_is_missing_and_tells_its_steps(tiny_file, tmp_path, places, quick_recipes):  # noqa: ARG001
    study = load_study(tiny_file(("{open: MODEL}", SAID), ("shots: [0, 4, 8]", "shots: [0, 4]")), "smoke")
    reproduce(study, tmp_path / "out", places)
    rows = read_runs(tmp_path / "out" / "tiny" / "data.csv")
    assert {row.pretraining_steps for row in rows} == {6}
    (folder,) = places.pretrained.iterdir()
    assert json.loads((folder / "fno-poisson-64k" / "training.json").read_text())["config"]["steps"] == 6
