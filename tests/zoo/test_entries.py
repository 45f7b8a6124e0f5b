"""Which models there are here, and pulling one from the Hub: whole and checked, or not at all."""

import json
import time

import pytest
from described import ALICE, make_pretrained, mean_on, results_of
from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import _cache_manager

from pdebench_fm.cli import main
from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import sha256_of
from pdebench_fm.hub.repository import ATTEMPTS
from pdebench_fm.models import parameter_count, recipe_names, zoo_names
from pdebench_fm.models.loading import IN_PACKAGE
from pdebench_fm.models.sources import read_config
from pdebench_fm.zoo.card import write_model_card
from pdebench_fm.zoo.entries import cached_models, find_card, find_entry, pull_model, zoo_entries
from pdebench_fm.zoo.publish import publish_model

NAME = "pdebench-fm/fno-mixed-tiny"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of the Hub's client, of this test alone."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(model_with_card):
    return model_with_card


@pytest.fixture
def published(folder, hub):
    return publish_model(folder, "pdebench-fm", "1.0.0", token=ALICE, endpoint=hub.url)


@pytest.fixture
def pull(hub):
    """Pull from the test's Hub; `pull.waits` lists the seconds that were waited."""

    def pull(reference, revision=None, token=None):
        return pull_model(reference, revision, token=token, endpoint=hub.url, sleep=pull.waits.append)

    pull.waits = []
    return pull


def test_the_zoo_is_the_packages_weights_the_checkouts_and_the_recipes():
    homes = {entry.name: entry.home for entry in zoo_entries()}
    small = [name for name in zoo_names() if name.endswith(IN_PACKAGE)]
    expected = dict.fromkeys(zoo_names(), "checkout") | dict.fromkeys(small, "package")
    assert homes == expected | dict.fromkeys(recipe_names(), "recipe")


def test_a_pulled_model_lies_in_the_cache_with_its_scores(published, pull, folder, cache):
    entry = pull(NAME, "v1.0.0")
    assert entry.folder.is_relative_to(cache)
    assert (entry.name, entry.home, entry.commit, entry.refs) == (NAME, "hub cache", published.revision, ("v1.0.0",))
    assert entry.parameters == parameter_count(read_config(folder))
    stated = {(score.task, score.shots): score.error for score in entry.scores}
    assert {stated[task, 32] for task in TASKS} == {mean_on(task, 32) for task in TASKS}
    assert entry.pretraining_error("poisson") == mean_on("poisson/pretrain", 0)
    assert {path.name for path in entry.folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "training.json",
        "README.md",
    }
    assert sha256_of(entry.folder / "model.safetensors") == sha256_of(folder / "model.safetensors")


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("reference", ["fno-mixed-tiny", "fno-mixed-tiny@v1.0.0", f"{NAME}@v1.0.0"])
def test_a_bare_name_means_the_projects_own_namespace(pull, reference):
    entry = pull(reference)
    assert (entry.name, entry.revision) == (NAME, "v1.0.0" if "@" in reference else "main")


@pytest.mark.usefixtures("published")
def test_pulled_models_are_listed_and_found_and_others_passed_over(pull, api, hub):
    api.create_repo("alice/other")
    api.upload_file(path_or_fileobj=b'{"model_type": "bert"}', path_in_repo="config.json", repo_id="alice/other")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="model.safetensors", repo_id="alice/other")
    snapshot_download("alice/other", endpoint=hub.url)
    assert cached_models() == []
    pulled = pull(NAME, "v1.0.0")
    assert cached_models() == [pulled]
    assert pulled in zoo_entries()
    assert find_entry(NAME) == find_entry(f"{NAME}@v1.0.0") == find_entry(NAME, pulled.commit) == pulled
    with pytest.raises(UsageError, match=r"not in the Hub's cache here at v9, only at v1\.0\.0: `pdefm zoo pull"):
        find_entry(f"{NAME}@v9")


def test_main_goes_before_older_revisions(published, pull, folder, hub):
    first = pull(NAME, "v1.0.0")
    make_pretrained(folder, seed=8)
    write_model_card(folder, results_of(folder))
    newer = publish_model(folder, "pdebench-fm", "2.0.0", token=ALICE, endpoint=hub.url)
    assert find_entry(NAME) == first
    pull(NAME)
    assert find_entry(NAME).commit == newer.revision != published.revision
    assert {entry.revision for entry in cached_models()} == {"v1.0.0", "main"}


@pytest.mark.parametrize(
    ("reference", "message"),
    [("alice/none", "not in the Hub's cache here: `pdefm zoo pull alice/none`"), ("fno-mixed-17m", "did you mean")],
)
def test_a_model_that_is_not_here_is_an_error_that_says_what_to_do(reference, message):
    with pytest.raises(UsageError, match=message):
        find_entry(reference)


TROUBLE = [{"status": 503}, {"status": 429}, {"drop": "before"}]


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
def test_a_busy_hub_is_waited_for(published, pull, hub, trouble):
    hub.fail_next(path_contains="/revision/", times=3, **trouble)
    assert pull(NAME, "v1.0.0").commit == published.revision
    assert len(pull.waits) == 3


@pytest.mark.usefixtures("published")
def test_a_hub_that_keeps_failing_is_given_up_in_one_line(pull, hub):
    hub.fail_next(path_contains="/revision/", times=ATTEMPTS, status=502)
    with pytest.raises(PdefmError, match="502") as caught:
        pull(NAME)
    assert "\n" not in str(caught.value)
    assert cached_models() == []


