"""What all commands share on the terminal: one console, one look of progress bars, one way to write numbers."""

import os

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(quiet=os.environ.get("RANK", "0") != "0")
"""In a distributed run only the first process speaks."""


def progress_bar(*, time_left: bool = True) -> Progress:
    """Return a progress display; it goes to the same console as everything else.

    Args:
        time_left: estimate the time that is left from the pace so far; for tasks whose parts take equally long.
    """
    return Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *([TimeRemainingColumn()] if time_left else []),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def short(value: float) -> str:
    """Return a score as tables print it: three significant digits."""
    return f"{value:.3g}" if value < 0.001 or value >= 1000 else f"{value:#.3g}".rstrip(".")
