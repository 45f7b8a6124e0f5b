"""The leaderboard as one static page that opens from disk, needs no network and is the same for the same rows."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined

from pdebench_fm.errors import UsageError
from pdebench_fm.files import atomic_path, folder_lock, is_unused
from pdebench_fm.leaderboard.board import (
    STANDARD_RESOLUTION,
    Board,
    Row,
    TableCell,
    make_boards,
)
from pdebench_fm.leaderboard.efficiency import Needed, comparisons
from pdebench_fm.leaderboard.records import badge_of, private_of
from pdebench_fm.leaderboard.store import Entry, Skipped, load
from pdebench_fm.memory import no_garbage_sought
from pdebench_fm.models.sizes import rounded_count
from pdebench_fm.physics import REGIMES, SYSTEMS
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS
from pdebench_fm.results.remarks import regime_remark, test_rows_remark
from pdebench_fm.results.result import Environment, Metrics, Result
from pdebench_fm.text import in_one_line, visible

PAGE = "index.html"
GENERATOR = '<meta name="generator" content="pdebench_fm leaderboard">'
_HEAD_BYTES = 4096  # of a page, in which it says who made it
_MOST_FAILURES = 12
METRIC_TITLES = {
    "relative_l2_median": "median",
    "relative_l2_p95": "95th pct.",
    "relative_h1_mean": "H¹",
    "band_low_mean": "low band",
    "band_mid_mean": "mid band",
    "band_high_mean": "high band",
    "residual_mean": "residual",
    "max_error_mean": "max error",
}


def build_site(root: Path, out: Path, on_note: Callable[[str], None] = lambda _note: None) -> Path:
    """Write the page of the leaderboard at `root` into the folder `out`.

    Args:
        root: a leaderboard's folder; without results, the page says so.
        out: a folder that is missing, empty, or holds the page of an earlier build.
        on_note: called with a line for each file among the rows that is left out, which the page says too.

    Returns:
        The page's path, `out/index.html`.

    Raises:
        UsageError: there is no folder at `root`, or `out` holds something else than an earlier page.
        PdefmError: a folder of rows that cannot be read, a page that cannot be written, or that another build writes.
    """
    _check_destination(out)
    page = out / PAGE
    skipped: list[Skipped] = []
    with no_garbage_sought():
        entries = load(root, skipped.append)
        for file in skipped:
            on_note(f"left out: {file.reason}")
        with (
            folder_lock(out),
            atomic_path(page) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as opened,
        ):
            opened.writelines(_pieces(entries, skipped))  # together they would take ten times the page's size in memory
    return page


def render(entries: Sequence[Entry], skipped: Sequence[Skipped] = ()) -> str:
    """Return the page for `entries`, which says what of the rows was skipped."""
    return "".join(_pieces(entries, skipped))


def _pieces(entries: Sequence[Entry], skipped: Sequence[Skipped]) -> Iterator[str]:
    """Return the page piece by piece."""
    boards = make_boards(entries)
    script = _template_text("board.js")
    environment = Templates(
        loader=PackageLoader("pdebench_fm.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, parameters=_parameters, needed=_needed, short=_short, adapted=_adapted)
    return environment.get_template("index.html.jinja").generate(
        generator=GENERATOR,
        style=_template_text("style.css"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        boards=boards,
        comparisons={board.identifier: comparisons(board) for board in boards},
        details=_details(boards, entries),
        rows=STANDARD_TEST_ROWS,
        resolution=STANDARD_RESOLUTION,
        systems=_systems(boards),
        regimes=_regimes(boards),
        shots=sorted({shots for board in boards for shots in board.shots}),
        protocols=sorted({board.protocol_version for board in boards}, reverse=True) or [1],
        models=len({(entry.organisation, entry.result.model.model_id) for entry in entries}),
        results=len(entries),
        left_out=_left_out(entries),
        skipped=[(visible(file.path.as_posix()), in_one_line(file.reason)) for file in skipped],
        newest=max((f"{entry.result.date:%Y-%m-%d}" for entry in entries), default=""),
    )


def _left_out(entries: Sequence[Entry]) -> list[str]:
    """Return a line for each run that the boards leave out because it failed, whole or with some seeds.

    Of the many failures of one result the first few are named.
    """
    lines = []
    for entry in entries:
        result = entry.result
        name = f"{entry.organisation}/{result.model.model_id.rpartition('/')[2]} on {result.task} ({result.track})"
        lines += [
            f"{name}, {failure.start}, {failure.shots} shots, seed {failure.seed}: {failure.reason}"
            for failure in result.failures[:_MOST_FAILURES]
        ]
        if more := len(result.failures[_MOST_FAILURES:]):
            lines.append(f"{name}: {more} more")
    return lines


def number(value: float, digits: int = 3) -> str:
    """Return `value` with this many significant digits, trailing zeros kept: 0.0800, 4.21, 1234, 8.30e-5."""
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if -4 <= exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{mantissa}e{exponent}"


def _systems(boards: Sequence[Board]) -> dict[str, str]:
    """Return the title of each system that has results, in the catalogue's order."""
    present = {column.system for board in boards for column in board.columns}
    return {name: system.title for name, system in SYSTEMS.items() if name in present}


def _regimes(boards: Sequence[Board]) -> list[str]:
    """Return the regimes that have results, in the catalogue's order."""
    present = {column.regime for board in boards for column in board.columns}
    return [name for name in REGIMES if name in present]


