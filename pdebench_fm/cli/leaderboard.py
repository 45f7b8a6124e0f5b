"""`pdefm leaderboard`: rows verified and ranked, pull requests reviewed, a site out."""

import typer

from pdebench_fm.cli.leaderboard_rank import rank
from pdebench_fm.cli.leaderboard_review import review
from pdebench_fm.cli.leaderboard_site import build, publish, serve
from pdebench_fm.cli.leaderboard_verify import verify

app = typer.Typer(
    help="Verify and rank a leaderboard's rows, review its pull requests; build, show and publish its site.",
    no_args_is_help=True,
)
for command in (verify, review, rank, build, serve, publish):
    app.command()(command)
