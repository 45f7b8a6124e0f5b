"""Verdicts: what the runs of a study say of each of its claims, computed and never typed in."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from pdebench_fm.contracts import Contract
from pdebench_fm.results.fields import Digest, Text
from pdebench_fm.studies.claims import MEASURES, Question, UntoldError
from pdebench_fm.studies.measures import Estimate, Relation
from pdebench_fm.studies.runs import LeftOut
from pdebench_fm.studies.table import Table
from pdebench_fm.templates import as_text

Decision = Literal["holds", "holds with", "doesn't hold at this scale", "can't be told", "measured"]

_FEWEST_DIGITS: Final = 0.001
_MANY: Final = 1000.0
_HUGE: Final = 1e9
_FEW: Final = 6
_WORDS: Final[dict[Relation, str]] = {"=": "", "<": "less than ", ">": "more than "}


class Verdict(Contract):
    """What the runs say of a claim.

    Attributes:
        claim: its name, with what it is about.
        says: the statement.
        measure: what decides it.
        decision: the verdict in short.
        value: the measure; None where runs are missing. `relation` is "<" or ">" where the runs only tell what it is
            below or above.
        low, high: ends of its 95 % interval; `high` is None where there is no end.
        above, below: the bound.
        paper: what the paper finds for the measure.
        because: the verdict in words.
    """

    claim: Text
    says: Annotated[str, Field(max_length=1000)]
    measure: Text
    decision: Decision
    value: float | None
    relation: Relation
    low: float | None
    high: float | None
    above: float | None
    below: float | None
    paper: float | None
    because: Annotated[str, Field(max_length=2000)]

    @property
    def in_short(self) -> str:
        """The decision with the number that it holds with."""
        return f"{self.decision} {self.number}" if self.decision == "holds with" else self.decision

    @property
    def number(self) -> str:
        """The measure as people read it."""
        return "—" if self.value is None else f"{_WORDS[self.relation]}{number(self.value)}"


class Verdicts(Contract):
    """The content of `verdicts.json`: all verdicts of a study at a scale, and by what runs.

    Attributes:
        study, scale: which.
        runs_sha256, rows_sha256: of the CSV files that they follow from.
        verdicts: in the order of the claims.
        left_out: runs that gave no fair score, and why.
    """

    study: Text
    scale: Text
    runs_sha256: Digest
    rows_sha256: Digest
    verdicts: tuple[Verdict, ...]
    left_out: tuple[str, ...] = ()


def verdict_of(question: Question, table: Table) -> Verdict:
    """Return what a table of runs says of a claim."""
    claim = question.claim
    missing = [key for key in question.needs if key not in table]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return _verdict(question, "can't be told", None, f"there is no score of {missing[0]}{more}")
    try:
        estimate = question.estimate(table)
    except UntoldError as error:
        return _verdict(question, "can't be told", None, str(error))
    interval = f"({number(estimate.low)} to {number(estimate.high)})"
    single = any(table[key].covers == "samples" and key.shots for key in question.needs)
    value = _WORDS[estimate.relation] + number(estimate.value)
    about = f"{MEASURES[question.measure]}: {value} {interval}" + (", of one seed" if single else "")
    if claim.above is None and claim.below is None:
        return _verdict(question, "measured", estimate, about)
    decision, why = _decided(estimate, claim.above, claim.below, claim.paper)
    return _verdict(question, decision, estimate, f"{about}; {why}")


def _decided(estimate: Estimate, above: float | None, below: float | None, paper: float | None) -> tuple[Decision, str]:
    """Hold an interval to a bound: it holds if all of it is beyond, and doesn't if none is."""
    bound = above if above is not None else below
    assert bound is not None  # noqa: S101 (the caller has seen to it)
    word = "above" if above is not None else "below"
    sign = 1.0 if above is not None else -1.0
    ends = sorted((sign * estimate.low, sign * estimate.high))
    if ends[1] <= sign * bound:
        return "doesn't hold at this scale", f"it should be {word} {bound:g}"
    if ends[0] <= sign * bound:
        return "can't be told", f"the interval holds {bound:g}, which it should be {word}"
    if paper is not None and ends[1] < sign * paper:
        return "holds with", f"{word} {bound:g}, but not as far as the paper's {paper:g}"
    if paper is not None and ends[0] >= sign * paper:
        return "holds", f"{word} {bound:g}, and as far as the paper's {paper:g}"
    rest = "" if paper is None else f"; whether as far as the paper's {paper:g} can't be told"
    return "holds", f"{word} {bound:g}{rest}"


