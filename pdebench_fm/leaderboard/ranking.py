"""Who is ranked before whom, and where that is not known: rankings of models over all tasks, or a system's.

A ranking is of one protocol version, track, division, method and number of shots. Its contenders are the rows of a
board (`leaderboard.board`), a model once for each way of starting. The rank of one is 1 plus the number of those that
are significantly better (`leaderboard.bootstrap`), so that models which cannot be told apart share a rank.

Only what can be compared is: scores on the newest data's standard test rows, of runs none of whose seeds failed, of
models that were not trained on those rows, and of two seeds or more where a model was adapted (of a single one it is
not known how far another would be from it). A contender that lacks one of the tasks is listed apart with what is
missing; nothing is averaged over a gap.
"""

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.errors import unknown_name
from pdebench_fm.leaderboard.board import Board, Row, TableCell, make_boards, row_key
from pdebench_fm.leaderboard.bootstrap import covariance_over_samples, log_errors, significantly_better
from pdebench_fm.leaderboard.seed_variance import SeededRun, SeedParts, seed_parts
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.protocol.contamination import Knowledge
from pdebench_fm.protocol.divisions import Division
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS
from pdebench_fm.protocol.tracks import Track
from pdebench_fm.results.intervals import half_width
from pdebench_fm.results.result import Covers

OVERALL = "overall"
SYSTEM_SCOPES = tuple(dict.fromkeys(task.dataset.system_name for task in TASKS.values()))
SCOPES = (OVERALL, *SYSTEM_SCOPES)
"""What a ranking is over: all twelve tasks, or the four of one system. A task's name is a scope too."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """The place of one contender.

    Attributes:
        rank: 1 plus the number of contenders that are significantly better.
        last_rank: the place after all that it can't be told from, too: contenders less those that are worse.
        tied: whether another contender has the same rank.
        row: of the board, which says what the contender is.
        cells: its scores, in the order of the ranking's tasks.
        error: geometric mean of its mean errors over the tasks.
        interval: low and high end of the 95 % interval of that.
        covers: what the interval allows for.
        digits: -log10 of the error; None where that is 0.
        knowledge: what the model knew of the regimes before it was adapted, and of how many of the tasks that.
    """

    rank: int
    last_rank: int
    tied: bool
    row: Row
    cells: tuple[TableCell, ...]
    error: float
    interval: tuple[float, float]
    covers: Covers
    digits: float | None
    knowledge: tuple[tuple[Knowledge, int], ...]


@dataclass(frozen=True)
class Missing:
    """A task that a contender can't be ranked on, and why."""

    task: str
    reason: str


@dataclass(frozen=True)
class Unranked:
    """A contender without a place, since tasks are missing."""

    row: Row
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Ranking:
    """The order of models over some tasks.

    Attributes:
        protocol_version, track, division, method, shots: that all contenders have in common.
        scope: "overall", or the name of a system or task.
        tasks: of the scope, in the catalogue's order.
        standings: by rank, then error.
        unranked: contenders that lack tasks, those that lack fewest first.
    """

    protocol_version: int
    track: Track
    division: Division
    method: str
    shots: int
    scope: str
    tasks: tuple[str, ...]
    standings: tuple[Standing, ...]
    unranked: tuple[Unranked, ...]


def tasks_of(scope: str) -> tuple[str, ...]:
    """Return the tasks of a scope; raises a `UsageError` if there is no such scope."""
    if scope == OVERALL:
        return tuple(TASKS)
    if scope in SYSTEM_SCOPES:
        return tuple(name for name, task in TASKS.items() if task.dataset.system_name == scope)
    if scope in TASKS:
        return (scope,)
    raise unknown_name("scope of a ranking", scope, (*SCOPES, *TASKS))


def rankings(entries: Iterable[Entry], scopes: Sequence[str] = SCOPES) -> list[Ranking]:
    """Return every ranking of a leaderboard's rows that has a contender, in the order of its boards.

    Args:
        entries: as `store.load` gives them, with the scores of their runs; in any order.
        scopes: what to rank over.

    Raises:
        UsageError: there is no such scope.
    """
    kept = list(entries)
    return rankings_of(make_boards(kept), kept, scopes)


