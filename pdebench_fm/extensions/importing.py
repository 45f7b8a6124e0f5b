"""Code that a user brought: importing a file of it, and telling its failures as its own, not as ours."""

import hashlib
import importlib
import os
import sys
from collections.abc import Collection
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import StackSummary, TracebackException, extract_tb
from types import ModuleType

from pdebench_fm.errors import UsageError, UserCodeError, as_utf8, words_of
from pdebench_fm.extensions.local_files import (
    beside,
    imported_names,
    is_installed,
    is_local,
    is_local_file,
    place_of,
    spec_of,
)

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
    if not _is_imported(path):
        run_file(path)


def run_file(path: Path) -> ModuleType:
    """Run a Python file as a module, whether or not it has been run before, and return it.

    It can import others that lie beside it. These go before those that lie beside files that were run earlier, but
    after all that is installed, so that a user's `datasets.py` cannot take the place of an installed package.

    Raises:
        UsageError: if its name does not end in .py, or a file that it imports from beside it is hidden by another one.
        Exception: what the file raises; it counts as not imported then.
    """
    path = path.resolve()
    # a name of its own, the same for each run, under which classes can be found again when they are unpickled
    name = f"pdefm_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file: its name must end in .py")
    place_on_path(path.parent)
    _forget_namesakes(path.parent)
    _check_hidden(path)
    sys.modules[name] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _last_installed() -> int:
    """Return how many of the places where Python looks for modules go before those of files that were run."""
    return max((i + 1 for i, place in enumerate(sys.path) if place and is_installed(Path(place))), default=0)


def first_places() -> set[Path]:
    """Return where Python looks for modules before it does beside files that were run: the program's own places."""
    return {Path(place).resolve() for place in sys.path[: _last_installed()]}


def place_on_path(folder: Path) -> None:
    """Let modules be found in a folder: after those that are installed, before those beside files that were run."""
    text = str(folder)
    if text in sys.path[_last_installed() :]:
        sys.path.remove(text)
    if text not in sys.path:
        sys.path.insert(_last_installed(), text)


def _forget_namesakes(folder: Path) -> None:
    """Have modules from beside other files that were run imported anew where a file of the same name lies here.

    What the program itself has imported from its own places stays.
    """
    its_own = first_places()
    for name, module in list(sys.modules.items()):
        top, places = name.split(".", maxsplit=1)[0], places_of(name, module)
        elsewhere = bool(places) and not its_own & places and places != {folder}
        if elsewhere and beside(top, folder) is not None:
            for known in [known for known in sys.modules if known == top or known.startswith(f"{top}.")]:
                del sys.modules[known]


def places_of(name: str, module: ModuleType | None) -> set[Path]:
    """Return the folders in which Python found a local module, or the package that it is in."""
    file = getattr(module, "__file__", None)
    if file is None:  # a package without a file gathers what lies in folders of its name anywhere
        return {Path(place).resolve().parent for place in getattr(module, "__path__", ()) if is_local(Path(place))}
    if not is_local_file(file):
        return set()
    path = Path(file).resolve()
    above = name.count(".") + (path.name == "__init__.py")
    return {path.parents[min(above, len(path.parents) - 1)]}


def _check_hidden(path: Path) -> None:
    """Check that what a file imports from beside it is what Python will find."""
    for top in {name.split(".", maxsplit=1)[0] for name in imported_names(path)}:
        here, found = beside(top, path.parent), place_of(spec_of(top))
        if here and found and found != here and is_local(found) and not _are_equal(found, here):
            raise UsageError(f"{path.name} imports {top}, but {found} hides {here}: rename one of the two")


def _are_equal(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def failure(what: str, error: BaseException, plumbing: Collection[str] = ()) -> UserCodeError:
    """Return the error that says what the user's code raised, with its traceback.

    Args:
        what: names the code.
        error: what it raised.
        plumbing: how the file names of further frames begin that are not the user's, beside this package's.
    """
    said = f"{what} raised {type(error).__name__}: {words_of(error)}"
    return UserCodeError(said, _users_traceback(error, (*_OURS, *plumbing)))


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
    return as_utf8("".join(shown.format()))
