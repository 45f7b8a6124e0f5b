"""`pdefm leaderboard review`: open pull requests verified, and what the reports lead to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdebench_fm.cli.console import aside, say, waiting
from pdebench_fm.errors import PdefmError, UsageError

if TYPE_CHECKING:
    from pdebench_fm.leaderboard.reports import Report
    from pdebench_fm.leaderboard.review import Extent
    from pdebench_fm.leaderboard.verification import Depth

_STYLES = {"passed": "green", "refused": "bold red", "not verified": "yellow"}


def review(
    leaderboard: Annotated[str, typer.Argument(help="The leaderboard's dataset repository, ORG/REPO.")],
    out: Annotated[Path, typer.Option(help="The folder of reports.")],
    recompute: Annotated[bool, typer.Option("--recompute", help="Run the models, as verify does.")] = False,
    private_seed: Annotated[
        int | None, typer.Option(help="Run them on fresh test rows of this seed too: any number that nobody knows.")
    ] = None,
    shots: Annotated[str | None, typer.Option(help="Run the models with these shots alone, such as 0,8.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Verify also what has a report on its present commit.")
    ] = False,
    at_most: Annotated[int, typer.Option(help="Verify so many requests, each author's oldest first.", min=1)] = 100,
    minutes: Annotated[float, typer.Option(help="Time for each request.", min=0.01)] = 60.0,
    memory: Annotated[float, typer.Option(help="Memory for each request, in GiB; on Linux.", min=0.1)] = 16.0,
    post: Annotated[
        bool, typer.Option("--post", help="Verify nothing; comment on each request as its report says.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Verify nothing; merge what passed, and write the records of its rows.")
    ] = False,
) -> None:
    """Verify the open pull requests of a leaderboard, each in a process without a token, and write a report of each.

    With --post or --merge nothing is verified or read of a submission: that acts on the reports, and needs a token.
    The exit code is 0 unless something could not be done; a request that is refused is no failure.
    """
    from pdebench_fm.leaderboard.on_hub import is_on_hub

    if not is_on_hub(leaderboard):
        raise UsageError(f"{leaderboard} is no repository on the Hub: give ORG/REPO (a folder is verified by verify)")
    if post or merge:
        if recompute or again or private_seed is not None or shots is not None:
            raise UsageError("--post and --merge act on reports, and verify nothing: review first, then post and merge")
        _decide(leaderboard, out, post=post, merges=merge)
        return
    from pdebench_fm.leaderboard.apart import Bounds
    from pdebench_fm.leaderboard.review import Extent
    from pdebench_fm.leaderboard.verification import Depth
    from pdebench_fm.protocol.names import shots_list

    depth = Depth(recompute, private_seed, None if shots is None else frozenset(shots_list(shots)))
    bounds = Bounds(60.0 * minutes, int(memory * 2**30))
    _verify(leaderboard, out, depth, Extent(at_most, again, bounds))


def _verify(leaderboard: str, out: Path, depth: "Depth", extent: "Extent") -> None:
    from pdebench_fm.leaderboard.review import review as review_requests

    with waiting(f"reviewing {leaderboard}") as update:
        found = review_requests(
            leaderboard,
            out,
            depth,
            extent,
            on_request=lambda number, commit: update(f"verifying #{number} at {commit:.12}"),
            on_wait=update,
        )
    _print(
        f"Review of {leaderboard}",
        [
            (report, "verified now" if report.request in found.verified else "as reported", _why(report))
            for report in found.reports
        ],
    )
    if found.left:
        say(f"{found.left:,} requests are left for another time (--at-most)", to=aside)
    if found.trouble:
        number, why = next(iter(found.trouble.items()))
        raise PdefmError(f"{len(found.trouble)} requests got no report: run this again; the first: #{number}: {why}")


def _decide(leaderboard: str, reports: Path, *, post: bool, merges: bool) -> None:
    from pdebench_fm.leaderboard.decisions import decide

    with waiting(f"deciding on {leaderboard}") as update:
        decisions = decide(leaderboard, reports, post=post, merges=merges, on_wait=update)
    _print(
        f"Decisions on {leaderboard}",
        [(each.report, ", ".join(each.done) or "nothing to do", each.problem) for each in decisions],
    )
    problems = [each for each in decisions if each.problem]
    if problems:
        first = f"#{problems[0].report.request}: {problems[0].problem}"
        raise PdefmError(f"{len(problems)} of {len(decisions)} requests were not finished; the first: {first}")


def _print(title: str, lines: "list[tuple[Report, str, str]]") -> None:
    """Print a line for each request, and below it why: text and paths that nothing breaks."""
    say((title, "italic"))
    for report, done, why in lines:
        say((f"#{report.request} ", "bold"), (report.verdict, _STYLES[report.verdict]), f": {done}")
        if why:
            say("    ", why)


def _why(report: "Report") -> str:
    rows = [row for row in report.rows if row.refusal]
    return report.failure or report.refusal or (f"{rows[0].row}: {rows[0].refusal}" if rows else "")
