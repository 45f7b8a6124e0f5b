"""What a submission adds to a leaderboard: which of the given results become rows, under whose name, and which don't.

A model of this package's own is the organisation's that made it; every other one is called `organisation/name` on the
leaderboard, so that nobody's model can be taken for another's. Nothing is written here: `store` and `on_hub` do that.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pdebench_fm.contracts import first_problem
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.official import is_official
from pdebench_fm.naming import HOME_ORGANISATION, check_folder_names, outline
from pdebench_fm.protocol.divisions import DIVISIONS, SIGNS_OF_METHODS, has_a_methods_signs, looks_like
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, TRACKS
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.merging import conflicts
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.result import ModelRecord, Result, find_result_files

MOST_ROWS = 1000
"""Rows of one submission: a model has at most 24 for each way of adapting it."""

_UNNAMED = "unsaved"

State = Literal["new", "extended", "already there"]


@dataclass(frozen=True)
class Submitter:
    """Who submits, and what he states of his model.

    Attributes:
        organisation: who sends models that are not named `organisation/name`; None where that has to be said.
        name: what the model is called on the leaderboard, `name` or `organisation/name`; None for as it is.
        code_url: where its code is.
        weights_at: where its weights are: `organisation/name@commit` on the Hub.
    """

    organisation: str | None = None
    name: str | None = None
    code_url: str | None = None
    weights_at: str | None = None


@dataclass(frozen=True)
class SubmittedRow:
    """A row as a submission leaves it.

    Attributes:
        place: of its file, relative to the leaderboard's root.
        evaluation: its content, together with what is there already.
        state: whether there is anything to write.
    """

    place: Path
    evaluation: Evaluation
    state: State


@dataclass(frozen=True)
class Submission:
    """What a submission comes to.

    Attributes:
        rows: in the order given.
        notes: a line for each file that cannot be ranked and is left out, and for what is not stated.
    """

    rows: tuple[SubmittedRow, ...]
    notes: tuple[str, ...]

    @property
    def changes(self) -> tuple[SubmittedRow, ...]:
        """The rows that have to be written."""
        return tuple(row for row in self.rows if row.state != "already there")


Present = Callable[[Path], Evaluation | None]
"""What a leaderboard has at a place, relative to its root; None for nothing."""


def plan_submission(
    paths: Iterable[Path],
    submitter: Submitter,
    present: Present,
    names: Iterable[tuple[str, ...]] = (),
    *,
    replaces: bool = False,
) -> Submission:
    """Check results and return what they come to on a leaderboard; nothing is written.

    Args:
        paths: result files, or folders of which every `*.json` is one.
        submitter: who submits.
        present: what the leaderboard has.
        names: the folders of organisations, and of models below them, that it has.
        replaces: let cells take the place of those of a row that have other scores, instead of refusing.

    Raises:
        UsageError: nothing that can be ranked, no per-sample scores, an unusable name or one that can be taken for
            another one, a model without a name or an organisation, one that passes itself off
            as this package's, too many rows, or other scores for a cell that a row has already.
        PdefmError: a file that is not a valid result.
    """
    files = find_result_files(paths)
    if not files:
        raise UsageError("nothing to submit: name result files or folders of them")
    if len(files) > MOST_ROWS:
        raise UsageError(f"{len(files):,} results are too many for one submission: send at most {MOST_ROWS:,} at once")
    spelled = Spellings(names)
    rows: dict[Path, Evaluation] = {}
    notes: list[str] = []
    left_out: list[UsageError] = []
    for source in files:
        evaluation = read_evaluation(source)
        try:
            check_rankable(evaluation.result)
            if evaluation.result.protocol_version == PROTOCOL_VERSION:
                check_recipe(evaluation.result)
        except UsageError as error:
            left_out.append(UsageError(f"{source}: {error}"))
            continue
        try:
            own = named(evaluation, submitter)
            place = row_path(own.result)
            spelled.check(place.parts[1:3])
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error
        other = rows.setdefault(place, own)
        if conflicts(own.result, other.result):
            raise UsageError(
                f"{source} and another file submitted with it are both {described(own.result)}, with other scores"
            )
        rows[place] = other.merged_with(own)
    if not rows:
        more = f" (so are the other {len(left_out) - 1} files)" if len(left_out) > 1 else ""
        raise UsageError(f"nothing that can be ranked: {left_out[0]}{more}")
    _check_one_model(rows.values(), submitter)
    notes += [f"left out: {error}" for error in left_out]
    notes += _what_is_missing(rows.values())
    planned = [_planned(place, new, present(place), replaces=replaces) for place, new in rows.items()]
    return Submission(tuple(planned), tuple(notes))


def named(evaluation: Evaluation, submitter: Submitter) -> Evaluation:
    """Return an evaluation under the name that its model has on a leaderboard, with what its submitter states of it.

    Raises:
        UsageError: if it has no name or no organisation, if it is not this package's and takes itself for that, or what
            is stated of it cannot be.
    """
    model = evaluation.result.model
    official = is_official(model)
    wanted = submitter.name or model.model_id
    if wanted == _UNNAMED:
        raise UsageError("its model was never saved and has no name: give it one, --name NAME")
    if official and submitter.name is None:
        if submitter.weights_at is not None or submitter.code_url is not None:
            raise UsageError(f"{model.model_id} comes with the package: code and weights of it are known")
        return evaluation
    said, slash, name = wanted.rpartition("/")
    owner = said if slash else submitter.organisation
    if owner is None:
        raise UsageError(
            f"{wanted} is not a model of this package: say whose it is, --organisation NAME (your name on the Hub, or "
            "your organisation's)"
        )
    check_folder_names(owner, name)
    if owner.lower() == HOME_ORGANISATION and not _is_published(model):
        raise UsageError(
            f"{owner} is the organisation of this package's own models, and {name} is none of them by its digest: "
            "give your own, --organisation NAME"
        )
    weights_at = submitter.weights_at or model.weights_at or _weights_of(model)
    changed = model.model_dump() | {
        "model_id": f"{owner}/{name}",
        "code_url": submitter.code_url or model.code_url,
        "weights_at": weights_at,
    }
    return with_model(evaluation, changed)


def with_model(evaluation: Evaluation, model: dict[str, object]) -> Evaluation:
    """Return an evaluation with another record of its model; a `UsageError` says what of it cannot be."""
    try:
        record = ModelRecord.model_validate(model)
    except ValidationError as error:
        raise UsageError(first_problem(error)) from error
    return replace(evaluation, result=Result(**(dict(evaluation.result) | {"model": record})))


def check_rankable(result: Result) -> None:
    """Raise a `UsageError` if a leaderboard cannot rank a result.

    That is, unless it has a score, is of one of the benchmark's tasks, adapted by what looks at the support set alone,
    and of a model that can be told from others: by its weights, its tensors or all that it consists of; and in words of
    which none can be taken for another one. A method of this package's name has to be the package's.
    """
    from pdebench_fm.data.catalogue import find_ranked_task

    find_ranked_task(result.task)
    if result.track not in TRACKS:
        raise UsageError(f"its track is {result.track}: the leaderboard ranks {' and '.join(TRACKS)} alone")
    if result.division == "unranked":
        raise UsageError(
            f"its models were adapted by the recipe {result.method!r}, which looks at validation rows: the leaderboard "
            "ranks what looks at the support set alone"
        )
    if not result.cells:
        raise UsageError(f"it has no score: each of its {len(result.failures)} runs failed")
    model = result.model
    digests = (model.weights_sha256, model.tensors_sha256, model.fingerprint)
    if model.parameters is not None and not any(digests):
        raise UsageError("its model has parameters and no digest of them, so nobody can tell which model it is")
    _check_words(result)


def check_recipe(result: Result) -> None:
    """Raise a `UsageError` if a result of the closed division is by another recipe than this package's protocol has."""
    recipe = f"v{PROTOCOL_VERSION}"
    if result.division == "closed" and result.method != recipe:
        raise UsageError(f"the recipe {result.method!r} is not known here: this package has {recipe!r}")


