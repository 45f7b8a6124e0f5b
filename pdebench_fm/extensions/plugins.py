"""Plug-ins, the code in which users register systems of their own: which there are, and loading them.

There are two kinds: what the environment variable `PDEFM_PLUGINS` names, files or modules separated as in `PATH`, and
installed packages with an entry point in the group `pdebench_fm.systems`. Loading one is importing it. As an
environment is handed on to every process that a program starts, so are plug-ins.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError, UserCodeError
from pdebench_fm.extensions.importing import failure, import_file

VARIABLE = "PDEFM_PLUGINS"
GROUP = "pdebench_fm.systems"


def named_plugins() -> tuple[str, ...]:
    """Return what `PDEFM_PLUGINS` names: the absolute paths of files, and modules' names."""
    names = (name.strip() for name in os.environ.get(VARIABLE, "").split(os.pathsep))
    return tuple(str(Path(name).absolute()) if _is_file(name) else name for name in names if name)


def load_plugins(named: Sequence[str] = ()) -> None:
    """Import every plug-in that is not imported yet.

    Args:
        named: files and modules besides those of this process's own `PDEFM_PLUGINS`.

    Raises:
        UsageError: if a file or module does not exist, or registers a system that cannot be.
        UserCodeError: if a plug-in raises another exception.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        _load(f"plug-in {point.name!r} ({point.value})", point.load)
    for name in dict.fromkeys((*named_plugins(), *named)):
        if _is_file(name):
            _load(name, partial(import_file, Path(name)))
        else:
            _load(name, partial(_import_module, name))


def _is_file(name: str) -> bool:
    return name.endswith(".py") or os.sep in name


def _import_module(name: str) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that the module imports
        raise UsageError(f"{VARIABLE} names it, but it is neither a module nor a file that ends in .py") from error


def _load(where: str, load: Callable[[], object]) -> None:
    """Import a plug-in; what goes wrong is told with its name."""
    try:
        load()
    except UserCodeError:
        raise
    except PdefmError as error:
        raise type(error)(f"{where}: {error}") from error
    except (Exception, SystemExit) as error:
        raise failure(where, error) from error
