"""A user's function by a word for it: in a Python file, `path/to/file.py:function`, or an installed package's offer."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.extensions.importing import run_file
from pdebench_fm.extensions.own_modules import OwnModules
from pdebench_fm.folders import expanded

_FILE_REFERENCE = re.compile(r"(?P<path>.+\.py)(?::(?P<function>\w+))?", re.DOTALL)


@dataclass(frozen=True)
class UserFunction:
    """A function, or whatever else was found under the name, and the files by which it can be known again.

    Attributes:
        function: what was found.
        title: names it in messages, such as "build in mine.py".
        files: that it consists of, apart from what its code says itself.
        own: files and folders of the installed package that it belongs to, whose code is looked at as a user's own.
        modules: those that it imports from beside its file, which are its own.
    """

    function: Any
    title: str
    files: tuple[Path, ...] = ()
    own: tuple[Path, ...] = ()
    modules: OwnModules = field(default_factory=OwnModules)


def split_file_reference(text: str, default: str) -> tuple[Path, str] | None:
    """Return the file and the function of `path/to/file.py:function`; None for what is no such reference.

    Args:
        text: the reference.
        default: the function that a file alone stands for.
    """
    match = _FILE_REFERENCE.fullmatch(text)
    return (expanded(match["path"]), match["function"] or default) if match else None


def function_in_file(
    path: Path, name: str, what: str, is_one: Callable[[object], bool] = callable, advice: str = "name a function"
) -> UserFunction:
    """Run a user's Python file and return a function of it.

    Args:
        path: of the file.
        name: of the function.
        what: what it is for, such as "a model of your own".
        is_one: tells whether what has the name is what is wanted.
        advice: what to do if it is not.

    Raises:
        UsageError: if there is no such file or function.
        UserCodeError: if the file's code raises.
    """
    if not path.is_file():
        raise UsageError(f"no file {path}: {what} is given as path/to/file.py:function")
    modules = OwnModules(path.resolve().parent)
    with modules.opened(), user_code(path.name):
        held = vars(run_file(path))
    functions = {key: value for key, value in held.items() if callable(value) and not key.startswith("_")}
    if name not in held:
        if not functions:
            raise UsageError(f"{path.name} defines no function {name!r}")
        raise unknown_name(f"function of {path.name}", name, functions)
    if name not in functions or not is_one(held[name]):
        raise UsageError(f"{name} in {path.name} is of type {type(held[name]).__name__}: {advice}")
    return UserFunction(held[name], f"{name} in {path.name}", (path.resolve(),), modules=modules)


def offered(group: str) -> dict[str, EntryPoint]:
    """Return what installed packages offer in an entry-point group, by name.

    Raises:
        UsageError: if two packages offer the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise UsageError(f"two installed plug-ins are called {entry.name!r}: {other.value} and {entry.value}")
    return found


def loaded(entry: EntryPoint) -> UserFunction:
    """Return what an entry point names.

    Raises:
        UserCodeError: if its package raises while it is imported.
    """
    title = f"plug-in {entry.name} ({entry.value})"
    with user_code(title):
        function = entry.load()
    names = (entry.module, entry.module.split(".", maxsplit=1)[0])
    file, package = (Path(found).resolve() if (found := sys.modules[name].__file__) else None for name in names)
    own = package.parent if package and package.name == "__init__.py" else file
    return UserFunction(function, title, (file,) if file else (), (own,) if own else ())
