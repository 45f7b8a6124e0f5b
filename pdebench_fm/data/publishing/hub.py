"""One repository on the Hub: what the Hub's client gives up at once is tried again, and failures are explained.

The client itself retries uploads and downloads of files, but not the calls that create repositories, describe them,
commit and tag. A commit whose answer is lost may have happened, so it is looked for before it is sent again.
"""

import hashlib
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pdebench_fm.errors import PdefmError

ATTEMPTS = 7
"""How often a call is tried; the waits between double from about 1 s to about 32 s."""

LONGEST_WAIT = 600.0
"""Seconds; a Hub that asks for more patience than this is not waited for."""

# The base of the client's own errors is that of its HTTP library, whichever it is built on: it covers what
# happens to a connection as well. Uploads fail with RuntimeError; an error page that is not JSON is a ValueError.
_HTTP_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
HUB_ERRORS: tuple[type[Exception], ...] = (_HTTP_ERROR, OSError, RuntimeError, ValueError)
"""What calls of the Hub's client raise."""

_BUSY = (408, 409, 412, 429)  # 409 and 412: another change is going on or has just happened
_REFUSED = re.compile(r"client error \((?!408|429)4[0-9]{2}")  # how uploads report an answer
_RATE_LIMIT = re.compile(r";\s*t=([0-9]+)")

ABSENT = ""
"""The identity of a file that is not there."""

Expected = Mapping[str, frozenset[str]]
"""The identities that each of some files may have."""

T = TypeVar("T")


