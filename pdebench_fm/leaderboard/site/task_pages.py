"""A page for each task: the problem, its rows, how hard it is, who is best, and how to load and evaluate it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pdebench_fm.data.acceptance import law_in_words, stated_law
from pdebench_fm.data.card import NAMESPACE
from pdebench_fm.data.catalogue import DATA_VERSION, SPLIT_SIZES, TASKS, Task
from pdebench_fm.leaderboard.board import Row, is_known
from pdebench_fm.leaderboard.ranking import Ranking, Standing, Unranked
from pdebench_fm.leaderboard.records import Badge, badge_of
from pdebench_fm.leaderboard.site.addresses import model_address, task_address
from pdebench_fm.leaderboard.site.markdown import as_html
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.page import Page, page
from pdebench_fm.leaderboard.site.pictures import Pictures
from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS
from pdebench_fm.protocol.tracks import Track
from pdebench_fm.results.remarks import start_in_words

TASKS_PAGE = PurePosixPath("tasks", "index.html")
EXAMPLE_MODEL = "fno-mixed-64k"
BEST_SHOWN = 5
"""How many models a task's page lists for each number of shots; those that share the last one's rank are listed too."""

_MOST_SHOWN = 12
_MOST_NAMED = 20  # rows that are not ranked for one reason
_FEW_SHOTS = 32
_TRACKS: tuple[Track, ...] = ("lite", "full")
_REFERENCES = {"zero": "predicting zero", "mean": "the mean solution", "oracle": "the exact solver"}


@dataclass(frozen=True)
class Place:
    """A model in a task's ranking.

    Attributes:
        rank: "1", or "= 1" where others share it.
        organisation, name, address: the model's, and where its page lies.
        reference: whether it is a yardstick of this package rather than a model: zero, mean, oracle.
        start: in words.
        error, low, high, digits: the score and its interval.
        knowledge: what the model knew of the regime.
        badge: what is known of the score.
        marked: whether it is shown as best: the first of the models, and told from every other contender; none
            if it is alone.
    """

    rank: str
    organisation: str
    name: str
    address: str
    reference: bool
    start: str
    error: float
    low: float
    high: float
    digits: float | None
    knowledge: str
    badge: Badge
    marked: bool


@dataclass(frozen=True)
class Aside:
    """A row that is not ranked: whose it is, where its page lies, and how it started."""

    organisation: str
    name: str
    address: str
    start: str


@dataclass(frozen=True)
class NotRanked:
    """Why rows are not ranked: the reason that all of them have, the first of them, and how many more there are."""

    reason: str
    rows: tuple[Aside, ...]
    more: int


@dataclass(frozen=True)
class BestOf:
    """The best models with one number of shots: their places, how many more there are, and what is not ranked."""

    shots: int
    places: tuple[Place, ...]
    more: int
    unranked: int
    reasons: tuple[NotRanked, ...]


@dataclass(frozen=True)
class BestTable:
    """The best models of a track, adapted in one way."""

    title: str
    groups: tuple[BestOf, ...]


@dataclass(frozen=True)
class Value:
    """A value of the varied parameter: its share of the rows, and the best model's zero-shot error there."""

    label: str
    share: float
    width: int
    error: float | None


@dataclass(frozen=True)
class Difficulty:
    """How hard a task is on one track: errors of yardsticks and of the best models, in the order of the page."""

    track: Track
    lines: tuple[tuple[str, float | None, str, str], ...]
    hopeless: int
    models: int


