"""Which failures of the Hub's client pass, how long they are waited for, and what the user reads of the others."""

import json
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from pdebench_fm.hub.failures import HubError
from pdebench_fm.hub.repository import ATTEMPTS, UNREACHED_ATTEMPTS, Repository, file_identities, identities


def answer(status, kind=HfHubHTTPError, said=None, **headers):
    """The client's error for an answer with this status."""
    response = SimpleNamespace(status_code=status, headers=headers, request=None)
    return kind(f"{status} Error", response=response, server_message=said)


def wrapped(error, kind=RuntimeError):
    """An error as the client raises it because of another."""
    outer = kind("Error while uploading")
    outer.__cause__ = error
    return outer


class FailingApi(HfApi):
    """Fails to list tags with these errors, one after the other, then lists none."""

    def __init__(self, *errors):
        super().__init__(endpoint="http://127.0.0.1:9")
        self.errors = list(errors)

    def list_repo_refs(self, *_, **__):
        if self.errors:
            raise self.errors.pop(0)
        return SimpleNamespace(tags=[])


def waits_for(*errors):
    """The seconds waited before the tags are known."""
    waits = []
    assert Repository(FailingApi(*errors), "org/name", "dataset", sleep=waits.append).tags() == {}
    return waits


TEMPORARY = [
    answer(429),
    answer(500),
    answer(503),
    wrapped(answer(502)),
    wrapped(ConnectionResetError("reset"), LocalEntryNotFoundError),
    HfHubHTTPError.__bases__[0]("Server disconnected without sending a response."),
    TimeoutError("timed out"),
    RuntimeError("Network error: HTTP status client error (429 Too Many Requests)"),
    json.JSONDecodeError("an error page", "<html>", 0),
]
FINAL = [
    (answer(401), r"hf auth login.*HF_TOKEN, with write access to org"),
    (answer(403, said="You need a token with write access"), r"You need a token .*hf auth login"),
    (wrapped(answer(403)), "your token may not do this"),
    (answer(404, RepositoryNotFoundError), "the Hub has no org/name"),
    (answer(400, said="Invalid metadata"), "400: Invalid metadata"),
    (OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE"),
    (ConnectionError("HTTP status client error (404 Not Found): /xet-write-token/main"), "HF_HUB_DISABLE_XET=1"),
    (FileNotFoundError("no such file"), "no such file"),
]


@pytest.mark.parametrize("error", TEMPORARY, ids=repr)
def test_what_may_pass_is_tried_again(error):
    (wait,) = waits_for(error)
    assert 0.75 <= wait <= 1.25


@pytest.mark.parametrize(("error", "message"), FINAL, ids=repr)
def test_what_cannot_pass_is_explained_at_once(error, message):
    waits = []
    with pytest.raises(HubError, match=message) as caught:
        Repository(FailingApi(error), "org/name", "dataset", sleep=waits.append).tags()
    assert "\n" not in str(caught.value)
    assert waits == []


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1.25),
        ({}, 1.25),
    ],
)
def test_the_hub_says_how_long_to_wait(headers, seconds):
    (wait,) = waits_for(answer(429, **headers))
    assert wait == pytest.approx(seconds, rel=0.4)
    assert wait >= seconds or seconds < 2


def test_the_user_is_told_what_is_waited_for():
    told = []
    Repository(FailingApi(answer(503)), "org/name", "dataset", on_wait=told.append, sleep=lambda _: None).tags()
    assert len(told) == 1
    assert "503" in told[0]


def test_attempts_are_bounded():
    api = FailingApi(*[answer(503)] * 100)
    with pytest.raises(HubError, match="503"):
        Repository(api, "org/name", "dataset", sleep=lambda _: None).tags()
    assert len(api.errors) == 100 - ATTEMPTS


def test_identities_are_those_of_git_and_of_large_files(tmp_path):
    (tmp_path / "hello.txt").write_bytes(b"hello\n")
    assert (
        file_identities(tmp_path / "hello.txt")
        == identities(b"hello\n")
        == {
            "ce013625030ba8dba906f756967f9e9ca394464a",  # git hash-object
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",  # sha256sum
        }
    )


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_repository_that_somebody_else_creates_meanwhile_is_theirs_and_ours(hub, api, kind):
    waits = []
    repository = Repository(api, "pde-lab/net", kind, sleep=waits.append)
    api.create_repo("pde-lab/net", repo_type=kind)
    repository.create(private=False)
    hub.fail_next(path_contains="/repos/create", status=409)
    repository.create(private=False)
    assert waits == []
    assert hub.faults.pending == 0
    assert repository.snapshot() is not None


def test_a_conflict_about_a_repository_that_is_not_there_yet_passes(hub, api):
    waits = []
    repository = Repository(api, "pde-lab/net", "dataset", sleep=waits.append)
    hub.fail_next(path_contains="/repos/create", status=409, times=2)
    repository.create(private=True)
    assert len(waits) == 2
    assert repository.snapshot().private


def test_an_answer_that_is_not_the_hubs_is_one_line():
    with pytest.raises(HubError, match=r"^the Hub failed on org/name \(an answer without 'url'\)$"):
        Repository(FailingApi(KeyError("url")), "org/name", "dataset").tags()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_a_hub_that_cannot_be_reached_is_said_after_few_tries(address):
    waits = []
    repository = Repository(HfApi(endpoint=address), "org/name", "dataset", sleep=waits.append)
    with pytest.raises(HubError, match=r"the Hub cannot be reached \(.*\): check the network, and HF_ENDPOINT"):
        repository.snapshot()
    assert len(waits) == UNREACHED_ATTEMPTS - 1
