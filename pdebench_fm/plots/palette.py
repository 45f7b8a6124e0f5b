"""Colours that colour-blind readers and printers tell apart, each with a marker of its own, and maps for fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pdebench_fm.plots.chart import Style

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333", "#882255")
"""Okabe and Ito 2008, Color Universal Design, with wine (Tol 2021, Colour schemes) for yellow, which paper swallows."""

INK = "#222222"
QUIET = "#666666"
GRID = "#e3e3e3"


@dataclass(frozen=True)
class Marker:
    """One shape: its names in Matplotlib and Plotly, and an SVG path around (0, 0), about 10 wide."""

    matplotlib: str
    plotly: str
    path: str


MARKERS = (
    Marker("o", "circle", "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z"),
    Marker("s", "square", "M-4-4h8v8h-8z"),
    Marker("^", "triangle-up", "M0-5L5 4H-5z"),
    Marker("D", "diamond", "M0-5.5L5.5 0L0 5.5L-5.5 0z"),
    Marker("v", "triangle-down", "M0 5L5-4H-5z"),
    Marker("P", "cross", "M-1.7-5h3.4v3.3H5v3.4H1.7V5h-3.4V1.7H-5v-3.4h3.3z"),
    Marker("X", "x", "M-2.5-5L0-2.5L2.5-5L5-2.5L2.5 0L5 2.5L2.5 5L0 2.5L-2.5 5L-5 2.5L-2.5 0L-5-2.5z"),
    Marker("p", "pentagon", "M0-5L4.8-1.5L2.9 4H-2.9L-4.8-1.5z"),
    Marker("*", "star", "M0-5.6L1.4-1.9L5.3-1.7L2.3 .7L3.3 4.5L0 2.4L-3.3 4.5L-2.3 .7L-5.3-1.7L-1.4-1.9z"),
)

_NO_MARKER = Marker("None", "line-ew", "M0 0")

FieldKind = Literal["source", "solution", "error"]

COLOUR_MAPS: dict[FieldKind, str] = {"source": "viridis", "solution": "RdBu_r", "error": "PuOr_r"}
"""Names in Matplotlib; the last two are centred on 0."""


def colour(style: Style) -> str:
    """Return a style's colour, in hexadecimal."""
    return COLOURS[style.colour % len(COLOURS)]


def marker(style: Style) -> Marker:
    """Return a style's marker; there is one more than colours, so that a pair comes again only after 72 series."""
    return _NO_MARKER if style.marker is None else MARKERS[style.marker % len(MARKERS)]


def styles(groups: Sequence[str], shots: Sequence[int]) -> dict[tuple[str, int], Style]:
    """Return a style for each group and number of shots.

    The marker stands for the shots, and the colour for the group; for the shots too where there is one group alone.
    """
    return {
        (group, number): Style(i if len(groups) > 1 else j, j, scratch=False)
        for i, group in enumerate(groups)
        for j, number in enumerate(shots)
    }
