"""Which results a picture is made of: read from files, filtered, and never of two tracks at once."""

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdebench_fm.data.catalogue import is_known_task
from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.extensions.plugins import VARIABLE
from pdebench_fm.protocol.names import task_names
from pdebench_fm.protocol.tracks import Start, find_track
from pdebench_fm.results.result import Result, Run, find_result_files, read_result
from pdebench_fm.text import in_one_line

STARTS: tuple[Start, ...] = ("pretrained", "scratch")


@dataclass(frozen=True)
class Selection:
    """What of the results is wanted; None, or nothing, stands for all.

    Attributes:
        tasks: names as `task_names` takes them: tasks, datasets, "all".
        models: ids as results carry them.
        methods: ways of adapting, as results name them: "v1", "symmetric".
        track: may be left open where all results are of one.
        shots: sizes of support sets.
        start: "pretrained" or "scratch".
    """

    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    track: str | None = None
    shots: tuple[int, ...] = ()
    start: str | None = None

    def has(self, run: Run) -> bool:
        """Tell whether a run is wanted."""
        return (not self.shots or run.shots in self.shots) and self.start in (None, run.start)


@dataclass(frozen=True)
class Found:
    """A result and its file."""

    path: Path
    result: Result


def find_results(paths: Iterable[Path], selection: Selection, notes: list[str]) -> list[Found]:
    """Return the wanted results of one track, in the order of their files.

    Args:
        paths: result files, or folders of which every `*.json` is one.
        selection: what of them is wanted.
        notes: to which a line is added for each file that is not a valid result of a known task: it is left out.

    Raises:
        UsageError: there are none, names that none of them has, or results of several tracks without a choice.
        PdefmError: no file is a valid result, or a folder cannot be read.
    """
    if selection.track is not None:
        find_track(selection.track)
    if selection.start not in (None, *STARTS):
        raise unknown_name("start", str(selection.start), STARTS)
    places = list(paths)
    tasks = task_names(selection.tasks)
    found = _readable(list(dict.fromkeys(find_result_files(places))), set(places), notes)
    if not found:
        raise UsageError("nothing to draw: name result files or folders of them")
    where = ", ".join(str(place) for place in places)
    _check_known("model", selection.models, {each.result.model.model_id for each in found}, where)
    _check_known("method", selection.methods, {each.result.method for each in found}, where)
    wanted = [
        each
        for each in found
        if (not tasks or each.result.task in tasks)
        and (not selection.models or each.result.model.model_id in selection.models)
        and (not selection.methods or each.result.method in selection.methods)
    ]
    if not wanted:
        raise UsageError(f"no results of {_described(selection)} in {where}: there are those of {_tasks_of(found)}")
    tracks = sorted({each.result.track for each in wanted})
    if selection.track is None and len(tracks) > 1:
        raise UsageError(
            f"the results are of several tracks, {' and '.join(tracks)}, which are never drawn together: choose one "
            "with --track"
        )
    of_track = [each for each in wanted if selection.track in (None, each.result.track)]
    if not of_track:
        raise UsageError(f"no results of the {selection.track} track in {where}: they are of the {tracks[0]} track")
    return of_track


def _check_known(kind: str, wanted: Iterable[str], known: Collection[str], where: str) -> None:
    for name in wanted:
        if name not in known:
            raise UsageError(f"{where}: {unknown_name(kind, name, sorted(known))}")


def _readable(files: Sequence[Path], named: Container[Path], notes: list[str]) -> list[Found]:
    """Return the results in files; of several, those that hold none are left out with a note.

    Raises:
        UsageError: one that the user named is missing, or the only one is of a task that nobody knows.
        PdefmError: all are invalid.
    """
    found: list[Found] = []
    first: PdefmError | None = None
    for path in files:
        if path in named and not path.exists():
            raise UsageError(f"no result file at {path}")
        try:
            result = read_result(path)
            if not is_known_task(result.task):
                raise UsageError(
                    f"its task {result.task} is not known here: a plug-in's is known if {VARIABLE}=FILE.py names the "
                    "file that registers it"
                )
        except PdefmError as error:
            words = str(error)
            note = f"left out: {words if str(path) in words else f'{path}: {words}'}"
            notes.append(in_one_line(note))
            first = first or error
        else:
            found.append(Found(path, result))
    if first is not None and not found:
        raise first
    return found


def _described(selection: Selection) -> str:
    models, tasks = ", ".join(selection.models), ", ".join(selection.tasks)
    methods = f"by {', '.join(selection.methods)}" if selection.methods else ""
    return " ".join(filter(None, (" on ".join(filter(None, (models, tasks))), methods)))


def _tasks_of(found: Sequence[Found]) -> str:
    """Return the names of all tasks, the first few of many."""
    names = sorted({each.result.task for each in found})
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
