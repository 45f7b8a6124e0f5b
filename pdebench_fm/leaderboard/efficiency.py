"""Data efficiency: how many samples a start from scratch needs to be as good as a pretrained start."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, log
from sys import float_info
from typing import Literal

from pdebench_fm.leaderboard.board import Board, Column, Row, TableCell

Relation = Literal["=", "<", ">"]


@dataclass(frozen=True)
class Needed:
    """Shots that a start from scratch needs to reach an error.

    `relation` is "=" where two measured points enclose it, "<" where even the fewest shots tried do better, and ">"
    where the most shots tried do worse; `shots` is then the fewest or the most that were tried.
    """

    shots: float
    relation: Relation


def shots_needed(error: float, scratch: Mapping[int, float]) -> Needed:
    """Return the fewest shots with which the error from scratch, log-log interpolated, is at most `error`.

    Args:
        error: the pretrained model's error.
        scratch: error by shots of the start from scratch; shots above 0, not empty.
    """
    points = sorted(scratch.items())
    previous: tuple[int, float] | None = None
    for shots, reached in points:
        if reached > error:
            previous = (shots, reached)
        elif previous is None:
            return Needed(shots, "=" if reached == error else "<")
        else:
            fraction = (_log(previous[1]) - _log(error)) / (_log(previous[1]) - _log(reached))
            return Needed(exp(log(previous[0]) + fraction * (log(shots) - log(previous[0]))), "=")
    return Needed(points[-1][0], ">")


def _log(error: float) -> float:
    return log(max(error, float_info.min))


@dataclass(frozen=True)
class Curve:
    """Errors by shots of one model on one column, from a pretrained and from a fresh start."""

    row: Row
    pretrained: Mapping[int, TableCell]
    scratch: Mapping[int, TableCell]

    def needed(self, shots: int) -> Needed | None:
        """Return the shots from scratch that equal the pretrained model's `shots`, None without both curves."""
        if shots not in self.pretrained or not self.scratch:
            return None
        return shots_needed(self.pretrained[shots].summary.mean, _means(self.scratch))


@dataclass(frozen=True)
class TaskCurves:
    """Every model's curves on one column of a board, at least one."""

    column: Column
    shots: tuple[int, ...]
    curves: tuple[Curve, ...]


def comparisons(board: Board) -> list[TaskCurves]:
    """Return the comparison of each column that has runs with shots above 0."""
    found = []
    for position, column in enumerate(board.columns):
        curves = tuple(_curves(board.rows, position))
        shots = {shots for curve in curves for shots in (*curve.pretrained, *curve.scratch)}
        if curves:
            found.append(TaskCurves(column, tuple(sorted(shots)), curves))
    return found


def _curves(rows: Iterable[Row], column: int) -> Iterable[Curve]:
    """Return one curve pair for each model that was adapted or trained on the column.

    A model without runs from scratch of its own borrows those of another model of the same architecture and
    organisation: fresh weights do not depend on what a family was pretrained on. Only scores on the track's standard
    test rows are lent or matched with borrowed ones.
    """
    models: dict[tuple[object, ...], Row] = {}
    cells: dict[tuple[object, ...], dict[str, dict[int, TableCell]]] = {}
    lent: dict[tuple[object, ...], dict[int, TableCell]] = {}
    for row in rows:
        cell, model = row.cells[column], row.result.model
        if cell is None:
            continue
        named = (row.organisation, model.model_id, *row.result.adaptation)
        key: tuple[object, ...] = (*named, model.revision, model.weights_sha256)
        models.setdefault(key, row)
        cells.setdefault(key, {"pretrained": {}, "scratch": {}})[row.start][row.shots] = cell
        if row.start == "scratch" and model.size and not cell.remark:
            lent.setdefault(_architecture(row), {}).setdefault(row.shots, cell)
    for key, row in models.items():
        pretrained, scratch = cells[key]["pretrained"], cells[key]["scratch"]
        may_borrow = not scratch and not any(cell.remark for cell in pretrained.values())
        if any(pretrained) or scratch:  # a zero-shot score alone is no curve
            yield Curve(row, pretrained, lent.get(_architecture(row), {}) if may_borrow else scratch)


def _architecture(row: Row) -> tuple[object, ...]:
    return row.organisation, row.result.model.size, row.result.model.parameters, *row.result.adaptation


def _means(cells: Mapping[int, TableCell]) -> dict[int, float]:
    return {shots: cell.summary.mean for shots, cell in cells.items()}