def _verdict(question: Question, decision: Decision, estimate: Estimate | None, because: str) -> Verdict:
    claim = question.claim
    return Verdict(
        claim=question.name,
        says=claim.says,
        measure=MEASURES[question.measure],
        decision=decision,
        value=None if estimate is None else estimate.value,
        relation="=" if estimate is None else estimate.relation,
        low=None if estimate is None else estimate.low,
        high=None if estimate is None or math.isinf(estimate.high) else estimate.high,
        above=claim.above,
        below=claim.below,
        paper=claim.paper,
        because=because,
    )


def number(value: float) -> str:
    """Return a measure as people read it."""
    size = abs(value)
    if math.isinf(value):
        return "no end"
    if _FEWEST_DIGITS <= size < _MANY or not size:
        return f"{value:.3g}"
    return f"{value:.2e}" if size < 1 or size >= _HUGE else f"{value:,.0f}"


def verdicts_of(
    study: str,
    scale: str,
    questions: Iterable[Question],
    table: Table,
    digests: tuple[str, str],
    left_out: Sequence[LeftOut],
) -> Verdicts:
    """Return all verdicts of a study; `digests` are those of its two CSV files."""
    return Verdicts(
        study=study,
        scale=scale,
        runs_sha256=digests[0],
        rows_sha256=digests[1],
        verdicts=tuple(verdict_of(question, table) for question in questions),
        left_out=tuple(f"{each.key}: {each.reason}" for each in left_out),
    )


def counted(verdicts: Iterable[Verdict]) -> str:
    """Return how many claims came out how, in words: `17 × holds, 5 × can't be told`."""
    counts = Counter(verdict.decision for verdict in verdicts)
    return ", ".join(f"{counts[decision]} × {decision}" for decision in get_args(Decision) if counts[decision])


def verdicts_in_brief(verdicts: Sequence[Verdict]) -> str:
    """Return a Markdown list of statements: how often each came out how, and from where to where its measure goes."""
    lines = []
    for says, group in groupby(verdicts, key=lambda verdict: verdict.says):
        cases = list(group)
        if len(cases) == 1:
            what, more = f"{cases[0].in_short}; {cases[0].because}", ""
        else:
            what, more = counted(cases), _reach(cases) + _failed(cases)
        lines.append(f"* {as_text(says)} **{as_text(what)}**{as_text(more)}.\n")
    return "".join(lines)


def _reach(cases: Sequence[Verdict]) -> str:
    """Return from where to where a measure goes, or its few values."""
    values = sorted(each.value for each in cases if each.value is not None and each.relation == "=")
    if len(values) <= 1:
        numbers = dict.fromkeys(each.number for each in cases if each.value is not None)
        return f"; {cases[0].measure}: {', '.join(numbers)}" if 0 < len(numbers) <= _FEW else ""
    beyond = len(cases) - len(values)
    rest = f", and in {beyond} beyond the runs or not known" if beyond else ""
    return f"; {cases[0].measure}: {number(values[0])} to {number(values[-1])}{rest}"


def _failed(cases: Sequence[Verdict]) -> str:
    """Return for which cases a claim doesn't hold, if these are few and not all."""
    failed = [_case(each) for each in cases if each.decision == "doesn't hold at this scale"]
    return f"; it doesn't for {'; '.join(failed)}" if 0 < len(failed) <= _FEW and len(failed) < len(cases) else ""


def _case(verdict: Verdict) -> str:
    """Return which of a claim's cases a verdict is of; "" if it has one alone."""
    return verdict.claim.partition(" (")[2].removesuffix(")")


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as a Markdown table, claim by claim; a statement that several share is said once."""
    lines = ["| claim | verdict | by what |", "|---|---|---|"]
    said = ""
    for verdict in verdicts:
        about = _case(verdict)
        if about and verdict.says != said:
            lines.append(f"| **{as_text(verdict.says)}** | | |")
        statement = as_text(about or verdict.says)
        lines.append(f"| {statement} | {as_text(verdict.in_short)} | {as_text(verdict.because)} |")
        said = verdict.says
    return "\n".join(lines) + "\n"
