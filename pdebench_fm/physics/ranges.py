"""How much of what a quantity is drawn from lies in other ranges of it; whether that is none or all is exact."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.physics.systems import Range


def overlap(span: Range, others: Iterable[Range]) -> float:
    """Return the share of a uniform law's values that lie in at least one of other ranges.

    Ranges that meet in an end have nothing in common, as that one value has no probability. Integers are values by
    themselves: a continuous range holds those between its ends, and some integers are nothing of a continuous range.

    Args:
        span: what the law draws from.
        others: ranges of the same quantity, in any order; they may overlap each other.

    Returns:
        Exactly 0.0 if it is none of them, exactly 1.0 if it is all, and something between them otherwise.
    """
    low, high = _interval(span, integer=span.integer)
    if not low < high:  # a single value of a continuous quantity
        return float(any(other.low <= span.low <= other.high for other in others if not other.integer))
    joined: list[tuple[float, float]] = []
    for other_low, other_high in sorted(_interval(other, integer=span.integer) for other in others):
        begin, end = max(other_low, low), min(other_high, high)
        if not begin < end:
            continue
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    if not joined:
        return 0.0
    if joined == [(low, high)]:
        return 1.0
    share = math.fsum(end - begin for begin, end in joined) / (high - low)
    return min(max(share, math.nextafter(0.0, 1.0)), math.nextafter(1.0, 0.0))


def lies_in(values: NDArray[np.floating], ranges: Iterable[Range]) -> NDArray[np.bool_]:
    """Return which values of a quantity, as rows store them (rounded to float32), lie in at least one of some ranges.

    Args:
        values: (B,) numbers that float32 holds.
        ranges: of the quantity, with both ends, rounded alike.

    Returns:
        (B,).
    """
    stored = np.asarray(values, dtype=np.float32)
    inside = np.zeros(stored.shape, dtype=np.bool_)
    for span in ranges:
        within = (np.float32(span.low) <= stored) & (stored <= np.float32(span.high))
        inside |= within & (stored == np.floor(stored)) if span.integer else within
    return inside


def _interval(span: Range, *, integer: bool) -> tuple[float, float]:
    """Return where a range begins and ends; of integers, which are then counted from each to the next, if asked for.

    Of a continuous quantity some integers are an empty interval.
    """
    if integer:
        return float(math.ceil(span.low)), float(math.floor(span.high) + 1)
    return (span.low, span.low) if span.integer else (span.low, span.high)
