"""Pictures of datasets: rows with their coefficients, regimes side by side, the varied parameter's histograms."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from pdebench_fm.data.catalogue import DATA_VERSION, Dataset, find_regime
from pdebench_fm.data.statistics import RegimeStatistics, Statistics
from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.files import atomic_path
from pdebench_fm.physics import REFERENCE_RESOLUTION, Draws, Samples, sample
from pdebench_fm.physics.operator import COEFFICIENT_NAMES
from pdebench_fm.physics.sampling import SPLITS

FORMATS = ("png", "svg", "pdf")
MAXIMUM_ROWS = 32
"""Rows one figure shows at most."""

_SOURCES = colormaps["viridis"].resampled(96)
_SOLUTIONS = colormaps["RdBu_r"].resampled(97)
_EXAMPLES = 3
_PANEL = 2.3  # inches a side
_CELL = (6.6, 3.25)  # inches, of a row's pair with its title
_HEAD = 0.45  # inches, of the figure's title
_DOTS_PER_INCH = 120
_NO_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_BAR_COLOUR = "#3b6fb6"


def show_rows(
    dataset: Dataset, regime: str, split: str, indices: Sequence[int], resolution: int = REFERENCE_RESOLUTION
) -> Figure:
    """Draw the source and the solution of some rows, made from their recipes.

    Args:
        dataset: from the catalogue.
        regime: one of its regimes.
        split: train, validation or test.
        indices: of the rows, at least one and at most `MAXIMUM_ROWS`.
        resolution: points a side.

    Raises:
        UsageError: if the dataset has no such rows.
    """
    find_regime(dataset, regime)
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if not 1 <= len(indices) <= MAXIMUM_ROWS:
        raise UsageError(f"a figure shows 1 to {MAXIMUM_ROWS} rows, not {len(indices)}")
    if min(indices) < 0:
        raise UsageError(f"row {min(indices)} does not exist: indices start at 0")
    rows = sample(dataset.key(regime, split), np.asarray(indices, np.int64), resolution)
    across = 1 if len(indices) <= 2 else 2
    down = -(-len(indices) // across)
    width, height = _CELL[0] * across, _CELL[1] * down + _HEAD
    figure = Figure(figsize=(width, height))
    title = f"{dataset.name} / {regime}, {split}:  {dataset.system.equation}"
    figure.text(0.5, 1.0 - 0.5 * _HEAD / height, title, ha="center", va="center", fontsize=11)
    for row in range(len(indices)):
        left, top = _CELL[0] * (row % across), height - _HEAD - _CELL[1] * (row // across)
        centre = (left + 0.5 * _CELL[0]) / width
        figure.text(centre, top / height, _row_title(dataset, rows.draws, row), ha="center", va="top", fontsize=8.5)
        _draw_pair(figure, left + 0.3, top - _CELL[1] + 0.3, rows, row)
    return figure


def regimes_figure(dataset: Dataset, regimes: Sequence[str], version: str = DATA_VERSION, seed: int = 0) -> Figure:
    """Draw the first three rows of each regime's train stream: one line of sources and solutions a regime."""
    across, panel, margin = 2 * _EXAMPLES, 1.5, 0.28
    width, height = margin + across * panel, len(regimes) * (panel + 0.2)
    figure = Figure(figsize=(width, height))
    grid = {"left": margin / width, "right": 0.995, "bottom": 0.01, "top": 1.0 - 0.2 / height}
    axes = figure.subplots(len(regimes), across, squeeze=False, gridspec_kw={**grid, "wspace": 0.05, "hspace": 0.17})
    for line, regime in zip(axes, regimes, strict=True):
        rows = sample(dataset.key(regime, "train", version, seed), range(_EXAMPLES))
        for i in range(_EXAMPLES):
            source, solution = line[2 * i], line[2 * i + 1]
            _image(source, rows.source[i], f"f, sparsity {rows.draws.sparsity[i]:.1g}", _SOURCES)
            _image(solution, rows.solution[i], f"u, {_parameter_text(dataset, rows.draws, i)}", _SOLUTIONS)
        line[0].set_ylabel(regime, fontsize=9)
    return figure


def parameters_figure(dataset: Dataset, statistics: Statistics) -> Figure:
    """Draw the histogram of the varied parameter of each regime, one above the other on one axis."""
    regimes = statistics.regimes
    figure = Figure(figsize=(6.4, 0.5 + 1.15 * len(regimes)), layout="constrained")
    axes = figure.subplots(len(regimes), 1, sharex=True, squeeze=False)[:, 0]
    for axis, regime in zip(axes, regimes, strict=True):
        _draw_histogram(axis, regime)
    if dataset.system.regimes[regimes[0].regime].integer:
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel(f"{dataset.system.parameter_symbol}, the {dataset.system.parameter_name}", fontsize=9)
    return figure


def figure_format(path: Path) -> str:
    """Return the format that a file's name asks for, or raise a `UsageError`."""
    name = path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        known = ", ".join(f".{known}" for known in FORMATS)
        raise UsageError(f"a figure cannot be written as {path.name!r}: its name must end in one of {known}")
    return name


