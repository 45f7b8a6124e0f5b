"""The models that were scored, as ONNX graphs: what a verifier can run who does not have their code."""

import logging
from pathlib import Path

from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.cell import Cell, cell_key
from pdebench_fm.files import sha256_of
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.graph import SUFFIX
from pdebench_fm.naming import safe_name
from pdebench_fm.protocol.tracks import find_track
from pdebench_fm.results.result import Graph

_logger = logging.getLogger("pdebench_fm")


def graph_path(cell: Cell, folder: Path) -> Path:
    """Return where the graph of a cell's model lies.

    The name tells task, track, method, start, shots and seed, and twelve digits of all that the outcome depends on, so
    that no graph is taken for another one's; a model that cannot be known again has none of these, and is run anew.
    """
    key = cell_key(cell)
    words = (
        cell.task.name.replace("/", "-"),
        cell.track,
        *((cell.settings.method.name,) if cell.method is not None else ()),
        cell.start,
        f"{cell.shots}-shots",
        f"seed-{cell.seed}",
        *((key[:12],) if key is not None else ()),
    )
    return folder / safe_name(cell.candidate.name) / f"{'-'.join(map(safe_name, words))}{SUFFIX}"


def has_its_graph(cell: Cell) -> bool:
    """Tell whether a cell needs no model to be made for a graph: none is asked for, or it is there."""
    folder = cell.settings.graphs
    return folder is None or graph_path(cell, folder).is_file()


def graph_of(cell: Cell) -> Graph | None:
    """Return the graph that gave a cell its scores; None if there is none."""
    own, folder = cell.candidate.graph, cell.settings.graphs
    if own is not None:
        return Graph(file=own.name, sha256=own.sha256) if cell.method is None else None
    if folder is None or not (path := graph_path(cell, folder)).is_file():
        return None
    return Graph(file=path.name, sha256=sha256_of(path))


def write_graph(cell: Cell, model: Candidate) -> None:
    """Write a cell's model, as it was scored; if that fails, say so: its score is a score all the same."""
    folder = cell.settings.graphs
    from pdebench_fm.models.export import export_model

    assert folder is not None  # noqa: S101 (the caller has looked)
    path = graph_path(cell, folder)
    path.unlink(missing_ok=True)
    try:
        with model.its_modules():
            export_model(model.operator, "onnx", path, find_track(cell.track).resolution, name=model.name)
    except PdefmError as error:
        _logger.warning("no graph of %s: %s", cell, error)
