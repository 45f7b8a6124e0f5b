"""Pictures drawn by Plotly: one page that holds everything it needs, opens from disk and fits a phone."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

from pdebench_fm.errors import UsageError
from pdebench_fm.files import write_atomically
from pdebench_fm.plots.chart import PREDICTING_ZERO, PREDICTING_ZERO_WORDS, Axis, Chart, Panel, Point, Series
from pdebench_fm.plots.palette import COLOUR_MAPS, GRID, INK, QUIET, colour, marker
from pdebench_fm.plots.sample_fields import Field, FieldsPicture

try:
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs
except ImportError as error:
    raise UsageError(
        "an .html picture needs Plotly: pip install 'pdebench-fm[plots]', or choose .png, .svg or .pdf"
    ) from error

_FONT = {"family": "system-ui, sans-serif", "size": 12, "color": INK}
_BAND_OPACITY = 0.18
_STOPS = 33  # of a colour map
_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": [["zoom2d", "resetScale2d", "toImage"]],
}


@dataclass(frozen=True)
class _Drawn:
    """A panel of the page: its words and its figure."""

    title: str
    subtitle: str
    figure: go.Figure


def save(picture: Chart | FieldsPicture, path: Path) -> None:
    """Draw a picture and write its page atomically.

    Raises:
        PdefmError: if the file cannot be written.
    """
    write_atomically(path, chart_page(picture) if isinstance(picture, Chart) else fields_page(picture))


def chart_page(chart: Chart) -> str:
    """Return the page of a chart; its legend switches series on and off in all panels."""
    labels = [series.label for series in chart.legend]
    rows = [
        ("", [_Drawn(panel.title, panel.subtitle, chart_figure(panel, labels, bands=chart.bands)) for panel in row])
        for row in chart.rows
    ]
    return _page(chart.title, chart.caption, chart.notes, rows, chart.legend)


def fields_page(picture: FieldsPicture) -> str:
    """Return the page of predicted fields, a line for each sample."""
    rows = [
        (sample.label, [_Drawn(field.title, "", field_figure(field)) for field in sample.fields])
        for sample in picture.samples
    ]
    return _page(picture.title, picture.caption, picture.notes, rows, [])


def chart_figure(panel: Panel, labels: Sequence[str], *, bands: bool) -> go.Figure:
    """Return one panel; each trace's `meta` is the place of its series in the legend."""
    figure = go.Figure()
    for series in panel.series:
        place = labels.index(series.label)
        for trace in _traces(series, panel, bands=bands):
            figure.add_trace(trace.update(meta=place))
    if panel.reaches_zero_prediction:
        figure.add_hline(
            PREDICTING_ZERO,
            line={"color": QUIET, "width": 1},
            layer="below",
            annotation={"text": PREDICTING_ZERO_WORDS, "font": {"size": 9, "color": QUIET}},
            annotation_position="top right",
        )
    figure.update_layout(
        xaxis=_axis(panel.x),
        yaxis={**_axis(panel.y), "showgrid": True, "gridcolor": GRID},
        margin={"l": 58, "r": 12, "t": 8, "b": 60},
        font=_FONT,
        showlegend=False,
        dragmode=False,  # so that a finger scrolls the page
        hovermode="closest",
        plot_bgcolor="white",
        paper_bgcolor="white",
    )
    return figure


def field_figure(field: Field) -> go.Figure:
    """Return one field on the unit square, y upwards."""
    points = len(field.values)
    places = [i / points for i in range(points)]
    heatmap = go.Heatmap(
        z=field.values,
        x=places,
        y=places,
        zmin=field.limits[0],
        zmax=field.limits[1],
        colorscale=_colour_scale(field),
        colorbar={
            "thickness": 10,
            "outlinewidth": 0,
            "len": 1,
            "ypad": 0,
            "xpad": 6,
            "tickfont": {"size": 10},
            "nticks": 6,
        },
        hovertemplate="x = %{x:.3f}<br>y = %{y:.3f}<br>%{z:.4g}<extra></extra>",
    )
    figure = go.Figure(heatmap)
    ticks = {"tickvals": [0, 0.25, 0.5, 0.75], "range": [-0.5 / points, 1 - 0.5 / points], "constrain": "domain"}
    figure.update_layout(
        xaxis={**ticks, "title": {"text": "x", "standoff": 4}},
        yaxis={**ticks, "title": {"text": "y", "standoff": 4}, "scaleanchor": "x"},
        margin={"l": 40, "r": 52, "t": 6, "b": 40, "autoexpand": False},  # so that all fields are of one size
        font=_FONT,
        dragmode=False,
        paper_bgcolor="white",
    )
    return figure


