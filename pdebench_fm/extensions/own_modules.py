"""The modules that a file of a user's imports from beside it: each model, or adaptation, has copies of its own.

A module is imported once in a process, and whoever imports it afterwards gets the same object. So a model that sets a
value in a module would change every other model that uses it, in whichever order they are opened. Here the modules of a
user's are imported anew for each model, and are those that an import finds while that model's code runs. Modules that a
package manager has installed are shared, and compiled ones, many of which can be loaded once only.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import ClassVar
from weakref import WeakSet

from pdebench_fm.extensions.importing import first_places, place_on_path, places_of
from pdebench_fm.extensions.local_files import beside, is_local_file, library
from pdebench_fm.surroundings import one_at_a_time


class OwnModules:
    """The modules of one model, or of one adaptation, from a file."""

    _of_models: ClassVar[WeakSet[ModuleType]] = WeakSet()
    _active: ClassVar["OwnModules | None"] = None

    def __init__(self, folder: Path | None = None) -> None:
        """Begin with none.

        Args:
            folder: of the file, beside which its modules lie; None for what comes from no file and shares all modules.
        """
        self._folder = folder
        self._modules: dict[str, ModuleType] = {}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Have what is imported in this context imported anew, and be this model's from then on.

        Afterwards the program has its own modules back. Names that it does not use stay with the model that was opened
        last, for a function of it that imports as it runs and is called by others than this package.
        """
        with self.active():
            yield
        loaded, own = _users_modules(), {_top(name) for name in self._modules}
        own -= {_top(name) for name, module in loaded.items() if module not in self._of_models}  # the program's
        for name in loaded:
            if _top(name) in own:
                del sys.modules[name]
        sys.modules.update({name: module for name, module in self._modules.items() if _top(name) in own})

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run the model's code in this context: an import in it finds the model's modules, and nobody else's of a user.

        One thread at a time is inside; another one waits. The same thread may enter again. In the context of another
        one, as an adaptation is in that of the model that it is given, modules of that one are found too, but for those
        of which it has its own.
        """
        with one_at_a_time:
            if OwnModules._active is self or self._folder is None:
                yield
                return
            before, shared = OwnModules._active, _users_modules()
            others = {name: shared.pop(name) for name in self._names_to_hide(shared)}
            for name in others:
                del sys.modules[name]
            sys.modules.update(self._modules)
            place_on_path(self._folder)
            OwnModules._active = self
            try:
                yield
            finally:
                OwnModules._active = before
                self._modules = {
                    name: module for name, module in _users_modules().items() if shared.get(name) is not module
                }
                self._of_models.update(self._modules.values())
                for name in self._modules:
                    del sys.modules[name]
                sys.modules.update(shared | others)

    def _names_to_hide(self, loaded: Mapping[str, ModuleType]) -> list[str]:
        """Return which of a user's modules this model's code must not find.

        They are those of other models, and those of the program that lie beside the file, or that have the name of
        something which does and were found only after the program's own places.
        """
        first, folder = first_places(), self._folder
        if OwnModules._active is not None or folder is None:
            own = {_top(name) for name in self._modules}
            return [name for name in loaded if _top(name) in own]

        def hides(name: str, module: ModuleType) -> bool:
            places = places_of(name, module)
            lies_here = beside(_top(name), folder) is not None
            return lies_here and (places == {folder} or not first & places)

        tops = {_top(name) for name, module in loaded.items() if module in self._of_models or hides(name, module)}
        return [name for name in loaded if _top(name) in tops]


def _users_modules() -> dict[str, ModuleType]:
    """Return the modules that are loaded and that no package manager has installed, the main program apart."""
    found = {}
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or name == "__main__":
            continue
        file = vars(module).get("__file__")
        may_be = "__path__" in vars(module) if file is None else _may_be_users(str(file))
        if may_be and places_of(name, module) and "==" not in library(_top(name)):  # which is installed to be edited
            found[name] = module
    return found


@cache
def _may_be_users(file: str) -> bool:
    return is_local_file(file) and not file.endswith(tuple(EXTENSION_SUFFIXES))


def _top(name: str) -> str:
    return name.split(".", maxsplit=1)[0]