def task_pages(material: Material, pictures: Pictures | None = None) -> Iterator[Page]:
    """Return the page of each task, and one that lists them.

    Args:
        material: the rows and their rankings.
        pictures: those of the site; None if it is built without.
    """
    overview = []
    for name, task in TASKS.items():
        found = [ranking for ranking in material.rankings_by_task if ranking.scope == name]
        difficulties = [_difficulty(track, found) for track in _TRACKS]
        values, refused = _values(task, found)
        system = task.dataset.system
        overview.append((task, str(task_address(name)), _best_few_shot(found)))
        yield page(
            task_address(name),
            "task.html.jinja",
            task=task,
            system=system,
            terms=as_html(system.terms),
            sampling=as_html(system.sampling),
            law=law_in_words(system, task.regime.name),
            values=values,
            refused=refused,
            others=[(item.regime.name, str(task_address(item.name))) for item in _same_system(task)],
            splits=SPLIT_SIZES,
            test_rows=STANDARD_TEST_ROWS,
            loading=loading_lines(task),
            evaluating=evaluating_line(task),
            difficulties=[each for each in difficulties if each is not None],
            tables=best_tables(found),
            pictures=[] if pictures is None else pictures.of_task[name],
            no_pictures="This site was built without pictures." if pictures is None else "",
            few=_FEW_SHOTS,
        )
    yield page(TASKS_PAGE, "tasks.html.jinja", tasks=overview, few=_FEW_SHOTS)


def loading_lines(task: Task) -> tuple[str, ...]:
    """Return the Python that loads a task's test rows."""
    where = f'"{NAMESPACE}/{task.dataset.name}", "{task.regime.name}"'
    return (
        "from datasets import load_dataset",
        f'rows = load_dataset({where}, split="test", revision="v{DATA_VERSION}")',
    )


def evaluating_line(task: Task) -> str:
    """Return the command that evaluates a model on a task."""
    return f"pdefm eval --model {EXAMPLE_MODEL} --task {task.name} --shots 0,{_FEW_SHOTS} --track lite"


def best_tables(rankings: Sequence[Ranking]) -> list[BestTable]:
    """Return the tables of best models from the rankings of one task."""
    groups: dict[tuple[object, ...], list[Ranking]] = {}
    for ranking in rankings:
        key = (ranking.protocol_version, ranking.division, ranking.method, ranking.track)
        groups.setdefault(key, []).append(ranking)
    return [BestTable(_title(held[0]), tuple(map(_best_of, held))) for held in groups.values()]


def _title(ranking: Ranking) -> str:
    words = [f"{ranking.track.capitalize()} track"]
    if ranking.division != "closed":
        words.append(f"{ranking.division} division: {ranking.method}")
    return ", ".join([*words, f"protocol v{ranking.protocol_version}"])


def _best_of(ranking: Ranking) -> BestOf:
    standings = ranking.standings
    last = standings[min(BEST_SHOWN, len(standings)) - 1].rank if standings else 0
    listed = [standing for standing in standings if standing.rank <= last][:_MOST_SHOWN]
    return BestOf(
        ranking.shots,
        tuple(_place_of(standing, ranking) for standing in listed),
        len(standings) - len(listed),
        len(ranking.unranked),
        tuple(_not_ranked(ranking.unranked)),
    )


def _not_ranked(unranked: Sequence[Unranked]) -> Iterator[NotRanked]:
    """Return why rows have no place in the ranking of one task, the commonest reason first."""
    by_reason: dict[str, list[Row]] = {}
    for each in unranked:
        (missing,) = each.missing
        by_reason.setdefault(missing.reason, []).append(each.row)
    for reason, rows in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        named = tuple(
            Aside(
                row.organisation,
                row.name,
                str(model_address(row.organisation, row.result.model.model_id)),
                start_in_words(row.result.model, row.start),
            )
            for row in rows[:_MOST_NAMED]
        )
        yield NotRanked(reason, named, len(rows) - len(named))


def _place_of(standing: Standing, ranking: Ranking) -> Place:
    row, (cell,) = standing.row, standing.cells
    models = [each for each in ranking.standings if not is_reference(each)]
    is_first = bool(models) and standing is models[0]
    return Place(
        f"= {standing.rank}" if standing.tied else str(standing.rank),
        row.organisation,
        row.name,
        str(model_address(row.organisation, row.result.model.model_id)),
        is_reference(standing),
        start_in_words(row.result.model, row.start),
        standing.error,
        *standing.interval,
        standing.digits,
        cell.knowledge,
        badge_of(cell.entry.result, cell.run, cell.entry.record),
        is_first and len(ranking.standings) > 1 and standing.rank == standing.last_rank and standing.error < 1.0,
    )


