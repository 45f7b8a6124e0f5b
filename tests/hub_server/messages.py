"""What goes in and out of a route: a parsed request, an answer, and the refusal that a route may raise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

from .accounts import Account

CHUNK_BYTES = 1 << 16


class Refusal(Exception):
    """A request that the Hub turns down; becomes an error answer in the Hub's format.

    Args:
        status: the HTTP status.
        message: goes into the JSON body and into ``X-Error-Message``.
        code: ``X-Error-Code``, from which the client picks its exception type.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """The error answer."""
        headers = {"X-Error-Message": str(self).replace("\n", " "), **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return json_answer({"error": str(self)}, status=self.status, headers=headers)


class Body:
    """A request's body, read once from the socket: with a length or in chunks."""

    def __init__(self, stream: BinaryIO, headers: Mapping[str, str]):
        self._stream = stream
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._left = int(headers.get("content-length") or 0)
        self._content: bytes | None = None
        self._finished = False
        self.received = 0

    def chunks(self) -> Iterator[bytes]:
        """The parts of the body as they arrive."""
        parts = self._chunked_parts() if self._chunked else self._counted_parts()
        for part in parts:
            self.received += len(part)
            yield part
        self._finished = True

    def read(self) -> bytes:
        """The whole body."""
        if self._content is None:
            self._content = b"".join(self.chunks())
        return self._content

    def drain(self) -> None:
        """Read away what nobody wanted, so that the connection can serve another request."""
        if not self._finished:
            for _ in self.chunks():
                pass

    def _counted_parts(self) -> Iterator[bytes]:
        while self._left:
            part = self._stream.read(min(CHUNK_BYTES, self._left))
            if not part:
                raise ConnectionError("the client hung up in the middle of a body")
            self._left -= len(part)
            yield part

    def _chunked_parts(self) -> Iterator[bytes]:
        while size := int(self._stream.readline().split(b";")[0], 16):
            yield self._stream.read(size)
            self._stream.readline()
        while self._stream.readline().strip():
            pass
        self._chunked = False


@dataclass(frozen=True)
class Request:
    """One parsed request.

    ``path`` is still quoted (revisions contain quoted slashes); ``captures`` are the unquoted variable parts
    of the route that matched; header names are in lower case.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Body
    account: Account | None = None
    captures: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, method: str, target: str, headers: Mapping[str, str], body: Body) -> Request:
        """From the request line and headers."""
        parts = urlsplit(target)
        return cls(method, parts.path, parse_qs(parts.query, keep_blank_values=True), headers, body)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object (empty if there is none)."""
        try:
            value = json.loads(self.body.read() or b"{}")
        except ValueError as error:
            raise Refusal(400, f"invalid JSON: {error}") from error
        if not isinstance(value, dict):
            raise Refusal(400, "the body must be a JSON object")
        return value

    def parameter(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """Whether a query parameter is set to something true."""
        return self.parameter(name).lower() in {"1", "true"}


@dataclass(frozen=True)
class Answer:
    """What is sent back; a ``Path`` as body is streamed and may be asked for in ranges."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path = b""

    @property
    def size(self) -> int:
        """The body's length in bytes."""
        return self.body.stat().st_size if isinstance(self.body, Path) else len(self.body)


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())


def path_pattern(template: str) -> re.Pattern[str]:
    """A pattern for a quoted path.

    ``{name}`` is one segment, ``{name*}`` the rest, ``{kind}`` one of the repository kinds and ``{web}`` the
    prefix of web addresses (nothing for models).
    """
    special = {"kind": "(?P<kind>models|datasets|spaces)", "web": "(?:(?P<kind>datasets|spaces)/)?"}

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name in special:
            return special[name]
        return f"(?P<{name[:-1]}>.+)" if name.endswith("*") else f"(?P<{name}>[^/]+)"

    return re.compile(re.sub(r"\{([a-z_0-9]+\*?)\}", replace, template.replace(".", r"\.")))


def captured(match: re.Match[str]) -> dict[str, str]:
    """The unquoted variable parts of a path; an absent repository kind means models."""
    captures = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
    if "kind" in match.re.groupindex:
        captures.setdefault("kind", "models")
    return captures
