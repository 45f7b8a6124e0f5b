"""The model card: how a model was trained and what it scores, for people and, as `model-index`, for the Hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import ModelCardData

from pdebench_fm.data.catalogue import FAMILIES, TASKS, find_family, find_system
from pdebench_fm.data.training_manifest import in_words
from pdebench_fm.files import write_atomically
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.sources import CARD_NAME, read_config, source_in
from pdebench_fm.own_models import has_kept
from pdebench_fm.physics import SELECTION
from pdebench_fm.protocol.contamination import knowledge_in_words
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.templates import as_code, as_text, card_templates
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.record import TrainingRecord, read_training_record
from pdebench_fm.zoo.evidence import keep_results, scores_of_evaluations, vouched_scores
from pdebench_fm.zoo.stated_scores import (
    CARD_SHOTS,
    DIGEST_KEY,
    StatedScore,
    check_complete,
    error_in_words,
    evaluation_entries,
)

PACKAGE = "pdebench-fm"

_TOLD = {
    "family",
    "shares",
    "size",
    "data_version",
    "resolution",
    "steps",
    "batch_size",
    "learning_rate",
    "warmup_steps",
    "gradient_clip",
    "ema_decay",
    "gain",
    "seed",
    "coarse_resolution",
    "coarse_share",
    "precision",
    "normaliser",
    "frame",
    "diffusivity",
    "velocity_share",
    "omega_share",
    "decay_share",
    "weight_decay",
}
"""Settings of a pretraining that the card's sentences have places for; any other is listed by its name."""

_MIRRORED = "mirrored and with the axes exchanged such that the velocity points into one octant"
_FRAMES = {
    "given": "",
    "square": f"frame `square`: each problem is seen {_MIRRORED}, or the tensor leans one way where there is none",
    "lattice": f"frame `lattice`: each problem is seen {_MIRRORED}, or, where there is none, in those integer "
    "coordinates in which the diffusion tensor is reduced",
}


@dataclass(frozen=True)
class ModelDescription:
    """All that a card says of a model.

    Attributes:
        config: its architecture.
        training: how it came to be.
        weights_sha256: which weights the scores are of.
        scores: on its pretraining distributions and on the twelve tasks.
    """

    config: ModelConfig
    training: TrainingRecord
    weights_sha256: str
    scores: tuple[StatedScore, ...]

    @property
    def name(self) -> str:
        """The zoo's name, such as "fno-mixed-64k"."""
        return self.training.config.model_name


@dataclass(frozen=True)
class _Row:
    """Scores of one task by shots, as the card prints them."""

    task: str
    cells: dict[int, str]


def describe(
    folder: Path, evaluations: Sequence[Evaluation] | None = None, shots: Sequence[int] | None = None
) -> ModelDescription:
    """Return the description of the model in a folder.

    Args:
        folder: with its configuration, weights and training record.
        evaluations: of these weights; None for the results that lie beside the folder's card (see `zoo.evidence`).
            Those on other tasks than the benchmark's and the family's pretraining distributions are left aside.
        shots: that there have to be scores with, on each task; None for `CARD_SHOTS`, or zero-shot ones alone where
            the weights are the package's own.

    Raises:
        UsageError: if a result is of other weights, or scores are missing.
        PdefmError: if a file is missing or damaged, or nothing vouches for the scores.
    """
    digest = source_in(folder, str(folder)).weights_sha256
    config, training = read_config(folder), read_training_record(folder)
    if evaluations is None:
        scores = vouched_scores(folder, digest)
    else:
        scores = scores_of_evaluations(_shown(evaluations, training), digest)
    order = {task: place for place, task in enumerate(shown_tasks(training.config.family))}
    scores = tuple(sorted((s for s in scores if s.task in order), key=lambda s: (order[s.task], s.shots)))
    check_complete(scores, training.config.family, shots or ((0,) if has_kept(digest) else CARD_SHOTS))
    return ModelDescription(config, training, digest, scores)


