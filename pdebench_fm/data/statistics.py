"""What a build measures of itself, regime by regime, for its card: written to `statistics.json` beside the manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, sqrt
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt, ValidationError

from pdebench_fm.contracts import Contract
from pdebench_fm.data.blocks import read_blocks
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import Manifest, Sha256, Split
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RECORD_BYTES, read_limited
from pdebench_fm.physics import Range, SampleKey, Samples
from pdebench_fm.physics.sampling import WEIGHT_RANGE
from pdebench_fm.physics.source import LATTICE
from pdebench_fm.physics.stream import uniforms

STATISTICS_NAME = "statistics.json"

SUM_TOLERANCE = 1e-9
"""Of a quantity's largest value: another machine may add in another order."""

_BINS = 20
_CENTRES = LATTICE * LATTICE


class FieldStatistics(Contract):
    """Moments of a field over all points of all rows."""

    mean: float
    standard_deviation: float
    rms: float
    minimum: float
    maximum: float


class ParameterStatistics(Contract):
    """The varied parameter over all rows, with a histogram: `counts[i]` rows between `edges[i]` and `edges[i + 1]`."""

    mean: float
    minimum: float
    maximum: float
    edges: tuple[float, ...]
    counts: tuple[NonNegativeInt, ...]


class RegimeStatistics(Contract):
    """What was measured of one regime.

    Attributes:
        regime, split, rows, content_digest: whose rows, as in the manifest.
        source, solution: the fields.
        parameter: the varied parameter.
        redrawn: the share of rows whose first draw was refused.
    """

    regime: str
    split: str
    rows: PositiveInt
    content_digest: Sha256
    source: FieldStatistics
    solution: FieldStatistics
    parameter: ParameterStatistics
    redrawn: float


class Statistics(Contract):
    """The content of `statistics.json`."""

    statistics_version: Literal[1] = 1
    dataset: str
    version: str
    regimes: tuple[RegimeStatistics, ...]


