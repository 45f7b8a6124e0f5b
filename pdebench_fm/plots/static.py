"""Pictures drawn by Matplotlib, for print: PNG, SVG and PDF whose bytes depend on what is shown alone."""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from pdebench_fm.data.figures import save_figure
from pdebench_fm.plots.chart import PREDICTING_ZERO, PREDICTING_ZERO_WORDS, Axis, Chart, Panel, Point, Series, Style
from pdebench_fm.plots.palette import COLOUR_MAPS, GRID, INK, QUIET, colour, marker
from pdebench_fm.plots.sample_fields import Field, FieldsPicture

_SETTINGS = {
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.7,
    "text.parse_math": False,  # a model's name is no formula
}
_PANEL_WIDTHS = {1: 6.0, 2: 3.7}  # inches, by the number of columns
_PANEL_WIDTH, _PANEL_HEIGHT = 3.0, 2.5
_LEFT, _RIGHT, _BETWEEN = 0.75, 0.2, 0.3  # inches beside and between panels
_ABOVE, _BELOW = 0.5, 0.55  # inches above and below each panel, for its titles and its ticks
_LINE = 0.19  # inches, of a line of the caption or the legend
_CHARACTER = 0.068  # inches, about, of the caption's and the legend's font
_BAND_OPACITY = 0.18
_FIELD, _BAR, _FIELD_BETWEEN = 2.1, 0.1, 0.85  # inches


