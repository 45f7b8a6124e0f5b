"""What all commands share on the terminal: where text goes, one look of progress.

Results go to stdout, all that passes to stderr. Paths and names are text: nothing in them is taken for markup.
"""

import codecs
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Column
from rich.text import Text

from pdebench_fm.rounding import short, with_spread
from pdebench_fm.text import visible

__all__ = [
    "aside",
    "console",
    "duration",
    "progress_bar",
    "say",
    "short",
    "speak_in_the_first_process_only",
    "stdout_kept_clear",
    "waiting",
    "with_spread",
    "write_any_text",
]

console = Console(markup=False, emoji=False)
"""For results."""

aside = Console(stderr=True, markup=False, emoji=False)
"""For progress and notes."""


class _Visible:
    """What is rendered is shown without control characters of its own: those of tables, cards, models' names."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, to: Console, options: ConsoleOptions) -> RenderResult:
        """Render as the text does, and replace what would move the cursor or colour the terminal."""
        for segment in to.render(self._inner, options):
            yield segment if segment.control else Segment(visible(segment.text, keep="\n\t"), segment.style)

    def __rich_measure__(self, to: Console, options: ConsoleOptions) -> Measurement:
        """Measure as the text does."""
        return Measurement.get(to, options, self._inner)


class _OnlyVisible(RenderHook):
    """Makes all that a console prints visible."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Wrap each thing that is printed."""
        return [_Visible(renderable) for renderable in renderables]


for _console in (console, aside):
    _console.push_render_hook(_OnlyVisible())

_ROOMY = 100  # columns of a terminal that has room for a long bar and the time that has passed
_PLAIN = {
    "ℓ": "l",
    "²": "2",
    "³": "3",
    "−": "-",
    "–": "-",
    "—": "-",
    "‑": "-",
    "×": "x",
    "·": "*",
    "±": "+-",
    "“": '"',
    "”": '"',
    "…": "...",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "∈": "in",
    "∇": "grad ",
    "Δ": "Delta ",
    "σ": "sigma",
    "ω": "omega",
    "Ψ": "Psi",
    "λ": "lambda",
    "θ": "theta",
    "φ": "phi",
    "α": "alpha",
    "π": "pi",
    "Ω": "Omega",
}


def say(*parts: str | Path | tuple[str | Path, str], to: Console = console) -> None:
    """Print a line, which a terminal may break but nothing else: pieces of text, or of (text, style)."""
    pieces = [part if isinstance(part, tuple) else (part, "") for part in parts]
    shown = ((visible(str(text), keep="\n\t"), style) for text, style in pieces)
    to.print(Text.assemble(*shown), soft_wrap=True)


def speak_in_the_first_process_only() -> None:
    """Keep quiet in all processes of a distributed run but the first; nothing else is one, whatever `RANK` says."""
    console.quiet = aside.quiet = os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0"


def write_any_text() -> None:
    """Let stdout and stderr take every character: one that their encoding lacks is written as near as it can be."""
    codecs.register_error("pdefm", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="pdefm")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


@contextmanager
def stdout_kept_clear() -> Iterator[None]:
    """Send to stderr what is printed meanwhile, by a user's code and other processes too: stdout is a program's."""
    with redirect_stdout(sys.stderr), _descriptor_redirected(1, 2):
        yield


@contextmanager
def _descriptor_redirected(number: int, to: int) -> Iterator[None]:
    try:
        kept = os.dup(number)
        os.dup2(to, number)
    except OSError:  # one of them is closed
        yield
        return
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


@contextmanager
def waiting(text: str) -> Iterator[Callable[[str], None]]:
    """Show what is waited for in this context; yields the function that changes the text."""
    with aside.status(Text(visible(text)), spinner="line") as status:
        yield lambda changed: status.update(Text(visible(changed)))


def progress_bar(*, time_left: bool = True) -> Progress:
    """Return a progress display, which only a terminal shows. Its tasks have a `note`, which is cut where that ends.

    Args:
        time_left: estimate the time that is left from the pace so far, for tasks whose parts take equally long; else
            it is the task's field `seconds_left`.
    """
    roomy = aside.width >= _ROOMY
    first = Column(no_wrap=True, overflow="ellipsis", max_width=aside.width // 3)
    cut = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=first),
        BarColumn(bar_width=30 if roomy else 10),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        *([TimeElapsedColumn(table_column=Column(no_wrap=True))] if roomy else []),
        _TimeLeftColumn(time_left),
        TextColumn("{task.fields[note]}", markup=False, table_column=cut),
        console=aside,
        expand=True,
        disable=not aside.is_terminal,
    )


class _TimeLeftColumn(ProgressColumn):
    """The time that is left, as people say it."""

    def __init__(self, from_pace: bool) -> None:
        self._from_pace = from_pace
        super().__init__(table_column=Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return it; nothing before it can be told and after the end."""
        seconds = task.time_remaining if self._from_pace else task.fields.get("seconds_left")
        return Text(f"{duration(seconds)} left" if seconds else "", "progress.remaining")


def duration(seconds: float) -> str:
    """Return a duration as people say it: 0.4 s, 40 s, 12 min, 3.5 h."""
    if seconds < 1:
        return f"{seconds:.1g} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
