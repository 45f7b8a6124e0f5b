"""Running a study: models first, then its cells, then tables, figure and verdicts, all of them or none."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from pdebench_fm.contracts import first_problem
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.evaluate import evaluate_suite, processes_of
from pdebench_fm.evaluation.progress import SuiteProgress
from pdebench_fm.extensions.plugins import load_plugins
from pdebench_fm.files import atomic_folder, file_lock, is_unused, sha256_of, write_atomically
from pdebench_fm.limits import RECORD_BYTES, read_limited
from pdebench_fm.models.devices import choose_device
from pdebench_fm.plots.static import save
from pdebench_fm.protocol.recipes import RECIPES
from pdebench_fm.studies.by_row import by_row_text, read_by_row
from pdebench_fm.studies.drawn import (
    fields_of,
    fields_text,
    histogram_of,
    histogram_text,
    read_fields,
    read_histogram,
)
from pdebench_fm.studies.figures import figure_of
from pdebench_fm.studies.models import OnTraining, check_models, found, pretraining_steps, trained
from pdebench_fm.studies.runs import LeftOut, RunKey, RunRow, read_runs, rows_of, runs_text
from pdebench_fm.studies.study import EvaluationBlock, Study, StudyFile, difference_in_runs, runs_of
from pdebench_fm.studies.table import Table, table_of
from pdebench_fm.studies.verdicts import Verdicts, verdicts_of, verdicts_table
from pdebench_fm.text import in_one_line

STUDY_NAME: Final = "study.yaml"
RUNS_NAME: Final = "data.csv"
ROWS_NAME: Final = "rows.csv"
FIELDS_NAME: Final = "fields.csv"
HISTOGRAM_NAME: Final = "histogram.csv"
FIGURE_NAMES: Final = ("figure.svg", "figure.png")
VERDICTS_NAME: Final = "verdicts.json"
TABLE_NAME: Final = "verdicts.md"
_NAMES: Final = frozenset(
    {STUDY_NAME, RUNS_NAME, ROWS_NAME, FIELDS_NAME, HISTOGRAM_NAME, *FIGURE_NAMES, VERDICTS_NAME, TABLE_NAME}
)


@dataclass(frozen=True)
class Places:
    """Where a study computes, and where it keeps what it makes.

    Attributes:
        cache: of finished cells.
        pretrained: folder of models that are there, and of those that studies train.
        device: of models; see `evaluate_suite`, as for `workers` and `scheduler`.
    """

    cache: CellCache | None
    pretrained: Path
    device: str = "auto"
    workers: int | None = None
    scheduler: str | None = None


@dataclass(frozen=True)
class Watching:
    """Who is told of what."""

    training: OnTraining = lambda _what, _step, _steps: None
    progress: Callable[[SuiteProgress], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None


def reproduce(study: Study, out: Path, places: Places, watching: Watching = Watching()) -> Verdicts:
    """Run a study and write what it comes to into `out/<study>`.

    Finished cells and pretrained models are kept, so that the same call goes on where it was stopped. The folder gets
    all of its files at once, at the end: until then it is as it was.

    Raises:
        UsageError: as `check_out` and `evaluate_suite` do.
        PdefmError: if something cannot be trained, computed or written.
    """
    check_out(study, out)  # before a lock makes folders, and as what follows before anything is trained
    processes_of(places.device, places.workers, places.scheduler)
    folder = _folder(study, out)
    with file_lock(folder, wait_seconds=0.0):
        check_models(study, places.pretrained)
        computed = _computed(study, places, watching)
        texts = {STUDY_NAME: study_text(study), RUNS_NAME: runs_text(computed.rows)}
        texts[ROWS_NAME] = by_row_text(computed.by_row)
        if study.file.fields:
            texts[FIELDS_NAME] = fields_text(fields_of(study))
        if study.file.picture.histogram:
            texts[HISTOGRAM_NAME] = histogram_text(histogram_of(study))
        with _replaced(folder) as new:
            for name, text in texts.items():
                write_atomically(new / name, text)
            table = read_table(new)
            verdicts = _judged(study, table, new, computed.left_out)
            _draw(study, table, new)
    return verdicts


def redraw(study: Study, out: Path) -> Verdicts:
    """Draw a study's figure and judge its claims anew from the tables in its folder; nothing is computed.

    The folder's copy of the study is brought up to date with them: words, labels, picture and claims may have changed.

    Raises:
        UsageError: if the study has not been run there.
        PdefmError: if its tables are damaged, or are of other runs than the study has now.
    """
    folder = _folder(study, out)
    if not (folder / STUDY_NAME).is_file():
        raise UsageError(f"{folder} holds no study to redraw: run it first, without --redraw")
    with file_lock(folder, wait_seconds=0.0):
        check_folder(study, folder)
        before = read_verdicts(folder)
        check_tables(before, folder)
        table = read_table(folder)
        if others := table.keys() - set(runs_of(study.file, study.file.evaluations.values())):
            raise PdefmError(f"{folder / RUNS_NAME} has {min(others)}, which the study does not run: run the study")
        if changed := difference_in_runs(_study_in(folder), study.file):
            raise PdefmError(f"{folder / STUDY_NAME} is of {changed} than the study has now: run it again")
        _draw(study, table, folder)
        verdicts = _judged(study, table, folder, [], before.left_out)
        write_atomically(folder / STUDY_NAME, study_text(study))
    return verdicts


def read_table(folder: Path) -> Table:
    """Read the runs in a study's folder, with their errors by test row.

    Raises:
        UsageError: if a file is missing.
        PdefmError: if one is damaged.
    """
    rows = read_runs(folder / RUNS_NAME)
    return table_of(rows, read_by_row(folder / ROWS_NAME, rows))


def check_tables(verdicts: Verdicts, folder: Path) -> None:
    """Raise a `PdefmError` unless verdicts were made from the tables that lie beside them."""
    for name, digest in ((RUNS_NAME, verdicts.runs_sha256), (ROWS_NAME, verdicts.rows_sha256)):
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            raise PdefmError(f"{folder / name} is not the table that {VERDICTS_NAME} was made from: run the study")


def check_out(study: Study, out: Path) -> None:
    """Raise a `UsageError` unless a study can be written to its folder in `out` and nothing else is lost by that.

    A study's folder is replaced as a whole, so nothing else can be kept in it: no file of yours, no other study.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: --out takes the folder of the studies' folders")
    for place in (absolute := out.absolute(), *absolute.parents):
        if (place / STUDY_NAME).is_file() and (place / VERDICTS_NAME).is_file():
            raise UsageError(
                f"{place} is the folder of a study, and --out that of the studies' folders: choose another"
            )
    folder = _folder(study, out)
    check_folder(study, folder)
    if (folder / STUDY_NAME).is_file():
        others = sorted({path.name for path in folder.iterdir() if not path.name.startswith(".")} - _NAMES)
        if others:
            raise UsageError(f"{folder} holds {others[0]} beside the study, which would be lost: move it elsewhere")