def rankings_of(boards: Iterable[Board], entries: Iterable[Entry], scopes: Sequence[str] = SCOPES) -> list[Ranking]:
    """Return the rankings of boards that were made of `entries`; see `rankings`."""
    tasks = {scope: tasks_of(scope) for scope in scopes}
    failures = _failures(entries)
    found = []
    for board in boards:
        if board.division == "unranked":
            continue
        contenders = defaultdict(list)
        for contender in _contenders(board, failures):
            contenders[contender.row.shots].append(contender)
        for shots in sorted(contenders):
            found += _rankings(board, shots, contenders[shots], tasks)
    return found


@dataclass(frozen=True)
class _Contender:
    """A row, its scores that count, by task, and why others don't."""

    row: Row
    cells: Mapping[str, TableCell]
    reasons: Mapping[str, str]

    def has(self, tasks: Iterable[str]) -> bool:
        return all(task in self.cells for task in tasks)

    def run(self, task: str) -> SeededRun:
        cell = self.cells[task]
        try:
            return SeededRun(cell.entry.scores[cell.run.start, cell.run.shots], cell.run.seeds)
        except KeyError:
            raise ValueError(f"{cell.entry.path} was not read with the scores that ranks are computed from") from None


_Failures = Mapping[tuple[object, ...], str]


def _failures(entries: Iterable[Entry]) -> _Failures:
    """Return why runs failed, by what they would be on a board and the task."""
    return {
        (*row_key(entry, failure.start, failure.shots), entry.result.task): f"seed {failure.seed} failed: "
        f"{failure.reason}"
        for entry in entries
        for failure in entry.result.failures
    }


def _contenders(board: Board, failures: _Failures) -> list[_Contender]:
    current = {column.task: column.major for column in board.columns if column.version_state == "current"}
    contenders = []
    for row in board.rows:
        cells: dict[str, TableCell] = {}
        reasons: dict[str, str] = {}
        for column, cell in zip(board.columns, row.cells, strict=True):
            if cell is None:
                continue
            if reason := cell.remark or _reason(cell, column.major, current[column.task]):
                reasons.setdefault(column.task, reason)
            else:
                cells[column.task] = cell
        key = row_key(next(cell for cell in row.cells if cell).entry, row.start, row.shots)
        for task in TASKS:
            if (*key, task) in failures:
                reasons.setdefault(task, failures[*key, task])
        contenders.append(_Contender(row, cells, reasons))
    return contenders


def _reason(cell: TableCell, major: int, current: int) -> str:
    """Return why a score on standard rows isn't ranked; "" if it is."""
    if major < current:
        return f"scored on data version {major}, which version {current} has replaced"
    return "adapted with one seed: ranks need two or more" if cell.is_of_one_seed else ""


def _rankings(
    board: Board, shots: int, contenders: Sequence[_Contender], scopes: Mapping[str, Sequence[str]]
) -> list[Ranking]:
    complete = {
        scope: [i for i, contender in enumerate(contenders) if contender.has(tasks)] for scope, tasks in scopes.items()
    }
    samples = STANDARD_TEST_ROWS[board.track]
    covariances: dict[str, Array] = {}  # of scopes some of whose tasks are still to come: each is large
    standings: dict[str, tuple[Standing, ...]] = {}
    for task in TASKS:
        of_task = [scope for scope, tasks in scopes.items() if task in tasks and complete[scope]]
        members = sorted(set().union(*(complete[scope] for scope in of_task)))
        if not members:
            continue
        covariance = _covariance([contenders[i] for i in members], task)
        for scope in of_task:
            places = np.searchsorted(members, complete[scope])
            part = covariance if len(places) == len(members) else covariance[np.ix_(places, places)]
            part = part / len(scopes[scope]) ** 2
            covariances[scope] = np.add(part, covariances.get(scope, 0.0), out=part)
            if task == max(scopes[scope], key=list(TASKS).index):
                there = [contenders[i] for i in complete[scope]]
                standings[scope] = _standings(there, scopes[scope], covariances.pop(scope), samples)
    found = []
    for scope, tasks in scopes.items():
        others = [c for c in contenders if not c.has(tasks) and any(t in c.cells or t in c.reasons for t in tasks)]
        if complete[scope] or others:
            ranking = Ranking(
                protocol_version=board.protocol_version,
                track=board.track,
                division=board.division,
                method=board.method,
                shots=shots,
                scope=scope,
                tasks=tuple(tasks),
                standings=standings.get(scope, ()),
                unranked=_unranked(others, tasks),
            )
            found.append(ranking)
    return found


