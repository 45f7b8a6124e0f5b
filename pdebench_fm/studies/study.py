"""What a study is: models, the evaluations that they go through, one picture, and the claims that it decides."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError

from pdebench_fm.contracts import Contract
from pdebench_fm.data.catalogue import find_task
from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.extensions.plugins import load_plugins
from pdebench_fm.protocol.methods import method_of
from pdebench_fm.protocol.recipes import PROTOCOL_RECIPE, RECIPES
from pdebench_fm.protocol.tracks import SEEDS, Start, find_track
from pdebench_fm.studies.claims import Claim, Question, questions_of
from pdebench_fm.studies.documents import Document, Place, read_document
from pdebench_fm.studies.picture import Picture, lacking
from pdebench_fm.studies.runs import RunKey
from pdebench_fm.studies.values import Name, Number, Seeds, Share, Shots, Words, each_once
from pdebench_fm.training.config import PretrainConfig

Scale = Literal["smoke", "cpu", "gpu", "paper"]
SCALES: Final[tuple[Scale, ...]] = get_args(Scale)


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
    groups = {"all": list(shipped), "beyond": [name for name in shipped if name.startswith("beyond-")]}
    if word in groups:
        return [shipped[name] for name in groups[word]]
    if word in shipped:
        return [shipped[word]]
    if word.endswith((".yaml", ".yml")) or "/" in word:
        return [Path(word)]
    raise UsageError(f"{unknown_name('study', word, [*shipped, *groups])} (a file of yours ends in .yaml)")


def load_study(path: Path, scale: str) -> Study:
    """Read a study at one scale and check all that can be checked before anything is computed.

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
    document = base.changed_by(("scales", scale)) if scale in scales else base
    values = {key: value for key, value in document.values.items() if key != "scales"}
    try:
        file = StudyFile.model_validate(values)
    except ValidationError as error:
        raise _explained(document, error) from error
    study = Study(file, SCALES[SCALES.index(scale)], document, ())
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


def _explained(document: Document, error: ValidationError) -> UsageError:
    """Return pydantic's first error with its line, and with the keys that would be right for one that isn't."""
    first = error.errors(include_url=False)[0]
    place: Place = first["loc"]
    where = ".".join(str(step) for step in place if not isinstance(step, int)) or "the file"
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return document.error(place, f"unknown key {place[-1]!r} in {'.'.join(map(str, place[:-1])) or 'the file'}")
    if kind == "missing":
        return document.error(place[:-1], f"{place[-1]!r} is missing in {'.'.join(map(str, place[:-1])) or 'the file'}")
    return document.error(place, f"{where}: {message[0].lower()}{message[1:]}")


def _questions(document: Document, file: StudyFile) -> Iterator[Question]:
    runs = set(runs_of(file, file.evaluations.values()))
    for name, claim in file.claims.items():
        refuse = partial(document.error, ("claims", name))
        yield from questions_of(name, claim, file.track, runs, refuse)


def _check(study: Study) -> None:
    """Check that everything is there that a study names: plug-ins, models, tasks, methods, cells of claims."""
    file, document = study.file, study.document
    for i, plugin in enumerate(file.plugins):
        path = study.folder / plugin
        if not path.is_file():
            raise document.error(("plugins", i), f"no plug-in at {path}")
    load_plugins([str((study.folder / plugin).absolute()) for plugin in file.plugins])
    for name, source in file.models.items():
        if source.open is None and source.pretrain is None:
            raise document.error(("models", name), f"model {name} should say what to open, or how to pretrain it")
    for name, block in file.evaluations.items():
        _check_block(study, name, block)
    _check_fields(document, file)
    if file.picture.kind != "fields":
        _check_picture(document, file)


def _check_fields(document: Document, file: StudyFile) -> None:
    kind = file.picture.kind
    if kind == "fields" and not file.fields:
        raise document.error(("picture",), "a picture of fields needs fields")
    if kind != "fields" and file.fields:
        raise document.error(("fields",), f"fields are for a picture of fields, and this one is of {kind}")
    for i, shown in enumerate(file.fields):
        _check_name(document, ("fields", i, "task"), shown.task)
        if not shown.sparsities and not shown.parameters:
            raise document.error(("fields", i), "it should say which sparsities or parameters are shown")


def _check_picture(document: Document, file: StudyFile) -> None:
    if not file.evaluations:
        raise document.error((), f"a picture of {file.picture.kind} needs evaluations")
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
        _check_name(document, (*place, "tasks", i), task)
    try:
        is_recipe = block.method in RECIPES
        method_of(block.method if is_recipe else None, None if is_recipe else block.method)
    except PdefmError as error:
        raise document.error((*place, "method"), str(error)) from error


def _check_name(document: Document, place: Place, task: str) -> None:
    try:
        find_task(task)
    except PdefmError as error:
        raise document.error(place, str(error)) from error
