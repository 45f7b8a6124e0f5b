"""What reports of review lead to: verdicts as comments, requests that passed merged, and records of verification.

Nothing of a submission is read here, so that the token which this needs is never in a process that reads one. What is
known of a submission is in its report; a request that is at another commit than the report says is left alone.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import folder_lock
from pdebench_fm.hub.failures import HubError
from pdebench_fm.hub.names import check_namespace
from pdebench_fm.hub.pull_requests import comment_once, merge, own_account, revision_of, state_of
from pdebench_fm.hub.repository import ABSENT, Repository, Snapshot, hub_client, identities
from pdebench_fm.leaderboard.records import record_path, write_record
from pdebench_fm.leaderboard.reports import Report, comment_of, finish, read_reports
from pdebench_fm.limits import RESULT_BYTES


@dataclass(frozen=True)
class Decision:
    """What was done about one request.

    Attributes:
        report: that it was done by.
        done: in words; nothing where all of it had been done before.
        problem: why the rest was not done, "" if nothing was left out.
    """

    report: Report
    done: tuple[str, ...]
    problem: str = ""


def decide(
    leaderboard: str,
    reports: Path,
    *,
    post: bool,
    merges: bool,
    token: str | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Decision]:
    """Act on reports of review, in the order of their requests; what has been done is not done again.

    A request that passed is merged, then the records of its rows are written. If something ends this in between, the
    next time completes it. One request's trouble keeps no other from its decision. The Hub merges what a request has at
    that moment: if its author has pushed since it was verified, nothing is merged, and what he pushed at the very last
    moment is taken back.

    Args:
        leaderboard: its dataset repository, `organisation/name`.
        reports: their folder; reports on requests that are merged or closed are put aside in it.
        post: tell each open request its verdict in a comment.
        merges: merge the requests that passed.
        token: of the Hub, with write access; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address.
        on_wait: told why and how long the Hub is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: if there is no folder of reports.
        PdefmError: if the reports are not as they were written, or the token is none.
    """
    check_namespace(leaderboard.partition("/")[0])
    if not reports.is_dir():
        raise UsageError(f"no folder of reports at {reports}: review first, without --post and --merge")
    repository = Repository(hub_client(endpoint, token), leaderboard, "dataset", on_wait, sleep)
    with folder_lock(reports):
        found = read_reports(reports, leaderboard)
        if not found:
            return []
        author = own_account(repository).name
        return [_decide(repository, author, reports, report, post=post, merges=merges) for report in found]


def _decide(repository: Repository, author: str, folder: Path, report: Report, *, post: bool, merges: bool) -> Decision:
    done: list[str] = []
    try:
        status = state_of(repository, report.request).status
        if status in ("open", "merged"):
            _check_commit(repository, report, status)
        if status == "open" and post and comment_once(repository, author, report.request, comment_of(report)):
            done.append("commented")
        if status == "open" and merges and report.verdict == "passed":
            try:
                _merge(repository, report)
            except _OtherMergedError as error:
                done.append(f"{_take_back(repository, report)} taken back")
                finish(folder, report.request)  # it cannot be reviewed again
                return Decision(report, tuple(done), str(error))
            done.append("merged")
            status = "merged"
        if status == "merged" and merges and report.verdict == "passed" and _write_records(repository, report):
            done.append("records written")
        if status == "closed" or (status == "merged" and merges):
            finish(folder, report.request)
    except PdefmError as error:
        return Decision(report, tuple(done), str(error))
    return Decision(report, tuple(done))


def _check_commit(repository: Repository, report: Report, status: str = "open") -> None:
    """Refuse a request that is not at the commit that was verified."""
    head = repository.snapshot(revision_of(report.request))
    if head is None or head.commit != report.commit:
        now = "gone" if head is None else f"at commit {head.commit:.12}"
        then = "look at what was merged" if status == "merged" else "review it again"
        raise PdefmError(f"it is {now} now, and {report.commit:.12} was verified: {then}")


class _OtherMergedError(PdefmError):
    """What was merged is not what was verified."""


def _merge(repository: Repository, report: Report) -> None:
    """Merge a request, and look once more at what was merged: its author can push until the last moment.

    Raises:
        _OtherMergedError: if it was another commit.
        PdefmError: if it cannot be merged.
    """
    if state_of(repository, report.request).conflicts:
        raise PdefmError("it changes files that main has changed in the meantime: its author has to send it anew")
    try:
        merge(repository, report.request)
    except HubError:
        if state_of(repository, report.request).status != "merged":  # by another one who acts on reports
            raise
    head = repository.snapshot(revision_of(report.request))
    if head is None or head.commit != report.commit:
        raise _OtherMergedError(
            f"it was changed at the moment of merging, and {report.commit:.12} was verified: its author has to send "
            "it anew"
        )


def _take_back(repository: Repository, report: Report) -> str:
    """Undo all that merging a request has brought to main, and return in words how much that was.

    Files that somebody has changed since are left as they are.
    """
    merged, main = state_of(repository, report.request).merge_commit, repository.snapshot()
    if merged is None or main is None:
        raise PdefmError(f"{repository.name} does not say what was merged")
    commits = repository.retried(
        lambda: repository.api.list_repo_commits(repository.name, repo_type=repository.kind, revision=merged)
    )
    after, before = repository.snapshot(merged), repository.snapshot(commits[1].commit_id)
    if after is None or before is None:
        raise PdefmError(f"{repository.name} does not say what was merged")
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    expected: dict[str, frozenset[str]] = {}
    for path in sorted({*after.files, *before.files}):
        old, new = before.files.get(path, ABSENT), after.files.get(path, ABSENT)
        if old == new or main.files.get(path, ABSENT) != new:
            continue
        expected[path] = frozenset([old])
        if old == ABSENT:
            operations.append(CommitOperationDelete(path))
        else:
            operations.append(CommitOperationAdd(path, repository.read(path, before.commit)))
    if operations:
        repository.commit(operations, f"Take back #{report.request}: not what was verified", main.commit, expected)
    return f"{len(operations)} file{'' if len(operations) == 1 else 's'}"


def _write_records(repository: Repository, report: Report) -> bool:
    """Write the records of a merged request, and return whether there was anything to write.

    Raises:
        PdefmError: if main does not have what was verified: the records would say nothing of it.
    """
    main = repository.snapshot()
    if main is None:
        raise PdefmError(f"{repository.name} is gone")
    other = [path for path, identity in report.files.items() if main.files.get(path) != identity]
    if other:
        raise PdefmError(
            f"main does not have {other[0]} as it was verified: look at what was merged; no records written"
        )
    with tempfile.TemporaryDirectory() as folder:
        changed = {}
        for record in report.records:
            place = record_path(Path(record.row))
            _bring(repository, main, place, Path(folder))
            content = write_record(Path(folder), record).read_bytes()
            if main.files.get(place.as_posix()) not in identities(content):
                changed[place.as_posix()] = content
    if not changed:
        return False
    repository.commit(
        [CommitOperationAdd(path, content) for path, content in changed.items()],
        f"Records of verification of #{report.request}",
        main.commit,
        {path: identities(content) for path, content in changed.items()},
    )
    return True


def _bring(repository: Repository, main: Snapshot, place: Path, folder: Path) -> None:
    """Put the record that main has at a place into a folder."""
    path = place.as_posix()
    if path not in main.files:
        return
    with tempfile.TemporaryDirectory() as cache:
        found = repository.download([path], main.commit, cache_dir=cache, most={path: RESULT_BYTES})
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes((found / place).read_bytes())
