"""From the outcomes of cells to what is kept: a result and its per-sample scores."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path

import pyarrow as pa
import torch

from pdebench_fm.evaluation.cell import Cell, Failed, Outcome, Scored
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.protocol.task import EvaluationTask
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, Start, Track, bootstrap_interval, find_track
from pdebench_fm.results.result import (
    DatasetRecord,
    Environment,
    Failure,
    ModelRecord,
    Result,
    Run,
    SeedScores,
    Summary,
    write_result,
)
from pdebench_fm.results.samples import CellScores, samples_path, samples_table, write_samples
from pdebench_fm.version import __version__

_LIBRARIES = ("datasets", "huggingface_hub", "numpy", "pydantic", "safetensors", "torch")


@dataclass(frozen=True)
class Evaluation:
    """One model on one task: the result, and the scores of every test row that it sums up."""

    result: Result
    samples: pa.Table

    def write(self, path: Path) -> None:
        """Write the per-sample scores beside `path`, then the result to it, each atomically.

        Raises:
            PdefmError: if that fails.
        """
        write_samples(self.samples, samples_path(path))
        write_result(self.result, path)


def evaluation_of(cells: Sequence[Cell], outcomes: Mapping[Cell, Outcome]) -> Evaluation:
    """Return the evaluation of one model on one task.

    Args:
        cells: all its cells, in order, at least one.
        outcomes: of those and maybe other cells.
    """
    first = cells[0]
    scored = [(cell, outcome) for cell in cells if isinstance(outcome := outcomes[cell], Scored)]
    failures = tuple(
        Failure(start=cell.start, shots=cell.shots, seed=cell.seed, reason=outcome.reason)
        for cell in cells
        if isinstance(outcome := outcomes[cell], Failed)
    )
    result = Result(
        protocol_version=PROTOCOL_VERSION,
        recipe=first.recipe,
        task=first.task.name,
        track=first.track,
        resolution=find_track(first.track).resolution,
        test_rows=first.task.test_rows(first.track),
        model=model_record(first.candidate),
        dataset=dataset_record(first.task, first.track),
        runs=_runs(scored),
        failures=failures,
        deterministic=first.deterministic,
        environment=_environment(first.candidate.device),
        wall_seconds=sum(outcomes[cell].seconds for cell in cells),
        date=datetime.now(UTC).replace(microsecond=0),
    )
    return Evaluation(
        result,
        samples_table(
            CellScores(cell.start, cell.shots, cell.seed, cell.task.test_parameters(cell.track), outcome.errors)
            for cell, outcome in scored
        ),
    )


def dataset_record(task: EvaluationTask, track: Track) -> DatasetRecord:
    """Return the provenance of the rows that are scored."""
    test = task.test
    return DatasetRecord(
        name=task.task.dataset.name,
        regime=task.task.regime.name,
        version=test.key.version,
        origin="recipe" if test.content_digest is None else "rows",
        recipe_digest=task.recipe_digest(track),
        content_digest=test.content_digest,
        location=test.location,
        revision=test.revision,
    )


def model_record(candidate: Candidate) -> ModelRecord:
    """Return what a result says of a model."""
    return ModelRecord(
        model_id=candidate.name,
        revision=candidate.revision,
        weights_sha256=candidate.weights_sha256,
        parameters=candidate.parameters or None,
        family=candidate.family,
        size=candidate.size,
    )


def _runs(scored: Sequence[tuple[Cell, Scored]]) -> tuple[Run, ...]:
    """Return the scores by setting, in order."""
    settings: dict[tuple[Start, int], list[SeedScores]] = {}
    for cell, outcome in scored:
        scores = SeedScores(seed=cell.seed, metrics=outcome.metrics)
        settings.setdefault((cell.start, cell.shots), []).append(scores)
    return tuple(
        Run(start=start, shots=shots, seeds=tuple(scores), summary=_summary(scores))
        for (start, shots), scores in settings.items()
    )


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
        package_version=__version__,
        python=platform.python_version(),
        libraries={library: library_version(library) for library in _LIBRARIES},
        device=name,
        threads=torch.get_num_threads(),
    )