def save_figure(figure: Figure, path: Path, *, few_colours: bool = True) -> None:
    """Write a figure atomically, in the format of the file's suffix; the bytes do not depend on the date.

    Args:
        figure: what to write.
        path: where to.
        few_colours: write a PNG with a palette of 256 colours, which makes it small; others are written as they are.

    Raises:
        UsageError: if the suffix is not one of `FORMATS`.
        PdefmError: if the file cannot be written.
    """
    name = figure_format(path)
    with atomic_path(path) as temporary:
        if name == "png" and few_colours:
            _save_with_palette(figure, temporary)
        else:
            with rc_context({"svg.hashsalt": "pdebench_fm"}):  # its identifiers are random otherwise
                figure.savefig(temporary, format=name, dpi=_DOTS_PER_INCH, metadata=_NO_DATE.get(name))


def _save_with_palette(figure: Figure, path: Path) -> None:
    """Write a PNG of 256 colours: a third of the size, and the colour maps have fewer levels than that."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
    Image.open(drawn).convert("RGB").quantize(256).save(path, format="png", optimize=True)


def _draw_pair(figure: Figure, left: float, bottom: float, rows: Samples, row: int) -> None:
    """Draw one row's source and solution, each with its colour bar; the corner is in inches."""
    panels = (("source f", rows.source[row], _SOURCES), ("solution u", rows.solution[row], _SOLUTIONS))
    for title, field, colours in panels:
        axis = _add_axes(figure, left, bottom, _PANEL)
        image = _image(axis, field, title, colours)
        axis.set_xticks([0, 1])
        axis.set_yticks([0, 1])
        axis.set_xlabel("x", fontsize=8, labelpad=-7)
        axis.set_ylabel("y", fontsize=8, labelpad=-5)
        axis.tick_params(labelsize=7, length=2)
        bar = figure.colorbar(image, cax=_add_axes(figure, left + _PANEL + 0.08, bottom, 0.1))
        bar.locator = MaxNLocator(6)
        bar.ax.tick_params(labelsize=7, length=2)
        bar.outline.set_linewidth(0.5)
        left += 0.5 * _CELL[0]


def _add_axes(figure: Figure, left: float, bottom: float, panel_width: float) -> Axes:
    """Add axes as high as a panel at a place in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, panel_width / width, _PANEL / height))


def _image(axis: Axes, field: NDArray[np.float32], title: str, colours: Colormap) -> AxesImage:
    """Draw a field, y upwards; solutions in colours that are centred on 0."""
    largest = float(np.abs(field).max())
    lowest, highest = (-largest, largest) if colours is _SOLUTIONS else (float(field.min()), float(field.max()))
    axis.set_title(title, fontsize=8, pad=3)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_linewidth(0.5)
    return axis.imshow(
        field,
        origin="lower",
        extent=(0, 1, 0, 1),
        aspect="equal",
        interpolation="nearest",
        cmap=colours,
        vmin=lowest,
        vmax=highest,
    )


def _draw_histogram(axis: Axes, regime: RegimeStatistics) -> None:
    """Draw the share of rows in each bin."""
    edges = np.asarray(regime.parameter.edges)
    share = np.asarray(regime.parameter.counts) / regime.rows
    axis.bar(edges[:-1], share, np.diff(edges), align="edge", color=_BAR_COLOUR, edgecolor="white", linewidth=0.5)
    axis.set_ylabel(regime.regime, fontsize=9)
    axis.yaxis.set_major_locator(MaxNLocator(3))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _parameter_text(dataset: Dataset, draws: Draws, row: int) -> str:
    value = float(draws.parameter[row])
    return f"{dataset.system.parameter_symbol} = {value:.3g}"


def _row_title(dataset: Dataset, draws: Draws, row: int) -> str:
    """Return the row's number, varied parameter and sparsity, and below them its coefficients that are not zero."""
    head = f"row {draws.indices[row]}:  {_parameter_text(dataset, draws, row)},  sparsity {draws.sparsity[row]:.1g}"
    coefficients = _coefficient_texts(dataset.system.coefficient_names, [float(c) for c in draws.coefficients[row]])
    return head + "\n" + ",  ".join(coefficients).replace("-", "−")


def _coefficient_texts(names: Sequence[str], values: Sequence[float]) -> list[str]:
    """Return the coefficients that are not zero, those of the paper's equation as tensor, vector and number."""
    if tuple(names) != COEFFICIENT_NAMES:
        return [f"{name} = {value:.3g}" for name, value in zip(names, values, strict=False) if value]
    k11, k22, k12, v1, v2, omega = values
    texts = [f"K = [[{k11:.3g}, {k12:.3g}], [{k12:.3g}, {k22:.3g}]]"]
    if v1 or v2:
        texts.append(f"v = ({v1:.3g}, {v2:.3g})")
    return [*texts, f"ω = {omega:.4g}"] if omega else texts
