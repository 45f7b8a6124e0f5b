"""`pdefm tasks`: what models can be evaluated on."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from pdebench_fm.cli.console import console, say

if TYPE_CHECKING:
    from pdebench_fm.data.catalogue import Dataset


def tasks() -> None:
    """List the benchmark's twelve tasks, and those of plug-ins, with the law of the varied parameter."""
    from pdebench_fm.data.catalogue import TASKS, find_task
    from pdebench_fm.protocol.task import list_tasks

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for column in ("task", "varied parameter", "trained on"):
        table.add_column(column, overflow="fold")
    names = list_tasks()
    for i, name in enumerate(names):
        task = find_task(name)
        system = task.dataset.system
        origin = "" if name in TASKS else f"\nfrom {os.path.relpath(task.dataset.origin)}, unranked"
        last = i + 1 == len(names) or find_task(names[i + 1]).dataset.system_name != task.dataset.system_name
        label = Text.assemble((name, "bold"), (origin, "dim"))
        table.add_row(label, system.range_of(task.regime.name), task.regime.overlap, end_section=last)
    console.print(table)
    say((f"{parameters_in_words(find_task(name).dataset for name in names)}.", "dim"))
    say(("Trained on: the part of the range that pretraining covers.", "dim"))
    say(("Evaluate a model: pdefm eval --model fno-mixed-64k --task poisson-ood/hard --track lite", "dim"))


def parameters_in_words(datasets: "Iterable[Dataset]") -> str:
    """Return what the symbols of the datasets' varied parameters mean."""
    symbols = {dataset.system.parameter_symbol: dataset.system.parameter_name for dataset in datasets}
    return "; ".join(f"{symbol}: {name}" for symbol, name in symbols.items())
