"""Code of the user's that this package runs: its import, and its failures, which are shown as its own."""

import hashlib
import importlib
import os
import sys
from collections.abc import Collection
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import StackSummary, TracebackException, extract_tb

from pdebench_fm.errors import PdefmError, UsageError

_OURS = (f"{Path(__file__).parent}{os.sep}", f"{Path(importlib.__file__).parent}{os.sep}", "<frozen importlib")


class UserCodeError(PdefmError):
    """Code of the user's raised an exception; the message names it and what it raised.

    Attributes:
        shown: the traceback as Python prints it, without the frames of this package.
    """

    def __init__(self, message: str, shown: str = "") -> None:
        """Keep the traceback beside the message."""
        super().__init__(message)
        self.shown = shown


def import_file(path: Path) -> None:
    """Run a Python file as a module, once; one that runs already, as the main program say, is left alone.

    Raises:
        UsageError: if there is no such file.
        Exception: what the file raises; it counts as not imported then.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    path = path.resolve()
    if _is_imported(path):
        return
    name = f"pdefm_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file: its name must end in .py")
    sys.modules[name] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def failure(where: str, error: BaseException) -> UserCodeError:
    """Return the error that says what the user's code at `where` raised, with its traceback."""
    shown = TracebackException.from_exception(error)
    _leave_out_ours(shown)
    return UserCodeError(f"{where} raised {type(error).__name__}: {error}", "".join(shown.format()))


def blame(error: BaseException, files: Collection[str]) -> UserCodeError | None:
    """Return the failure of the user's code if `error` comes out of one of these files, None if out of our own."""
    for frame in reversed(extract_tb(error.__traceback__)):
        if frame.filename in files:
            return failure(frame.filename, error)
        if _is_ours(frame.filename):
            return None
    return None


def _is_imported(path: Path) -> bool:
    held = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return any(Path(file).resolve() == path for file in held if file and file.endswith(path.name))


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OURS)


def _leave_out_ours(shown: TracebackException) -> None:
    """Remove our frames from a traceback and from those of its causes."""
    shown.stack = StackSummary.from_list([frame for frame in shown.stack if not _is_ours(frame.filename)])
    for other in (shown.__cause__, shown.__context__):
        if other is not None:
            _leave_out_ours(other)