@pytest.mark.parametrize("reference", [NAME, f"{NAME}@v2.0.0"])
def test_what_the_hub_does_not_have_is_said(pull, request, reference):
    if "@" in reference:
        request.getfixturevalue("published")
    revision = "v2.0.0" if "@" in reference else "main"
    with pytest.raises(UsageError, match=rf"no model {NAME} at revision {revision}, .*`hf auth login`"):
        pull(reference)


def test_a_private_model_needs_its_token(pull, folder, hub):
    publish_model(folder, "alice", "1.0.0", private=True, token=ALICE, endpoint=hub.url)
    with pytest.raises(PdefmError, match=r"your token may not see it|valid token"):
        pull("alice/fno-mixed-tiny", token="hf_nobody")  # noqa: S106  # of nobody on the test's own server
    assert pull("alice/fno-mixed-tiny", token=ALICE).home == "hub cache"


@pytest.mark.usefixtures("published")
def test_two_different_revisions_are_refused(pull):
    with pytest.raises(UsageError, match="two revisions"):
        pull(f"{NAME}@v1.0.0", "v2.0.0")
    assert pull(f"{NAME}@v1.0.0", "v1.0.0").revision == "v1.0.0"


@pytest.mark.parametrize("reference", ["a/b/c", "../x", ""])
def test_what_is_no_name_is_refused(pull, reference):
    with pytest.raises(UsageError, match="neither a Hub id"):
        pull(reference)


@pytest.mark.usefixtures("published")
def test_weights_that_do_not_fit_their_configuration_are_refused(pull, api, folder):
    config = json.loads((folder / "config.json").read_text()) | {"width": 5}
    api.upload_file(path_or_fileobj=json.dumps(config).encode(), path_in_repo="config.json", repo_id=NAME)
    with pytest.raises(PdefmError, match=r"does not fit its config\.json: tensor"):
        pull(NAME)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt"])
def test_a_repository_of_a_pickle_is_refused_without_downloading_it(pull, api, hub, name):
    api.create_repo("alice/pickled")
    api.upload_file(path_or_fileobj=b"\x80\x02", path_in_repo=name, repo_id="alice/pickled")
    hub.forget_requests()
    with pytest.raises(PdefmError, match=rf"alice/pickled/{name} is a pickle.*can run any code.*save_file"):
        pull("alice/pickled")
    assert not hub.requests_to("/resolve/")


def in_cache(cache, name, spoil=lambda _: None):
    """Put a model into the Hub's cache as its client does; `spoil` is given its folder first."""
    repository = cache / f"models--{name.replace('/', '--')}"
    folder = repository / "snapshots" / ("0" * 40)
    make_pretrained(folder)
    spoil(folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return folder


def many_layers(folder):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"layers": 10**6}))


def sparse_weights(folder):
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(64 * 2**30)


def hostile_card(folder):
    (folder / "README.md").write_text("---\nx: " + "[" * 5000 + "\n---\n")


def test_a_bad_neighbour_keeps_no_model_from_being_listed(cache, capsys):
    in_cache(cache, "org/deep", many_layers)
    in_cache(cache, "org/sparse", sparse_weights)
    in_cache(cache, "org/good")
    in_cache(cache, "org/odd-card", hostile_card)
    (cache / "models--org--empty").mkdir()
    start = time.monotonic()
    unusable = []
    entries = zoo_entries(unusable)
    assert time.monotonic() - start < 20
    assert [entry.name for entry in entries if entry.home == "hub cache"] == ["org/good", "org/odd-card"]
    assert [found.name for found in unusable] == ["org/deep", "org/sparse"]
    assert main(["zoo", "list"]) == 0
    shown, aside = capsys.readouterr()
    assert "good" in shown
    assert "sparse" not in shown
    first, second = aside.replace("\n", " ").split("not listed: ")[1:]
    assert first.startswith("org/deep, which cannot be used: ")
    assert "'layers'" in first
    assert "safetensors" in second
    for name in ("org/deep", "org/sparse"):
        with pytest.raises(PdefmError, match=f"{name} cannot be used: "):
            find_entry(name)
    assert find_entry("org/good").refs == ("main",)


def test_a_cache_that_is_no_folder_leaves_the_packages_models(cache):
    cache.write_text("")
    unusable = []
    assert {entry.home for entry in zoo_entries(unusable)} == {"package", "checkout", "recipe"}
    assert [found.name for found in unusable] == ["the Hub's cache"]


def test_an_evaluation_names_every_model_that_cannot_be_opened(tmp_path, capsys):
    for name, spoil in (("deep", many_layers), ("sparse", sparse_weights), ("good", lambda _: None)):
        spoil(make_pretrained(tmp_path / name))
    models = ",".join(str(tmp_path / name) for name in ("deep", "good", "sparse"))
    command = ["eval", "--model", models, "--task", "poisson/in-domain", "--track", "lite"]
    assert main([*command, "--out", str(tmp_path / "o")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "2 of 3 models cannot be evaluated: " in said
    assert "'layers'" in said
    assert "not a complete safetensors file" in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("", "a model is given by a name"),
        ("./nowhere", "no folder ./nowhere"),
        ("a/b/c", "no folder a/b/c"),
        ("file", "file is a file"),
    ],
)
def test_what_has_no_card_is_told_as_what_it_is(tmp_path, monkeypatch, reference, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=words):
        find_card(reference)