@dataclass
class _Moments:
    """Running sums of a field, in float64."""

    points: int = 0
    total: float = 0.0
    squares: float = 0.0
    minimum: float = inf
    maximum: float = -inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in (B, n, n) values."""
        rows = values.reshape(len(values), -1)
        self.points += rows.size
        self.total += float(rows.sum(dtype=np.float64))
        self.squares += float(np.einsum("bp,bp->b", rows, rows, dtype=np.float64, casting="same_kind").sum())
        self.minimum = min(self.minimum, float(rows.min()))
        self.maximum = max(self.maximum, float(rows.max()))

    def result(self) -> FieldStatistics:
        """Return the moments of everything taken in."""
        mean, square = self.total / self.points, self.squares / self.points
        return FieldStatistics(
            mean=mean,
            standard_deviation=sqrt(max(square - mean**2, 0.0)),
            rms=sqrt(square),
            minimum=self.minimum,
            maximum=self.maximum,
        )


@dataclass
class RegimeMeter:
    """Measures one split of a regime, block by block; what it keeps does not grow with the rows.

    Attributes:
        key: the names of the split's stream.
        rows: taken in so far.
    """

    key: SampleKey
    rows: int = 0
    _source: _Moments = field(default_factory=_Moments)
    _solution: _Moments = field(default_factory=_Moments)
    _total: float = 0.0
    _minimum: float = inf
    _maximum: float = -inf
    _redrawn: int = 0
    _counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """Start an empty histogram."""
        self._counts = np.zeros(len(parameter_edges(self.key.range)) - 1, np.int64)

    def add(self, samples: Samples) -> None:
        """Take in a block of rows."""
        parameter = samples.draws.parameter.astype(np.float64)
        self.rows += len(samples)
        self._source.add(samples.source)
        self._solution.add(samples.solution)
        self._total += float(parameter.sum())
        self._minimum = min(self._minimum, float(parameter.min()))
        self._maximum = max(self._maximum, float(parameter.max()))
        self._counts += np.histogram(parameter, parameter_edges(self.key.range))[0]
        if self.key.definition.solution_bound is not None:
            self._redrawn += int(was_redrawn(samples).sum())

    def result(self, split: Split) -> RegimeStatistics:
        """Return what was measured of the rows of this split."""
        return RegimeStatistics(
            regime=split.regime,
            split=split.split,
            rows=self.rows,
            content_digest=split.content_digest,
            source=self._source.result(),
            solution=self._solution.result(),
            parameter=ParameterStatistics(
                mean=self._total / self.rows,
                minimum=self._minimum,
                maximum=self._maximum,
                edges=tuple(parameter_edges(self.key.range).tolist()),
                counts=tuple(self._counts.tolist()),
            ),
            redrawn=self._redrawn / self.rows,
        )


def was_redrawn(samples: Samples) -> NDArray[np.bool_]:
    """Return which rows come from a later attempt than the first, (B,): their weights are not those of the first.

    Rows do not store the attempt. The candidates for the weights are the second 144 numbers of an attempt's window.
    """
    draws = samples.draws
    window = uniforms(draws.key.philox_key, draws.indices, 0)
    first = WEIGHT_RANGE.at(window[:, _CENTRES : 2 * _CENTRES]).astype(np.float32)
    weights = draws.weights.reshape(len(draws), -1)
    redrawn: NDArray[np.bool_] = ~((weights == 0) | (weights == first)).all(axis=1)
    return redrawn


def measured_split(manifest: Manifest, regime: str) -> Split:
    """Return the split that a regime is measured by: test, which costs a tenth of train, or its first without one."""
    splits = [split for split in manifest.splits if split.regime == regime]
    return next((split for split in splits if split.split == "test"), splits[0])


def measure(manifest: Manifest, folder: Path, known: Statistics | None = None) -> Statistics:
    """Measure every regime of a finished build by one pass over its shards.

    Args:
        manifest: of the build.
        folder: that holds its shards.
        known: statistics made before; a regime whose content digest is the same is not measured again.

    Raises:
        PdefmError: if a shard cannot be read.
    """
    dataset = find_dataset(manifest.dataset)
    made = {(item.regime, item.content_digest): item for item in (known.regimes if known else ())}
    regimes: list[RegimeStatistics] = []
    for regime in dict.fromkeys(split.regime for split in manifest.splits):
        split = measured_split(manifest, regime)
        held = made.get((regime, split.content_digest))
        if held is None:
            meter = RegimeMeter(dataset.key(regime, split.split, manifest.version, manifest.seed))
            _read_into(meter, folder, [shard.path for shard in split.shards], manifest.resolution)
            held = meter.result(split)
        regimes.append(held)
    return Statistics(dataset=manifest.dataset, version=manifest.version, regimes=tuple(regimes))


def first_difference(stated: RegimeStatistics, found: RegimeStatistics) -> str | None:
    """Return in words the first number on which two measurements of a split differ; None if they agree.

    Sums may differ in the last digits between machines, by `SUM_TOLERANCE` of the largest value.
    """
    for name in ("source", "solution", "parameter"):
        one, other = getattr(stated, name).model_dump(), getattr(found, name).model_dump()
        allowed = SUM_TOLERANCE * max(abs(other["minimum"]), abs(other["maximum"]))
        for item, value in one.items():
            if np.shape(value) != np.shape(other[item]) or not np.allclose(value, other[item], rtol=0.0, atol=allowed):
                return f"{name} {item} is {value}, the rows have {other[item]}"
    for item in ("rows", "redrawn"):
        if getattr(stated, item) != getattr(found, item):
            return f"{item} is {getattr(stated, item)}, the rows have {getattr(found, item)}"
    return None


def read_statistics(folder: Path) -> Statistics | None:
    """Return the statistics of a dataset's folder; None if it has none.

    Raises:
        PdefmError: if the file is damaged.
    """
    path = folder / STATISTICS_NAME
    try:
        return Statistics.model_validate_json(read_limited(path, RECORD_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise PdefmError(f"{path} is damaged: remove it and build again to measure anew") from error


def write_statistics(statistics: Statistics, folder: Path) -> Path:
    """Write `statistics.json` atomically."""
    path = folder / STATISTICS_NAME
    write_atomically(path, statistics.model_dump_json(indent=2) + "\n")
    return path


def _read_into(meter: RegimeMeter, folder: Path, shards: Sequence[str], resolution: int) -> None:
    """Pass all rows of these shards through a meter."""
    for shard in shards:
        try:
            for block in read_blocks(folder / shard, meter.key, resolution):
                meter.add(block)
        except PdefmError as error:
            raise PdefmError(f"cannot measure {folder / shard}: {error}") from error


def parameter_edges(parameter: Range) -> NDArray[np.float64]:
    """Return the histogram's edges: one bin for each integer, or equal bins of the float32 range."""
    if parameter.integer:
        return np.arange(parameter.low, parameter.high + 2.0) - 0.5
    return np.linspace(float(np.float32(parameter.low)), float(np.float32(parameter.high)), _BINS + 1)
