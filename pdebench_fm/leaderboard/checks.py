"""What every row of a leaderboard is held to by itself, in seconds: nothing is downloaded and no model is run."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from pdebench_fm.contracts import Contract
from pdebench_fm.data.catalogue import DATA_VERSION
from pdebench_fm.errors import PdefmError
from pdebench_fm.leaderboard.official import check_training, is_official
from pdebench_fm.leaderboard.records import (
    Rerun,
    VerificationRecord,
    are_other_devices,
    identity_digest,
    relative,
    tolerance,
)
from pdebench_fm.leaderboard.submission import check_rankable, check_recipe
from pdebench_fm.memory import is_out_of_memory
from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.physics import draw
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS, STANDARD_TRAIN_ROWS, is_standard
from pdebench_fm.protocol.task import load_task
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, find_track
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.result import CellKey, Result
from pdebench_fm.results.samples import samples_path

BAND_TOLERANCE = 1e-9
"""Relative: by Parseval the squares of a sample's bands add up to that of its error; measured, to 2e-15."""

PARAMETER_ROWS = 64
"""Rows whose parameter is drawn anew, spread over all that were scored: a Helmholtz row takes several solves."""

_SHOWN = 5  # numbers in a message
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHECKED = "content", "name and place", "can be ranked", "pinned", "standard rows", "samples"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: its name.
        passed: whether the row may go on.
        detail: what is wrong; "" where nothing is.
    """

    check: str
    passed: bool
    detail: str = ""


class Claim(Contract):
    """Whose a score is, and what of.

    `row` is the place of the row, `cell` says in words which cell of which task; `samples_sha256` is the digest of its
    samples, `weights` that of the weights and `model` that of the whole model ("" where there is none). `device` is
    what it was computed on; `reproduced` tells whether a verifier found this score.
    """

    @property
    def owner(self) -> str:
        """What tells its model from others: the digest of its weights, or its fingerprint, or else its name."""
        return self.weights or self.model or "/".join(Path(self.row).parts[1:3])

    row: str
    cell: str
    samples_sha256: str
    weights: str
    model: str
    shots: int
    mean: float
    device: str
    reproduced: bool


def check_row(path: Path, place: Path | None) -> tuple[list[Finding], Result | None]:
    """Check one row, up to the first thing that is wrong with it.

    Args:
        path: of its result file.
        place: where that is on the leaderboard, relative to its root; None for a file that is on none.

    Returns:
        What was found, and the row's result if nothing is wrong.

    Raises:
        PdefmError: if there is not enough memory to know.
    """
    findings: list[Finding] = []
    try:
        if path.is_symlink() or samples_path(path).is_symlink():
            raise PdefmError(f"{path} is a link, which may lead anywhere")
        evaluation = read_evaluation(path)
        findings.append(Finding(_CHECKED[0], passed=True))
        result = evaluation.result
        rest: tuple[Callable[[], None], ...] = (
            lambda: check_place(result, place),
            lambda: check_rankable(result),
            lambda: check_pinned(result),
            lambda: check_standard(result),
            lambda: check_samples(result, evaluation.samples),
        )
        for name, check in zip(_CHECKED[1:], rest, strict=True):
            check()
            findings.append(Finding(name, passed=True))
    except PdefmError as error:
        if is_out_of_memory(error):
            raise  # it says nothing of the row
        findings.append(Finding(_CHECKED[len(findings)], passed=False, detail=str(error)))
        return findings, None
    return findings, result


def check_place(result: Result, place: Path | None) -> None:
    """Hold a row to the place that its content says, and its organisation to what the model is.

    Raises:
        PdefmError: if it is elsewhere, or passes itself off as this package's.
    """
    due = row_path(result)
    if place is not None and place != due:
        raise PdefmError(f"{place.as_posix()} is misplaced: by its content it belongs at {due.as_posix()}")
    model = result.model
    if due.parts[1].lower() != HOME_ORGANISATION or is_official(model):
        return
    published = f"{model.model_id}@{model.revision}"
    if model.weights_at is None or model.weights_at != published:
        raise PdefmError(
            f"{model.model_id} is under the name of {HOME_ORGANISATION} and is no model of this package by its digest: "
            "`pdefm submit --organisation` says whose it is"
        )


def check_pinned(result: Result) -> None:
    """Raise a `PdefmError` unless everything that a row depends on is named so that it cannot become another."""
    if result.protocol_version != PROTOCOL_VERSION:
        raise PdefmError(f"protocol {result.protocol_version} is not known here: this package has {PROTOCOL_VERSION}")
    check_recipe(result)
    if result.date > datetime.now(UTC) + timedelta(days=1):  # a clock may be in another time zone
        raise PdefmError(f"it is dated {result.date:%Y-%m-%d}, which is still to come")
    model, dataset = result.model, result.dataset
    check_training(model)
    own, stated = (version.rpartition(".")[0] for version in (DATA_VERSION, dataset.version))
    if stated != own:  # a higher last number is new cards for the same data
        raise PdefmError(f"data of version {dataset.version} are not known here: this package makes {own}.x")
    if result.resolution != find_track(result.track).resolution:
        raise PdefmError(f"resolution is {result.resolution}, and the {result.track} track's is another")
    if "/" in model.model_id and model.weights_sha256 and model.revision and not _COMMIT.fullmatch(model.revision):
        raise PdefmError(f"its revision {model.revision!r} can be moved: a model of the Hub is named by its commit")
    if dataset.location and "/" in dataset.location and not _COMMIT.fullmatch(dataset.revision or ""):
        raise PdefmError(f"the revision of {dataset.location}, {dataset.revision!r}, can be moved: name its commit")


def check_standard(result: Result) -> None:
    """Raise a `PdefmError` unless a row was scored on the standard rows of its task, and adapted to standard ones."""
    data = result.dataset
    if not is_standard(result.task, result.track, data.version, result.test_rows, data.recipe_digest):
        due = STANDARD_TEST_ROWS.get(result.track, 0)
        what = f"{result.test_rows} rows" if result.test_rows != due else f"other rows ({data.recipe_digest:.12}…)"
        raise PdefmError(f"it was scored on {what}, not on the {due} standard ones of {result.task} ({result.track})")
    if data.train_rows != STANDARD_TRAIN_ROWS and any(cell.shots for cell in result.cells):
        raise PdefmError(
            f"its support sets are from a train split of {data.train_rows} rows: the standard one has "
            f"{STANDARD_TRAIN_ROWS}"
        )
    for run in result.runs:
        tried = sorted({*run.seeds, *result.failed_seeds(run)})
        if tried != list(range(len(tried))):
            numbers = ", ".join(map(str, tried[:_SHOWN])) + (", …" if len(tried) > _SHOWN else "")
            raise PdefmError(
                f"the seeds of {run.start}, {run.shots} shots are {numbers}: the protocol's are 0, 1, 2, … without a "
                "gap, so that nobody chooses among many"
            )


def check_samples(result: Result, samples: pa.Table) -> None:
    """Raise a `PdefmError` for per-sample scores that no evaluation of the task's rows can give."""
    if not result.cells:
        return
    columns = {name: samples.column(name).to_numpy() for name in samples.column_names if name != "start"}
    whole = np.square(columns["relative_l2"])
    bands = sum(np.square(columns[f"band_{name}"]) for name in ("low", "mid", "high"))
    wrong = np.flatnonzero(np.abs(bands - whole) > BAND_TOLERANCE * whole + 1e-150)
    if len(wrong):
        raise PdefmError(
            f"the bands of row {columns['index'][wrong[0]]} do not add up to its error: {float(bands[wrong[0]])!r} is "
            f"not the square of {float(columns['relative_l2'][wrong[0]])!r}"
        )
    scored = columns["parameter"].reshape(-1, result.test_rows)
    if (scored != scored[0]).any():
        raise PdefmError("its cells do not have the same parameters, though they were scored on the same rows")
    key = load_task(result.task, version=result.dataset.version).test.key
    rows = np.unique(np.linspace(0, result.test_rows - 1, PARAMETER_ROWS).astype(int)).tolist()
    drawn = np.array([float(value) for value in draw(key, rows).parameter])
    other = np.flatnonzero(~np.isclose(scored[0][rows], drawn, rtol=1e-9, atol=0.0))
    if len(other):
        row = rows[other[0]]
        raise PdefmError(f"the parameter of row {row} is {drawn[other[0]]!r}, not {float(scored[0][row])!r}")


