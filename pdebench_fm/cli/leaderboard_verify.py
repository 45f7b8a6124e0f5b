"""`pdefm leaderboard verify`: rows checked, their models run again, and what was found as text or JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdebench_fm.cli.console import say, waiting
from pdebench_fm.errors import PdefmError

if TYPE_CHECKING:
    from pdebench_fm.leaderboard.verification import RowReport, Verification


def verify(
    sources: Annotated[
        list[str], typer.Argument(help="Result files; a leaderboard's folder; or a pull request, ORG/REPO#NUMBER.")
    ],
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Run the models, by pinned weights, and compare all scores.")
    ] = False,
    private_seed: Annotated[
        int | None, typer.Option(help="Run them on fresh test rows of this seed too: any number that nobody knows.")
    ] = None,
    shots: Annotated[str | None, typer.Option(help="Run the models with these shots alone, such as 0,8.")] = None,
    records: Annotated[
        Path | None,
        typer.Option(help="The leaderboard's folder that gets the records; by default that which is verified."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Verify rows of a leaderboard: their content, names, rows and samples, and on request their models.

    No code of a submission is executed: models are this package's own, its architectures with weights from the Hub, or
    ONNX graphs from there, which are data.
    The exit code is 0 if nothing is wrong, 1 if a row is refused, 2 for wrong usage.
    """
    from pdebench_fm.leaderboard.verification import Depth
    from pdebench_fm.leaderboard.verification import verify as verify_rows
    from pdebench_fm.protocol.names import shots_list

    wanted = None if shots is None else frozenset(shots_list(shots))
    depth = Depth(recompute, private_seed, wanted)
    with waiting(f"verifying {' '.join(sources)}") as update:
        found = verify_rows(
            sources,
            depth,
            records_to=records,
            on_row=lambda row, what: update(f"running {row}{': ' if what else ''}{what}"),
            on_wait=update,
        )
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found)
    if found.refused:
        first = found.refused[0]
        count = f"{len(found.refused)} of {len(found.rows)} rows are refused"
        raise PdefmError(f"{count}; the first: {first.row}: {first.refusal}")


def _print(found: "Verification") -> None:
    """Print each row by its path, which nothing breaks, and below it what was found."""
    say((f"Verification of {found.source}", "italic"))
    for row in found.rows:
        say(("REFUSED", "bold red") if row.refusal else ("passed", "green"), " ", row.row)
        for line in _lines(row):
            say("    ", line)
    for path in found.records:
        say("record: ", (path, "bold"))


def _lines(row: "RowReport") -> list[str]:
    """Return what was found of a row."""
    first = row.refusal or ", ".join(finding.check for finding in row.findings)
    return [first, *([row.note] if row.note else []), *row.badges]


def _as_json(found: "Verification") -> dict[str, object]:
    return {
        "source": found.source,
        "passed": not found.refused,
        "rows": [
            {
                "row": row.row,
                "passed": not row.refusal,
                "findings": [asdict(finding) for finding in row.findings],
                "note": row.note,
                "badges": list(row.badges),
                "reruns": [rerun.model_dump(mode="json") for rerun in row.reruns],
                "private": [{**score.model_dump(mode="json"), "agreement": score.agreement} for score in row.private],
            }
            for row in found.rows
        ],
        "records": [str(path) for path in found.records],
    }
