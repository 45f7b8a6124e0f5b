"""One repository on the Hub: what the Hub's client gives up at once is tried again, and failures are explained.

The client itself retries uploads and downloads of files, but not the calls that create repositories, describe them,
commit and tag. A commit whose answer is lost may have happened, so it is looked for before it is sent again.
"""

import hashlib
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, TypedDict, TypeVar

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetInfo,
    HfApi,
    ModelInfo,
    SpaceInfo,
    constants,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.failures import HUB_ERRORS, HubError, explain, is_temporary, is_unreached, reason_of, wait_before
from pdebench_fm.hub.revisions import record_commit, recorded_commit
from pdebench_fm.limits import in_bytes
from pdebench_fm.version import __version__

Kind = Literal["dataset", "model", "space"]
"""What a repository holds, in the Hub's words; a space is a page that the Hub shows, here always a static one."""

_SHELVES: dict[Kind, str] = {"dataset": "datasets/", "model": "", "space": "spaces/"}

ATTEMPTS = 7
"""How often a call is tried; the waits between double from about 1 s to about 32 s."""

UNREACHED_ATTEMPTS = 3
"""How often a call is tried that finds nobody to talk to: a missing network is said within seconds."""

_TIMEOUTS = (5.0, 60.0, 60.0, 60.0)  # seconds to connect, read, write and wait for a free connection

LONGEST_WAIT = 600.0
"""Seconds; a Hub that asks for more patience than this is not waited for."""

ABSENT = ""
"""The identity of a file that is not there."""

Expected = Mapping[str, frozenset[str]]
"""The identities that each of some files may have."""

_PIECE = 2**20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_logger = logging.getLogger("pdebench_fm")

T = TypeVar("T")


class DownloadOptions(TypedDict, total=False):
    """Options of `Repository.download`, which says what they mean."""

    cache_dir: str | Path | None
    force: bool
    local: bool
    renew: bool


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
        return not self.differing(expected)

    def differing(self, expected: Expected) -> tuple[str, ...]:
        """Return the files that are not as expected."""
        return tuple(path for path, identities in expected.items() if self.files.get(path, ABSENT) not in identities)


def identities(content: bytes) -> frozenset[str]:
    """Return the identities that the Hub may give to this content: it decides itself which files are large."""
    blob_id = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return frozenset([blob_id, hashlib.sha256(content).hexdigest()])


def file_identities(path: Path) -> frozenset[str]:
    """Return the identities that the Hub may give to a file's content, which is read in pieces."""
    blob, content = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            blob.update(piece)
            content.update(piece)
    return frozenset([blob.hexdigest(), content.hexdigest()])


def hub_client(endpoint: str | None = None, token: str | bool | None = None) -> HfApi:
    """Return the Hub's client.

    Args:
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        token: by default `HF_TOKEN` or that of `hf auth login`.
    """
    return HfApi(endpoint, token, library_name="pdebench-fm", library_version=__version__)


