"""Range requests: which part of a file is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from .messages import Answer

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Slice:
    """A part of a body, in bytes."""

    start: int
    length: int


def requested_slice(answer: Answer, header: str | None) -> tuple[Answer, Slice]:
    """The part of a file that a ``Range`` header asks for, with the answer's status and headers to match.

    Several ranges at once are answered, as HTTP allows, with the whole file.
    """
    size = answer.size
    if answer.status != 200 or not isinstance(answer.body, Path):
        return answer, Slice(0, size)
    answer = replace(answer, headers={**answer.headers, "Accept-Ranges": "bytes"})
    match = _RANGE.fullmatch(header or "")
    if match is None or match[0] == "bytes=-":
        return answer, Slice(0, size)
    if match[1]:
        start, last = int(match[1]), min(int(match[2] or size), size - 1)
    else:
        start, last = max(size - int(match[2]), 0), size - 1
    if start > last:
        headers = {**answer.headers, "Content-Range": f"bytes */{size}"}
        return Answer(416, headers), Slice(0, 0)
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{last}/{size}"}
    return replace(answer, status=206, headers=headers), Slice(start, last - start + 1)