def _check_destination(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; the leaderboard's page needs a folder")
    if is_unused(out):
        return
    page = out / PAGE
    try:
        with page.open("rb") as file:
            is_ours = GENERATOR.encode() in file.read(_HEAD_BYTES)
    except OSError:
        is_ours = False
    if not is_ours:
        raise UsageError(f"{out} holds something else than an earlier leaderboard page; choose a new or empty folder")


def _template_text(name: str) -> str:
    return files("pdebench_fm.leaderboard").joinpath("templates", name).read_text(encoding="utf-8")


def _parameters(count: int | None) -> str:
    return "–" if count is None else rounded_count(count)


def _needed(needed: Needed, shots: int) -> str:
    """Return the gain as a factor, or for zero shots the shots from scratch that it is worth."""
    sign = "" if needed.relation == "=" else f"{needed.relation} "
    if shots:
        gain = needed.gain(shots)
        return f"{sign}×{gain:.0f}" if gain >= 99.5 else f"{sign}×{number(gain, 2)}"
    return f"{sign}{needed.shots:.0f} shots"


def _adapted(board: Board) -> str:
    """Return how the models of a board were adapted, unless by the protocol's own recipe."""
    return "" if board.division == "closed" else f", {board.division} division: {board.method}"


def _short(text: str) -> str:
    """Return the first 12 characters of a Git commit, and any other revision whole."""
    return text[:12] if len(text) == 40 and set(text) <= set("0123456789abcdef") else text


def _details(boards: Sequence[Board], entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what the page's script shows when a row is opened: facts per entry, scores per row."""
    positions = {entry.path: i for i, entry in enumerate(entries)}
    return {
        "metrics": list(METRIC_TITLES.values()),
        "entries": [_facts(entry) for entry in entries],
        "rows": {
            f"{board.identifier}-{i}": {
                "model": _model_facts(row),
                "scores": [_scores(cell, positions[cell.entry.path]) for cell in row.cells if cell is not None],
            }
            for board in boards
            for i, row in enumerate(board.rows)
        },
    }


def _scores(cell: TableCell, entry: int) -> dict[str, Any]:
    summary = cell.summary
    metrics: Metrics = cell.mean_metrics
    return {
        "task": cell.entry.result.task,
        "entry": entry,
        "mean": number(summary.mean, 5),
        "deviation": "–" if summary.standard_deviation is None else number(summary.standard_deviation, 2),
        "interval": f"{number(summary.interval_low, 4)} – {number(summary.interval_high, 4)}"
        + (" *" if cell.is_of_one_seed else ""),
        "seeds": ", ".join(map(str, cell.run.seeds)),
        "metrics": [number(getattr(metrics, name)) for name in METRIC_TITLES],
        "remark": cell.remark,
    }


def _training(result: Result) -> str:
    """Return what the model knew of the task before any adaptation, in a line."""
    found = result.contamination
    words = regime_remark(result)
    if found.looked_at_share:
        words += f"; {found.looked_at_share:.0%} of the test rows in a range that settings were chosen by"
    return f"{words}; {test_rows_remark(result) or 'no test row seen'}" if found.test_rows_seen is not None else words


def _environment(environment: Environment) -> str:
    """Return what cells were computed with, in a line."""
    threads = f", {environment.threads} threads" if environment.threads else ""
    libraries = ", ".join(f"{name} {version}" for name, version in environment.libraries.items())
    versions = f"package {environment.package_version}, Python {environment.python}, {libraries}"
    return f"{environment.device}{threads}, {versions}"


def _model_facts(row: Row) -> list[tuple[str, str]]:
    model = row.result.model
    facts = {
        "Model": model.model_id,
        "Organisation": row.organisation,
        "Revision": model.revision,
        "Weights SHA-256": model.weights_sha256 or ("no file of weights" if model.tensors_sha256 else "no weights"),
        "Tensors SHA-256": model.tensors_sha256,
        "Code": model.code_url or ("not stated" if "/" in model.model_id else None),
        "Weights at": model.weights_at or ("not stated" if "/" in model.model_id else None),
        "Parameters": f"{model.parameters:,}" if model.parameters else None,
        "Family": model.family,
        "Size": model.size,
        "Method": row.result.method,
        "Method's fingerprint": row.result.method_fingerprint,
    }
    return [(name, fact) for name, fact in facts.items() if fact]


def _verification(entry: Entry) -> str:
    """Return what is known of each run by the record of verification, in a line."""
    lines = []
    for run in entry.result.runs:
        words = f"{run.start}, {run.shots} shots: {badge_of(entry.result, run, entry.record)}"
        private = private_of(entry.result, run, entry.record)
        if private is not None and private.agreement != "agrees":
            words += f" ({private.agreement}: {number(private.private_mean, 4)} on rows that nobody had seen)"
        lines.append(words)
    return "; ".join(lines)


def _facts(entry: Entry) -> list[tuple[str, str]]:
    result, dataset = entry.result, entry.result.dataset
    facts = {
        "Task": result.task,
        "Dataset version": dataset.version,
        "Test rows": f"{result.test_rows} at {result.resolution}×{result.resolution}",
        "Rows from": "the recipe" if dataset.origin == "recipe" else dataset.location or "stored rows",
        "Dataset revision": dataset.revision,
        "Recipe digest": dataset.recipe_digest,
        "Content digest": dataset.content_digest,
        "Pretraining": _training(result),
        "Protocol": f"v{result.protocol_version}, method {result.method}, {result.division} division",
        "Verification": _verification(entry),
        "Computed with": "; ".join(map(_environment, result.environments)),
        "Computing time": f"{result.seconds:.1f} s",
        "Date": f"{result.date:%Y-%m-%d %H:%M} UTC",
        "File": entry.path.as_posix(),
    }
    return [(name, fact) for name, fact in facts.items() if fact]