def _folder(study: Study, out: Path) -> Path:
    """Return a study's folder in `out`; what it links to, if it is a link, as that cannot be replaced by a folder."""
    folder = out / study.name
    return folder.resolve() if folder.is_symlink() else folder


def check_folder(study: Study, folder: Path) -> None:
    """Raise a `UsageError` unless a folder is unused, or holds this study at this scale."""
    if not (folder / STUDY_NAME).is_file():
        if not is_unused(folder):
            raise UsageError(f"{folder} holds something else than a study: choose another --out")
        return
    held = _held(folder)
    for key, wanted in (("study", study.name), ("scale", study.scale)):
        if held.get(key) != wanted:
            raise UsageError(f"{folder} holds the {key} {held.get(key)!r}, not {wanted!r}: choose another --out")


def _held(folder: Path) -> dict[str, Any]:
    """Return the study that a folder holds, as it was run; a `PdefmError` if it cannot be read."""
    try:
        held: Any = yaml.safe_load(read_limited(folder / STUDY_NAME, RECORD_BYTES))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # which a day such as 2001-99-99 is
        raise PdefmError(f"cannot read {folder / STUDY_NAME}: {in_one_line(str(error))}") from error
    return held if isinstance(held, dict) else {}


def _study_in(folder: Path) -> StudyFile:
    """Return the study that a folder holds; a `PdefmError` if it is none."""
    try:
        return StudyFile.model_validate({key: value for key, value in _held(folder).items() if key != "scale"})
    except ValidationError as error:
        raise PdefmError(f"{folder / STUDY_NAME} does not hold a study: {first_problem(error)}") from error


def study_text(study: Study) -> str:
    """Return the study as it was run: the file at its scale."""
    text: str = yaml.safe_dump(study.as_run(), sort_keys=False, allow_unicode=True, width=110)
    return text


