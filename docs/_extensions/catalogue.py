"""The catalogue: a page for each dataset and each model, made at build from the package itself.

Ranges, laws and scores are those of the code and of the models' cards, and pictures are drawn from rows, so that the
pages cannot say something else than the package does. What is made lies in `docs/catalogue/datasets` and
`docs/catalogue/models`.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sphinx.application import Sphinx

from pdebench_fm.cli.console import short
from pdebench_fm.data.acceptance import law_table
from pdebench_fm.data.catalogue import DATASETS, FAMILIES, TASKS, Dataset
from pdebench_fm.data.figures import regimes_figure, save_figure
from pdebench_fm.models import BASELINES, load_model, recipe_names, zoo_names
from pdebench_fm.models.loading import IN_PACKAGE, recipe_directory, zoo_folder
from pdebench_fm.models.sources import read_config
from pdebench_fm.physics import REGIMES, SampleKey, draw, sample
from pdebench_fm.templates import as_text
from pdebench_fm.training.record import read_training_record
from pdebench_fm.zoo.stated_scores import CARD_SHOTS, StatedScore, error_in_words, stated_scores

DRAWN = 2048
"""Rows of a test split whose parameters are drawn for a histogram."""

_REGIMES = ("pretrain", "in-domain", "mild", "medium", "hard")
_COLOURS = {"poisson": "#3b6fb6", "advection-diffusion": "#c2573a", "helmholtz": "#3a8f5c"}
_LABELS = {"poisson": "Poisson", "advection-diffusion": "Advection–diffusion", "helmholtz": "Helmholtz"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", lambda app: write_catalogue(Path(app.srcdir) / "catalogue"))
    return {"parallel_read_safe": True, "version": "1"}


def write_catalogue(folder: Path) -> None:
    """Write all pages and pictures below a folder, and take away those of datasets and models that are no more."""
    made = set()
    torch.set_num_threads(1)
    for name, dataset in DATASETS.items():
        _picture(regimes_figure(dataset, dataset.regimes), folder / "datasets" / f"{name}-rows.png", made)
        _picture(parameters_figure(dataset), folder / "datasets" / f"{name}-parameters.png", made)
        _write(folder / "datasets" / f"{name}.md", dataset_page(dataset), made)
    for name in zoo_names():
        _picture(errors_figure(stated_scores(zoo_folder(name))), folder / "models" / f"{name}-errors.png", made)
        _picture(prediction_figure(name), folder / "models" / f"{name}-fields.png", made)
        _write(folder / "models" / f"{name}.md", model_page(name), made)
    _write(folder / "models" / "baselines.md", baselines_page(), made)
    for stale in {path for kind in ("datasets", "models") for path in (folder / kind).iterdir()} - made:
        stale.unlink()


def _write(path: Path, text: str, made: set[Path]) -> None:
    """Write a page, unless it is there as it is: Sphinx reads again what is newer."""
    made.add(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _picture(figure: Figure, path: Path, made: set[Path]) -> None:
    made.add(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _unbroken(text: str) -> str:
    """Return a text whose numbers stay with what belongs to them where lines are broken."""
    text = re.sub(r"(?<=[0-9]:) (?=[0-9])| (?=%)|(?<=≤) | (?=≤)", "\u00a0", text)
    return re.sub(r"(?<=[0-9])–(?=[0-9])", "\u2060–\u2060", text)


# Datasets


def dataset_page(dataset: Dataset) -> str:
    """Return the page of a dataset: what is drawn from what, its rows in pictures, and how models do on it."""
    system = dataset.system
    inside = "pretrain" in dataset.regimes
    part = "pretraining and in-domain regimes" if inside else "regimes out of distribution"
    law = _unbroken(law_table(system, dataset.regimes))
    ranges = _table(
        ("regime", f"{system.parameter_symbol} is drawn from", "role", "in the range of `pretrain`"),
        (
            (f"`{name}`", _unbroken(as_text(system.law_of(name))), REGIMES[name].role, REGIMES[name].overlap)
            for name in dataset.regimes
        ),
    )
    counted = (
        f"Samples whose solution is too large are drawn again ({as_text(system.condition)}): a value next to a "
        f"resonance is rarer than the others. Counted over the published test splits:\n\n{law}\n\n"
        if law
        else "U(a, b) is the uniform distribution between a and b: no sample is refused.\n\n"
    )
    tasks = [f"{dataset.name}/{regime}" for regime in dataset.regimes]
    zero_shot, adapted = (_scores_table(dataset, tasks, shots) for shots in CARD_SHOTS)
    first = next((task for task in tasks if task in TASKS), tasks[0])
    return f"""# {dataset.name}

**{as_text(system.equation)}**: {system.title} problems, {part}. {system.terms}
Each row is a source f on a periodic 128×128 grid with its solution u, exact to rounding.

## The varied parameter

{system.parameter_symbol}, the {system.parameter_name}, is what tells the regimes apart:

{ranges}

