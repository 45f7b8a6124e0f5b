"""What is checked of every row, and of a sample of rows, of a stored dataset: one small declared object for each check.

A check measures something of each row of a block and says how large it may be. What a row holds is compared with its
own recipe, drawn again from its position: nothing is judged by how usual it looks among its neighbours.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.data.verification.explained import Values, amplification, residual_limit, squares
from pdebench_fm.physics import (
    REFERENCE_RESOLUTION,
    Draws,
    Samples,
    System,
    advection_diffusion_ratio,
    relative_residual,
)
from pdebench_fm.physics.sampling import build_fields

FIELD_TOLERANCE = 2e-6
"""Of the field's maximum: another machine's BLAS, FFT or libm may change the last float32 digit of a remade field."""

COEFFICIENT_TOLERANCE = 1e-6
"""Of the coefficient vector's norm, for the same reason: they come from sines and cosines."""

RATIO_TOLERANCE = 1e-5
"""Relative, of Ψ recomputed from stored fields; rounding fields and coefficients to float32 accounts for 1e-6."""

AMPLIFICATION_TOLERANCE = 1e-4
"""Relative, of ‖u‖/‖f‖ against the sum over the modes that carry almost all of the source: 7e-6 is what they miss."""

SPAN_TOLERANCE = 0.05
"""Of max f − min f, which is 1 on the reference grid; a coarser one misses the peak by up to 0.034."""

_EXAMPLES = 3  # failing rows that a message describes


@dataclass(frozen=True)
class Check:
    """One thing that was checked: whether it holds, and what was seen, or what is wrong and where."""

    name: str
    passed: bool
    detail: str

    @classmethod
    def of(cls, name: str, problems: Sequence[str], summary: str, count: int = 0) -> "Check":
        """Return the verdict on something with these problems, or the first of `count`; `summary` if there are none."""
        shown = list(problems[:_EXAMPLES])
        more = max(count, len(problems)) - len(shown)
        return cls(name, not problems, "; ".join(shown) + (f"; and {more} more" if more else "") if shown else summary)


@dataclass(frozen=True)
class Block:
    """Rows of one shard.

    Attributes:
        shard: path in the dataset's folder; `rows`: (B,) the rows' places in it.
        stored: what the shard holds; `expected`: the recipes that belong to those positions.
    """

    shard: str
    rows: Sequence[int]
    stored: Samples
    expected: Draws

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.stored)

    @property
    def system(self) -> System:
        """The system the rows are of."""
        return self.expected.key.definition

    def row(self, row: int) -> "Block":
        """Return one row as a block, for calculations that need memory."""
        one = slice(row, row + 1)
        stored = Samples(_row_of(self.stored.draws, one), self.stored.source[one], self.stored.solution[one])
        return Block(self.shard, self.rows[one], stored, _row_of(self.expected, one))


@dataclass(frozen=True)
class Finding:
    """What a check measured of one column: a row passes where its value is at most its limit (NaN never is).

    Attributes:
        column: of the row schema.
        values: (B,); `limits`: (B,) or one for all.
        wording: what is wrong with a row that fails, with places for `{value}` and `{limit}`.
    """

    column: str
    values: Values
    limits: Values | float
    wording: str


@dataclass(frozen=True)
class RowCheck:
    """One check.

    Attributes:
        name: as reports show it.
        measure: what it looks at in a block.
        summary: what holds when all rows pass, with a place for the `{value}` nearest to its `{limit}`.
        sampled: whether it is costly and made of a sample of rows only.
        systems: to which it applies; empty for all.
    """

    name: str
    measure: Callable[[Block], Iterable[Finding]]
    summary: str
    sampled: bool = False
    systems: tuple[str, ...] = ()


