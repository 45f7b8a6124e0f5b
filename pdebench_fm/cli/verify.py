"""`pdefm data verify`: a dataset against its manifest, its digests and its recipes, as a table of checks."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from pdebench_fm.cli.console import console, progress_bar
from pdebench_fm.errors import PdefmError

if TYPE_CHECKING:
    from pdebench_fm.data.verification.verify import Report


def verify(
    location: Annotated[
        str, typer.Argument(help="A built folder, or a dataset on the Hub: org/name, org/name@revision.")
    ],
    revision: Annotated[str | None, typer.Option(help="Of a Hub dataset: a tag such as v1.0.0, or a commit.")] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Rows of each split that are made again, one of every shard at least.")
    ] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of those rows.")] = 0,
) -> None:
    """Check a dataset: every file and every row against the manifest and the recipes, a sample of fields remade."""
    from pdebench_fm.data.verification.verify import verify as verify_dataset

    with progress_bar() as progress:
        bar = progress.add_task(f"verifying {location}", total=None, note="rows")

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        report = verify_dataset(location, revision=revision, sample=sample, seed=seed, on_rows=advance)
    console.print(_table(report))
    if report.failures:
        first = report.failures[0]
        count = f"{len(report.failures)} of {len(report.checks)} checks of {location} failed"
        raise PdefmError(f"{count}; the first: {first.name}: {first.detail}")


def _table(report: "Report") -> Table:
    table = Table(title=f"Verification of {report.location}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for check in report.checks:
        result = Text("passed", "green") if check.passed else Text("FAILED", "bold red")
        table.add_row(check.name, result, Text(check.detail))
    return table
