"""How scores are written for people, wherever they are shown: to three digits, or to the place of their spread."""

import math

_SMALL = 1e-4  # below which numbers are written with a power of ten


def short(value: float) -> str:
    """Return a score as tables print it: three significant digits."""
    return f"{value:.3g}" if value < 0.001 or value >= 1000 else f"{value:#.3g}".rstrip(".")


def with_spread(*values: float, half_width: float, near_zero: bool = False) -> tuple[str, ...]:
    """Return numbers rounded to the place of their spread, the same for all of them.

    By the Particle Data Group's rule (Review of Particle Physics, section 5.3): to two digits of the spread where it
    begins with 100 to 354, else to one. No number has more than five digits.

    Args:
        values: such as a mean and the ends of its interval.
        half_width: of that interval; 0 gives three digits.
        near_zero: whether numbers may be rounded to 0, as differences are; else each keeps at least two digits.
    """
    sizes = [abs(value) for value in values if value]
    if not half_width > 0.0 or not math.isfinite(half_width) or not sizes:
        return tuple(map(short, values))
    exponent = _exponent(half_width)
    leading = round(half_width / 10.0 ** (exponent - 2))  # its first three digits, 100 to 999 or 1000
    place = exponent if 355 <= leading < 950 else exponent - (leading < 355)
    least = place if near_zero else min(place, _exponent(min(sizes)) - 1)
    place = max(least, _exponent(max(sizes)) - 4)
    return tuple(_to_place(value, place) for value in values)


def _exponent(value: float) -> int:
    """Return that of a positive number's first digit: 2 for 123, -2 for 0.0123."""
    return math.floor(math.log10(value))


def _to_place(value: float, place: int) -> str:
    """Return a number to the power of ten of its last digit."""
    rounded = round(value, -place)
    if not rounded:
        return "0"
    if abs(value) < _SMALL:
        digits = _exponent(abs(value)) - place + 1
        return f"{value:.{max(0, digits - 1)}e}"
    return f"{rounded:.{max(0, -place)}f}"
