"""What a study is: models, the evaluations that they go through, one picture, and the claims that it decides."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError

from pdebench_fm.contracts import Contract
from pdebench_fm.data.catalogue import find_task
from pdebench_fm.errors import PdefmError, UsageError, UserCodeError, unknown_name
from pdebench_fm.extensions.plugins import load_plugins
from pdebench_fm.folders import expanded
from pdebench_fm.naming import safe_name
from pdebench_fm.protocol.methods import method_of
from pdebench_fm.protocol.recipes import PROTOCOL_RECIPE, RECIPES
from pdebench_fm.protocol.task import load_task
from pdebench_fm.protocol.tracks import SEEDS, Start, check_shots, find_track
from pdebench_fm.studies.claims import MEASURES, Claim, Question, questions_of
from pdebench_fm.studies.documents import Document, Place, read_document
from pdebench_fm.studies.picture import Picture, lacking
from pdebench_fm.studies.runs import RunKey
from pdebench_fm.studies.values import Name, Number, Seeds, Share, Shots, Words, each_once
from pdebench_fm.training.config import PretrainConfig, check_config

Scale = Literal["smoke", "cpu", "gpu", "paper"]
SCALES: Final[tuple[Scale, ...]] = get_args(Scale)
GROUPS: Final = ("all", "beyond")
"""Words for several of the studies that come with the package."""


def _known_track(name: str) -> str:
    try:
        return find_track(name).name
    except UsageError as error:
        raise ValueError(str(error)) from error


TrackName = Annotated[str, AfterValidator(_known_track)]


class ModelSource(Contract):
    """Where a model of a study comes from; with both, what is there is taken, and else it is trained.

    Attributes:
        open: as `pdefm eval --model` takes it: a zoo name, a folder, a Hub id, a file of yours.
        pretrain: how it is pretrained.
        label: what figures call it, its name in the study by default.
    """

    open: Words | None = None
    pretrain: PretrainConfig | None = None
    label: Words | None = None


class EvaluationBlock(Contract):
    """Models scored on tasks, each on each.

    Attributes:
        models: names of the study's.
        tasks: as `<dataset>/<regime>`.
        shots: sizes of the support sets.
        scratch: whether the architectures are trained from random weights beside them.
        method: "v1", "paper", or a method of the open division.
        track, seeds: those of the study by default.
    """

    models: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100), AfterValidator(each_once)]
    tasks: Annotated[tuple[Words, ...], Field(min_length=1, max_length=100), AfterValidator(each_once)]
    shots: Annotated[tuple[Shots, ...], Field(min_length=1, max_length=20), AfterValidator(each_once)]
    scratch: bool = False
    method: Words = PROTOCOL_RECIPE
    track: TrackName | None = None
    seeds: Seeds | None = None


class Fields(Contract):
    """Rows whose fields are drawn: of each task, the first ones with a wanted sparsity or near a wanted parameter.

    Attributes:
        task: a task; its train split is shown.
        sparsities: a source of each.
        parameters: a solution near each value of e, Ψ or ω.
    """

    task: Words
    sparsities: tuple[Share, ...] = ()
    parameters: tuple[Number, ...] = ()


class StudyFile(Contract):
    """The content of a study's file at one scale.

    Attributes:
        study: its name.
        title, question: what it is about.
        source: where the question is from, such as "figure 3 of the paper".
        plugins: files that register systems, relative to this one.
        track, seeds: of evaluations that don't say their own.
        models: by name.
        evaluations: by name.
        fields: what a picture of fields shows.
        resolution: points a side of the fields that are drawn.
        picture: the figure.
        claims: by name.
    """

    study: Name
    title: Words
    question: Words
    source: Words
    plugins: tuple[Words, ...] = ()
    track: TrackName = "lite"
    seeds: Seeds = SEEDS
    models: dict[Name, ModelSource] = Field(default_factory=dict)
    evaluations: dict[Name, EvaluationBlock] = Field(default_factory=dict)
    fields: tuple[Fields, ...] = ()
    resolution: Literal[16, 32, 64, 128] = 64
    picture: Picture
    claims: dict[Name, Claim] = Field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A study at one scale, checked.

    Attributes:
        file: what it says.
        scale: which scale.
        document: the same with lines, for errors.
        questions: its claims, one for each combination that they are to be decided for.
    """

    file: StudyFile
    scale: Scale
    document: Document
    questions: tuple[Question, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.file.study

    @property
    def folder(self) -> Path:
        """Where its file lies, from which plug-ins are found."""
        return self.document.path.parent

    def track_of(self, block: EvaluationBlock) -> str:
        """Return the track of an evaluation."""
        return block.track or self.file.track

    def seeds_of(self, block: EvaluationBlock) -> int:
        """Return the number of seeds of an evaluation."""
        return block.seeds or self.file.seeds

    @property
    def is_tiny(self) -> bool:
        """Whether it only shows that it runs, by what its file says for the scale `smoke`."""
        return self.scale == "smoke" and self.scale in self.document.values.get("scales", {})

    def label_of(self, model: str) -> str:
        """Return what figures call a model."""
        return self.file.models[model].label or model

    def as_run(self) -> dict[str, Any]:
        """Return what is run, as plain values: the file's with its scale's changes, less the other scales."""
        values = {key: value for key, value in self.document.values.items() if key != "scales"}
        return {"scale": self.scale, **values}


def shipped_studies() -> dict[str, Path]:
    """Return the files of the studies that come with the package, by name, in the order of the paper."""
    folder = Path(str(files("pdebench_fm"))) / "studies" / "files"
    names = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    first = [name for name in ("fig2", "fig3", "fig4", "fig5", "mixed", "anchor") if name in names]
    return {name: names[name] for name in (*first, *(name for name in names if name not in first))}


def study_paths(word: str) -> list[Path]:
    """Return the files that a word means: a shipped study, "beyond" or "all" of them, or a file of yours.

    Raises:
        UsageError: if it is none of these.
    """
    shipped = shipped_studies()
    if word in GROUPS:
        return [path for name, path in shipped.items() if word == "all" or name.startswith("beyond-")]
    if word in shipped:
        return [shipped[word]]
    if word.lower().endswith((".yaml", ".yml")) or "/" in word:
        return [expanded(word)]
    raise UsageError(f"{unknown_name('study', word, [*shipped, *GROUPS])} (a file of yours ends in .yaml)")


def load_study(path: Path, scale: str) -> Study:
    """Read a study at one scale and check all that can be checked before anything is computed, at every scale.

    Raises:
        UsageError: for an unknown scale, or a file that says something that cannot be: the message has file and line.
    """
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    base = read_document(path)
    scales = base.values.get("scales", {})
    if not isinstance(scales, dict):
        raise base.error(("scales",), "scales should be a mapping of scales to what they change")
    for name, changes in scales.items():
        if name not in SCALES:
            raise base.error(("scales", name), str(unknown_name("scale", name, SCALES)))
        if not isinstance(changes, dict):
            raise base.error(("scales", name), "a scale should be a mapping of keys to what it changes")
        if "scales" in changes:
            raise base.error(("scales", name, "scales"), "a scale has no scales of its own")
    study = _at_scale(base, SCALES[SCALES.index(scale)])
    for other in SCALES:
        if other in scales and other != scale:  # told now, not when a smaller scale has shown that all runs
            _at_scale(base, other)
    return study


def _at_scale(base: Document, scale: Scale) -> Study:
    document = base.changed_by(("scales", scale)) if scale in base.values.get("scales", {}) else base
    values = {key: value for key, value in document.values.items() if key != "scales"}
    try:
        file = StudyFile.model_validate(values)
    except ValidationError as error:
        raise _explained(document, error) from error
    study = Study(file, scale, document, ())
    _check(study)
    return replace(study, questions=tuple(_questions(document, file)))


def runs_of(file: StudyFile, blocks: Iterable[EvaluationBlock]) -> Iterator[RunKey]:
    """Yield the runs of evaluations of a study, each once."""
    yield from dict.fromkeys(key for block in blocks for key in _runs(file, block))


def _runs(file: StudyFile, block: EvaluationBlock) -> Iterator[RunKey]:
    starts: tuple[Start, ...] = ("pretrained", "scratch") if block.scratch else ("pretrained",)
    for model in block.models:
        for task in block.tasks:
            for shots in sorted(set(block.shots)):
                for start in starts if shots else starts[:1]:
                    yield RunKey(model, task, start, shots, block.method, block.track or file.track)


def difference_in_runs(one: StudyFile, other: StudyFile) -> str:
    """Return what two studies compute differently, in words such as "another model mine"; "" if nothing.

    Models are compared by where they come from: a folder, or a file of yours, may hold something else by now.
    """
    for name in dict.fromkeys((*one.models, *other.models)):
        sources = [file.models.get(name, ModelSource()).model_copy(update={"label": None}) for file in (one, other)]
        if sources[0] != sources[1]:
            return f"another model {name}"
    if _seeds_by_run(one) != _seeds_by_run(other):
        return "other runs, or seeds,"
    if one.plugins != other.plugins:
        return "other plug-ins"
    return "" if (one.fields, one.resolution) == (other.fields, other.resolution) else "other fields"


def _seeds_by_run(file: StudyFile) -> dict[RunKey, int]:
    blocks = file.evaluations.values()
    return {key: block.seeds or file.seeds for block in blocks for key in _runs(file, block)}


def _explained(document: Document, error: ValidationError) -> UsageError:
    """Return pydantic's first error with its line, and with the keys that would be right for one that isn't."""
    errors = error.errors(include_url=False)
    first, *others = sorted(errors, key=lambda each: each["type"] != "extra_forbidden")  # before what it is missed as
    place: Place = first["loc"]
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    if kind in ("extra_forbidden", "missing"):
        what = f"unknown key {place[-1]!r}" if kind == "extra_forbidden" else f"{place[-1]!r} is missing"
        missing = [each["loc"][-1] for each in others if each["type"] == "missing" and each["loc"][:-1] == place[:-1]]
        also = f": {missing[0]!r} is missing" if missing and kind == "extra_forbidden" else ""
        return document.error(place, f"{what} in {_in_words(document, place[:-1])}{also}")
    if kind == "union_tag_not_found":
        message = f"it does not say its measure: {', '.join(MEASURES)}"
    elif kind == "union_tag_invalid":
        message = str(unknown_name("measure", str(first["ctx"]["tag"]), MEASURES))
    message = _KINDS.get(kind, message)
    if kind in ("int_type", "float_type") and (number := _number_of(first["input"])):
        message += f", not {first['input']!r}, which YAML takes for words: write {number}"
    for other in others:
        if other["type"] == "literal_error" and document.known(other["loc"]) == document.known(place):
            message += f", or {other['ctx']['expected']}"  # the other thing that it can be
    return document.error(place, f"{_in_words(document, place)}: {message[0].lower()}{message[1:]}")


_KINDS: Final = {
    "tuple_type": "it should be a list",
    "dict_type": "it should be a mapping of keys to values",
    "model_type": "it should be a mapping of keys to values",
    "model_attributes_type": "it should be a mapping of keys to values",
}
"""What is wrong where pydantic speaks of kinds of Python's."""


def _in_words(document: Document, place: Place) -> str:
    return ".".join(str(step) for step in document.known(place) if not isinstance(step, int)) or "the file"


def _number_of(value: object) -> str:
    """Return the number that a word such as 1e3 is meant as, as YAML takes it for one; "" for none."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    text = str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def _questions(document: Document, file: StudyFile) -> Iterator[Question]:
    runs = set(runs_of(file, file.evaluations.values()))
    for name, claim in file.claims.items():
        refuse = partial(document.error, ("claims", name))
        yield from questions_of(name, claim, file.track, runs, refuse)


def _check(study: Study) -> None:
    """Check that everything is there that a study names: plug-ins, models, tasks, methods, cells of claims."""
    file, document = study.file, study.document
    _check_study_name(document, file.study)
    for i, plugin in enumerate(file.plugins):
        path = study.folder / plugin
        if not path.is_file():
            raise document.error(("plugins", i), f"no plug-in at {path}")
        _load_plugin(document, i, path)
    for name, source in file.models.items():
        if source.open is None and source.pretrain is None:
            raise document.error(("models", name), f"model {name} should say what to open, or how to pretrain it")
        if source.pretrain is not None:
            with document.telling(("models", name, "pretrain")):
                check_config(source.pretrain)
    for name, block in file.evaluations.items():
        _check_block(study, name, block)
    _check_seeds(study)
    _check_fields(document, file)
    if file.picture.kind != "fields":
        _check_picture(document, file)


def _check_study_name(document: Document, name: str) -> None:
    shipped = shipped_studies()
    if name in shipped and document.path.resolve() != shipped[name].resolve():
        raise document.error(("study",), f"{name} is a study that comes with the package: give yours another name")
    if name in GROUPS or safe_name(name) != name:
        raise document.error(("study",), f"a study cannot be called {name}, which means something else: rename it")


def _load_plugin(document: Document, i: int, path: Path) -> None:
    try:
        load_plugins([str(path.absolute())])
    except UserCodeError as error:
        told = document.error(("plugins", i), str(error))
        raise UserCodeError(str(told), error.details) from error
    except PdefmError as error:
        raise document.error(("plugins", i), str(error)) from error


def _check_seeds(study: Study) -> None:
    """Check that no run is asked for twice with different numbers of seeds, of which one would be left out."""
    seeds: dict[RunKey, int] = {}
    for name, block in study.file.evaluations.items():
        for key in runs_of(study.file, [block]):
            if key.shots and seeds.setdefault(key, study.seeds_of(block)) != study.seeds_of(block):
                raise study.document.error(
                    ("evaluations", name), f"{key} is in another evaluation too, with {seeds[key]} seeds: name it once"
                )


def _check_fields(document: Document, file: StudyFile) -> None:
    kind = file.picture.kind
    if kind == "fields" and not file.fields:
        raise document.error(("picture",), "a picture of fields needs fields")
    if kind != "fields" and file.fields:
        raise document.error(("fields",), f"fields are for a picture of fields, and this one is of {kind}")
    for i, shown in enumerate(file.fields):
        with document.telling(("fields", i, "task")):
            find_task(shown.task)
        if not shown.sparsities and not shown.parameters:
            raise document.error(("fields", i), "it should say which sparsities or parameters are shown")


def _check_picture(document: Document, file: StudyFile) -> None:
    if not file.evaluations:
        raise document.error((), f"a picture of {file.picture.kind} needs evaluations")
    if file.picture.histogram and file.picture.kind == "regimes":
        raise document.error(
            ("picture", "histogram"),
            "a histogram is drawn above the panels of single tasks, which a picture of regimes does not have",
        )
    if found := lacking(file.picture, set(runs_of(file, file.evaluations.values())), file.track):
        place, words = found
        raise document.error(("picture", *place), words)


def _check_block(study: Study, name: str, block: EvaluationBlock) -> None:
    file, document = study.file, study.document
    place: Place = ("evaluations", name)
    for i, model in enumerate(block.models):
        if model not in file.models:
            raise document.error((*place, "models", i), str(unknown_name("model of this study", model, file.models)))
    sources = [file.models[model].model_copy(update={"label": None}) for model in block.models]
    for i, source in enumerate(sources):
        if source in sources[:i]:
            first, second = block.models[sources.index(source)], block.models[i]
            raise document.error((*place, "models", i), f"{first} and {second} are one model: name it once")
    for i, task in enumerate(block.tasks):
        with document.telling((*place, "tasks", i)):
            rows = load_task(task).train.size
        for j, shots in enumerate(block.shots):
            with document.telling((*place, "shots", j)):
                check_shots(shots, rows)
    with document.telling((*place, "method")):
        is_recipe = block.method in RECIPES
        method_of(block.method if is_recipe else None, None if is_recipe else block.method)
