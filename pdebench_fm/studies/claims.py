"""Claims: a statement, the measure that decides it, and the bound that the measure should be beyond."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isinf
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pdebench_fm.contracts import Contract
from pdebench_fm.errors import UsageError
from pdebench_fm.protocol.recipes import PROTOCOL_RECIPE
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.studies.measures import (
    Estimate,
    bootstrapped,
    examples,
    gain,
    largest_ratio,
    slope,
    slope_between,
    smallest_step,
)
from pdebench_fm.studies.runs import RunKey
from pdebench_fm.studies.table import Table
from pdebench_fm.studies.values import Name, Number, PositiveNumber, Shots, Words, each_once

Estimator = Callable[[Table], Estimate]
Refuse = Callable[[str], UsageError]


class UntoldError(ValueError):
    """A measure cannot be taken of a table's runs, which have all errors that it needs: the message says why."""


class Where(Contract):
    """Which run, as far as it isn't said elsewhere: by a claim's `each`, its `shots`, or the usual.

    The usual is a pretrained start, zero-shot, the protocol's recipe and the study's track.
    """

    model: Words | None = None
    task: Words | None = None
    start: Start | None = None
    shots: Shots | None = None
    method: Words | None = None
    track: Words | None = None

    def __str__(self) -> str:
        """Return what it says, as a file does."""
        return ", ".join(f"{name} {value}" for name, value in self.model_dump().items() if value is not None)


@dataclass(frozen=True)
class Filling:
    """What completes the runs of a claim.

    Attributes:
        track: of runs that don't say theirs.
        runs: those of the study.
        refuse: makes the error for a claim that cannot be.
    """

    track: str
    runs: Collection[RunKey]
    refuse: Refuse

    def key(self, *wheres: Where) -> RunKey:
        """Return the run that several say together, the first of them that says something having its way."""
        said: dict[str, Any] = {}
        for where in reversed(wheres):
            said |= {name: value for name, value in where.model_dump().items() if value is not None}
        for name in ("model", "task"):
            if name not in said:
                raise self.refuse(f"it does not say which {name}: give it in of, to or curve, or in each")
        return RunKey(
            model=said["model"],
            task=said["task"],
            start=said.get("start", "pretrained"),
            shots=said.get("shots", 0),
            method=said.get("method", PROTOCOL_RECIPE),
            track=said.get("track", self.track),
        )

    def adapted(self, *wheres: Where) -> RunKey:
        """Return the same for a run that has examples, of which a gain can be told."""
        key = self.key(*wheres)
        if not key.shots:
            raise self.refuse("a gain in examples needs shots above 0")
        return key

    def two(self, of: Where, to: Where, *wheres: Where) -> tuple[RunKey, RunKey]:
        """Return two runs that are compared."""
        first, second = self.key(of, *wheres), self.key(to, *wheres)
        self.refuse_itself(first, [second])
        return first, second

    def refuse_itself(self, key: RunKey, others: Collection[RunKey]) -> None:
        """Raise the error for a run that is compared with itself."""
        if key in others:
            raise self.refuse(f"it compares {key} with itself")

    def curve(self, *wheres: Where) -> tuple[RunKey, ...]:
        """Return the study's runs with every number of shots above 0."""
        wanted = self.key(Where(shots=0), *wheres)
        found = sorted(key for key in self.runs if key.shots and key._replace(shots=0) == wanted)
        if not found:
            raise self.refuse(
                f"it needs {wanted.model} on {wanted.task} ({wanted.track}), {wanted.start}, method {wanted.method}, "
                "with shots above 0, which the study does not run"
            )
        return tuple(found)

    def numbers(self, shots: tuple[int, ...] | Literal["every"], *wheres: Where) -> Sequence[int | None]:
        """Return the numbers of shots that a claim is for; None where it says so elsewhere."""
        return [key.shots for key in self.curve(*wheres)] if shots == "every" else list(shots) or [None]


Plan = tuple[tuple[RunKey, ...], Estimator]
"""The runs that a question looks at, and how its measure is taken of them."""


