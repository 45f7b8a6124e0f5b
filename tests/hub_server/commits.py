"""Writing a repository: which files go through the large file storage, and commits."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from .benchmarks import check_pushed
from .cards import read_card, space_errors
from .context import Context, commit_at, route, signed_in
from .messages import Answer, Refusal, Request, json_answer
from .pulls import open_pull_request, record_push
from .store import LFS_SUFFIXES, Blob, Commit, Repo, Tree


def preupload(context: Context, request: Request) -> Answer:
    """POST .../preupload/{revision}: large file or regular, ignored or not, and what is there already."""
    opens_pull_request = request.flag("create_pr")
    repo = (
        context.contributable(request)
        if opens_pull_request
        else context.pushable(request, request.captures["revision"])
    )
    payload = request.json()
    commit = commit_at(repo, request.captures["revision"])
    ignored = payload.get("gitIgnore")
    if ignored is None and (present := commit.tree.get(".gitignore")):
        ignored = repo.content_path(present).read_text()
    files = []
    for file in payload.get("files", []):
        path, size = file["path"], file["size"]
        large = path.endswith(LFS_SUFFIXES) or size > context.lfs_threshold
        known = commit.tree.get(path)
        files.append(
            {
                "path": path,
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": _ignores(ignored or "", path),
                "oid": known.etag if known else None,
            }
        )
    return json_answer({"files": files, "commitOid": commit.sha})


def _target(context: Context, request: Request) -> Repo:
    """The repository to write to; proposing a change needs fewer rights than making it."""
    if request.flag("create_pr"):
        return context.contributable(request)
    return context.pushable(request, request.captures["revision"])


def _ignores(gitignore: str, path: str) -> bool:
    """Whether one of the simple patterns (no negation) matches the path, a parent or the file's name."""
    patterns = [line.strip().strip("/") for line in gitignore.splitlines()]
    parts = path.split("/")
    candidates = {*parts, *("/".join(parts[: depth + 1]) for depth in range(len(parts)))}
    return any(
        fnmatch(candidate, pattern)
        for pattern in patterns
        if pattern and not pattern.startswith(("#", "!"))
        for candidate in candidates
    )


def commit(context: Context, request: Request) -> Answer:
    """POST .../commit/{revision}: newline-separated JSON, a header and then the operations."""
    opens_pull_request = request.flag("create_pr")
    repo = (
        context.contributable(request)
        if opens_pull_request
        else context.pushable(request, request.captures["revision"])
    )
    author = signed_in(request).name
    operations = list(_lines(request.body.read()))
    header = next((value for key, value in operations if key == "header"), None)
    if header is None or not header.get("summary"):
        raise Refusal(400, "a commit needs a header with a summary")
    ref = _moving_ref(repo, request.captures["revision"])
    parent = _checked_parent(repo, ref, header.get("parentCommit"), may_be_old=opens_pull_request)
    tree = _changed_tree(repo, parent, operations)
    title, message = header["summary"], header.get("description") or ""
    pull_request_url = ""
    if opens_pull_request:
        pull_request = open_pull_request(repo, title, author, base=parent.sha, status="open", comment=message)
        ref = f"refs/pr/{pull_request.num}"
        pull_request_url = f"{context.url}/{repo.web_path}/discussions/{pull_request.num}"
    new = repo.add_commit(ref, parent, tree, title, message, author)
    record_push(repo, ref, new)
    return json_answer(
        {
            "success": True,
            "commitOid": new.sha,
            "commitUrl": f"{context.url}/{repo.web_path}/commit/{new.sha}",
            "hookOutput": "",
            "pullRequestUrl": pull_request_url,
        }
    )


def _lines(content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in content.splitlines():
        if line.strip():
            try:
                item = json.loads(line)
                yield item["key"], item["value"]
            except (ValueError, KeyError, TypeError) as error:
                raise Refusal(400, f"malformed commit line: {error}") from error


def _moving_ref(repo: Repo, revision: str) -> str:
    """The branch or pull request to commit to; tags and commits can't move."""
    ref = repo.find_ref(revision)
    if ref is None or not ref.startswith(("refs/heads/", "refs/pr/")):
        raise Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
    return ref


def _checked_parent(repo: Repo, ref: str, expected: str | None, *, may_be_old: bool) -> Commit:
    """The commit to build on; it must be the expected one, or for a pull request may be an older one."""
    head = commit_at(repo, ref)
    if expected is None or head.sha.startswith(expected):
        return head
    if not may_be_old:
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    return commit_at(repo, expected)


def _changed_tree(repo: Repo, parent: Commit, operations: list[tuple[str, dict[str, Any]]]) -> Tree:
    tree = dict(parent.tree)
    for key, value in operations:
        if key == "header":
            continue
        path = _checked_path(value)
        if key in _ADDITIONS:
            tree[path] = _ADDITIONS[key](repo, parent, path, value)
        elif key in ("deletedFile", "deletedFolder"):
            gone = [name for name in tree if (name == path if key == "deletedFile" else name.startswith(f"{path}/"))]
            if not gone:
                raise _missing(path)
            tree = {name: blob for name, blob in tree.items() if name not in gone}
        else:
            raise Refusal(400, f"unknown operation {key!r}")
    for path in tree:
        if any(above in tree for above in _parents(path)):
            raise Refusal(400, f"{path} lies below a file")
    return tree


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _checked_path(value: dict[str, Any]) -> str:
    path = str(value.get("path", "")).rstrip("/")
    if any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise Refusal(400, f"invalid path {path!r}")
    return path


def _missing(path: str) -> Refusal:
    return Refusal(404, f"A file with this name doesn't exist: {path}", code="EntryNotFound")


def _regular(repo: Repo, _: Commit, path: str, value: dict[str, Any]) -> Blob:
    content = str(value.get("content", "")).encode()
    if value.get("encoding") == "base64":
        try:
            content = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise Refusal(400, f"{path}: {error}") from error
    if path == "README.md":
        card = read_card(content.decode(errors="replace"))
        if errors := space_errors(card) if repo.kind == "spaces" else card.errors:
            raise Refusal(400, "Invalid metadata in README.md: " + "; ".join(errors))
    check_pushed(path, content)
    return repo.add_regular(content)


def _large(repo: Repo, _: Commit, path: str, value: dict[str, Any]) -> Blob:
    sha256 = str(value.get("oid", ""))
    stored = repo.lfs_path(sha256)
    if not sha256.isalnum() or not stored.is_file():
        raise Refusal(400, f"the LFS pointer of {path} points to a file that does not exist: {sha256}")
    return Blob.large(sha256, stored.stat().st_size)


def _copied(repo: Repo, parent: Commit, _: str, value: dict[str, Any]) -> Blob:
    source = str(value.get("srcPath", ""))
    revision = value.get("srcRevision")
    tree = commit_at(repo, revision).tree if revision else parent.tree
    if source not in tree:
        raise _missing(source)
    return tree[source]


_ADDITIONS = {"file": _regular, "lfsFile": _large, "copyFile": _copied}

ROUTES = [
    route("POST", "/api/{kind}/{namespace}/{name}/preupload/{revision}", preupload),
    route("POST", "/api/{kind}/{namespace}/{name}/commit/{revision}", commit),
]
