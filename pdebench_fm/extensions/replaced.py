"""What somebody has put in the place of a library's own functions: no version says how the library calculates then.

A model's layers call PyTorch's functions, and those call one another. A user's file that sets `functional.gelu` to
something else changes every model of the process, those of other files and the zoo's among them.
"""

import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FunctionType, ModuleType

import numpy as np
import scipy.fft
import torch
from torch import Tensor, nn, optim
from torch.nn import functional, init

from pdebench_fm.extensions.local_files import is_local_file

_MODULES: tuple[ModuleType, ...] = (
    torch,
    torch.fft,
    torch.linalg,
    torch.special,
    torch.autograd,
    functional,
    init,
    np,
    np.fft,
    np.linalg,
    scipy.fft,
)
_CLASSES = tuple(
    dict.fromkeys(
        base
        for module in (nn, optim)
        for kind in vars(module).values()
        if isinstance(kind, type)
        for base in kind.__mro__
        if base is not object
    )
)


_Owner = ModuleType | type
_PACKAGE = __name__.partition(".")[0]


def _members(owner: _Owner) -> dict[str, object]:
    """Return what a module holds, or a class with what it inherits."""
    if not isinstance(owner, type):
        return vars(owner)
    return {name: value for base in reversed(owner.__mro__[:-1]) for name, value in vars(base).items()}


def _functions(owner: _Owner) -> dict[str, object]:
    """Return what can be called, or stands for a method, in a module or class."""
    return {name: value for name, value in _members(owner).items() if _can_be_called(value)}


def _can_be_called(value: object) -> bool:
    return callable(value) or hasattr(type(value), "__get__") or isinstance(value, staticmethod | classmethod)


_OWNERS: tuple[_Owner, ...] = (*_MODULES, *_CLASSES, Tensor)
_WATCHED = frozenset(_OWNERS)
_ORIGINALS = tuple((owner, _functions(owner)) for owner in _OWNERS)


def replaced() -> Iterator[tuple[str, object]]:
    """Yield what stands in the place of functions of PyTorch, NumPy and SciPy, with the names of these.

    What was replaced by a user's function is found whenever that was done; what was by another of a library's, or by
    an object, if it was done after this package was imported. A function that is gone is yielded as None. PyTorch
    wraps some of its own as it goes (the steps of optimizers, say): that changes no number and is left out.
    """
    for owner, originals in _ORIGINALS:
        held = _members(owner)
        for name, original in originals.items():
            value = held.get(name)
            if type(value) is FunctionType and (value is original or _is_wrapped(value, owner, name)):
                if _is_users(value):
                    yield f"{owner.__name__}.{name}", value
            elif value is not original:
                yield f"{owner.__name__}.{name}", value


@contextmanager
def put_back(*classes: type) -> Iterator[list[str]]:
    """Put back, at the end, what is replaced within; yields a list that then has its places, such as "torch.exp".

    What is looked at are functions of PyTorch, NumPy, SciPy and of this package, as far as it is loaded, and methods of
    these and other classes. What somebody had replaced before stays as it was.

    Args:
        classes: other ones, such as a model's.
    """
    before = dict(replaced())
    held = [(owner, dict(vars(owner))) for owner in _OWNERS]
    others = [kind for kind in dict.fromkeys((*_of_this_package(), *classes)) if kind not in _WATCHED]
    own = [(owner, dict(vars(owner))) for owner in others]
    places: list[str] = []
    try:
        yield places
    finally:
        new = {place for place, value in replaced() if before.get(place) is not value}
        for owner, members in held if new else ():
            places += _restored(owner, members, partial(_is_among, new, owner))
        for owner, members in own:
            places += _restored(owner, members, partial(_is_a_function_of, owner, members))
        places.sort()


def _restored(owner: _Owner, members: Mapping[str, object], counts: Callable[[str], bool]) -> list[str]:
    """Give an owner its former members back, those by the names that count, and return the places that had others."""
    changed = [name for name in {*members, *vars(owner)} if vars(owner).get(name) is not members.get(name)]
    names = [name for name in changed if counts(name)]
    for name in names:
        if name in members:
            setattr(owner, name, members[name])
        else:  # it was put in front of one that is inherited
            delattr(owner, name)
    return [f"{owner.__name__}.{name}" for name in names]


def _is_among(places: Container[str], owner: _Owner, name: str) -> bool:
    return f"{owner.__name__}.{name}" in places


def _is_a_function_of(owner: _Owner, members: Mapping[str, object], name: str) -> bool:
    """Tell whether a name is, or was, one of a function; new names in a module are what it imports as it goes."""
    if name in members:
        return _can_be_called(members[name])
    return isinstance(owner, type) and _can_be_called(vars(owner)[name])


def _of_this_package() -> Iterator[_Owner]:
    """Yield the modules of this package that are loaded, and their classes."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == _PACKAGE]
    for module in modules:
        yield module
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield value


def _is_wrapped(function: FunctionType, owner: _Owner, name: str) -> bool:
    """Return whether a function goes by its place, or by none that it could have been taken from."""
    places = [f"{base.__qualname__}.{name}" for base in owner.__mro__] if isinstance(owner, type) else [name]
    return function.__qualname__ in places or "<locals>" in function.__qualname__


def _is_users(function: FunctionType) -> bool:
    file = function.__globals__.get("__file__")
    return bool(file) and is_local_file(file)
