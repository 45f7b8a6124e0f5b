"""A study's figure, made from the tables that were written and nothing else."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pdebench_fm.data.catalogue import Task, find_task
from pdebench_fm.errors import PdefmError
from pdebench_fm.plots.chart import (
    ERROR_LABEL,
    Axis,
    Chart,
    Panel,
    Point,
    Series,
    Style,
    error_axis,
    interval_words,
    logarithmic_ticks,
    rows_by_system,
    shots_words,
    task_subtitle,
    task_title,
)
from pdebench_fm.plots.palette import FieldKind
from pdebench_fm.plots.regimes import regimes_chart
from pdebench_fm.plots.sample_fields import Field, FieldsPicture, SampleFields
from pdebench_fm.plots.scores import Score, Scores, task_order
from pdebench_fm.plots.shots import shots_chart
from pdebench_fm.plots.sizes import sizes_chart
from pdebench_fm.protocol.tracks import find_track
from pdebench_fm.results.remarks import start_in_words
from pdebench_fm.results.result import ModelRecord, Summary
from pdebench_fm.studies.drawn import Bin, ShownField
from pdebench_fm.studies.measures import log_ratio
from pdebench_fm.studies.picture import Side
from pdebench_fm.studies.runs import NORMAL_QUANTILE, RunRow
from pdebench_fm.studies.study import Study
from pdebench_fm.studies.table import Table

_UNKNOWN_DATE = datetime(2000, 1, 1, tzinfo=UTC)  # of a run in a table: nothing is chosen by it here
_MARGIN = 1.6
_SERIES_COLOURS = 8
_SMOKE = "Smoke: tiny trainings and few samples, of no scientific meaning. "


def figure_of(study: Study, table: Table, fields: Sequence[ShownField], bins: Sequence[Bin]) -> Chart | FieldsPicture:
    """Return a study's figure.

    Args:
        study: whose picture it is.
        table: of `data.csv` and `rows.csv`.
        fields: of `fields.csv`, for a picture of fields.
        bins: of `histogram.csv`, if the picture has one.

    Raises:
        PdefmError: if no run is left to be shown.
    """
    picture = study.file.picture
    title = picture.title
    if picture.kind == "fields":
        return _fields_picture(study, title, fields)
    shown = [row for row in table.values() if row.error > 0 and picture.shows(row.key, study.file.track)]
    if not shown:
        raise PdefmError(f"study {study.name}: no run has a score that its figure could show")
    chart = _chart(study, shown, table)
    if picture.histogram:
        chart = replace(chart, rows=(*_histogram_rows(chart, bins), *chart.rows))
    caption = (_SMOKE if study.is_tiny else "") + chart.caption
    return replace(chart, title=title, caption=caption)


def _chart(study: Study, rows: Sequence[RunRow], table: Table) -> Chart:
    match study.file.picture.kind:
        case "shots":
            return shots_chart(_scores(study, rows))
        case "sizes":
            return sizes_chart(_scores(study, rows))
        case "regimes":
            return regimes_chart(_scores(study, rows))
        case "resolutions":
            return _lines(study, rows, "points a side of the grid", lambda row: float(row.resolution))
        case "steps":
            return _lines(study, rows, "pretraining steps", lambda row: float(row.pretraining_steps or 1))
        case _:
            return _ratios(study, rows, table)


def _scores(study: Study, rows: Sequence[RunRow]) -> Scores:
    """Return a table's runs as pictures of results take them."""
    entries = [
        Score(
            name=_name(study, row),
            model=_model(row),
            method="" if row.method == "v1" else f", method {row.method}",
            task=find_task(row.task),
            start=row.start,
            shots=row.shots,
            summary=Summary(
                mean=row.error,
                standard_deviation=row.standard_deviation,
                interval_low=row.low,
                interval_high=row.high,
                covers=row.covers,
                digits=-math.log10(row.error),
            ),
            seeds=row.seeds,
            date=_UNKNOWN_DATE,
        )
        for row in rows
    ]
    entries.sort(key=lambda s: (*task_order(s.task), s.model.parameters or 0, s.name, s.start, s.shots))
    return Scores(tuple(entries), _about(rows), ())


def _model(row: RunRow) -> ModelRecord:
    """Return what a table says of a model as results say it."""
    return ModelRecord(
        model_id=row.model_id,
        revision=None,
        weights_sha256=None,
        fingerprint=None,
        parameters=row.parameters,
        family=row.family,
        size=row.size,
    )


