"""The front page: the tables of all boards, with filters and what is known of each row."""

from collections.abc import Iterator, Sequence
from typing import Any

from pdebench_fm.leaderboard.board import STANDARD_RESOLUTION, Board, Row, TableCell
from pdebench_fm.leaderboard.efficiency import comparisons
from pdebench_fm.leaderboard.records import badge_of, private_of
from pdebench_fm.leaderboard.site.addresses import FRONT
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.page import Page, page, shared
from pdebench_fm.leaderboard.site.words import number
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.physics import REGIMES, SYSTEMS
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS
from pdebench_fm.results.remarks import regime_remark, test_rows_remark
from pdebench_fm.results.result import Environment, Metrics, Result
from pdebench_fm.text import in_one_line, visible

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


def front_page(material: Material) -> Iterator[Page]:
    """Return the front page and the script that it needs."""
    boards, entries = material.boards, material.entries
    yield shared("board.js")
    yield page(
        FRONT,
        "front.html.jinja",
        boards=boards,
        comparisons={board.identifier: comparisons(board) for board in boards},
        details=_details(boards, entries),
        rows=STANDARD_TEST_ROWS,
        resolution=STANDARD_RESOLUTION,
        systems=_systems(boards),
        regimes=_regimes(boards),
        shots=sorted({shots for board in boards for shots in board.shots}),
        protocols=sorted({board.protocol_version for board in boards}, reverse=True) or [1],
        models=len(material.models),
        results=len(entries),
        left_out=_left_out(entries),
        skipped=[(visible(file.path.as_posix()), in_one_line(file.reason)) for file in material.skipped],
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


def _systems(boards: Sequence[Board]) -> dict[str, str]:
    """Return the title of each system that has results, in the catalogue's order."""
    present = {column.system for board in boards for column in board.columns}
    return {name: system.title for name, system in SYSTEMS.items() if name in present}


def _regimes(boards: Sequence[Board]) -> list[str]:
    """Return the regimes that have results, in the catalogue's order."""
    present = {column.regime for board in boards for column in board.columns}
    return [name for name in REGIMES if name in present]


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
