"""The site written into a folder: file by file, the front page last, and what an earlier build left removed."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import folder_lock, is_unused, write_atomically
from pdebench_fm.leaderboard.records import VERIFIED
from pdebench_fm.leaderboard.site.addresses import FRONT
from pdebench_fm.leaderboard.site.data import csv_page, data_pages, document
from pdebench_fm.leaderboard.site.front import front_page
from pdebench_fm.leaderboard.site.guide import guide_page
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.model_pages import model_pages
from pdebench_fm.leaderboard.site.page import GENERATOR, Page, shared_files
from pdebench_fm.leaderboard.site.pictures import Pictures, make_pictures
from pdebench_fm.leaderboard.site.task_pages import task_pages
from pdebench_fm.leaderboard.store import Skipped, load
from pdebench_fm.memory import no_garbage_sought
from pdebench_fm.results.fields import duplicates
from pdebench_fm.results.paths import ROWS

LISTING = "site-files.json"
"""A file of the site that names all others, so that a later build knows which of them were an earlier one's."""

_HEAD_BYTES = 4096  # of a page, in which it says who made it


def build_site(
    root: Path,
    out: Path,
    on_note: Callable[[str], None] = lambda _note: None,
    *,
    pictures: bool = False,
    on_draw: Callable[[str], None] = lambda _what: None,
) -> Path:
    """Write the site of the leaderboard at `root` into the folder `out`.

    Other files in the folder stay, and those that an earlier build wrote and this one does not are removed. The front
    page is written when all that it leads to is there.

    Args:
        root: a leaderboard's folder; without results, the site says so.
        out: a folder that is missing, empty, or holds the site of an earlier build.
        on_note: called with a line for each file among the rows that is left out, which the site says too.
        pictures: draw rows of each task and what the package's own models predict; those that an earlier build drew
            are used again.
        on_draw: called with what is drawn next.

    Returns:
        The front page's path, `out/index.html`.

    Raises:
        UsageError: there is no folder at `root`, or `out` holds something else than an earlier site.
        PdefmError: a folder of rows that cannot be read, a page that cannot be written, or that another build writes.
    """
    _check_destination(out)
    for rows in (root / ROWS, root / VERIFIED):
        if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(rows)):  # which a link to itself does not upset
            raise UsageError(f"{out} is among the rows of {root}, which the site's files are none of: choose another")
    skipped: list[Skipped] = []
    with no_garbage_sought():
        entries = load(root, skipped.append)
        for file in skipped:
            on_note(f"left out: {file.reason}")
        with folder_lock(out):
            drawn = make_pictures(root, entries, out, on_draw, on_note) if pictures else None
            _write(list(pages(Material(entries, skipped), drawn)), out)
    return out / FRONT


def pages(material: Material, pictures: Pictures | None = None) -> Iterator[Page]:
    """Return all files of the site, the front page last."""
    yield Page(PurePosixPath(".nojekyll"), "")  # GitHub would leave out files by their names otherwise
    yield from shared_files()
    yield from pictures.files if pictures is not None else ()
    linked = [*model_pages(material, pictures), *task_pages(material, pictures), guide_page()]
    yield from linked
    made = document(material, {page.path for page in linked})
    whole, data, details = data_pages(made)
    yield from (whole, data, details, csv_page(made))
    yield front_page(material, data, details)


def site_files(folder: Path) -> list[PurePosixPath]:
    """Return the files of the site in a folder, the list of them included; whatever else lies there is not among them.

    Raises:
        UsageError: if no build was finished there, or a file of it is missing or a link.
    """
    found = sorted({*_listed(folder), PurePosixPath(LISTING)})
    if FRONT not in found:
        raise UsageError(f"{folder} is no leaderboard's site: `pdefm leaderboard build --out {folder}` makes one")
    for path in found:
        if (folder / path).is_symlink() or not (folder / path).is_file():
            raise UsageError(f"{folder / path} is not what was built there: build the site again")
    return found


def _write(made: Sequence[Page], out: Path) -> None:
    """Write files, and remove those of an earlier build; a build that is killed leaves them listed for the next."""
    paths = [page.path for page in made]
    if len(set(paths)) < len(paths):
        raise PdefmError(f"two pages of the site would be {duplicates(paths)[0]}")
    earlier = _listed(out)
    _list({*earlier, *paths}, out)
    for page in made:
        content = page.content.encode() if isinstance(page.content, str) else page.content
        if _content_of(out / page.path) != content:
            write_atomically(out / page.path, content)
    for path in earlier.difference(paths):
        (out / path).unlink(missing_ok=True)
        for folder in path.parents[:-1]:
            with suppress(OSError):  # it is not empty
                (out / folder).rmdir()
    _list(set(paths), out)


def _content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _list(paths: set[PurePosixPath], out: Path) -> None:
    write_atomically(out / LISTING, json.dumps(sorted(map(str, paths)), indent=0, ensure_ascii=False) + "\n")


def _listed(out: Path) -> set[PurePosixPath]:
    """Return the files that earlier builds wrote, as far as they lie in the folder; none if nothing says so."""
    try:
        names = json.loads((out / LISTING).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    paths = {PurePosixPath(name) for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    return {path for path in paths if not path.is_absolute() and ".." not in path.parts and _is_inside(out, path)}


def _is_inside(out: Path, path: PurePosixPath) -> bool:
    return Path(os.path.realpath((out / path).parent)).is_relative_to(os.path.realpath(out))


def _check_destination(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; the leaderboard's site needs a folder")
    if is_unused(out):
        return
    try:
        with (out / FRONT).open("rb") as file:
            is_ours = GENERATOR.encode() in file.read(_HEAD_BYTES)
    except OSError:
        is_ours = False
    if not is_ours and not _listed(out):
        raise UsageError(f"{out} holds something else than an earlier leaderboard site; choose a new or empty folder")
