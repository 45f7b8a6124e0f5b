"""`pdefm zoo publish | pull | list | show` against a Hub: what they print, and that refusals are one line."""

import re
import shutil

import pytest
from described import ALICE
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _cache_manager

from pdebench_fm.cli import main, zoo

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
    sent = "config.json, model.safetensors, training.json, README.md"
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


def test_refusals_are_one_line(hub, folder, capsys):
    (folder / "model.safetensors").unlink()
    assert main(["zoo", "publish", str(folder), "--namespace", "pde-lab", "--version", "1.0.0"]) == 1
    assert re.fullmatch(r"pdefm: .*it has no model\.safetensors.*\n", capsys.readouterr().err)
    assert hub.requests == []
    assert main(["zoo", "pull", "pde-lab/none"]) == 2
    assert re.fullmatch(r"pdefm: the Hub has no model pde-lab/none at .*\n", capsys.readouterr().err)
