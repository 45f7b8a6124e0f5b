"""Large files: the batch negotiation on the Hub, and the storage that signed links lead to.

The storage is a second server on its own port, as the Hub's is a second host: clients must not send it their
token, and it refuses them if they do.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any

from .contents import storage_link
from .context import Context, route
from .messages import Answer, Refusal, Request, json_answer
from .store import Repo

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LFS_TYPE = {"Content-Type": "application/vnd.git-lfs+json"}


def batch(context: Context, request: Request) -> Answer:
    """POST .../info/lfs/objects/batch: for each object a link to upload to, none if it is there already.

    Without a ``ref`` the upload is for a pull request, which needs no right to write to the repository.
    """
    payload = request.json()
    ref = payload.get("ref")
    repo = context.pushable(request, ref["name"]) if ref else context.contributable(request)
    if payload.get("operation") != "upload" or payload.get("hash_algo", "sha256") != "sha256":
        raise Refusal(400, "only uploads with sha256 are supported here")
    if "basic" not in payload.get("transfers", ["basic"]):
        raise Refusal(400, "only the basic transfer is supported here")
    objects = [_instruction(context, repo, item) for item in payload.get("objects", [])]
    return json_answer({"transfer": "basic", "objects": objects}, headers=_LFS_TYPE)


def _instruction(context: Context, repo: Repo, item: dict[str, Any]) -> dict[str, Any]:
    sha256, size = item.get("oid"), item.get("size")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256) or not isinstance(size, int):
        error = {"code": 422, "message": "an object needs a sha256 and a size"}
        return {"oid": str(sha256), "size": 0, "error": error}
    if repo.lfs_path(sha256).is_file():
        return {"oid": sha256, "size": size}
    verify = f"{context.url}/{repo.web_path}.git/info/lfs/objects/verify"
    actions = {"upload": {"href": storage_link(context, "PUT", repo, sha256)}, "verify": {"href": verify}}
    return {"oid": sha256, "size": size, "authenticated": True, "actions": actions}


def verify(context: Context, request: Request) -> Answer:
    """POST .../info/lfs/objects/verify: whether the object arrived with the right size."""
    repo = context.contributable(request)
    payload = request.json()
    sha256 = str(payload.get("oid", ""))
    path = repo.lfs_path(sha256)
    if not _SHA256.fullmatch(sha256) or not path.is_file():
        raise Refusal(404, f"object {sha256} does not exist")
    if path.stat().st_size != payload.get("size"):
        raise Refusal(422, f"object {sha256} has {path.stat().st_size} bytes, not {payload.get('size')}")
    return json_answer({}, headers=_LFS_TYPE)


def _stored(context: Context, request: Request) -> tuple[Repo, str]:
    """The repository and object of a link whose signature holds."""
    if "authorization" in request.headers:
        raise Refusal(400, "Only one auth mechanism allowed")
    method = "GET" if request.method == "HEAD" else request.method
    expires, signature = request.parameter("expires", "0"), request.parameter("signature")
    if not context.signer.allows(method, request.path, expires, signature):
        raise Refusal(403, "Access denied: the link is wrong or has expired")
    captures = request.captures
    repo = context.store.get(captures["kind"], captures["namespace"], captures["name"])
    if repo is None:
        raise Refusal(404, "no such object")
    return repo, captures["sha256"]


def receive(context: Context, request: Request) -> Answer:
    """PUT to a signed link; kept only if it is complete and has the promised hash."""
    repo, sha256 = _stored(context, request)
    target = repo.lfs_path(sha256)
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(f".{sha256}.{uuid.uuid4().hex}")
    digest = hashlib.sha256()
    try:
        with partial.open("wb") as file:
            for part in request.body.chunks():
                digest.update(part)
                file.write(part)
        if digest.hexdigest() != sha256:
            raise Refusal(400, "BadDigest: the content does not have the promised hash")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return Answer(200, {"ETag": f'"{sha256}"'})


def send(context: Context, request: Request) -> Answer:
    """GET or HEAD of a signed link."""
    repo, sha256 = _stored(context, request)
    path = repo.lfs_path(sha256)
    if not path.is_file():
        raise Refusal(404, "no such object")
    return Answer(200, {"ETag": f'"{sha256}"', "Content-Type": "application/octet-stream"}, path)


ROUTES = [
    route("POST", "/{web}{namespace}/{name}.git/info/lfs/objects/batch", batch),
    route("POST", "/{web}{namespace}/{name}.git/info/lfs/objects/verify", verify),
]
STORAGE_ROUTES = [
    route("PUT", "/{kind}/{namespace}/{name}/{sha256}", receive),
    route("GET", "/{kind}/{namespace}/{name}/{sha256}", send),
    route("HEAD", "/{kind}/{namespace}/{name}/{sha256}", send),
]
