"""Bringing a revision here: trouble is overcome, what is cached is found, and a tag that was moved is noticed."""

import logging

import pytest
from described import ALICE
from huggingface_hub import HfApi, constants

from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.failures import HubError
from pdebench_fm.hub.repository import UNREACHED_ATTEMPTS, Repository

NAME = "pde-lab/net"
FILES = ("config.json", "model.safetensors", "README.md")


@pytest.fixture(autouse=True)
def record(tmp_path, monkeypatch):
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "record"))


@pytest.fixture
def told(caplog):
    """What the user is warned of."""
    caplog.set_level(logging.WARNING, logger="pdebench_fm")
    return lambda: [entry.getMessage() for entry in caplog.records if entry.name == "pdebench_fm"]


@pytest.fixture
def change(api):
    """Commit other contents to main; returns the commit."""

    def change(text):
        for path in FILES[:2]:
            done = api.upload_file(path_or_fileobj=f"{text} {path}".encode(), path_in_repo=path, repo_id=NAME)
        return done.oid

    api.create_repo(NAME)
    return change


@pytest.fixture
def download(hub, tmp_path):
    """Download into the test's own cache; `download.waits` lists the seconds that were waited."""

    def download(*arguments, endpoint=hub.url, kind="model", **options):
        repository = Repository(HfApi(endpoint=endpoint, token=ALICE), NAME, kind, sleep=download.waits.append)
        return repository.download(FILES, *arguments, cache_dir=tmp_path / "cache", **options)

    download.waits = []
    return download


DEAD = "http://127.0.0.1:9"  # the discard port, where nobody listens


def test_those_of_the_files_that_are_there_are_brought(download, change):
    commit = change("first")
    folder = download()
    assert folder.name == commit
    assert {path.name: path.read_text() for path in folder.iterdir()} == {path: f"first {path}" for path in FILES[:2]}


TROUBLE = [
    {"status": 503},
    {"status": 429, "retry_after": 3},
    {"drop": "before"},
    {"drop": "midway"},
    {"drop": "after"},
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
@pytest.mark.parametrize("call", ["/revision/", "/tree/", "/resolve/"])
def test_trouble_is_overcome_and_never_answered_with_an_older_copy(download, change, hub, call, trouble):
    change("first")
    download()
    newest = change("second")
    hub.fail_next(path_contains=call, **trouble)
    folder = download()
    assert hub.faults.pending == 0
    assert folder.name == newest
    assert [(folder / path).read_text() for path in FILES[:2]] == [f"second {path}" for path in FILES[:2]]


def test_without_a_network_the_cached_copy_is_used_and_said(download, change, told):
    commit = change("first")
    download("main")
    assert download("main", endpoint=DEAD).name == commit
    assert len(download.waits) == UNREACHED_ATTEMPTS - 1
    (line,) = told()
    assert "the Hub cannot be reached" in line
    assert commit in line


def test_without_a_network_and_a_copy_both_are_said_soon(download):
    with pytest.raises(HubError, match=r"the model pde-lab/net at v1 is not in the Hub's cache.*cannot be reached"):
        download("v1", endpoint=DEAD)
    assert sum(download.waits) < 5


@pytest.mark.parametrize("how", ["environment", "argument"])
def test_offline_a_cached_revision_is_found_by_any_of_its_names(download, change, api, hub, monkeypatch, how):
    commit = change("first")
    api.create_tag(NAME, tag="v1.0.0")
    for name in ("main", "v1.0.0"):
        download(name)
    hub.forget_requests()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "environment")
    for name in (None, "main", "v1.0.0", commit):
        assert download(name, local=how == "argument").name == commit
    why = "HF_HUB_OFFLINE is set" if how == "environment" else "the network is not to be used"
    with pytest.raises(HubError, match=rf"the model pde-lab/net at v2\.0\.0 is not in the Hub's cache here, and {why}"):
        download("v2.0.0", local=how == "argument")
    assert hub.requests == []


def test_offline_the_missing_file_is_named(download, change, monkeypatch):
    change("first")
    (download() / "model.safetensors").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        HubError, match=r"^model\.safetensors of pde-lab/net at main is not in .* HF_HUB_OFFLINE is set"
    ):
        download()


def test_a_tag_that_was_moved_is_said_until_it_is_taken_over(download, change, api, told):
    first = change("first")
    api.create_tag(NAME, tag="v1.0.0")
    download("v1.0.0")
    download("v1.0.0")
    assert told() == []
    second = change("second")
    api.delete_tag(NAME, tag="v1.0.0")
    api.create_tag(NAME, tag="v1.0.0")
    for times in (1, 2):
        assert download("v1.0.0").name == second
        assert len(told()) == times
    line = told()[0]
    assert "pde-lab/net@v1.0.0 was moved" in line
    assert second[:12] in line
    assert f"pde-lab/net@{first} is what it was" in line
    assert download(first).name == first
    download("v1.0.0", renew=True)
    assert len(told()) == 3
    download("v1.0.0")
    assert len(told()) == 3


def test_a_branch_and_main_may_move(download, change, api, told):
    change("first")
    api.create_branch(NAME, branch="trial")
    for name in ("main", "trial"):
        download(name)
    newest = change("second")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="config.json", repo_id=NAME, revision="trial")
    assert download("main").name == newest
    download("trial")
    assert told() == []


def test_what_cannot_be_recorded_does_not_stop_a_download(download, change, api, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "file" / "below"))
    commit = change("first")
    api.create_tag(NAME, tag="v1.0.0")
    assert download("v1.0.0").name == commit


@pytest.mark.parametrize("by_commit", [False, True], ids=["name", "commit"])
@pytest.mark.parametrize("pattern", [FILES[0], "*"])
def test_what_is_too_large_by_the_hubs_own_list_is_not_downloaded(download, change, hub, pattern, by_commit):
    commit = change("x" * 100)
    hub.forget_requests()
    revision = commit if by_commit else "main"
    with pytest.raises(PdefmError, match=rf"{NAME} is not downloaded: .* and should have at most 50 bytes"):
        download(revision, most={pattern: 50})
    assert not hub.requests_to("/resolve/")
    assert download(revision, most={pattern: 10_000}).name == commit
    assert download.waits == []
