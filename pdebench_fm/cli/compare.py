"""`pdefm compare`: which of two results is better, sample by sample, and whether that could be chance."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pdebench_fm.cli.console import console, say, short, with_spread
from pdebench_fm.errors import UsageError

if TYPE_CHECKING:
    from pdebench_fm.results.compare import Comparison, Difference

_NAMED = 4  # files that a message names
_TENTH = 0.1


def compare(
    results: Annotated[
        list[Path],
        typer.Argument(help="Two result files of one task, track and rows; their .samples.parquet lie beside them."),
    ],
) -> None:
    """Compare two models, or two ways of adapting one, on a task: paired by test sample, with 95 % intervals."""
    from pdebench_fm.results.compare import adaptation_in_words
    from pdebench_fm.results.compare import compare as compare_results
    from pdebench_fm.results.remarks import standard_rows_line, test_rows_remark

    if len(results) == 1:
        raise UsageError(f"two results are compared, and here is one: {results[0].name}")
    if len(results) > 2:
        given = ", ".join(map(_dated, results[:_NAMED])) + (", …" if len(results) > _NAMED else "")
        raise UsageError(f"two results are compared, and here are {len(results)}: name two of {given}")
    first, second = results
    comparison = compare_results(first, second)
    names = comparison.first.model.model_id, comparison.second.model.model_id
    ways = [adaptation_in_words(each) for each in (comparison.first, comparison.second)]
    if ways[0] != ways[1]:  # which takes one model
        names = f"{names[0]} by {ways[0]}", f"{names[1]} by {ways[1]}"
    if names[0] == names[1]:
        names = f"{names[0]} (first)", f"{names[1]} (second)"
    # names may be as long as a Hub id: they are no headings of columns
    title = f"relative ℓ² error on {comparison.first.task} ({comparison.first.track})\nA: {names[0]}\nB: {names[1]}"
    both = comparison.first, comparison.second
    remarks = dict.fromkeys(filter(None, map(standard_rows_line, both)))
    seen = [f"{letter}: {remark}" for letter, remark in zip("AB", map(test_rows_remark, both), strict=True) if remark]
    caption = "\n".join([*remarks, *seen])
    table = Table(title=title, title_justify="left", caption=caption or None, caption_justify="left")
    for column in ("start", "shots", "A", "B", "A − B", "95 % interval"):
        table.add_column(column, justify="left" if column == "start" else "right", overflow="fold")
    for row in comparison.differences:
        mean, low, high = _signed(row)
        start = _start(row, comparison)
        table.add_row(start, str(row.shots), short(row.first), short(row.second), mean, f"{low} to {high}")
    console.print(table)
    for row in comparison.differences:
        say(f"{_start(row, comparison)}, {row.shots} shots: {_verdict(row, names)}")


def _dated(path: Path) -> str:
    """Return a file's name and when it was written, by which the newer of two is known."""
    if not path.exists():
        return path.name
    return f"{path.name} ({datetime.fromtimestamp(path.stat().st_mtime).astimezone():%Y-%m-%d %H:%M:%S})"


def _start(row: "Difference", comparison: "Comparison") -> str:
    """Return how the two models started, in words."""
    from pdebench_fm.results.remarks import start_in_words

    words = (start_in_words(result.model, row.start) for result in (comparison.first, comparison.second))
    return " / ".join(dict.fromkeys(words))


def _verdict(difference: "Difference", names: tuple[str, str]) -> str:
    covered = _covered(difference, names)
    if difference.better is None:
        return f"they can't be told apart: the interval of their difference holds 0{covered}"
    better, worse = names[difference.better - 1], max(difference.first, difference.second)
    shares = sorted(abs(each) / worse for each in (difference.low, difference.mean, difference.high))
    least, share, most = map(_percent, shares)
    return f"{better} is better: its error is lower by {share} % of the other's ({least} to {most} %){covered}"


def _percent(share: float) -> str:
    """Return a share in per cent, with no more digits than its interval lets one know."""
    return f"{100 * share:.0f}" if share >= _TENTH else f"{100 * share:.2g}"


def _covered(difference: "Difference", names: tuple[str, str]) -> str:
    """Return that an interval knows nothing of other seeds, where models were adapted with a single one."""
    if not difference.shots or difference.covers == "seeds and samples":
        return ""
    single = " and ".join(name for name, seeds in zip(names, difference.seeds, strict=True) if seeds == 1)
    return f" (one seed of {single}: how other seeds would differ is not known)"


def _signed(row: "Difference") -> tuple[str, ...]:
    """Return a difference and the ends of its interval with their signs, to the place of its spread."""
    values = (row.mean, row.low, row.high)
    texts = with_spread(*map(abs, values), half_width=(row.high - row.low) / 2.0, near_zero=True)
    return tuple(
        ("+" if value > 0 else "−" if value < 0 else "") + text for value, text in zip(values, texts, strict=True)
    )
