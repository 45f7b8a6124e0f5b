"""`pdefm data publish`: builds onto the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import TaskID

from pdebench_fm.cli.console import console, progress_bar

if TYPE_CHECKING:
    from pdebench_fm.data.publishing.publish import Progress, Published


def publish(
    folders: Annotated[list[Path], typer.Argument(help="Built datasets: the folders that `pdefm data build` made.")],
    namespace: Annotated[str, typer.Option(help="Your user name or an organisation on the Hub.")],
    version: Annotated[str, typer.Option(help="The data's version, such as 1.0.0; a higher patch renews the card.")],
    private: Annotated[bool, typer.Option("--private", help="Make new repositories private.")] = False,
) -> None:
    """Publish finished builds on the Hugging Face Hub under a tag; run again to go on after an interruption.

    The token is that of `hf auth login` or HF_TOKEN, and HF_ENDPOINT names another Hub.
    """
    from huggingface_hub.utils import disable_progress_bars

    from pdebench_fm.data.publishing.publish import publish_all

    disable_progress_bars()  # of the client: they would break up this command's own
    with progress_bar() as progress:
        bars: dict[str, TaskID] = {}

        def show(state: "Progress") -> None:
            name = f"{state.stage} {state.dataset}"
            if name not in bars:
                bars[name] = progress.add_task(name, note="")
            progress.update(bars[name], completed=state.done, total=state.total, note=escape(f"shards {state.note}"))

        for published in publish_all(folders, namespace, version, private=private, on_progress=show):
            console.print(_outcome(published), soft_wrap=True)


def _outcome(published: "Published") -> str:
    """Return what happened to one dataset, in a line or two."""
    where = f"[bold]{published.repository}[/] {published.tag}"
    if not published.already_published:
        return f"published {where}: {published.sent} shards sent, {published.kept} already there; {published.url}"
    line = f"{where} is already published, nothing to do; {published.url}"
    if published.card_differs:
        line += "\nits card differs from the one written now: publish it with a higher patch version"
    return line