def _traces(series: Series, panel: Panel, *, bands: bool) -> list[go.Scatter]:
    """Return a series' band, its line with markers, its zero-shot level and point."""
    floor, ink = panel.y.limits[0], colour(series.style)
    points = series.points
    banded = bands and len(points) > 1
    traces = []
    if banded:
        traces.append(_band(points, floor, ink))
    if points:
        traces.append(
            go.Scatter(
                x=[point.x for point in points],
                y=[point.error for point in points],
                name=_plain(series.label),
                mode="lines+markers",
                line={"color": ink, "width": 2, "dash": "6px,3px" if series.style.scratch else "solid"},
                marker=_marker(series),
                error_y=None if banded else _whiskers(points, floor, ink),
                text=[_hover(series, point) for point in points],
                hovertemplate="%{text}<extra></extra>",
                cliponaxis=False,
            )
        )
    if series.zero_shot is not None:
        traces += _zero_shot(series, series.zero_shot, panel.x, floor)
        traces += [_joint(series.zero_shot, points[0], ink)] if points else []
    return traces


def _band(points: Sequence[Point], floor: float, ink: str) -> go.Scatter:
    return go.Scatter(
        x=[point.x for point in points] + [point.x for point in reversed(points)],
        y=[max(point.low, floor) for point in points] + [point.high for point in reversed(points)],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=_faint(ink),
        hoverinfo="skip",
    )


def _whiskers(points: Sequence[Point], floor: float, ink: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [point.high - point.error for point in points],
        "arrayminus": [point.error - max(point.low, floor) for point in points],
        "color": ink,
        "thickness": 1.3,
        "width": 0,
    }


def _zero_shot(series: Series, point: Point, x: Axis, floor: float) -> list[go.Scatter]:
    ink = colour(series.style)
    level = go.Scatter(
        x=list(x.limits),
        y=[point.error, point.error],
        mode="lines",
        line={"color": ink, "width": 1.2, "dash": "1px,3px"},
        hoverinfo="skip",
    )
    apart = go.Scatter(
        x=[point.x],
        y=[point.error],
        name=_plain(series.label),
        mode="markers",
        marker=_marker(series),
        error_y=_whiskers([point], floor, ink),
        text=[_hover(series, point)],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )
    return [level, apart]


def _joint(apart: Point, first: Point, ink: str) -> go.Scatter:
    """Return the line from a zero-shot point to the first of its series."""
    return go.Scatter(
        x=[apart.x, first.x],
        y=[apart.error, first.error],
        mode="lines",
        line={"color": ink, "width": 2, "dash": "2px,3px"},
        hoverinfo="skip",
    )


def _marker(series: Series) -> dict[str, object]:
    ink = colour(series.style)
    return {
        "symbol": marker(series.style).plotly,
        "size": 8,
        "color": "white" if series.style.scratch else ink,
        "line": {"color": ink, "width": 1.5},
    }


def _hover(series: Series, point: Point) -> str:
    seeds = "1 seed" if point.seeds == 1 else f"{point.seeds} seeds"
    spread = f" ({point.low:.3g} to {point.high:.3g}, {seeds})"
    return f"{_plain(series.label)}<br>{_plain(point.words)}<br>error {point.error:.4g}{spread}"


def _axis(axis: Axis) -> dict[str, object]:

    limits = [math.log10(end) for end in axis.limits] if axis.logarithmic else list(axis.limits)
    return {
        "type": "log" if axis.logarithmic else "linear",
        "range": limits,
        "tickvals": [position for position, _ in axis.ticks],
        "ticktext": [_plain(label).replace("\n", "<br>") for _, label in axis.ticks],
        "tickangle": 0,
        "title": {"text": _plain(axis.label), "standoff": 8, "font": {"size": _FONT["size"]}},
        "showgrid": False,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "linecolor": QUIET,
        "showline": True,
    }


def _colour_scale(field: Field) -> list[list[object]]:
    colours = colormaps[COLOUR_MAPS[field.kind]]
    return [[i / (_STOPS - 1), to_hex(colours(i / (_STOPS - 1)))] for i in range(_STOPS)]


def _faint(ink: str) -> str:
    red, green, blue = (round(255 * part) for part in to_rgb(ink))
    return f"rgba({red},{green},{blue},{_BAND_OPACITY})"


def _plain(text: str) -> str:
    """Return a text as Plotly shows it literally: it takes some HTML."""
    return html.escape(text, quote=False)


def _page(
    title: str,
    caption: str,
    notes: Sequence[str],
    rows: Sequence[tuple[str, Sequence[_Drawn]]],
    legend: Sequence[Series],
) -> str:
    environment = Environment(
        loader=PackageLoader("pdebench_fm.plots"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(colour=colour, marker=marker)
    figures = [json.loads(str(drawn.figure.to_json())) for _, row in rows for drawn in row]
    data = json.dumps({"figures": figures, "config": _CONFIG}, ensure_ascii=False, sort_keys=True)
    return environment.get_template("plot.html.jinja").render(
        title=title,
        caption=caption,
        notes=notes,
        rows=rows,
        legend=legend,
        data=Markup(data.replace("<", "\\u003c")),  # noqa: S704 (no tag can start in it)
        plotly=Markup(get_plotlyjs()),  # noqa: S704 (Plotly's own script)
    )
