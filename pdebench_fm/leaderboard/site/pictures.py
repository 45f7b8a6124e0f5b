"""Pictures of the site: rows of each task, and what the package's own models predict; drawn once, then kept by digest.

The name of a picture has the digest of all that it shows, so one that an earlier build drew is used again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from pdebench_fm.data.catalogue import FAMILIES, TASKS, Task
from pdebench_fm.errors import PdefmError
from pdebench_fm.leaderboard.official import is_official, shipped_model
from pdebench_fm.leaderboard.site.page import Page
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.own_models import has_kept
from pdebench_fm.physics import REFERENCE_RESOLUTION, draw
from pdebench_fm.protocol.tracks import Track
from pdebench_fm.results.result import CellRecord, Result
from pdebench_fm.results.samples import errors_of, read_own_samples

FOLDER = "pictures"
SHOWN_ROWS = (0, 1, 2, 3)
"""Test rows of each task that are drawn: their sources have the four levels of sparsity."""

_VERSION = 1
"""Part of every digest: a change of what pictures look like is a new one."""

_ORDER = ("medium", "hard", "mild", "in-domain")
"""The regimes by how well they show what a model does: the first of them that it was scored on is drawn."""

_TRACKS: tuple[Track, ...] = ("lite", "full")

Drawing = Callable[[Path], None]


@dataclass(frozen=True)
class Picture:
    """A picture as a page shows it.

    Attributes:
        path: of its file in the site.
        alt: what it shows, for who can't see it.
        caption: what is said below it.
        width, height: in pixels.
    """

    path: PurePosixPath
    alt: str
    caption: str
    width: int
    height: int


@dataclass
class Pictures:
    """All pictures of a site, and why a model has none.

    Attributes:
        files: of the site.
        of_task: by the task's name.
        of_model: by organisation and model id.
        missing: why a model has no picture, or lacks one, likewise.
    """

    files: list[Page] = field(default_factory=list)
    of_task: dict[str, list[Picture]] = field(default_factory=dict)
    of_model: dict[tuple[str, str], list[Picture]] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)


def make_pictures(
    root: Path,
    entries: Sequence[Entry],
    kept: Path,
    on_draw: Callable[[str], None] = lambda _what: None,
    on_note: Callable[[str], None] = lambda _note: None,
) -> Pictures:
    """Return the pictures of a leaderboard's site.

    Args:
        root: the leaderboard's folder, for the per-sample scores.
        entries: its rows.
        kept: the folder of an earlier build, whose pictures are used again.
        on_draw: told what is drawn, which takes seconds.
        on_note: told which picture of a model of this package could not be drawn, and why.
    """
    made = Pictures()
    for name, task in TASKS.items():
        made.of_task[name] = [_row_picture(task, row, kept, made.files, on_draw) for row in SHOWN_ROWS]
    by_model: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        by_model.setdefault((entry.organisation, entry.result.model.model_id), []).append(entry)
    for key, held in by_model.items():
        made.missing[key] = why_none(held)
        if made.missing[key]:
            continue
        made.of_model[key] = []
        for entry in chosen_entries(held):
            try:
                made.of_model[key].append(_fields_picture(root, entry, kept, made.files, on_draw))
            except PdefmError as error:
                made.missing[key] = f"No picture of {entry.result.task}: {error}"
                on_note(f"no picture of {key[1]} on {entry.result.task}: {error}")
    return made


def why_none(entries: Sequence[Entry]) -> str:
    """Return why there can be no pictures of a model with these rows; "" if there can."""
    official = [entry for entry in entries if is_official(entry.result.model)]
    if not official:
        return "No pictures: the weights are elsewhere, and nothing of a submission is run to make this page."
    model = official[0].result.model
    if model.weights_sha256 is None:
        return "No pictures: it has no weights."
    if not has_kept(model.weights_sha256):
        return "No pictures: its weights were not kept."
    if shipped_model(model.model_id) is None:
        return "No pictures: its weights are too large to come with the package, and this page was not made in a clone."
    return "" if chosen_entries(official) else "No pictures: it has no zero-shot scores to choose samples by."


def chosen_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Return the rows of a model of this package whose fields are drawn: one for each system it was pretrained on."""
    found = []
    own = [entry for entry in entries if is_official(entry.result.model) and zero_shot_cell(entry.result)]
    for system in FAMILIES.get(own[0].result.model.family or "", ()) if own else ():
        of_system = [entry for entry in own if TASKS[entry.result.task].dataset.system_name == system]
        found += sorted(of_system, key=_preference)[:1]
    return found


