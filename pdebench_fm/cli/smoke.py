"""`pdefm eval --smoke`: what an evaluation of a model would stumble over, as a table."""

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from pdebench_fm.cli.console import console, progress_bar, say

if TYPE_CHECKING:
    from pdebench_fm.evaluation.smoke import SmokeCheck, SmokeReport

_FOUND_WIDTH = 30  # columns in which what was found can be read, however long the names of tasks and methods are
_STYLES = {"ok": "green", "would fail": "bold red", "note": "yellow"}


def smoke(model: str, device: str, recipe: str | None, adaptation: str | None) -> None:
    """Run the smoke test of one model and print what it found.

    Args:
        model: As `open_candidate` takes it.
        device: See `choose_device`.
        recipe: How models would be adapted, as `method_of` takes it.
        adaptation: Likewise.

    Raises:
        PdefmError: If the model or the adaptation cannot be opened.
        typer.Exit: With code 1 if an evaluation would fail.
    """
    from pdebench_fm.evaluation.smoke import smoke_test
    from pdebench_fm.models import open_candidate
    from pdebench_fm.protocol.methods import method_of

    candidate, method = open_candidate(model, device), method_of(recipe, adaptation)
    with progress_bar() as progress:
        bar = progress.add_task(f"smoke test of {candidate.name}", total=None, note="checks")
        report = smoke_test(
            candidate, lambda check: progress.update(bar, advance=1, note=f"checks; {check.name}"), method
        )
    console.print(_table(report))
    _print_tracebacks(report)
    failing = sum(check.outcome == "would fail" for check in report.checks)
    if failing:
        say((f"{failing} of {len(report.checks)} checks would fail an evaluation", "bold red"))
        raise typer.Exit(1)
    say(("an evaluation would run", "green"), "; the errors above are of 8 samples a task, no scores")


def _table(report: "SmokeReport") -> Table:
    table = Table(title=f"Smoke test of {report.model}", title_justify="left")
    table.add_column("check", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    table.add_column("found", min_width=_FOUND_WIDTH)
    for check in report.checks:
        table.add_row(check.name, Text(check.outcome, _STYLES[check.outcome]), _in_words(check))
    return table


def _in_words(check: "SmokeCheck") -> Text:
    """Return what was found, and below it what it means."""
    return Text.assemble(check.found, (f"\n{check.advice}" if check.advice else "", "dim"))


def _print_tracebacks(report: "SmokeReport") -> None:
    """Print each different traceback of the user's code once."""
    for details in dict.fromkeys(check.details for check in report.checks if check.details):
        say(details.rstrip())
