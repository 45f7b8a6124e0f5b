"""Review of a leaderboard's open pull requests: each is verified in a process of its own, and a report says how.

Nobody's token is used here, so a leaderboard is reviewed that everybody can read. What is posted and merged is decided
from the reports, elsewhere (`decisions`).
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import folder_lock
from pdebench_fm.hub.names import check_namespace
from pdebench_fm.hub.pull_requests import OpenRequest, open_requests
from pdebench_fm.hub.repository import Repository, hub_client
from pdebench_fm.leaderboard.apart import Bounds, Order, TryAgainError, verified_apart
from pdebench_fm.leaderboard.checks import Claim
from pdebench_fm.leaderboard.fetching import fetch
from pdebench_fm.leaderboard.reports import Asked, Report, place_of, read_report, write_report
from pdebench_fm.leaderboard.verification import Depth
from pdebench_fm.limits import OPEN_REQUESTS

Apart = Callable[[Order, Bounds], Report]
"""Verifies a request, in a process of its own."""


@dataclass(frozen=True)
class Extent:
    """How much of a leaderboard's requests is verified at once.

    Attributes:
        at_most: requests.
        again: also those with a report on the commit that they are at.
        bounds: of each verification.
    """

    at_most: int = 100
    again: bool = False
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class Review:
    """What a review came to.

    Attributes:
        reports: on the open requests, in their order.
        verified: the numbers of those that were verified now.
        left: how many have no report and were left for another time.
        trouble: of each request that the Hub gave no answer on, what it was.
    """

    reports: tuple[Report, ...]
    verified: frozenset[int]
    left: int
    trouble: dict[int, str]


def review(
    leaderboard: str,
    out: Path,
    depth: Depth | None = None,
    extent: Extent | None = None,
    *,
    endpoint: str | None = None,
    apart: Apart = verified_apart,
    on_request: Callable[[int, str], None] = lambda _number, _commit: None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Review:
    """Verify the open pull requests of a leaderboard that have no report yet, and write one each.

    Of many requests each author's oldest comes first, so that nobody keeps the others waiting. What passed in another
    open request counts as if it were there already: its scores and its names are taken.

    Args:
        leaderboard: its dataset repository, `organisation/name`.
        out: the folder of its reports, made if missing.
        depth: what is done beyond the cheap checks; a report of another depth is made anew.
        extent: how much is done.
        endpoint: the Hub's address.
        apart: verifies one request.
        on_request: called with number and commit of each request before it is verified.
        on_wait: told why and how long the Hub is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: if there is no such leaderboard.
        PdefmError: if the Hub keeps failing, or `out` cannot be written to.
    """
    asked, bounds = depth or Depth(), extent or Extent()
    if bounds.at_most < 1:
        raise UsageError("give a number of requests that is at least 1")
    check_namespace(leaderboard.partition("/")[0])
    repository = Repository(hub_client(endpoint, token=False), leaderboard, "dataset", on_wait, sleep)
    requests = open_requests(repository, OPEN_REQUESTS)
    wanted = _asked(asked)
    _make(out)
    with folder_lock(out), _main_of(repository, endpoint) as main:
        held = {} if bounds.again else _held(out, leaderboard, requests, wanted)
        missing = [request for request in in_turn(requests) if request.number not in held]
        made: dict[int, Report] = {}
        trouble: dict[int, str] = {}
        for request in missing[: bounds.at_most]:
            on_request(request.number, request.commit)
            claims = [claim for report in (held | made).values() for claim in _claims(report)]
            order = Order(
                leaderboard=leaderboard,
                request=request.number,
                commit=request.commit,
                asked=wanted,
                private_seed=asked.private_seed,
                main=str(main),
                claims=tuple(claims),
                endpoint=endpoint,
                memory=bounds.bounds.memory,
                report="",
            )
            try:
                report = apart(order, bounds.bounds)
            except TryAgainError as error:
                trouble[request.number] = str(error)
                continue
            write_report(out, report)
            made[request.number] = report
    reports = sorted((held | made).values(), key=lambda report: report.request)
    return Review(tuple(reports), frozenset(made), max(0, len(missing) - bounds.at_most), trouble)


def _make(folder: Path) -> None:
    """Make the folder of reports, which stays: without requests too there is something to act on, which is nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PdefmError(f"cannot write to {folder}: {error.strerror}") from error


def in_turn(requests: Sequence[OpenRequest]) -> list[OpenRequest]:
    """Return requests in the order in which they are looked at: everybody's oldest, everybody's second and so on."""
    turn: Counter[str] = Counter()
    turns: list[tuple[int, int, OpenRequest]] = []
    for request in sorted(requests, key=lambda each: each.number):
        turns.append((turn[request.author], request.number, request))
        turn[request.author] += 1
    return [request for _, _, request in sorted(turns, key=lambda each: each[:2])]


def _asked(depth: Depth) -> Asked:
    shots = None if depth.shots is None else tuple(sorted(depth.shots))
    return Asked(recompute=depth.recompute, private=depth.private_seed is not None, shots=shots)


def _held(out: Path, leaderboard: str, requests: Sequence[OpenRequest], asked: Asked) -> dict[int, Report]:
    """Return the reports that need not be made again, by request; one that is not as it was written is made again."""
    held = {}
    for request in requests:
        if not place_of(out, request.number).exists():
            continue
        try:
            report = read_report(out, request.number, leaderboard)
        except PdefmError:
            continue
        if (report.commit, report.asked) == (request.commit, asked):
            held[request.number] = report
    return held


def _claims(report: Report) -> list[Claim]:
    return [claim for row in report.rows for claim in row.claims] if report.verdict == "passed" else []


@contextmanager
def _main_of(repository: Repository, endpoint: str | None) -> Iterator[Path]:
    """Yield a folder with the results and records that the leaderboard has; its per-sample scores are not needed."""
    with tempfile.TemporaryDirectory() as folder:
        yield fetch(
            repository.name,
            Path(folder),
            without_samples=True,
            token=False,
            endpoint=endpoint,
            on_wait=repository.on_wait,
            sleep=repository.sleep,
        )
