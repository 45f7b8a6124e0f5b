"""`pdefm leaderboard rank`: who is ranked before whom, as tables or JSON."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from pdebench_fm.cli.completion import one_task
from pdebench_fm.cli.console import aside, console, say, short, waiting
from pdebench_fm.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdebench_fm.leaderboard.board import Row
    from pdebench_fm.leaderboard.ranking import Ranking, Standing, Unranked

_ROOMY = 100  # columns of a terminal that has room for an organisation and a model's name in one line
_DIGITS = 12  # of a commit or another digest
_NAMED = 3  # tasks that a line names of a model that lacks many; --json names all


def rank(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="LEADERBOARD", help="A folder, or ORG/NAME on the Hub; else leaderboard/, or the package's rows."
        ),
    ] = None,
    shots: Annotated[int | None, typer.Option(help="Rank with this number of shots alone.")] = None,
    track: Annotated[str | None, typer.Option(help="Rank on this track alone: full or lite.")] = None,
    division: Annotated[str | None, typer.Option(help="Rank in this division alone: closed or open.")] = None,
    system: Annotated[str | None, typer.Option(help="Rank over the four tasks of a system, not over all.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Rank on one task alone, such as helmholtz-ood/medium.", autocompletion=one_task)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rankings as JSON.")] = False,
) -> None:
    """Rank the models of a leaderboard by their overall error; those that can't be told apart share a rank.

    There is a ranking for each track, way of adapting and number of shots.
    """
    from pdebench_fm.data.catalogue import TASKS
    from pdebench_fm.leaderboard.fetching import leaderboard_at
    from pdebench_fm.leaderboard.ranking import OVERALL, SYSTEM_SCOPES, rankings
    from pdebench_fm.leaderboard.store import load
    from pdebench_fm.protocol.tracks import find_track

    if track is not None:
        find_track(track)
    if system is not None and task is not None:
        raise UsageError("--system and --task are two things to rank over: name one")
    for kind, name, known in (
        ("division", division, ("closed", "open")),
        ("system", system, SYSTEM_SCOPES),
        ("task", task, tuple(TASKS)),
    ):
        if name is not None and name not in known:
            raise unknown_name(kind, name, known)
    with waiting(f"fetching {source or 'rows'}") as update, leaderboard_at(source, on_wait=update) as folder:
        entries = load(folder, lambda file: say(f"note: left out: {file.reason}", to=aside))
    every = rankings(entries, [task or system or OVERALL])
    found = [
        ranking
        for ranking in every
        if shots in (None, ranking.shots) and track in (None, ranking.track) and division in (None, ranking.division)
    ]
    if not found:
        there = "; ".join(dict.fromkeys(_setting(ranking) for ranking in every))
        none = f"no scores on {task or system}" if task or system else "no scores"
        raise UsageError(f"nothing to rank in {source or folder}: it has {f'scores of {there}' if there else none}")
    if as_json:
        typer.echo(json.dumps([_as_json(ranking) for ranking in found], indent=2))
        return
    for ranking in found:
        _print(ranking)
    if task is None and not any(ranking.standings for ranking in found):
        say("a ranking needs all of its tasks; --task TASK ranks on one alone, --system SYSTEM on four", to=aside)


def _setting(ranking: "Ranking") -> str:
    return f"{ranking.shots} shots, {ranking.track} track, {ranking.division} division ({ranking.method})"


def _print(ranking: "Ranking") -> None:
    title = f"Ranking ({ranking.scope}): {_setting(ranking)}, protocol v{ranking.protocol_version}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("rank", "model", "start", "error (95 % interval)", "digits"):
        table.add_column(name, justify="left" if name in ("model", "start") else "right", overflow="fold")
    rows = [*(standing.row for standing in ranking.standings), *(unranked.row for unranked in ranking.unranked)]
    for standing in ranking.standings:
        low, high = map(short, standing.interval)
        error = f"{short(standing.error)} ({low}–{high})"
        digits = "" if standing.digits is None else f"{standing.digits:.2f}"
        name = _name(standing.row, rows)
        name = name if console.width >= _ROOMY else name.replace("/", "/\n")
        table.add_row(_rank(standing), name, standing.row.start, error, digits)
    if ranking.standings:
        console.print(table)
    else:
        lacking = (
            "no model can be ranked" if len(ranking.tasks) == 1 else f"no model has all {len(ranking.tasks)} tasks"
        )
        say((f"{title}: {lacking}", "italic"))
    if any(standing.tied for standing in ranking.standings):
        say("=: shares its rank with others, from which it can't be told by these scores")
    for unranked in ranking.unranked:
        say(f"not ranked: {_name(unranked.row, rows)} ({unranked.row.start}): {_missing(unranked)}")


def _missing(unranked: "Unranked") -> str:
    """Return what a contender lacks, each reason with its tasks; only the first are named of many."""
    lacking: dict[str, list[str]] = {}
    for each in unranked.missing:
        lacking.setdefault(each.reason, []).append(each.task)
    return "; ".join(f"{_some(names)}: {reason}" for reason, names in lacking.items())


def _some(names: "Sequence[str]") -> str:
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_NAMED])} and {more} more"


def _rank(standing: "Standing") -> str:
    return f"= {standing.rank}" if standing.tied else str(standing.rank)


def _name(row: "Row", rows: "Sequence[Row]") -> str:
    """Return what a row's model is called, with what tells it from others of that name."""
    own = _identities(row)
    others = [_identities(other) for other in rows if (other.organisation, other.name) == (row.organisation, row.name)]
    words = [f"{what} {digest}" for what, digest in own.items() if any(other[what] != digest for other in others)]
    return f"{row.organisation}/{row.name}" + (f" ({', '.join(words)})" if words else "")


def _identities(row: "Row") -> dict[str, str]:
    model = row.result.model
    digests = {
        "revision": model.revision,
        "weights": model.weights_sha256 or model.tensors_sha256,
        "fingerprint": model.fingerprint,
        "manifest": None if model.training is None else model.training.digest,
    }
    return {what: digest[:_DIGITS] if digest else "none" for what, digest in digests.items()}


def _as_json(ranking: "Ranking") -> dict[str, Any]:
    return {
        "protocol_version": ranking.protocol_version,
        "track": ranking.track,
        "division": ranking.division,
        "method": ranking.method,
        "shots": ranking.shots,
        "scope": ranking.scope,
        "tasks": list(ranking.tasks),
        "standings": [
            {
                "rank": standing.rank,
                "last_rank": standing.last_rank,
                "tied": standing.tied,
                **_contender(standing.row),
                "error": standing.error,
                "interval": list(standing.interval),
                "covers": standing.covers,
                "digits": standing.digits,
                "knowledge": dict(standing.knowledge),
                "errors": {task: cell.summary.mean for task, cell in zip(ranking.tasks, standing.cells, strict=True)},
            }
            for standing in ranking.standings
        ],
        "unranked": [
            {**_contender(unranked.row), "missing": {each.task: each.reason for each in unranked.missing}}
            for unranked in ranking.unranked
        ],
    }


def _contender(row: "Row") -> dict[str, Any]:
    model = row.result.model
    return {
        "organisation": row.organisation,
        "model": row.name,
        "revision": model.revision,
        "weights_sha256": model.weights_sha256,
        "start": row.start,
    }