@dataclass
class Tally:
    """What a check found so far: counts and a few examples, so that it does not grow with the rows."""

    check: RowCheck
    rows: int = 0
    failures: int = 0
    examples: list[str] = field(default_factory=list)
    worst: tuple[float, float, float] = (-1.0, 0.0, 0.0)

    def add(self, block: Block) -> None:
        """Check the rows of a block."""
        self.rows += len(block)
        with np.errstate(all="ignore"):
            for finding in self.check.measure(block):
                self._add_finding(block, finding)

    def _add_finding(self, block: Block, finding: Finding) -> None:
        limits = np.broadcast_to(np.asarray(finding.limits, np.float64), finding.values.shape)
        failed = np.flatnonzero(~(finding.values <= limits))
        self.failures += len(failed)
        for row in failed[: _EXAMPLES - len(self.examples)]:
            wrong = finding.wording.format(value=finding.values[row], limit=limits[row])
            self.examples.append(f"{block.shard} row {block.rows[row]}, column {finding.column}: {wrong}")
        used = np.where(limits > 0, finding.values / np.where(limits > 0, limits, 1.0), 0.0)
        row = int(np.argmax(used))
        self.worst = max(self.worst, (float(used[row]), float(finding.values[row]), float(limits[row])))

    def verdict(self) -> Check:
        """Return the outcome for all rows taken in."""
        summary = self.check.summary.format(value=self.worst[1], limit=self.worst[2])
        return Check.of(self.check.name, self.examples, f"{self.rows} rows: {summary}", self.failures)


def _order(block: Block) -> Iterator[Finding]:
    off = np.abs(block.stored.draws.indices - block.expected.indices).astype(np.float64)
    yield Finding("index", off, 0.0, "is off by {value:.0f} from the row's position in its split")


def _finite(block: Block) -> Iterator[Finding]:
    for column, values in _float_columns(block.stored):
        count = (~np.isfinite(values)).sum(axis=tuple(range(1, values.ndim)), dtype=np.float64)
        yield Finding(column, count, 0.0, "{value:.0f} values are NaN or infinite")


def _constant(block: Block) -> Iterator[Finding]:
    for column, values in _fields(block.stored):
        constant = (values.max(axis=(1, 2)) == values.min(axis=(1, 2))).astype(np.float64)
        yield Finding(column, constant, 0.0, "has the same value at every point")