def zero_shot_cell(result: Result) -> CellRecord | None:
    """Return a result's zero-shot score, if it has one by the protocol's own recipe on rows made from their recipes."""
    if result.division != "closed" or result.dataset.origin != "recipe" or result.dataset.sampling_seed:
        return None
    return next((cell for cell in result.cells if cell.shots == 0), None)


def _preference(entry: Entry) -> tuple[int, int, str]:
    result = entry.result
    return _ORDER.index(TASKS[result.task].regime.name), _TRACKS.index(result.track), entry.path.as_posix()


def _row_picture(task: Task, row: int, kept: Path, files: list[Page], on_draw: Callable[[str], None]) -> Picture:
    """Return the picture of one test row of a task: source and solution."""
    dataset, regime = task.dataset, task.regime.name
    key = dataset.key(regime, "test")

    def drawing(path: Path) -> None:
        from pdebench_fm.data.figures import save_figure, show_rows

        on_draw(f"row {row} of {task.name}")
        save_figure(show_rows(dataset, regime, "test", [row]), path)

    drawn = draw(key, [row])
    symbol, value = dataset.system.parameter_symbol, float(drawn.parameter[0])
    words = f"test row {row}: {symbol} = {value:.3g}, sparsity {drawn.sparsity[0]:.1g}"
    state = ["row", task.name, key.version, row, REFERENCE_RESOLUTION, drawn.weights.tobytes().hex()]
    page = _kept_or_drawn(f"{task.name.replace('/', '--')}-row-{row}", state, drawing, kept)
    files.append(page)
    return _picture(page, f"Source and solution of {task.name}, {words}", words.capitalize())


def _fields_picture(root: Path, entry: Entry, kept: Path, files: list[Page], on_draw: Callable[[str], None]) -> Picture:
    """Return the picture of a model's best, median and worst zero-shot predictions on one task."""
    from pdebench_fm.plots.sample_fields import chosen_samples, fields_picture  # it computes with PyTorch
    from pdebench_fm.plots.selection import Selection

    result, path = entry.result, root / entry.path
    name = result.model.model_id
    cell = zero_shot_cell(result)
    if cell is None:
        raise PdefmError("it has no zero-shot score")

    def drawing(target: Path) -> None:
        from pdebench_fm.plots.static import save

        on_draw(f"{name} on {result.task}")
        save(fields_picture([path], Selection(shots=(0,), start="pretrained")), target, few_colours=True)

    (errors,) = errors_of(read_own_samples(path, result), [cell.key])
    chosen = {rank: (row, float(errors[row])) for rank, row in chosen_samples(errors).items()}
    state: list[object] = ["fields", result.model.fingerprint, result.task, result.track, result.dataset.version]
    state += [result.dataset.recipe_digest, cell.samples_sha256, chosen]
    page = _kept_or_drawn(f"{name}-{result.task.replace('/', '--')}", state, drawing, kept)
    files.append(page)
    samples = ", ".join(f"{rank} (test row {row}, error {error:.3g})" for rank, (row, error) in chosen.items())
    alt = f"Source, true solution, prediction and error of {name}, zero-shot, on {result.task}: {samples}"
    caption = (
        f"{result.task}, {result.track} track, zero-shot: the {samples} of {result.test_rows} test samples by relative "
        "L² error."
    )
    return _picture(page, alt, caption)


def _kept_or_drawn(name: str, state: Sequence[object], drawing: Drawing, kept: Path) -> Page:
    """Return a picture's file, from an earlier build if that has it."""
    digest = hashlib.sha256(json.dumps([_VERSION, state]).encode()).hexdigest()[:16]
    path = PurePosixPath(FOLDER, f"{name}-{digest}.png")
    try:
        return Page(path, _whole(kept / path))
    except OSError:
        pass
    with TemporaryDirectory() as scratch:
        target = Path(scratch, "picture.png")
        drawing(target)
        return Page(path, target.read_bytes())


def _whole(path: Path) -> bytes:
    """Return a PNG's content, or raise an `OSError` if it is none."""
    content = path.read_bytes()
    _size(content)
    return content


def _size(content: bytes) -> tuple[int, int]:
    """Return a PNG's width and height, by its header."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or content[-8:-4] != b"IEND":
        raise OSError("not a whole PNG")
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _picture(page: Page, alt: str, caption: str) -> Picture:
    content = page.content
    width, height = _size(content if isinstance(content, bytes) else content.encode())
    return Picture(page.path, alt, caption, width, height)
