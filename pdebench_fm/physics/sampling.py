"""Sampling as a pure function: (system, regime, split, version, seed) and an index give a recipe, and a recipe a row.

Everything a row stores is rounded to float32 *at the draw*, before the equation is solved: the stored weights and
coefficients are exactly the ones the solution belongs to, so a row can be rebuilt from itself at any resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from pdebench_fm.errors import PdefmError, unknown_name
from pdebench_fm.physics.operator import WaveNumbers, reciprocal
from pdebench_fm.physics.registry import registered_system
from pdebench_fm.physics.source import (
    LATTICE,
    REFERENCE_RESOLUTION,
    Array,
    Float64,
    normalisation,
    raw_source,
    raw_source_spectrum,
)
from pdebench_fm.physics.stream import philox_key, uniforms
from pdebench_fm.physics.systems import Drawn, Range, System

WEIGHT_RANGE = Range(1e-3, 1.0)
MAXIMUM_ATTEMPTS = 200
"""Draws of one sample, after which its system's bound on solutions is taken to be out of reach."""
SPLITS = ("train", "validation", "test")

_CENTRES = LATTICE * LATTICE
_PARAMETER_WORD = 2 * _CENTRES + 1  # after activity, weight and the choice of the last resort
_CHUNK = 8  # samples solved together: large enough to hide call overhead, small enough for the second-level cache

Float32: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class SampleKey:
    """The names that determine a stream of samples.

    Attributes:
        system: a name in `SYSTEMS`; `regime`: one of its regimes; `split`: train, validation or test.
        version: the dataset's semantic version; only its major number changes bits, so only that enters the stream.
        seed: 0 for everything published; a verifier's private seed gives a fresh split.
    """

    system: str
    regime: str
    split: str
    version: str = "1.0.0"
    seed: int = 0

    @property
    def definition(self) -> System:
        """The system's declaration; a `UsageError` if nothing of this name is registered."""
        return registered_system(self.system)

    @property
    def range(self) -> Range:
        """The varied parameter's range; a `UsageError` if the system has no such regime."""
        regimes = self.definition.regimes
        if self.regime not in regimes:
            raise unknown_name(f"regime of {self.system}", self.regime, regimes)
        return regimes[self.regime]

    @property
    def philox_key(self) -> int:
        """The key of this stream's generator."""
        return philox_key(self.system, self.regime, self.split, self.version.split(".")[0], str(self.seed))


@dataclass(frozen=True)
class Draws:
    """The recipes of a batch of samples.

    Attributes:
        key: where they were drawn from.
        indices: (B,) int64; `attempts`: (B,) int64, how many earlier draws of this index were refused.
        weights: (B, 12, 12) float32, the Gaussians' weights, indexed `[y, x]`.
        sparsity: (B,) float32; `parameter`: (B,) float32; `latents`: (B, q) float64 in the system's order.
        coefficients: (B, 6) float32.
    """

    key: SampleKey
    indices: Indices
    attempts: Indices
    weights: Float32
    sparsity: Float32
    parameter: Float32
    latents: Float64
    coefficients: Float32

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.indices)


@dataclass(frozen=True)
class Samples:
    """Rows of a dataset: recipes and the fields made from them.

    Attributes:
        draws: the recipes, B of them.
        source: (B, n, n) float32; `solution`: (B, n, n) float32.
    """

    draws: Draws
    source: Float32
    solution: Float32

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.draws)


def draw(key: SampleKey, indices: Sequence[int] | Indices) -> Draws:
    """Draw the recipes of the samples with these indices.

    Where the system bounds its solution (Helmholtz, near a resonance), a sample whose max|u| exceeds the bound on the
    128×128 reference grid is drawn again, from the next window of its own stream.

    Args:
        key: names of the stream.
        indices: nonnegative, in any order and number.

    Raises:
        UsageError: if there is no such system or regime.
        PdefmError: if no draw of a sample meets the system's bound.
    """
    return _draw_and_solve(key, np.asarray(indices, dtype=np.int64))[0]


def realise(draws: Draws, resolution: int = REFERENCE_RESOLUTION) -> Samples:
    """Build the fields of these recipes on a grid of `resolution` points a side."""
    system = draws.key.definition
    shape = (len(draws), resolution, resolution)
    source, solution = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for start in range(0, len(draws), _CHUNK):
        rows = slice(start, start + _CHUNK)
        weights = draws.weights[rows].astype(np.float64)
        coefficients = draws.coefficients[rows].astype(np.float64)
        source[rows], solution[rows] = build_fields(system, weights, coefficients, resolution)
    return Samples(draws, source, solution)


def sample(key: SampleKey, indices: Sequence[int] | Indices, resolution: int = REFERENCE_RESOLUTION) -> Samples:
    """Draw recipes and build their fields; the bits do not depend on how indices are batched or ordered."""
    draws, fields = _draw_and_solve(key, np.asarray(indices, dtype=np.int64))
    if fields is not None and resolution == REFERENCE_RESOLUTION:
        return Samples(draws, *fields)
    return realise(draws, resolution)


