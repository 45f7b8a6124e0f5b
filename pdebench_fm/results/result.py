"""The result file: one model on one task and track, with everything needed to trust and repeat the scores."""

import json
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import write_atomically
from pdebench_fm.protocol.tracks import LITE_TEST_ROWS, Start, Track
from pdebench_fm.results.fields import (
    Count,
    Digest,
    Moment,
    NonNegative,
    Positive,
    Record,
    Text,
    Version,
    duplicates,
    in_plain_words,
)

SCHEMA_VERSION: Final = "1.1"
"""1.1 added `failures` and `deterministic`, and runs may be missing where all of them failed."""

AGREEMENT = 1e-9  # relative difference allowed between a summary and the seeds that it summarises


class Metrics(Record):
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


class SeedScores(Record):
    """The scores of one run: the model adapted with one seed, over the test split."""

    seed: Count
    metrics: Metrics


class Summary(Record):
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


class Run(Record):
    """One adaptation setting: how the model started and how many samples it saw, with one score per seed."""

    start: Start
    shots: Count
    seeds: Annotated[tuple[SeedScores, ...], Field(min_length=1)]
    summary: Summary

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.start == "scratch" and self.shots == 0:
            raise ValueError("shots should be above 0 for a start from scratch")
        repeated = duplicates(scores.seed for scores in self.seeds)
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


class Failure(Record):
    """A run that gave no score, and why, in one line."""

    start: Start
    shots: Count
    seed: Count
    reason: Text


class ModelRecord(Record):
    """Which model was scored; `weights_sha256` is None only for a model that has no weights."""

    model_id: Text
    revision: Text | None
    weights_sha256: Digest | None
    parameters: Positive | None
    family: Text | None = None
    size: Text | None = None


class DatasetRecord(Record):
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


class Environment(Record):
    """What the scores were computed with."""

    package_version: Text
    python: Text
    libraries: Annotated[dict[Text, Text], AfterValidator(lambda libraries: dict(sorted(libraries.items())))]
    device: Text
    threads: Positive | None


class Result(Record):
    """The scores of one model on one task and track, with their provenance: the content of a result file.

    `runs` hold the seeds that were scored; `failures`, those that gave no finite score. `deterministic` tells whether
    PyTorch was held to deterministic algorithms, None where that was not recorded.
    """

    schema_version: Literal["1.0", "1.1"] = SCHEMA_VERSION
    protocol_version: Positive = 1
    recipe: Text
    task: Text
    track: Track
    resolution: Positive
    test_rows: Positive
    model: ModelRecord
    dataset: DatasetRecord
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...] = ()
    deterministic: bool | None = None
    environment: Environment
    wall_seconds: NonNegative
    date: Moment

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        expected = f"{self.dataset.name}/{self.dataset.regime}"
        if self.task != expected:
            raise ValueError(f"task is {self.task!r}, but the dataset record says {expected!r}")
        if self.track == "lite" and self.test_rows > LITE_TEST_ROWS:
            raise ValueError(f"test_rows is {self.test_rows}, but the lite track has at most {LITE_TEST_ROWS} rows")
        repeated = duplicates((run.start, run.shots) for run in self.runs)
        if repeated:
            start, shots = repeated[0]
            raise ValueError(f"runs should be distinct, but {start} with {shots} shots is there twice")
        if not self.runs and not self.failures:
            raise ValueError("runs is empty, and no failure says why")
        scored = [(run.start, run.shots, scores.seed) for run in self.runs for scores in run.seeds]
        failed = [(failure.start, failure.shots, failure.seed) for failure in self.failures]
        if again := duplicates(scored + failed):
            start, shots, seed = again[0]
            raise ValueError(
                f"failures should be distinct and without scores, unlike {start}, {shots} shots, seed {seed}"
            )
        return self

    def failed_seeds(self, run: Run) -> tuple[int, ...]:
        """Return the seeds of a run that gave no score: with some, the others are no fair sample."""
        return tuple(f.seed for f in self.failures if (f.start, f.shots) == (run.start, run.shots))


def read_result(path: Path) -> Result:
    """Read and validate one result file; one of an older minor schema version is returned as one of the newest.

    Raises:
        UsageError: there is no such file.
        PdefmError: it is not a valid result, the message names the file and the first offending field; or it was
            written by a newer package.
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
        raise PdefmError(f"{path} {_what_is_wrong(error.errors())}") from error
    for version in ("schema_version", "protocol_version"):
        if version not in result.model_fields_set:  # the defaults are for code, never guessed for a file
            raise PdefmError(f"{path} is not a valid result: {version} is missing")
    if result.schema_version == "1.0":
        for field in ("failures", "deterministic"):
            if field in result.model_fields_set:
                raise PdefmError(f"{path} is not a valid result: {field} is not a field of result schema 1.0")
    return result.model_copy(update={"schema_version": SCHEMA_VERSION})


def find_result_files(paths: Iterable[Path]) -> list[Path]:
    """Return result files: those that are named, and every `*.json` of the folders that are.

    Raises:
        UsageError: a folder has none.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        if not found:
            raise UsageError(f"no result files (*.json) under {path}")
        files.extend(found)
    return files


def _what_is_wrong(errors: list[ErrorDetails]) -> str:
    """Return the first thing that is wrong with a file; that it is too new comes before all others."""
    for error in errors:
        if error["loc"] == ("schema_version",) and _is_newer(error["input"]):
            return (
                f"was written by a newer package: its result schema is {error['input']}, this package reads up to "
                f"{SCHEMA_VERSION}; upgrade pdebench-fm"
            )
    return f"is not a valid result: {in_plain_words(errors[0], SCHEMA_VERSION)}"


def _is_newer(version: object) -> bool:
    """Tell whether a schema version is above this package's."""
    try:
        numbers = tuple(int(part) for part in str(version).split("."))
    except ValueError:
        return False
    return numbers > tuple(int(part) for part in SCHEMA_VERSION.split("."))


def result_text(result: Result) -> str:
    """Return the file content of `result`: JSON in a fixed key order, floats to their last digit."""
    return json.dumps(result.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_result(result: Result, path: Path) -> None:
    """Write `result` to `path` atomically; raises a `PdefmError` if that fails."""
    write_atomically(path, result_text(result))


def result_schema() -> str:
    """Return the JSON schema (draft 2020-12) of result files, as it is exported for other programs."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Result.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
