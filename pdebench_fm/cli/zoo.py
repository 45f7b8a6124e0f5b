"""`pdefm zoo`: the pretrained models in the package and in the Hub's cache, and their cards."""

import math
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from pdebench_fm.cli import zoo_convert, zoo_hub
from pdebench_fm.cli.completion import one_task, zoo_models
from pdebench_fm.cli.console import aside, console, say, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdebench_fm.zoo.entries import Unusable, ZooEntry
    from pdebench_fm.zoo.stated_scores import StatedScore

_ROOMY = 100  # columns of a terminal that has room for an organisation and a model's name in one line
_SHORT_COMMIT = 7

app = typer.Typer(help="List, show, publish, download and convert pretrained models.", no_args_is_help=True)
app.command("card")(zoo_hub.card)
app.command("publish")(zoo_hub.publish)
app.command("pull")(zoo_hub.pull)
app.command("import")(zoo_convert.import_model)
app.command("export")(zoo_convert.export_model)


@app.command("list")
def list_models(
    task: Annotated[
        str | None,
        typer.Option(
            help="Instead, the errors that the models' cards state on this task, such as helmholtz-ood/medium, lowest "
            "with most shots first.",
            autocompletion=one_task,
        ),
    ] = None,
) -> None:
    """List models with their zero-shot errors on the pretraining distributions' test splits, or on a task."""
    if task is not None:
        _list_on_task(task)
        return
    from pdebench_fm.data.catalogue import FAMILIES
    from pdebench_fm.models.sizes import rounded_count
    from pdebench_fm.zoo.entries import Unusable, zoo_entries

    systems = FAMILIES["mixed"]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("model\nfamily, parameters", overflow="fold")
    table.add_column("size")
    table.add_column("lives in\nrevision")
    for system in systems:
        table.add_column(system.replace("-", "-\n"), justify="right")
    unusable: list[Unusable] = []
    entries = zoo_entries(unusable)
    for entry in entries:
        name = entry.name.replace("/", "/\n") if console.width < _ROOMY else entry.name
        family = entry.config.family or "—"
        errors = [entry.pretraining_error(system) for system in systems]
        table.add_row(
            Text.assemble((name, "bold"), (f"\n{family}, {rounded_count(entry.parameters)}", "dim")),
            entry.config.size or "—",
            _home(entry),
            *("—" if error is None else short(error) for error in errors),
        )
    console.print(table)
    console.print(_baselines())
    tracks = " or ".join(sorted({score.track for entry in entries for score in entry.scores}))
    say((f"Zero-shot relative ℓ² errors on the pretraining test splits, {tracks} track.", "dim"))
    say(("By what they score on a task: pdefm zoo list --task helmholtz-ood/medium", "dim"))
    _name_unusable(unusable)


def _list_on_task(task: str) -> None:
    """Print what the models' cards state on one task, a table for each track: the best with most shots first."""
    from pdebench_fm.data.catalogue import TASKS
    from pdebench_fm.errors import unknown_name
    from pdebench_fm.zoo.entries import Unusable, zoo_entries
    from pdebench_fm.zoo.stated_scores import error_in_words

    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    unusable: list[Unusable] = []
    stated = [(entry, score) for entry in zoo_entries(unusable) for score in entry.scores if score.task == task]
    for track in sorted({score.track for _, score in stated}):
        numbers = sorted({score.shots for _, score in stated if score.track == track})
        table = Table(title=f"relative ℓ² error on {task} ({track}), as the cards state it", title_justify="left")
        table.add_column("model", overflow="fold")
        for number in numbers:
            table.add_column("zero-shot" if number == 0 else f"{number} shots", justify="right", overflow="fold")
        rows: dict[str, dict[int, StatedScore]] = {}
        for entry, score in stated:
            if score.track == track:
                rows.setdefault(_called(entry), {})[score.shots] = score
        for name, scores in sorted(rows.items(), key=lambda row: _by_error(row[1], numbers)):
            table.add_row(name, *(error_in_words(scores[number]) if number in scores else "—" for number in numbers))
        console.print(table)
    if not stated:
        say(f"no card of a model here states a score on {task}")
    say(("In brackets: 95 % intervals, where the card states them.", "dim"))
    say(("—: the card does not state it; pdefm eval computes it.", "dim"))
    say(("Whether two models differ by more than chance: pdefm compare, of their results by pdefm eval.", "dim"))
    _name_unusable(unusable)


def _called(entry: "ZooEntry") -> str:
    return f"{entry.name}@{entry.revision}" if entry.revision else entry.name


def _by_error(scores: "Mapping[int, StatedScore]", numbers: "Sequence[int]") -> tuple[float, ...]:
    """Return what models are ordered by: their errors, those with most shots first; what is not stated comes last."""
    return tuple(scores[number].error if number in scores else math.inf for number in reversed(numbers))


def _name_unusable(unusable: "Sequence[Unusable]") -> None:
    from pdebench_fm.templates import one_line

    for other in unusable:
        say(f"not listed: {other.name}, which cannot be used: {one_line(other.reason)}", to=aside)


def _baselines() -> Table:
    """Return what comes with the package and has no files."""
    from pdebench_fm.models import BASELINES

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("baseline", no_wrap=True)
    table.add_column("what it is")
    for baseline in BASELINES.values():
        table.add_row(Text(baseline.name, "bold"), baseline.title)
    return table


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A model's name, such as fno-mixed-64k, a folder, or ORG/NAME on the Hub.", autocompletion=zoo_models
        ),
    ],
) -> None:
    """Show a model's card: how it was trained, what it scores, what it cannot do."""
    from huggingface_hub import ModelCard

    from pdebench_fm.data.training_manifest import read_manifest
    from pdebench_fm.front_matter import read_card_text
    from pdebench_fm.models import BASELINES
    from pdebench_fm.models.sources import CARD_NAME, RECORD_NAME
    from pdebench_fm.protocol.contamination import knowledge_in_words
    from pdebench_fm.templates import printable
    from pdebench_fm.zoo.entries import find_card

    if name in BASELINES:
        say((name, "bold"), f": {BASELINES[name].title}; it comes with the package and has no files")
        return
    folder = find_card(name)
    text = ModelCard(read_card_text(folder / CARD_NAME), ignore_metadata_errors=True).text
    console.print(Markdown(printable(text)))
    manifest = read_manifest(folder / RECORD_NAME)
    knowledge = knowledge_in_words(manifest) if manifest else ()
    if not knowledge:
        say(("\nWhat it was trained on is not stated.", "dim"))
    elif all(line in text for line in knowledge):
        say(("\nComputed from what it was trained on: the same as the card says of the tasks.", "dim"))
    else:
        say(("\nComputed from what it was trained on:", "dim"))
        for line in knowledge:
            say(("  " + line, "dim"))
    say((f"\nIts files lie in {folder}", "dim"))


def _home(entry: "ZooEntry") -> Text:
    """Return where a model lives, in one or two short lines."""
    match entry.home:
        case "package":
            return Text("package")
        case "checkout":
            return Text.assemble("checkout\n", ("weights/", "dim"))
        case "recipe":
            return Text.assemble("not shipped\n", ("recipe only", "dim"))
        case "folder":
            return Text("folder")
        case "hub cache":
            revision = entry.revision if entry.refs else entry.revision[:_SHORT_COMMIT]
            return Text.assemble("Hub cache\n", (revision, "dim"))
