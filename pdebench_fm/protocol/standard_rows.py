"""Which rows are the benchmark's standard ones: known from the code, not from what most results were scored on."""

from pdebench_fm.data.catalogue import SPLIT_SIZES
from pdebench_fm.protocol.pinned_digests import PINNED_DIGESTS
from pdebench_fm.protocol.tracks import LITE_TEST_ROWS, Track

STANDARD_TEST_ROWS: dict[Track, int] = {"full": SPLIT_SIZES["test"], "lite": LITE_TEST_ROWS}
"""Test rows that each track scores."""

STANDARD_TRAIN_ROWS = SPLIT_SIZES["train"]
"""Rows of the train split that support sets are taken from."""


def is_standard(task: str, track: Track, version: str, rows: int, recipe_digest: str) -> bool:
    """Return whether these are the rows that a track scores of one of the benchmark's tasks.

    Args:
        task: `<dataset>/<regime>`; a task that is not one of the twelve has no standard rows.
        track: which track; one that is not ranked has no standard rows.
        version: of the data; minor versions hold the same bits.
        rows: how many were scored.
        recipe_digest: of the draws behind them.
    """
    return rows == STANDARD_TEST_ROWS.get(track) and _is_pinned(task, track, version, recipe_digest)


def is_standard_train(task: str, version: str, rows: int, recipe_digest: str) -> bool:
    """Return whether this train split is the one that the support sets of a task are taken from.

    Args:
        task: `<dataset>/<regime>`.
        version: of the data.
        rows: of the whole split; with fewer, a support set of the same size and seed has other rows.
        recipe_digest: of the draws behind all of them.
    """
    return rows == STANDARD_TRAIN_ROWS and _is_pinned(task, "train", version, recipe_digest)


def _is_pinned(task: str, place: str, version: str, recipe_digest: str) -> bool:
    tasks = PINNED_DIGESTS.get(int(version.partition(".")[0]), {})
    return tasks.get(task, {}).get(place) == recipe_digest
