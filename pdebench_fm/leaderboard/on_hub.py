"""Submitting to a leaderboard on the Hub: what it has is read, and what it lacks proposed in one pull request."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.hub.names import check_namespace
from pdebench_fm.hub.pull_requests import Account, PullRequest, own_account, propose
from pdebench_fm.hub.repository import Repository, Snapshot, hub_client, identities
from pdebench_fm.leaderboard.submission import Present, Submission, SubmittedRow, Submitter, plan_submission
from pdebench_fm.limits import RESULT_BYTES, SAMPLES_BYTES
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.paths import ROWS
from pdebench_fm.results.result import write_result
from pdebench_fm.results.samples import samples_path, write_samples

_TITLE_MODELS = 2


@dataclass(frozen=True)
class Proposal:
    """A submission to the Hub.

    Attributes:
        submission: what it comes to.
        files: what is sent, by path in the repository, with its size in bytes.
        pull_request: None if nothing had to be sent, or was to be.
    """

    submission: Submission
    files: dict[str, int]
    pull_request: PullRequest | None


def is_on_hub(to: str) -> bool:
    """Tell whether `--to` means a repository on the Hub, `ORG/NAME`: no folder is here, nor one that it would be in."""
    owner, slash, name = to.partition("/")
    plain = bool(slash and owner and name) and "/" not in name and not owner.startswith((".", "~"))
    return plain and not Path(owner).exists()


def submit_to_hub(
    paths: Iterable[Path],
    to: str,
    submitter: Submitter | None = None,
    *,
    dry_run: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Proposal:
    """Check result files, and propose the rows that a leaderboard on the Hub lacks in one pull request.

    What is there is never replaced. If an open pull request of the same user has the same rows, no other is opened.

    Args:
        paths: result files, or folders of which every `*.json` is one.
        to: the leaderboard's dataset repository, `organisation/name`.
        submitter: who submits, and what he states of his model; by default the user that the token belongs to.
        dry_run: send nothing.
        token: of the Hub; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: as `plan_submission` says, or for an organisation that the user does not belong to.
        PdefmError: a file that is not a valid result, or a Hub that refuses or keeps failing.
    """
    check_namespace(to.partition("/")[0])
    repository = Repository(hub_client(endpoint, token), to, "dataset", on_wait, sleep)
    account = own_account(repository)
    given = submitter or Submitter()
    wanted = given if given.organisation is not None else replace(given, organisation=account.name)
    main = repository.snapshot()
    if main is None:
        raise UsageError(f"the Hub has no dataset {to}, or your token may not see it: give ORG/NAME")
    found = plan_submission(paths, wanted, _present_on(repository, main), folders_in(main.files))
    for row in found.rows:
        check_owner(row.place.parts[1], account, to)
    files = _files(found.changes)
    sizes = {path: len(content) for path, content in files.items()}
    if not files or dry_run:
        return Proposal(found, sizes, None)
    request = propose(
        repository,
        account.name,
        [CommitOperationAdd(path, content) for path, content in files.items()],
        _title(found.changes, files),
        _description(found.changes),
        main.commit,
        {path: identities(content) for path, content in files.items()},
    )
    return Proposal(found, sizes, request)


def check_owner(organisation: str, account: Account, leaderboard: str) -> None:
    """Raise a `UsageError` unless an account may send rows of an organisation.

    That is, of its own, or of any if the leaderboard is its own: then it answers for it anyway.
    """
    if organisation in account.namespaces or leaderboard.partition("/")[0] in account.namespaces:
        return
    raise UsageError(
        f"{organisation} is somebody else's: {account.name} can submit for {', '.join(account.namespaces)} "
        "(--name or --organisation says under which name)"
    )


def folders_in(files: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the folders of organisations and models among the paths of a leaderboard's files."""
    parts = sorted({tuple(path.split("/")[1:3]) for path in files if path.startswith(f"{ROWS}/")})
    return [*dict.fromkeys(part[:1] for part in parts), *parts]


def _present_on(repository: Repository, main: Snapshot) -> Present:
    """Return what a leaderboard on the Hub has at a commit."""

    def present(place: Path) -> Evaluation | None:
        names = [place.as_posix(), samples_path(place).as_posix()]
        if names[0] not in main.files:
            return None
        most = {names[0]: RESULT_BYTES, names[1]: SAMPLES_BYTES}
        with tempfile.TemporaryDirectory() as cache:
            folder = repository.download(names, main.commit, cache_dir=cache, most=most)
            try:
                return read_evaluation(folder / place)
            except PdefmError as error:
                raise PdefmError(f"{repository.name} has a row that cannot be read: {error}") from error

    return present


def _files(rows: Iterable[SubmittedRow]) -> dict[str, bytes]:
    """Return the content of the files of rows, by path."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            here = Path(folder) / row.place.name
            write_samples(row.evaluation.samples, samples_path(here))
            write_result(row.evaluation.result, here)
            files[row.place.as_posix()] = here.read_bytes()
            files[samples_path(row.place).as_posix()] = samples_path(here).read_bytes()
    return files


def _title(rows: Iterable[SubmittedRow], files: dict[str, bytes]) -> str:
    """Return a title that only the same files have."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\0".encode())
    models = sorted({"/".join(row.place.parts[1:3]) for row in rows})
    named = ", ".join(models[:_TITLE_MODELS]) + (", …" if len(models) > _TITLE_MODELS else "")
    return f"Submit {len(files) // 2} rows of {named} ({digest.hexdigest()[:12]})"


def _description(rows: Iterable[SubmittedRow]) -> str:
    lines = [f"- `{row.place.as_posix()}` ({row.state})" for row in rows]
    return "\n".join(["Sent by `pdefm submit`; checked by `pdefm leaderboard verify`.", "", *lines])
