"""The kinds of values that result files are made of, each with its own check, and how a violated one is worded."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints
from pydantic_core import ErrorDetails

_DIGEST = "^[0-9a-f]{64}$"
_VERSION = r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}$"
_Value = TypeVar("_Value")


def _hexadecimal_digest(text: str) -> str:
    if not re.fullmatch(_DIGEST.strip("^$"), text):
        raise ValueError(f"should be 64 lower-case hexadecimal digits (SHA-256), not {text!r}")
    return text


def _semantic_version(text: str) -> str:
    if not re.fullmatch(_VERSION.strip("^$"), text):
        raise ValueError(f"should be a semantic version such as '1.0.0', not {text!r}")
    return text


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() != timedelta(0):
        raise ValueError(f"should be in UTC, such as '2026-01-31T12:00:00Z', not {moment.isoformat()!r}")
    return moment


# The patterns are for the exported JSON schema alone: here the functions check, and say it in better words.
Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Digest = Annotated[str, AfterValidator(_hexadecimal_digest), Field(json_schema_extra={"pattern": _DIGEST})]
Version = Annotated[str, AfterValidator(_semantic_version), Field(json_schema_extra={"pattern": _VERSION})]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
NonNegative = Annotated[FiniteFloat, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Record(BaseModel):
    """A part of a result file: immutable, and without fields that the schema does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def duplicates(values: Iterable[_Value]) -> list[_Value]:
    """Return the values that are there more than once."""
    return [value for value, times in Counter(values).items() if times > 1]


def in_plain_words(error: ErrorDetails, schema_version: str) -> str:
    """Return "field: what is wrong with it" for one of pydantic's errors."""
    field = ""
    for step in error["loc"]:
        field += f"[{step}]" if isinstance(step, int) else f".{step}" if field else step
    kind, message = error["type"], error["msg"]
    if kind == "json_invalid":
        return message.replace("Invalid JSON: ", "not JSON: ")
    if kind == "missing":
        return f"{field} is missing"
    if kind == "extra_forbidden":
        return f"{field} is not a field of result schema {schema_version}"
    if kind == "too_short":
        message = f"should have at least {error['ctx']['min_length']} item"
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
    else:
        message = message[0].lower() + message[1:].replace("Input should", "should")
        message = message.removeprefix("input ").removeprefix("string ")
        if isinstance(error["input"], str | int | float | None):
            message += f", not {error['input']!r:.80}"
    return f"{field}: {message}" if field else message
