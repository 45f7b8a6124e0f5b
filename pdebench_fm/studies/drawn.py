"""Data that a study shows without any model: fields of sources and solutions, and how parameters are distributed."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.data.catalogue import find_task
from pdebench_fm.errors import PdefmError
from pdebench_fm.limits import RESULT_BYTES
from pdebench_fm.physics import draw, realise
from pdebench_fm.studies.runs import table_text
from pdebench_fm.studies.study import Fields, Study

_LOOKED_AT = 128  # rows of the train split that a parameter near a wanted one is looked for in
_HISTOGRAM_ROWS = 512
_BINS = 12

FIELD_COLUMNS = ("panel", "kind", "title", "y")
HISTOGRAM_COLUMNS = ("task", "what", "low", "high", "share")


@dataclass(frozen=True, eq=False)
class ShownField:
    """A field that is drawn.

    Attributes:
        panel: which line of the picture it is in, in words.
        kind: "source" or "solution".
        title: above it.
        values: (n, n) as the file has them, four digits.
    """

    panel: str
    kind: str
    title: str
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """A bar of a histogram: the share of rows whose parameter is from `low` to below `high`."""

    task: str
    what: str
    low: float
    high: float
    share: float


def fields_of(study: Study) -> list[ShownField]:
    """Return the fields that a study shows, made from their recipes."""
    return [field for shown in study.file.fields for field in _shown(shown, study.file.resolution)]


def _shown(shown: Fields, resolution: int) -> list[ShownField]:
    task = find_task(shown.task)
    system = task.dataset.system
    drawn = draw(task.dataset.key(task.regime.name, "train"), range(_LOOKED_AT))
    found = []
    wanted = [("source", drawn.sparsity, value, "sparsity") for value in shown.sparsities]
    wanted += [("solution", drawn.parameter, value, system.parameter_symbol) for value in shown.parameters]
    for kind, values, value, name in wanted:
        row = int(np.abs(values - value).argmin())
        samples = realise(draw(drawn.key, [row]), resolution)
        field = samples.source[0] if kind == "source" else samples.solution[0]
        rounded = np.array([[float(f"{x:.4g}") for x in line] for line in field.tolist()])
        found.append(ShownField(f"{system.title}: {kind}s", kind, f"{name} = {float(values[row]):.3g}", rounded))
    return found


def histogram_of(study: Study) -> list[Bin]:
    """Return how the parameter is distributed in pretraining and in each task that a study scores."""
    tasks = dict.fromkeys(task for block in study.file.evaluations.values() for task in block.tasks)
    found = []
    for name in tasks:
        task = find_task(name)
        regimes = {"this task": task.regime.name}
        if "pretrain" in task.dataset.system.regimes:
            regimes = {"pretraining": "pretrain", **regimes}
        parameters = {
            what: draw(task.dataset.key(regime, "train"), range(_HISTOGRAM_ROWS)).parameter.astype(np.float64)
            for what, regime in regimes.items()
        }
        low, high = (end([values for each in parameters.values() for values in each]) for end in (min, max))
        edges = np.linspace(low, high, _BINS + 1)
        for what, values in parameters.items():
            counts = np.histogram(values, edges)[0]
            found += [
                Bin(name, what, float(edges[i]), float(edges[i + 1]), int(counts[i]) / len(values))
                for i in range(_BINS)
            ]
    return found


def fields_text(fields: Sequence[ShownField]) -> str:
    """Return fields as CSV, a line for each line of the grid."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    points = len(fields[0].values) if fields else 0
    writer.writerow([*FIELD_COLUMNS, *(f"x{i}" for i in range(points))])
    for field in fields:
        for y, line in enumerate(field.values.tolist()):
            writer.writerow([field.panel, field.kind, field.title, y, *(f"{value:.4g}" for value in line)])
    return out.getvalue()


def histogram_text(bins: Sequence[Bin]) -> str:
    """Return histograms as CSV, a line a bar."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HISTOGRAM_COLUMNS)
    for each in bins:
        writer.writerow([each.task, each.what, repr(each.low), repr(each.high), repr(each.share)])
    return out.getvalue()


def read_fields(path: Path) -> list[ShownField]:
    """Read what `fields_text` gives; a `UsageError` or a `PdefmError` if it isn't there, or something else is."""
    fields: dict[tuple[str, str, str], list[list[float]]] = {}
    try:
        for line in _lines(path, FIELD_COLUMNS):
            fields.setdefault((line[0], line[1], line[2]), []).append([_finite(value) for value in line[4:]])
        return [ShownField(*named, np.array(values)) for named, values in fields.items()]
    except (ValueError, IndexError) as error:
        raise PdefmError(f"{path} does not hold fields: {error}") from error


def read_histogram(path: Path) -> list[Bin]:
    """Read what `histogram_text` gives, likewise."""
    try:
        return [
            Bin(task, what, _finite(low), _finite(high), _finite(share))
            for task, what, low, high, share in _lines(path, HISTOGRAM_COLUMNS)
        ]
    except ValueError as error:
        raise PdefmError(f"{path} does not hold a histogram: {error}") from error


def _finite(text: str) -> float:
    """Return a number that can be drawn; a `ValueError` for any other text."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _lines(path: Path, columns: Sequence[str]) -> list[list[str]]:
    try:
        lines = list(csv.reader(io.StringIO(table_text(path, RESULT_BYTES, "values to draw"))))
    except csv.Error as error:
        raise PdefmError(f"cannot read {path}: {error}") from error
    if not lines or lines[0][: len(columns)] != list(columns):
        raise PdefmError(f"{path} does not hold what a study draws: its columns are other ones")
    return lines[1:]
