"""The leaderboard's tables as plain objects: rows, columns and which cells may be compared with each other.

What is never compared: tracks, protocol versions and ways of adapting (a board each), major versions of a dataset (a
column each), and results that were not scored on the track's standard test rows (shown, marked, never ranked). A run
some of whose seeds failed has no cell: the rest would be no fair sample. Which version of a dataset is the current one
follows from scores on standard rows, since any file may name a version that does not exist; nor is a protocol ranked
that this package does not know.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.protocol.contamination import Knowledge
from pdebench_fm.protocol.divisions import DIVISIONS, Division
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, Start, Track
from pdebench_fm.results.merging import fingerprint
from pdebench_fm.results.remarks import is_of_one_seed, rows_remark, test_rows_remark
from pdebench_fm.results.result import Metrics, Result, Run, Summary

STANDARD_RESOLUTION = {"full": 128, "lite": 64}

_BoardKey = tuple[int, Division, str, Track]


VersionState = Literal["current", "superseded", "unknown"]


@dataclass(frozen=True)
class Column:
    """One task in one major version of its dataset.

    `version_state` says whether that is the newest version whose standard rows somebody was scored on, an older one, or
    a newer one of which nobody knows anything but that a result names it.
    """

    task: str
    major: int
    version_state: VersionState = "current"

    @property
    def system(self) -> str:
        """The system's name, which groups columns."""
        return TASKS[self.task].dataset.system_name

    @property
    def system_title(self) -> str:
        """The system's name as a heading."""
        return TASKS[self.task].dataset.system.title

    @property
    def regime(self) -> str:
        """The regime's name."""
        return TASKS[self.task].regime.name

    @property
    def parameter(self) -> str:
        """The varied parameter and its range, such as "e 1–2.5" or "ω 16–20, given |u| ≤ 2"."""
        return TASKS[self.task].dataset.system.range_of(self.regime)


@dataclass(frozen=True)
class TableCell:
    """The score of one row on one column, and the entry it comes from."""

    entry: Entry
    run: Run
    remark: str = ""

    @property
    def summary(self) -> Summary:
        """The headline score over seeds."""
        return self.run.summary

    @property
    def knowledge(self) -> Knowledge:
        """What the model knew of the regime before it was given a support set; from scratch nothing."""
        return "unseen" if self.run.start == "scratch" else self.entry.result.contamination.regime

    @property
    def is_of_one_seed(self) -> bool:
        """Whether its interval holds for its one seed alone."""
        return is_of_one_seed(self.run)

    @property
    def mean_metrics(self) -> Metrics:
        """Every metric, averaged over the seeds."""
        seeds = [cell.metrics for cell in self.entry.result.cells_of(self.run)]
        means = {name: sum(getattr(each, name) for each in seeds) / len(seeds) for name in Metrics.model_fields}
        return Metrics.model_construct(**means)  # means of what was checked


@dataclass(frozen=True)
class Row:
    """One model in one adaptation setting; `cells` has one per column of the board, None where not scored."""

    organisation: str
    result: Result
    start: Start
    shots: int
    cells: tuple[TableCell | None, ...]

    @property
    def name(self) -> str:
        """The model's name without its organisation."""
        return self.result.model.model_id.rpartition("/")[2]

    @property
    def date(self) -> str:
        """The day of the newest score in the row."""
        return max(f"{cell.entry.result.date:%Y-%m-%d}" for cell in self.cells if cell)


@dataclass(frozen=True)
class Board:
    """One table: every row of one track under one protocol version, adapted by one method of one division.

    Where methods of one name are several by their fingerprints, `method` has the beginning of that as well.
    """

    protocol_version: int
    track: Track
    division: Division
    method: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def make_boards(entries: Iterable[Entry]) -> list[Board]:
    """Return the boards of all `entries`: newest known protocol first, then the closed division and the full track."""
    scored = [entry for entry in entries if complete_runs(entry.result)]
    versions: dict[str, set[str | None]] = defaultdict(set)
    for entry in scored:
        method, version = entry.result.adaptation
        versions[method].add(version)
    groups: dict[_BoardKey, list[Entry]] = defaultdict(list)
    for entry in scored:
        result = entry.result
        several = len(versions[result.method]) > 1  # other functions of this name, or it was edited
        method = result.versioned_method if several else result.method
        groups[result.protocol_version, result.division, method, result.track].append(entry)
    order = sorted(groups, key=_board_order)
    return [_make_board(key, groups[key]) for key in order]


