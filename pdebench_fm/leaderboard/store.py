"""The leaderboard's rows on disk: one result file each, under a path that follows from its content.

A row lives at `<root>/results/<organisation>/<model>/<task>-<track>-<fingerprint>.json`, with `--` for the task's
slash. The fingerprint covers what makes two results of a model on a task different things (weights, revision,
protocol, recipe, dataset version), so that a new revision is a new row and never replaces an old one.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.staging import submission, undisturbed
from pdebench_fm.protocol.recipes import PAPER_RECIPE
from pdebench_fm.results.result import Result, find_result_files, read_result, result_text, write_result

HOME_ORGANISATION = "pdebench-fm"
_SAFE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard: a result, who sent it, and its file relative to the leaderboard's root."""

    path: Path
    organisation: str
    result: Result


def row_path(result: Result, organisation: str = HOME_ORGANISATION) -> Path:
    """Return where `result` belongs, relative to a leaderboard's root.

    The organisation of a Hub id (`org/name`) is its own; `organisation` is that of every other model.

    Raises:
        UsageError: a name that cannot be a folder's.
    """
    owner, slash, name = result.model.model_id.rpartition("/")
    owner = owner if slash else organisation
    for kind, text in (("organisation", owner), ("model", name)):
        if not _SAFE_NAME.fullmatch(text) or ".." in text or "--" in text:
            raise UsageError(
                f"{kind} name {text!r} cannot be a folder on the leaderboard: use letters, digits and single "
                "'-', '_' or '.' between them, as in 'org/name'"
            )
    task = result.task.replace("/", "--")
    return Path("results", owner, name, f"{task}-{result.track}-{fingerprint(result)}.json")


def fingerprint(result: Result) -> str:
    """Return 12 hexadecimal digits that differ between results that must not replace each other."""
    identity = [
        result.model.weights_sha256,
        result.model.revision,
        result.protocol_version,
        result.recipe,
        result.dataset.version,
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]


def submit(
    paths: Iterable[Path], to: Path, organisation: str = HOME_ORGANISATION, *, replace: bool = False
) -> list[Path]:
    """Check result files, and copy them into the leaderboard at `to`, all of them or none.

    Args:
        paths: result files, or folders of which every `*.json` is one.
        to: the leaderboard's root folder, made if missing.
        organisation: who sends models that are not named `org/name`.
        replace: overwrite a row of the same identity and other content, instead of refusing.

    Returns:
        The rows' files, in the order given. One that was already there with the same content is left alone.

    Raises:
        UsageError: nothing to submit, an unknown task, an unusable name, the paper's recipe, or a row that exists
            already.
        PdefmError: a file that is not a valid result, or a folder that cannot be written.
    """
    files = find_result_files(paths)
    if not files:
        raise UsageError("nothing to submit: name result files or folders of them")
    rows: dict[Path, Result] = {}
    for source in files:
        result = read_result(source)
        try:
            check_rankable(result)
            target = to / row_path(result, organisation)
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error
        if rows.setdefault(target, result) != result:
            raise UsageError(f"{source} and another file submitted with it are both {_described(result)}")
    with submission(to) as staged:
        for target, result in rows.items():
            if _is_new(target, result, replace=replace):
                write_result(result, staged / target.relative_to(to))
    return list(rows)


def load(root: Path) -> list[Entry]:
    """Return every row of the leaderboard at `root`, in the order of their paths.

    Raises:
        UsageError: there is no folder at `root`.
        PdefmError: a file under `results` is not a valid result of a known task, or not where its content says.
    """
    if not root.is_dir():
        raise UsageError(f"no leaderboard folder at {root}")
    return undisturbed(root, lambda: _load(root))


def _load(root: Path) -> list[Entry]:
    entries = []
    for path in sorted((root / "results").rglob("*.json")):
        result, place = read_result(path), path.relative_to(root)
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

    That is, unless it is of one of the benchmark's tasks, adapted by the protocol's own recipe, and of a model that
    others can get: its weights in a file, if it has any.
    """
    from pdebench_fm.data.catalogue import find_ranked_task

    find_ranked_task(result.task)
    if result.recipe == PAPER_RECIPE:
        raise UsageError(
            f"its models were adapted by the recipe {PAPER_RECIPE!r}, which looks at validation rows: the leaderboard "
            "ranks the protocol's own recipe alone"
        )
    if result.model.parameters is not None and result.model.weights_sha256 is None:
        raise UsageError("its model was never saved, so nobody can check it: save and evaluate it again")


def _described(result: Result) -> str:
    model = result.model.model_id + (f" at {result.model.revision}" if result.model.revision else "")
    return f"{model} on {result.task} ({result.track})"


def _is_new(target: Path, result: Result, *, replace: bool) -> bool:
    """Tell whether `result` has to be written to `target`; refuse if that would lose another result."""
    if not target.exists():
        return True
    if replace:
        return target.read_text(encoding="utf-8", errors="replace") != result_text(result)
    present = read_result(target)
    if present == result:
        return False
    raise UsageError(
        f"{_described(result)} is on the leaderboard already with other content: {target} of "
        f"{present.date:%Y-%m-%d}, submitted one of {result.date:%Y-%m-%d}; nothing was written (replacing it "
        "has to be asked for)"
    )