def draw_chart(chart: Chart) -> Figure:
    """Draw a chart: title and caption, a grid of panels, and one legend below them all."""
    columns = max(len(row) for row in chart.rows)
    panel = _PANEL_WIDTHS.get(columns, _PANEL_WIDTH)
    width = _LEFT + columns * panel + (columns - 1) * _BETWEEN + _RIGHT
    caption = _wrapped(_caption(chart.caption, chart.notes), width)
    legend = chart.legend
    across = max(1, int((width - _LEFT) / (0.65 + _CHARACTER * max(len(series.label) for series in legend))))
    head = 0.45 + _LINE * len(caption)
    foot = 0.35 + _LINE * -(-len(legend) // across)
    height = head + len(chart.rows) * (_ABOVE + _PANEL_HEIGHT + _BELOW) + foot
    with _look():
        figure = Figure(figsize=(width, height), facecolor="white")
        _write_head(figure, chart.title, caption)
        for i, row in enumerate(chart.rows):
            bottom = height - head - i * (_ABOVE + _PANEL_HEIGHT + _BELOW) - _ABOVE - _PANEL_HEIGHT
            lowest = i + 1 == len(chart.rows)
            for j, content in enumerate(row):
                place = (_LEFT + j * (panel + _BETWEEN), bottom, panel, _PANEL_HEIGHT)
                is_last_of_column = lowest or len(chart.rows[i + 1]) <= j
                _draw_panel(_axes(figure, place), content, bands=chart.bands, left=j == 0, bottom=is_last_of_column)
        figure.legend(
            handles=[_line(series, []) for series in legend],
            loc="upper left",
            bbox_to_anchor=(_LEFT / width, (foot - 0.15) / height),
            borderaxespad=0.0,
            borderpad=0.0,
            ncols=across,
            frameon=False,
            handlelength=3.2,
            columnspacing=1.8,
        )
    return figure


def draw_fields(picture: FieldsPicture) -> Figure:
    """Draw a line of fields for each sample, each field with its colour bar."""
    columns = len(picture.samples[0].fields)
    width = 0.45 + columns * (_FIELD + _FIELD_BETWEEN)
    caption = _wrapped(_caption(picture.caption, picture.notes), width)
    head, line = 0.5 + _LINE * len(caption), _FIELD + 0.95
    height = head + len(picture.samples) * line
    with _look():
        figure = Figure(figsize=(width, height), facecolor="white")
        _write_head(figure, picture.title, caption)
        for i, sample in enumerate(picture.samples):
            bottom = height - head - i * line - 0.55 - _FIELD
            figure.text(0.45 / width, (bottom + _FIELD + 0.33) / height, sample.label, weight="bold", fontsize=9)
            for j, field in enumerate(sample.fields):
                _draw_field(figure, field, 0.45 + j * (_FIELD + _FIELD_BETWEEN), bottom, left_most=j == 0)
    return figure


def save(picture: Chart | FieldsPicture, path: Path, *, few_colours: bool = False) -> None:
    """Draw a picture and write it atomically, in the format of the file's suffix.

    Args:
        picture: what to draw.
        path: where to.
        few_colours: write a PNG with a palette of 256 colours, as small as a web page wants it.

    Raises:
        PdefmError: if the file cannot be written.
    """
    with _look(), warnings.catch_warnings():
        # of a name in a script that the font lacks: boxes are drawn for it
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        figure = draw_chart(picture) if isinstance(picture, Chart) else draw_fields(picture)
        save_figure(figure, path, few_colours=few_colours)


@contextmanager
def _look() -> Iterator[None]:
    """Set Matplotlib to its own defaults and ours, whatever the user's settings are."""
    with style.context("default", after_reset=True), rc_context(_SETTINGS):
        yield


def _caption(caption: str, notes: Sequence[str]) -> str:
    if not notes:
        return caption
    return f"{caption} Note: {notes[0]}" + (f", and {len(notes) - 1} more." if len(notes) > 1 else ".")


def _wrapped(text: str, width: float) -> list[str]:
    return textwrap.wrap(text, max(30, int((width - _LEFT - _RIGHT) / _CHARACTER)))


def _write_head(figure: Figure, title: str, caption: Sequence[str]) -> None:
    width, height = figure.get_size_inches()
    figure.text(0.15 / width, 1.0 - 0.12 / height, title, fontsize=13, weight="bold", va="top")
    for i, line in enumerate(caption):
        figure.text(0.15 / width, 1.0 - (0.42 + i * _LINE) / height, line, fontsize=8.5, color=QUIET, va="top")


def _axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Add axes at a place in inches: left, bottom, width, height."""
    width, height = figure.get_size_inches()
    left, bottom, across, up = place
    return figure.add_axes((left / width, bottom / height, across / width, up / height))


def _draw_panel(axes: Axes, panel: Panel, *, bands: bool, left: bool, bottom: bool) -> None:
    """Draw one panel; the words of its axes are there at the left and the bottom of the grid alone."""
    axes.text(0.0, 1.0, panel.title, weight="bold", fontsize=9.5, transform=axes.transAxes, va="bottom").set_y(1.085)
    axes.text(0.0, 1.02, panel.subtitle, fontsize=8, color=QUIET, transform=axes.transAxes, va="bottom")
    _set_axis(axes, "x", panel.x)
    _set_axis(axes, "y", panel.y)
    if bottom:
        axes.set_xlabel(panel.x.label)
    if left:
        axes.set_ylabel(panel.y.label)
    else:
        axes.yaxis.set_major_formatter(FixedFormatter([""] * len(panel.y.ticks)))
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.reaches_zero_prediction:
        _draw_zero_prediction(axes)
    for series in panel.series:
        _draw_series(axes, series, panel.y.limits[0], bands=bands)


def _draw_zero_prediction(axes: Axes) -> None:
    """Draw a line at the error of predicting zero, and say what it is."""
    axes.axhline(PREDICTING_ZERO, color=QUIET, linewidth=0.8, zorder=1.2)
    axes.text(
        0.995,
        PREDICTING_ZERO,
        PREDICTING_ZERO_WORDS,
        transform=axes.get_yaxis_transform(),
        fontsize=6.5,
        color=QUIET,
        ha="right",
        va="bottom",
        zorder=1.2,
    )


def _set_axis(axes: Axes, name: str, axis: Axis) -> None:
    axes.set(**{f"{name}scale": "log" if axis.logarithmic else "linear", f"{name}lim": axis.limits})
    drawn = axes.xaxis if name == "x" else axes.yaxis
    drawn.set_major_locator(FixedLocator([position for position, _ in axis.ticks]))
    drawn.set_major_formatter(FixedFormatter([label for _, label in axis.ticks]))
    drawn.set_minor_locator(NullLocator())


def _draw_series(axes: Axes, series: Series, floor: float, *, bands: bool) -> None:
    """Draw the line of a series with its intervals, and its zero-shot point; `floor` is the lowest error shown."""
    points, ink = series.points, colour(series.style)
    axes.add_line(_line(series, points))
    lows, highs = [max(point.low, floor) for point in points], [point.high for point in points]
    if bands and len(points) > 1:
        axes.fill_between(
            [point.x for point in points], lows, highs, color=ink, alpha=_BAND_OPACITY, linewidth=0, label=series.label
        )
    else:
        axes.vlines([point.x for point in points], lows, highs, color=ink, linewidth=1.1, zorder=1.8)
    if series.zero_shot is not None:
        apart = series.zero_shot
        axes.vlines([apart.x], [max(apart.low, floor)], [apart.high], color=ink, linewidth=1.1, zorder=1.8)
        if points:
            axes.plot([apart.x, points[0].x], [apart.error, points[0].error], color=ink, linewidth=1.5, linestyle=":")
        _draw_zero_shot(axes, apart, series.style)


def _draw_zero_shot(axes: Axes, point: Point, style: Style) -> PathCollection:
    axes.axhline(point.error, color=colour(style), linewidth=0.9, linestyle=(0, (1, 2)), zorder=1.5)
    return axes.scatter(
        [point.x], [point.error], s=34, marker=marker(style).matplotlib, color=colour(style), zorder=3, clip_on=False
    )


def _line(series: Series, points: Sequence[Point]) -> Line2D:
    """Return the line of a series through some points; without any it is an entry of the legend."""
    ink = colour(series.style)
    return Line2D(
        [point.x for point in points],
        [point.error for point in points],
        label=series.label,
        color=ink,
        linewidth=1.5,
        linestyle=(0, (4, 2)) if series.style.scratch else "-",
        marker=marker(series.style).matplotlib,
        markersize=5.5,
        markeredgewidth=1.2,
        markerfacecolor="white" if series.style.scratch else ink,
        clip_on=False,  # the limits hold every point, and a marker at one is whole
    )


def _draw_field(figure: Figure, field: Field, left: float, bottom: float, *, left_most: bool) -> None:
    axes = _axes(figure, (left, bottom, _FIELD, _FIELD))
    low, high = field.limits
    image = axes.imshow(
        field.values,
        origin="lower",
        extent=(0, 1, 0, 1),
        interpolation="nearest",
        cmap=COLOUR_MAPS[field.kind],
        vmin=low,
        vmax=high,
    )
    axes.set_title(field.title, fontsize=8.5, loc="left", pad=4)
    axes.set_xticks([0, 1])
    axes.set_yticks([0, 1])
    axes.set_xlabel("x", labelpad=-7)
    if left_most:
        axes.set_ylabel("y", labelpad=-5)
    axes.tick_params(labelsize=7.5, length=2)
    bar = figure.colorbar(image, cax=_axes(figure, (left + _FIELD + 0.06, bottom, _BAR, _FIELD)))
    bar.locator = MaxNLocator(5)
    bar.ax.tick_params(labelsize=7, length=2, pad=2)
    bar.outline.set_linewidth(0.5)