def _name(study: Study, row: RunRow) -> str:
    method = "" if row.method == "v1" else f", method {row.method}"
    return study.label_of(row.model) + method


def _about(rows: Sequence[RunRow]) -> str:
    """Return tracks and rows in a line for the caption."""
    parts = []
    for name in dict.fromkeys(row.track for row in rows):
        counts = sorted({row.test_rows for row in rows if row.track == name})
        points = find_track(name).resolution
        parts.append(f"track {name} ({counts[-1]} test samples of each task at {points}×{points})")
    text = ", ".join(parts)
    return text[0].upper() + text[1:]


def _lines(study: Study, rows: Sequence[RunRow], label: str, x_of: Callable[[RunRow], float]) -> Chart:
    """Return a chart of errors against a number: a line for each model family, or model, with start and shots."""
    tasks = sorted({row.task: find_task(row.task) for row in rows}.values(), key=task_order)
    x = _number_axis(label, sorted({x_of(row) for row in rows}))
    labels: dict[str, int] = {}
    panels: list[tuple[Task, list[Series]]] = []
    for task in tasks:
        groups: dict[str, list[RunRow]] = {}
        for row in rows:
            if row.task == task.name:
                groups.setdefault(_line_label(study, row), []).append(row)
        series = []
        for name, own in groups.items():
            place = labels.setdefault(name, len(labels))
            points = tuple(_point(row, x_of(row)) for row in sorted(own, key=x_of))
            series.append(Series(name, Style(place, place, own[0].start == "scratch"), points))
        panels.append((task, series))
    caption = f"{_about(rows)}. {_intervals(study, rows)}"
    return _grid(panels, x, error_axis, caption)


def _line_label(study: Study, row: RunRow) -> str:
    """Return what a line is: of one model, or of those that differ in their pretraining alone."""
    steps = study.file.picture.kind == "steps"
    name = f"fno-{row.family}-{row.size}" if steps and row.family else _name(study, row)
    started = f"{start_in_words(_model(row), row.start)}, " if row.shots else ""
    return f"{name}, {started}{shots_words(row.shots)}"


def _ratios(study: Study, rows: Sequence[RunRow], table: Table) -> Chart:
    """Return a chart of ratios of errors against shots, a line for each model, with the level of no difference."""
    picture = study.file.picture
    above, below = picture.of or Side(), picture.to or Side()
    others = {above.others(row.key, below): row for row in rows if below.has(row.key)}
    pairs = [
        (row, others[above.others(row.key, below)])
        for row in rows
        if above.has(row.key) and above.others(row.key, below) in others
    ]
    if not pairs:
        raise PdefmError(f"study {study.name}: no two runs make a ratio that its figure could show")
    shots = sorted({float(row.shots) for row, _ in pairs})
    zero = min((each for each in shots if each), default=4.0) / 4.0
    x = _number_axis("shots", [each or zero for each in shots], {zero: "0"} if 0.0 in shots else {})
    tasks = sorted({row.task: find_task(row.task) for row, _ in pairs}.values(), key=task_order)
    models = list(dict.fromkeys(row.model for row, _ in pairs))
    panels = []
    for task in tasks:
        series = []
        for place, model in enumerate(models):
            points = tuple(
                _ratio_point(table, row, other, float(row.shots) or zero)
                for row, other in sorted(pairs, key=lambda pair: pair[0].shots)
                if (row.task, row.model) == (task.name, model)
            )
            if points:
                series.append(Series(study.label_of(model), Style(place, place, scratch=False), points))
        level = tuple(Point(end, 1.0, 1.0, 1.0, 1, "no difference") for end in x.limits)
        series.append(Series("no difference", Style(6, None, scratch=True), level))
        panels.append((task, series))
    words = f"{_side_words(above)} / {_side_words(below)}"
    caption = f"{_about(rows)}. Error of {words}: above 1 it is worse. {_intervals(study, rows)}"
    return _grid(panels, x, lambda series: replace(error_axis(series), label="ratio of errors"), caption)


def _side_words(side: Side) -> str:
    start = {"pretrained": "pretrained", "scratch": "from scratch", None: ""}[side.start]
    words = [side.model or "", start, f"method {side.method}" if side.method else ""]
    return " ".join(word for word in words if word)


def _ratio_point(table: Table, row: RunRow, other: RunRow, x: float) -> Point:
    """Return a ratio with its interval."""
    middle, deviation = log_ratio(table, row.key, other.key)
    reach = NORMAL_QUANTILE * deviation
    return Point(x, math.exp(middle), math.exp(middle - reach), math.exp(middle + reach), row.seeds, str(row.key))


