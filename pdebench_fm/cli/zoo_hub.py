"""`pdefm zoo card | publish | pull`: models to the Hub and from it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from pdebench_fm.cli.console import aside, console, say, short, waiting

if TYPE_CHECKING:
    from pdebench_fm.zoo.entries import ZooEntry


def card(
    folder: Annotated[Path, typer.Argument(help="A finished pretraining's model, such as runs/mine/fno-mixed-64k.")],
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Result files of it, or folders of them; none: those beside the card."),
    ] = None,
) -> None:
    """Write a model's card from its results on the twelve tasks and on its pretraining distributions.

    Results of other models, and by other methods than the protocol's, are left out.
    """
    from pdebench_fm.zoo.card import write_model_card
    from pdebench_fm.zoo.evidence import results_of

    notes: list[str] = []
    own = None if results is None else results_of(folder, results, notes)
    for note in notes:
        say(f"note: {note}", to=aside)
    path = write_model_card(folder, own)
    say("wrote ", (path, "bold"))


def publish(
    name: Annotated[str, typer.Argument(help="A model of the package, or the folder of one with a card.")],
    namespace: Annotated[str, typer.Option(help="Your user name or an organisation on the Hub.")],
    version: Annotated[str, typer.Option(help="Three numbers, such as 1.0.0; a published version never changes.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Publish a model on the Hugging Face Hub under a tag; run again to go on after an interruption.

    The token is that of `hf auth login` or HF_TOKEN, and HF_ENDPOINT names another Hub.
    """
    from huggingface_hub.utils import disable_progress_bars

    from pdebench_fm.zoo.hub_scores import in_words
    from pdebench_fm.zoo.publish import publish_model

    disable_progress_bars()  # of the client: they would break up this command's own line
    with waiting(f"publishing {name}") as update:
        done = publish_model(name, namespace, version, private=private, on_wait=update)
    if done.already_published:
        say((done.repository, "bold"), f" {done.tag} is already published, nothing to do; {done.url}")
    else:
        sent = in_words(done.sent) or "nothing, all was there"
        say("published ", (done.repository, "bold"), f" {done.tag}; sent: {sent}; {done.url}")


def pull(
    reference: Annotated[str, typer.Argument(help="ORG/NAME on the Hub; a bare zoo name means pdebench-fm/NAME.")],
    revision: Annotated[str | None, typer.Option(help="A tag, such as v1.0.0, a branch or a commit.")] = None,
) -> None:
    """Download a model into the Hub's cache and check every tensor of it."""
    from huggingface_hub.utils import disable_progress_bars

    from pdebench_fm.zoo.entries import pull_model

    disable_progress_bars()
    with waiting(f"downloading {reference}") as update:
        entry = pull_model(reference, revision, on_wait=update)
    say((entry.name, "bold"), f" {entry.revision}: {entry.parameters:,} parameters, every tensor checked")
    say(f"lies in {entry.folder}")
    if entry.scores:
        console.print(_score_table(entry))
    revision_argument = "" if entry.revision == "main" else f', revision="{entry.revision}"'
    say(f'load it: pf.load_model("{entry.name}"{revision_argument})')


def _score_table(entry: "ZooEntry") -> Table:
    """Return the scores that a model's card states, a row for each task."""
    shots = sorted({score.shots for score in entry.scores})
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(f"relative ℓ² error, {entry.scores[0].track}")
    for number in shots:
        table.add_column("zero-shot" if number == 0 else f"{number} shots", justify="right")
    for task in dict.fromkeys(score.task for score in entry.scores):
        errors = {score.shots: short(score.error) for score in entry.scores if score.task == task}
        table.add_row(task, *(errors.get(number, "—") for number in shots))
    return table
