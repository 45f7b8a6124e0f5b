"""Protocol v1: tracks, shots, seeds, support sets and the adaptation recipe, as data."""

import hashlib
from dataclasses import dataclass

import numpy as np

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.evaluation.result import LITE_TEST_ROWS, Start, Track
from pdebench_fm.training.adapt import AdaptationRecipe

PROTOCOL_VERSION = 1

SHOTS = (0, 8, 32, 128, 512, 2048, 8192, 32768)
"""Support-set sizes of the standard table; others up to the train split can be asked for."""

SEEDS = 3
"""Runs of each adaptation, with seeds 0, 1, 2."""

BOOTSTRAP_RESAMPLES = 10_000


@dataclass(frozen=True)
class TrackDefinition:
    """How much of a task is scored.

    Attributes:
        name: "full" or "lite".
        resolution: points a side; coarser than the stored rows means every second (fourth, …) point of them.
        test_rows: the first rows of the test split that are scored; None for all.
    """

    name: Track
    resolution: int
    test_rows: int | None


TRACKS: dict[str, TrackDefinition] = {
    "full": TrackDefinition("full", 128, None),
    "lite": TrackDefinition("lite", 64, LITE_TEST_ROWS),
}


def find_track(name: str) -> TrackDefinition:
    """Return the track of this name, or raise a `UsageError`."""
    if name not in TRACKS:
        raise unknown_name("track", name, TRACKS)
    return TRACKS[name]


_STEPS: tuple[tuple[int, int, int, int], ...] = (
    # from this many shots on: batch, steps of a pretrained start, steps of a fresh start
    (1, 8, 100, 200),
    (32, 8, 200, 400),
    (128, 16, 400, 800),
    (512, 16, 800, 1600),
    (2048, 32, 1600, 3200),
    (8192, 32, 3200, 6400),
    (32768, 32, 6400, 12800),
)
_LEARNING_RATE: dict[Start, float] = {"pretrained": 1e-3, "scratch": 5e-3}
# How these were chosen: trials with fno-mixed-64k at 64² on parameter ranges that no task scores (Poisson e ~ U(5, 7),
# advection-diffusion Ψ ~ U(1, 1.4)), learning rates 3e-4 to 2e-2, 200 and 600 steps at 32 shots. Each start's
# learning rate is the one of lowest test error; more steps only fit the support set closer. Another table is another
# protocol version.


def adaptation_recipe(start: Start, shots: int) -> AdaptationRecipe:
    """Return the recipe for a support set of `shots` ≥ 1 rows, for a pretrained or a fresh ("scratch") start."""
    _, batch, pretrained_steps, scratch_steps = max(row for row in _STEPS if row[0] <= shots)
    return AdaptationRecipe(
        learning_rate=_LEARNING_RATE[start],
        steps=pretrained_steps if start == "pretrained" else scratch_steps,
        batch_size=batch,
    )


def check_shots(shots: int, available: int) -> None:
    """Raise a `UsageError` unless a support set of `shots` rows can be drawn from a split of `available` rows."""
    if shots < 0:
        raise UsageError(f"shots cannot be negative ({shots}): ask for 0 (zero-shot) or more")
    if shots > available:
        raise UsageError(f"{shots} shots are more than the train split has: ask for at most {available}")


def support_indices(task: str, shots: int, available: int, seed: int) -> list[int]:
    """Return which rows of the train split are the support set: the first `shots` of a permutation.

    The permutation is fixed by the task's name and the run's seed, by sorting counter-based random words, so it is
    the same on every machine, and support sets are nested.
    """
    check_shots(shots, available)
    digest = hashlib.sha256(f"pdebench_fm support set\x1f{task}\x1f{seed}".encode()).digest()
    words = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(available)
    return [int(i) for i in np.argsort(words, kind="stable")[:shots]]


def bootstrap_interval(scores: list[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean (Efron and Tibshirani 1993, chapter 13)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    values = np.asarray(scores, dtype=np.float64)
    means = values[generator.integers(len(values), size=(BOOTSTRAP_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