@dataclass(frozen=True)
class Repository:
    """A repository, whether it exists yet or not.

    Attributes:
        api: knows the Hub's address and the token.
        name: `namespace/name`.
        kind: what it holds.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds.
    """

    api: HfApi
    name: str
    kind: Kind
    on_wait: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{self.api.endpoint}/{_SHELVES[self.kind]}{self.name}"

    def create(self, *, private: bool) -> Snapshot:
        """Create it, unless it exists, and return its state.

        Its visibility is the namespace's default where `private` is not asked for.

        Raises:
            HubError: if the Hub refuses, keeps failing, or does not show what was created.
        """
        wanted = True if private else None

        def attempt() -> bool:  # not with `exist_ok`: the client then expects a new repository's answer from any 409
            page = "static" if self.kind == "space" else None
            self.api.create_repo(self.name, repo_type=self.kind, private=wanted, space_sdk=page)
            return True

        self.retried(attempt, lambda: None if self.snapshot() is None else True)
        created = self.snapshot()
        if created is None:
            raise HubError(f"{self.name} was created but cannot be seen")
        return created

    def snapshot(self, revision: str = "main") -> Snapshot | None:
        """Return its state at a revision, None if there is no such repository or revision (or none to be seen)."""
        try:
            info = self.retried(lambda: self._info(revision))
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
        refs = self.retried(lambda: self.api.list_repo_refs(self.name, repo_type=self.kind))
        return {tag.name: tag.target_commit for tag in refs.tags}

    def read(self, path: str, commit: str) -> bytes:
        """Return the content of a small file at a commit."""

        def download() -> bytes:
            with tempfile.TemporaryDirectory() as cache:
                found = self.api.hf_hub_download(self.name, path, repo_type=self.kind, revision=commit, cache_dir=cache)
                return Path(found).read_bytes()

        return self.retried(download)

    def download(
        self,
        files: Sequence[str],
        revision: str | None = None,
        *,
        cache_dir: str | Path | None = None,
        force: bool = False,
        local: bool = False,
        renew: bool = False,
        most: Mapping[str, int] | None = None,
    ) -> Path:
        """Bring those of `files` that are there at a revision into the Hub's cache, and return their folder.

        A revision is looked up on the Hub each time. If the Hub keeps failing, what the cache holds of it is used
        instead, and a warning says so. Another warning says that a tag is not where it was when it was first used here.

        Args:
            files: paths, or patterns of them.
            revision: branch, tag or commit; main by default.
            cache_dir: where the Hub's client keeps its downloads, if not in the usual place.
            force: download even what is in the cache.
            local: do not use the network; so it is with `HF_HUB_OFFLINE` too.
            renew: from now on, take a tag that was moved for the commit that it is now.
            most: bytes that the files of each of these patterns may have together, by the Hub's list of them.

        Returns:
            The folder; its name is the commit.

        Raises:
            PdefmError: if a file is too large; nothing is downloaded then.
            HubError: with the client's error as its cause.
        """
        try:
            validate_repo_id(self.name)
        except HFValidationError as error:
            raise HubError(explain(error, self.name)) from error
        wanted = revision or "main"

        def fetch(**options: bool) -> Path:
            folder = snapshot_download(
                self.name,
                repo_type=self.kind,
                revision=wanted,
                token=self.api.token,
                endpoint=self.api.endpoint,
                cache_dir=cache_dir,
                allow_patterns=list(files),
                **options,
            )
            return Path(folder)

        def attempt() -> Path:
            if _COMMIT.fullmatch(wanted):
                if most and not self._is_held(files, wanted, cache_dir):
                    self._check_sizes(self._info(wanted), most)
                return fetch(force_download=force)
            info = self._info(wanted)
            self._check_sizes(info, most or {})
            commit = info.sha
            folder = fetch(force_download=force)
            if folder.name != commit:  # in trouble, the client falls back to what it had
                raise ConnectionError(f"{wanted} is at {commit}, but {folder.name} was found")
            return folder

        if local or constants.HF_HUB_OFFLINE:
            why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the network is not to be used"
            return self._held(fetch, files, wanted, why)
        try:
            folder = self.retried(attempt)
        except HubError as error:
            if error.__cause__ is None or not is_temporary(error.__cause__):
                raise
            folder = self._held(fetch, files, wanted, str(error), error.__cause__)
            _logger.warning("%s: what the cache holds of %s at %s is used (%s)", error, self.name, wanted, folder.name)
            return folder
        self._note(wanted, folder.name, renew=renew)
        return folder

    def _info(self, revision: str) -> ModelInfo | DatasetInfo | SpaceInfo:
        """Return what the Hub says of a revision and of its files."""
        info = self.api.repo_info(
            self.name, repo_type=self.kind, revision=revision, files_metadata=True, timeout=_TIMEOUTS
        )
        assert isinstance(info, ModelInfo | DatasetInfo | SpaceInfo)  # noqa: S101 (the kinds there are)
        return info

    def _is_held(self, files: Sequence[str], commit: str, cache_dir: str | Path | None) -> bool:
        """Return whether the cache has all of these files of a commit, or knows that there are none."""
        return all(
            try_to_load_from_cache(self.name, file, cache_dir=cache_dir, revision=commit, repo_type=self.kind)
            for file in files
        )

    def _check_sizes(self, info: ModelInfo | DatasetInfo | SpaceInfo, most: Mapping[str, int]) -> None:
        """Refuse what is larger than it may be."""
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        for pattern, limit in most.items():
            size = sum(size for name, size in sizes.items() if fnmatch(name, pattern))
            if size > limit:
                what = "its files together have" if pattern == "*" else f"{pattern} has"
                raise PdefmError(
                    f"{self.name} is not downloaded: {what} {in_bytes(size)}, and should have at most {in_bytes(limit)}"
                )

    def _held(
        self,
        fetch: Callable[..., Path],
        files: Sequence[str],
        revision: str,
        why: str,
        trouble: BaseException | None = None,
    ) -> Path:
        """Return the folder of what the cache holds, or say what is missing there, because of `trouble` if any."""
        try:
            return fetch(local_files_only=True)
        except LocalEntryNotFoundError as error:
            part = hasattr(error, "snapshot_path")  # there is a folder that lacks files, which the error names
            missing = [file for file in files if part and file in str(error)]
            what = f"{', '.join(missing)} of {self.name}" if missing else f"the {self.kind} {self.name}"
            raise HubError(f"{what} at {revision} is not in the Hub's cache here, and {why}") from (trouble or error)

    def _note(self, revision: str, commit: str, *, renew: bool) -> None:
        """Record where a tag is, and say so if it was elsewhere."""
        if revision == "main" or _COMMIT.fullmatch(revision):
            return
        before = recorded_commit(self.url, revision)
        moved = before not in (None, commit) and revision in self.tags()
        if moved:
            _logger.warning(
                "%s@%s was moved: it is commit %s now and was %s when it was first used here; what was computed with "
                "the two is not comparable. %s@%s is what it was",
                *(self.name, revision, commit[:12], str(before)[:12], self.name, before),
            )
        if before != commit and (renew or not moved):
            record_commit(self.url, revision, commit)

    def send(self, path: str, file: Path) -> CommitOperationAdd:
        """Upload a large file's content, and return the operation that commits it as `path`."""

        def upload() -> CommitOperationAdd:
            addition = CommitOperationAdd(path, str(file))
            self.api.preupload_lfs_files(self.name, [addition], repo_type=self.kind, free_memory=False)
            return addition

        return self.retried(upload)

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
                self.name, changes, commit_message=summary, repo_type=self.kind, parent_commit=parent
            )
            return str(done.oid)

        def look() -> str | None:
            head = self.snapshot()
            if head is None or head.commit == parent:
                return None
            if head.holds(expected):
                return head.commit
            raise HubError(f"{self.name} was changed by somebody else in the meantime")

        return self.retried(attempt, look)

    def tag(self, name: str, commit: str) -> None:
        """Tag a commit; a tag that is already elsewhere stays there and is an error."""

        def look() -> bool | None:
            held = self.tags().get(name)
            if held not in (None, commit):
                raise HubError(f"{self.name} got a tag {name} in the meantime, at other contents")
            return None if held is None else True

        self.retried(lambda: self.api.create_tag(self.name, tag=name, revision=commit, repo_type=self.kind), look)

    def retried(self, action: Callable[[], T], look: Callable[[], T | None] | None = None) -> T:
        """Return what a call of the client returns, which is tried again while its failure may pass.

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
                if not is_temporary(error):
                    raise HubError(explain(error, self.name)) from error
                if look is not None and (found := look()) is not None:
                    return found
                wait = wait_before(error, attempt)
                last = UNREACHED_ATTEMPTS if is_unreached(error) else ATTEMPTS
                if attempt >= last or wait > LONGEST_WAIT:
                    asked = f" and asks to be left alone for {wait:.0f} s" if wait > LONGEST_WAIT else ""
                    raise HubError(explain(error, self.name) + asked) from error
                self.on_wait(f"waiting {wait:.0f} s ({reason_of(error)})")
                self.sleep(wait)
        raise AssertionError  # unreachable: the last attempt returns or raises
