"""The result file: one model on one task and track, with everything needed to trust and repeat the scores."""

import json
import math
import os
import statistics
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, FiniteFloat, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pdebench_fm.contracts import twice_in
from pdebench_fm.data.catalogue import system_of
from pdebench_fm.data.training_manifest import ParameterRange, TrainingManifest, known_range
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RESULT_BYTES, read_limited
from pdebench_fm.physics import SampleKey
from pdebench_fm.protocol.contamination import ScoredRows
from pdebench_fm.protocol.divisions import Division, division_of, passes_for_a_division
from pdebench_fm.protocol.standard_rows import is_standard
from pdebench_fm.protocol.tracks import LITE_TEST_ROWS, TRACKS, UNRANKED_TRACK_PATTERN, Start, find_track
from pdebench_fm.results.contamination import Contamination, contamination_of
from pdebench_fm.results.fields import (
    MOST_CELLS,
    Count,
    Digest,
    Error,
    GraphName,
    HubRevision,
    IntervalEnd,
    Moment,
    Parameter,
    Positive,
    Record,
    SamplingSeed,
    Seconds,
    Text,
    Version,
    WebAddress,
    duplicates,
    in_plain_words,
)
from pdebench_fm.rounding import with_spread
from pdebench_fm.text import html_table

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = "2.0"

AGREEMENT = 1e-9  # relative difference allowed between a derived number and what it is derived from

Covers = Literal["samples", "seeds and samples"]
"""What an interval allows for: another draw of the test samples alone, or of the seeds as well."""


def _known_track(name: str) -> str:
    try:
        return find_track(name).name
    except UsageError as error:
        raise ValueError(str(error)) from error


TrackName = Annotated[
    Text,
    AfterValidator(_known_track),
    Field(json_schema_extra={"pattern": f"^(full|lite|{UNRANKED_TRACK_PATTERN})$"}),
]


class Metrics(Record):
    """Errors of one cell, each computed per test sample and then reduced over the test rows.

    All are relative to the exact solution (`residual_mean`: to the source), so 0 is exact and 1 is as bad as
    predicting zero. `band_*` are the parts of the relative L2 error in bands of spatial frequencies.
    """

    relative_l2_mean: Error
    relative_l2_median: Error
    relative_l2_p95: Error
    relative_h1_mean: Error
    band_low_mean: Error
    band_mid_mean: Error
    band_high_mean: Error
    residual_mean: Error
    max_error_mean: Error

    @model_validator(mode="after")
    def _quantiles_are_ordered(self) -> Self:
        if self.relative_l2_median > self.relative_l2_p95:
            raise ValueError("relative_l2_median is above relative_l2_p95, the 95th percentile")
        return self


class Environment(Record):
    """What a cell was computed with: in the process that computed it, wherever its result was put together."""

    package_version: Text
    python: Text
    libraries: Annotated[
        dict[Text, Text], Field(max_length=100), AfterValidator(lambda libraries: dict(sorted(libraries.items())))
    ]
    device: Text
    threads: Positive | None


class Provenance(Record):
    """Where and when the outcome of a cell was computed, and how long it took."""

    environment: Environment
    seconds: Seconds
    date: Moment


CellKey = tuple[Start, int, int]
"""Start, shots and seed: which cell of a result."""


class Setting(Record):
    """Which cell of a result: how the model started, how many samples it saw, and the seed of that adaptation."""

    start: Start
    shots: Count
    seed: Count

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.shots == 0 and self.start == "scratch":
            raise ValueError("shots should be above 0 for a start from scratch")
        if self.shots == 0 and self.seed != 0:
            raise ValueError(f"seed should be 0, not {self.seed}: a zero-shot score has no other")
        return self

    @property
    def key(self) -> CellKey:
        """Start, shots and seed."""
        return self.start, self.shots, self.seed


class Graph(Record):
    """An ONNX file that is a model as it was scored: its name, without a folder, and its digest."""

    file: GraphName
    sha256: Digest


