"""The leaderboard's rows on disk: one result file each with its per-sample scores, under a path that follows from it.

Results of one identity are one row, the union of their cells; a new revision of a model is a new row (`results.paths`).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from loky import BrokenProcessPool, ProcessPoolExecutor, cpu_count

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.records import VerificationRecord, read_record, record_path
from pdebench_fm.leaderboard.run_scores import RunScores, scores_of
from pdebench_fm.leaderboard.staging import submission, undisturbed
from pdebench_fm.leaderboard.submission import (
    Spellings,
    Submission,
    Submitter,
    check_rankable,
    plan_submission,
    present_in,
)
from pdebench_fm.processes import end_with_parent
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.fields import Record
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.result import Environment, Result, result_files_under, write_result
from pdebench_fm.results.samples import samples_path, write_samples

_MANY = 2000
"""Files, from which on several processes read them: of two threads, each would wait for Python most of the time."""
_READERS = 4
"""Processes at most: each of them takes some 200 MiB."""


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard.

    Attributes:
        path: its file, relative to the leaderboard's root.
        organisation: who sent it.
        result: what the file holds.
        record: what verifiers recorded, if they did.
        scores: what ranks are computed from, of the runs all of whose seeds were scored.
    """

    path: Path
    organisation: str
    result: Result
    record: VerificationRecord | None = None
    scores: Mapping[tuple[Start, int], RunScores] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Skipped:
    """A file among the rows that is none: where it is, relative to the leaderboard's root, and why."""

    path: Path
    reason: str


def submit(
    paths: Iterable[Path],
    to: Path,
    submitter: Submitter | None = None,
    *,
    replace: bool = False,
    dry_run: bool = False,
) -> Submission:
    """Check result files, and copy them with their per-sample scores into the leaderboard at `to`: all or none.

    A result of a row that is there already is merged with it; files that cannot be ranked are left out.

    Args:
        paths: result files, or folders of which every `*.json` is one.
        to: the leaderboard's root folder, made if missing.
        submitter: who submits, and what he states of his model.
        replace: let cells take the place of those of a row that have other scores, instead of refusing.
        dry_run: write nothing.

    Returns:
        The rows in the order given, of which those that have all of it already are left alone, and notes.

    Raises:
        UsageError: as `plan_submission` says.
        PdefmError: a file that is not a valid result, or a folder that cannot be written.
    """

    def planned() -> Submission:
        present = present_in(to, replaces=replace)
        return plan_submission(paths, submitter or Submitter(), present, _names_at(to), replaces=replace)

    first = planned()  # before anything is made or waited for
    if dry_run:
        return first
    with submission(to) as staged:
        found = planned()  # somebody else may have come before
        for row in found.changes:
            write_samples(row.evaluation.samples, samples_path(staged / row.place))
            write_result(row.evaluation.result, staged / row.place)
    return found


def load(root: Path, on_skip: Callable[[Skipped], None] | None = None) -> list[Entry]:
    """Return every row of the leaderboard at `root`, in the order of their paths.

    Args:
        root: the leaderboard's folder.
        on_skip: called for each file that is left out because it is no row: no valid result of a ranked task with its
            own per-sample scores, or not at the place that its content says. By default the first one is an error.

    Raises:
        UsageError: there is no folder at `root`.
        PdefmError: a file is no row, and nothing was said to be done then; or a folder of rows is a link or cannot be
            read, so that nobody knows what is missing.
    """
    if not root.is_dir():
        raise UsageError(f"no leaderboard folder at {root}")
    entries, skipped = undisturbed(root, lambda: _load(root))
    for file in skipped:
        if on_skip is None:
            raise PdefmError(file.reason)
        on_skip(file)
    return entries


def _load(root: Path) -> tuple[list[Entry], list[Skipped]]:
    results = root / "results"
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    if not os.path.lexists(results):
        return entries, skipped
    if not results.is_dir():
        raise PdefmError(f"{results} is no folder: the rows of a leaderboard lie in one")
    spelled, files = Spellings(), result_files_under(results)
    shared = _Shared()
    for entry, left_out in _each_read(root, files):
        skipped += left_out
        if entry is not None:
            try:
                spelled.check(entry.path.parts[1:3])
            except UsageError as error:
                skipped.append(Skipped(entry.path, f"{root / entry.path}: {error}"))
            else:
                entries.append(replace(entry, result=shared.of(entry.result)))
    return entries, skipped


def _each_read(root: Path, files: Sequence[Path]) -> Iterator[tuple[Entry | None, list[Skipped]]]:
    """Yield what `_read` gives of each file, in order."""
    read = partial(_read, root)
    if len(files) < _MANY:
        yield from map(read, files)
        return
    try:
        with ProcessPoolExecutor(
            min(cpu_count(), _READERS), initializer=end_with_parent, env={"OMP_NUM_THREADS": "1"}
        ) as processes:
            yield from processes.map(read, files, chunksize=64)
    except BrokenProcessPool as error:
        raise PdefmError(f"a process that read rows of {root} was ended: was there enough memory?") from error


class _Shared:
    """What many results have alike, kept once for all of them: with thousands of rows it takes most of the memory.

    That is the environments of cells, and pydantic's set of a record's field names, of which each record has its own.
    """

    def __init__(self) -> None:
        self._environments: dict[tuple[object, ...], Environment] = {}
        self._names: dict[frozenset[str], set[str]] = {}

    def of(self, result: Result) -> Result:
        """Return a result that shares what it can."""
        cells = []
        for cell in result.cells:
            own = cell.environment
            key = (own.package_version, own.python, own.device, own.threads, *own.libraries.items())
            cells.append(cell.model_copy(update={"environment": self._environments.setdefault(key, own)}))
        shared = result.model_copy(update={"cells": tuple(cells)})
        for record in _records(shared):
            names = record.model_fields_set
            held = self._names.setdefault(frozenset(names), names)
            object.__setattr__(record, "__pydantic_fields_set__", held)  # as pydantic does; records are never changed
        return shared


def _records(result: Result) -> Iterator[Record]:
    yield from (result, result.model, result.dataset, result.contamination, *result.failures)
    for cell in result.cells:
        yield from (cell, cell.metrics)
    for run in result.runs:
        yield from (run, run.summary, *run.by_parameter)


def _read(root: Path, path: Path) -> tuple[Entry | None, list[Skipped]]:
    """Return the row in a file with its record of verification, and what is left out of the two."""
    place = path.relative_to(root)
    try:
        entry = _entry(path, place)
    except PdefmError as error:
        return None, [Skipped(place, str(error))]
    try:
        return replace(entry, record=read_record(root, place)), []
    except PdefmError as error:  # the row stays, without a badge
        return entry, [Skipped(record_path(place), str(error))]


def _entry(path: Path, place: Path) -> Entry:
    """Return the row in a file; `place` is where that is on the leaderboard."""
    evaluation = read_evaluation(path)
    result = evaluation.result
    organisation = place.parts[1]
    try:
        check_rankable(result)
        expected = row_path(result, organisation)
    except UsageError as error:
        raise PdefmError(f"{path}: {error}") from error
    if place != expected:
        raise PdefmError(f"{path} is misplaced: by its content it belongs at {expected}")
    return Entry(place, organisation, result, scores=scores_of(evaluation))


def _names_at(root: Path) -> list[tuple[str, ...]]:
    """Return the organisations and models that have folders on a leaderboard."""
    results = root / "results"
    return [place.relative_to(results).parts for pattern in ("*", "*/*") for place in sorted(results.glob(pattern))]
