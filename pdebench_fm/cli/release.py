"""`pdefm release`: all that the project has on the Hub, in one command that can be stopped and run again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pdebench_fm.cli.console import say, waiting
from pdebench_fm.errors import PdefmError

if TYPE_CHECKING:
    from pdebench_fm.release import Step

_STYLES = {"done": "green", "to do": "yellow", "refused": "bold red"}


def release(
    namespace: Annotated[str, typer.Option(help="Your user name or an organisation on the Hub.")],
    out: Annotated[Path, typer.Option(help="Folder of builds and of the leaderboard's site; 60 GB at full size.")],
    size: Annotated[
        Literal["full", "small"], typer.Option(help="Of the datasets; small is a rehearsal with a few rows.")
    ] = "full",
    data_version: Annotated[
        str | None, typer.Option(help="The data's version, or a higher patch of it for new cards.", show_default=False)
    ] = None,
    models_version: Annotated[
        str | None, typer.Option(help="Version to publish the models as.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that build.", min=1)] = 1,
    private: Annotated[bool, typer.Option("--private", help="Make new repositories private.")] = False,
    pictures: Annotated[bool, typer.Option(help="Draw fields for the leaderboard's pages.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the steps, their states and how each is undone; change nothing.")
    ] = False,
) -> None:
    """Build, verify and publish the datasets, publish the zoo, make the leaderboard and its Space; for maintainers.

    Every step that is done is left alone, so that the same command goes on after an interruption. The token is that of
    `hf auth login` or HF_TOKEN, and HF_ENDPOINT names another Hub.
    """
    from huggingface_hub.utils import disable_progress_bars

    from pdebench_fm.data.catalogue import DATA_VERSION
    from pdebench_fm.folders import expanded
    from pdebench_fm.release import Release, carry_out, check_start, release_steps
    from pdebench_fm.release.plan import MODELS_VERSION

    disable_progress_bars()  # of the client: they would break up this command's own line
    with waiting("looking at what is there") as update:
        wanted = Release(
            namespace,
            expanded(out),
            size,
            data_version or DATA_VERSION,
            models_version or MODELS_VERSION,
            workers=workers,
            private=private,
            pictures=pictures,
            on_note=update,
        )
        check_start(wanted)
        steps = release_steps(wanted)
        if dry_run:
            say_plan(steps)
            return
        for carried in carry_out(steps):
            found = carried.state.progress == "done"
            label = ("already done", "green") if found else ("done", "bold green")
            say((carried.step.name, "bold"), ": ", label, f": {carried.outcome}")


def say_plan(steps: "list[Step]") -> None:
    """Print each step with its state, what it would do, and the command that takes it back.

    Raises:
        PdefmError: if a step cannot be done, after all were listed.
    """
    refused = []
    for step in steps:
        state = step.state()
        refused += [step.name] if state.progress == "refused" else []
        say((step.name, "bold"), ": ", (state.progress, _STYLES[state.progress]), f": {state.detail}")
        say(f"    undo: {step.undo()}")
    if refused:
        raise PdefmError(f"the release would stop at {refused[0]!r}")
