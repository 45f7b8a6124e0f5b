"""Accounts and repositories: who am I, create, delete, list, describe, change visibility."""

from __future__ import annotations

from typing import Any

from .benchmarks import is_result, told_results
from .cards import CardValue, read_card
from .context import Context, Route, commit_at, repo_not_found, require_write, route, signed_in
from .messages import Answer, Refusal, Request, json_answer
from .store import KINDS, Blob, Commit, Repo, lfs_pointer


def whoami(_: Context, request: Request) -> Answer:
    """GET /api/whoami-v2."""
    return json_answer(signed_in(request).as_whoami())


def overview(context: Context, request: Request) -> Answer:
    """GET /api/users/{name}/overview: what everybody may know of a user."""
    account = context.accounts.named(request.captures["name"])
    if account is None:
        raise Refusal(404, "This user does not exist")
    names = account.organizations
    organizations = [{"name": name, "fullname": name, "avatarUrl": f"/avatars/{name}.svg"} for name in names]
    known = {"user": account.name, "fullname": account.name, "avatarUrl": f"/avatars/{account.name}.svg"}
    return json_answer({**known, "type": "user", "orgs": organizations})


def _named(request: Request) -> tuple[str, str, str]:
    """Kind, namespace and name from the body of a create or delete request."""
    payload = request.json()
    account = signed_in(request)
    kind = f"{payload.get('type') or 'model'}s"
    if kind not in KINDS:
        raise Refusal(400, f"unknown repository type {payload.get('type')!r}")
    namespace = payload.get("organization") or account.name
    require_write(request, namespace)
    return kind, namespace, str(payload.get("name"))


def _wants_private(payload: dict[str, Any]) -> bool:
    """Older clients send ``private``, newer ones ``visibility``."""
    return payload.get("visibility", "private" if payload.get("private") else "public") == "private"


def create(context: Context, request: Request) -> Answer:
    """POST /api/repos/create."""
    kind, namespace, name = _named(request)
    author = signed_in(request).name
    private = _wants_private(request.json())
    if kind == "spaces" and request.json().get("sdk") != "static":
        raise Refusal(400, f"a Space needs an sdk, here only 'static', not {request.json().get('sdk')!r}")
    try:
        repo = context.store.create(kind, namespace, name, private=private, author=author)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    except FileExistsError:
        existing = context.store.get(kind, namespace, name)
        if existing is None:
            raise
        content = {"error": "You already created this repo", "url": f"{context.url}/{existing.web_path}"}
        return json_answer(content, status=409)
    return json_answer({"url": f"{context.url}/{repo.web_path}", "name": repo.full_name, "id": repo.full_name})


def delete(context: Context, request: Request) -> Answer:
    """DELETE /api/repos/delete."""
    repo = context.store.get(*_named(request))
    if repo is None:
        raise repo_not_found(request)
    context.store.delete(repo)
    return json_answer({})


def change_settings(context: Context, request: Request) -> Answer:
    """PUT .../settings: only the visibility."""
    repo = context.writable(request)
    payload = request.json()
    if unknown := set(payload) - {"private", "visibility"}:
        raise Refusal(400, f"settings not supported here: {sorted(unknown)}")
    repo.update(private=_wants_private(payload))
    return json_answer({"private": repo.state.private})


def check_access(context: Context, request: Request) -> Answer:
    """GET .../auth-check."""
    context.readable(request)
    return json_answer({})


def check_write_access(context: Context, request: Request) -> Answer:
    """GET .../auth-check/write."""
    context.writable(request)
    return json_answer({})


def describe(context: Context, request: Request) -> Answer:
    """GET the repository, at a revision or at main."""
    repo = context.readable(request)
    commit = commit_at(repo, request.captures.get("revision", "main"))
    description = _description(repo, commit, blobs=request.flag("blobs"))
    if "evalResults" in request.query.get("expand", []):
        contents = {path: repo.content_path(blob).read_bytes() for path, blob in commit.tree.items() if is_result(path)}
        description["evalResults"] = [
            entry for path in sorted(contents) for entry in told_results(path, contents[path])
        ]
    return json_answer(description)


def listing(context: Context, request: Request) -> Answer:
    """GET /api/{models,datasets,spaces}, filtered by author, words in the name and tags."""
    found = []
    for repo in context.store.all(request.captures["kind"]):
        if not context.visible(repo, request.account):
            continue
        if request.parameter("author") not in ("", repo.namespace):
            continue
        if any(word.lower() not in repo.full_name.lower() for word in request.query.get("search", [])):
            continue
        description = _description(repo, commit_at(repo, "main"), blobs=False)
        if set(request.query.get("filter", [])) <= set(description["tags"]):
            found.append(description)
    limit = int(request.parameter("limit") or len(found))
    return json_answer(found[:limit])


def _description(repo: Repo, commit: Commit, *, blobs: bool) -> dict[str, Any]:
    readme = commit.tree.get("README.md")
    fields: dict[str, CardValue] = {}
    if readme is not None:
        fields = read_card(repo.content_path(readme).read_text(errors="replace")).fields
    return {
        "_id": repo.full_name,
        "id": repo.full_name,
        "author": repo.namespace,
        "sha": commit.sha,
        "private": repo.state.private,
        "gated": False,
        "disabled": False,
        "createdAt": repo.state.created_at,
        "lastModified": commit.date,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(fields),
        "cardData": fields,
        "library_name": fields.get("library_name"),
        "pipeline_tag": fields.get("pipeline_tag"),
        "siblings": [_sibling(path, blob, blobs=blobs) for path, blob in sorted(commit.tree.items())],
        **({"sdk": fields.get("sdk")} if repo.kind == "spaces" else {}),
        "usedStorage": sum(blob.size for blob in commit.tree.values()),
    }


def _tags(fields: dict[str, CardValue]) -> list[str]:
    """The card's tags with those that the Hub derives from other fields."""
    own = fields.get("tags") or []
    tags = [str(tag) for tag in own] if isinstance(own, list) else [str(own)]
    tags += [str(fields[name]) for name in ("library_name", "pipeline_tag") if fields.get(name)]
    for name, prefix in (("license", "license"), ("datasets", "dataset"), ("task_categories", "task_categories")):
        values = fields.get(name) or []
        tags += [f"{prefix}:{value}" for value in (values if isinstance(values, list) else [values])]
    return list(dict.fromkeys(tags))


def _sibling(path: str, blob: Blob, *, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path}
    if blobs:
        sibling |= {"blobId": blob.oid, "size": blob.size}
        if blob.sha256:
            pointer_size = len(lfs_pointer(blob.sha256, blob.size))
            sibling["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": pointer_size}
    return sibling


ROUTES: list[Route] = [
    route("GET", "/api/whoami-v2", whoami),
    route("GET", "/api/users/{name}/overview", overview),
    route("POST", "/api/repos/create", create),
    route("DELETE", "/api/repos/delete", delete),
    route("GET", "/api/{kind}", listing),
    route("GET", "/api/{kind}/{namespace}/{name}", describe),
    route("GET", "/api/{kind}/{namespace}/{name}/revision/{revision}", describe),
    route("PUT", "/api/{kind}/{namespace}/{name}/settings", change_settings),
    route("GET", "/api/{kind}/{namespace}/{name}/auth-check", check_access),
    route("GET", "/api/{kind}/{namespace}/{name}/auth-check/write", check_write_access),
]
