"""`pdefm data show`: rows of a dataset as a picture."""

from pathlib import Path
from typing import Annotated

import typer

from pdebench_fm.cli.console import say
from pdebench_fm.errors import UsageError


def show(
    name: Annotated[str, typer.Argument(help="<dataset>/<regime>, such as helmholtz-ood/hard.")],
    out: Annotated[Path, typer.Option(help="The picture: a .png, .svg or .pdf file.")],
    index: Annotated[list[int], typer.Option(min=0, max=2**31 - 1, help="A row; give it again for more.")] = [0],  # noqa: B006
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    resolution: Annotated[int, typer.Option(min=64, max=512, help="Points a side.")] = 128,
) -> None:
    """Draw the source and the solution of some rows, which are made from their recipes."""
    from pdebench_fm.data.catalogue import find_dataset
    from pdebench_fm.data.figures import figure_format, save_figure, show_rows

    dataset, slash, regime = name.partition("/")
    definition = find_dataset(dataset)
    if not slash:
        regimes = ", ".join(f"{dataset}/{known}" for known in definition.regimes)
        raise UsageError(f"{name!r} names no regime: choose one of {regimes}")
    figure_format(out)
    save_figure(show_rows(definition, regime, split, index, resolution), out)
    say("drew ", (out, "bold"))
