"""Error against the size of the model, a panel for each task: figure 4 of Subramanian et al. 2023, arXiv 2306.00258."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pdebench_fm.data.catalogue import Task
from pdebench_fm.errors import UsageError
from pdebench_fm.models.sizes import rounded_count
from pdebench_fm.plots.chart import (
    Axis,
    Chart,
    Panel,
    Series,
    error_axis,
    interval_words,
    point_of,
    rows_by_system,
    shots_words,
    task_subtitle,
    task_title,
)
from pdebench_fm.plots.palette import styles
from pdebench_fm.plots.scores import Score, Scores
from pdebench_fm.plots.selection import STARTS
from pdebench_fm.results.remarks import start_in_words

_MARGIN = 2.0
_CLOSEST = 1.6  # two ticks of sizes that are closer than this factor would overlap


def sizes_chart(scores: Scores) -> Chart:
    """Return the chart: a line for each family, method, start and number of shots; a model without a family is its own.

    Left out, with a note: models without parameters, and all but the newest of a family's models of one size.

    Raises:
        UsageError: no model has parameters.
    """
    notes = list(scores.notes)
    entries = _one_a_size(_with_parameters(scores.entries, notes), notes)
    if not entries:
        raise UsageError("nothing to draw against size: no model here has parameters")
    axis = _size_axis({score.model.parameters or 1 for score in entries})
    rows = []
    for tasks in rows_by_system(list(dict.fromkeys(score.task for score in entries))):
        series = [_series_of(entries, task) for task in tasks]
        y = error_axis(each for of_task in series for each in of_task)
        rows.append(
            tuple(
                Panel(task_title(task), task_subtitle(task), axis, y, tuple(of_task))
                for task, of_task in zip(tasks, series, strict=True)
            )
        )
    caption = f"{scores.about}. {interval_words('Bands', entries)}"
    return Chart("Error against model size", caption, tuple(rows), bands=True, notes=tuple(notes))


def _with_parameters(entries: Iterable[Score], notes: list[str]) -> list[Score]:
    kept = []
    for score in entries:
        note = f"{score.name}: left out, it has no parameters"
        if score.model.parameters:
            kept.append(score)
        elif note not in notes:
            notes.append(note)
    return kept


def _one_a_size(entries: Sequence[Score], notes: list[str]) -> list[Score]:
    """Return at most one score for each point of a line."""
    newest: dict[tuple[object, ...], Score] = {}
    for score in sorted(entries, key=lambda score: score.date):
        key = (score.task, _family(score), score.start, score.shots, score.model.parameters)
        if key in newest:
            note = f"{newest[key].name}: left out where {score.name}, of the same family and size, is newer"
            if note not in notes:
                notes.append(note)
        newest[key] = score
    return [score for score in entries if score in newest.values()]


def _series_of(entries: Sequence[Score], task: Task) -> list[Series]:
    families = sorted({_family(score) for score in entries})
    shots = sorted({score.shots for score in entries})
    looks = styles(families, shots)
    found = []
    for family in families:
        for start in STARTS:
            for number in shots:
                key = (task, family, start, number)
                own = [s for s in entries if (s.task, _family(s), s.start, s.shots) == key]
                points = [
                    point_of(s, float(s.model.parameters or 1), f"{s.name}, {s.model.parameters:,} parameters")
                    for s in sorted(own, key=lambda score: score.model.parameters or 1)
                ]
                if points:
                    started = f"{start_in_words(own[0].model, start)}, " if number else ""
                    style = replace(looks[family, number], scratch=start == "scratch")
                    found.append(Series(f"{family}, {started}{shots_words(number)}", style, tuple(points)))
    return found


def _family(score: Score) -> str:
    return f"{score.model.family}{score.method}" if score.model.family else score.name


def _size_axis(sizes: set[int]) -> Axis:
    """Return a logarithmic axis with a tick for each size that is not too close to the one before it."""
    ticks: list[tuple[float, str]] = []
    for size in sorted(sizes):
        if not ticks or size >= _CLOSEST * ticks[-1][0]:
            ticks.append((float(size), rounded_count(size)))
    return Axis("parameters", (min(sizes) / _MARGIN, max(sizes) * _MARGIN), tuple(ticks), logarithmic=True)