class HubError(PdefmError):
    """The Hub refused a call or kept failing."""


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
        commit: its SHA.
        private: whether strangers cannot see the repository.
        files: the identity of each file by its path: SHA-256 for large files, git's blob id for the others.
    """

    commit: str
    private: bool
    files: dict[str, str]

    def holds(self, expected: Expected) -> bool:
        """Return whether the files are as expected."""
        return all(self.files.get(path, ABSENT) in identities for path, identities in expected.items())


def identities(content: bytes) -> frozenset[str]:
    """Return the identities that the Hub may give to this content: it decides itself which files are large."""
    blob_id = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return frozenset([blob_id, hashlib.sha256(content).hexdigest()])


@dataclass(frozen=True)
class Repository:
    """A dataset repository, whether it exists yet or not.

    Attributes:
        api: knows the Hub's address and the token.
        name: `namespace/name`.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds.
    """

    api: HfApi
    name: str
    on_wait: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{self.api.endpoint}/datasets/{self.name}"

    def create(self, *, private: bool) -> None:
        """Create it, unless it exists; its visibility is the namespace's default where `private` is not asked for."""
        wanted = True if private else None
        self._call(lambda: self.api.create_repo(self.name, repo_type="dataset", private=wanted, exist_ok=True))

    def snapshot(self, revision: str = "main") -> Snapshot | None:
        """Return its state at a revision, None if there is no such repository or revision (or none to be seen)."""
        try:
            info = self._call(
                lambda: self.api.repo_info(self.name, repo_type="dataset", revision=revision, files_metadata=True)
            )
        except HubError as error:
            cause = error.__cause__
            missing = isinstance(cause, RepositoryNotFoundError) and not isinstance(cause, GatedRepoError)
            if missing or isinstance(cause, RevisionNotFoundError):
                return None
            raise
        files = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or ()}
        return Snapshot(str(info.sha), bool(info.private), files)

    def tags(self) -> dict[str, str]:
        """Return the commit of each tag."""
        refs = self._call(lambda: self.api.list_repo_refs(self.name, repo_type="dataset"))
        return {tag.name: tag.target_commit for tag in refs.tags}

    def read(self, path: str, commit: str) -> bytes:
        """Return the content of a small file at a commit."""

        def download() -> bytes:
            with tempfile.TemporaryDirectory() as cache:
                found = self.api.hf_hub_download(self.name, path, repo_type="dataset", revision=commit, cache_dir=cache)
                return Path(found).read_bytes()

        return self._call(download)

    def send(self, path: str, file: Path) -> CommitOperationAdd:
        """Upload a large file's content, and return the operation that commits it as `path`."""

        def upload() -> CommitOperationAdd:
            addition = CommitOperationAdd(path, str(file))
            self.api.preupload_lfs_files(self.name, [addition], repo_type="dataset", free_memory=False)
            return addition

        return self._call(upload)

    def commit(
        self,
        operations: Iterable[CommitOperationAdd | CommitOperationDelete],
        summary: str,
        parent: str,
        expected: Expected,
    ) -> str:
        """Commit to main and return the new commit.

        Args:
            operations: additions and deletions.
            summary: the commit's title.
            parent: the commit that main must be at.
            expected: what the operations lead to; tells whether a commit without an answer happened.

        Raises:
            HubError: if it is refused, keeps failing, or main was changed by somebody else.
        """
        changes = list(operations)

        def attempt() -> str:
            done = self.api.create_commit(
                self.name, changes, commit_message=summary, repo_type="dataset", parent_commit=parent
            )
            return str(done.oid)

        def look() -> str | None:
            head = self.snapshot()
            if head is None or head.commit == parent:
                return None
            if head.holds(expected):
                return head.commit
            raise HubError(f"{self.name} was changed by somebody else in the meantime")

        return self._call(attempt, look)

    def tag(self, name: str, commit: str) -> None:
        """Tag a commit; a tag that is already elsewhere stays there and is an error."""

        def look() -> bool | None:
            held = self.tags().get(name)
            if held not in (None, commit):
                raise HubError(f"{self.name} got a tag {name} in the meantime, at other contents")
            return None if held is None else True

        self._call(lambda: self.api.create_tag(self.name, tag=name, revision=commit, repo_type="dataset"), look)

    def _call(self, action: Callable[[], T], look: Callable[[], T | None] | None = None) -> T:
        """Return what an action returns, trying again while the failure may pass.

        Args:
            action: one call of the client.
            look: finds out whether a failed action happened all the same, and returns its result if so.

        Raises:
            HubError: with the client's error as its cause.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return action()
            except HUB_ERRORS as error:
                if not _is_temporary(error):
                    raise HubError(explain(error, self.name)) from error
                if look is not None and (found := look()) is not None:
                    return found
                wait = _wait(error, attempt)
                if attempt == ATTEMPTS or wait > LONGEST_WAIT:
                    asked = f" and asks to be left alone for {wait:.0f} s" if wait > LONGEST_WAIT else ""
                    raise HubError(explain(error, self.name) + asked) from error
                self.on_wait(f"waiting {wait:.0f} s ({_reason(error)})")
                self.sleep(wait)
        raise AssertionError  # unreachable: the last attempt returns or raises


def explain(error: BaseException, name: str) -> str:
    """Return one line for the user about a failed call that concerns the repository `name`."""
    error = _origin(error)
    status, reason = _status(error), _reason(error)
    login = "log in with `hf auth login` or set HF_TOKEN"
    namespace = name.split("/", maxsplit=1)[0]
    if isinstance(error, RevisionNotFoundError | EntryNotFoundError) and status == 404:
        return f"{name} has no such file or revision ({reason})"
    if status == 404 or isinstance(error, RepositoryNotFoundError):
        return f"the Hub has no {name}, or your token may not see it ({reason}): {login}"
    if status == 401:
        return f"the Hub asks for a valid token ({reason}): {login}, with write access to {namespace}"
    if status == 403:
        return f"your token may not do this ({reason}): {login}, with write access to {namespace}"
    if isinstance(error, HFValidationError):
        return f"{name!r} cannot be the name of a repository"
    if isinstance(error, OfflineModeIsEnabled):
        return "the Hub is not reached while HF_HUB_OFFLINE is set"
    if "xet-write-token" in reason:
        return f"the Hub failed on {name} ({reason}): one without Xet storage needs HF_HUB_DISABLE_XET=1"
    return f"the Hub failed on {name} ({reason})"


def _origin(error: BaseException) -> BaseException:
    """Return what went wrong, without what the client wraps around it."""
    if isinstance(error, RuntimeError | LocalEntryNotFoundError) and error.__cause__ is not None:
        return _origin(error.__cause__)
    return error


def _is_temporary(error: BaseException) -> bool:
    """Return whether the same call may succeed a little later."""
    error = _origin(error)
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _BUSY or error.response.status_code >= 500
    if isinstance(error, OfflineModeIsEnabled) or type(error).__name__ == "UnsupportedProtocol":
        return False
    if isinstance(error, ConnectionError | RuntimeError) and _REFUSED.search(str(error)):
        return False
    return isinstance(error, (_HTTP_ERROR, ConnectionError, TimeoutError, RuntimeError, json.JSONDecodeError))


def _wait(error: BaseException, attempt: int) -> float:
    """Return the seconds until the next attempt: growing and jittered, and never less than the Hub asks for."""
    error = _origin(error)
    backoff = 2.0 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311 (not a secret)
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    asked = headers.get("retry-after", "")
    if asked.isdigit():
        return max(backoff, float(asked))
    limit = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return max(backoff, float(limit[1])) if limit and _status(error) == 429 else backoff


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error that is an answer."""
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def _reason(error: BaseException) -> str:
    """Return what the Hub said, or what happened to the connection, in a few words."""
    error = _origin(error)
    status, said = _status(error), getattr(error, "server_message", None)
    text = str(said or error).strip() or type(error).__name__
    return (f"{status}: " if status else "") + " ".join(text.split())[:300]
