"""The scores that a model's card states: from results into the card's `model-index` to their last digit, and back."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self

from huggingface_hub import EvalResult, ModelCard
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from yaml import YAMLError

from pdebench_fm.data.catalogue import TASKS, find_family
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import sha256_of
from pdebench_fm.front_matter import read_card_text
from pdebench_fm.models.sources import CARD_NAME
from pdebench_fm.models.weights import WEIGHTS_NAME
from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.protocol.tracks import Track
from pdebench_fm.results.fields import Count, Error, IntervalEnd, Positive, Version
from pdebench_fm.results.result import Result
from pdebench_fm.rounding import short, with_spread

CARD_SHOTS = (0, 32)
"""Shots that a card made from results has, on each of the benchmark's tasks."""

METRIC_TYPE = "relative_l2"
DIGEST_KEY = "weights_sha256"
"""The entry of a card's metadata that says which weights its scores are of."""

_SHOWN = 3  # tasks that an error names


class StatedScore(BaseModel):
    """The pretrained model's mean relative ℓ² error on a task's track after `shots`.

    Attributes:
        task: `<dataset>/<regime>`.
        track: "lite" or "full".
        shots: size of the support set.
        error: mean over the test rows and over the seeds.
        interval: the ends of its 95 % interval, for new test samples and, where there are several, new seeds; None
            where only the error was kept.
        seeds: how many.
        data_version: of the dataset.
        protocol: version of the protocol.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    track: Annotated[Track, Field(pattern="^(full|lite)$")]
    shots: Count
    error: Error
    interval: tuple[IntervalEnd, IntervalEnd] | None = None
    seeds: Positive
    data_version: Version
    protocol: Positive

    @field_validator("error", "interval", mode="before")
    @classmethod
    def _numbers_alone(cls, value: object) -> object:
        if any(isinstance(each, bool | str) for each in (value if isinstance(value, list | tuple) else (value,))):
            raise ValueError("it is not a number")
        return value

    @model_validator(mode="after")
    def _interval_holds_the_error(self) -> Self:
        if self.interval is not None and not self.interval[0] <= self.error <= self.interval[1]:
            raise ValueError("the interval does not hold the error")
        return self


def error_in_words(score: StatedScore, before: str = "") -> str:
    """Return an error with its interval, if that is known, rounded as `pdefm eval` rounds them.

    Args:
        score: the score.
        before: words that the interval begins with.
    """
    if score.interval is None:
        return short(score.error)
    low, high = score.interval
    mean, lower, upper = with_spread(score.error, low, high, half_width=(high - low) / 2.0)
    return f"{mean} ({before}{lower}–{upper})"


def scores_of(results: Iterable[Result]) -> tuple[StatedScore, ...]:
    """Return the scores of the pretrained model in results."""
    return tuple(
        StatedScore(
            task=result.task,
            track=result.track,
            shots=run.shots,
            error=run.summary.mean,
            interval=(run.summary.interval_low, run.summary.interval_high),
            seeds=len(run.seeds),
            data_version=result.dataset.version,
            protocol=result.protocol_version,
        )
        for result in results
        for run in result.runs
        if run.start == "pretrained"
    )


def check_complete(scores: Sequence[StatedScore], family: str, shots: Sequence[int] = CARD_SHOTS) -> None:
    """Refuse scores that do not make a card.

    Args:
        scores: that the card would state.
        family: of the model.
        shots: that each of the benchmark's tasks has to have.

    Raises:
        UsageError: for an unknown family, and unless the scores are of one track and one protocol and cover the
            family's pretraining distributions zero-shot and the twelve tasks with `shots`.
    """
    if len({(score.track, score.protocol) for score in scores}) > 1:
        raise UsageError("a model card shows scores of one track and one protocol version, and these are of several")
    own = [f"{system}/pretrain" for system in find_family(family)]
    wanted = [*((task, 0) for task in own), *((task, number) for task in TASKS for number in shots)]
    present = {(score.task, score.shots) for score in scores}
    lacking = list(dict.fromkeys(task for task, number in wanted if (task, number) not in present))
    if lacking:
        rest = len(lacking) - _SHOWN
        named = ", ".join(lacking[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
        numbers = ",".join(map(str, shots))
        raise UsageError(
            f"scores are missing for a model card, on {named}: it takes `pdefm eval --shots {numbers}` on the twelve "
            f"tasks, and `--shots 0` on {', '.join(own)}, on one track"
        )


def evaluation_entries(scores: Iterable[StatedScore]) -> list[EvalResult]:
    """Return scores as entries of a card's `model-index`; nothing is rounded, so that weights can be held to them."""
    return [
        EvalResult(
            task_type="other",
            task_name=f"solving a partial differential equation, {score.track} track",
            dataset_type=f"{HOME_ORGANISATION}/{score.task.partition('/')[0]}",
            dataset_name=score.task,
            dataset_config=score.task.partition("/")[2],
            dataset_split="test",
            dataset_args={"track": score.track, "version": score.data_version},
            metric_type=METRIC_TYPE,
            metric_name=f"relative ℓ² error, {score.shots} shots",
            metric_args=score.model_dump(
                mode="json", include={"shots", "seeds", "interval", "protocol"}, exclude_none=True
            ),
            metric_value=score.error,
        )
        for score in scores
    ]


def stated_scores(folder: Path) -> tuple[StatedScore, ...]:
    """Return the scores in the card of a model's folder, to their last digit.

    Raises:
        PdefmError: if there is no card, it states no scores of this benchmark, or scores of other weights.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        raise PdefmError(f"{folder} has no {CARD_NAME}: it does not say what the model scores")
    try:
        metadata = ModelCard(read_card_text(path), ignore_metadata_errors=True).data
        scores = tuple(_score(entry) for entry in metadata.eval_results or () if entry.metric_type == METRIC_TYPE)
    except (YAMLError, ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PdefmError(
            f"{path} has metadata that this package cannot read: it is damaged or of something else"
        ) from error
    if not scores:
        raise PdefmError(f"{path} states no scores: `pdefm zoo card {folder} RESULTS` makes a card from result files")
    digest, weights = metadata.get(DIGEST_KEY), folder / WEIGHTS_NAME
    if digest is not None and weights.is_file() and digest != sha256_of(weights):
        raise PdefmError(
            f"{path} states the scores of other weights than {weights}: evaluate these, and renew the card"
        )
    return scores


def _score(entry: EvalResult) -> StatedScore:
    return StatedScore(
        task=entry.dataset_name,
        track=entry.dataset_args["track"],
        error=entry.metric_value,
        data_version=entry.dataset_args["version"],
        **entry.metric_args,
    )
