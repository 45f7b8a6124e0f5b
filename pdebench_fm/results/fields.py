"""The kinds of values that result files are made of, each with its own check, and how a violated one is worded.

Every value has bounds far outside of what is measured and far inside of what numbers can hold, so that whatever is made
of accepted values (sums, squares, logarithms, pictures, a page's script) is finite and can be shown.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    FiniteFloat,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import ErrorDetails

from pdebench_fm.contracts import SHA256_PATTERN, VERSION_PATTERN, Contract
from pdebench_fm.graphs.interface import GRAPH_NAME, is_graph_name
from pdebench_fm.text import is_plain, visible

SAMPLE_ERRORS: Final = (1e-90, 1e90)
"""Bounds of the error of one test sample that is not 0: a relative error of float32 fields is within 1e-84 to 1e84."""

MOST_CELLS: Final = 1000
"""Cells of one result: the protocol's shots and starts with three seeds are 43."""

LARGEST_COUNT: Final = 2**53 - 1
"""The largest whole number up to which every program that reads JSON has them all."""

_ERRORS = (1e-100, 1e100)  # of means over samples, some of which are 0, or sums of relative errors
_INTERVAL_ENDS = (1e-150, 1e150)
_LONGEST_TEXT = 300
_DIGEST = f"^{SHA256_PATTERN}$"
_VERSION = f"^{VERSION_PATTERN}$"
_ADDRESS = r"https://[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?(/[A-Za-z0-9._~/%+,;=:@!$&?#-]{0,200})?"
_HUB_REVISION = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}@[0-9a-f]{40}"
_Value = TypeVar("_Value")


def _hexadecimal_digest(text: str) -> str:
    if not re.fullmatch(_DIGEST.strip("^$"), text):
        raise ValueError(f"should be 64 lower-case hexadecimal digits (SHA-256), not {text!r:.80}")
    return text


def _semantic_version(text: str) -> str:
    if not re.fullmatch(VERSION_PATTERN, text):
        raise ValueError(f"should be a semantic version such as '1.0.0', not {text!r:.80}")
    return text


def _shown(text: str, info: ValidationInfo) -> str:
    """Refuse text of a file that cannot be shown as it is; what this package says itself is made so."""
    if info.mode == "json":
        if not is_plain(text):
            raise ValueError(f"should have no control characters or marks of format, not {text!a:.80}")
        if not unicodedata.is_normalized("NFC", text):
            raise ValueError(f"should be in Unicode's normal form NFC, not {text!a:.80}")
        return text
    shown = unicodedata.normalize("NFC", visible(text))
    return shown if len(shown) <= _LONGEST_TEXT else shown[: _LONGEST_TEXT - 1] + "…"


def _web_address(text: str) -> str:
    if not re.fullmatch(_ADDRESS, text):
        raise ValueError(
            f"should be an address such as https://host/page, without spaces, quotes or brackets, not {text!r:.80}"
        )
    return text


def _hub_revision(text: str) -> str:
    if not re.fullmatch(_HUB_REVISION, text) or ".." in text:
        raise ValueError(
            "should be organisation/name@commit, with the 40 hexadecimal digits of a commit, as tags and branches can "
            f"be moved, not {text!r:.80}"
        )
    return text


def _zero_or_within(bounds: tuple[float, float]) -> AfterValidator:
    def check(value: float) -> float:
        if value and not bounds[0] <= value <= bounds[1]:
            raise ValueError(f"should be 0, or from {bounds[0]} to {bounds[1]}, not {value!r}")
        return value

    return AfterValidator(check)


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() != timedelta(0):
        raise ValueError(f"should be in UTC, such as '2026-01-31T12:00:00Z', not {moment.isoformat()!r}")
    return moment


def _graph_name(text: str) -> str:
    if not is_graph_name(text):
        raise ValueError(f"should be the name of a file such as graph.onnx, without a folder, not {text!r:.80}")
    return text


# The patterns are for the exported JSON schema alone: here the functions check, and say it in better words.
Text = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_TEXT), AfterValidator(_shown)]
Digest = Annotated[str, AfterValidator(_hexadecimal_digest), Field(json_schema_extra={"pattern": _DIGEST})]
Version = Annotated[str, AfterValidator(_semantic_version), Field(json_schema_extra={"pattern": _VERSION})]
WebAddress = Annotated[str, AfterValidator(_web_address), Field(json_schema_extra={"pattern": f"^{_ADDRESS}$"})]
HubRevision = Annotated[str, AfterValidator(_hub_revision), Field(json_schema_extra={"pattern": f"^{_HUB_REVISION}$"})]
GraphName = Annotated[str, AfterValidator(_graph_name), Field(json_schema_extra={"pattern": f"^{GRAPH_NAME}$"})]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
NonNegative = Annotated[FiniteFloat, Field(ge=0)]
Seconds = Annotated[FiniteFloat, Field(ge=0, le=1e12)]
Parameter = Annotated[FiniteFloat, Field(ge=-1e12, le=1e12)]
Error = Annotated[NonNegative, _zero_or_within(_ERRORS)]
IntervalEnd = Annotated[NonNegative, _zero_or_within(_INTERVAL_ENDS)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Positive = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
SamplingSeed = Annotated[int, Field(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]


class Record(Contract):
    """A part of a result file: immutable, and without fields that the schema does not know."""


def duplicates(values: Iterable[_Value]) -> list[_Value]:
    """Return the values that are there more than once."""
    return [value for value, times in Counter(values).items() if times > 1]


def in_plain_words(error: ErrorDetails, schema_version: str) -> str:
    """Return "field: what is wrong with it" for one of pydantic's errors."""
    field = ""
    for step in error["loc"]:
        field += f"[{step}]" if isinstance(step, int) else f".{step:.80}" if field else f"{step:.80}"
    kind, message = error["type"], error["msg"]
    if kind == "json_invalid":
        return message.replace("Invalid JSON: ", "not JSON: ")
    if kind == "missing":
        return f"{field} is missing"
    if kind == "extra_forbidden":
        return f"{field} is not a field of result schema {schema_version}"
    if kind == "too_short":
        message = f"should have at least {error['ctx']['min_length']} item"
    elif kind == "too_long":
        message = f"should have at most {error['ctx']['max_length']} items"
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
    else:
        message = message[0].lower() + message[1:].replace("Input should", "should")
        message = message.removeprefix("input ").removeprefix("string ")
        if isinstance(error["input"], str | int | float | None):
            message += f", not {error['input']!r:.80}"
    return f"{field}: {message}" if field else message