def claims_of(row: str, result: Result, record: VerificationRecord | None = None) -> list[Claim]:
    """Return whose the scores of a row are: of its cells that depend on its weights.

    Args:
        row: its place.
        result: its content.
        record: what is known of it.
    """
    known = record is not None and record.identity_sha256 == identity_digest(result)
    # graphs give the scores, and do not tell whether they are of the tensors, or the adaptation, that a row states
    stated = result.model.weights_sha256 is None and any(cell.graph is not None for cell in result.cells)
    found = [] if record is None or not known or stated else [each for each in record.reruns if each.agrees]
    seen = {(*_key(each), each.samples_sha256) for each in found if each.adaptation == "verified"}
    model, way = result.model, f"{result.task}, {result.track}, protocol {result.protocol_version}, {result.adaptation}"
    return [
        Claim(
            row=row,
            cell=f"{way}, {cell.start}, {cell.shots} shots, seed {cell.seed}",
            samples_sha256=cell.samples_sha256,
            weights=model.weights_sha256 or model.tensors_sha256 or "",
            model=model.fingerprint or "",
            shots=cell.shots,
            mean=cell.metrics.relative_l2_mean,
            device=cell.environment.device,
            reproduced=(*cell.key, cell.samples_sha256) in seen,
        )
        for cell in result.cells
        if cell.start == "pretrained"  # architectures trained from scratch do not depend on the weights
    ]