def _point(row: RunRow, x: float) -> Point:
    return Point(x, row.error, row.low, row.high, row.seeds, str(row.key))


def _intervals(study: Study, rows: Sequence[RunRow]) -> str:
    return interval_words("Bands and whiskers", _scores(study, rows).entries)


def _grid(
    panels: Sequence[tuple[Task, list[Series]]],
    x: Axis,
    y_of: Callable[[Sequence[Series]], Axis],
    caption: str,
) -> Chart:
    """Return panels by system, those of a row with one y axis."""
    by_task = {task.name: series for task, series in panels}
    rows = []
    for tasks in rows_by_system([task for task, _ in panels]):
        y = y_of([series for task in tasks for series in by_task[task.name]])
        rows.append(
            tuple(Panel(task_title(task), task_subtitle(task), x, y, tuple(by_task[task.name])) for task in tasks)
        )
    return Chart(ERROR_LABEL, caption, tuple(rows), bands=True, notes=())


def _number_axis(label: str, values: Sequence[float], words: Mapping[float, str] | None = None) -> Axis:
    """Return a logarithmic axis with a tick at each value, or at round numbers if these would be many."""
    limits = values[0] / _MARGIN, values[-1] * _MARGIN
    ticks = tuple((value, (words or {}).get(value, f"{value:g}")) for value in values)
    return Axis(label, limits, ticks if len(ticks) <= _SERIES_COLOURS else logarithmic_ticks(*limits), logarithmic=True)


def _histogram_rows(chart: Chart, bins: Sequence[Bin]) -> tuple[tuple[Panel, ...], ...]:
    """Return a row of panels with the physics above each row of errors."""
    rows = []
    for row in chart.rows:
        names = [panel.subtitle.partition(",")[0] for panel in row]
        highest = max((each.share for each in bins if each.task in names), default=1.0)
        y = Axis(
            "share of samples",
            (0.0, 1.1 * highest),
            tuple((t, f"{t:.0%}") for t in _shares(highest)),
            logarithmic=False,
        )
        rows.append(
            tuple(
                _histogram_panel(name, panel.title, [b for b in bins if b.task == name], y)
                for name, panel in zip(names, row, strict=True)
            )
        )
    return tuple(rows)


def _histogram_panel(task: str, title: str, bins: Sequence[Bin], y: Axis) -> Panel:
    """Return the outlines of a task's histograms."""
    system = find_task(task).dataset.system
    low, high = min(each.low for each in bins), max(each.high for each in bins)
    ticks = tuple((value, f"{value:.3g}") for value in (low, (low + high) / 2, high))
    x = Axis(f"{system.parameter_symbol}: {system.parameter_name}", (low, high), ticks, logarithmic=False)
    series = []
    for place, what in enumerate(dict.fromkeys(each.what for each in bins)):
        own = [each for each in bins if each.what == what]
        middles = [((each.low + each.high) / 2, each.share) for each in own if each.share]
        points = tuple(Point(middle, share, share, share, 1, what) for middle, share in middles)
        series.append(Series(f"samples of {what}", Style(_SERIES_COLOURS - 2 + place, 8, scratch=False), points))
    return Panel(title, f"drawn {system.parameter_symbol}, {system.parameter_name}", x, y, tuple(series))


def _shares(highest: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(max(highest, 1e-3)))
    step = step if highest / step < 5 else 2 * step
    return [i * step for i in range(int(highest / step) + 1)]


def _fields_picture(study: Study, title: str, fields: Sequence[ShownField]) -> FieldsPicture:
    """Return fields as a line for each panel."""
    if not fields:
        raise PdefmError(f"study {study.name}: there are no fields that its figure could show")
    lines: dict[str, list[Field]] = {}
    for shown in fields:
        largest = float(abs(shown.values).max()) or 1.0
        source = shown.kind == "source"
        limits = (float(shown.values.min()), float(shown.values.max())) if source else (-largest, largest)
        kind: FieldKind = "source" if source else "solution"
        lines.setdefault(shown.panel, []).append(Field(shown.title, kind, shown.values.astype("float32"), limits))
    samples = tuple(SampleFields("", 0, 0.0, panel, tuple(own)) for panel, own in lines.items())
    points = len(fields[0].values)
    caption = f"Samples of the train splits on {points}×{points} points."
    return FieldsPicture(title, caption, samples, ())
