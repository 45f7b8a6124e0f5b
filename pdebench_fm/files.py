"""Files: written so that nothing half-written is ever seen under its final name, by one writer of a folder at a time.

A process can be killed at any moment, so whatever it may leave behind has a name that says so: a part of a file that
was being written, or a lock that nobody holds. Both are recognised, and removed by whoever comes next.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from pdebench_fm.errors import PdefmError

LOCK_NAME = ".pdefm.lock"
_PART = re.compile(r"\.pdefm-[0-9a-f]{16}\.part")
_ABANDONED_SECONDS = 3600.0  # after which a part that nothing was written to has no writer any more


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; on success it is flushed to disk and takes the final name.

    The temporary name is random and the file is made exclusively, so that writers of one file in several threads,
    processes, containers or machines never share one: the last to finish wins, whole. Its permissions are what the
    user's umask leaves, whatever the code that fills it would choose.

    Raises:
        PdefmError: if the file cannot be written (a full disk, a missing permission); nothing is left behind.
    """
    temporary = path.with_name(f".pdefm-{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = os.fstat(descriptor).st_mode
        os.close(descriptor)
        yield temporary
        if temporary.stat().st_mode != mode:
            temporary.chmod(mode)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:  # the latter for what safetensors cannot write
        raise PdefmError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        with suppress(OSError):  # it may be its folder that is missing, or a file
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it takes that name, which an empty folder may have.

    Its own name meanwhile is that of a part, random and made exclusively.

    Raises:
        PdefmError: if the folder cannot be written, or something else lies at `path` by then; nothing is left behind.
    """
    temporary = path.with_name(f".pdefm-{secrets.token_hex(8)}.part")
    made = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        temporary.mkdir()
        made = True
        yield temporary
        temporary.rename(path)
    except OSError as error:
        raise PdefmError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if made:
            shutil.rmtree(temporary, ignore_errors=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file under a temporary name, then rename it."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def folder_lock(folder: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a folder, made if missing, as the only one that writes there; what a killed writer left is removed first.

    The lock ends with the process that holds it. Afterwards its file is removed, and a folder that was made for it.

    Args:
        folder: to write to.
        wait_seconds: how long to wait for another one to finish.

    Raises:
        PdefmError: if another one writes there, or the folder cannot be written to.
    """
    lock = FileLock(folder / LOCK_NAME, thread_local=False)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait_seconds)
    except Timeout as error:
        raise PdefmError(
            f"another pdefm is writing to {folder}: run this again when it has ended, or choose another folder"
        ) from error
    except OSError as error:
        raise PdefmError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        remove_parts(folder)
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK_NAME).unlink()  # while it is held: whoever waits for it sees that, and makes another
        lock.release()
        if made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@contextmanager
def file_lock(path: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold a file, which may be missing, as the only one that reads it and writes it anew; its folder is made.

    Args:
        path: of the file. The lock is another one beside it, which is removed afterwards.
        wait_seconds: how long to wait for another one to finish.

    Raises:
        PdefmError: if another one holds it all that time, or the folder cannot be written to.
    """
    place = path.with_name(f".{path.name}.lock")
    lock = FileLock(place, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait_seconds)
    except Timeout as error:
        raise PdefmError(f"another pdefm is writing {path}: run this again when it has ended") from error
    except OSError as error:
        raise PdefmError(f"cannot write to {path.parent}: {error.strerror or error}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            place.unlink()  # while it is held: whoever waits for it sees that, and makes another
        lock.release()


def is_unused(folder: Path) -> bool:
    """Return whether a folder is missing, or holds nothing but what a writer leaves that was killed at its beginning.

    That is: empty folders, a lock, parts of files.
    """
    if folder.is_symlink() or not folder.is_dir():
        return not os.path.lexists(folder)
    return all(
        (entry.is_dir() and not entry.is_symlink()) or any(map(_is_leftover, (entry, *_between(folder, entry))))
        for entry in folder.rglob("*")
    )


def remove_parts(folder: Path) -> None:
    """Remove the parts that killed writers left in a folder and below; only where no other may be writing."""
    for part in list(folder.rglob(".pdefm-*.part")):
        if _PART.fullmatch(part.name):
            _remove(part)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _is_leftover(path: Path) -> bool:
    return path.name == LOCK_NAME or _PART.fullmatch(path.name) is not None


def _between(folder: Path, entry: Path) -> Sequence[Path]:
    """Return the folders that an entry lies in, below this one."""
    return entry.parents[: len(entry.relative_to(folder).parts) - 1]


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            part.unlink()


@lru_cache(maxsize=256)  # once for each folder that a process writes to
def _remove_abandoned(folder: Path) -> None:
    """Remove parts that nothing was written to for long, in a folder that need not be locked."""
    for entry in os.scandir(folder):
        if _PART.fullmatch(entry.name):
            part = Path(entry)
            with suppress(FileNotFoundError):
                written = max(each.lstat().st_mtime for each in (part, *part.rglob("*")))
                if time.time() - written > _ABANDONED_SECONDS:
                    _remove(part)
