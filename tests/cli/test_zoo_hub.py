"""`pdefm zoo publish | pull | list | show` against a Hub: what they print, and that refusals are one line."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from described import ALICE
from hub_server import client_environment
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _cache_manager

from pdebench_fm.cli import main, zoo
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.publishing.publish import publish

NAME = "pde-lab/fno-mixed-tiny"


@pytest.fixture
def folder(model_with_card):
    return model_with_card


@pytest.fixture
def hub(hub, tmp_path, monkeypatch):
    """A Hub to which this process is logged in as Alice, with an empty cache."""
    monkeypatch.setenv("HF_TOKEN", ALICE)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hub


@pytest.fixture
def pdefm(capsys, monkeypatch):
    """Run a command that succeeds, on a terminal of this many columns; return what it prints."""

    def pdefm(*words, columns=80):
        monkeypatch.setattr(zoo.console, "width", columns)
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return pdefm


def test_publishing_says_what_was_sent_and_that_nothing_is_left_to_do(hub, folder, pdefm):
    words = ["zoo", "publish", folder, "--namespace", "pde-lab", "--version", "1.0.0"]
    sent = "config.json, model.safetensors, training.json, README.md, 12 files of scores"
    assert pdefm(*words, "--private") == f"published {NAME} v1.0.0; sent: {sent}; {hub.url}/{NAME}\n"
    assert pdefm(*words) == f"{NAME} v1.0.0 is already published, nothing to do; {hub.url}/{NAME}\n"
    assert HfApi(endpoint=hub.url, token=ALICE).model_info(NAME).private


@pytest.mark.usefixtures("hub")
def test_a_pulled_model_is_described_listed_and_shown(folder, pdefm, tmp_path):
    pdefm("zoo", "publish", folder, "--namespace", "pde-lab", "--version", "1.0.0")
    shutil.rmtree(folder)
    text = pdefm("zoo", "pull", NAME, "--revision", "v1.0.0")
    assert re.search(rf"^{NAME} v1\.0\.0: [0-9,]+ parameters, every tensor checked$", text, re.MULTILINE)
    (place,) = re.findall(r"^lies in (.+)$", text, re.MULTILINE)
    assert place.startswith(str(tmp_path / "cache"))
    assert re.search(r"^ *helmholtz-ood/hard +[0-9.]+ +[0-9.]+ *$", text, re.MULTILINE)
    assert f'load it: pf.load_model("{NAME}", revision="v1.0.0")' in text
    listed = pdefm("zoo", "list", columns=120)
    assert re.search(rf"^{NAME} +tiny +Hub cache .*\nmixed, .* +v1\.0\.0 ", listed, re.MULTILINE)
    shown = pdefm("zoo", "show", NAME)
    assert "6,000 fresh samples" in shown
    assert place in shown
    words = " ".join(shown.partition("Computed from what it was trained on:")[2].split())
    assert words.startswith("the same as the card says of the tasks")
    assert "test rows seen: none" in " ".join(shown.split())


@pytest.mark.usefixtures("hub")
def test_what_a_shown_model_knows_is_computed_and_not_what_its_card_says(folder, pdefm):
    """A model that was trained on test rows, with a card that says it was not."""
    pdefm("zoo", "publish", folder, "--namespace", "pde-lab", "--version", "1.0.0")
    pdefm("zoo", "pull", NAME, "--revision", "v1.0.0")
    (place,) = re.findall(r"Its files lie in (.+)", pdefm("zoo", "show", NAME, columns=400))
    path = Path(place.strip()) / "training.json"
    document = json.loads(path.read_text())
    stream = document["manifest"]["trained"][0] | {"regime": "hard", "split": "test", "start": 0, "stop": 7}
    path.unlink()
    path.write_text(json.dumps({"manifest": {"trained": [stream]}}))
    words = " ".join(pdefm("zoo", "show", NAME).partition("Computed from what it was trained on:")[2].split())
    assert words.startswith("regime seen: advection-diffusion-ood/hard regime unseen: ")
    assert "test rows seen: 7 of advection-diffusion-ood/hard" in words
    path.unlink()
    assert "What it was trained on is not stated." in pdefm("zoo", "show", NAME)


def test_refusals_are_one_line(hub, folder, capsys):
    (folder / "model.safetensors").unlink()
    assert main(["zoo", "publish", str(folder), "--namespace", "pde-lab", "--version", "1.0.0"]) == 1
    assert re.fullmatch(r"pdefm: .*it has no model\.safetensors.*\n", capsys.readouterr().err)
    assert hub.requests == []
    assert main(["zoo", "pull", "pde-lab/none"]) == 2
    assert re.fullmatch(r"pdefm: the Hub has no model pde-lab/none at .*\n", capsys.readouterr().err)


def run_eval(hub, home, *words, **settings):
    """Run `pdefm eval` on a published model and dataset in a process of its own."""
    home.mkdir(exist_ok=True)
    words = ["eval", "--model", f"{NAME}@v1.0.0", "--task", "helmholtz-ood/medium", "--track", "lite", *words]
    return subprocess.run(
        [sys.executable, "-m", "pdebench_fm", *map(str, words)],
        env=client_environment(hub, home, ALICE) | {"PDEFM_CACHE": str(home / "cells"), **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_evaluation_over_the_hub_survives_trouble_goes_on_offline_and_notices_a_moved_tag(
    hub, folder, pdefm, tmp_path
):
    plan = BuildPlan(find_dataset("helmholtz-ood"), ("medium",), {"train": 8, "test": 8}, 64)
    publish(build(plan, tmp_path / "builds"), "pde-lab", "1.0.0", token=ALICE, endpoint=hub.url)
    pdefm("zoo", "publish", folder, "--namespace", "pde-lab", "--version", "1.0.0")
    for kind in ("/api/models/", "/api/datasets/", "/resolve/"):
        for trouble in ({"drop": "before"}, {"status": 503}):
            hub.fail_next(path_contains=kind, **trouble)
    data, home = "pde-lab/helmholtz-ood@v1.0.0", tmp_path / "home"
    first = run_eval(hub, home, "--data", data, "--out", tmp_path / "first")
    assert first.returncode == 0, first.stderr
    assert hub.faults.pending == 0
    assert "moved" not in first.stderr
    anew = {"HF_HUB_OFFLINE": "1", "PDEFM_CACHE": str(tmp_path / "other")}  # with no cells of the first
    offline = run_eval(hub, home, "--data", data, "--out", tmp_path / "offline", **anew)
    assert offline.returncode == 0, offline.stderr
    one, other = (pq.read_table(next((tmp_path / name).rglob("*.samples.parquet"))) for name in ("first", "offline"))
    assert one.equals(other)
    assert one.num_rows == 8

    api = HfApi(endpoint=hub.url, token=ALICE)
    moved = api.upload_file(path_or_fileobj=b"# Other words", path_in_repo="README.md", repo_id=NAME)
    api.delete_tag(NAME, tag="v1.0.0")
    api.create_tag(NAME, tag="v1.0.0", revision=moved.oid)
    again = run_eval(hub, home, "--data", data, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert f"{NAME}@v1.0.0 was moved: it is commit {moved.oid[:12]} now" in again.stderr


def test_a_card_on_the_hub_is_shown_without_its_weights(hub, folder, pdefm, capsys):
    pdefm("zoo", "publish", folder, "--namespace", "pde-lab", "--version", "1.0.0")
    hub.forget_requests()
    for reference in (NAME, f"{NAME}@v1.0.0"):
        text = pdefm("zoo", "show", reference)
        assert "fno-mixed-tiny" in text
        assert "Computed from what it was trained on" in text
    assert not any("model.safetensors" in request.path for request in hub.requests)
    assert main(["zoo", "show", "pde-lab/none"]) == 2
    error = capsys.readouterr().err
    assert "pde-lab/none is neither a folder nor in the Hub's cache here" in error
    assert "`pdefm zoo pull pde-lab/none` would bring all of it" in error
    assert error.count("\n") == 1
