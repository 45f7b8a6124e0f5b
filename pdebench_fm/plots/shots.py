"""Error against the number of shots, a panel for each task: figure 3 of Subramanian et al. 2023, arXiv 2306.00258."""

from collections.abc import Sequence

from pdebench_fm.data.catalogue import Task
from pdebench_fm.plots.chart import (
    Axis,
    Chart,
    Panel,
    Series,
    Style,
    error_axis,
    interval_words,
    point_of,
    rows_by_system,
    shots_words,
    task_subtitle,
    task_title,
)
from pdebench_fm.plots.scores import Scores
from pdebench_fm.plots.selection import STARTS
from pdebench_fm.results.remarks import start_in_words

_ZERO_GAP = 4.0  # zero shots stand left of the fewest by this factor, which is the protocol's step
_THOUSAND = 1024


def shots_chart(scores: Scores) -> Chart:
    """Return the chart: a line for each model and start, with zero-shot apart at its left end."""
    axis = _shots_axis({score.shots for score in scores.entries})
    rows = []
    models = {task.name: frozenset(s.name for s in scores.entries if s.task == task) for task in scores.tasks}
    for tasks in rows_by_system(scores.tasks, models):
        series = [_series_of(scores, task, axis.ticks[0][0]) for task in tasks]
        y = error_axis(each for of_task in series for each in of_task)
        rows.append(
            tuple(
                Panel(task_title(task), task_subtitle(task), axis, y, tuple(of_task))
                for task, of_task in zip(tasks, series, strict=True)
            )
        )
    caption = (
        f"{scores.about}. Shots: samples of the task that the model was adapted to. "
        f"{interval_words('Bands and whiskers', scores.entries)} Dotted: zero-shot, joined to its line."
    )
    return Chart("Error against the number of shots", caption, tuple(rows), bands=True, notes=scores.notes)


def _series_of(scores: Scores, task: Task, zero: float) -> list[Series]:
    found = []
    for i, name in enumerate(scores.names):
        for start in STARTS:
            own = [s for s in scores.entries if (s.task, s.name, s.start) == (task, name, start)]
            points = [point_of(s, float(s.shots) if s.shots else zero, shots_words(s.shots)) for s in own]
            if not points:
                continue
            apart = points[0] if own[0].shots == 0 else None
            joined = points if apart is None else points[1:]
            style = Style(i, i, scratch=start == "scratch")
            label = f"{name}, {start_in_words(own[0].model, start)}"
            found.append(Series(label, style, tuple(joined), apart))
    return found


def _shots_axis(shots: set[int]) -> Axis:
    """Return a logarithmic axis with a tick for each number of shots; that of 0, if any, is the first."""
    positive: Sequence[int] = sorted(shots - {0})
    ticks = [(float(number), _tick(number)) for number in positive]
    if 0 in shots:
        ticks.insert(0, (positive[0] / _ZERO_GAP if positive else 1.0, "0"))
    short = " (1k = 1024)" if any(label.endswith("k") for _, label in ticks) else ""
    limits = ticks[0][0] / 2.0, ticks[-1][0] * 2.0
    return Axis(f"shots{short}", limits, tuple(ticks), logarithmic=True)


def _tick(shots: int) -> str:
    thousands, rest = divmod(shots, _THOUSAND)
    return f"{thousands}k" if thousands and not rest else str(shots)
