"""A leaderboard's repository on the Hub: made from a folder in one commit, and later given the rows that it lacks.

What is there is never replaced or removed: rows of others, and what verifiers recorded, are theirs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.failures import going_on
from pdebench_fm.hub.names import check_repository
from pdebench_fm.hub.repository import Repository, Snapshot, hub_client, identities
from pdebench_fm.leaderboard.store import load
from pdebench_fm.results.paths import ROWS
from pdebench_fm.results.result import result_schema
from pdebench_fm.results.samples import samples_path
from pdebench_fm.templates import card_templates

CARD = "README.md"
SCHEMA = "schema/result-v2.json"

_OF_THE_HUB = {".gitattributes", CARD}
_SHOWN = 3  # files that an error names


@dataclass(frozen=True)
class PublishedBoard:
    """What became of a leaderboard's repository.

    Attributes:
        repository: `organisation/name`.
        url: its page.
        sent: the files that were not there.
        kept: the files of rows that are there with other content, and were left as they are.
        commit: its state afterwards; None if nothing was sent because that was not asked for.
    """

    repository: str
    url: str
    sent: tuple[str, ...]
    kept: tuple[str, ...]
    commit: str | None


def publish_board(
    root: Path,
    to: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> PublishedBoard:
    """Make a leaderboard's repository, or send it the rows that it lacks; interrupted, the same call goes on.

    Args:
        root: the leaderboard's folder, all of whose rows must be sound.
        to: the dataset repository, `organisation/name`.
        private: whether a new repository is private; one that exists stays as visible as it is.
        dry_run: send nothing.
        token: of the Hub; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: for a name that cannot be, or a folder that is none.
        PdefmError: a row that is not sound, a repository that holds something else, or a Hub that keeps failing.
    """
    check_repository(to)
    contents = _contents(root, to)
    repository = Repository(hub_client(endpoint, token), to, "dataset", on_wait, sleep)
    with going_on():
        return _publish(repository, contents, private=private, dry_run=dry_run)


def _contents(root: Path, to: str) -> dict[str, bytes]:
    """Return the files of the repository by their paths: rows, card and schema."""
    rows = [entry.path for entry in load(root)]
    places = [place for row in rows for place in (row, samples_path(row))]
    card = card_templates().get_template("leaderboard.md.jinja").render(package="pdebench-fm", repository=to)
    return {place.as_posix(): (root / place).read_bytes() for place in places} | {
        SCHEMA: result_schema().encode(),
        CARD: card.encode(),
    }


def _publish(repository: Repository, contents: dict[str, bytes], *, private: bool, dry_run: bool) -> PublishedBoard:
    main = repository.snapshot()
    if main is None:
        if dry_run:
            return PublishedBoard(repository.name, repository.url, tuple(contents), (), None)
        main = repository.create(private=private)
    _check_ours(repository, main)
    expected = {path: identities(content) for path, content in contents.items()}
    differing = main.differing(expected)
    kept = tuple(path for path in differing if path.startswith(f"{ROWS}/") and path in main.files)
    sent = tuple(path for path in differing if path not in kept)
    if dry_run or not sent:
        return PublishedBoard(repository.name, repository.url, sent, kept, None if dry_run and sent else main.commit)
    operations = [CommitOperationAdd(path, contents[path]) for path in sent]
    awaited = {path: expected[path] for path in sent}
    commit = repository.commit(operations, "Add rows of pdebench-fm", main.commit, awaited)
    there = repository.snapshot(commit)
    if there is None or not there.holds(awaited):
        raise PdefmError(f"{repository.name} does not hold the rows that were sent: publish again")
    return PublishedBoard(repository.name, repository.url, sent, kept, commit)


def _check_ours(repository: Repository, main: Snapshot) -> None:
    """Refuse a repository that holds anything but a leaderboard."""
    foreign = sorted(set(main.files) - _OF_THE_HUB)
    if SCHEMA in main.files or not foreign or any(path.startswith(f"{ROWS}/") for path in foreign):
        return
    raise PdefmError(
        f"{repository.name} holds something else than a leaderboard ({', '.join(foreign[:_SHOWN])}): nothing was "
        "changed"
    )