{counted}![Histograms of the varied parameter]({dataset.name}-parameters.png)

The first {DRAWN} rows of each test split. {system.sampling}
[How a row is made](../../concepts/datasets.md#how-a-row-is-made) has the rest.

## Rows

![Sources and solutions by regime]({dataset.name}-rows.png)

The first three rows of each regime's train split: source f and solution u, each on a colour scale of its own.

## How the shipped models do

Zero-shot relative ℓ² errors on the lite track, from the models' cards; 1 is as bad as predicting zero.
In brackets are 95 % intervals.

{zero_shot}

After {CARD_SHOTS[1]} shots, by the closed division's recipe, means over three seeds. The best model
without examples need not be the best with them:

{adapted}

## Use it

Tasks: {", ".join(f"`{task}`" for task in tasks if task in TASKS)}.
`pf.load_task("{first}")` makes the rows on the spot,
`pdefm data show {first} --index 3 --out row.png` draws one, and `pdefm data build {dataset.name}` writes them as
Parquet files: [build, check and read datasets](../../how-to/read-datasets.md).
"""


def _scores_table(dataset: Dataset, tasks: Sequence[str], shots: int) -> str:
    """Return the errors that the shipped models' cards state on a dataset's tasks after some shots, with intervals."""
    rows = []
    for name in zoo_names():
        of = {(s.task, s.shots): s for s in stated_scores(zoo_folder(name))}
        cells = [_unbroken(error_in_words(of[task, shots])) if (task, shots) in of else "—" for task in tasks]
        if any(cell != "—" for cell in cells):
            rows.append((f"[`{name}`](../models/{name}.md)", *cells))
    return _table(("model", *(f"`{regime}`" for regime in dataset.regimes)), rows)


def parameters_figure(dataset: Dataset) -> Figure:
    """Draw the histogram of the varied parameter of each regime's first test rows, on one axis."""
    system = dataset.system
    spans = [system.regimes[regime] for regime in dataset.regimes]
    figure = Figure(figsize=(6.4, 0.6 + 1.0 * len(spans)), layout="constrained")
    axes = figure.subplots(len(spans), 1, sharex=True, squeeze=False)[:, 0]
    low, high = min(span.low for span in spans), max(span.high for span in spans)
    edges = np.arange(low - 0.5, high + 1) if spans[0].integer else np.linspace(low, high, 61)
    for axis, regime in zip(axes, dataset.regimes, strict=True):
        values = draw(dataset.key(regime, "test"), range(DRAWN)).parameter
        axis.hist(
            values, edges, weights=np.full(len(values), 100 / len(values)), color=_COLOURS[system.name], rwidth=0.9
        )
        axis.set_ylabel(f"{regime}\n% of rows", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    if spans[0].integer:
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel(f"{system.parameter_symbol}, the {system.parameter_name}", fontsize=9)
    return figure


# Models


def model_page(name: str) -> str:
    """Return the page of a model: what it is, what it was trained on, and all of its stated scores."""
    folder = zoo_folder(name)
    config, record, scores = read_config(folder), read_training_record(folder), stated_scores(folder)
    system = FAMILIES[config.family][0]
    numbers = sorted({score.shots for score in scores})
    of = {(score.task, score.shots): score for score in scores}
    in_brackets = " In brackets are 95 % intervals." if any(score.interval for score in scores) else ""
    tasks = [f"{system}/pretrain" for system in FAMILIES[config.family]] + list(TASKS)
    table = _table(
        ("task", *("zero-shot" if shots == 0 else f"{shots} shots" for shots in numbers)),
        (
            (
                f"`{task}`",
                *(_unbroken(error_in_words(of[task, shots])) if (task, shots) in of else "—" for shots in numbers),
            )
            for task in tasks
        ),
    )
    trained = record.config
    shares = f", in parts {' : '.join(map(str, trained.shares))}" if trained.shares else ""
    adapted = (
        "Shots are by the closed division's recipe, mean over 3 seeds."
        if len(numbers) > 1
        else "Scores after shots have not been computed for these weights."
    )
    in_package = config.size in IN_PACKAGE
    place = "in the package" if in_package else "in half precision, in `weights/` of the repository"
    facts = _table(
        ("property", "of this model"),
        (
            ("family", f"`{config.family}`: trained on {_join(FAMILIES[config.family])}{shares}"),
            (
                "size",
                f"{config.parameters:,} parameters: width {config.width}, {config.modes} modes, {config.layers} layers",
            ),
            ("normaliser", f"`{config.normaliser.kind}`"),
            ("coordinates", f"`{config.frame}`"),
            (
                "training",
                f"{trained.steps:,} steps of {trained.batch_size}: {record.samples:,} fresh samples, each seen once",
            ),
            (
                "took",
                f"{record.hours:.2f} hours on {record.device}, on {record.threads} of its cores",
            ),
            (
                "weights",
                f"`model.safetensors`, {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB, {place}",
            ),
        ),
    )
    opened = (
        f'`pf.load_model("{name}")` opens it, without a download.'
        if in_package
        else f'`pf.load_model("{name}")` opens it in a clone of the repository, whose folder `weights/` has it: it '
        "is too large for the package. Its weights are stored in half precision, and computed with in single."
    )
    return f"""# {name}

A Fourier neural operator, pretrained on {_join(FAMILIES[config.family])}.
{opened}

{facts}

[The network](../../design/network.md) says what these words mean,
[how the zoo was trained](../../reproduction/zoo-training.md) why they were chosen.

## Scores

Relative ℓ² errors on the lite track, as its card states them; 1 is as bad as predicting zero.{in_brackets} {adapted}

![Zero-shot error by regime]({name}-errors.png)

{table}

## A prediction

![Source, solution, prediction and error]({name}-fields.png)

The first test row of `{_task_of(system)}` at 64×64 points, zero-shot: source, exact solution, prediction, and their
difference on a scale of its own.
"""


def baselines_page() -> str:
    """Return the page of what comes with the package besides pretrained weights."""
    recipes = _table(
        ("name", "parameters", "family"),
        (
            (f"`{name}`", f"{config.parameters:,}", f"`{config.family}`")
            for name in recipe_names()
            for config in [read_config(recipe_directory() / name)]
        ),
    )
    return f"""# Baselines and recipes

## Baselines

Models that say how good a score is. `pdefm eval --model NAME` takes them like any other.

{_table(("name", "what it is"), ((f"`{name}`", baseline.title) for name, baseline in BASELINES.items()))}

The first three only predict. The others have random weights: only their training from scratch is scored. Those of the
library neuraloperator need the extra `peers`.

## Recipes

A larger size is a configuration with a training script, **without weights**: `load_model` says so.

{recipes}
"""


def errors_figure(scores: Sequence[StatedScore]) -> Figure:
    """Draw the zero-shot error by regime, a line a system, with the line at 1 above which zero would be better."""
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    axis = figure.subplots()
    for system in FAMILIES["mixed"]:
        errors = {regime: _error(scores, _task_name(system, regime), 0) for regime in _REGIMES}
        shown = {regime: error for regime, error in errors.items() if error is not None}
        axis.plot(
            [_REGIMES.index(regime) for regime in shown],
            list(shown.values()),
            "o-",
            color=_COLOURS[system],
            label=_LABELS[system],
        )
    axis.axhline(1.0, color="#666666", linewidth=1, linestyle="--")
    axis.annotate("predicting zero", (0, 1.0), xytext=(0, 3), textcoords="offset points", fontsize=8, color="#444444")
    axis.set_yscale("log")
    axis.set_xticks(range(len(_REGIMES)), _REGIMES, fontsize=9)
    axis.set_ylabel("relative ℓ² error, zero-shot", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return figure


def prediction_figure(name: str) -> Figure:
    """Draw source, solution, prediction and difference of the first test row of the model's own medium task."""
    system = FAMILIES[read_config(zoo_folder(name)).family][0]
    rows = sample(SampleKey(system, "medium", "test"), range(1), 64)
    source, coefficients = torch.from_numpy(rows.source), torch.from_numpy(rows.draws.coefficients)
    with torch.no_grad():
        predicted = load_model(name)(source, coefficients)[0].numpy()
    solution = rows.solution[0]
    figure = Figure(figsize=(7.6, 2.9), layout="constrained")
    axes = figure.subplots(1, 4)
    error = np.linalg.norm(predicted - solution) / np.linalg.norm(solution)
    span = float(np.abs(solution).max())
    _field(axes[0], rows.source[0], "source f", "viridis", None)
    _field(axes[1], solution, "solution u", "RdBu_r", span)
    _field(axes[2], predicted, "prediction", "RdBu_r", span)
    _field(
        axes[3],
        predicted - solution,
        f"difference, error {short(float(error))}",
        "RdBu_r",
        float(np.abs(predicted - solution).max()),
    )
    return figure


def _field(axis: Axes, values: np.ndarray, title: str, colours: str, span: float | None) -> None:
    limits = {} if span is None else {"vmin": -span, "vmax": span}
    image = axis.imshow(values, origin="lower", cmap=colours, **limits)
    axis.set_title(title, fontsize=8.5)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.figure.colorbar(image, ax=axis, shrink=0.75, location="bottom").ax.tick_params(labelsize=6)


def _task_name(system: str, regime: str) -> str:
    return f"{system}/{regime}" if regime in ("pretrain", "in-domain") else f"{system}-ood/{regime}"


def _task_of(system: str) -> str:
    return _task_name(system, "medium")


def _error(scores: Sequence[StatedScore], task: str, shots: int) -> float | None:
    return next((score.error for score in scores if (score.task, score.shots) == (task, shots)), None)


def _join(systems: Sequence[str]) -> str:
    names = [_LABELS[system] if system != "advection-diffusion" else "advection–diffusion" for system in systems]
    return f"{' and '.join(filter(None, [', '.join(names[:-1]), names[-1]]))} problems"
