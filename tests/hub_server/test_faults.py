"""Planned trouble comes when and where it was planned, and unplanned trouble is not hidden."""

import http.client
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

from . import HubServer, fetch
from .accounts import Accounts
from .conftest import ALICE, REPO, add, status_of
from .context import Context, route
from .messages import Answer, Request


def test_a_rate_limit_tells_how_long_to_wait(hub: HubServer, api: HfApi) -> None:
    hub.fail_next(path_contains="/preupload/", status=429, retry_after=1)
    start = time.monotonic()
    add(api, "a.txt", "a")
    assert time.monotonic() - start >= 1
    assert [request.status for request in hub.requests_to("/preupload/")] == [429, 200]


def test_faults_hit_only_the_requests_they_are_meant_for(hub: HubServer, api: HfApi) -> None:
    hub.fail_next(method="GET", path_contains="/refs", skip=1, times=2, status=500)
    outcomes = []
    for _ in range(4):
        api.repo_info(REPO)
        try:
            api.list_repo_refs(REPO)
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)
        else:
            outcomes.append(200)
    assert outcomes == [200, 500, 500, 200]
    assert hub.faults.pending == 0


def test_a_dropped_commit_takes_effect_only_if_dropped_afterwards(hub: HubServer, api: HfApi) -> None:
    for drop, files in (("before", {".gitattributes"}), ("after", {".gitattributes", "a.txt"})):
        hub.fail_next(path_contains="/commit/", drop=drop)
        with pytest.raises(Exception, match="disconnected"):
            add(api, "a.txt", "a")
        assert set(api.list_repo_files(REPO)) == files


def test_impossible_faults_and_users_are_refused(hub: HubServer) -> None:
    with pytest.raises(ValueError, match="either a status or a dropped connection"):
        hub.fail_next(times=1)
    with pytest.raises(ValueError, match="drop must be"):
        hub.fail_next(drop="sometime")
    with pytest.raises(ValueError, match="times must be"):
        hub.fail_next(status=503, times=0)
    with pytest.raises(ValueError, match="taken"):
        hub.add_user("mallory", token=ALICE)
    with pytest.raises(ValueError, match="role must be"):
        Accounts().add("bob", "hf_bob", "admin", ())


def test_a_mistake_in_the_server_is_reported_at_the_end(tmp_path: Path) -> None:
    def broken(_: Context, request: Request) -> Answer:
        raise KeyError(request.path)

    server = HubServer(tmp_path)
    server.__enter__()
    server.listeners[0].routes.insert(0, route("GET", "/broken", broken))
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(f"{server.url}/broken")
    with pytest.raises(RuntimeError, match="the Hub server itself failed"):
        server.__exit__(None, None, None)


def test_unsupported_requests_are_refused_and_recorded(hub: HubServer, api: HfApi) -> None:
    assert status_of(lambda: api.super_squash_history(REPO)) == 404
    with pytest.raises(BadRequestError, match="not supported here"):
        api.update_repo_settings(REPO, gated="auto")
    assert [request.status for request in hub.requests_to("/super-squash/")] == [404]
