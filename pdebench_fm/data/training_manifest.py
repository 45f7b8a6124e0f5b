"""The training manifest: which rows of which streams a model saw, stated so exactly that others can compute with it.

It is a part of a model's `training.json`, and travels with every result of the model. What it means for a task, whether
the model knows the task's regime or even its test rows, is never stated in it: `protocol.contamination` computes that.
"""

import hashlib
import json
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pdebench_fm.contracts import VERSION_PATTERN, Contract, first_problem, twice_in
from pdebench_fm.data.catalogue import benchmark_range, find_system
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RECORD_BYTES, RESOLUTION, STREAM_ROWS, TRAINING_STREAMS, read_limited
from pdebench_fm.physics import SYSTEMS, Range, SampleKey
from pdebench_fm.physics.registry import is_reserved

Name = Annotated[str, StringConstraints(max_length=40, pattern="^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
"""Of a system or a regime, as `register_system` takes them."""

_Bound = Annotated[FiniteFloat, Field(ge=-1e12, le=1e12)]
SEEDS = 2**53
"""Sampling seeds lie below this in size, where every program that reads JSON has them all."""


class ParameterRange(Contract):
    """What the varied parameter of a regime is drawn from, uniformly; of integers with both ends."""

    low: _Bound
    high: _Bound
    integer: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low should not be above high, and {self.low:g} is above {self.high:g}")
        if self.integer and (self.low != int(self.low) or self.high != int(self.high)):
            raise ValueError(
                f"a range of integers should have whole numbers as ends, not {self.low:g} and {self.high:g}"
            )
        return self

    @property
    def span(self) -> Range:
        """The same as the physics has it."""
        return Range(self.low, self.high, self.integer)


def stated_range(system: str, regime: str, span: Range) -> ParameterRange | None:
    """Return a regime's range as a file has to state it: none for the benchmark's own, whose ranges are known."""
    if benchmark_range(system, regime) is not None:
        return None
    return ParameterRange(low=span.low, high=span.high, integer=span.integer)


def _meant(system: str) -> str:
    """Return which system a name may have been meant for, in words; "" where it is one."""
    near = [] if system in SYSTEMS else get_close_matches(system, SYSTEMS, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def known_range(system: str, regime: str, stated: ParameterRange | None) -> Range:
    """Return the range of a regime of which a file states this.

    Raises:
        ValueError: if it states none for a regime that is not the benchmark's, or another one for one that is.
    """
    own = benchmark_range(system, regime)
    if own is None and is_reserved(system):
        what = "a family of models" if system == "mixed" else "a dataset"
        raise ValueError(f"system is {system!r}, the name of {what}: name a system, such as {', '.join(SYSTEMS)}")
    if own is None:
        if stated is None:
            raise ValueError(
                f"parameter_range is missing: {system}/{regime} is no regime of the benchmark{_meant(system)}, so say "
                "what its varied parameter is drawn from"
            )
        return stated.span
    if stated is not None and stated.span != own:
        raise ValueError(f"parameter_range is {stated.span}, but that of {system}/{regime} is {own}: leave it out")
    return own


class Stream(Contract):
    """Consecutive rows of one stream of samples, and on which grid they were seen.

    Attributes:
        system, regime, split, data_version, seed: the names that determine the stream, see `SampleKey`.
        start, stop: rows with indices start … stop − 1.
        resolution: points a side.
        parameter_range: of the varied parameter, for a regime that is not one of the benchmark's own.
    """

    system: Name
    regime: Name
    split: Literal["train", "validation", "test"]
    data_version: Annotated[str, StringConstraints(max_length=40, pattern=f"^{VERSION_PATTERN}$")]
    seed: Annotated[int, Field(gt=-SEEDS, lt=SEEDS)] = 0
    start: Annotated[int, Field(ge=0, lt=STREAM_ROWS)]
    stop: Annotated[int, Field(ge=1, le=STREAM_ROWS)]
    resolution: Annotated[int, Field(ge=1, le=RESOLUTION)]
    parameter_range: ParameterRange | None = None

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.stop <= self.start:
            raise ValueError(f"stop should be above start, but rows {self.start} to {self.stop} are none")
        known_range(self.system, self.regime, self.parameter_range)
        return self

    @property
    def span(self) -> Range:
        """What the varied parameter is drawn from."""
        return known_range(self.system, self.regime, self.parameter_range)

    @property
    def key(self) -> SampleKey:
        """The stream."""
        return SampleKey(self.system, self.regime, self.split, self.data_version, self.seed)


def _in_order(streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    """Return streams in the one order in which files have them; a `ValueError` if one is there twice."""
    ordered = sorted(streams, key=lambda s: (s.system, s.regime, s.split, s.seed, s.start, s.stop, s.model_dump_json()))
    for stream, following in pairwise(ordered):
        if stream == following:
            raise ValueError(f"rows {stream.start} to {stream.stop} of {stream.system}/{stream.regime} are there twice")
    return tuple(ordered)


_Streams = Annotated[tuple[Stream, ...], Field(max_length=TRAINING_STREAMS), AfterValidator(_in_order)]


class TrainingManifest(Contract):
    """All rows that had a part in making a model.

    Attributes:
        trained: rows that its weights were fitted to, or statistics in its configuration taken from.
        looked_at: rows not trained on that settings were chosen by, or progress watched on.
    """

    trained: _Streams = ()
    looked_at: _Streams = ()

    @model_validator(mode="after")
    def _regimes_have_one_range(self) -> Self:
        ranges: dict[tuple[str, str, str], Range] = {}
        for stream in (*self.trained, *self.looked_at):
            first = ranges.setdefault((stream.system, stream.regime, stream.data_version), stream.span)
            if stream.span != first:
                raise ValueError(
                    f"{stream.system}/{stream.regime} has two ranges, {first} and {stream.span}: a regime has one, so "
                    "give the other a name of its own"
                )
        return self

    @property
    def digest(self) -> str:
        """The SHA-256 of what it states."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_manifest(path: Path) -> TrainingManifest | None:
    """Return the manifest in a `training.json`, the value of its key `manifest`; whatever else is there is passed over.

    Returns:
        The manifest; None if there is no such file, or it states none.

    Raises:
        PdefmError: if the file is none of JSON, or too large, or its manifest is not one.
    """
    try:
        content = read_limited(path, RECORD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        manifest = _Holder.model_validate_json(content, strict=True).manifest
    except ValidationError as error:
        raise PdefmError(f"{path} holds no training manifest: {first_problem(error)}") from error
    if manifest is None and (outside := [key for key in TrainingManifest.model_fields if key in json.loads(content)]):
        raise PdefmError(f"{path} holds no training manifest: {outside[0]!r} belongs inside an object 'manifest'")
    if (again := twice_in(content)) is not None:
        raise PdefmError(f"{path} holds no training manifest: {again!r:.80} is there twice in one place")
    return manifest


def required_manifest(path: Path) -> TrainingManifest:
    """Return the manifest in a file that a user has named.

    Raises:
        UsageError: if there is no such file, or no manifest in it.
        PdefmError: as `read_manifest` does.
    """
    if not path.is_file():
        raise UsageError(f"no training manifest at {path}: name a training.json with the key 'manifest'")
    manifest = read_manifest(path)
    if manifest is None:
        raise UsageError(f"{path} states no training manifest: it has no key 'manifest'")
    return manifest


def write_manifest(manifest: TrainingManifest, path: Path) -> None:
    """Write a `training.json` that holds nothing but a manifest; raises a `PdefmError` if that fails."""
    write_atomically(path, _Holder(manifest=manifest).model_dump_json(indent=2, exclude_none=True) + "\n")


class _Holder(BaseModel):
    """A `training.json` as far as it is of interest here."""

    model_config = ConfigDict(extra="ignore")

    manifest: TrainingManifest | None = None


def stream_of(key: SampleKey, rows: range, resolution: int) -> Stream:
    """Return rows of a stream, seen at a resolution."""
    return Stream(
        system=key.system,
        regime=key.regime,
        split=key.split,
        data_version=key.version,
        seed=key.seed,
        start=rows.start,
        stop=rows.stop,
        resolution=resolution,
        parameter_range=stated_range(key.system, key.regime, find_system(key.system).regimes[key.regime]),
    )


def in_words(streams: Iterable[Stream]) -> str:
    """Return streams as a person would say them, such as "rows 0–479,999 of poisson/pretrain, train, at 64×64"."""
    return "; ".join(
        f"rows {s.start:,}–{s.stop - 1:,} of {s.system}/{s.regime}"
        + (f" ({s.span})" if s.parameter_range is not None else "")
        + f", {s.split}, data {s.data_version}"
        + (f", sampling seed {s.seed}" if s.seed else "")
        + f", at {s.resolution}×{s.resolution}"
        for s in streams
    )