def _outlying(block: Block) -> Iterator[Finding]:
    """Compare the size of fields with what the row's own weights and coefficients explain."""
    source, solution = block.stored.source, block.stored.solution
    span = source.max(axis=(1, 2)).astype(np.float64) - source.min(axis=(1, 2))
    yield Finding("source", np.abs(span - 1.0), SPAN_TOLERANCE, "max f − min f differs from 1 by {value:.3g}")
    stored = np.sqrt(squares(solution) / squares(source))
    explained = amplification(block.system, block.stored.draws, solution.shape[-1])
    off = np.abs(stored / explained - 1.0)
    wording = "‖u‖/‖f‖ differs from what the row's weights and coefficients explain by {value:.3g} of it"
    yield Finding("solution", off, AMPLIFICATION_TOLERANCE, wording)
    if (bound := block.system.solution_bound) is not None:
        step = max(1, solution.shape[-1] // REFERENCE_RESOLUTION)
        largest = np.abs(solution[:, ::step, ::step]).max(axis=(1, 2)).astype(np.float64)
        yield Finding("solution", largest, bound * (1.0 + FIELD_TOLERANCE), "max|u| is {value:.4g}, above {limit:.4g}")


def _parameter_range(block: Block) -> Iterator[Finding]:
    allowed = block.expected.key.range
    parameter = block.stored.draws.parameter.astype(np.float64)
    low, high = float(np.float32(allowed.low)), float(np.float32(allowed.high))
    outside = np.maximum(np.maximum(low - parameter, parameter - high), 0.0)
    yield Finding("parameter", outside, 0.0, f"lies {{value:.4g}} outside {allowed}")
    if allowed.integer:
        yield Finding("parameter", np.abs(parameter - np.round(parameter)), 0.0, "is not an integer")


def _sparsity(block: Block) -> Iterator[Finding]:
    off = _largest_difference(block.stored.draws.sparsity, block.expected.sparsity)
    yield Finding("sparsity", off, 0.0, "differs by {value:.3g} from the level of the row's index modulo 4")


def _draws(block: Block) -> Iterator[Finding]:
    stored, expected = block.stored.draws, block.expected
    for column in ("weights", "parameter"):
        off = _largest_difference(getattr(stored, column), getattr(expected, column))
        yield Finding(column, off, 0.0, "differs from its draw by {value:.3g}")
    difference = stored.coefficients.astype(np.float64) - expected.coefficients
    relative = np.linalg.norm(difference, axis=1) / np.linalg.norm(expected.coefficients.astype(np.float64), axis=1)
    wording = "differs from its draw by {value:.3g} of its norm ({limit:.0e} is allowed)"
    yield Finding("coefficients", relative, COEFFICIENT_TOLERANCE, wording)


def _remade(block: Block) -> Iterator[Finding]:
    draws = block.stored.draws
    weights, coefficients = draws.weights.astype(np.float64), draws.coefficients.astype(np.float64)
    made = build_fields(block.system, weights, coefficients, block.stored.source.shape[-1])
    wording = (
        "differs from the field of its weights and coefficients by {value:.3g} of the maximum ({limit:.0e} allowed)"
    )
    for (column, stored), field_made in zip(_fields(block.stored), made, strict=True):
        off = np.abs(stored - field_made).max(axis=(1, 2)) / np.abs(field_made).max(axis=(1, 2))
        yield Finding(column, off, FIELD_TOLERANCE, wording)


def _residual(block: Block) -> Iterator[Finding]:
    source = block.stored.source.astype(np.float64)
    solution = block.stored.solution.astype(np.float64)
    coefficients = block.stored.draws.coefficients.astype(np.float64)
    values = relative_residual(source, solution, coefficients, block.system.symbol)
    wording = "‖Lu − f‖/‖f‖ is {value:.3g}, more than the {limit:.3g} that float32 storage explains"
    yield Finding("solution", values, residual_limit(block.system, block.stored), wording)


def _ratio(block: Block) -> Iterator[Finding]:
    solution = block.stored.solution.astype(np.float64)
    ratio = advection_diffusion_ratio(solution, block.stored.draws.coefficients.astype(np.float64))
    off = np.abs(ratio / block.stored.draws.parameter - 1.0)
    yield Finding("parameter", off, RATIO_TOLERANCE, "Ψ of the stored solution differs from it by {value:.3g} of it")


INDEX = RowCheck("index", _order, "0, 1, 2, … in every split")
SPARSITY = RowCheck("sparsity", _sparsity, "the level of the index modulo 4")
DRAWS = RowCheck("draws", _draws, "weights and parameter exactly, coefficients to {limit:.0e}")
REMADE = RowCheck("fields remade", _remade, "to {value:.1e} of the maximum ({limit:.0e} allowed)", sampled=True)

ROW_CHECKS: tuple[RowCheck, ...] = (
    INDEX,
    RowCheck("finite values", _finite, "no NaN and no infinity"),
    RowCheck("constant fields", _constant, "no field is constant"),
    RowCheck("outlying fields", _outlying, "every source and solution has the size that its recipe explains"),
    RowCheck("parameter range", _parameter_range, "all inside their regime's range"),
    SPARSITY,
    DRAWS,
    REMADE,
    RowCheck("residual", _residual, "‖Lu − f‖/‖f‖ at most {value:.1e} ({limit:.1e} allowed there)", sampled=True),
    RowCheck("ratio Ψ", _ratio, "to {value:.1e} ({limit:.0e} allowed)", sampled=True, systems=("advection-diffusion",)),
)


def _fields(samples: Samples) -> tuple[tuple[str, NDArray[np.float32]], ...]:
    return ("source", samples.source), ("solution", samples.solution)


def _float_columns(samples: Samples) -> tuple[tuple[str, NDArray[np.float32]], ...]:
    draws = samples.draws
    names = ("coefficients", "parameter", "sparsity", "weights")
    return (*_fields(samples), *((name, getattr(draws, name)) for name in names))


def _largest_difference(stored: NDArray[np.float32], expected: NDArray[np.float32]) -> Values:
    off: Values = np.abs(stored.astype(np.float64) - expected).reshape(len(stored), -1).max(axis=1)
    return off


def _row_of(draws: Draws, one: slice) -> Draws:
    names = ("indices", "attempts", "weights", "sparsity", "parameter", "latents", "coefficients")
    return replace(draws, **{name: getattr(draws, name)[one] for name in names})
