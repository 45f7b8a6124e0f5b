"""Verifying rows: cheap checks of each, and on request its model is run again; what was seen goes into a record."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

from threadpoolctl import threadpool_limits

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.hub.failures import HubError
from pdebench_fm.leaderboard.checks import Claim, Finding, check_row, check_unlike, claims_of, refused
from pdebench_fm.leaderboard.on_hub import check_owner
from pdebench_fm.leaderboard.pull_request import Fetched, fetched, split_pull_request
from pdebench_fm.leaderboard.recompute import NotRunError, RowsOfTasks, Submitted, has_graphs, open_submitted, rerun
from pdebench_fm.leaderboard.records import (
    CHANCE,
    FEW_SHOT_TOLERANCE,
    PrivateScore,
    Rerun,
    VerificationRecord,
    badge_of,
    identity_digest,
    relative,
    write_record,
)
from pdebench_fm.leaderboard.submission import Spellings
from pdebench_fm.memory import is_out_of_memory
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.merging import conflicts
from pdebench_fm.results.paths import ROWS, row_path
from pdebench_fm.results.result import Result, result_files_under


@dataclass(frozen=True)
class Depth:
    """How much of a row is verified beyond the cheap checks.

    Attributes:
        recompute: whether its model is run on the rows that it was scored on.
        private_seed: of fresh test rows that it is run on as well; None for none.
        shots: the numbers of shots that are run; None for all.
    """

    recompute: bool = False
    private_seed: int | None = None
    shots: frozenset[int] | None = None

    def __post_init__(self) -> None:
        """Refuse the seed of the public rows, and numbers that are none of shots."""
        if self.shots is not None and min(self.shots, default=-1) < 0:
            raise UsageError("numbers of shots are 0 or more")
        if self.private_seed == 0:
            raise UsageError("a private seed is any whole number but 0, which is that of the public rows")
        if self.shots is not None and not self.runs:
            raise UsageError("numbers of shots say what models are run with: ask for a recomputation or a private seed")

    @property
    def runs(self) -> bool:
        """Whether models are run."""
        return self.recompute or self.private_seed is not None


@dataclass(frozen=True)
class RowReport:
    """What was found of one row.

    Attributes:
        row: its place on a leaderboard, or its file where its content gives none.
        findings: of the checks in their order, up to the first that it did not pass.
        reruns: cells that were computed anew.
        private: runs on fresh rows.
        note: why its model was not run, where that was asked for.
        badges: what is known of each run by this verification, in words.
        record: of what was seen when its model was run.
        claims: whose its scores are; none where something is wrong with it.
    """

    row: str
    findings: tuple[Finding, ...]
    reruns: tuple[Rerun, ...] = ()
    private: tuple[PrivateScore, ...] = ()
    note: str = ""
    badges: tuple[str, ...] = ()
    record: VerificationRecord | None = None
    claims: tuple[Claim, ...] = ()

    @property
    def refusal(self) -> str:
        """What is wrong with it, "" if nothing is."""
        found = refused(self.findings)
        return f"{found.check}: {found.detail}" if found else ""


@dataclass(frozen=True)
class Verification:
    """What was found of all rows.

    Attributes:
        source: what was verified, as it was named.
        rows: in the order of their paths.
        records: the files that were written.
        request: the pull request that was verified, if it was one; its files are gone.
    """

    source: str
    rows: tuple[RowReport, ...]
    records: tuple[Path, ...] = ()
    request: Fetched | None = None

    @property
    def refused(self) -> tuple[RowReport, ...]:
        """The rows with which something is wrong."""
        return tuple(row for row in self.rows if row.refusal)


@dataclass(frozen=True)
class _Given:
    """Rows to verify.

    Attributes:
        files: the result file and the place of each; no place where it is on no leaderboard.
        root: of the leaderboard that they are on, if it is a folder.
        request: the pull request that they come with.
    """

    files: tuple[tuple[Path, Path | None], ...]
    root: Path | None = None
    request: Fetched | None = None


@dataclass
class _Looked:
    """A row at work; `result` is None once something is wrong with it."""

    path: Path
    place: Path | None
    findings: list[Finding]
    result: Result | None
    name: str = ""
    reruns: tuple[Rerun, ...] = ()
    private: tuple[PrivateScore, ...] = ()
    note: str = ""
    badges: tuple[str, ...] = ()
    record: VerificationRecord | None = None

    def __post_init__(self) -> None:
        """Name it by its place, else by where its content says that it belongs, else by its file."""
        if self.place is not None:
            self.name = self.place.as_posix()
        else:
            self.name = row_path(self.result).as_posix() if self.result else str(self.path)

    def refuse(self, check: str, detail: str) -> None:
        self.findings.append(Finding(check, passed=False, detail=detail))
        self.result = None

    def report(self) -> RowReport:
        claims = () if self.result is None else tuple(claims_of(self.name, self.result, self.record))
        findings = tuple(self.findings)
        return RowReport(self.name, findings, self.reruns, self.private, self.note, self.badges, self.record, claims)


def verify(
    sources: Sequence[str],
    depth: Depth | None = None,
    *,
    records_to: Path | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
    on_row: Callable[[str, str], None] = lambda _row, _what: None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Verification:
    """Verify rows.

    Args:
        sources: result files, or one folder (a leaderboard's, or one of result files), or one `ORG/REPO#PR`.
        depth: what is done beyond the cheap checks.
        records_to: the leaderboard's folder that gets records of what models scored when they were run; by default that
            which is verified, if it is one.
        token: of the Hub; False for none.
        endpoint: the Hub's address.
        on_row: called with each row before its model is run, then again with what is computed, in words.
        on_wait: told why and how long the Hub is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: if there is nothing to verify.
        PdefmError: if a folder cannot be read, or a pull request is none that is looked at.
    """
    with _given(sources, token, endpoint, on_wait, sleep) as given:
        return _verified(" ".join(sources), given, depth or Depth(), records_to or given.root, on_row=on_row)


def verify_request(
    name: str,
    number: int,
    depth: Depth | None = None,
    *,
    commit: str | None = None,
    others: Callable[[Collection[str]], Iterable[Claim]] = lambda _tasks: (),
    token: str | bool | None = None,
    endpoint: str | None = None,
    on_row: Callable[[str, str], None] = lambda _row, _what: None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Verification:
    """Verify a pull request, and write nothing.

    Args:
        name: the leaderboard's repository.
        number: of the pull request.
        depth: what is done beyond the cheap checks.
        commit: of it that is verified; by default where it is now.
        others: returns whose scores of these tasks are known elsewhere: no row may have them, nor a name like theirs.
        token: as `verify` has it, and what follows.
        endpoint: the Hub's address.
        on_row: called with each row before its model is run, then again with what is computed, in words.
        on_wait: told why and how long the Hub is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        PdefmError: if it is none that is looked at.
    """
    with fetched(name, number, commit=commit, token=token, endpoint=endpoint, on_wait=on_wait, sleep=sleep) as found:
        given = _Given(tuple((found.folder / place, place) for place in found.places), request=found)
        return _verified(f"{name}#{number}", given, depth or Depth(), None, others, on_row=on_row)


def _verified(
    source: str,
    given: "_Given",
    asked: Depth,
    records_to: Path | None,
    others: Callable[[Collection[str]], Iterable[Claim]] = lambda _tasks: (),
    *,
    on_row: Callable[[str, str], None],
) -> Verification:
    with threadpool_limits(1, user_api="blas"):  # NumPy's products are small: threads would wait for each other
        return _verified_here(source, given, asked, records_to, others, on_row=on_row)


def _verified_here(
    source: str,
    given: "_Given",
    asked: Depth,
    records_to: Path | None,
    others: Callable[[Collection[str]], Iterable[Claim]],
    *,
    on_row: Callable[[str, str], None],
) -> Verification:
    looked = [_Looked(path, place, *check_row(path, place)) for path, place in given.files]
    known = list(others({row.result.task for row in looked if row.result is not None}))
    _check_names(looked, given, known)
    if given.request is not None:
        _check_request(looked, given.request)
    _check_unlike(looked, known)
    written: dict[str, Path] = {}
    opened: dict[tuple[object, ...], Submitted | PdefmError] = {}
    rows = RowsOfTasks(asked.private_seed)
    run = [row for row in looked if row.result is not None] if asked.runs else []
    for row in sorted(run, key=_task_of):  # the rows of a task are made once for all its models
        on_row(row.name, "")
        row.record = _run(row, asked, opened, rows, partial(on_row, row.name))
        if row.record is not None and records_to is not None:
            written[row.name] = write_record(records_to, row.record)
    records = tuple(written[row.name] for row in looked if row.name in written)
    return Verification(source, tuple(row.report() for row in looked), records, given.request)


def _task_of(row: _Looked) -> tuple[str, ...]:
    assert row.result is not None  # noqa: S101 (the caller has looked)
    return row.result.task, row.result.track, row.result.dataset.version


@contextmanager
def _given(
    sources: Sequence[str],
    token: str | bool | None,
    endpoint: str | None,
    on_wait: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Iterator[_Given]:
    """Yield the rows that are meant."""
    if not sources:
        raise UsageError("nothing to verify: name result files, a folder, or a pull request, ORG/REPO#PR")
    request = split_pull_request(sources[0]) if not Path(sources[0]).exists() else None
    if request is not None and len(sources) == 1:
        with fetched(*request, token=token, endpoint=endpoint, on_wait=on_wait, sleep=sleep) as found:
            yield _Given(tuple((found.folder / place, place) for place in found.places), request=found)
        return
    paths = [Path(source) for source in sources]
    for source, path in zip(sources, paths, strict=True):
        if split_pull_request(source) is not None and not path.exists():
            raise UsageError(f"{source} is a pull request, which is verified alone: name nothing else with it")
        if path.suffix != ".json" and not os.path.lexists(path):
            raise UsageError(f"there is no file or folder {source!r}, and a pull request is ORG/REPO#NUMBER")
    if len(paths) == 1 and (paths[0] / ROWS).is_dir():
        root = paths[0]
        files = [(path, path.relative_to(root)) for path in result_files_under(root / ROWS)]
        if not files:
            raise UsageError(f"{root} has no rows")
        yield _Given(tuple(files), root)
        return
    found_files: list[tuple[Path, Path | None]] = []
    for path in paths:
        below = result_files_under(path) if path.is_dir() else [path]
        if not below:
            raise UsageError(f"no result files (*.json) under {path}")
        found_files += [(each, None) for each in below]
    yield _Given(tuple(found_files))


def _check_names(looked: Sequence[_Looked], given: _Given, others: Sequence[Claim]) -> None:
    """Refuse rows whose organisation or model can be taken for another one."""
    there = given.request.names if given.request is not None else []
    spelled = Spellings([*there, *dict.fromkeys(Path(claim.row).parts[1:3] for claim in others)])
    for row in looked:
        if row.result is None:
            continue
        try:
            spelled.check(row_path(row.result).parts[1:3])
        except UsageError as error:
            row.refuse("name and place", str(error))


def _check_request(looked: Sequence[_Looked], request: Fetched) -> None:
    """Hold rows to who sends them, and to what is on the leaderboard already, of which nothing may be lost."""
    for row in looked:
        if row.result is None or row.place is None:
            continue
        try:
            check_owner(row.place.parts[1], request.author, request.leaderboard)
        except UsageError as error:
            row.refuse("organisation", str(error))
            continue
        if not (request.before / row.place).exists():
            continue
        try:
            before = read_evaluation(request.before / row.place).result
        except PdefmError as error:
            if is_out_of_memory(error):
                raise
            row.refuse("what is there", f"the row that is there cannot be read: {error}")
            continue
        result = row.result
        missing = {cell.key for cell in before.cells} - {cell.key for cell in result.cells}
        if missing or conflicts(before, result):
            what = "lacks cells" if missing else "has other scores for cells"
            row.refuse(
                "what is there", f"it {what} of the row that is on the leaderboard: nobody's scores are replaced"
            )


def _check_unlike(looked: Sequence[_Looked], others: Sequence[Claim]) -> None:
    wrong = check_unlike({row.name: row.result for row in looked if row.result is not None}, others)
    for row in looked:
        if row.result is not None and row.name in wrong:
            row.refuse("samples", wrong[row.name])


def _run(
    row: _Looked,
    asked: Depth,
    opened: dict[tuple[object, ...], Submitted | PdefmError],
    rows: RowsOfTasks,
    on_progress: Callable[[str], None],
) -> VerificationRecord | None:
    """Run a row's model, and return the record of it; None where nothing is to be recorded."""
    result = row.result
    assert result is not None  # noqa: S101 (the caller has looked)
    try:
        model = _opened(result, opened)
        reruns, private = rerun(read_evaluation(row.path), model, rows, asked.shots, on_progress)
    except NotRunError as error:
        row.note = f"not run: {error}"
        return None
    except PdefmError as error:
        if is_out_of_memory(error) or (isinstance(error, HubError) and error.may_pass):
            raise  # it says nothing of the row
        row.refuse("recomputed", str(error))
        return None
    row.reruns, row.private = reruns, private
    if wrong := _disagreeing(result, reruns):
        row.refuse("recomputed", wrong)
        return None
    row.findings.append(Finding("recomputed", passed=True))
    record = VerificationRecord(row=row.name, identity_sha256=identity_digest(result), reruns=reruns, private=private)
    row.badges = tuple(f"{run.start}, {run.shots} shots: {badge_of(result, run, record)}" for run in result.runs)
    for score in private:
        if score.agreement != "agrees":
            row.refuse("private split", _words(score))
            return record
    if private:
        row.findings.append(Finding("private split", passed=True))
    return record


def _disagreeing(result: Result, reruns: Sequence[Rerun]) -> str:
    """Return which cell, or run, was not reproduced, "" if all were."""
    cells = {cell.key: cell for cell in result.cells}
    for found in reruns:
        if not found.agrees:
            score = cells[found.start, found.shots, found.seed].metrics.relative_l2_mean
            return (
                f"{found.start}, {found.shots} shots, seed {found.seed}: {found.mean:.6g} instead of {score:.6g}, "
                f"which is {found.difference:.2g} away and may be {found.tolerance:g}"
            )
    for run in result.runs:  # what another device changes is chance, which several seeds have less of together
        seeds = [each for each in reruns if (each.start, each.shots) == (run.start, run.shots) and each.other_device]
        if not run.shots or len(seeds) < 2:
            continue
        here = fmean(each.mean for each in seeds)
        there = fmean(cells[each.start, each.shots, each.seed].metrics.relative_l2_mean for each in seeds)
        # As far as new seeds would be, by those of the verifier: no claim can widen that.
        by_chance = CHANCE * stdev(each.mean for each in seeds) * sqrt(2 / len(seeds))
        allowed = max(FEW_SHOT_TOLERANCE, relative(by_chance, there))
        if (difference := relative(abs(here - there), there)) > allowed:
            return (
                f"{run.start}, {run.shots} shots, {len(seeds)} seeds together: {here:.6g} instead of {there:.6g}, "
                f"which is {difference:.2g} away and may be {allowed:.2g}"
            )
    return ""


def _opened(result: Result, opened: dict[tuple[object, ...], Submitted | PdefmError]) -> Submitted:
    """Return a row's model, which is opened once for all its rows."""
    model = result.model
    graphs = has_graphs(result)
    key = (model.model_id, model.revision, model.weights_at, model.weights_sha256, model.fingerprint, graphs)
    if key not in opened:
        try:
            opened[key] = open_submitted(result)
        except PdefmError as error:
            opened[key] = error
    found = opened[key]
    if isinstance(found, PdefmError):
        raise found
    return found


def _words(score: PrivateScore) -> str:
    """Return what a private score means, in a line."""
    meaning = {
        "contamination": "contamination: it does worse on rows that nobody has seen",
        "disagrees": "it does better on rows that nobody has seen, which sampling does not explain",
    }[score.agreement]
    errors = abs(score.gap) / score.standard_error
    return (
        f"{score.start}, {score.shots} shots: {meaning}: {score.private_mean:.4g} instead of "
        f"{score.public_mean:.4g}, {errors:.1f} standard errors apart"
    )