class BaseClaim(Contract):
    """What all claims have.

    Attributes:
        says: the statement, in our words.
        each: it is decided for each of these apart; what they say completes the claim's runs.
        shots: likewise, for each of these numbers, or "every" one above 0 that the study has for these runs.
        above, below: the bound; a claim with neither is measured and not decided.
        paper: what the paper finds for the measure: beyond the bound, but not so far, a claim holds with less.
    """

    says: Words
    each: Annotated[tuple[Where, ...], Field(max_length=100), AfterValidator(each_once)] = ()
    shots: Annotated[tuple[Shots, ...], AfterValidator(each_once)] | Literal["every"] = ()
    above: Number | None = None
    below: Number | None = None
    paper: Number | None = None

    @model_validator(mode="after")
    def _has_one_bound(self) -> Self:
        if self.above is not None and self.below is not None:
            raise ValueError("a claim has one bound: give either above or below")
        if self.paper is not None and self.above is None and self.below is None:
            raise ValueError("what the paper finds needs a bound: give above or below")
        if self.is_positive:
            for name in ("above", "below", "paper"):
                value = getattr(self, name)
                if value is not None and value <= 0:
                    raise ValueError(f"its measure is above 0, so {name}: {value:g} says nothing")
        for name, bound, sign in (("above", self.above, 1), ("below", self.below, -1)):
            if bound is not None and self.paper is not None and (self.paper - bound) * sign < 0:
                raise ValueError(f"what the paper finds, {self.paper:g}, is not {name} {bound:g}")
        return self

    @property
    def is_positive(self) -> bool:
        """Whether its measure is above 0 whatever the runs come to."""
        return True

    @property
    def is_about_steps(self) -> bool:
        """Whether its measure follows from how long models were pretrained."""
        return False

    @property
    def subject(self) -> Where:
        """The run that the claim is about, as far as it says so."""
        return Where()

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return which runs are needed, given what completes them, and how the measure is taken."""
        raise NotImplementedError


class _AboutRun(BaseClaim):
    """A claim about a run, or several that differ in one thing."""

    of: Where = Where()

    @property
    def subject(self) -> Where:
        """The run, as far as it is said."""
        return self.of


class RatioClaim(_AboutRun):
    """The error of one run over that of another."""

    measure: Literal["ratio"]
    to: Where = Where()

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        of, to = filling.two(self.of, self.to, given)
        return (of, to), partial(bootstrapped, needs=(of, to), measure=lambda errors: errors[of] / errors[to])


class GainClaim(_AboutRun):
    """How many times more examples a curve of runs needs to reach the error of a run."""

    measure: Literal["gain"]
    curve: Where = Where()

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        of, curve = filling.adapted(self.of, given), filling.curve(self.curve, given)
        filling.refuse_itself(of, curve)
        return (of, *curve), partial(bootstrapped, needs=(of, *curve), measure=lambda errors: gain(errors, of, curve))


class ExamplesClaim(BaseClaim):
    """With how many examples a curve of runs reaches an error."""

    measure: Literal["examples"]
    curve: Where = Where()
    error: PositiveNumber

    @property
    def subject(self) -> Where:
        """The curve."""
        return self.curve

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        curve = filling.curve(self.curve, given)
        return curve, partial(bootstrapped, needs=curve, measure=lambda errors: examples(errors, curve, self.error))


class SlopeClaim(_AboutRun):
    """The exponent of the power law by which the error follows the size, or the pretraining, of models."""

    measure: Literal["slope"]
    models: Annotated[tuple[Name, ...], Field(min_length=2), AfterValidator(each_once)]
    against: Literal["parameters", "steps"]

    @property
    def is_about_steps(self) -> bool:
        """Of steps alone."""
        return self.against == "steps"

    @property
    def is_positive(self) -> bool:
        """Not an exponent."""
        return False

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        keys = _of_models(filling, self.models, self.of, given)

        def estimate(table: Table) -> Estimate:
            x = _different(_steps(table, keys) if self.is_about_steps else _sizes(table, keys), self.against)
            return bootstrapped(table, keys, lambda errors: slope(x, [errors[key] for key in keys]))

        return keys, estimate


class GainSlopeClaim(_AboutRun):
    """The exponent by which the data-efficiency gain follows the size of models; untold if one is beyond the runs."""

    measure: Literal["gain-slope"]
    curve: Where = Where()
    models: Annotated[tuple[Name, ...], Field(min_length=2), AfterValidator(each_once)]

    @property
    def is_positive(self) -> bool:
        """Not an exponent."""
        return False

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        ofs = tuple(filling.adapted(Where(model=model), self.of, given) for model in self.models)
        curves = [filling.curve(Where(model=model), self.curve, given) for model in self.models]
        for of, curve in zip(ofs, curves, strict=True):
            filling.refuse_itself(of, curve)
        needs = (*ofs, *(key for curve in curves for key in curve))

        def estimate(table: Table) -> Estimate:
            x = _different(_sizes(table, ofs), "parameters")
            pairs = list(zip(ofs, curves, strict=True))
            found = bootstrapped(
                table, needs, lambda errors: slope_between(x, [gain(errors, of, curve) for of, curve in pairs])
            )
            if isinf(found.low) or isinf(found.high):
                raise UntoldError(
                    "of some models the gain, or its interval, is beyond the runs from scratch: it takes more of them"
                )
            return found

        return needs, estimate


class SmallestStepClaim(_AboutRun):
    """The smallest ratio of the errors on two tasks that follow each other."""

    measure: Literal["smallest-step"]
    tasks: Annotated[tuple[Words, ...], Field(min_length=2), AfterValidator(each_once)]

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        keys = tuple(filling.key(Where(task=task), self.of, given) for task in self.tasks)
        return keys, partial(bootstrapped, needs=keys, measure=lambda errors: smallest_step(errors, keys))


class LargestRatioClaim(_AboutRun):
    """The largest ratio of errors over several pairs of runs."""

    measure: Literal["largest-ratio"]
    to: Where = Where()
    over: Annotated[tuple[Where, ...], Field(min_length=1, max_length=200), AfterValidator(each_once)]
    over_shots: Annotated[tuple[Shots, ...], AfterValidator(each_once)] | Literal["every"] = ()

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        pairs = []
        for over in self.over:
            for number in filling.numbers(self.over_shots, self.of, over, given):
                this = over if number is None else over.model_copy(update={"shots": number})
                pairs.append(filling.two(self.of, self.to, this, given))
        return tuple(key for pair in pairs for key in pair), partial(largest_ratio, pairs=pairs)


class OptimumClaim(_AboutRun):
    """The pretraining steps after which the error is smallest."""

    measure: Literal["optimum"]
    models: Annotated[tuple[Name, ...], Field(min_length=2), AfterValidator(each_once)]

    @property
    def is_about_steps(self) -> bool:
        """It is."""
        return True

    def plan(self, filling: Filling, given: Where) -> Plan:
        """Return the runs and the measure."""
        keys = _of_models(filling, self.models, self.of, given)

        def estimate(table: Table) -> Estimate:
            steps = dict(zip(keys, _steps(table, keys), strict=True))
            return bootstrapped(table, keys, lambda errors: steps[min(keys, key=lambda key: errors[key])])

        return keys, estimate


Claim = Annotated[
    RatioClaim
    | GainClaim
    | ExamplesClaim
    | SlopeClaim
    | GainSlopeClaim
    | SmallestStepClaim
    | LargestRatioClaim
    | OptimumClaim,
    Field(discriminator="measure"),
]

MEASURES: Mapping[str, str] = {
    "ratio": "ratio of two errors",
    "gain": "examples needed for the same error, in multiples",
    "examples": "examples needed for an error",
    "slope": "exponent of the power law of the error",
    "gain-slope": "exponent of the power law of the gain in examples",
    "smallest-step": "smallest ratio of an error to the one before it",
    "largest-ratio": "largest of several ratios of errors",
    "optimum": "pretraining steps with the smallest error",
}


@dataclass(frozen=True)
class Question:
    """A claim for one combination of what it is to be decided for.

    Attributes:
        claim_name, claim: which claim.
        about: the combination, in words; "" where there is only one.
        needs: the runs that it looks at.
        estimate: takes the measure of a table that has them.
    """

    claim_name: str
    claim: BaseClaim
    about: str
    needs: tuple[RunKey, ...]
    estimate: Estimator

    @property
    def name(self) -> str:
        """The claim's name with what it is about."""
        return f"{self.claim_name} ({self.about})" if self.about else self.claim_name

    @property
    def measure(self) -> str:
        """The name of its measure."""
        return str(self.claim.model_dump()["measure"])


