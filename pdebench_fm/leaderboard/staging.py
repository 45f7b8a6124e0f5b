"""Submissions to a leaderboard: all of their files or none, whatever ends the process that makes them.

The files are written to a folder aside. One rename says that they are whole, and then each is moved to its place. A
process that ends before the rename leaves nothing that counts; after one that ends behind it, whoever comes next, to
write or to read, moves the rest.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import folder_lock

_STAGED = ".submission-staged"
_ACCEPTED = ".submission-accepted"
_WAIT_SECONDS = 20.0  # for another submission to finish
_READINGS = 20  # of rows that somebody writes to at the time

Read = TypeVar("Read")


@contextmanager
def submission(root: Path) -> Iterator[Path]:
    """Yield an empty folder; when the block ends without an exception, all files in it go to the same places in `root`.

    Nobody else submits to `root` meanwhile.

    Raises:
        PdefmError: if `root` cannot be written to, or somebody else keeps writing to it.
    """
    with folder_lock(root, wait_seconds=_WAIT_SECONDS):
        _settle(root)
        staged, made = root / _STAGED, []
        try:
            staged.mkdir()
            yield staged
            files = [path.relative_to(staged) for path in staged.rglob("*") if path.is_file()]
            for folder in sorted({root / parent for path in files for parent in path.parents} - {root}):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
            if files:
                staged.rename(root / _ACCEPTED)
        except BaseException as error:
            for folder in reversed(made):
                with suppress(OSError):
                    folder.rmdir()
            shutil.rmtree(staged, ignore_errors=True)
            if isinstance(error, OSError):
                raise PdefmError(f"cannot write to {root}: {error.strerror or error}") from error
            raise
        _settle(root)


def undisturbed(root: Path, read: Callable[[], Read]) -> Read:
    """Return what `read` finds in `root` with no submission half in its place: it is read again if one came between.

    Raises:
        PdefmError: what `read` raises, or if `root` never keeps still.
    """
    for _ in range(_READINGS):
        if _is_pending(root):
            with folder_lock(root, wait_seconds=_WAIT_SECONDS):
                _settle(root)
        before = _versions(root)
        try:
            found: Read | PdefmError = read()
        except PdefmError as error:
            found = error
        if _versions(root) == before and not _is_pending(root):
            if isinstance(found, PdefmError):
                raise found
            return found
    raise PdefmError(f"others keep writing to {root}: try again when they have finished")


def _settle(root: Path) -> None:
    """Remove what was never whole, and move what is whole to its place; only with the lock."""
    staged, accepted = root / _STAGED, root / _ACCEPTED
    for folder in (staged, accepted):
        if folder.is_symlink():
            raise PdefmError(f"{folder} is a link, which no submission leaves: remove it")
    try:
        if staged.exists():
            shutil.rmtree(staged)
        if accepted.exists():
            for path in [path for path in accepted.rglob("*") if not path.is_dir()]:
                target = root / path.relative_to(accepted)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
            shutil.rmtree(accepted)
    except OSError as error:
        raise PdefmError(
            f"cannot write to {root}: {error.strerror or error}; the submission is complete in {accepted}, and goes "
            "to its place when this is run again"
        ) from error


def _is_pending(root: Path) -> bool:
    return (root / _ACCEPTED).exists()


def _versions(root: Path) -> dict[str, tuple[int, int]]:
    """Return what tells whether a file of the rows was replaced."""
    versions = {}
    for folder, _, names in os.walk(root / "results"):
        for name in names:
            place = os.path.join(folder, name)  # noqa: PTH118 (of many files, paths as objects take most of the time)
            with suppress(FileNotFoundError):
                state = os.stat(place)  # noqa: PTH116
                versions[place] = (state.st_ino, state.st_mtime_ns)
    return versions