def _board_order(key: _BoardKey) -> tuple[object, ...]:
    protocol_version, division, method, track = key
    return not is_known(protocol_version), -protocol_version, DIVISIONS.index(division), method, track != "full"


def _make_board(key: _BoardKey, entries: Sequence[Entry]) -> Board:
    protocol_version, division, method, track = key
    remarks = _remarks(entries)
    columns = _columns(entries, remarks)
    found: dict[tuple[object, ...], dict[int, TableCell]] = defaultdict(dict)
    # Minor versions of a dataset hold the same bits: of a model's results in one column the newest one is shown, and
    # one on the standard rows before any other.
    for entry in sorted(entries, key=lambda entry: _precedence(entry, remarks[entry.path])):
        column = next(i for i, c in enumerate(columns) if (c.task, c.major) == _column_key(entry))
        for run in complete_runs(entry.result):
            remark = remarks[entry.path] or ("" if run.start == "scratch" else test_rows_remark(entry.result))
            found[row_key(entry, run.start, run.shots)][column] = TableCell(entry, run, remark)
    rows = [
        Row(cell.entry.organisation, cell.entry.result, cell.run.start, cell.run.shots, cells)
        for by_column in found.values()
        for cells in [tuple(by_column.get(i) for i in range(len(columns)))]
        for cell in [next(cell for cell in cells if cell)]
    ]
    rows.sort(key=_row_order)
    return Board(protocol_version, track, division, method, columns, tuple(rows))


def complete_runs(result: Result) -> list[Run]:
    """Return the runs of a result all of whose seeds were scored."""
    return [run for run in result.runs if not result.failed_seeds(run)]


def _columns(entries: Sequence[Entry], remarks: Mapping[Path, str]) -> tuple[Column, ...]:
    keys = {_column_key(entry) for entry in entries}
    current = dict(sorted(keys))  # of each task the newest one, where none is known
    current |= dict(sorted({_column_key(entry) for entry in entries if not remarks[entry.path]}))
    ordered = sorted(keys, key=lambda key: (list(TASKS).index(key[0]), -key[1]))
    return tuple(Column(task, major, _version_state(major, current[task])) for task, major in ordered)


def _version_state(major: int, current: int) -> VersionState:
    if major == current:
        return "current"
    return "superseded" if major < current else "unknown"


def _remarks(entries: Sequence[Entry]) -> dict[Path, str]:
    """Return why each entry cannot be compared with the others of its column; "" if it can."""
    return {entry.path: _protocol_remark(entry.result) or rows_remark(entry.result) for entry in entries}


def _protocol_remark(result: Result) -> str:
    """Return that nobody here knows how a result came about; "" if that is known."""
    if is_known(result.protocol_version):
        return ""
    return f"protocol {result.protocol_version} is not known to this version of the package"


def is_known(protocol_version: int) -> bool:
    """Tell whether there is such a version of the protocol, as far as this package knows: any file may name one."""
    return protocol_version <= PROTOCOL_VERSION


def _version(result: Result) -> tuple[int, ...]:
    return tuple(int(part) for part in result.dataset.version.split("."))


def _column_key(entry: Entry) -> tuple[str, int]:
    return entry.result.task, _version(entry.result)[0]


def _precedence(entry: Entry, remark: str) -> tuple[object, ...]:
    """Return what the entries that one cell may show are ordered by, of which the last is shown."""
    return not remark, _version(entry.result), entry.result.date, entry.path.as_posix()


def row_key(entry: Entry, start: Start, shots: int) -> tuple[str | int, ...]:
    """Return what makes scores one row of a board: model and training, method, start and shots; sortable."""
    model = entry.result.model
    training = "" if model.training is None else model.training.digest
    digests = (model.revision or "", model.weights_sha256 or "", model.tensors_sha256 or "", training)
    method, version = entry.result.adaptation
    if entry.result.division == "open" and version is None:
        version = fingerprint(entry.result)  # nobody knows whether two results are of one such method
    return shots, start, entry.organisation, model.model_id, *digests, method, version or ""


def _row_order(row: Row) -> tuple[str | int, ...]:
    cell = next(cell for cell in row.cells if cell)
    return row_key(cell.entry, row.start, row.shots)