def _check_words(result: Result) -> None:
    """Raise a `UsageError` for a word by which tables and filters are chosen, if it can be taken for another one.

    Letters of other alphabets look like ASCII ones, and some characters are not seen at all; names of organisations and
    models have a check of their own (`naming.check_folder_names`).
    """
    model = result.model
    words = {"method": result.method, "family": model.family, "size": model.size, "revision": model.revision}
    for what, word in words.items():
        if word is not None and not (word.isascii() and word.isprintable()):
            raise UsageError(
                f"its {what} {word!a:.80} should have ASCII letters, digits and signs alone on a leaderboard"
            )
    if result.division != "open":
        return
    # PyTorch is loaded here, for those who need it
    from pdebench_fm.protocol.methods import OWN_METHODS, known_method
    from pdebench_fm.protocol.recipes import RECIPES

    if (own := looks_like(result.method, (*OWN_METHODS, *RECIPES, *DIVISIONS))) is not None:
        raise UsageError(f"its method {result.method!r} can be taken for this package's {own!r}: give it another name")
    if not has_a_methods_signs(result.method):
        raise UsageError(f"its method {result.method!r:.80} should have {SIGNS_OF_METHODS}")
    if result.method in OWN_METHODS and (own_method := known_method(result.method)) is not None:
        due, stated = own_method.fingerprint or "", result.method_fingerprint or ""
        if stated != due:
            said = f"the fingerprint {stated:.12}…" if stated else "no fingerprint"
            raise UsageError(
                f"its method {result.method!r} is this package's, whose fingerprint is {due:.12}…: it has {said}"
            )


