"""95 % intervals of a mean error over new seeds and new test samples, and of the difference of two such means.

A model is adapted with seeds s = 1 … S and scored on the test samples j = 1 … N: the errors y(s, j) vary by seed, by
sample and by both together,

    y(s, j) = μ + a(s) + b(j) + e(s, j),    Var(ȳ) = σ_a²/S + σ_b²/N + σ_e²/(S N).

The variance A of the seeds' means, over S, estimates σ_a²/S + σ_e²/(S N); B, that of the samples' means, over N,
estimates σ_b²/N + σ_e²/(S N); and C, what is left of y(s, j) when both means are taken off, σ_e²/(S N) alone (the
two-way random-effects analysis of variance: Searle, Casella and McCulloch 1992, Variance Components, chapter 4). So

    Var(ȳ) ≈ B + max(A - C, 0),

and B alone for a single seed. The quantile lies between Student's t with the samples' degrees of freedom and with the
seeds' (of two models' seeds Satterthwaite's effective ones, Biometrics Bulletin 2, 1946), by the share g = A/Var(ȳ), at
most 1, and 0 where A is no more than C:

    q = t(samples) + (t(seeds) - t(samples)) g^(3/2).

With g itself for a weight this is Cochran and Cox's rule (Experimental Designs, 1957, section 4.14), which is too wide;
Satterthwaite's degrees of freedom for seeds and samples together are too many where few seeds dominate: with three
seeds they cover 92 %. The power was chosen by simulation: with three seeds or more, parts in any proportion and 300
samples, normal or lognormal, the interval covers 93 to 97 %.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit  # Student's t, of which the quantile in scipy.stats takes 100 times as long

LEVEL = 0.95
_UPPER = 0.5 + LEVEL / 2.0
POWER = 1.5
"""Of the share g that seeds have in a variance: the weight of their Student's t in its quantile."""

Array = NDArray[np.float64]


def interval_of_mean(errors: ArrayLike) -> tuple[Array, Array]:
    """Return the ends of the 95 % interval of the mean error; neither is below 0.

    It is symmetric on the logarithmic scale, as errors are positive and skewed.

    Args:
        errors: (..., seeds, samples), at least one seed and two samples; nonnegative.

    Returns:
        Low and high, (...).
    """
    scores = np.asarray(errors, dtype=np.float64)
    mean = scores.mean(axis=(-2, -1))
    scale = np.where(mean > 0.0, mean, 1.0)
    reach = _half_width([scores / scale[..., None, None]], [1.0])  # delta method: Var(log ȳ) ≈ Var(ȳ)/ȳ²
    with np.errstate(over="ignore"):
        high = np.minimum(mean * np.exp(reach), np.finfo(np.float64).max)
    return mean * np.exp(-reach), high


def interval_of_difference(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    """Return the ends of the 95 % interval of the mean of `first` minus that of `second`.

    Paired by test sample; the seeds of the two are independent, and their numbers may differ. Of a side with a single
    seed nothing is known of others, so the interval holds for that seed alone.

    Args:
        first: (..., seeds, samples), at least one seed and two samples.
        second: the same samples, maybe another number of seeds.

    Returns:
        Low and high, (...).
    """
    sides = [np.asarray(errors, dtype=np.float64) for errors in (first, second)]
    means = [side.mean(axis=(-2, -1)) for side in sides]
    difference = means[0] - means[1]
    larger = np.maximum(*means)
    scale = np.where(larger > 0.0, larger, 1.0)  # so that no square is too large or too small for a number
    reach = scale * _half_width([side / scale[..., None, None] for side in sides], [1.0, -1.0])
    return difference - reach, difference + reach


def _half_width(sides: Sequence[Array], signs: Sequence[float]) -> Array:
    """Return half the width of the interval of Σ sign · mean of a side, all sides on the same samples."""
    samples = sides[0].shape[-1]
    paired = np.sum([sign * side.mean(axis=-2) for side, sign in zip(sides, signs, strict=True)], axis=0)
    variance: Array = paired.var(axis=-1, ddof=1) / samples
    of_seeds, squares = np.zeros_like(variance), np.zeros_like(variance)
    for side in sides:
        seeds = side.shape[-2]
        if seeds > 1:
            part, excess = parts_of_seeds(side.mean(axis=-1), interaction(side))
            variance, of_seeds, squares = variance + excess, of_seeds + part, squares + part**2 / (seeds - 1)
    return half_width(variance, samples, of_seeds, squares)


def half_width(variance: Array, samples: int, of_seeds: Array, squares: Array) -> Array:
    """Return half the width of the 95 % interval of an estimate with this variance.

    Args:
        variance: (...), of the estimate.
        samples: test samples, at least two.
        of_seeds: (...), what the variances of seeds' means add up to in it.
        squares: (...), the sum of the squares of those variances, each over its degrees of freedom.
    """
    quantile = np.full_like(variance, stdtrit(samples - 1, _UPPER))
    freedom, share = freedom_and_share(variance, of_seeds, squares)
    varied = share > 0.0
    quantile[varied] += (stdtrit(freedom[varied], _UPPER) - quantile[varied]) * share[varied] ** POWER
    half: Array = np.sqrt(variance) * quantile
    return half


def freedom_and_share(variance: Array, of_seeds: Array, squares: Array) -> tuple[Array, Array]:
    """Return Satterthwaite's degrees of freedom of the seeds' part of a variance, and its share g; see `half_width`.

    Where seeds have no part the share is 0, and the degrees of freedom are 1.
    """
    varied = squares > 0.0
    freedom, share = np.ones_like(variance), np.zeros_like(variance)
    freedom[varied] = of_seeds[varied] ** 2 / squares[varied]
    share[varied] = np.minimum(of_seeds[varied] / variance[varied], 1.0)
    return freedom, share


def parts_of_seeds(means: Array, of_both: Array) -> tuple[Array, Array]:
    """Return the variance of the seeds' mean, A, and by how much it is above the interaction's, A - C.

    Both are 0 where A is no more than C.

    Args:
        means: (..., seeds), of each seed over the samples; at least two seeds.
        of_both: (...), C, of `interaction`.
    """
    part = means.var(axis=-1, ddof=1) / means.shape[-1]
    excess = np.maximum(part - of_both, 0.0)
    return np.where(excess > 0.0, part, 0.0), excess


def interaction(side: Array) -> Array:
    """Return C, the part of the variance of the mean of (..., seeds, samples) that the two have only together."""
    seeds, samples = side.shape[-2:]
    rest = side - side.mean(axis=-1, keepdims=True) - side.mean(axis=-2, keepdims=True)
    rest = rest + side.mean(axis=(-2, -1), keepdims=True)
    square: Array = np.square(rest).sum(axis=(-2, -1)) / ((seeds - 1) * (samples - 1)) / (seeds * samples)
    return square
