"""Discussions and pull requests: open, list, read, comment, rename, close, merge."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from .context import Context, commit_at, require_write, route, signed_in
from .messages import Answer, Refusal, Request, json_answer
from .store import Commit, Discussion, Repo, Tree, now

_PAGE = 10


def open_discussion(context: Context, request: Request) -> Answer:
    """POST .../discussions; a pull request opened this way is a draft without changes."""
    repo = context.contributable(request)
    payload = request.json()
    title = str(payload.get("title", "")).strip()
    if len(title) < 3:
        raise Refusal(400, "a title has at least 3 characters")
    author = signed_in(request).name
    comment = str(payload.get("description", ""))
    if payload.get("pullRequest"):
        base = commit_at(repo, "main").sha
        discussion = open_pull_request(repo, title, author, base=base, status="draft", comment=comment)
    else:
        discussion = _open(repo, title, author, base="", status="open", comment=comment)
    return json_answer({"num": discussion.num, "pullRequest": discussion.is_pull_request})


def open_pull_request(repo: Repo, title: str, author: str, *, base: str, status: str, comment: str) -> Discussion:
    """Record a pull request and let its reference start at its base."""
    discussion = _open(repo, title, author, base=base, status=status, comment=comment)
    repo.set_ref(f"refs/pr/{discussion.num}", base)
    return discussion


def _open(repo: Repo, title: str, author: str, *, base: str, status: str, comment: str) -> Discussion:
    existing = repo.state.discussions
    first = (_comment(author, comment),) if comment else ()
    new = Discussion(len(existing) + 1, title, author, now(), status, bool(base), base, first)
    repo.update(discussions=(*existing, new))
    return new


def record_push(repo: Repo, ref: str, commit: Commit) -> None:
    """Note a commit in the pull request that it went to, if it went to one."""
    if ref.startswith("refs/pr/"):
        discussion = _numbered(repo, ref.removeprefix("refs/pr/"))
        _add(repo, discussion, _event("commit", commit.author, {"subject": commit.title, "oid": commit.sha}))


def list_discussions(context: Context, request: Request) -> Answer:
    """GET .../discussions, newest first, filtered by type, status and author, in pages."""
    repo = context.readable(request)
    kind, status, author = (request.parameter(name) for name in ("type", "status", "author"))
    matching = [
        item
        for item in reversed(repo.state.discussions)
        if kind in ("", "all", "pull_request" if item.is_pull_request else "discussion")
        and status in ("", "all", "closed" if item.status in ("closed", "merged") else "open")
        and author in ("", item.author)
    ]
    start = int(request.parameter("p") or 0) * _PAGE
    shown = [_summary(repo, item) for item in matching[start : start + _PAGE]]
    return json_answer({"discussions": shown, "count": len(matching), "start": start})


def describe_discussion(context: Context, request: Request) -> Answer:
    """GET .../discussions/{num}."""
    repo = context.readable(request)
    discussion = _numbered(repo, request.captures["num"])
    content = _summary(repo, discussion) | {"events": list(discussion.events)}
    if discussion.is_pull_request:
        content["changes"] = {"base": "refs/heads/main"}
        if discussion.merge_commit:
            content["changes"]["mergeCommitId"] = discussion.merge_commit
        content["filesWithConflicts"] = [] if discussion.merge_commit else _merged(repo, discussion)[1]
    return json_answer(content)


def comment(context: Context, request: Request) -> Answer:
    """POST .../discussions/{num}/comment."""
    repo = context.contributable(request)
    event = _comment(signed_in(request).name, str(request.json().get("comment", "")))
    _add(repo, _numbered(repo, request.captures["num"]), event)
    return json_answer({"newMessage": event})


def rename(context: Context, request: Request) -> Answer:
    """POST .../discussions/{num}/title."""
    repo, discussion = _own(context, request)
    title = str(request.json().get("title", "")).strip()
    event = _event("title-change", signed_in(request).name, {"from": discussion.title, "to": title})
    _add(repo, replace(discussion, title=title), event)
    return json_answer({"newTitle": event})


def change_status(context: Context, request: Request) -> Answer:
    """POST .../discussions/{num}/status: open or closed."""
    repo, discussion = _own(context, request)
    status = request.json().get("status")
    if status not in ("open", "closed") or discussion.status == "merged":
        raise Refusal(400, f"cannot go from {discussion.status} to {status}")
    event = _event("status-change", signed_in(request).name, {"status": status})
    _add(repo, replace(discussion, status=status), event)
    return json_answer({"newStatus": event})


def merge(context: Context, request: Request) -> Answer:
    """POST .../discussions/{num}/merge: one commit on main with the pull request's changes."""
    repo = context.writable(request)
    discussion = _numbered(repo, request.captures["num"])
    if not discussion.is_pull_request or discussion.status != "open":
        raise Refusal(400, "only an open pull request can be merged")
    tree, conflicts = _merged(repo, discussion)
    if conflicts:
        raise Refusal(409, f"the files {conflicts} changed on main too")
    author = signed_in(request).name
    title = f"{discussion.title} (#{discussion.num})"
    commit = repo.add_commit("refs/heads/main", commit_at(repo, "main"), tree, title, "", author)
    event = _event("status-change", author, {"status": "merged"})
    _add(repo, replace(discussion, status="merged", merge_commit=commit.sha), event)
    return json_answer({})


