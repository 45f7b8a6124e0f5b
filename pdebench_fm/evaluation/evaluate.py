"""The evaluation itself: zero-shot, and few-shot after adaptation, of a pretrained model and of a fresh one."""

import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as library_version

import torch

import pdebench_fm
from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.metrics import sample_errors, summarise
from pdebench_fm.evaluation.protocol import (
    PROTOCOL_VERSION,
    SEEDS,
    adaptation_recipe,
    bootstrap_interval,
    check_shots,
    find_track,
)
from pdebench_fm.evaluation.result import (
    Environment,
    Metrics,
    ModelRecord,
    Result,
    Run,
    SeedScores,
    Start,
    Summary,
    Track,
)
from pdebench_fm.evaluation.task import EvaluationTask
from pdebench_fm.models import NeuralOperator
from pdebench_fm.training.adapt import adapt

_LIBRARIES = ("datasets", "huggingface_hub", "numpy", "pydantic", "safetensors", "torch")
_BATCH = 32


@dataclass(frozen=True)
class EvaluationProgress:
    """What a display needs while an evaluation runs.

    Attributes:
        start, shots, seed: of the run in progress.
        step, steps: of its adaptation.
        done, runs: whole runs.
    """

    start: Start
    shots: int
    seed: int
    step: int
    steps: int
    done: int
    runs: int


@dataclass(frozen=True)
class _Setting:
    start: Start
    shots: int
    seeds: range


def evaluate(
    model: NeuralOperator,
    task: EvaluationTask,
    shots: int | Sequence[int] = 0,
    *,
    track: str = "full",
    seeds: int = SEEDS,
    scratch: bool = True,
    on_progress: Callable[[EvaluationProgress], None] = lambda _: None,
) -> Result:
    """Score a model on a task by the protocol, and the same architecture trained from scratch beside it.

    Args:
        model: on the device to evaluate on; it is not changed.
        task: from `load_task`.
        shots: size, or sizes, of the support set; 0 is zero-shot.
        track: "full" (128², the whole test split) or "lite" (64², its first 512 rows).
        seeds: adaptation runs with seeds 0, 1, …; a zero-shot score has one, as nothing in it is random.
        scratch: also train the architecture from random weights on the same support sets.
        on_progress: called before each run and after each of its steps.

    Returns:
        The result, ready to be written.

    Raises:
        UsageError: for an unknown track, or shots that the train split cannot give.
        PdefmError: if the model's predictions are not finite.
    """
    began = time.perf_counter()
    track_name = find_track(track).name
    settings = _settings(shots, seeds, scratch=scratch, available=task.train.size)
    device = next(model.parameters()).device
    test = task.test_batch(track_name).to(device)
    total = sum(len(setting.seeds) for setting in settings)
    runs: list[Run] = []
    done = 0
    for setting in settings:
        scores = []
        for seed in setting.seeds:

            def report(step: int, steps: int, setting: _Setting = setting, seed: int = seed, done: int = done) -> None:
                on_progress(EvaluationProgress(setting.start, setting.shots, seed, step, steps, done, total))

            adapted = _adapted(model, task, track_name, setting, seed, report)
            scores.append(SeedScores(seed=seed, metrics=score(adapted, test, task)))
            done += 1
        runs.append(Run(start=setting.start, shots=setting.shots, seeds=tuple(scores), summary=_summary(scores)))
    return Result(
        protocol_version=PROTOCOL_VERSION,
        recipe=f"v{PROTOCOL_VERSION}",
        task=task.name,
        track=track_name,
        resolution=find_track(track).resolution,
        test_rows=len(test),
        model=model_record(model),
        dataset=task.record(track_name),
        runs=tuple(runs),
        environment=_environment(device),
        wall_seconds=time.perf_counter() - began,
        date=datetime.now(UTC).replace(microsecond=0),
    )


@torch.no_grad()
def score(model: NeuralOperator, test: Batch, task: EvaluationTask) -> Metrics:
    """Return the model's errors on rows of a task.

    Raises:
        PdefmError: if a prediction is not finite.
    """
    parts: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(test), _BATCH):
        batch = test[start : start + _BATCH]
        prediction = model(batch.source, batch.coefficients)
        if not bool(prediction.isfinite().all()):
            raise PdefmError(f"the model's prediction on {task.name} is not finite (NaN or infinite)")
        parts.append(sample_errors(prediction, batch, task.task.dataset.system.symbol))
    return summarise({name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def model_record(model: NeuralOperator) -> ModelRecord:
    """Return what a result says of the model."""
    source = model.source
    if source is None:
        name, revision, digest = "unsaved", None, None
    else:
        # a directory is known by its name alone: where it lay on somebody's disk is nobody's business
        local = source.revision is None
        name = _as_name(source.directory.resolve().name) if local else source.model_id
        revision, digest = source.revision, source.weights_sha256
    return ModelRecord(
        model_id=name,
        revision=revision,
        weights_sha256=digest,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        family=model.config.family,
        size=model.config.size,
    )


def _as_name(folder: str) -> str:
    """Return a folder's name with only what a model's name may hold."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", folder).strip("-._") or "model"


def _settings(shots: int | Sequence[int], seeds: int, *, scratch: bool, available: int) -> list[_Setting]:
    """Return the settings to run, in order; each number of shots once."""
    if seeds < 1:
        raise UsageError(f"an evaluation needs at least one seed, not {seeds}")
    wanted = sorted({shots} if isinstance(shots, int) else set(shots))
    if not wanted:
        raise UsageError("an evaluation needs at least one number of shots")
    settings = []
    for number in wanted:
        check_shots(number, available)
        settings.append(_Setting("pretrained", number, range(seeds if number else 1)))
        if number and scratch:
            settings.append(_Setting("scratch", number, range(seeds)))
    return settings


def _adapted(
    model: NeuralOperator,
    task: EvaluationTask,
    track: Track,
    setting: _Setting,
    seed: int,
    report: Callable[[int, int], None],
) -> NeuralOperator:
    """Return the model of one run: as it is, fine-tuned, or trained from fresh weights."""
    if setting.shots == 0:
        report(0, 0)
        return model
    recipe = adaptation_recipe(setting.start, setting.shots)
    report(0, recipe.steps)
    device = next(model.parameters()).device
    start = model if setting.start == "pretrained" else fresh(model, seed)
    support = task.support(setting.shots, seed, track).to(device)
    try:
        return adapt(start, support, recipe, seed, lambda step, _: report(step, recipe.steps))
    except FloatingPointError as error:
        raise PdefmError(
            f"{setting.start} start, {setting.shots} shots, seed {seed} on {task.name}: {error}"
        ) from error


def fresh(model: NeuralOperator, seed: int) -> NeuralOperator:
    """Return the same architecture on the same device, with random weights fixed by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NeuralOperator(model.config).to(next(model.parameters()).device)


def _summary(scores: Sequence[SeedScores]) -> Summary:
    """Return the headline score over seeds."""
    errors = [run.metrics.relative_l2_mean for run in scores]
    low, high = bootstrap_interval(errors)
    return Summary(
        mean=statistics.fmean(errors),
        standard_deviation=statistics.stdev(errors) if len(errors) > 1 else 0.0,
        interval_low=low,
        interval_high=high,
    )


def _environment(device: torch.device) -> Environment:
    """Return what the scores are computed with."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Environment(
        package_version=pdebench_fm.__version__,
        python=platform.python_version(),
        libraries={library: library_version(library) for library in _LIBRARIES},
        device=name,
        threads=torch.get_num_threads(),
    )