def _covariance(contenders: Sequence[_Contender], task: str) -> Array:
    """Return the covariance of contenders' log errors on a task over its samples."""
    relative = np.stack([contender.run(task).scores.samples for contender in contenders]).astype(np.float64)
    cells = [contender.cells[task] for contender in contenders]
    means = np.array([cell.summary.mean for cell in cells])
    return covariance_over_samples(relative, means, cells[0].entry.result.dataset.recipe_digest)


def _standings(
    contenders: Sequence[_Contender], tasks: Sequence[str], covariance: Array, samples: int
) -> tuple[Standing, ...]:
    means = np.array([[contender.cells[task].summary.mean for task in tasks] for contender in contenders])
    runs = [[contender.run(task) for task in tasks] for contender in contenders]
    parts = seed_parts(runs, [contender.row.start for contender in contenders])
    better = significantly_better(log_errors(means).mean(axis=1), covariance, parts, samples)
    ranks = 1 + better.sum(axis=0)
    last_ranks = len(contenders) - better.sum(axis=1)
    shared = Counter(ranks.tolist())
    errors, reaches = _errors(means), _reaches(runs, parts)
    found = [
        Standing(
            rank=int(rank),
            last_rank=int(last_rank),
            tied=shared[int(rank)] > 1,
            row=contender.row,
            cells=tuple(contender.cells[task] for task in tasks),
            error=error,
            interval=(error * math.exp(-reach), min(error * math.exp(min(reach, 500.0)), sys.float_info.max)),
            covers=_covers(contender.cells[task] for task in tasks),
            digits=0.0 - math.log10(error) if error > 0.0 else None,
            knowledge=_knowledge(contender.cells[task] for task in tasks),
        )
        for contender, rank, last_rank, error, reach in zip(contenders, ranks, last_ranks, errors, reaches, strict=True)
    ]
    return tuple(sorted(found, key=lambda standing: (standing.rank, standing.error)))  # equal ones as on the board


def _errors(means: Array) -> list[float]:
    """Return the geometric mean over tasks of (contenders, tasks) mean errors."""
    with np.errstate(divide="ignore"):
        return [float(error) for error in np.exp(np.log(means).mean(axis=1))]


def _reaches(runs: Sequence[Sequence[SeededRun]], parts: SeedParts) -> list[float]:
    """Return half the widths of the 95 % intervals of mean log errors over tasks, of (contenders, tasks) runs.

    By the delta method, as those of single results (`results.intervals`), whose variances add up over the tasks.
    """
    variance, samples = parts.excess, sys.maxsize
    tasks = len(runs[0])
    for task in range(tasks):
        relative = np.stack([of_one[task].scores.samples for of_one in runs])
        samples = min(samples, relative.shape[1])
        variance = variance + relative.var(axis=1, ddof=1, dtype=np.float64) / relative.shape[1] / tasks**2
    return [float(reach) for reach in half_width(variance, samples, parts.of_seeds, parts.squares)]


def _covers(cells: Iterable[TableCell]) -> Covers:
    return "seeds and samples" if all(cell.summary.covers == "seeds and samples" for cell in cells) else "samples"


def _knowledge(cells: Iterable[TableCell]) -> tuple[tuple[Knowledge, int], ...]:
    found = Counter(cell.knowledge for cell in cells)
    return tuple((label, found[label]) for label in get_args(Knowledge) if found[label])


def _unranked(contenders: Sequence[_Contender], tasks: Sequence[str]) -> tuple[Unranked, ...]:
    found = [
        Unranked(
            contender.row,
            tuple(
                Missing(task, contender.reasons.get(task, "not scored"))
                for task in tasks
                if task not in contender.cells
            ),
        )
        for contender in contenders
    ]
    return tuple(sorted(found, key=lambda each: len(each.missing)))  # equal ones as on the board
