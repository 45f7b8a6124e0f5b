"""Reading a repository: commits, trees, paths, and the files themselves."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from .context import Context, commit_at, route
from .messages import Answer, Refusal, Request, json_answer
from .store import Blob, Commit, Repo, Tree, lfs_pointer


def list_commits(context: Context, request: Request) -> Answer:
    """GET .../commits/{revision}, newest first, in pages."""
    repo = context.readable(request)
    start = commit_at(repo, request.captures["revision"])
    entries = [
        {
            "id": commit.sha,
            "title": commit.title,
            "message": commit.message,
            "authors": [{"user": commit.author}],
            "date": commit.date,
        }
        for commit in repo.history(start)
    ]
    return _page(context, request, entries, start)


def list_tree(context: Context, request: Request) -> Answer:
    """GET .../tree/{revision}[/{path}], in pages; the path of a file lists the file itself."""
    repo = context.readable(request)
    commit = commit_at(repo, request.captures["revision"])
    path = request.captures.get("path", "").strip("/")
    prefix = f"{path}/" if path else ""
    if path in commit.tree:
        shown = [path]
    else:
        folders = _folders(commit.tree)
        if path and path not in folders:
            raise _entry_not_found(path, commit)
        shown = sorted(name for name in {*commit.tree, *folders} if name.startswith(prefix))
        if not request.flag("recursive"):
            shown = [name for name in shown if "/" not in name.removeprefix(prefix)]
    return _page(context, request, _entries(repo, commit, shown, expand=request.flag("expand")), commit)


def describe_paths(context: Context, request: Request) -> Answer:
    """POST .../paths-info/{revision}; unknown paths are left out."""
    repo = context.readable(request)
    commit = commit_at(repo, request.captures["revision"])
    if request.headers.get("content-type", "").startswith("application/json"):
        payload = request.json()
        paths, expand = payload.get("paths", []), bool(payload.get("expand"))
    else:
        form = parse_qs(request.body.read().decode())
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() == "true"
    known = {*commit.tree, *_folders(commit.tree)}
    shown = [path for path in (path.strip("/") for path in paths) if path in known]
    return json_answer(_entries(repo, commit, shown, expand=expand))


def resolve(context: Context, request: Request) -> Answer:
    """GET or HEAD .../resolve/{revision}/{path}: the file, or for a large one a link to the storage."""
    repo = context.readable(request)
    commit = commit_at(repo, request.captures["revision"])
    path = request.captures["path"]
    blob = commit.tree.get(path)
    if blob is None:
        raise _entry_not_found(path, commit)
    headers = {
        "X-Repo-Commit": commit.sha,
        "ETag": f'"{blob.etag}"',
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.rsplit('/', 1)[-1])}",
        "Content-Type": "application/octet-stream",
    }
    if blob.sha256 is None:
        return Answer(200, headers, repo.content_path(blob))
    headers |= {
        "X-Linked-Size": str(blob.size),
        "X-Linked-Etag": f'"{blob.sha256}"',
        "Location": storage_link(context, "GET", repo, blob.sha256),
    }
    return Answer(302, headers, b"Found. Redirecting to the storage")


def storage_link(context: Context, method: str, repo: Repo, sha256: str) -> str:
    """A signed address of a large file."""
    path = f"/{repo.kind}/{repo.full_name}/{sha256}"
    return context.storage_url + context.signer.sign(method, path)


def _entry_not_found(path: str, commit: Commit) -> Refusal:
    headers = {"X-Repo-Commit": commit.sha}
    return Refusal(404, f"{path} does not exist on this revision", code="EntryNotFound", headers=headers)


def _folders(tree: Tree) -> set[str]:
    """All folders that a tree's files lie in."""
    found = set()
    for path in tree:
        parts = path.split("/")
        found |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    return found


def _entries(repo: Repo, commit: Commit, paths: list[str], *, expand: bool) -> list[dict[str, Any]]:
    entries = []
    for path in paths:
        blob = commit.tree.get(path)
        entry = _file_entry(path, blob) if blob else _folder_entry(path, commit.tree)
        if expand:
            last = _last_change(repo, commit, path)
            entry["lastCommit"] = {"id": last.sha, "title": last.title, "date": last.date}
        entries.append(entry)
    return entries


def _file_entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.sha256:
        pointer_size = len(lfs_pointer(blob.sha256, blob.size))
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": pointer_size}
    return entry


def _folder_entry(path: str, tree: Tree) -> dict[str, Any]:
    oid = hashlib.sha1(repr(_below(path, tree)).encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def _below(path: str, tree: Tree) -> list[tuple[str, str]]:
    """The identifiers of a file or of all files in a folder."""
    return [(name, blob.oid) for name, blob in sorted(tree.items()) if name == path or name.startswith(f"{path}/")]


def _last_change(repo: Repo, commit: Commit, path: str) -> Commit:
    """The newest commit that changed a file or a folder's content."""
    latest = commit
    for older in repo.history(commit):
        if _below(path, older.tree) != _below(path, commit.tree):
            break
        latest = older
    return latest


def _page(context: Context, request: Request, entries: list[dict[str, Any]], commit: Commit) -> Answer:
    """One page of entries; the link to the next one names the commit, so that pages fit together."""
    start = int(request.parameter("cursor") or 0)
    stop = start + context.page_size
    headers = {"X-Repo-Commit": commit.sha}
    if stop < len(entries):
        segments = request.path.split("/")
        segments[6] = commit.sha  # /api/{kind}/{namespace}/{name}/{what}/{revision}
        kept = {name: values for name, values in request.query.items() if name != "cursor"}
        query = urlencode({**kept, "cursor": stop}, doseq=True)
        headers["Link"] = f'<{context.url}{"/".join(segments)}?{query}>; rel="next"'
    return json_answer(entries[start:stop], headers=headers)


ROUTES = [
    route("GET", "/api/{kind}/{namespace}/{name}/commits/{revision}", list_commits),
    route("GET", "/api/{kind}/{namespace}/{name}/tree/{revision}", list_tree),
    route("GET", "/api/{kind}/{namespace}/{name}/tree/{revision}/{path*}", list_tree),
    route("POST", "/api/{kind}/{namespace}/{name}/paths-info/{revision}", describe_paths),
    route("GET", "/{web}{namespace}/{name}/resolve/{revision}/{path*}", resolve),
    route("HEAD", "/{web}{namespace}/{name}/resolve/{revision}/{path*}", resolve),
]