def questions_of(
    name: str, claim: BaseClaim, track: str, runs: Collection[RunKey], refuse: Refuse
) -> Iterator[Question]:
    """Yield a claim's questions.

    Args:
        name: of the claim.
        claim: what is claimed.
        track: of runs that don't say theirs.
        runs: of the study.
        refuse: makes the error for a claim that cannot be.

    Raises:
        UsageError: for a claim whose runs are not said, or which are not the study's.
    """
    filling = Filling(track, runs, refuse)
    for each in claim.each or (Where(),):
        for number in filling.numbers(claim.shots, claim.subject, each):
            given = each if number is None else each.model_copy(update={"shots": number})
            needs, estimate = claim.plan(filling, given)
            question = Question(name, claim, _about(claim, given), needs, estimate)
            for key in needs:
                if key not in runs:
                    raise refuse(f"claim {question.name} refers to {key}, which the study does not run")
            for said, value in given.model_dump(exclude_none=True).items():
                if all(getattr(key, said) != value for key in needs):
                    raise refuse(f"{said} {value} of its each or shots is that of no run: of, to or curve say another")
            yield question


def _of_models(filling: Filling, models: Sequence[str], *wheres: Where) -> tuple[RunKey, ...]:
    return tuple(filling.key(Where(model=model), *wheres) for model in models)


def _sizes(table: Table, keys: Sequence[RunKey]) -> list[float]:
    return [_known(key, table[key].parameters, "parameters it has") for key in keys]


def _steps(table: Table, keys: Sequence[RunKey]) -> list[float]:
    return [_known(key, table[key].pretraining_steps, "steps it was pretrained for") for key in keys]


def _known(key: RunKey, number: int | None, what: str) -> float:
    if number is None:
        raise UntoldError(f"of {key.model} it is not known how many {what}")
    return float(number)


def _different(x: list[float], what: str) -> list[float]:
    """Return what an exponent is fitted against, unless it is one number alone."""
    if len(set(x)) == 1:
        raise UntoldError(f"its models all have {x[0]:,.0f} {what}, against which no exponent can be fitted")
    return x


def _about(claim: BaseClaim, given: Where) -> str:
    """Return what a question is about, as far as it is one of several."""
    if not claim.each and not claim.shots:
        return ""
    said = [str(value) for name, value in given.model_dump().items() if value is not None and name != "shots"]
    if given.shots is not None:
        said.append("zero-shot" if given.shots == 0 else f"{given.shots} shots")
    return ", ".join(said)
