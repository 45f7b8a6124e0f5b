"""The tree of commands."""

from typing import Annotated

import typer

from pdebench_fm.cli import compare, data, evaluate, leaderboard, plot, pretrain, release, reproduce, submit, tasks, zoo
from pdebench_fm.version import __version__

app = typer.Typer(
    name="pdefm",
    help="The PDE foundation-model benchmark: datasets, pretrained operators, evaluation, leaderboard.",
    epilog=(
        "Add --debug anywhere to see the traceback of an error. "
        "PDEFM_PLUGINS=FILE.py adds systems of your own: see docs/how-to/extending-pdes.md."
    ),
    no_args_is_help=True,
)
app.add_typer(data.app, name="data")
app.command("tasks")(tasks.tasks)
app.command("pretrain")(pretrain.pretrain)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("plot")(plot.plot)
app.command("reproduce")(reproduce.reproduce)
app.command("submit")(submit.submit)
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(zoo.app, name="zoo")
app.command("release")(release.release)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """The PDE foundation-model benchmark: datasets, pretrained operators, evaluation, leaderboard."""