def is_reference(standing: Standing) -> bool:
    """Tell whether a contender is a yardstick: only what the package ships has such a name there."""
    row = standing.row
    if row.organisation != HOME_ORGANISATION:
        return False
    from pdebench_fm.models.baselines import BASELINES  # PyTorch is loaded here, for those who ask

    return row.result.model.model_id in BASELINES


def _is_by_the_protocol(ranking: Ranking) -> bool:
    """Tell whether models were adapted by the recipe of a protocol's version that is known: a file may name others."""
    return is_known(ranking.protocol_version) and ranking.method == f"v{ranking.protocol_version}"


def _difficulty(track: Track, rankings: Sequence[Ranking]) -> Difficulty | None:
    """Return how hard a task is; None without a ranked score on this track by the protocol's recipe."""
    closed = [each for each in rankings if each.track == track and _is_by_the_protocol(each)]
    if not closed:
        return None
    newest = max(each.protocol_version for each in closed)
    by_shots = {each.shots: each.standings for each in closed if each.protocol_version == newest}
    zero_shot = by_shots.get(0, ())
    lines: list[tuple[str, float | None, str, str]] = []
    for name, words in _REFERENCES.items():
        found = next((each for each in zero_shot if is_reference(each) and each.row.name == name), None)
        if found is not None:
            lines.append((words[0].upper() + words[1:], found.error, name, _address(found)))
    for shots, words in ((0, "Best zero-shot"), (_FEW_SHOTS, f"Best after {_FEW_SHOTS} shots")):
        best = next((each for each in by_shots.get(shots, ()) if not is_reference(each)), None)
        if best is not None:
            lines.append((words, best.error, f"{best.row.organisation}/{best.row.name}", _address(best)))
    models = [each for each in zero_shot if not is_reference(each)]
    return Difficulty(track, tuple(lines), sum(each.error >= 1.0 for each in models), len(models))


def _address(standing: Standing) -> str:
    return str(model_address(standing.row.organisation, standing.row.result.model.model_id))


def _best_few_shot(rankings: Sequence[Ranking]) -> Standing | None:
    """Return the best model after few shots on the lite track, which is what most have."""
    for ranking in rankings:
        if (ranking.track, ranking.shots) == ("lite", _FEW_SHOTS) and _is_by_the_protocol(ranking):
            return next((each for each in ranking.standings if not is_reference(each)), None)
    return None


def _values(task: Task, rankings: Sequence[Ranking]) -> tuple[list[Value], float | None]:
    """Return the law of the varied parameter value by value, and the share of first draws that were refused.

    Both only for a system that refuses samples: the parameter of the others is uniform.
    """
    law = stated_law(task.dataset.system, task.regime.name)
    if law is None:
        return [], None
    errors = _errors_by_value(rankings)
    largest = max(law.shares)
    values = [
        Value(label, share, round(100 * share / largest), errors.get(label))
        for label, share in zip(law.labels, law.shares, strict=True)
    ]
    return values, 1.0 - law.accepted


def _errors_by_value(rankings: Sequence[Ranking]) -> dict[str, float]:
    for ranking in rankings:
        if ranking.shots == 0 and _is_by_the_protocol(ranking):
            best = next((each for each in ranking.standings if not is_reference(each)), None)
            if best is not None:
                return {f"{score.parameter:g}": score.mean for score in best.cells[0].run.by_parameter}
    return {}


def _same_system(task: Task) -> list[Task]:
    return [each for each in TASKS.values() if each.dataset.system_name == task.dataset.system_name]
