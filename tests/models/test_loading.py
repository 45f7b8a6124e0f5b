"""One reference, three kinds of places: the package's zoo, a directory, the Hub."""

import pytest
import torch
from described import ALICE
from hub_server import run_client

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import sha256_of
from pdebench_fm.models import (
    HomogeneousNormaliser,
    ModelConfig,
    NeuralOperator,
    load_model,
    loading,
    recipe_names,
    resolve,
    zoo_names,
)

CONFIG = ModelConfig(width=4, modes=2, normaliser=HomogeneousNormaliser(coefficient_scales=(1,) * 6))


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(4)
    NeuralOperator(CONFIG).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def shipped(folder, monkeypatch):
    """A package with one model, `fno-mixed-tiny`."""
    root = folder.parent / "weights"
    root.mkdir()
    folder.rename(root / "fno-mixed-tiny")
    monkeypatch.setattr(loading, "zoo_directory", lambda: root)
    monkeypatch.setattr(loading, "in_checkout", lambda _: None)
    return root / "fno-mixed-tiny"


def test_a_zoo_name_loads_the_packages_weights(shipped):
    assert zoo_names() == ["fno-mixed-tiny"]
    source = load_model("fno-mixed-tiny").source
    assert (source.model_id, source.revision, source.directory) == ("fno-mixed-tiny", "package", shipped)
    assert source.weights_sha256 == sha256_of(shipped / "model.safetensors")


@pytest.mark.usefixtures("shipped")
def test_a_name_that_is_nearly_right_is_corrected():
    with pytest.raises(UsageError, match=r"unknown model 'fno-mixed-tinny': did you mean 'fno-mixed-tiny'"):
        resolve("fno-mixed-tinny")


@pytest.mark.usefixtures("shipped")
def test_a_zoo_name_goes_before_a_directory_and_a_path_says_which(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    NeuralOperator(CONFIG).save_pretrained("fno-mixed-tiny")
    assert resolve("fno-mixed-tiny").revision == "package"
    assert resolve("./fno-mixed-tiny").revision is None


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_directory_is_loaded_as_it_was_given(folder, kind):
    source = load_model(kind(folder)).source
    assert (source.model_id, source.revision, source.directory) == (str(folder), None, folder)


@pytest.mark.parametrize("reference", ["./none", "a/b/c", "/none/at/all", "~/none-at-all"])
def test_a_directory_that_does_not_exist_is_refused(reference):
    with pytest.raises(UsageError, match=f"no directory {reference}"):
        resolve(reference)


def test_a_weights_file_is_answered_with_its_directory_and_a_pickle_with_the_reason(folder):
    with pytest.raises(UsageError, match="is a file: give the directory"):
        resolve(folder / "model.safetensors")
    (folder / "model.pt").write_bytes(b"x")
    with pytest.raises(PdefmError, match="is a pickle"):
        resolve(folder / "model.pt")


def test_models_are_published_and_loaded_by_hub_id_and_revision(hub, folder, tmp_path):
    script = """
import json, sys, torch
from huggingface_hub import HfApi
from pdebench_fm.models import NeuralOperator, load_model
folder, token, api = sys.argv[1], sys.argv[2], HfApi(token=sys.argv[2])
model = NeuralOperator.from_pretrained(folder)
api.create_repo("alice/net")
api.upload_folder(repo_id="alice/net", folder_path=folder)
first = api.model_info("alice/net").sha
api.create_tag("alice/net", tag="v1.0.0")
changed = NeuralOperator(model.config)
changed.save_pretrained(folder + "-changed")
api.upload_folder(repo_id="alice/net", folder_path=folder + "-changed")
second = api.model_info("alice/net").sha
latest, tagged = load_model("alice/net"), load_model("alice/net@v1.0.0")
named = load_model("alice/net", revision="v1.0.0", device="auto", token=token)
cached = NeuralOperator.from_pretrained("alice/net", revision="v1.0.0", local_files_only=True)
api.create_repo("alice/secret", private=True)
api.upload_folder(repo_id="alice/secret", folder_path=folder)
secret = load_model("alice/secret", token=token)
same = lambda one, two: all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))
print(json.dumps({
    "ids": [latest.source.model_id, tagged.source.model_id],
    "revisions": [latest.source.revision == second, tagged.source.revision == first, first != second],
    "weights": [same(latest, changed), *(same(one, model) for one in (tagged, named, cached, secret))],
    "sha256": [tagged.source.weights_sha256, cached.source.weights_sha256, secret.source.weights_sha256],
}))
"""
    found = run_client(script, hub, tmp_path / "home", str(folder), ALICE)
    assert found["ids"] == ["alice/net", "alice/net"]
    assert all(found["revisions"])
    assert all(found["weights"])
    assert set(found["sha256"]) == {sha256_of(folder / "model.safetensors")}


@pytest.mark.usefixtures("shipped")
def test_a_revision_is_only_of_what_is_on_the_hub(tmp_path):
    for reference, why in (("fno-mixed-tiny", "comes with the package"), (str(tmp_path), "is a directory here")):
        with pytest.raises(UsageError, match=rf"{why}, so it has no revision 'v1\.0\.0'"):
            load_model(reference, revision="v1.0.0")


def test_two_different_revisions_are_refused_before_the_hub_is_asked():
    with pytest.raises(UsageError, match=r"org/name@v1\.0\.0 and revision='v2\.0\.0' name two revisions"):
        load_model("org/name@v1.0.0", revision="v2.0.0")


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_no_weights_to_load_and_says_what_to_do(name):
    assert name not in zoo_names()
    with pytest.raises(UsageError, match=rf"recipe only, .* `pdefm zoo show {name}` says, or .* 'organisation/{name}'"):
        load_model(name)


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"finds no usable CUDA GPU here: device=\"auto\" picks"):
        load_model("org/name", revision="v1.0.0", device="cuda")


def test_what_the_hub_does_not_give_is_said_in_one_line(hub, tmp_path):
    script = """
import json, sys
from huggingface_hub import HfApi, constants
from pdebench_fm.errors import PdefmError
from pdebench_fm.models import load_model
def message(reference):
    try:
        load_model(reference)
    except PdefmError as error:
        return str(error)
api = HfApi(token=sys.argv[1])
api.create_repo("alice/empty")
api.create_repo("alice/secret", private=True)
api.create_repo("alice/pickled")
api.upload_file(path_or_fileobj=b"x", path_in_repo="last.ckpt", repo_id="alice/pickled")
messages = [message(f"alice/{name}") for name in ("none", "secret", "empty", "empty@v9", "--", "pickled")]
constants.HF_HUB_OFFLINE = True
print(json.dumps([*messages, message("alice/net")]))
"""
    found = run_client(script, hub, tmp_path / "home", ALICE)

    def cannot(name):
        return f"cannot read 'alice/{name}' as a directory here or a model on the Hub"

    expected = (
        f"{cannot('none')}: the Hub has no alice/none, or your token may not see it",
        f"{cannot('secret')}: the Hub has no alice/secret, or your token may not see it",
        "alice/empty is not a model: it has no config.json",
        f"{cannot('empty')}: alice/empty has no such file or revision (404: Invalid rev id: v9)",
        f"{cannot('--')}: 'alice/--' cannot be the name of a repository",
        "alice/pickled/last.ckpt is a pickle; only safetensors weights are loaded",
        f"{cannot('net')}: the model alice/net at main is not in the Hub's cache here, and HF_HUB_OFFLINE is set",
    )
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start)
        assert "\n" not in line