def write_model_card(folder: Path, evaluations: Sequence[Evaluation] | None = None) -> Path:
    """Write the README of a model's folder from results, which are put beside it, or anew from those that are there."""
    model = describe(folder, evaluations)
    if evaluations is not None:
        keep_results(folder, _shown(evaluations, model.training))
    path = folder / CARD_NAME
    write_atomically(path, model_card(model))
    return path


def shown_tasks(family: str) -> list[str]:
    """Return the tasks that a card of a family's model has scores on."""
    return [*(f"{system}/pretrain" for system in find_family(family)), *TASKS]


def _shown(evaluations: Sequence[Evaluation], training: TrainingRecord) -> list[Evaluation]:
    tasks = shown_tasks(training.config.family)
    return [evaluation for evaluation in evaluations if evaluation.result.task in tasks]


def model_card(model: ModelDescription, reference: str | None = None, revision: str | None = None) -> str:
    """Return a model's README.

    Args:
        model: what it says.
        reference: what the examples load, such as a Hub id; the zoo's name by default.
        revision: the one that the examples load, if any.
    """
    order = {task: position for position, task in enumerate(TASKS)}
    rows = _rows(sorted((s for s in model.scores if s.task in TASKS), key=lambda score: order[score.task]))
    zoo_or_hub = reference or model.name
    seeds = sorted({score.seeds for score in model.scores if score.shots})
    return (
        card_templates()
        .get_template("model.md.jinja")
        .render(
            metadata=_metadata(model),
            name=model.name,
            package=PACKAGE,
            arguments=f'"{zoo_or_hub}"' + (f', revision="{revision}"' if revision else ""),
            reference=zoo_or_hub + (f"@{revision}" if revision else ""),
            systems=find_family(model.training.config.family),
            unseen=[system for system in FAMILIES["mixed"] if system not in find_family(model.training.config.family)],
            config=model.config,
            parameters=model.config.parameters,
            training_rows=_training_rows(model.training),
            knowledge=knowledge_in_words(model.training.manifest) if model.training.manifest else [],
            protocol=model.scores[0].protocol,
            track=model.scores[0].track,
            data_version=model.scores[0].data_version,
            pretraining_rows=_rows([score for score in model.scores if score.task not in TASKS]),
            rows=rows,
            shots=sorted({shots for row in rows for shots in row.cells}),
            seeds=" or ".join(map(str, seeds)),
            has_intervals=any(score.interval for score in model.scores),
        )
    )


def _rows(scores: Sequence[StatedScore]) -> list[_Row]:
    """Return scores as the table's rows, in the order of their tasks."""
    tasks = dict.fromkeys(score.task for score in scores)
    return [
        _Row(task, {score.shots: error_in_words(score) for score in scores if score.task == task}) for task in tasks
    ]


