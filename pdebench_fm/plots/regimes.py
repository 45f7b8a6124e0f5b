"""Error by regime, a panel for each system: figure 5 of Subramanian et al. 2023, arXiv 2306.00258."""

from dataclasses import replace

from pdebench_fm.data.catalogue import Task
from pdebench_fm.physics import System
from pdebench_fm.plots.chart import (
    Axis,
    Chart,
    Panel,
    Series,
    error_axis,
    interval_words,
    point_of,
    shots_words,
)
from pdebench_fm.plots.palette import styles
from pdebench_fm.plots.scores import Score, Scores
from pdebench_fm.plots.selection import STARTS
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.remarks import start_in_words

_GROUP = 0.7  # of the distance of two regimes, at most, over which their points are spread
_STEP = 0.12  # between two points of a regime, at most

_Setting = tuple[str, Start, int]


def regimes_chart(scores: Scores) -> Chart:
    """Return the chart: regimes from the easiest to the hardest, a series for each model, start and shots."""
    settings = _settings(scores)
    names = list(dict.fromkeys(name for name, _, _ in settings))
    looks = styles(names, sorted({shots for _, _, shots in settings}))
    systems: dict[str, list[Task]] = {}
    for task in scores.tasks:
        systems.setdefault(task.dataset.system_name, []).append(task)
    spread = [_offset(i, len(settings)) for i in range(len(settings))]
    drawn: list[tuple[list[Task], list[Series]]] = []
    for tasks in systems.values():
        series = []
        for setting, offset in zip(settings, spread, strict=True):
            name, start, shots = setting
            own = [score for score in scores.entries if _setting(score) == setting]
            points = tuple(
                point_of(score, place + offset, task.name)
                for place, task in enumerate(tasks)
                for score in own
                if score.task == task
            )
            if points:
                started = f"{start_in_words(own[0].model, start)}, " if shots else ""
                style = replace(looks[name, shots], scratch=start == "scratch")
                series.append(Series(f"{name}, {started}{shots_words(shots)}", style, points))
        drawn.append((tasks, series))
    y = error_axis(each for _, series in drawn for each in series)
    panels = tuple(
        Panel(tasks[0].dataset.system.title, tasks[0].dataset.system.equation, _regime_axis(tasks), y, tuple(series))
        for tasks, series in drawn
    )
    caption = f"{scores.about}. {interval_words('Whiskers', scores.entries)}"
    return Chart("Error by regime", caption, (panels,), bands=False, notes=scores.notes)


def _setting(score: Score) -> _Setting:
    return score.name, score.start, score.shots


def _settings(scores: Scores) -> list[_Setting]:
    """Return every model, start and shots in the order in which their points stand beside each other."""
    found = {_setting(score) for score in scores.entries}
    return sorted(found, key=lambda setting: (scores.names.index(setting[0]), STARTS.index(setting[1]), setting[2]))


def _offset(place: int, count: int) -> float:
    return (place - (count - 1) / 2.0) * min(_STEP, _GROUP / count)


def _regime_axis(tasks: list[Task]) -> Axis:
    system: System = tasks[0].dataset.system
    ticks = tuple((float(i), f"{task.regime.name}\n{system.ends_of(task.regime.name)}") for i, task in enumerate(tasks))
    condition = f", {system.condition}" if system.condition else ""
    title = f"{system.parameter_symbol}: {system.parameter_name}{condition}"
    return Axis(title, (-0.5, len(tasks) - 0.5), ticks, logarithmic=False)