def _merged(repo: Repo, discussion: Discussion) -> tuple[Tree, list[str]]:
    """Main's tree with the pull request's changes, and the files that both changed differently."""
    base = commit_at(repo, discussion.base).tree
    main = commit_at(repo, "refs/heads/main").tree
    proposed = commit_at(repo, f"refs/pr/{discussion.num}").tree
    changed = [path for path in {*base, *proposed} if base.get(path) != proposed.get(path)]
    conflicts = [path for path in changed if main.get(path) not in (base.get(path), proposed.get(path))]
    tree = {path: blob for path, blob in main.items() if path not in changed}
    tree |= {path: proposed[path] for path in changed if path in proposed}
    return tree, sorted(conflicts)


def _own(context: Context, request: Request) -> tuple[Repo, Discussion]:
    """A discussion that the request may change: its author's or the repository owner's."""
    repo = context.readable(request)
    discussion = _numbered(repo, request.captures["num"])
    account = signed_in(request)
    require_write(request, account.name if account.name == discussion.author else repo.namespace)
    return repo, discussion


def _numbered(repo: Repo, num: str) -> Discussion:
    found = next((item for item in repo.state.discussions if str(item.num) == num), None)
    if found is None:
        raise Refusal(404, f"there is no discussion {num}")
    return found


def _add(repo: Repo, discussion: Discussion, event: dict[str, Any]) -> None:
    changed = replace(discussion, events=(*discussion.events, event))
    repo.update(discussions=tuple(changed if item.num == changed.num else item for item in repo.state.discussions))


def _event(kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "type": kind, "createdAt": now(), "author": {"name": author}, "data": data}


def _comment(author: str, text: str) -> dict[str, Any]:
    latest = {"raw": text, "html": text, "updatedAt": now(), "author": {"name": author}}
    return _event("comment", author, {"edited": False, "hidden": False, "latest": latest, "history": []})


def _summary(repo: Repo, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": discussion.num,
        "title": discussion.title,
        "author": {"name": discussion.author},
        "createdAt": discussion.created_at,
        "status": discussion.status,
        "isPullRequest": discussion.is_pull_request,
        "repo": {"name": repo.full_name, "type": repo.type},
    }


ROUTES = [
    route("GET", "/api/{kind}/{namespace}/{name}/discussions", list_discussions),
    route("POST", "/api/{kind}/{namespace}/{name}/discussions", open_discussion),
    route("GET", "/api/{kind}/{namespace}/{name}/discussions/{num}", describe_discussion),
    route("POST", "/api/{kind}/{namespace}/{name}/discussions/{num}/comment", comment),
    route("POST", "/api/{kind}/{namespace}/{name}/discussions/{num}/title", rename),
    route("POST", "/api/{kind}/{namespace}/{name}/discussions/{num}/status", change_status),
    route("POST", "/api/{kind}/{namespace}/{name}/discussions/{num}/merge", merge),
]
