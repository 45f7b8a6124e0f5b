"""The model card: how a model was trained and what it scores, for people and, as `model-index`, for the Hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pdebench_fm.data.catalogue import FAMILIES, TASKS
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.protocol import PROTOCOL_VERSION
from pdebench_fm.evaluation.result import Result
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.templates import card_templates
from pdebench_fm.training.record import TrainingRecord

PACKAGE = "pdebench-fm"
METRIC_TYPE = "relative_l2"
CARD_NAME = "README.md"


@dataclass(frozen=True)
class _Row:
    """Scores of one task by shots, as the card prints them."""

    task: str
    scores: dict[int, str]


def model_card(
    name: str, config: ModelConfig, training: TrainingRecord, results: Sequence[Result], *, reference: str | None = None
) -> str:
    """Return a model's README.

    Args:
        name: the zoo's name, such as "fno-mixed-64k".
        config: its architecture.
        training: how it came to be.
        results: of one track, pretraining distributions and ranked tasks.
        reference: what to give to `load_model`; the name by default.

    Raises:
        UsageError: if there are no results, or of several tracks.
    """
    tracks = {result.track for result in results}
    if len(tracks) != 1:
        raise UsageError(f"a model card shows results of one track, not of {len(tracks)}")
    return (
        card_templates()
        .get_template("model.md.jinja")
        .render(
            metadata=_metadata(name, training, results),
            name=name,
            reference=reference or name,
            package=PACKAGE,
            systems=FAMILIES[training.config.family],
            config=config,
            parameters=results[0].model.parameters,
            training=training,
            protocol=PROTOCOL_VERSION,
            track=tracks.pop(),
            pretraining_rows=[_row(result) for result in results if result.task not in TASKS],
            rows=[_row(result) for result in results if result.task in TASKS],
        )
    )


@dataclass(frozen=True)
class StatedScore:
    """A score that a model's card states: mean relative ℓ² error on a task's track after `shots`."""

    task: str
    track: str
    shots: int
    error: float


def stated_scores(folder: Path) -> list[StatedScore]:
    """Return the scores in the card of a model's folder, to their last digit.

    Raises:
        PdefmError: if there is no card.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        raise PdefmError(f"{folder} has no {CARD_NAME}: it does not say what the model scores")
    entries = ModelCard.load(path).data.eval_results or []
    return [
        StatedScore(entry.dataset_name, entry.dataset_args["track"], entry.metric_args["shots"], entry.metric_value)
        for entry in entries
    ]


def _row(result: Result) -> _Row:
    """Return the pretrained runs of a result as a row."""
    scores = {run.shots: f"{run.summary.mean:.4g}" for run in result.runs if run.start == "pretrained"}
    return _Row(result.task, scores)


def _metadata(name: str, training: TrainingRecord, results: Sequence[Result]) -> str:
    """Return the YAML block; the scores in it are not rounded, so that a test can hold the weights to them."""
    evaluations = [
        EvalResult(
            task_type="other",
            task_name=f"solving a partial differential equation, {result.track} track",
            dataset_type=f"{PACKAGE}/{result.dataset.name}",
            dataset_name=result.task,
            dataset_config=result.dataset.regime,
            dataset_split="test",
            dataset_args={"track": result.track, "version": result.dataset.version},
            metric_type=METRIC_TYPE,
            metric_name=f"relative ℓ² error, {run.shots} shots",
            metric_args={"shots": run.shots},
            metric_value=run.summary.mean,
        )
        for result in results
        for run in result.runs
        if run.start == "pretrained"
    ]
    data = ModelCardData(
        license="apache-2.0",
        library_name="pdebench_fm",
        tags=["neural-operator", "partial-differential-equations", "fourier-neural-operator"],
        datasets=[f"{PACKAGE}/{system}" for system in FAMILIES[training.config.family]],
        model_name=name,
        eval_results=evaluations,
    )
    return str(data.to_yaml())