def _training_rows(training: TrainingRecord) -> dict[str, str]:
    """Return what the card's table says of the training, by its heads."""
    config, systems = training.config, find_family(training.config.family)
    parts = f"parts {' : '.join(map(str, config.shares))}" if config.shares else "equal parts"
    mixture = f"{parts} of the `pretrain` regimes of " if len(systems) > 1 else "the `pretrain` regime of "
    threads = f"{training.threads} thread" + ("s" if training.threads > 1 else "")
    device = as_text(training.device)
    hardware = f"{device}, {threads}"
    if training.processes > 1:
        hardware = f"{training.processes} × {device}, {threads} each"
    unit, each = ("thread", training.threads) if training.device.startswith("cpu") else ("device", 1)
    others = {name: value for name, value in config.model_dump().items() if name not in _TOLD and value is not None}
    rows = {
        "data": f"{training.samples:,} fresh samples, each seen once: {mixture}{', '.join(systems)}, "
        f"data version {as_text(config.data_version)}, {_grids(config)}",
        **_rows_seen(training),
        "loss": "relative ℓ² error",
        "coordinates": _FRAMES[config.frame],
        "coefficients": _operator_size(config),
        "optimizer": (f"AdamW with weight decay {config.weight_decay:g}" if config.weight_decay else "Adam")
        + f", peak learning rate {config.learning_rate:g}, {config.warmup_steps:,} steps of warm-up, cosine to zero"
        + (f" over the last {config.decay_share:.0%} of the steps" if config.decay_share < 1 else "")
        + f", gradient norm clipped at {config.gradient_clip:g}, "
        f"batches of {config.batch_size}, {config.steps:,} steps"
        + (", pointwise maps in bfloat16" if config.precision == "bfloat16" else ""),
        "weights": f"exponential moving average, decay {config.ema_decay:g}; started with gain {config.gain:g}, "
        f"seed {config.seed}",
        "chosen by": _selection(training),
        "other settings": ", ".join(f"`{as_code(name)}` {as_text(value)}" for name, value in others.items()),
        "hardware": hardware,
        "compute": f"{training.hours:.2f} hours, {training.hours * training.processes * each:.2f} {unit}-hours; "
        "energy was not measured",
        "software": f"{PACKAGE} {as_text(training.package_version)}, PyTorch {as_text(training.torch_version)}",
    }
    return {head: text for head, text in rows.items() if text}


def _rows_seen(training: TrainingRecord) -> dict[str, str]:
    """Return which rows of which streams were seen, if the record states them."""
    if training.manifest is None:
        return {}
    return {
        "rows trained on": in_words(training.manifest.trained),
        "rows looked at, not trained on": in_words(training.manifest.looked_at),
    }


def _operator_size(config: PretrainConfig) -> str:
    """Return what the operator is divided by, if it is."""
    if config.normaliser != "diffusion-normalised":
        return ""
    diffusion = {"geometric": "√det K", "mean": "tr K / 2"}[config.diffusivity]
    rest = f" + {config.velocity_share:g} · 2π‖v‖" if config.velocity_share else ""
    rest += f" + {config.omega_share:g} · ω" if config.omega_share else ""
    return (
        f"normaliser `{config.normaliser}`: the network sees (4π²K, 2πv, ω) divided by s = 4π² {diffusion}{rest}, its "
        "output is divided by s, so that u(f, aK, av, aω) = u / a is built in"
    )


def _selection(training: TrainingRecord) -> str:
    """Return on which rows settings were chosen and the errors there, if they were."""
    if not training.selection_errors:
        return ""
    systems = [find_system(name) for name in training.selection_errors]
    ranges = ", ".join(f"{system.parameter_symbol} ∈ {system.regimes[SELECTION]}" for system in systems)
    errors = ", ".join(f"{system} {error:#.3g}" for system, error in training.selection_errors.items())
    where = "inside the range of `medium`, in rows that no task scores"
    return f"errors on the regime `selection` ({ranges}: {where}): {errors}"


def _grids(config: PretrainConfig) -> str:
    """Return on which grids a model was trained."""
    fine = f"{config.resolution}×{config.resolution}"
    if not config.coarse_share:
        return f"at {fine}"
    coarse = f"{config.coarse_resolution}×{config.coarse_resolution}"
    return f"the first {config.coarse_share:.0%} of the steps at {coarse}, the others at {fine}"


def _metadata(model: ModelDescription) -> str:
    """Return the YAML block."""
    data = ModelCardData(
        license="apache-2.0",
        library_name="pdebench_fm",
        tags=["neural-operator", "partial-differential-equations", "fourier-neural-operator"],
        datasets=[f"{PACKAGE}/{system}" for system in find_family(model.training.config.family)],
        model_name=model.name,
        eval_results=evaluation_entries(model.scores),
        **{DIGEST_KEY: model.weights_sha256},
    )
    return str(data.to_yaml())
