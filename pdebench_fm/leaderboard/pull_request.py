"""A pull request to a leaderboard on the Hub: what it changes, fetched as plain files once their list is sound."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.pull_requests import Account, account_of, author_of, revision_of
from pdebench_fm.hub.repository import Repository, Snapshot, hub_client
from pdebench_fm.leaderboard.on_hub import folders_in
from pdebench_fm.leaderboard.submission import MOST_ROWS
from pdebench_fm.limits import RESULT_BYTES, SAMPLES_BYTES
from pdebench_fm.results.paths import ROWS

_REFERENCE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)#(?P<number>[1-9][0-9]{0,8})", re.ASCII)
_PLACE = re.compile(rf"{ROWS}/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+?(\.json|\.samples\.parquet)")
_SHOWN = 3


@dataclass(frozen=True)
class Fetched:
    """What a pull request changes.

    Attributes:
        leaderboard: the repository.
        author: who opened it, and what he belongs to.
        commit: that it is at.
        folder: the files that it adds or changes.
        before: those of them that main has, as they are there.
        names: folders of organisations and models that main has.
        places: the paths of the rows in `folder`, relative to it.
        files: the paths of the files that it adds or changes, with the identities that the Hub gives to their content.
    """

    leaderboard: str
    author: Account
    commit: str
    folder: Path
    before: Path
    names: list[tuple[str, ...]]
    places: list[Path]
    files: dict[str, str]


def split_pull_request(text: str) -> tuple[str, int] | None:
    """Return the repository and the number of `ORG/REPO#PR`; None for anything else."""
    match = _REFERENCE.fullmatch(text)
    return (match["name"], int(match["number"])) if match else None


@contextmanager
def fetched(
    name: str,
    number: int,
    *,
    commit: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Fetched]:
    """Fetch what a pull request changes, for the time of this context.

    Args:
        name: the leaderboard's dataset repository.
        number: of the pull request.
        commit: of it that is fetched; by default where it is now.
        token: of the Hub; False for none.
        endpoint: the Hub's address.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        PdefmError: if there is no such open pull request, it changes anything else than rows, removes one, or is too
            large; nothing of it is downloaded then.
    """
    repository = Repository(hub_client(endpoint, token), name, "dataset", on_wait, sleep)
    author = author_of(repository, number)
    main, proposed = repository.snapshot(), repository.snapshot(commit or revision_of(number))
    if main is None or proposed is None:
        raise PdefmError(f"{name}#{number} has no files that can be seen")
    paths = changed_paths(_base(repository, main, proposed), proposed.files, f"{name}#{number}")
    most = {path: RESULT_BYTES if path.endswith(".json") else SAMPLES_BYTES for path in paths}
    with tempfile.TemporaryDirectory() as scratch:
        here, there = Path(scratch, "proposed"), Path(scratch, "main")
        _copy(repository, proposed.commit, paths, most, Path(scratch, "cache"), here)
        _copy(
            repository, main.commit, [path for path in paths if path in main.files], most, Path(scratch, "cache"), there
        )
        yield Fetched(
            name,
            account_of(repository, author),
            proposed.commit,
            here,
            there,
            folders_in(main.files),
            [Path(path) for path in paths if path.endswith(".json")],
            {path: proposed.files[path] for path in paths},
        )


def changed_paths(base: Mapping[str, str], proposed: Mapping[str, str], what: str) -> list[str]:
    """Return the paths that a pull request adds or changes, all of which are those of rows.

    Args:
        base: the files of the commit that it starts from, by path, with their identities.
        proposed: its own.
        what: names it in messages.

    Raises:
        PdefmError: if it removes a file, changes one that is no row's, or has too many.
    """
    if gone := sorted(set(base) - set(proposed)):
        raise PdefmError(f"{what} removes {_some(gone)}: a row is never removed by a submission")
    paths = sorted(path for path, identity in proposed.items() if base.get(path) != identity)
    if not paths:
        raise PdefmError(f"{what} changes nothing")
    if len(paths) > 2 * MOST_ROWS:
        raise PdefmError(f"{what} has {len(paths):,} files: a submission has at most {2 * MOST_ROWS:,}")
    if foreign := [path for path in paths if not is_row_file(path)]:
        raise PdefmError(
            f"{what} changes {_some(foreign)}: a submission has nothing but "
            f"{ROWS}/<organisation>/<model>/<name>.json and .samples.parquet"
        )
    rows = {path.removesuffix(".json") for path in proposed if path.endswith(".json")}
    if lone := [path for path in paths if not _is_rows(path, rows, proposed)]:
        raise PdefmError(f"{what} has {_some(lone)} alone: a row is a .json and a .samples.parquet beside it")
    return paths


def is_row_file(path: str) -> bool:
    """Tell whether a path of a repository is where a file of a row may be."""
    return _PLACE.fullmatch(path) is not None and ".." not in path


def _is_rows(path: str, rows: set[str], proposed: Mapping[str, str]) -> bool:
    """Tell whether a file is one of the two of a row."""
    stem = path.removesuffix(".json").removesuffix(".samples.parquet")
    return stem in rows and f"{stem}.samples.parquet" in proposed


def _base(repository: Repository, main: Snapshot, proposed: Snapshot) -> Mapping[str, str]:
    """Return the files of the newest commit that a pull request and main have in common."""

    def history(commit: str) -> list[str]:
        return repository.retried(
            lambda: [
                str(each.commit_id)
                for each in repository.api.list_repo_commits(repository.name, repo_type="dataset", revision=commit)
            ]
        )

    of_main = set(history(main.commit))
    common = next((commit for commit in history(proposed.commit) if commit in of_main), None)
    found = repository.snapshot(common) if common is not None else None
    if found is None:
        raise PdefmError(f"{repository.name}: the pull request has no commit in common with main")
    return found.files


def _copy(
    repository: Repository, commit: str, paths: list[str], most: Mapping[str, int], cache: Path, to: Path
) -> None:
    """Download files of a commit, and put their contents at the same places in a folder, where nothing is a link."""
    to.mkdir(parents=True)
    if not paths:
        return
    sizes = {path: most[path] for path in paths}
    found = repository.download(paths, commit, cache_dir=cache, most=sizes)
    for path in paths:
        target = to.joinpath(*PurePosixPath(path).parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found / path, target)


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(f"{path!a:.120}" for path in paths[:_SHOWN]) + more
