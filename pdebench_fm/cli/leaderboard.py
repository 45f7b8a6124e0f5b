"""`pdefm leaderboard`: rows verified and ranked, a page out."""

from pathlib import Path
from typing import Annotated

import typer

from pdebench_fm.cli.console import aside, say
from pdebench_fm.cli.leaderboard_rank import rank
from pdebench_fm.cli.leaderboard_verify import verify

app = typer.Typer(help="Verify and rank a leaderboard's rows, and build its page.", no_args_is_help=True)
app.command()(verify)
app.command()(rank)


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the site.")],
    source: Annotated[Path, typer.Option("--from", help="The leaderboard's folder.")] = Path("leaderboard"),
) -> None:
    """Render a leaderboard as one self-contained page that opens from disk; files that are no rows are left out."""
    from pdebench_fm.leaderboard.site import build_site

    page = build_site(source, out, lambda note: say(f"note: {note}", to=aside))
    say("built ", (page, "bold"))