class CellRecord(Setting):
    """The score of one model after one adaptation with one seed, and where it was computed.

    `samples_sha256` is the digest of its per-sample scores (`results.samples.samples_digest`), which lie beside the
    result file. `graph` is the model that gave them, adapted as it was, if it was kept as a file that anybody can run.
    """

    metrics: Metrics
    samples_sha256: Digest
    graph: Graph | None = None
    environment: Environment
    seconds: Seconds
    date: Moment


class Failure(Setting):
    """A cell that gave no score, and why, in one line."""

    reason: Text
    environment: Environment
    date: Moment


class Summary(Record):
    """The headline score of a run: the mean relative L2 error over its seeds and the test rows.

    `standard_deviation` is that between the seeds (divisor seeds - 1), None for a single seed. The interval, at 95 %,
    is for the mean over new draws of what it `covers`; `digits` is -log10 of the mean, None where that is 0.
    """

    mean: Error
    standard_deviation: IntervalEnd | None
    interval_low: IntervalEnd
    interval_high: IntervalEnd
    covers: Covers
    digits: FiniteFloat | None

    @model_validator(mode="after")
    def _interval_holds_the_mean(self) -> Self:
        slack = AGREEMENT * self.mean
        if not self.interval_low - slack <= self.mean <= self.interval_high + slack:
            raise ValueError(f"mean {self.mean!r} is outside {self.interval_low!r} to {self.interval_high!r}")
        return self


class ParameterScore(Record):
    """The mean relative L2 error over the test rows of one value of the varied parameter, and over the seeds."""

    parameter: Parameter
    rows: Positive
    mean: Error


class Run(Record):
    """One adaptation setting over all its seeds, derived from their cells.

    `by_parameter` is there for a system whose parameter takes whole numbers alone.
    """

    start: Start
    shots: Count
    seeds: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MOST_CELLS)]
    summary: Summary
    by_parameter: Annotated[tuple[ParameterScore, ...], Field(max_length=1000)] = ()


class ModelRecord(Record):
    """Which model was scored.

    `weights_sha256` is None for a model that has no file of weights of this package's; a module of any other code has
    `tensors_sha256` instead (`models.tensors.tensors_digest`), unless its weights are random ones. `fingerprint`, the
    digest of everything that its outputs depend on, is None where that cannot be known. `code_url` and `weights_at`
    say where its code and weights are, as whoever submitted it states. `training` states which rows the model was
    trained on before any adaptation; it is None where that is not known.
    """

    model_id: Text
    revision: Text | None
    weights_sha256: Digest | None
    fingerprint: Digest | None
    tensors_sha256: Digest | None = None
    parameters: Positive | None
    family: Text | None = None
    size: Text | None = None
    code_url: WebAddress | None = None
    weights_at: HubRevision | None = None
    training: TrainingManifest | None = None


class DatasetRecord(Record):
    """Which test rows were scored.

    `recipe_digest` is that of the draws behind the rows; `content_digest`, of the stored values, is there when the
    rows were read (`origin` "rows") from `location`, a repository id or a folder's name, rather than made.
    `sampling_seed` is that of the draws, 0 for all that is published; `parameter_range` is what the varied parameter is
    drawn from, for a regime that is not one of the benchmark's own, whose ranges are known. `train_rows`
    is the size of the train split that support sets are drawn from, `train_content_digest` that of its
    stored values as stated where they lie; they were held to it where a support set was drawn.
    """

    name: Text
    regime: Text
    version: Version
    sampling_seed: SamplingSeed = 0
    parameter_range: ParameterRange | None = None
    origin: Literal["recipe", "rows"]
    recipe_digest: Digest
    content_digest: Digest | None = None
    train_rows: Positive
    train_content_digest: Digest | None = None
    location: Text | None = None
    revision: Text | None = None

    @model_validator(mode="after")
    def _read_rows_have_a_content_digest(self) -> Self:
        if self.origin == "rows" and self.content_digest is None:
            raise ValueError("content_digest is missing, though the rows were read (origin 'rows')")
        return self

    @model_validator(mode="after")
    def _range_is_known(self) -> Self:
        known_range(system_of(self.name), self.regime, self.parameter_range)
        return self

    def scored_rows(self, count: int) -> ScoredRows:
        """Return the first rows of the test split, of which so many were scored."""
        system = system_of(self.name)
        return ScoredRows(
            key=SampleKey(system, self.regime, "test", self.version, self.sampling_seed),
            span=known_range(system, self.regime, self.parameter_range),
            count=count,
        )