def _key(rerun: Rerun) -> CellKey:
    return rerun.start, rerun.shots, rerun.seed


def check_unlike(rows: Mapping[str, Result], others: Iterable[Claim] = ()) -> dict[str, str]:
    """Return what is wrong with rows whose scores cannot be theirs.

    That is, which have, to the last digit, the scores of another model, or other scores than a verifier found for the
    same model. Where two rows share scores, this package's own model is taken for the first, then one that has weights.

    Args:
        rows: by their names.
        others: whose scores are known already.
    """
    first: dict[tuple[str, str], Claim] = {}
    reproduced: dict[tuple[str, str], Claim] = {}
    for claim in others:
        first.setdefault((claim.cell, claim.samples_sha256), claim)
        if claim.reproduced and claim.model:
            reproduced.setdefault((claim.cell, claim.model), claim)
    wrong: dict[str, str] = {}
    for name, result in sorted(rows.items(), key=lambda row: _standing(row[1])):
        for claim in claims_of(name, result):
            other = first.setdefault((claim.cell, claim.samples_sha256), claim)
            if other.owner != claim.owner:
                what = "has other weights" if other.weights else "is another model"
                wrong[name] = f"its scores are, to the last digit, those of {other.row}, which {what}"
                break
            found = reproduced.get((claim.cell, claim.model))
            if found and relative(abs(found.mean - claim.mean), found.mean) > tolerance(
                trained=claim.shots > 0, other_device=are_other_devices(found.device, claim.device)
            ):
                wrong[name] = (
                    f"its model is, by its fingerprint, that of {found.row}, for which {found.mean:.6g} was reproduced "
                    f"and not {claim.mean:.6g}"
                )
                break
    return wrong


def _standing(result: Result) -> tuple[bool, bool]:
    """Return what the rows that may be originals sort by, before those that may be copies of them."""
    model = result.model
    return not is_official(model), (model.weights_sha256 or model.tensors_sha256) is None


def refused(findings: Iterable[Finding]) -> Finding | None:
    """Return the first check that a row did not pass."""
    return next((finding for finding in findings if not finding.passed), None)
