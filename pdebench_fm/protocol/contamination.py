"""What a model knew of a task before it was given a support set: computed from its training manifest, never claimed.

Two things are told apart. The *regime*: were other rows of the same equation, with the same values of the varied
parameter, trained on? That is legitimate, and what "in-domain" means; out of distribution it is what a score has to be
read with. And the *test rows* themselves: having seen some of those makes a score worthless.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.data.catalogue import SPLIT_SIZES, TASKS, Task
from pdebench_fm.data.training_manifest import Stream, TrainingManifest
from pdebench_fm.physics import Range, SampleKey, lies_in, overlap

Knowledge = Literal["unknown", "unseen", "overlapping", "seen"]
"""Of a regime: whether none, some or all of the values of its varied parameter lie in what was trained on."""


@dataclass(frozen=True)
class ScoredRows:
    """The test rows that a result is of.

    Attributes:
        key: their stream.
        span: what the varied parameter of their regime is drawn from.
        count: how many; the first ones are scored.
    """

    key: SampleKey
    span: Range
    count: int


def knowledge_of(manifest: TrainingManifest | None, system: str, span: Range) -> Knowledge:
    """Return what a model knows of a regime: its system and what the varied parameter is drawn from.

    Which stream of that regime was trained on makes no difference: data version, sampling seed, split and rows do not
    change the law. Rows that were looked at only are not counted.

    Args:
        manifest: the model's; None is "unknown".
        system: whose equation it is; another equation is another regime.
        span: of the varied parameter.
    """
    if manifest is None:
        return "unknown"
    share = overlap(span, _ranges(manifest.trained, system))
    return "unseen" if share == 0.0 else "seen" if share == 1.0 else "overlapping"


def share_inside(streams: Sequence[Stream], system: str, parameters: NDArray[np.float64]) -> float:
    """Return the share of rows whose varied parameter lies in the range of one of some streams of their system.

    Args:
        streams: of any systems.
        system: of the rows.
        parameters: (B,), of each row, at least one.
    """
    return float(lies_in(parameters, _ranges(streams, system)).mean())


def seen_test_rows(manifest: TrainingManifest | None, rows: ScoredRows) -> int | None:
    """Return how many of the scored rows a model was trained on, or was chosen by; None if that is not known.

    The same row is one of the same system, regime, split, sampling seed and index, and of a data version with the same
    bits, whatever grid it was seen on.
    """
    if manifest is None:
        return None
    seen = np.zeros(rows.count, dtype=np.bool_)
    for stream in (*manifest.trained, *manifest.looked_at):
        if stream.key.philox_key == rows.key.philox_key:
            seen[stream.start : stream.stop] = True
    return int(seen.sum())


def knowledge_in_words(manifest: TrainingManifest) -> list[str]:
    """Return what a manifest means for the benchmark's twelve tasks, a line each: by regime, and the test rows seen.

    Before the last there is a line of the tasks of which values were looked at that were not trained on, if there are.
    """
    by_label: dict[Knowledge, list[str]] = {"seen": [], "overlapping": [], "unseen": []}
    looked_at, test_rows = [], {}
    for name, task in TASKS.items():
        rows = _published_rows(task)
        system = rows.key.system
        by_label[knowledge_of(manifest, system, rows.span)].append(name)
        trained = _ranges(manifest.trained, system)
        if overlap(rows.span, [*trained, *_ranges(manifest.looked_at, system)]) > overlap(rows.span, trained):
            looked_at.append(name)
        if seen := seen_test_rows(manifest, rows):
            test_rows[name] = seen
    lines = [f"regime {label}: {', '.join(names)}" for label, names in by_label.items() if names]
    if looked_at:
        lines.append(f"settings chosen on values of: {', '.join(looked_at)}")
    seen_of_each = ", ".join(f"{seen:,} of {name}" for name, seen in test_rows.items())
    return [*lines, f"test rows seen: {seen_of_each or 'none'}"]


def _published_rows(task: Task) -> ScoredRows:
    """Return the test split of a task as it is published."""
    key = task.dataset.key(task.regime.name, "test")
    return ScoredRows(key, key.range, SPLIT_SIZES["test"])


def _ranges(streams: Sequence[Stream], system: str) -> list[Range]:
    return [stream.span for stream in streams if stream.system == system]
