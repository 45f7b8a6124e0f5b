"""A built site as a static Space on the Hub: in one commit, so that nobody ever sees half of it.

What the Space holds afterwards is the site and nothing else: pages of models that are gone are removed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import folder_lock
from pdebench_fm.hub.failures import going_on
from pdebench_fm.hub.names import check_repository
from pdebench_fm.hub.repository import ABSENT, Expected, Repository, Snapshot, file_identities, hub_client, identities
from pdebench_fm.leaderboard.site.addresses import FRONT
from pdebench_fm.leaderboard.site.build import site_files
from pdebench_fm.leaderboard.site.page import GENERATOR

SPACE_CARD = "README.md"
"""What tells the Hub that the Space is static."""

_OF_THE_HUB = ".gitattributes"
_TEMPLATE = {_OF_THE_HUB, SPACE_CARD, str(FRONT), "style.css"}
"""What the Hub itself may put into a new static Space."""

_SHOWN = 3  # files that an error names
_CARD = """---
title: PDE foundation-model benchmark
short_description: Leaderboard of pretrained neural operators
emoji: 🌊
colorFrom: blue
colorTo: green
sdk: static
app_file: {page}
pinned: false
license: apache-2.0
---

The leaderboard of the PDE foundation-model benchmark, as static pages. They are made by `pdefm leaderboard build` and
published by `pdefm leaderboard publish`: what is changed here by hand is lost with the next publication.
"""


@dataclass(frozen=True)
class PublishedSite:
    """What became of a site.

    Attributes:
        space: `organisation/name`.
        url: the Space's page.
        sent: the files that were not there with this content.
        removed: the files of the Space that the site doesn't have.
        commit: the Space's state afterwards; None if nothing was sent because that was not asked for.
    """

    space: str
    url: str
    sent: tuple[str, ...]
    removed: tuple[str, ...]
    commit: str | None

    @property
    def unchanged(self) -> bool:
        """Whether the Space had all of it already."""
        return not self.sent and not self.removed


def publish_site(
    site: Path,
    to: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> PublishedSite:
    """Make a Space of a site, or bring the Space to the site's present state; interrupted, the same call goes on.

    Args:
        site: the folder that `build_site` wrote; whatever else is in it is not sent.
        to: the Space, `organisation/name`.
        private: whether a new Space is private; one that exists stays as visible as it is.
        dry_run: send nothing.
        token: of the Hub; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: for a name that cannot be a Space's, or a folder that is no site.
        PdefmError: if the Space holds something else, somebody else writes to it or to the folder, or the Hub fails.
    """
    check_repository(to)
    site_files(site)  # before anything is written to the folder
    repository = Repository(hub_client(endpoint, token), to, "space", on_wait, sleep)
    with folder_lock(site), going_on():  # a build in between would be published by halves
        contents = _contents(site)
        expected = {path: _identities(content) for path, content in contents.items()}
        return _publish(repository, contents, expected, private=private, dry_run=dry_run)


def _publish(
    repository: Repository, contents: dict[str, Path | bytes], expected: Expected, *, private: bool, dry_run: bool
) -> PublishedSite:
    main = repository.snapshot()
    if main is None:
        if dry_run:
            return PublishedSite(repository.name, repository.url, tuple(contents), (), None)
        main = repository.create(private=private)
    sent = main.differing(expected)
    removed = tuple(sorted(set(main.files) - set(expected) - {_OF_THE_HUB}))
    if not sent and not removed:
        return PublishedSite(repository.name, repository.url, (), (), main.commit)
    _check_ours(repository, main)
    if dry_run:
        return PublishedSite(repository.name, repository.url, sent, removed, None)
    commit = repository.commit(
        [
            *(CommitOperationDelete(path) for path in removed),
            *(CommitOperationAdd(path, _as_operand(contents[path])) for path in sent),
        ],
        "Publish the leaderboard",
        main.commit,
        {**{path: expected[path] for path in sent}, **{path: frozenset([ABSENT]) for path in removed}},
    )
    there = repository.snapshot(commit)
    if there is None or not there.holds(expected):
        raise PdefmError(
            f"{repository.name} does not hold the files of the site: leave its folder alone during the upload and "
            "publish again"
        )
    return PublishedSite(repository.name, repository.url, sent, removed, commit)


def _contents(site: Path) -> dict[str, Path | bytes]:
    """Return the files of the Space by their paths: those that a build wrote, and the Space's card."""
    return {str(path): site / path for path in site_files(site)} | {SPACE_CARD: _CARD.format(page=FRONT).encode()}


def _identities(content: Path | bytes) -> frozenset[str]:
    try:
        return identities(content) if isinstance(content, bytes) else file_identities(content)
    except OSError as error:
        raise PdefmError(f"cannot read {content!s}: {error.strerror or error}") from error


def _as_operand(content: Path | bytes) -> str | bytes:
    return content if isinstance(content, bytes) else str(content)


def _check_ours(repository: Repository, main: Snapshot) -> None:
    """Refuse to replace what is neither an earlier site nor what the Hub puts into a new Space."""
    if str(FRONT) in main.files and GENERATOR.encode() in repository.read(str(FRONT), main.commit):
        return
    foreign = sorted(set(main.files) - {_OF_THE_HUB, SPACE_CARD})
    if not foreign or (_is_new(repository) and set(main.files) <= _TEMPLATE):
        return
    raise PdefmError(
        f"{repository.name} holds something else than a leaderboard's site ({', '.join(foreign[:_SHOWN])}): nothing "
        "was changed; name another Space, or remove those files"
    )


def _is_new(repository: Repository) -> bool:
    """Return whether nobody but the Hub has put anything into a Space."""
    api = repository.api
    commits = repository.retried(lambda: list(api.list_repo_commits(repository.name, repo_type=repository.kind)))
    return len(commits) == 1
