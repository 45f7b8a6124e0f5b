"""Code that a user brought: importing a file of it, and telling its failures as its own, not as ours."""

import hashlib
import importlib
import os
import sys
from collections.abc import Collection
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import StackSummary, TracebackException, extract_tb

from pdebench_fm.errors import UsageError, UserCodeError

_OURS = (f"{Path(__file__).parents[1]}{os.sep}", f"{Path(importlib.__file__).parent}{os.sep}", "<frozen importlib")


def import_file(path: Path) -> None:
    """Run a Python file as a module, once; one that runs already, as the main program say, is left alone.

    The file can import others that lie beside it.

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
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that nothing installed is hidden by it
    sys.modules[name] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def failure(what: str, error: BaseException, plumbing: Collection[str] = ()) -> UserCodeError:
    """Return the error that says what the user's code raised, with its traceback.

    Args:
        what: names the code.
        error: what it raised.
        plumbing: how the file names of further frames begin that are not the user's, beside this package's.
    """
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 (an exception of the user's own, which cannot even be printed)
        text = "(it has no message that can be printed)"
    return UserCodeError(f"{what} raised {type(error).__name__}: {text}", _users_traceback(error, (*_OURS, *plumbing)))


def blame(error: BaseException, files: Collection[str]) -> UserCodeError | None:
    """Return the failure of the user's code if `error` comes out of one of these files, None if out of our own."""
    for frame in reversed(extract_tb(error.__traceback__)):
        if frame.filename in files:
            return failure(frame.filename, error)
        if frame.filename.startswith(_OURS):
            return None
    return None


def _is_imported(path: Path) -> bool:
    held = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return any(Path(file).resolve() == path for file in held if file and file.endswith(path.name))


def _users_traceback(error: BaseException, others: tuple[str, ...]) -> str:
    """Return the traceback as Python prints it, with none of the frames of other files in it or in its causes."""
    shown = TracebackException.from_exception(error)
    parts: list[TracebackException | None] = [shown]
    while parts:
        if (part := parts.pop()) is not None:
            part.stack = StackSummary.from_list([f for f in part.stack if not f.filename.startswith(others)])
            parts += [part.__cause__, part.__context__]
    return "".join(shown.format())