def read_verdicts(folder: Path) -> Verdicts:
    """Read the verdicts of a study's folder.

    Raises:
        PdefmError: if they are missing or damaged.
    """
    path = folder / VERDICTS_NAME
    try:
        return Verdicts.model_validate_json(read_limited(path, RECORD_BYTES))
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise PdefmError(f"{path} does not hold verdicts: {first_problem(error)}") from error


@dataclass(frozen=True)
class _Computed:
    """The runs of a study, their errors on each test row, and what gave no fair score."""

    rows: list[RunRow] = field(default_factory=list)
    by_row: dict[RunKey, NDArray[np.float64]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


def _computed(study: Study, places: Places, watching: Watching) -> _Computed:
    """Return all runs of a study, once its models are there."""
    words = {}
    for name in dict.fromkeys(model for block in study.file.evaluations.values() for model in block.models):
        source = study.file.models[name]
        word = found(source, places.pretrained)
        if word is None:
            assert source.pretrain is not None  # noqa: S101 (a study's model is opened or trained)
            word = str(trained(source.pretrain, places.pretrained, _training_device(places.device), watching.training))
        words[name] = word
    computed = _Computed()
    for block in study.file.evaluations.values():
        _add_block(computed, study, block, words, places, watching)
    return computed


def _add_block(
    computed: _Computed, study: Study, block: EvaluationBlock, words: dict[str, str], places: Places, watching: Watching
) -> None:
    """Add the runs of one evaluation that others have not."""
    load_plugins([str((study.folder / plugin).absolute()) for plugin in study.file.plugins])
    is_recipe = block.method in RECIPES
    evaluations = evaluate_suite(
        [words[model] for model in block.models],
        list(block.tasks),
        block.shots,
        track=study.track_of(block),
        seeds=study.seeds_of(block),
        scratch=block.scratch,
        recipe=block.method if is_recipe else None,
        adaptation=None if is_recipe else block.method,
        device=places.device,
        cache=places.cache,
        workers=places.workers,
        scheduler=places.scheduler,
        on_note=watching.note,
        on_progress=watching.progress,
    )
    for i, evaluation in enumerate(evaluations):  # task by task, and of each the models in their order
        model = block.models[i % len(block.models)]
        steps = pretraining_steps(study.file.models[model], words[model])
        new, by_row, failed = rows_of(evaluation, model, steps)
        for row in new:
            if row.key not in computed.by_row:
                computed.rows.append(row)
                computed.by_row[row.key] = by_row[row.key]
        computed.left_out.extend(each for each in failed if each not in computed.left_out)


def _judged(
    study: Study, table: Table, folder: Path, left_out: Sequence[LeftOut], known: Sequence[str] = ()
) -> Verdicts:
    """Judge the claims by the tables in a folder, and write the verdicts there."""
    digests = sha256_of(folder / RUNS_NAME), sha256_of(folder / ROWS_NAME)
    verdicts = verdicts_of(study.name, study.scale, study.questions, table, digests, left_out)
    if known:
        verdicts = verdicts.model_copy(update={"left_out": tuple(known)})
    write_atomically(folder / VERDICTS_NAME, verdicts.model_dump_json(indent=2) + "\n")
    heading = f"# {study.file.title} ({study.scale})\n\n{study.file.question}\n\n"
    body = verdicts_table(verdicts.verdicts) if verdicts.verdicts else "This study shows data and decides no claim.\n"
    write_atomically(folder / TABLE_NAME, heading + body)
    return verdicts


def _draw(study: Study, table: Table, folder: Path) -> None:
    """Draw the figure from the tables in a folder."""
    picture = study.file.picture
    fields = read_fields(folder / FIELDS_NAME) if picture.kind == "fields" else []
    bins = read_histogram(folder / HISTOGRAM_NAME) if picture.histogram else []
    missing = {row.task for row in table.values()} - {each.task for each in bins} if picture.histogram else set()
    if missing:
        raise PdefmError(f"{folder / HISTOGRAM_NAME} has nothing of {min(missing)}: run the study")
    figure = figure_of(study, table, fields, bins)
    for name in FIGURE_NAMES:
        save(figure, folder / name)


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of another one when it is whole."""
    old = folder.with_name(f".pdefm-{folder.name}.old")
    if old.exists() and not folder.exists():  # killed between the two renamings
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    with atomic_folder(folder) as new:
        yield new
        if folder.exists():
            folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _training_device(device: str) -> str:
    return str(choose_device(device.partition(",")[0]))
