"""The four model sizes of the zoo, so that a size is one word everywhere else, and how a size is told in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A Fourier neural operator's size; every other dimension follows from these two.

    Attributes:
        name: The word that stands for it in model ids, e.g. `"1m"` in `fno-mixed-1m`.
        width: Channels d of the hidden fields.
        modes: m, the Fourier modes kept: 0..m-1 along x, -m..m-1 along y.
    """

    name: str
    width: int
    modes: int


SIZES: dict[str, Size] = {
    size.name: size
    for size in (
        Size("64k", width=16, modes=4),
        Size("1m", width=32, modes=8),
        Size("16m", width=64, modes=16),
        Size("256m", width=128, modes=32),
    )
}
"""The sizes of the zoo by name."""


def rounded_count(count: int) -> str:
    """Return a number of parameters with three digits: 67.3 k, 1.06 M, 268 M."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
