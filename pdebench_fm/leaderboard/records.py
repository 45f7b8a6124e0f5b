"""Records of verification: what a verifier saw when it ran a row's model itself, and the badges that follow from it.

A record lies at `verified/<organisation>/<model>/<name of the row's file>` and is bound to what it verified by digests:
of the row's identity, and of the per-sample scores of each cell. A row whose scores change has no record any more, and
one that gets more cells keeps what is known of the others. Badges are computed from records, never stored or claimed.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar, get_args

from pydantic import Field, FiniteFloat, ValidationError

from pdebench_fm.contracts import first_problem
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RESULT_BYTES, read_limited
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.fields import MOST_CELLS, Count, Digest, Error, Moment, NonNegative, Positive, Record, Text
from pdebench_fm.results.merging import identity
from pdebench_fm.results.result import Result, Run

VERIFIED = "verified"
"""The folder of a leaderboard that holds records of verification."""

ZERO_SHOT_TOLERANCE = 1e-4
"""Of a zero-shot cell, and of an adapted graph: the mean over samples of |score - recomputed score|, relative to the
mean score."""

FEW_SHOT_TOLERANCE = 0.05
"""Of an adapted cell: the relative difference of the mean scores. A training step rounds differently on another
processor, and many steps enlarge that."""

OTHER_DEVICE_TOLERANCE = 0.15
"""The same of a cell that was computed on a GPU and is verified on a CPU, or the other way round."""

CHANCE = 2.0
"""Standard errors between the means of a run's seeds on the two devices that a verifier takes for chance, if that is
more than `FEW_SHOT_TOLERANCE`: three such means of `1m` networks trained from scratch were up to 7 % apart."""

ROUNDING = 1e-6
"""Differences of relative errors below this are the rounding of float32 fields: the exact solver scores about 1e-7."""

SAMPLING_LIMIT = 4.0
"""Standard errors between a public and a private score that sampling may explain: with 84 runs, all honest, one of them
is beyond it in one verification out of 200."""

Badge = Literal[
    "self-reported",
    "scores reproduced, adaptation self-reported",
    "reproduced",
    "reproduced on a private split",
]
BADGES: Final = get_args(Badge)
"""From the least that is known of a score to the most."""

Adaptation = Literal["verified", "self-reported"]
"""Who adapted the model that a verifier ran: he himself (or nobody, as it was scored as it is), or who submitted it."""

Agreement = Literal["agrees", "contamination", "disagrees"]


def tolerance(*, trained: bool, other_device: bool) -> float:
    """Return how far two scores of a cell may be from each other, relative to the mean score."""
    if not trained:
        return ZERO_SHOT_TOLERANCE
    return OTHER_DEVICE_TOLERANCE if other_device else FEW_SHOT_TOLERANCE


def are_other_devices(device: str, other: str) -> bool:
    """Return whether one of two devices, as results name them, is a CPU and the other is not."""
    return (device == "cpu") != (other == "cpu")


class Rerun(Record):
    """A cell that a verifier computed.

    `samples_sha256` is that of the scores that were verified, `mean` what the verifier found, and `difference` how far
    that is from what was submitted (see the tolerances), on an `other_device` if one of the two was a GPU. `adaptation`
    is "self-reported" where the model that ran was an adapted graph: that it gives the scores is known then, and not
    what it was adapted to.
    """

    start: Start
    shots: Count
    seed: Count
    samples_sha256: Digest
    mean: Error
    difference: NonNegative
    package_version: Text
    date: Moment
    adaptation: Adaptation = "verified"
    other_device: bool = False

    @property
    def tolerance(self) -> float:
        """How far the score may be from the submitted one."""
        return tolerance(trained=self.shots > 0 and self.adaptation == "verified", other_device=self.other_device)

    @property
    def agrees(self) -> bool:
        """Whether the cell was reproduced."""
        return self.difference <= self.tolerance


class PrivateScore(Record):
    """A run on fresh test rows, which nobody has seen before.

    `samples_sha256` are those of the cells that were verified, by seed; `recipe_digest` is that of the fresh rows,
    whose sampling seed is not told; `gap` is the difference of the logarithms of the two means, private minus public,
    and `standard_error` that of the gap over new draws of both test splits.
    """

    start: Start
    shots: Count
    samples_sha256: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=MOST_CELLS)]
    rows: Positive
    recipe_digest: Digest
    public_mean: Error
    private_mean: Error
    gap: FiniteFloat
    standard_error: Annotated[FiniteFloat, Field(gt=0)]
    package_version: Text
    date: Moment

    @property
    def agreement(self) -> Agreement:
        """What the gap means: worse on rows that nobody has seen is contamination of the public ones."""
        if abs(self.gap) <= SAMPLING_LIMIT * self.standard_error:
            return "agrees"
        return "contamination" if self.gap > 0 else "disagrees"


class VerificationRecord(Record):
    """What is known of one row."""

    schema_version: Literal["1.0"] = "1.0"
    row: Text
    identity_sha256: Digest
    reruns: Annotated[tuple[Rerun, ...], Field(max_length=MOST_CELLS)] = ()
    private: Annotated[tuple[PrivateScore, ...], Field(max_length=MOST_CELLS)] = ()


def identity_digest(result: Result) -> str:
    """Return the SHA-256 of all that the cells of a row have in common."""
    return hashlib.sha256(json.dumps(identity(result), sort_keys=True).encode()).hexdigest()


def badge_of(result: Result, run: Run, record: VerificationRecord | None) -> Badge:
    """Return what is known of a run of a row, by the record of the row."""
    if record is None or record.identity_sha256 != identity_digest(result):
        return "self-reported"
    seen = {
        (rerun.start, rerun.shots, rerun.seed, rerun.samples_sha256): rerun.adaptation
        for rerun in record.reruns
        if rerun.agrees
    }
    known = [seen.get((*cell.key, cell.samples_sha256)) for cell in result.cells_of(run)]
    if None in known:
        return "self-reported"
    if "self-reported" in known:
        return "scores reproduced, adaptation self-reported"
    found = private_of(result, run, record)
    return "reproduced on a private split" if found is not None and found.agreement == "agrees" else "reproduced"


def private_of(result: Result, run: Run, record: VerificationRecord | None) -> PrivateScore | None:
    """Return what a run scored on fresh rows; None if that is not known of these scores."""
    if record is None or record.identity_sha256 != identity_digest(result):
        return None
    digests = tuple(cell.samples_sha256 for cell in result.cells_of(run))
    for found in record.private:
        if (found.start, found.shots, found.samples_sha256) == (run.start, run.shots, digests):
            return found
    return None


def record_path(row: Path) -> Path:
    """Return where the record of a row lies; both are relative to a leaderboard's root."""
    return Path(VERIFIED, *row.parts[1:])


