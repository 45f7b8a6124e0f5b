"""`pdefm submit` and `pdefm leaderboard`: rows in, a page out."""

from pathlib import Path
from typing import Annotated

import typer

from pdebench_fm.cli.console import aside, say

app = typer.Typer(help="Build the leaderboard's page.", no_args_is_help=True)


def submit(
    results: Annotated[list[Path], typer.Argument(help="Result files, or folders of them.")],
    to: Annotated[Path, typer.Option(help="The leaderboard's folder.")] = Path("leaderboard"),
    organisation: Annotated[str, typer.Option(help="Who sends models that are not named org/name.")] = "pdebench-fm",
    replace: Annotated[bool, typer.Option(help="Replace a row of the same model, task and revision.")] = False,
) -> None:
    """Check result files and put them on a leaderboard: all of them, or none."""
    from pdebench_fm.leaderboard.store import submit as submit_results

    for path in submit_results(results, to, organisation, replace=replace):
        say("on the leaderboard: ", (path, "bold"))


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the site.")],
    source: Annotated[Path, typer.Option("--from", help="The leaderboard's folder.")] = Path("leaderboard"),
) -> None:
    """Render a leaderboard as one self-contained page that opens from disk; files that are no rows are left out."""
    from pdebench_fm.leaderboard.site import build_site

    page = build_site(source, out, lambda note: say(f"note: {note}", to=aside))
    say("built ", (page, "bold"))