class Spellings:
    """The names of organisations and models, of which none may be taken for another one.

    Some are one folder where upper and lower case make no difference; others look alike, as l and 1 do.
    """

    def __init__(self, names: Iterable[tuple[str, ...]] = ()) -> None:
        """Begin with names that are there, and this project's own."""
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for name in ((HOME_ORGANISATION,), *names):
            self._note(name)

    def check(self, name: tuple[str, ...]) -> None:
        """Note a name, (organisation, model); raise a `UsageError` if it can be taken for another one."""
        for given, known in zip((name[:1], name), self._note(name), strict=True):
            if given == known:
                continue
            both = f"{'/'.join(given)} and {'/'.join(known)}"
            if [part.lower() for part in given] == [part.lower() for part in known]:
                raise UsageError(
                    f"{both} differ in upper and lower case alone: many file systems hold one of them only"
                )
            raise UsageError(f"{both} look alike, and one could be taken for the other: choose another name")

    def _note(self, name: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return how the organisation and the model were spelled first."""
        return [self._known.setdefault(tuple(map(outline, place)), place) for place in (name[:1], name) if place]


def described(result: Result) -> str:
    """Return which row a result is, in words."""
    model = result.model.model_id + (f" at {result.model.revision}" if result.model.revision else "")
    return f"{model} on {result.task} ({result.track})"


def _is_published(model: ModelRecord) -> bool:
    """Tell whether a model was loaded from this project's own namespace on the Hub."""
    return model.model_id.startswith(f"{HOME_ORGANISATION}/") and _weights_of(model) is not None


def _weights_of(model: ModelRecord) -> str | None:
    """Return where the weights of a model are that was loaded from the Hub."""
    is_commit = model.revision is not None and len(model.revision) == 40
    if "/" in model.model_id and is_commit and model.weights_sha256 is not None:
        return f"{model.model_id}@{model.revision}"
    return None


def _check_one_model(evaluations: Iterable[Evaluation], submitter: Submitter) -> None:
    """Refuse to say of several models what can be true of one alone."""
    stated = {"--name": submitter.name, "--code": submitter.code_url, "--weights": submitter.weights_at}
    given = [option for option, value in stated.items() if value is not None]
    models = {
        (model.model_id, model.weights_sha256 or model.tensors_sha256 or model.fingerprint)
        for model in (evaluation.result.model for evaluation in evaluations)
    }
    if given and len(models) > 1:
        raise UsageError(f"{given[0]} is of one model, and the results are of {len(models)}: submit them one by one")


def _what_is_missing(evaluations: Iterable[Evaluation]) -> Sequence[str]:
    notes: dict[str, None] = {}
    for model in (evaluation.result.model for evaluation in evaluations):
        if "/" not in model.model_id:
            continue
        stated = {"its code (--code URL)": model.code_url, "its weights (--weights ORG/REPO@COMMIT)": model.weights_at}
        if missing := [what for what, where in stated.items() if where is None]:
            notes[f"{model.model_id} does not say where to find {' and '.join(missing)}: its row shows that"] = None
    return list(notes)


def _planned(place: Path, new: Evaluation, present: Evaluation | None, *, replaces: bool) -> SubmittedRow:
    """Return a row as it is to be; refuse if that would lose a score."""
    if present is None:
        return SubmittedRow(place, new, "new")
    others = conflicts(new.result, present.result)
    if others and not replaces:
        cell = others[0]
        raise UsageError(
            f"{described(new.result)} is on the leaderboard already with other scores ({cell.start}, {cell.shots} "
            f"shots, seed {cell.seed}): {place}; nothing was written (replacing them has to be asked for)"
        )
    union = new.merged_with(present) if others else present.merged_with(new)
    union = _with_links(union, new.result.model, present.result.model, replaces=replaces)
    state: State = "already there" if union.result == present.result else "extended"
    return SubmittedRow(place, union, state)


def _with_links(union: Evaluation, new: ModelRecord, present: ModelRecord, *, replaces: bool) -> Evaluation:
    """Return a row with what is stated of its code and weights now; what was stated stays, unless it is replaced."""
    links = {}
    for field in ("code_url", "weights_at"):
        said, says = getattr(present, field), getattr(new, field)
        if said is not None and says not in (None, said) and not replaces:
            raise UsageError(
                f"{new.model_id} is on the leaderboard already with {field} {said}, not {says}; nothing was written "
                "(replacing it has to be asked for)"
            )
        links[field] = said if says is None else says
    return with_model(union, union.result.model.model_dump() | links)


def present_in(root: Path, *, replaces: bool = False) -> Present:
    """Return what a leaderboard in a folder has; a damaged row is an error, unless it is to be replaced.

    A folder that is a link is an error, as it is to readers: what is written there would lie elsewhere.
    """

    def present(place: Path) -> Evaluation | None:
        for folder in place.parents[-2::-1]:  # but the last, which is the root
            if (root / folder).is_symlink():
                raise PdefmError(f"{root / folder} is a link to a folder, which is not followed")
        if not (root / place).exists():
            return None
        try:
            return read_evaluation(root / place)
        except PdefmError:
            if replaces:
                return None
            raise

    return present
