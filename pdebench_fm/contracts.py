"""What every file that is read back has in common: records without unknown fields, versions, hashes."""

import json
from collections import Counter

from pydantic import BaseModel, ConfigDict, ValidationError

VERSION_PATTERN = r"(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}"
"""A version of three numbers, such as 1.0.0."""

SHA256_PATTERN = r"[0-9a-f]{64}"
"""A SHA-256 in hexadecimal."""


class Contract(BaseModel):
    """A part of a file: immutable, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a record, and where in it."""
    first = error.errors(include_url=False)[0]
    place, what = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    return f"{place}: {what}" if place else what


def twice_in(text: str | bytes) -> str | None:
    """Return a key that one of the objects in valid JSON has twice, of which a reader would take one in silence."""
    found: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        counts = Counter(key for key, _ in pairs)
        found.extend(key for key, count in counts.items() if count > 1)

    json.loads(text, object_pairs_hook=note)
    return found[0] if found else None