_Each = TypeVar("_Each", bound=Setting)


def in_order(settings: tuple[_Each, ...]) -> tuple[_Each, ...]:
    """Return cells in the one order in which files have them, however they were put together."""
    return tuple(sorted(settings, key=lambda each: (each.shots, each.start, each.seed)))


class Result(Record):
    """The scores of one model on one task and track, with their provenance: the content of a result file.

    `cells` hold what was scored, `failures` what gave no finite score, `runs` what follows from the cells: one for each
    start and number of shots; `contamination` follows from the model's training manifest. `method` is how models were
    adapted, `division` what it is ranked among; `method_fingerprint`, the digest of all that a method of the open
    division depends on, is None where that cannot be known, and for the recipes, which the protocol's version tells.
    `deterministic` tells whether PyTorch was held to deterministic algorithms.
    """

    schema_version: Literal["2.0"] = SCHEMA_VERSION
    protocol_version: Positive
    task: Text
    track: TrackName
    resolution: Positive
    test_rows: Annotated[Positive, Field(ge=2)]
    division: Division
    method: Text
    method_fingerprint: Digest | None = None
    deterministic: bool
    model: ModelRecord
    dataset: DatasetRecord
    contamination: Contamination
    cells: Annotated[tuple[CellRecord, ...], Field(max_length=MOST_CELLS), AfterValidator(in_order)]
    failures: Annotated[tuple[Failure, ...], Field(max_length=MOST_CELLS), AfterValidator(in_order)] = ()
    runs: Annotated[tuple[Run, ...], Field(max_length=MOST_CELLS)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        expected = f"{self.dataset.name}/{self.dataset.regime}"
        if self.task != expected:
            raise ValueError(f"task is {self.task!r}, but the dataset record says {expected!r}")
        if self.track == "lite" and self.test_rows > LITE_TEST_ROWS:
            raise ValueError(f"test_rows is {self.test_rows}, but the lite track has at most {LITE_TEST_ROWS} rows")
        if self.track not in TRACKS:
            track = find_track(self.track)
            if self.resolution != track.resolution or self.test_rows > (track.test_rows or 0):
                raise ValueError(
                    f"resolution and test_rows are {self.resolution} and {self.test_rows}, not those of {self.track}"
                )
        if self.division != division_of(self.method):
            raise ValueError(f"division is {self.division!r}, but {self.method!r} is {division_of(self.method)!r}")
        if passes_for_a_division(self.method):
            raise ValueError(f"method is {self.method!r}, which would be taken for a division: it needs another name")
        if self.method_fingerprint is not None and self.division != "open":
            raise ValueError(
                f"method_fingerprint should be null for {self.method!r}, which the protocol's version tells"
            )
        if not self.cells and not self.failures:
            raise ValueError("cells is empty, and no failure says why")
        if again := duplicates(each.key for each in (*self.cells, *self.failures)):
            start, shots, seed = again[0]
            raise ValueError(
                f"cells and failures should be distinct, but {start}, {shots} shots, seed {seed} is there twice"
            )
        self._check_contamination()
        self._check_runs()
        return self

    def _check_contamination(self) -> None:
        """Hold the labels to the manifest that they are computed from; the shares of rows need the samples as well."""
        data = self.dataset
        standard = is_standard(self.task, self.track, data.version, self.test_rows, data.recipe_digest)
        if standard and data.sampling_seed:
            raise ValueError(
                f"sampling_seed is {data.sampling_seed}, but the rows (recipe digest) are those of sampling seed 0"
            )
        due = contamination_of(self.model.training, data.scored_rows(self.test_rows), None)
        for field in ("regime", "test_rows_seen"):
            found, right = getattr(self.contamination, field), getattr(due, field)
            if found != right:
                raise ValueError(f"contamination.{field} is {found!r}, but the training manifest gives {right!r}")
        counted = bool(self.cells) and self.model.training is not None
        for field in ("trained_share", "looked_at_share"):
            if (getattr(self.contamination, field) is not None) != counted:
                why = "is missing" if counted else "should be null: without manifest or scored cells there is none"
                raise ValueError(f"contamination.{field} {why}")

    def _check_runs(self) -> None:
        """Hold the runs to the cells that they are derived from."""
        expected: dict[tuple[Start, int], list[CellRecord]] = {}
        for cell in self.cells:
            expected.setdefault((cell.start, cell.shots), []).append(cell)
        given = [(run.start, run.shots) for run in self.runs]
        if given != list(expected):
            raise ValueError(f"runs should be those of the cells, {_settings(expected)}, not {_settings(given)}")
        for run in self.runs:
            name = f"{run.start}, {run.shots} shots"
            cells = expected[run.start, run.shots]
            seeds = tuple(cell.seed for cell in cells)
            if run.seeds != seeds:
                raise ValueError(f"seeds of {name} are {list(run.seeds)}, but those of the cells are {list(seeds)}")
            derived = {
                **headline([cell.metrics.relative_l2_mean for cell in cells]),
                "covers": covered(len(seeds)),
            }
            for field, value in derived.items():
                found = getattr(run.summary, field)
                if not agree(found, value, scale=1.0 if field == "digits" else run.summary.mean):
                    raise ValueError(f"summary.{field} of {name} is {found!r}, but the cells give {value!r}")

    def __repr__(self) -> str:
        """Return the scores in a line; `model_dump` has everything."""
        how = "" if self.division == "closed" else f", {self.method}"
        scores = "; ".join(f"{setting} {score}" for setting, _, score in self._scores()) or "no scores"
        return f"Result({self.model.model_id} on {self.task}, {self.track}{how}: {scores})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return the scores as a table, as notebooks show it."""
        title = f"{self.model.model_id} on {self.task} ({self.track}), relative ℓ² error with 95 % interval"
        return html_table(title, ("start, shots", "seeds", "error"), self._scores())

    def _scores(self) -> list[tuple[str, str, str]]:
        """Return start and shots, number of seeds, and error with its interval of each run, in words."""
        found = []
        for run in self.runs:
            low, high = run.summary.interval_low, run.summary.interval_high
            mean, lower, upper = with_spread(run.summary.mean, low, high, half_width=(high - low) / 2.0)
            setting = "zero-shot" if run.shots == 0 else f"{run.start}, {run.shots} shots"
            found.append((setting, str(len(run.seeds)), f"{mean} ({lower}–{upper})"))
        return found

    def to_pandas(self) -> "pd.DataFrame":
        """Return the scores as a data frame, a row for each run.

        Its columns are task, track, model, division, method, start, shots, seeds (how many), and those of the run's
        summary: mean, standard_deviation, interval_low, interval_high, covers and digits.

        Raises:
            UsageError: if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError("to_pandas needs pandas: pip install pandas") from error
        about = {
            "task": self.task,
            "track": self.track,
            "model": self.model.model_id,
            "division": self.division,
            "method": self.method,
        }
        names = (*about, "start", "shots", "seeds", *Summary.model_fields)
        rows = [
            {**about, "start": run.start, "shots": run.shots, "seeds": len(run.seeds), **run.summary.model_dump()}
            for run in self.runs
        ]
        return pd.DataFrame(rows, columns=list(names))

    @property
    def adaptation(self) -> tuple[str, str | None]:
        """The method and what it is known by: what two results must share to be by one way of adapting."""
        return self.method, self.method_fingerprint

    @property
    def versioned_method(self) -> str:
        """The method with the beginning of its fingerprint, where there are several of its name."""
        return f"{self.method} ({(self.method_fingerprint or 'unknown')[:8]})"

    def cells_of(self, run: Run) -> tuple[CellRecord, ...]:
        """Return the cells that a run sums up, by seed."""
        return tuple(cell for cell in self.cells if (cell.start, cell.shots) == (run.start, run.shots))

    def failed_seeds(self, run: Run) -> tuple[int, ...]:
        """Return the seeds of a run that gave no score: with some, the others are no fair sample."""
        return tuple(f.seed for f in self.failures if (f.start, f.shots) == (run.start, run.shots))

    def _outcomes(self) -> tuple[CellRecord | Failure, ...]:
        return *self.cells, *self.failures

    @property
    def date(self) -> datetime:
        """When the newest of its cells or failures was computed."""
        return max(each.date for each in self._outcomes())

    @property
    def seconds(self) -> float:
        """How long its cells took to compute, all together."""
        return math.fsum(cell.seconds for cell in self.cells)

    @property
    def environments(self) -> tuple[Environment, ...]:
        """What its cells were computed with, each once, that of the newest first."""
        newest_first = sorted(self._outcomes(), key=lambda each: each.date, reverse=True)
        found: list[Environment] = []
        for each in newest_first:
            if each.environment not in found:
                found.append(each.environment)
        return tuple(found)


def headline(errors: Sequence[float]) -> dict[str, float | None]:
    """Return mean, standard deviation between seeds and digits, of the mean error of each seed."""
    mean = statistics.fmean(errors)
    return {
        "mean": mean,
        "standard_deviation": math.hypot(*(error - mean for error in errors)) / math.sqrt(len(errors) - 1)
        if len(errors) > 1
        else None,
        "digits": -math.log10(mean) if mean > 0.0 else None,
    }


def covered(seeds: int) -> Covers:
    """Return what the interval of a run with so many seeds covers: from a single one nothing is known of others."""
    return "samples" if seeds == 1 else "seeds and samples"


def agree(given: object, derived: object, scale: float = 0.0) -> bool:
    """Tell whether a derived value in a file is what it should be, to `AGREEMENT` of it or of a larger `scale`."""
    if isinstance(given, float | int) and isinstance(derived, float | int):
        return math.isclose(given, derived, rel_tol=AGREEMENT, abs_tol=AGREEMENT * scale)
    return given == derived


def _settings(settings: Iterable[tuple[Start, int]]) -> str:
    return " and ".join(f"{start} with {shots} shots" for start, shots in settings) or "none"


def read_result(path: Path | str) -> Result:
    """Read and validate one result file, without the per-sample scores beside it.

    Raises:
        UsageError: there is no such file.
        PdefmError: it is not a valid result, the message names the file and the first offending field; or it was
            written by a newer package.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no result file at {path}")
    try:
        text = read_limited(path, RESULT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise PdefmError(f"{path} is not a result: it is not UTF-8 text") from error
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror}") from error
    try:
        result = Result.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise PdefmError(f"{path} {_what_is_wrong(error.errors(include_url=False))}") from error
    if (again := twice_in(text)) is not None:
        raise PdefmError(f"{path} is not a valid result: it holds {again!r:.80} twice in one place")
    if "schema_version" not in result.model_fields_set:  # the default is for code, never guessed for a file
        raise PdefmError(f"{path} is not a valid result: schema_version is missing")
    return result


def find_result_files(paths: Iterable[Path]) -> list[Path]:
    """Return result files: those that are named, and every `*.json` of the folders that are.

    Raises:
        UsageError: a folder has none.
        PdefmError: a folder in one of them is a link, or cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        found = result_files_under(path) if path.is_dir() else [path]
        if not found:
            raise UsageError(f"no result files (*.json) under {path}")
        files.extend(found)
    return files


def result_files_under(folder: Path) -> list[Path]:
    """Return every `*.json` in a folder and below, in order.

    Raises:
        PdefmError: a folder is a link, which may lead anywhere, or cannot be read: what is in it would be missing.
    """

    def refuse(error: OSError) -> None:
        raise PdefmError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    files = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        for name in folders:
            if Path(place, name).is_symlink():
                raise PdefmError(f"{Path(place, name)} is a link to a folder, which is not followed")
        files += [Path(place, name) for name in names if name.endswith(".json")]
    return sorted(files)


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
