"""The leaderboard's rows on disk: one result file each with its per-sample scores, under a path that follows from it.

Results of one identity are one row, the union of their cells; a new revision of a model is a new row (`results.paths`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.staging import submission, undisturbed
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.merging import conflicts
from pdebench_fm.results.paths import HOME_ORGANISATION, row_path
from pdebench_fm.results.result import Result, find_result_files, write_result
from pdebench_fm.results.samples import samples_path, write_samples


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard: a result, who sent it, and its file relative to the leaderboard's root."""

    path: Path
    organisation: str
    result: Result


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
        UsageError: nothing to submit, no per-sample scores, an unknown task, an unusable name, an unranked division, or
            other scores for a cell that a row has already.
        PdefmError: a file that is not a valid result, or a folder that cannot be written.
    """
    files = find_result_files(paths)
    if not files:
        raise UsageError("nothing to submit: name result files or folders of them")
    rows: dict[Path, Evaluation] = {}
    for source in files:
        evaluation = read_evaluation(source)
        try:
            check_rankable(evaluation.result)
            target = to / row_path(evaluation.result, organisation)
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error
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


def load(root: Path) -> list[Entry]:
    """Return every row of the leaderboard at `root`, in the order of their paths.

    Raises:
        UsageError: there is no folder at `root`, or a row has no per-sample scores.
        PdefmError: a file under `results` is not a valid result of a known task, its derived values are not those of
            its per-sample scores, or it is not where its content says.
    """
    if not root.is_dir():
        raise UsageError(f"no leaderboard folder at {root}")
    return undisturbed(root, lambda: _load(root))


def _load(root: Path) -> list[Entry]:
    entries = []
    for path in sorted((root / "results").rglob("*.json")):
        result, place = read_evaluation(path).result, path.relative_to(root)
        organisation = place.parts[1]
        try:
            check_rankable(result)
            expected = row_path(result, organisation)
        except UsageError as error:
            raise PdefmError(f"{path}: {error}") from error
        if place != expected:
            raise PdefmError(f"{path} is misplaced: by its content it belongs at {root / expected}")
        entries.append(Entry(place, organisation, result))
    return entries


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