def build_fields(system: System, weights: Array, coefficients: Array, resolution: int) -> tuple[Array, Array]:
    """Return the source and solution, each (B, n, n) float64, of weights (B, 12, 12) and coefficients (B, 6).

    The solution's spectrum is f̂ / symbol with f̂ from the separable form of the source, so that one inverse transform
    is all the solution costs. An exactly resonant mode is taken out of the source too. Weights and coefficients are
    float64 arrays of one kind, on any device that has float64; the fields are made there.
    """
    xp = array_namespace(weights)
    n, width = resolution, system.source_width
    reference = raw_source(weights, REFERENCE_RESOLUTION, width)
    scale, offset = normalisation(weights, reference, zero_mean=system.zero_mean, width=width)
    source = reference if n == REFERENCE_RESOLUTION else raw_source(weights, n, width)
    source *= scale[:, None, None]
    source -= offset[:, None, None]
    spectrum = raw_source_spectrum(weights * scale[:, None, None], n, width=width)
    spectrum[:, 0, 0] -= offset * n**2
    symbol = system.symbol(WaveNumbers.of_grid(n).like(coefficients), coefficients)
    source = _without_resonance(source, spectrum, symbol)
    spectrum *= reciprocal(symbol)
    return source, xp.fft.irfftn(spectrum, s=(n, n), axes=(-2, -1))


def _without_resonance(source: Array, spectrum: Array, symbol: Array) -> Array:
    """Return the source without the modes on which the operator vanishes (the mean is dealt with already)."""
    xp = array_namespace(source)
    resonant = symbol == 0
    resonant[:, 0, 0] = False
    if not bool(xp.any(resonant)):
        return source
    n = source.shape[-1]
    removed = xp.where(resonant, spectrum, xp.zeros_like(spectrum))
    return source - xp.fft.irfftn(removed, s=(n, n), axes=(-2, -1))


def _draw_and_solve(key: SampleKey, indices: Indices) -> tuple[Draws, tuple[Float32, Float32] | None]:
    """Draw, refusing where the system bounds its solution; return the reference fields if they had to be made."""
    if indices.ndim != 1 or (len(indices) and indices.min() < 0):
        raise ValueError("indices must be a one-dimensional sequence of nonnegative integers")
    draws = _attempt(key, indices, 0)
    bound = key.definition.solution_bound
    if bound is None:
        return draws, None
    samples = realise(draws)
    source, solution = samples.source, samples.solution
    attempt = 0
    while len(refused := np.flatnonzero(np.maximum(solution.max(axis=(1, 2)), -solution.min(axis=(1, 2))) > bound)):
        attempt += 1
        if attempt == MAXIMUM_ATTEMPTS:
            row = f"row {indices[refused[0]]} of {key.system}/{key.regime}, {key.split}"
            raise PdefmError(f"{row}: max|u| exceeds the bound {bound:g} in each of {attempt} draws")
        again = realise(_attempt(key, indices[refused], attempt))
        draws = _replace_rows(draws, refused, again.draws)
        source[refused], solution[refused] = again.source, again.solution
    return draws, (source, solution)


def _attempt(key: SampleKey, indices: Indices, attempt: int) -> Draws:
    """Return the recipes of one attempt, without any check on the solution."""
    system = key.definition
    u = uniforms(key.philox_key, indices, attempt)
    sparsity = np.asarray(system.sparsities)[indices % len(system.sparsities)]
    active = u[:, :_CENTRES] < (1.0 - sparsity)[:, None]
    last_resort = np.floor(u[:, 2 * _CENTRES] * _CENTRES).astype(np.int64)
    empty = ~active.any(axis=1)
    active[empty, last_resort[empty]] = True
    weights = np.where(active, WEIGHT_RANGE.at(u[:, _CENTRES : 2 * _CENTRES]), 0.0).astype(np.float32)
    weights = weights.reshape(-1, LATTICE, LATTICE)
    parameter = key.range.at(u[:, _PARAMETER_WORD]).astype(np.float32)
    latents = [latent.at(u[:, _PARAMETER_WORD + 1 + i]) for i, latent in enumerate(system.latents.values())]
    drawn = Drawn(
        parameter.astype(np.float64),
        dict(zip(system.latents, latents, strict=True)),
        weights.astype(np.float64),
    )
    return Draws(
        key=key,
        indices=indices,
        attempts=np.full(len(indices), attempt, np.int64),
        weights=weights,
        sparsity=sparsity.astype(np.float32),
        parameter=parameter,
        latents=np.stack(latents, axis=1) if latents else np.empty((len(indices), 0)),
        coefficients=system.coefficients(drawn).astype(np.float32),
    )


def _replace_rows(draws: Draws, rows: Indices, other: Draws) -> Draws:
    """Return `draws` with `rows` replaced by all rows of `other`."""

    def merged(old: NDArray[Scalar], new: NDArray[Scalar]) -> NDArray[Scalar]:
        old = old.copy()
        old[rows] = new
        return old

    return Draws(
        key=draws.key,
        indices=draws.indices,
        attempts=merged(draws.attempts, other.attempts),
        weights=merged(draws.weights, other.weights),
        sparsity=draws.sparsity,
        parameter=merged(draws.parameter, other.parameter),
        latents=merged(draws.latents, other.latents),
        coefficients=merged(draws.coefficients, other.coefficients),
    )
