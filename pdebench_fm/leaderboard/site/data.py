"""The site's data, written once: what all tables and charts are drawn from, so that they can't disagree.

The same document lies there three times: as `leaderboard.json` whole, and as two scripts, since a page that is opened
from disk may read nothing else; what every view needs, and what is looked at row by row. `leaderboard.csv` has a line
for each score.

Tables are dictionaries of columns, equally long lists. A column that is named for another table holds places in it.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Collection, Hashable, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.leaderboard.board import STANDARD_RESOLUTION, Board, Column, Row, TableCell, is_known
from pdebench_fm.leaderboard.efficiency import comparisons
from pdebench_fm.leaderboard.ranking import Ranking
from pdebench_fm.leaderboard.records import BADGES, badge_of, private_of
from pdebench_fm.leaderboard.site.addresses import model_address, task_address
from pdebench_fm.leaderboard.site.facts import model_facts, result_facts
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.page import Page
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS
from pdebench_fm.results.result import Metrics
from pdebench_fm.text import visible

FORMAT = 1
"""Version of the document: another number where a reader of the old one would misread it."""

LATER = ("metrics", "facts")
"""The parts that a page loads only when a row is opened."""

_DIGITS = 6  # significant ones of an error
_METRICS = [name for name in Metrics.model_fields if name != "relative_l2_mean"]

_Value = TypeVar("_Value", bound=Hashable)
Columns = dict[str, list[Any]]


class Places(Generic[_Value]):
    """Values in the order in which they were first seen, each once."""

    def __init__(self) -> None:
        """Start without values."""
        self._places: dict[_Value, int] = {}

    def __getitem__(self, value: _Value) -> int:
        """Return the place of a value, which is added if it is new."""
        return self._places.setdefault(value, len(self._places))

    @property
    def values(self) -> list[_Value]:
        """All values."""
        return list(self._places)


def document(material: Material, linked: Collection[PurePosixPath] = ()) -> dict[str, Any]:
    """Return the data of the site; see `docs/how-to/leaderboard.md` for what the tables hold.

    Args:
        material: that it is made of.
        linked: pages of the site that tables may lead to.
    """
    return _Document(material, linked).made()


def data_pages(made: dict[str, Any]) -> tuple[Page, Page, Page]:
    """Return the document as JSON, and the scripts of what is needed at once and of what is needed later.

    The scripts' names have a part of their digest, so that an older page never meets newer data.
    """
    whole = json.dumps(made, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (
        Page(PurePosixPath("leaderboard.json"), whole + "\n"),
        _script("data", {name: part for name, part in made.items() if name not in LATER}),
        _script("details", {name: made[name] for name in LATER}),
    )


def _script(name: str, content: dict[str, Any]) -> Page:
    """Return a script that sets `pdefm.<name>`."""
    # ASCII alone, so that no character ends a line or the script's element, whatever it is embedded in
    words = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    text = f"(window.pdefm ??= {{}}).{name} = {words};\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Page(PurePosixPath("data", f"{name}-{digest}.js"), text)


class _Document:
    """The tables of the document while they are filled."""

    def __init__(self, material: Material, linked: Collection[PurePosixPath]) -> None:
        self._material, self._linked = material, linked
        self._models: Places[tuple[object, ...]] = Places()
        self._first_rows: list[Row] = []
        self._tasks: Places[Column] = Places()
        self._results = {entry.path: i for i, entry in enumerate(material.entries)}
        self._remarks: Places[str] = Places()
        self._strings: Places[str] = Places()
        self._reasons: Places[str] = Places()
        self._best = _significantly_best(material.rankings_by_task)
        self._board_places = {_board_key(board): i for i, board in enumerate(material.boards)}
        self._row_places: dict[int, int] = {}
        self._rows: Columns = {name: [] for name in ("board", "model", "start", "shots", "date")}
        names = ("row", "task", "mean", "low", "high", "deviation", "digits", "seeds", "one_seed")
        told = ("knowledge", "rows_seen", "badge", "private", "private_error", "agreement", "remark", "best", "result")
        self._scores: Columns = {name: [] for name in (*names, *told)}
        self._metrics: Columns = {name: [] for name in _METRICS}
        self._gains: Columns = {
            name: [] for name in ("board", "task", "model", "shots", "pretrained", "scratch", "needed", "relation")
        }

    def made(self) -> dict[str, Any]:
        """Return the document."""
        self._remarks[""]  # is the first, so that 0 stands for none
        for i, board in enumerate(self._material.boards):
            for row in board.rows:
                self._add_row(i, board, row)
        for i, board in enumerate(self._material.boards):
            self._add_gains(i, board)
        entries = self._material.entries
        facts = [self._facts(result_facts(entry)) for entry in entries]
        return {
            "format": FORMAT,
            "boards": _columns_of(self._material.boards, _board),
            "names": list(TASKS),
            "tasks": _columns_of(self._tasks.values, self._task),
            "models": _columns_of(self._first_rows, self._model),
            "rows": self._rows,
            "remarks": self._remarks.values,
            "scores": self._scores,
            "rankings": [self._ranking(ranking) for ranking in self._material.rankings],
            "reasons": self._reasons.values,
            "gains": self._gains,
            "results": {
                "file": [entry.path.as_posix() for entry in entries],
                "date": [f"{entry.result.date:%Y-%m-%d}" for entry in entries],
            },
            "metrics": self._metrics,
            "facts": {
                "models": [self._facts(model_facts(row)) for row in self._first_rows],
                "results": facts,
                "strings": self._strings.values,
            },
        }

    def _add_row(self, board_place: int, board: Board, row: Row) -> None:
        key = _model_key(row)
        if self._models[key] == len(self._first_rows):
            self._first_rows.append(row)
        place = len(self._rows["board"])
        self._row_places[id(row)] = place
        values = (board_place, self._models[key], row.start, row.shots, row.date)
        _append(self._rows, values)
        for column, cell in zip(board.columns, row.cells, strict=True):
            if cell is not None:
                self._add_score(place, column, cell)

    def _add_score(self, row: int, column: Column, cell: TableCell) -> None:
        summary, result = cell.summary, cell.entry.result
        private = private_of(result, cell.run, cell.entry.record)
        _append(
            self._scores,
            (
                row,
                self._tasks[column],
                _rounded(summary.mean),
                _rounded(summary.interval_low),
                _rounded(summary.interval_high),
                _rounded(summary.standard_deviation),
                _rounded(summary.digits),
                list(cell.run.seeds),
                cell.is_of_one_seed,
                cell.knowledge,
                None if cell.run.start == "scratch" else result.contamination.test_rows_seen,
                _badge(cell),
                None if private is None else _rounded(private.private_mean),
                None if private is None else _rounded(private.standard_error),
                None if private is None else private.agreement,
                self._remarks[cell.remark],
                id(cell) in self._best,
                self._results[cell.entry.path],
            ),
        )
        metrics = cell.mean_metrics
        _append(self._metrics, [_rounded(getattr(metrics, name)) for name in _METRICS])

    def _ranking(self, ranking: Ranking) -> dict[str, Any]:
        names = ("row", "rank", "last_rank", "tied", "error", "low", "high", "digits", "badge", "knowledge")
        standings: Columns = {name: [] for name in names}
        for each in ranking.standings:
            numbers = map(_rounded, (each.error, *each.interval, each.digits))
            badge = min(_badge(cell) for cell in each.cells)
            places = (self._row_places[id(each.row)], each.rank, each.last_rank, each.tied)
            _append(standings, (*places, *numbers, badge, dict(each.knowledge)))
        tasks = list(TASKS)
        return {
            "board": self._board_places[_board_key(ranking)],
            "shots": ranking.shots,
            "scope": ranking.scope,
            "tasks": [tasks.index(task) for task in ranking.tasks],
            "standings": standings,
            "unranked": {
                "row": [self._row_places[id(each.row)] for each in ranking.unranked],
                "missing": [
                    [[tasks.index(missing.task), self._reasons[visible(missing.reason)]] for missing in each.missing]
                    for each in ranking.unranked
                ],
            },
        }

    def _add_gains(self, board_place: int, board: Board) -> None:
        for comparison in comparisons(board):
            task = self._tasks[comparison.column]
            for curve in comparison.curves:
                model = self._models[_model_key(curve.row)]
                for shots in comparison.shots:
                    pretrained, scratch = curve.pretrained.get(shots), curve.scratch.get(shots)
                    needed = curve.needed(shots)
                    if pretrained or scratch:
                        values = (
                            *(board_place, task, model, shots),
                            pretrained and _rounded(pretrained.summary.mean),
                            scratch and _rounded(scratch.summary.mean),
                            needed and _rounded(needed.shots),
                            needed and needed.relation,
                        )
                        _append(self._gains, values)

    def _facts(self, facts: Sequence[tuple[str, str]]) -> list[int]:
        """Return names and facts in turn, as places among the strings."""
        return [self._strings[word] for fact in facts for word in fact]

    def _task(self, column: Column) -> dict[str, Any]:
        return {
            "task": column.task,
            "version": column.major,
            "version_state": column.version_state,
            "system": column.system,
            "system_title": column.system_title,
            "regime": column.regime,
            "parameter": column.parameter,
            "page": self._link(task_address(column.task)),
        }

    def _model(self, row: Row) -> dict[str, Any]:
        model = row.result.model
        return {
            "organisation": visible(row.organisation),
            "name": visible(row.name),
            "revision": model.revision and visible(model.revision),
            "method_fingerprint": row.result.method_fingerprint,
            "family": model.family and visible(model.family),
            "size": model.size and visible(model.size),
            "parameters": model.parameters,
            "page": self._link(model_address(row.organisation, model.model_id)),
        }

    def _link(self, page: PurePosixPath) -> str | None:
        return str(page) if page in self._linked else None


def _significantly_best(rankings: Sequence[Ranking]) -> set[int]:
    """Return the ids of the cells that are significantly better than every other of their task and shots."""
    return {
        id(ranking.standings[0].cells[0])
        for ranking in rankings
        if len(ranking.standings) > 1 and ranking.standings[0].last_rank == 1
    }


def _board_key(compared: Board | Ranking) -> tuple[object, ...]:
    return compared.protocol_version, compared.track, compared.division, compared.method


def _badge(cell: TableCell) -> int:
    return BADGES.index(badge_of(cell.entry.result, cell.run, cell.entry.record))


def _append(columns: Columns, values: Sequence[Any]) -> None:
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def _columns_of(items: Sequence[Any], described: Any) -> Columns:
    """Return a table of what is said of each item; its columns are there without items, too."""
    dictionaries = [described(item) for item in items]
    return {name: [each[name] for each in dictionaries] for name in (dictionaries[0] if dictionaries else ())}


def _model_key(row: Row) -> tuple[object, ...]:
    """Return what tells a model from others: rows that differ in start and shots alone share it."""
    model = row.result.model
    training = None if model.training is None else model.training.digest
    identity = (row.organisation, model.model_id, model.revision, model.weights_sha256, model.tensors_sha256, training)
    return (*identity, row.result.method_fingerprint)


def _board(board: Board) -> dict[str, Any]:
    return {
        "protocol": board.protocol_version,
        "known": is_known(board.protocol_version),
        "track": board.track,
        "division": board.division,
        "method": visible(board.method),
        "resolution": STANDARD_RESOLUTION[board.track],
        "test_rows": STANDARD_TEST_ROWS[board.track],
    }


def _rounded(value: float | None) -> float | None:
    """Return a number with as many digits as anybody reads."""
    return None if value is None else _float(value)


@lru_cache(maxsize=4096)
def _float(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


CSV = PurePosixPath("leaderboard.csv")
_FORMULA = re.compile(r"(^|;)(?=\s*[=+@\uff1d\uff0b\uff20\uff0d-])")
"""Where a spreadsheet sees a formula begin, by a sign of double width too: at the start of a cell, which ends at a
semicolon where a comma is in numbers."""


def csv_page(made: dict[str, Any]) -> Page:
    """Return the document's scores as CSV, a line each.

    A word that a spreadsheet would take for a formula has an apostrophe in front; numbers stay numbers.
    """
    boards, tasks, models, results = (_harmless(made[name]) for name in ("boards", "tasks", "models", "results"))
    rows, scores, metrics = (made[name] for name in ("rows", "scores", "metrics"))
    scores = _harmless({**scores, "remark": [made["remarks"][remark] for remark in scores["remark"]]})
    of_board = [boards.get(name, []) for name in ("protocol", "track", "division", "method")]
    of_task = [tasks.get(name, []) for name in ("task", "version")]
    names = ("organisation", "name", "revision", "method_fingerprint", "family", "size", "parameters")
    of_model = [models.get(name, []) for name in names]
    told = ("low", "high", "deviation", "digits", "one_seed", "knowledge", "rows_seen", "private", "best", "remark")
    of_score = [*(scores[name] for name in told), *metrics.values()]
    heads = ("protocol", "track", "division", "method", "task", "dataset_version", *names, "start", "shots", "seeds")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*heads, "relative_l2_mean", *told, *metrics, "badge", "date", "file"])
    for i, (row, task, mean, badge, result) in enumerate(
        zip(*(scores[name] for name in ("row", "task", "mean", "badge", "result")), strict=True)
    ):
        board, model = rows["board"][row], rows["model"][row]
        writer.writerow(
            [
                *(column[board] for column in of_board),
                *(column[task] for column in of_task),
                *(column[model] for column in of_model),
                *(rows["start"][row], rows["shots"][row], " ".join(map(str, scores["seeds"][i])), mean),
                *(column[i] for column in of_score),
                *(BADGES[badge], results["date"][result], results["file"][result]),
            ]
        )
    return Page(CSV, text.getvalue())


def _harmless(columns: Columns) -> Columns:
    """Return a table in whose words nothing is a formula."""
    return {
        name: [_FORMULA.sub(r"\1'", value) if isinstance(value, str) else value for value in values]
        for name, values in columns.items()
    }
