"""The protocol: tracks, shots, seeds and support sets, as data; its adaptation recipes are in `recipes`."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pdebench_fm.errors import UsageError, unknown_name

Start = Literal["pretrained", "scratch"]
Track = str
"""The name of one that `find_track` knows."""

LITE_TEST_ROWS = 512

PROTOCOL_VERSION = 1
"""Changed with anything here, and with the table of adaptation recipes."""

SEEDS = 3
"""Runs of each adaptation, with seeds 0, 1, 2."""


@dataclass(frozen=True)
class TrackDefinition:
    """How much of a task is scored.

    Attributes:
        name: "full", "lite", or that of an unranked one.
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


UNRANKED_TRACK_PATTERN: Final = r"n[1-9][0-9]{1,3}-rows[1-9][0-9]{0,3}"
"""A track that nothing ranks: `n256-rows512` scores the first 512 test rows on a grid of 256 points a side."""

_COARSEST, _FINEST, _MOST_ROWS = 16, 512, 4096
_STORED = 128  # points a side of the published rows: what is finer or coarser has all, or some, of these


def find_track(name: str) -> TrackDefinition:
    """Return the track of this name: one of the two that are ranked, or `n<points>-rows<rows>`, which is not.

    Raises:
        UsageError: for another name, a grid that the benchmark's rows are not made on, or too few or too many rows.
    """
    if name in TRACKS:
        return TRACKS[name]
    if not re.fullmatch(UNRANKED_TRACK_PATTERN, name):
        raise unknown_name("track", name, [*TRACKS, "n256-rows512"])
    points, rows = (int(digits) for digits in re.findall("[0-9]+", name))
    if not _COARSEST <= points <= _FINEST or (points % _STORED and _STORED % points):
        raise UsageError(f"track {name}: points a side must be 16, 32, 64, 128, 256, 384 or 512, not {points}")
    if not 2 <= rows <= _MOST_ROWS:
        raise UsageError(f"track {name}: a score needs 2 to {_MOST_ROWS} test rows, not {rows}")
    return TrackDefinition(name, points, rows)


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
