"""Reports of review: what was found of each pull request, as text for people and as JSON that is acted upon.

A folder of reports is of one leaderboard, and has for each request `pull-N.json`, sealed by a digest of its content,
and the same as text in `pull-N.txt`. Reports are all that posting and merging know of a submission. The seal shows what
was damaged, half-written or edited by hand; it keeps out nobody who may write to the folder and knows how it is made.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pdebench_fm.contracts import Contract, first_problem
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import LOCK_NAME, write_atomically
from pdebench_fm.leaderboard.checks import Claim
from pdebench_fm.leaderboard.pull_request import is_row_file
from pdebench_fm.leaderboard.records import VerificationRecord
from pdebench_fm.limits import REPORT_BYTES, read_limited
from pdebench_fm.results.fields import Count, Moment, Positive
from pdebench_fm.text import in_one_line

FINISHED = "finished"
"""The folder of reports on requests that nothing is left to do for."""

Verdict = Literal["passed", "refused", "not verified"]

_LONGEST_LINE = 2000
_LONGEST_COMMENT = 30_000
_NAME = re.compile(r"pull-[1-9][0-9]{0,8}\.(json|txt)")
_COMMIT = "^[0-9a-f]{40}$"


def line(text: str) -> str:
    """Return a text as a report holds it: one line that shows all it has, of bounded length."""
    shown = in_one_line(text)
    return shown if len(shown) <= _LONGEST_LINE else shown[: _LONGEST_LINE - 1] + "…"


def _is_line(text: str) -> str:
    if line(text) != text:
        raise ValueError(f"should be one line of visible text, not {text!a:.80}")
    return text


def _is_row(path: str) -> str:
    if not (is_row_file(path) and path.endswith(".json")):
        raise ValueError(f"should be the place of a row, not {path!a:.80}")
    return path


Line = Annotated[str, AfterValidator(_is_line)]
Row = Annotated[str, AfterValidator(_is_row)]


class Asked(Contract):
    """What was asked for: models run, on fresh rows too (whose seed is not told), with these numbers of shots alone."""

    recompute: bool = False
    private: bool = False
    shots: tuple[Count, ...] | None = None


class CheckOutcome(Contract):
    """One check of a row; `detail` says what is wrong."""

    check: Line
    passed: bool
    detail: Line = ""


class ReportedRow(Contract):
    """What was found of one row. `record` has the figures that were observed when its model was run."""

    row: Row
    findings: Annotated[tuple[CheckOutcome, ...], Field(min_length=1)]
    note: Line = ""
    badges: tuple[Line, ...] = ()
    record: VerificationRecord | None = None
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _record_is_its_own(self) -> Self:
        if self.record is not None and self.record.row != self.row:
            raise ValueError(f"record is of {self.record.row!r:.80}, not of {self.row!r}")
        return self

    @property
    def refusal(self) -> str:
        """What is wrong with it, "" if nothing is."""
        return next((f"{each.check}: {each.detail}" for each in self.findings if not each.passed), "")


class Report(Contract):
    """What was found of one pull request.

    `commit` is the one that was verified, `files` what it adds or changes, with the identities that the Hub gives to
    their contents. `refusal` says what is wrong with the request as a whole, `failure` why it could not be verified.
    """

    schema_version: Literal["1.0"] = "1.0"
    leaderboard: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
    request: Positive
    commit: Annotated[str, Field(pattern=_COMMIT)]
    asked: Asked
    files: Annotated[dict[str, str], Field(default_factory=dict)]
    rows: tuple[ReportedRow, ...] = ()
    refusal: Line = ""
    failure: Line = ""
    package_version: Line
    date: Moment

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if wrong := [path for path in self.files if not is_row_file(path)]:
            raise ValueError(f"files has {wrong[0]!a:.80}, which is no file of a row")
        if not (self.refusal or self.failure):
            rows = sorted(row.row for row in self.rows)
            if not rows or rows != sorted(path for path in self.files if path.endswith(".json")):
                raise ValueError("rows should be those of files, and at least one")
        return self

    @property
    def verdict(self) -> Verdict:
        """The outcome, which follows from what was found."""
        if self.failure:
            return "not verified"
        return "refused" if self.refusal or any(row.refusal for row in self.rows) else "passed"

    @property
    def records(self) -> tuple[VerificationRecord, ...]:
        """What is to be written to the leaderboard once the request is merged."""
        return tuple(row.record for row in self.rows if row.record is not None) if self.verdict == "passed" else ()


def headline(report: Report) -> str:
    """Return the first line of a comment, of fixed words, a commit and a verdict."""
    verdict = {"passed": "passed", "refused": "refused", "not verified": "could not be verified"}[report.verdict]
    return f"Review of commit {report.commit}: {verdict}"


def text_of(report: Report) -> str:
    """Return a report as text for people."""
    return "\n".join([f"{report.leaderboard}#{report.request}", headline(report), *_lines(report), ""])


def comment_of(report: Report) -> str:
    """Return a report as Markdown: what comes of a submission is in a code block, which shows text as it is."""
    text = "\n".join(_lines(report))
    if len(text) > _LONGEST_COMMENT:
        text = text[:_LONGEST_COMMENT].rpartition("\n")[0] + "\n…"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{headline(report)}\n\n{fence}text\n{text}\n{fence}"


def _lines(report: Report) -> Iterator[str]:
    asked = report.asked
    what = ["checked by content, names, rows and samples"]
    what += ["models run again"] if asked.recompute or asked.private else []
    what += ["and on fresh rows"] if asked.private else []
    what += [f"with {', '.join(map(str, asked.shots))} shots alone"] if asked.shots is not None else []
    yield f"{', '.join(what)}; pdebench-fm {report.package_version}, {report.date:%Y-%m-%d %H:%M} UTC"
    if report.failure:
        yield f"could not be verified: {report.failure}"
    if report.refusal:
        yield f"refused: {report.refusal}"
    for row in sorted(report.rows, key=lambda each: not each.refusal):
        yield f"{'REFUSED' if row.refusal else 'passed'} {row.row}"
        for said in (row.refusal, row.note, *row.badges):
            if said:
                yield f"    {said}"


def place_of(folder: Path, request: int) -> Path:
    """Return where the report of a request lies."""
    return folder / f"pull-{request}.json"


def write_report(folder: Path, report: Report) -> None:
    """Write a report, the text first: what is acted upon is there last.

    Raises:
        PdefmError: if that fails.
    """
    path = place_of(folder, report.request)
    write_atomically(path.with_suffix(".txt"), text_of(report))
    content = report.model_dump(mode="json")
    write_atomically(path, json.dumps({"sha256": _seal(content), "report": content}, indent=2) + "\n")


def read_report(folder: Path, request: int, leaderboard: str) -> Report:
    """Read the report of a request, and hold it to its seal and to its text.

    Raises:
        PdefmError: if there is none, or it is not as it was written.
    """
    path = place_of(folder, request)
    try:
        sealed = json.loads(_content(path))
        content = sealed["report"]
        if set(sealed) != {"sha256", "report"} or sealed["sha256"] != _seal(content):
            raise PdefmError(f"{path} is not as it was written: its digest is another")
        report = validated(Report, json.dumps(content), str(path))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PdefmError(f"{path} is no report: {type(error).__name__}") from error
    if (report.leaderboard, report.request) != (leaderboard, request):
        raise PdefmError(f"{path} is of {report.leaderboard}#{report.request}, not of {leaderboard}#{request}")
    if _content(path.with_suffix(".txt")).decode(errors="replace") != text_of(report):
        raise PdefmError(f"{path.with_suffix('.txt')} does not say what {path.name} does")
    return report


def read_reports(folder: Path, leaderboard: str) -> list[Report]:
    """Read all reports of a folder, in the order of their requests.

    Raises:
        PdefmError: if one of them is not as it was written, or of another leaderboard, or something else lies there.
    """
    requests: set[int] = set()
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise PdefmError(f"cannot read {folder}: {error.strerror}") from error
    for entry in entries:
        if entry.name in (FINISHED, LOCK_NAME) and not entry.is_symlink():
            continue
        if not _NAME.fullmatch(entry.name) or entry.is_symlink() or not entry.is_file():
            raise PdefmError(f"{entry} is no report of review: nothing was done with any of this folder")
        if entry.suffix == ".json":  # a text alone is what was left of one that was written or put aside
            requests.add(int(entry.stem.removeprefix("pull-")))
    return [read_report(folder, request, leaderboard) for request in sorted(requests)]


def finish(folder: Path, request: int) -> None:
    """Put a report aside, as nothing is left to do for its request.

    Raises:
        PdefmError: if that fails.
    """
    path = place_of(folder, request)
    try:
        (folder / FINISHED).mkdir(exist_ok=True)
        for each in (path, path.with_suffix(".txt")):
            each.replace(folder / FINISHED / each.name)
    except OSError as error:
        raise PdefmError(f"cannot write to {folder / FINISHED}: {error.strerror}") from error


_Each = TypeVar("_Each", bound=Contract)


def validated(kind: type[_Each], text: str | bytes, what: str) -> _Each:
    """Return a contract that is given as JSON; a `PdefmError` says what is wrong with it."""
    try:
        return kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise PdefmError(f"{what} is not valid: {first_problem(error)}") from error


def _content(path: Path) -> bytes:
    if path.is_symlink():
        raise PdefmError(f"{path} is a link, which no review leaves")
    try:
        return read_limited(path, REPORT_BYTES)
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror}") from error


def _seal(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
