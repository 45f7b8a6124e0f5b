"""A fresh Hub with one user for each test, and short ways to talk to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from . import HubServer, fetch

ALICE = "hf_alice"
REPO = "alice/net"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub") as server:
        server.add_user("alice", token=ALICE)
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    """Alice, with an empty model repository."""
    api = HfApi(endpoint=hub.url, token=ALICE)
    api.create_repo(REPO)
    return api


def add(api: HfApi, path: str, text: str, **options: object) -> str:
    """Commit one small file; returns the commit's SHA."""
    return api.upload_file(path_or_fileobj=text.encode(), path_in_repo=path, repo_id=REPO, **options).oid


def text_at(hub: HubServer, path: str, revision: str = "main") -> str:
    """The content of a file at a revision, without a client."""
    return fetch(f"{hub.url}/{REPO}/resolve/{revision}/{path}").body.decode()


def status_of(action: Callable[[], object]) -> int:
    """The HTTP status with which an action is refused."""
    with pytest.raises(HfHubHTTPError) as caught:
        action()
    return caught.value.response.status_code