def read_record(root: Path, row: Path) -> VerificationRecord | None:
    """Return the record of a row of the leaderboard at `root`; None if it has none.

    Raises:
        PdefmError: if it is no valid record, or that of another row.
    """
    path = root / record_path(row)
    if not path.is_file():
        return None
    try:
        record = VerificationRecord.model_validate_json(read_limited(path, RESULT_BYTES), strict=True)
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise PdefmError(f"{path} is not a valid record of verification: {first_problem(error)}") from error
    if record.row != row.as_posix():
        raise PdefmError(f"{path} is misplaced: it is the record of {record.row}")
    return record


def write_record(root: Path, record: VerificationRecord) -> Path:
    """Write a record together with what is known of the row already, of which the newer of two is kept.

    Raises:
        PdefmError: if that fails.
    """
    row = Path(record.row)
    kept = read_record(root, row)
    if kept is not None and kept.identity_sha256 == record.identity_sha256:
        record = record.model_copy(
            update={"reruns": _newest(kept.reruns, record.reruns), "private": _newest(kept.private, record.private)}
        )
    path = root / record_path(row)
    write_atomically(path, json.dumps(record.model_dump(mode="json"), indent=2, allow_nan=False) + "\n")
    return path


_Seen = TypeVar("_Seen", bound=Rerun | PrivateScore)


def _newest(kept: Iterable[_Seen], new: Iterable[_Seen]) -> tuple[_Seen, ...]:
    """Return the newest of what is known of each cell or run."""
    by_key: dict[tuple[int, str, int, int], _Seen] = {}
    for seen in sorted((*kept, *new), key=lambda each: each.date):
        by_key[_key(seen)] = seen
    return tuple(by_key[key] for key in sorted(by_key))


def _key(seen: Rerun | PrivateScore) -> tuple[int, str, int, int]:
    if isinstance(seen, Rerun):
        return seen.shots, seen.start, 0, seen.seed
    return seen.shots, seen.start, 1, 0


def relative(difference: float, mean: float) -> float:
    """Return a difference relative to a mean score; 0 where it is rounding."""
    return 0.0 if difference <= ROUNDING else difference / mean if mean > 0.0 else math.inf
