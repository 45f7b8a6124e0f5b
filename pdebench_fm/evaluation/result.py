"""The result file: one model on one task and track, with everything needed to trust and repeat the scores."""

import json
import math
import re
import statistics
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import write_atomically

SCHEMA_VERSION: Final = "1.0"
LITE_TEST_ROWS = 512
AGREEMENT = 1e-9  # relative difference allowed between a summary and the seeds that it summarises

Start = Literal["pretrained", "scratch"]
Track = Literal["full", "lite"]


def _hexadecimal_digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"should be 64 lower-case hexadecimal digits (SHA-256), not {text!r}")
    return text


def _semantic_version(text: str) -> str:
    if not re.fullmatch(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}", text):
        raise ValueError(f"should be a semantic version such as '1.0.0', not {text!r}")
    return text


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() != timedelta(0):
        raise ValueError(f"should be in UTC, such as '2026-01-31T12:00:00Z', not {moment.isoformat()!r}")
    return moment


Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Digest = Annotated[str, AfterValidator(_hexadecimal_digest)]
Version = Annotated[str, AfterValidator(_semantic_version)]
NonNegative = Annotated[FiniteFloat, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Metrics(_Record):
    """Errors of one run, each computed per test sample and then reduced over the test split.

    All are relative to the exact solution (`residual_mean`: to the source), so 0 is exact and 1 is as bad as
    predicting zero. `band_*` are the parts of the relative L2 error in bands of spatial frequencies.
    """

    relative_l2_mean: NonNegative
    relative_l2_median: NonNegative
    relative_l2_p95: NonNegative
    relative_h1_mean: NonNegative
    band_low_mean: NonNegative
    band_mid_mean: NonNegative
    band_high_mean: NonNegative
    residual_mean: NonNegative
    max_error_mean: NonNegative

    @model_validator(mode="after")
    def _quantiles_are_ordered(self) -> Self:
        if self.relative_l2_median > self.relative_l2_p95:
            raise ValueError("relative_l2_median is above relative_l2_p95, the 95th percentile")
        return self


class SeedScores(_Record):
    """The scores of one run: the model adapted with one seed, over the test split."""

    seed: Count
    metrics: Metrics


class Summary(_Record):
    """The headline score, the mean relative L2 error, over the seeds of a run.

    `standard_deviation` is that of a sample (divisor seeds - 1), and 0 for a single seed; the interval is a
    95 % bootstrap interval of the mean.
    """

    mean: NonNegative
    standard_deviation: NonNegative
    interval_low: NonNegative
    interval_high: NonNegative

    @model_validator(mode="after")
    def _interval_holds_the_mean(self) -> Self:
        slack = AGREEMENT * self.mean
        if not self.interval_low - slack <= self.mean <= self.interval_high + slack:
            raise ValueError(f"mean {self.mean!r} is outside {self.interval_low!r} to {self.interval_high!r}")
        return self


class Run(_Record):
    """One adaptation setting: how the model started and how many samples it saw, with one score per seed."""

    start: Start
    shots: Count
    seeds: Annotated[tuple[SeedScores, ...], Field(min_length=1)]
    summary: Summary

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.start == "scratch" and self.shots == 0:
            raise ValueError("shots should be above 0 for a start from scratch")
        repeated = _repeated(scores.seed for scores in self.seeds)
        if repeated:
            raise ValueError(f"seeds should be distinct, but {repeated[0]} is there twice")
        errors = [scores.metrics.relative_l2_mean for scores in self.seeds]
        mean = statistics.fmean(errors)
        deviation = statistics.stdev(errors) if len(errors) > 1 else 0.0
        for name, expected in (("mean", mean), ("standard_deviation", deviation)):
            given = getattr(self.summary, name)
            if not math.isclose(given, expected, rel_tol=AGREEMENT, abs_tol=AGREEMENT * mean):
                raise ValueError(f"summary.{name} is {given!r}, but the seeds give {expected!r}")
        return self


class ModelRecord(_Record):
    """Which model was scored; `weights_sha256` is None only for a model that has no weights."""

    model_id: Text
    revision: Text | None
    weights_sha256: Digest | None
    parameters: Positive | None
    family: Text | None = None
    size: Text | None = None


class DatasetRecord(_Record):
    """Which test rows were scored.

    `recipe_digest` is that of the draws behind the rows; `content_digest`, of the stored values, is there when the
    rows were read (`origin` "rows") from `location`, a repository id or a folder's name, rather than made.
    """

    name: Text
    regime: Text
    version: Version
    origin: Literal["recipe", "rows"]
    recipe_digest: Digest
    content_digest: Digest | None = None
    location: Text | None = None
    revision: Text | None = None

    @model_validator(mode="after")
    def _read_rows_have_a_content_digest(self) -> Self:
        if self.origin == "rows" and self.content_digest is None:
            raise ValueError("content_digest is missing, though the rows were read (origin 'rows')")
        return self


class Environment(_Record):
    """What the scores were computed with."""

    package_version: Text
    python: Text
    libraries: Annotated[dict[Text, Text], AfterValidator(lambda libraries: dict(sorted(libraries.items())))]
    device: Text
    threads: Positive | None


class Result(_Record):
    """The scores of one model on one task and track, with their provenance: the content of a result file."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    protocol_version: Positive = 1
    recipe: Text
    task: Text
    track: Track
    resolution: Positive
    test_rows: Positive
    model: ModelRecord
    dataset: DatasetRecord
    runs: Annotated[tuple[Run, ...], Field(min_length=1)]
    environment: Environment
    wall_seconds: NonNegative
    date: Annotated[AwareDatetime, AfterValidator(_utc)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        expected = f"{self.dataset.name}/{self.dataset.regime}"
        if self.task != expected:
            raise ValueError(f"task is {self.task!r}, but the dataset record says {expected!r}")
        if self.track == "lite" and self.test_rows > LITE_TEST_ROWS:
            raise ValueError(f"test_rows is {self.test_rows}, but the lite track has at most {LITE_TEST_ROWS} rows")
        repeated = _repeated((run.start, run.shots) for run in self.runs)
        if repeated:
            start, shots = repeated[0]
            raise ValueError(f"runs should be distinct, but {start} with {shots} shots is there twice")
        return self


def read_result(path: Path) -> Result:
    """Read and validate one result file.

    Raises:
        UsageError: there is no such file.
        PdefmError: it is not a valid result; the message names the file and the first offending field.
    """
    if not path.is_file():
        raise UsageError(f"no result file at {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PdefmError(f"{path} is not a result: it is not UTF-8 text") from error
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror}") from error
    try:
        result = Result.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise PdefmError(f"{path} is not a valid result: {_in_plain_words(error.errors()[0])}") from error
    for version in ("schema_version", "protocol_version"):
        if version not in result.model_fields_set:  # the defaults are for code, never guessed for a file
            raise PdefmError(f"{path} is not a valid result: {version} is missing")
    return result


def result_text(result: Result) -> str:
    """Return the file content of `result`: JSON in a fixed key order, floats to their last digit."""
    return json.dumps(result.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_result(result: Result, path: Path) -> None:
    """Write `result` to `path` atomically; raises a `PdefmError` if that fails."""
    write_atomically(path, result_text(result))


def _repeated(values: Any) -> list[Any]:
    return [value for value, times in Counter(values).items() if times > 1]


def _in_plain_words(error: ErrorDetails) -> str:
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
        return f"{field} is not a field of result schema {SCHEMA_VERSION}"
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
