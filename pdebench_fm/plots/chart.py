"""A picture of lines as plain objects: everything that is drawn and every word on it, whatever draws it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pdebench_fm.data.catalogue import Task
from pdebench_fm.plots.scores import Score

ERROR_LABEL = "relative ℓ² error"
PREDICTING_ZERO = 1.0
"""The error of predicting zero, where a panel that reaches so far has a line."""

PREDICTING_ZERO_WORDS = "predicting zero"
_LADDERS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
_FINER_STEPS = (1.0, 0.5, 0.2, 0.1, 0.05)  # for less than a decade, of which the first ladder has a step or two
_FEWEST_TICKS = 3
_MOST_TICKS = 7
_MOST_DECADES = 12
_ACROSS = 4  # panels of a row that are still read on a page
_MARGIN = 1.25  # between the outermost value and the end of a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """An axis: its words, its ends and its ticks with theirs."""

    label: str
    limits: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool


@dataclass(frozen=True)
class Style:
    """How a series looks, as numbers into the palette; a start from scratch is dashed and hollow.

    A marker of None is none at all: of a line that is a level, and not measured anywhere.
    """

    colour: int
    marker: int | None
    scratch: bool


@dataclass(frozen=True)
class Point:
    """One score: where it stands, its mean error over seeds, and the ends of its interval.

    `words` says what it is, but for the series' own label.
    """

    x: float
    error: float
    low: float
    high: float
    seeds: int
    words: str


@dataclass(frozen=True)
class Series:
    """What belongs together, in one style and with one entry of the legend.

    Attributes:
        label: in the legend; series of several panels with one label have one style.
        style: how it looks.
        points: joined by a line.
        zero_shot: a point that stands apart at the left, with its level across the panel.
    """

    label: str
    style: Style
    points: tuple[Point, ...]
    zero_shot: Point | None = None

    @property
    def every_point(self) -> tuple[Point, ...]:
        """All points, the one apart first."""
        return self.points if self.zero_shot is None else (self.zero_shot, *self.points)


@dataclass(frozen=True)
class Panel:
    """One coordinate system."""

    title: str
    subtitle: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]

    @property
    def reaches_zero_prediction(self) -> bool:
        """Whether the error of predicting zero lies on the y axis, if that is one of errors."""
        low, high = self.y.limits
        return self.y.label == ERROR_LABEL and low <= PREDICTING_ZERO <= high


@dataclass(frozen=True)
class Chart:
    """A whole picture.

    Attributes:
        title, caption: the words above it.
        rows: of panels, which share their y axis.
        bands: whether intervals are bands along lines, rather than whiskers.
        notes: what was left out, a line each.
    """

    title: str
    caption: str
    rows: tuple[tuple[Panel, ...], ...]
    bands: bool
    notes: tuple[str, ...]

    @property
    def legend(self) -> list[Series]:
        """One series for each label, in the order of the legend."""
        first: dict[str, Series] = {}
        for row in self.rows:
            for panel in row:
                for series in panel.series:
                    first.setdefault(series.label, series)
        return sorted(
            first.values(), key=lambda series: (series.style.scratch, series.style.colour, series.style.marker or 0)
        )


def point_of(score: Score, x: float, words: str) -> Point:
    """Return a score as a point."""
    summary = score.summary
    return Point(x, summary.mean, summary.interval_low, summary.interval_high, score.seeds, words)


def interval_words(drawn: str, entries: Iterable[Score]) -> str:
    """Return what the intervals of a chart are, for its caption; `drawn` is what they look like there."""
    words = f"{drawn}: 95 % intervals for new test samples and new seeds"
    if any(score.shots and score.summary.covers == "samples" for score in entries):
        words += " (of one seed: for new test samples alone)"
    return f"{words}."


def error_axis(series: Iterable[Series]) -> Axis:
    """Return the logarithmic axis that holds all points and intervals of some series."""
    values = [
        value
        for each in series
        for point in each.every_point
        for value in (point.low, point.error, point.high)
        if value > 0.0
    ]
    limits = min(values) / _MARGIN, max(values) * _MARGIN
    return Axis(ERROR_LABEL, limits, logarithmic_ticks(*limits), logarithmic=True)


def logarithmic_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Return round numbers between two positive ones: the finest steps that are not too many, up to several decades."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in _LADDERS:
        values = [step * 10.0**decade for decade in decades for step in steps]
        ticks = tuple((value, f"{value:.6g}") for value in values if low <= value <= high)
        if len(ticks) <= _MOST_TICKS:
            return ticks if len(ticks) >= _FEWEST_TICKS else _ticks_within_a_decade(low, high) or ticks
    return ticks if len(ticks) <= _MOST_DECADES else ticks[:: -(-len(ticks) // _MOST_TICKS)]


def _ticks_within_a_decade(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Return round numbers between two that are close to each other, three at least; none if they are too close."""
    unit = 10.0 ** math.floor(math.log10(high))
    for step in (unit * each for each in _FINER_STEPS):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first + 1 >= _FEWEST_TICKS:
            every = -(-(last - first + 1) // _MOST_TICKS)
            return tuple((i * step, f"{i * step:.6g}") for i in range(first, last + 1, every) if i)
    return ()


def shots_words(shots: int) -> str:
    """Return a number of shots in words."""
    return "zero-shot" if shots == 0 else f"{shots} shots"


def task_title(task: Task) -> str:
    """Return a task as a panel's title."""
    return f"{task.dataset.system.title}, {task.regime.name}"


def task_subtitle(task: Task) -> str:
    """Return a task's name and the range of its varied parameter."""
    return f"{task.name}, {parameter_range(task)}"


def parameter_range(task: Task) -> str:
    """Return the range of a task's varied parameter, such as "e 1–2.5" or "ω 16–20, given |u| ≤ 2"."""
    return task.dataset.system.range_of(task.regime.name)


def rows_by_system(tasks: Sequence[Task], models: Mapping[str, frozenset[str]] | None = None) -> list[list[Task]]:
    """Return a row of tasks for each system; one of all where no system has two, or rows of a few if they are many.

    The many are grouped by the models that are scored on them.

    Args:
        tasks: in order.
        models: names of those that are scored on each, by the task's name.
    """
    systems: dict[str, list[Task]] = {}
    for task in tasks:
        systems.setdefault(task.dataset.system_name, []).append(task)
    rows = list(systems.values())
    if any(len(row) > 1 for row in rows):
        return rows
    if len(tasks) <= _ACROSS:
        return [list(tasks)]
    alike: dict[frozenset[str], list[Task]] = {}
    for task in tasks:
        alike.setdefault((models or {}).get(task.name, frozenset()), []).append(task)
    return [group[i : i + _ACROSS] for group in alike.values() for i in range(0, len(group), _ACROSS)]
