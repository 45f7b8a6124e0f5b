"""Valid result objects for tests, each detail of which a test may change."""

import math
import statistics
from datetime import UTC, datetime

from pdebench_fm.protocol.pinned_digests import PINNED_DIGESTS
from pdebench_fm.results.result import (
    DatasetRecord,
    Environment,
    Metrics,
    ModelRecord,
    Result,
    Run,
    SeedScores,
    Summary,
)

DIGEST = "0123456789abcdef" * 4


def make_metrics(error: float) -> Metrics:
    return Metrics(
        relative_l2_mean=error,
        relative_l2_median=0.9 * error,
        relative_l2_p95=2.1 * error,
        relative_h1_mean=1.3 * error,
        band_low_mean=0.8 * error,
        band_mid_mean=1.7 * error,
        band_high_mean=4.2 * error,
        residual_mean=6.5 * error,
        max_error_mean=1.9 * error,
    )


def make_run(errors=(0.1, 0.11, 0.12), start="pretrained", shots=8, **changes) -> Run:
    """A run whose seeds 0, 1, ... have these mean relative L2 errors."""
    values = {
        "start": start,
        "shots": shots,
        "seeds": tuple(SeedScores(seed=i, metrics=make_metrics(e)) for i, e in enumerate(errors)),
        "summary": Summary(
            mean=math.fsum(errors) / len(errors),
            standard_deviation=statistics.stdev(errors) if len(errors) > 1 else 0.0,
            interval_low=min(errors),
            interval_high=max(errors),
        ),
    }
    return Run(**(values | changes))


def make_model(model_id="fno-poisson-1m", **changes) -> ModelRecord:
    values = {
        "model_id": model_id,
        "revision": "v1.0.0",
        "weights_sha256": DIGEST,
        "parameters": 1_060_000,
        "family": "poisson",
        "size": "1m",
    }
    return ModelRecord(**(values | changes))


def make_dataset(task="poisson/in-domain", track="lite", **changes) -> DatasetRecord:
    """The standard test rows of a task on a track, made from their recipes."""
    name, regime = task.split("/")
    pinned = PINNED_DIGESTS[1].get(task, {})
    values = {
        "name": name,
        "regime": regime,
        "version": "1.0.0",
        "origin": "recipe",
        "recipe_digest": pinned.get(track, DIGEST[::-1]),
    }
    return DatasetRecord(**(values | changes))


def make_environment(**changes) -> Environment:
    values = {
        "package_version": "0.1.0",
        "python": "3.11.9",
        "libraries": {"numpy": "2.1.0", "torch": "2.5.1"},
        "device": "cpu",
        "threads": 2,
    }
    return Environment(**(values | changes))


def make_result(task="poisson/in-domain", model="fno-poisson-1m", runs=None, **changes) -> Result:
    """A lite-track result of `model` (an id or a record) on `task`: zero-shot and 8 shots unless told."""
    lite = changes.get("track", "lite") == "lite"
    values = {
        "recipe": "v1",
        "task": task,
        "track": "lite",
        "resolution": 64 if lite else 128,
        "test_rows": 512 if lite else 4096,
        "model": make_model(model) if isinstance(model, str) else model,
        "dataset": make_dataset(task, "lite" if lite else "full"),
        "runs": tuple(runs or (make_run((0.2, 0.2, 0.2), shots=0), make_run())),
        "environment": make_environment(),
        "wall_seconds": 12.5,
        "date": datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC),
    }
    return Result(**(values | changes))
