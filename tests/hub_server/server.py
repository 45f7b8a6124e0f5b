"""The server as tests see it: start, stop, users, planned faults, and the log of requests."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from . import cards, commits, contents, lfs, pulls, references, repos
from .accounts import Account, Accounts, Role
from .context import Context
from .faults import Drop, Fault, FaultPlan
from .links import LinkSigner
from .listener import Listener, RecordedRequest
from .store import Store

HUB_ROUTES = [
    *repos.ROUTES,
    *cards.ROUTES,
    *references.ROUTES,
    *contents.ROUTES,
    *commits.ROUTES,
    *pulls.ROUTES,
    *lfs.ROUTES,
]


class HubServer:
    """A Hub on loopback, with a separate file storage; a context manager.

    Args:
        folder: where the repositories lie; an earlier server's folder can be used again.
        lfs_threshold: files above this many bytes go through the large file storage, whatever their name.
        page_size: entries per page of tree and commit listings.
        link_seconds: how long signed links are good for.

    Attributes:
        url: the Hub's address, for ``HF_ENDPOINT``; while it runs.
        storage_url: the file storage's address; while it runs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lfs_threshold: int = 10 * 2**20,
        page_size: int = 1000,
        link_seconds: float = 3600,
    ):
        self.folder = Path(folder)
        self.accounts = Accounts()
        self.faults = FaultPlan()
        self.lock = threading.RLock()
        self.mistakes: list[BaseException] = []
        self.context = Context(
            Store(self.folder),
            self.accounts,
            LinkSigner(link_seconds),
            lfs_threshold=lfs_threshold,
            page_size=page_size,
        )
        self._requests: list[RecordedRequest] = []
        self.listeners: list[Listener] = []

    def __enter__(self) -> HubServer:
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = Listener(self, lfs.STORAGE_ROUTES, is_storage=True)
        hub = Listener(self, HUB_ROUTES, is_storage=False)
        self.listeners = [hub, storage]
        self.context.url, self.context.storage_url = hub.url, storage.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for listener in self.listeners:
            listener.stop()
        if error is None and self.mistakes:
            raise RuntimeError("the Hub server itself failed") from self.mistakes[0]

    @property
    def url(self) -> str:
        """The Hub's address."""
        return self.context.url

    @property
    def storage_url(self) -> str:
        """The file storage's address."""
        return self.context.storage_url

    def add_user(self, name: str, *, token: str, role: Role = "write", organizations: tuple[str, ...] = ()) -> Account:
        """Let a token stand for a user; a second call with another token gives the user a second one."""
        return self.accounts.add(name, token, role, organizations)

    def fail_next(
        self,
        *,
        method: str | None = None,
        path_contains: str = "",
        times: int = 1,
        skip: int = 0,
        status: int | None = None,
        retry_after: int | None = None,
        drop: Drop | None = None,
    ) -> None:
        """Let the next ``times`` matching requests fail (after ``skip`` that work), see ``Fault``.

        ``path_contains`` is looked for in the path with its query, on the Hub and on the storage.
        """
        self.faults.add(Fault(status, retry_after, drop), method, path_contains, times, skip)

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far, in the order of their answers."""
        return list(self._requests)

    def requests_to(self, path_contains: str, method: str | None = None) -> list[RecordedRequest]:
        """The recorded requests with this text in their path and this method."""
        return [item for item in self.requests if path_contains in item.path and method in (None, item.method)]

    @property
    def uploads(self) -> list[RecordedRequest]:
        """The recorded PUTs of large files to the storage."""
        return [item for item in self.requests if item.on_storage and item.method == "PUT"]

    def log(self, entry: RecordedRequest) -> None:
        """Add a line to the request log."""
        self._requests.append(entry)

    def forget_requests(self) -> None:
        """Empty the request log."""
        self._requests.clear()
