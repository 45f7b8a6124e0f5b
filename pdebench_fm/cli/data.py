"""`pdefm data`: list, build, verify, show and publish datasets."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pdebench_fm.cli import publish, show, verify
from pdebench_fm.cli.console import console, progress_bar, say
from pdebench_fm.cli.tasks import parameters_in_words

app = typer.Typer(help="List, build, verify, show and publish datasets.", no_args_is_help=True)
app.command("verify")(verify.verify)
app.command("show")(show.show)
app.command("publish")(publish.publish)


@app.command("list")
def list_datasets() -> None:
    """List every dataset with its regimes and the law of its varied parameter, a plug-in's with its origin."""
    from pdebench_fm.data.acceptance import law_in_words
    from pdebench_fm.data.catalogue import DATA_VERSION, all_datasets
    from pdebench_fm.physics import BUILT_IN

    table = Table(title=f"Datasets, version {DATA_VERSION}", title_justify="left")
    for column in ("dataset", "regime", "varied parameter", "overlap"):
        table.add_column(column, overflow="fold")
    for dataset in all_datasets().values():
        system = dataset.system
        label = Text.assemble((dataset.name, "bold"), f"\n{system.equation}")
        if dataset.origin != BUILT_IN:
            label += Text(f"\nfrom {os.path.relpath(dataset.origin)}")
        labels = label.split("\n")
        for i, name in enumerate(dataset.regimes):
            last = name == dataset.regimes[-1]
            table.add_row(
                Text("\n").join(labels[i:] if last else labels[i : i + 1]),
                name + (" (default)" if name == dataset.default_regime else ""),
                f"{system.parameter_symbol} {'' if system.condition else '∈ '}{law_in_words(system, name)}",
                dataset.regime(name).overlap,
                end_section=last,
            )
    console.print(table)
    say((f"{parameters_in_words(all_datasets().values())}. U(a, b): uniform from a to b.", "dim"))
    say(("Overlap: the part of the range that the regime pretrain covers.", "dim"))


@app.command()
def build(
    dataset: Annotated[str, typer.Argument(help="A dataset's name, such as helmholtz-ood.")],
    out: Annotated[Path, typer.Option(help="Parent folder; the dataset gets a folder of its name in it.")],
    regime: Annotated[str | None, typer.Option(help="One regime; all of the dataset's by default.")] = None,
    train: Annotated[int, typer.Option(help="Rows of the train split.")] = 32768,
    validation: Annotated[int, typer.Option(help="Rows of the validation split.")] = 4096,
    test: Annotated[int, typer.Option(help="Rows of the test split.")] = 4096,
    resolution: Annotated[int, typer.Option(help="Points a side: 64, 128, 256 or 512.")] = 128,
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="A running Dask cluster instead: tcp://host:8786.")] = None,
) -> None:
    """Build a dataset as Parquet in the Hub's own layout; run again to go on after an interruption."""
    from pdebench_fm.data.build import BuildPlan
    from pdebench_fm.data.build import build as build_dataset
    from pdebench_fm.data.catalogue import find_dataset, find_regime
    from pdebench_fm.data.executors import open_executor
    from pdebench_fm.data.manifest import Shard

    definition = find_dataset(dataset)
    regimes = definition.regimes if regime is None else (find_regime(definition, regime),)
    rows = {"train": train, "validation": validation, "test": test}
    plan = BuildPlan(definition, regimes, rows, resolution)
    with open_executor(workers, scheduler) as executor, progress_bar() as progress:
        bar = progress.add_task(f"building {dataset}", total=sum(rows.values()) * len(regimes), note="rows")

        def advance(shard: Shard) -> None:
            progress.update(bar, advance=shard.rows, note=f"rows; {shard.path}")

        folder = build_dataset(plan, out, executor=executor, on_shard=advance)
    say("built ", (folder, "bold"), f"; load it with datasets.load_dataset({str(folder)!r}, {regimes[0]!r})")
