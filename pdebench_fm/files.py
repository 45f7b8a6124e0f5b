"""Files: written so that nothing half-written is ever seen under its final name, and hashed."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pdebench_fm.errors import PdefmError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and takes the final name.

    Raises:
        PdefmError: if the file cannot be written (a full disk, a missing permission); nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise PdefmError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # it may be its folder that is missing, or a file
            temporary.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file under a temporary name, then rename it."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
