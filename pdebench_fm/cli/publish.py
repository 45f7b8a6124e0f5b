"""`pdefm data publish`: builds onto the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TaskID

from pdebench_fm.cli.console import progress_bar, say

if TYPE_CHECKING:
    from pdebench_fm.data.publishing.publish import Published, PublishProgress


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

        def show(state: "PublishProgress") -> None:
            name = f"{state.stage} {state.dataset}"
            if name not in bars:
                bars[name] = progress.add_task(name, note="")
            progress.update(bars[name], completed=state.done, total=state.total, note=f"shards {state.note}")

        outcomes: list[Published] = []
        try:
            for published in publish_all(folders, namespace, version, private=private, on_progress=show):
                outcomes.append(published)  # noqa: PERF402 (of which some are there when another fails)
        finally:
            progress.stop()  # which would be in the way of stdout
            for published in outcomes:
                _say_outcome(published)


def _say_outcome(published: "Published") -> None:
    """Print what happened to one dataset, in a line or two."""
    where = (published.repository, "bold")
    if not published.already_published:
        sent = f"{published.sent} shards sent, {published.kept} already there"
        say("published ", where, f" {published.tag}: {sent}; {published.url}")
        return
    say(where, f" {published.tag} is already published, nothing to do; {published.url}")
    if published.card_differs:
        say("its card differs from the one written now: publish it with a higher patch version")
