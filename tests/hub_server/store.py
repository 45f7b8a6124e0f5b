"""Repositories on disk: immutable commits, references that move, and content stored by its hash.

<root>/<kind>/<namespace>/<name>/state.json      visibility, references, discussions
                                 commits/<sha>.json   an immutable tree: path -> blob
                                 objects/<sha1>       regular files
                                 lfs/<sha256>         large files
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KINDS = ("models", "datasets", "spaces")
LFS_SUFFIXES = (".arrow", ".bin", ".gz", ".h5", ".npy", ".npz", ".parquet", ".pt", ".safetensors", ".tar", ".zip")
TEMPLATE = {
    "README.md": "---\ntitle: New\nemoji: 🦀\ncolorFrom: red\ncolorTo: red\nsdk: static\npinned: false\n---\n",
    "index.html": "<!doctype html><p>Welcome to your static Space!</p>\n",
    "style.css": "body { padding: 2rem; }\n",
}
"""What the Hub puts into a new static Space."""
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9])?", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}")


def now() -> str:
    """The time in the Hub's format."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def git_oid(content: bytes) -> str:
    """The SHA-1 under which git stores a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    temporary.replace(path)


@dataclass(frozen=True)
class Blob:
    """A file of a tree: its git identifier, its size in bytes and, for a large file, its SHA-256."""

    oid: str
    size: int
    sha256: str | None = None

    @classmethod
    def large(cls, sha256: str, size: int) -> Blob:
        """A large file, whose git identifier is that of its pointer."""
        return cls(git_oid(lfs_pointer(sha256, size)), size, sha256)

    @property
    def etag(self) -> str:
        """What identifies the content to a download cache."""
        return self.sha256 or self.oid


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git stores in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


Tree = dict[str, Blob]


@dataclass(frozen=True)
class Commit:
    """An immutable state of a repository."""

    sha: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    tree: Tree


@dataclass(frozen=True)
class Discussion:
    """A discussion or pull request; ``base`` is the commit that a pull request started from."""

    num: int
    title: str
    author: str
    created_at: str
    status: str
    is_pull_request: bool
    base: str
    events: tuple[dict[str, Any], ...] = ()
    merge_commit: str | None = None


@dataclass(frozen=True)
class RepoState:
    """What changes in a repository: visibility, full reference names -> commit, discussions."""

    private: bool
    created_at: str
    refs: dict[str, str] = field(default_factory=dict)
    discussions: tuple[Discussion, ...] = ()


@dataclass(frozen=True)
class Repo:
    """One repository; all methods read from or write to its folder."""

    kind: str
    namespace: str
    name: str
    folder: Path

    @property
    def full_name(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def type(self) -> str:
        """``model``, ``dataset`` or ``space``."""
        return self.kind.removesuffix("s")

    @property
    def web_path(self) -> str:
        """The path of the repository's page, from which file addresses are built."""
        return self.full_name if self.kind == "models" else f"{self.kind}/{self.full_name}"

    @property
    def state(self) -> RepoState:
        """The present state."""
        saved = json.loads((self.folder / "state.json").read_text())
        discussions = tuple(
            Discussion(**{**item, "events": tuple(item["events"])}) for item in saved.pop("discussions")
        )
        return RepoState(**saved, discussions=discussions)

    def update(self, **changes: Any) -> None:
        """Change fields of the state."""
        state = replace(self.state, **changes)
        write_atomically(self.folder / "state.json", json.dumps(asdict(state)).encode())

    def set_ref(self, ref: str, sha: str | None) -> None:
        """Point a full reference name at a commit, or remove it."""
        refs = {name: target for name, target in self.state.refs.items() if name != ref}
        self.update(refs=refs if sha is None else {**refs, ref: sha})

    def find_ref(self, revision: str) -> str | None:
        """The full name of a branch, pull request or tag, ``None`` if there is no such reference."""
        refs = self.state.refs
        return next((ref for ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}") if ref in refs), None)

    def find_commit(self, revision: str) -> Commit | None:
        """The commit that a reference or a full SHA stands for, ``None`` if there is none."""
        ref = self.find_ref(revision)
        sha = self.state.refs[ref] if ref else revision
        path = self.folder / "commits" / f"{sha}.json"
        if not _SHA.fullmatch(sha) or not path.is_file():
            return None
        saved = json.loads(path.read_text())
        tree = {name: Blob(*blob) for name, blob in saved.pop("tree").items()}
        return Commit(sha=sha, tree=tree, **saved)

    def history(self, commit: Commit) -> Iterator[Commit]:
        """The commit and its ancestors, newest first."""
        current: Commit | None = commit
        while current is not None:
            yield current
            current = self.find_commit(current.parent) if current.parent else None

    def add_commit(self, ref: str, parent: Commit | None, tree: Tree, title: str, message: str, author: str) -> Commit:
        """Write a commit and move the reference to it."""
        record = {
            "parent": parent.sha if parent else None,
            "title": title,
            "message": message,
            "author": author,
            "date": now(),
            "tree": {path: (blob.oid, blob.size, blob.sha256) for path, blob in sorted(tree.items())},
        }
        content = json.dumps(record).encode()
        salted = content + uuid.uuid4().bytes  # equal commits at the same moment are still two commits
        sha = hashlib.sha1(salted, usedforsecurity=False).hexdigest()
        write_atomically(self.folder / "commits" / f"{sha}.json", content)
        self.set_ref(ref, sha)
        return Commit(sha, record["parent"], title, message, author, record["date"], dict(tree))

    def add_regular(self, content: bytes) -> Blob:
        """Store a regular file's content."""
        blob = Blob(git_oid(content), len(content))
        if not self.content_path(blob).is_file():
            write_atomically(self.content_path(blob), content)
        return blob

    def content_path(self, blob: Blob) -> Path:
        """Where a file's content lies."""
        return self.lfs_path(blob.sha256) if blob.sha256 else self.folder / "objects" / blob.oid

    def lfs_path(self, sha256: str) -> Path:
        """Where a large file lies once it is uploaded."""
        return self.folder / "lfs" / sha256


class Store:
    """All repositories below a folder."""

    def __init__(self, root: Path):
        self._root = root

    def get(self, kind: str, namespace: str, name: str) -> Repo | None:
        """A repository, ``None`` if it doesn't exist."""
        if kind not in KINDS or not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
            return None
        repo = Repo(kind, namespace, name, self._root / kind / namespace / name)
        return repo if (repo.folder / "state.json").is_file() else None

    def all(self, kind: str) -> list[Repo]:
        """All repositories of a kind, by name."""
        folders = sorted(path.parent for path in (self._root / kind).glob("*/*/state.json"))
        return [Repo(kind, folder.parent.name, folder.name, folder) for folder in folders]

    def create(self, kind: str, namespace: str, name: str, *, private: bool, author: str) -> Repo:
        """A new repository with the Hub's first commit, which lists the suffixes of large files.

        Raises:
            ValueError: if the name is not a valid one.
            FileExistsError: if the repository exists.
        """
        if kind not in KINDS or not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name) or ".." in name:
            raise ValueError(f"invalid repository name {namespace}/{name} for {kind}")
        repo = Repo(kind, namespace, name, self._root / kind / namespace / name)
        if (repo.folder / "state.json").exists():
            raise FileExistsError(repo.full_name)
        state = RepoState(private=private, created_at=now())
        write_atomically(repo.folder / "state.json", json.dumps(asdict(state)).encode())
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        tree = {".gitattributes": repo.add_regular(attributes.encode())}
        tree |= {path: repo.add_regular(text.encode()) for path, text in (TEMPLATE if kind == "spaces" else {}).items()}
        repo.add_commit("refs/heads/main", None, tree, "initial commit", "", author)
        return repo

    def delete(self, repo: Repo) -> None:
        """Remove a repository with all its history."""
        shutil.rmtree(repo.folder)
