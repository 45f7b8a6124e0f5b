"""The leaderboard's rows on disk: one result file each with its per-sample scores, under a path that follows from it.

Results of one identity are one row, the union of their cells; a new revision of a model is a new row (`results.paths`).
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.staging import submission, undisturbed
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.merging import conflicts
from pdebench_fm.results.paths import HOME_ORGANISATION, row_path
from pdebench_fm.results.result import Result, find_result_files, result_files_under, write_result
from pdebench_fm.results.samples import samples_path, write_samples


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard: a result, who sent it, and its file relative to the leaderboard's root."""

    path: Path
    organisation: str
    result: Result


@dataclass(frozen=True)
class Skipped:
    """A file among the rows that is none: where it is, relative to the leaderboard's root, and why."""

    path: Path
    reason: str


def submit(
    paths: Iterable[Path], to: Path, organisation: str = HOME_ORGANISATION, *, replace: bool = False
) -> list[Path]:
    """Check result files, and copy them with their per-sample scores into the leaderboard at `to`: all or none.

    A result of a row that is there already is merged with it.

    Args:
        paths: result files, or folders of which every `*.json` is one.
        to: the leaderboard's root folder, made if missing.
        organisation: who sends models that are not named `org/name`.
        replace: let cells take the place of those of a row that have other scores, instead of refusing.

    Returns:
        The rows' files, in the order given. One that has all of it already is left alone.

    Raises:
        UsageError: nothing to submit, no per-sample scores, an unknown task, an unusable name or one that differs from
            another one in upper and lower case alone, an unranked division, or other scores for a cell that a row has
            already.
        PdefmError: a file that is not a valid result, or a folder that cannot be written.
    """
    files = find_result_files(paths)
    if not files:
        raise UsageError("nothing to submit: name result files or folders of them")
    rows: dict[Path, Evaluation] = {}
    spelled = _Spellings(_names_at(to))
    for source in files:
        evaluation = read_evaluation(source)
        try:
            check_rankable(evaluation.result)
            place = row_path(evaluation.result, organisation)
            spelled.check(place.parts[1:3])
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error
        target = to / place
        other = rows.setdefault(target, evaluation)
        if conflicts(evaluation.result, other.result):
            raise UsageError(
                f"{source} and another file submitted with it are both {_described(evaluation.result)}, with other "
                "scores"
            )
        rows[target] = other.merged_with(evaluation)
    with submission(to) as staged:
        for target, new in rows.items():
            if (row := _changed(target, new, replace=replace)) is not None:
                place = staged / target.relative_to(to)
                write_samples(row.samples, samples_path(place))
                write_result(row.result, place)
    return list(rows)


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
    spelled = _Spellings()
    for path in result_files_under(results):
        place = path.relative_to(root)
        try:
            entries.append(_entry(path, place, spelled))
        except PdefmError as error:
            skipped.append(Skipped(place, str(error)))
    return entries, skipped


def _entry(path: Path, place: Path, spelled: "_Spellings") -> Entry:
    """Return the row in a file; `place` is where that is on the leaderboard."""
    result = read_evaluation(path).result
    organisation = place.parts[1]
    try:
        check_rankable(result)
        expected = row_path(result, organisation)
        if place == expected:
            spelled.check(place.parts[1:3])
    except UsageError as error:
        raise PdefmError(f"{path}: {error}") from error
    if place != expected:
        raise PdefmError(f"{path} is misplaced: by its content it belongs at {expected}")
    return Entry(place, organisation, result)


class _Spellings:
    """The names of organisations and models, of which no two may be one folder where case makes no difference."""

    def __init__(self, names: Iterable[tuple[str, ...]] = ()) -> None:
        """Begin with names that are there."""
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for name in names:
            self._note(name)

    def check(self, name: tuple[str, ...]) -> None:
        """Note a name, (organisation, model); raise a `UsageError` if another one is spelled alike."""
        for given, known in zip((name[:1], name), self._note(name), strict=True):
            if given != known:
                raise UsageError(
                    f"{'/'.join(given)} and {'/'.join(known)} differ in upper and lower case alone: many file systems "
                    "hold one of them only"
                )

    def _note(self, name: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return how the organisation and the model were spelled first."""
        return [
            self._known.setdefault(tuple(part.lower() for part in place), place) for place in (name[:1], name) if place
        ]


def _names_at(root: Path) -> list[tuple[str, ...]]:
    """Return the organisations and models that have folders on a leaderboard."""
    results = root / "results"
    return [place.relative_to(results).parts for pattern in ("*", "*/*") for place in sorted(results.glob(pattern))]


def check_rankable(result: Result) -> None:
    """Raise a `UsageError` if a leaderboard cannot rank a result.

    That is, unless it is of one of the benchmark's tasks, adapted by what looks at the support set alone, and of a
    model that others can get: its weights in a file, if it has any.
    """
    from pdebench_fm.data.catalogue import find_ranked_task

    find_ranked_task(result.task)
    if result.division == "unranked":
        raise UsageError(
            f"its models were adapted by the recipe {result.method!r}, which looks at validation rows: the leaderboard "
            "ranks what looks at the support set alone"
        )
    if result.model.parameters is not None and result.model.weights_sha256 is None:
        raise UsageError("its model was never saved, so nobody can check it: save and evaluate it again")


def _described(result: Result) -> str:
    model = result.model.model_id + (f" at {result.model.revision}" if result.model.revision else "")
    return f"{model} on {result.task} ({result.track})"


def _changed(target: Path, new: Evaluation, *, replace: bool) -> Evaluation | None:
    """Return what has to be written to `target`, None if it has all of it; refuse if that would lose a score."""
    if not target.exists():
        return new
    try:
        present = read_evaluation(target)
    except PdefmError:
        if replace:
            return new
        raise
    others = conflicts(new.result, present.result)
    if others and not replace:
        cell = others[0]
        raise UsageError(
            f"{_described(new.result)} is on the leaderboard already with other scores ({cell.start}, {cell.shots} "
            f"shots, seed {cell.seed}): {target}; nothing was written (replacing them has to be asked for)"
        )
    union = new.merged_with(present) if others else present.merged_with(new)
    return None if union.result == present.result else union
