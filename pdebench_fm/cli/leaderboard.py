"""`pdefm leaderboard`: rows verified and ranked, pull requests reviewed, a site out."""

from pathlib import Path
from typing import Annotated

import typer

from pdebench_fm.cli.console import aside, say, waiting
from pdebench_fm.cli.leaderboard_rank import rank
from pdebench_fm.cli.leaderboard_review import review
from pdebench_fm.cli.leaderboard_verify import verify

app = typer.Typer(
    help="Verify and rank a leaderboard's rows, review its pull requests, and build its site.", no_args_is_help=True
)
app.command()(verify)
app.command()(review)
app.command()(rank)


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the site.")],
    source: Annotated[
        str, typer.Option("--from", help="The leaderboard: a folder, or ORG/NAME on the Hub.")
    ] = "leaderboard",
) -> None:
    """Build the leaderboard's site, which opens from disk; files that are no rows are left out, and named."""
    from pdebench_fm.leaderboard.fetching import leaderboard_at
    from pdebench_fm.leaderboard.site import build_site

    with waiting(f"fetching {source}") as update, leaderboard_at(source, on_wait=update) as folder:
        update("building")
        page = build_site(folder, out, lambda note: say(f"note: {note}", to=aside))
    say("built ", (page, "bold"))
