"""Branches and tags: list, create, delete."""

from __future__ import annotations

from .context import Context, commit_at, route
from .messages import Answer, Refusal, Request, json_answer


def list_all(context: Context, request: Request) -> Answer:
    """GET .../refs."""
    refs = context.readable(request).state.refs

    def below(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha}
            for ref, sha in sorted(refs.items())
            if ref.startswith(prefix)
        ]

    content = {"branches": below("refs/heads/"), "tags": below("refs/tags/"), "converts": below("refs/convert/")}
    if request.flag("include_prs"):
        content["pullRequests"] = below("refs/pr/")
    return json_answer(content)


def create_branch(context: Context, request: Request) -> Answer:
    """POST .../branch/{branch}, from main or from a starting point."""
    repo = context.writable(request)
    ref = f"refs/heads/{request.captures['branch']}"
    if ref in repo.state.refs:
        raise Refusal(409, f"Reference already exists: {ref}")
    repo.set_ref(ref, commit_at(repo, request.json().get("startingPoint") or "main").sha)
    return json_answer({})


def delete_branch(context: Context, request: Request) -> Answer:
    """DELETE .../branch/{branch}; never main."""
    repo = context.writable(request)
    ref = f"refs/heads/{request.captures['branch']}"
    if ref == "refs/heads/main":
        raise Refusal(403, "The default branch cannot be deleted")
    if ref not in repo.state.refs:
        raise Refusal(404, f"Invalid rev id: {ref}", code="RevisionNotFound")
    repo.set_ref(ref, None)
    return json_answer({})


def create_tag(context: Context, request: Request) -> Answer:
    """POST .../tag/{revision}; a tag never moves."""
    repo = context.writable(request)
    tag = request.json().get("tag")
    if not isinstance(tag, str) or not tag:
        raise Refusal(400, "a tag needs a name")
    ref = f"refs/tags/{tag}"
    if ref in repo.state.refs:
        raise Refusal(409, f"Tag reference exists already: {tag}")
    repo.set_ref(ref, commit_at(repo, request.captures["revision"]).sha)
    return json_answer({})


def delete_tag(context: Context, request: Request) -> Answer:
    """DELETE .../tag/{tag}."""
    repo = context.writable(request)
    ref = f"refs/tags/{request.captures['tag']}"
    if ref not in repo.state.refs:
        raise Refusal(404, f"Invalid rev id: {ref}", code="RevisionNotFound")
    repo.set_ref(ref, None)
    return json_answer({})


ROUTES = [
    route("GET", "/api/{kind}/{namespace}/{name}/refs", list_all),
    route("POST", "/api/{kind}/{namespace}/{name}/branch/{branch}", create_branch),
    route("DELETE", "/api/{kind}/{namespace}/{name}/branch/{branch}", delete_branch),
    route("POST", "/api/{kind}/{namespace}/{name}/tag/{revision}", create_tag),
    route("DELETE", "/api/{kind}/{namespace}/{name}/tag/{tag}", delete_tag),
]
