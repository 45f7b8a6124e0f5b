"""Whether a model is known to be the same one again: a digest of all that its outputs depend on, or why there is none.

A model is an object that refers to others: attributes, parts, tensors, hooks, functions with what they close over and
the global names that they use. All of it is walked. What the walk cannot tell apart from something else (a generator,
a lock, compiled code, a file read while predicting) leaves the model without a fingerprint: two models must never have
one in common, whereas a model without any merely has its scores computed again.
"""

import builtins
import copyreg
import functools
import hashlib
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path, PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, cast

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from pdebench_fm.extensions.code import READING_MODULES, CodeNames, code_digest, code_names
from pdebench_fm.extensions.local_files import belongs, files_and_libraries, files_of, is_local, library
from pdebench_fm.extensions.replaced import replaced
from pdebench_fm.surroundings import standard

_MOST_OBJECTS = 300_000
_LONGEST_REASON = 160
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
_NAMED = (torch.dtype, torch.device, torch.layout, torch.memory_format, np.dtype, range, slice, PurePath)
_OPERATORS = (torch._ops.OpOverload, torch._ops.OpOverloadPacket)  # noqa: SLF001 (there are no public names)
_BUILT_IN = (
    BuiltinFunctionType,
    WrapperDescriptorType,
    MethodDescriptorType,
    MethodWrapperType,
    GetSetDescriptorType,
    MemberDescriptorType,
    np.ufunc,
    *_OPERATORS,
)
_IN_THE_KEY = frozenset({"torch", "numpy", "scipy", "pdebench_fm"})  # their versions are added where scores are kept
_A_CLASS = -1  # in place of the function whose parts are visited
_MADE_BY_CLASSES = frozenset(
    {"__init__", "__new__", "__post_init__", "__setstate__", "__reduce__", "__init_subclass__"}
)
# What Python, dataclasses, generics and the like note of a class. Any other name may be computed with.
_NOTES_ON_CLASSES = frozenset(
    (
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__attrs_attrs__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__hash__",
        "__match_args__",
        "__module__",
        "__orig_bases__",
        "__parameters__",
        "__qualname__",
        "__slotnames__",
        "__slots__",
        "__static_attributes__",
        "__type_params__",
        "__weakref__",
        "_abc_impl",
    )
)
_NOTES_ON_MODULES = frozenset(vars(ModuleType("module"))) | {"__builtins__", "__cached__", "__file__", "__path__"}
_HOOKS = frozenset(name for name, held in vars(nn.Module()).items() if "_hooks" in name and isinstance(held, dict))


@dataclass(frozen=True)
class Identity:
    """What a model is known by.

    Attributes:
        fingerprint: 64 hexadecimal digits that no other model has; None if the model cannot be known again.
        unknown: Why it cannot, as the end of "it cannot be known again: …"; None if it can.
        files: The local files that the model's code consists of.
        caches: The functions with a cache (`functools.lru_cache`) that it uses; what these hold is not in the
            fingerprint.
    """

    fingerprint: str | None
    unknown: str | None = None
    files: frozenset[Path] = frozenset()
    caches: tuple["functools._lru_cache_wrapper[Any]", ...] = field(default=(), compare=False)


@standard()
def identity_of(
    model: object,
    *,
    builder: Callable[..., object] | None = None,
    name: str = "",
    files: Iterable[Path] = (),
    own: tuple[Path, ...] = (),
    leave_out: Iterable[object] = (),
) -> Identity:
    """Return what a model is known by, as it is now.

    It covers every object that the model refers to, the code and the values that its functions use, the local files
    that all of this was defined in and those that these import, and the versions of the installed libraries that take
    part. It does not depend on where files or tensors lie, nor on the process. This package's own code enters by names
    only; what is kept under a fingerprint has to add its version.

    Args:
        model: A module or any callable.
        builder: The function that made it, which makes its fresh starts too.
        name: Anything that tells it apart from others besides.
        files: More files that it consists of.
        own: Files and folders of installed packages whose code is looked at as a user's own.
        leave_out: Objects that say where a model comes from, not what it is.
    """
    walk = _Walk(own=own, leave_out=leave_out)
    try:
        walk.text("name", name)
        walk.visit(model, "model")
        for place, value in replaced():
            walk.text("replaced", place)
            walk.visit(value, f"what replaces {place}")
        walk.check_what_is_run()
        if builder is not None:
            walk.visit(builder, "its builder")
    except _UnknownError as error:
        return Identity(None, _shortened(str(error)))
    except Exception as error:  # noqa: BLE001 (a model's own objects may raise anything when they are looked at)
        return Identity(None, _shortened(f"looking at it raised {type(error).__name__}: {error}"))
    found, libraries = files_and_libraries({*walk.files, *files}, own)
    contents = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file())
    if len(contents) < len(found):
        return Identity(None, "one of its files is gone", found)
    walk.text("files", *contents)
    walk.text("libraries", *sorted(walk.libraries | libraries))
    return Identity(walk.digest.hexdigest(), None, found, tuple(walk.caches))


@standard()
def structure_of(module: nn.Module) -> str | None:
    """Return a digest of all of a module but the values and devices of its tensors; None if it cannot be known.

    Also None where one of the classes has had a method replaced by somebody else's, or PyTorch a function.
    """
    if next(replaced(), None) is not None:
        return None
    walk = _Walk(with_values=False)
    try:
        walk.visit(module, "model")
    except _UnknownError:
        return None
    return None if walk.patched else walk.digest.hexdigest()


class _UnknownError(Exception):
    """Something whose like cannot be told apart."""


@dataclass(frozen=True)
class _Run:
    """A function met on the walk: what it uses, which functions it uses directly, whether it is a class's method."""

    title: str
    names: CodeNames
    uses: set[int]
    reads: list[str]
    method: str | None


class _Walk:
    """A walk through all objects that one refers to, each written once, in an order that the objects fix."""

    def __init__(
        self, *, with_values: bool = True, own: tuple[Path, ...] = (), leave_out: Iterable[object] = ()
    ) -> None:
        self.digest = hashlib.sha256()
        self.files: set[Path] = set()
        self.libraries: set[str] = set()
        self.caches: list[functools._lru_cache_wrapper[Any]] = []
        self.patched = False
        self._with_values = with_values
        self._own = own
        self._left_out = {id(value) for value in leave_out if value is not None}
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []  # an object that was made on the way must not give its id to another
        self._storages: dict[int, tuple[int, int]] = {}  # by address: a number, where its first tensor starts
        self._taken: set[tuple[int, str, str]] = set()
        self._runs: dict[int, _Run] = {}
        self._within: list[int] = []  # the functions whose parts are being visited
        self._roots: set[int] = set()

    def text(self, kind: str, *values: str) -> None:
        """Write a piece of text so that no other sequence of pieces reads the same."""
        for value in (kind, str(len(values)), *values):
            data = value.encode("utf-8", "surrogatepass")
            self.digest.update(len(data).to_bytes(8, "little") + data)

    def visit(self, value: Any, where: str) -> None:
        """Write an object and all it refers to; `where` says in words how it was reached.

        Raises:
            _UnknownError: If there is no telling it apart from others of its kind.
        """
        kind = type(value)
        if kind in _PLAIN:
            self.text(kind.__name__, value.hex() if kind is float else repr(value))
        elif isinstance(value, _NAMED):
            self.text(kind.__name__, str(value))
        elif kind is tuple or kind is torch.Size:
            self.text(kind.__name__, str(len(value)))
            for i, item in enumerate(value):
                self.visit(item, f"{where}[{i}]")
        elif self._is_new(value):
            try:
                self._visit_new(value, where)
            except RecursionError:
                raise _UnknownError(f"{where} lies too deep in it") from None

    def check_what_is_run(self) -> None:
        """Check that no function that may run in a prediction looks at files, the environment or the clock.

        Raises:
            _UnknownError: If one does.
        """
        waiting = list(self._roots)
        names = {"forward", "__call__"}
        names |= {run.method for run in self._runs.values() if run.method and run.method.startswith("__")}
        names -= _MADE_BY_CLASSES
        reached: set[int] = set()
        while waiting or (waiting := [i for i, run in self._runs.items() if run.method in names and i not in reached]):
            i = waiting.pop()
            if i in reached or i not in self._runs:  # a library's function
                continue
            reached.add(i)
            run = self._runs[i]
            if what := run.names.reads or next(iter(run.reads), None):
                raise _UnknownError(f"what its {run.title} reads while it runs ({what}) cannot be seen")
            waiting += run.uses
            names |= run.names.attributes

    # -- each kind of object ---------------------------------------------------------------------------------------

    def _is_new(self, value: object) -> bool:
        """Write that an object was there before, if it was; else give it a number."""
        if isinstance(value, FunctionType):  # which must be told from where it is used each time
            self._record_use(id(value))
        if id(value) in self._left_out:
            self.text("left out")
            return False
        number = self._seen.get(id(value))
        if number is not None and not isinstance(value, ModuleType):  # of which other names may be wanted now
            self.text("again", str(number))
            return False
        if len(self._seen) > _MOST_OBJECTS:
            raise _UnknownError(f"it refers to more than {_MOST_OBJECTS} objects")
        self._seen.setdefault(id(value), len(self._seen))
        self._alive.append(value)
        return True

    def _visit_new(self, value: Any, where: str) -> None:
        if isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001 (there is no public name)
            self.caches.append(value)
        contents = _contents(value)
        if contents is not None:
            self._all(*contents, where)
        elif isinstance(value, nn.Module):
            self._module(value, where)
        elif isinstance(value, Tensor):
            self._tensor(value, where)
        elif isinstance(value, np.ndarray | np.generic):
            self._array(value, where)
        elif not self._visit_code(value, where):
            self._object(value, where)

    def _visit_code(self, value: Any, where: str) -> bool:
        """Write a class, a function or a module of Python; return whether it was one."""
        match value:
            case type():
                self._class(value)
            case FunctionType():
                self._function(value, where)
            case ModuleType():
                self._python_module(value, CodeNames(frozenset(), frozenset(), ()), where)
            case CodeType():
                self.text("code", code_digest(value))
            case _ if isinstance(value, _BUILT_IN):
                self._built_in(value, where)
            case _:
                return False
        return True

    def _all(self, kind: str, values: Iterable[object], where: str) -> None:
        """Write several objects that are reached from one."""
        values = list(values)
        self.text(kind, str(len(values)))
        for i, value in enumerate(values):
            if kind in ("dict", "OrderedDict"):
                key, item = cast("tuple[object, object]", value)
                self.visit(key, f"a key of {where}")
                self.visit(item, f"{where}[{key!r}]" if isinstance(key, str | int) else f"a value of {where}")
            else:
                self.visit(value, f"{where}[{i}]" if kind == "list" else where)

    def _attributes(self, value: object, where: str) -> None:
        """Write what an object holds under names, in the order of the names."""
        held = {**getattr(value, "__dict__", {}), **_slots(value)}
        self.text("attributes", str(len(held)))
        for name in sorted(held, key=str):
            self.text("attribute", str(name))
            self.visit(held[name], f"{where}.{name}")

    def _module(self, module: nn.Module, where: str) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            raise _UnknownError(f"{where} is compiled by TorchScript")
        self.visit(type(module), f"the class of {where}")
        held = {**vars(module), **_slots(module)}
        tables = {name: table for name in _HOOKS if isinstance(table := held.get(name), dict)}
        # Hooks are numbered through the whole process: here they count from the module's first.
        numbers = sorted({key for table in tables.values() for key in table})
        for name in sorted(held):
            self.text("attribute", name)
            if name not in tables:
                self._part(held[name], name, where)
                continue
            for key, hook in tables[name].items():
                self.text("hook", str(numbers.index(key)))
                self.visit(hook, f"a hook ({name}) of {where}")

    def _part(self, value: object, name: str, where: str) -> None:
        """Visit an attribute of a module; its tensors and parts stand in dictionaries, but are reached by a dot."""
        if name in ("_parameters", "_buffers", "_modules") and isinstance(value, dict):
            self.text("parts", str(len(value)))
            for key, item in value.items():
                self.text("part", str(key))
                self.visit(item, f"{where}.{key}")
        else:
            self.visit(value, f"{where}.{name}")

    def _tensor(self, tensor: Tensor, where: str) -> None:
        if isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer):
            raise _UnknownError(f"{where} has no values yet")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
            raise _UnknownError(f"{where} is a tensor of an unusual layout")
        if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            self.visit(type(tensor), f"the class of {where}")
        self.text(
            "tensor", type(tensor).__name__, str(tensor.dtype), str(tuple(tensor.shape)), str(tensor.requires_grad)
        )
        if not tensor.is_contiguous():
            self.text("strides", str(tensor.stride()))
        hooks = (tensor._backward_hooks, getattr(tensor, "_post_accumulate_grad_hooks", None))  # noqa: SLF001
        self._all("hooks", (hook for table in hooks if table for hook in table.values()), f"a hook of {where}")
        self.visit(dict(sorted({**vars(tensor), **_slots(tensor)}.items())), where)
        if not self._with_values:
            return
        try:
            plain = tensor.detach().as_subclass(Tensor).resolve_conj().resolve_neg()
            values = plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            place = plain.untyped_storage().data_ptr() if plain.numel() else 0
        except (RuntimeError, NotImplementedError, TypeError):
            raise _UnknownError(f"{where} is a tensor whose values cannot be read") from None
        if place:  # parameters that share their memory are trained together
            start = int(plain.storage_offset())
            number, first = self._storages.setdefault(place, (len(self._storages), start))
            self.text("storage", str(number), str(start - first))
            self._alive.append(plain)
        self.digest.update(values.data)
        if tensor.is_leaf and tensor.grad is not None:
            self.visit(tensor.grad, f"the gradient of {where}")

    def _array(self, array: Any, where: str) -> None:
        if array.dtype.hasobject:
            raise _UnknownError(f"{where} is an array of objects")
        if type(array) is not np.ndarray and not isinstance(array, np.generic):
            self.visit(type(array), f"the class of {where}")
            self._attributes(array, where)
        self.text("array", array.dtype.str, str(array.shape), str(array.dtype.descr))
        self.digest.update(np.ascontiguousarray(array).tobytes())

    def _built_in(self, value: Any, where: str) -> None:
        if isinstance(value, _OPERATORS) and not str(value).startswith(("aten.", "prims.")):
            raise _UnknownError(f"{where} is an operator ({value}) whose code may be anybody's")
        if isinstance(value, np.ufunc) and value not in (getattr(np, value.__name__, None), _special(value.__name__)):
            raise _UnknownError(f"{where} is a function of arrays ({value.__name__}) whose code may be anybody's")
        owner = getattr(value, "__self__", None)
        if owner is None or isinstance(value, _OPERATORS):
            owner = getattr(value, "__objclass__", None)
        self.text("built-in", str(getattr(value, "__module__", "")), getattr(value, "__qualname__", str(value)))
        if owner is not None and not isinstance(owner, ModuleType):
            self.visit(owner, f"the object of {where}")

    def _object(self, value: Any, where: str) -> None:
        """Write any other object by what pickling would keep of it and by its attributes."""
        kind = type(value)
        if self._is_a_librarys(value):
            self.text("library's", value.__module__, value.__qualname__)
            self._library(value.__module__)
            return
        try:
            reduced = copyreg.dispatch_table[kind](value) if kind in copyreg.dispatch_table else value.__reduce_ex__(4)
        except Exception as error:
            raise _UnknownError(f"{where} is of type {kind.__name__}, whose state cannot be read") from error
        self.visit(kind, f"the class of {where}")
        self._attributes(value, where)
        if isinstance(reduced, str):
            self.text("global", reduced)
            return
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        own_way = kind in copyreg.dispatch_table
        if own_way or any(
            getattr(kind, name) is not getattr(object, name) for name in ("__reduce_ex__", "__reduce__", "__getstate__")
        ):
            self.visit(make, f"what makes {where}")
            self.visit(state, f"the state of {where}")
        self.visit(arguments, f"what {where} is made of")
        if isinstance(value, dict):  # whatever a subclass says of itself, this is what Python's own functions find
            self._all("dict", dict.items(value), where)
        elif isinstance(value, list):
            self._all("list", list.__iter__(value), where)
        self._all("items", items or (), where)
        for key, item in pairs or ():
            self.visit(key, f"a key of {where}")
            self.visit(item, f"a value of {where}")

    # -- code ------------------------------------------------------------------------------------------------------

    def _class(self, kind: type) -> None:
        self.text("class", kind.__qualname__)
        file = _file_of_module(kind.__module__)
        if file is None and not _is_builtin(kind.__module__):
            raise _UnknownError(f"the class {kind.__name__} has no file")
        if file is None or not self._is_local(file):
            self._library(kind.__module__)
            for base in kind.__mro__:
                for name, value in sorted(vars(base).items()):
                    self._patch(value, base, name)
            return
        self.files.add(file)
        for base in (*kind.__mro__[1:], type(kind)):
            self.visit(base, f"a base of {kind.__name__}")
        for name, value in sorted(vars(kind).items()):
            if _is_note(name) and not isinstance(value, FunctionType):
                continue
            self.text("member", name)
            self._member(value, name, f"{kind.__name__}.{name}")

    def _patch(self, value: object, kind: type, name: str) -> None:
        """Visit what stands in a library's class if its code is not in a file of the library."""
        for function in _functions(value):
            if not isinstance(function, FunctionType):
                continue
            file = _file_of_globals(function)
            if file is None:  # put together at run time, as those of named tuples are
                self.text("made", name, code_digest(function.__code__))
            elif self._is_local(file):
                self.patched = True
                self.text("patched", kind.__qualname__, name)
                self.visit(value, f"{kind.__name__}.{name}")

    def _member(self, value: Any, name: str, where: str) -> None:
        """Visit what stands in a class: a method, or a property, runs where its name is used."""
        for function in _functions(value):
            if isinstance(function, FunctionType):
                self._note(function, name, where)
                if name in _MADE_BY_CLASSES and self._within and self._within[-1] in self._runs:
                    self._runs[self._within[-1]].uses.add(id(function))  # which makes an object of this class
        self._within.append(_A_CLASS)
        try:
            self.visit(value, where)
        finally:
            self._within.pop()

    def _function(self, function: FunctionType, where: str) -> None:
        self.text("function", function.__qualname__)
        file = _file_of_globals(function)
        local = file is None or self._is_local(file)
        if local:
            self._note(function, None, where)
            self.text("code", code_digest(function.__code__))
            if file is not None:
                self.files.add(file)
        else:
            self._library(function.__globals__["__name__"])
            if "<" in function.__qualname__:  # <lambda> and what is defined in <locals> have no names of their own
                self.text("code", code_digest(function.__code__))
        self._within.append(id(function))
        try:
            self._closure(function, where)
            if local:
                self._names(function, self._runs[id(function)], where)
        finally:
            self._within.pop()

    def _closure(self, function: FunctionType, where: str) -> None:
        self._all("defaults", (function.__defaults__, function.__kwdefaults__), f"the defaults of {where}")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.text("closure", name)
            try:
                held = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            if isinstance(held, ModuleType) and id(function) in self._runs:
                self._named(held, self._runs[id(function)], f"{name} in {where}")
                self._chains(held, name, self._runs[id(function)], f"{name} in {where}")
            else:
                self.visit(held, f"{name} in {where}")
        for name, value in sorted(vars(function).items()):
            self.text("attribute", name)
            self.visit(value, f"{where}.{name}")

    def _note(self, function: FunctionType, method: str | None, where: str) -> None:
        if id(function) not in self._runs:
            title = where if method else f"function {function.__name__}"
            self._runs[id(function)] = _Run(title, code_names(function.__code__), set(), [], method)
            self._alive.append(function)

    def _record_use(self, function: int) -> None:
        """Note that a function is used by the one whose parts are visited, or by the model itself."""
        user = self._within[-1] if self._within else None
        if user in self._runs:
            self._runs[user].uses.add(function)
        elif user != _A_CLASS or function not in self._runs or self._runs[function].method is None:
            self._roots.add(function)

    def _names(self, function: FunctionType, run: _Run, where: str) -> None:
        """Visit what a function's global names stand for, and what it imports as it runs."""
        for name in sorted(run.names.globals):
            self.text("global", name)
            if name in _NOTES_ON_MODULES:  # where it lies is not what it is
                continue
            if name in function.__globals__:
                self._named(function.__globals__[name], run, f"{name} in {where}")
                self._chains(function.__globals__[name], name, run, f"{name} in {where}")
            elif not hasattr(builtins, name):
                self.text("missing")
        for level, name, taken in run.names.imports:
            self._import(("." * level) + name, function, taken, run)

    def _named(self, value: Any, run: _Run, where: str) -> None:
        module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if str(module or type(value).__module__).split(".")[0] in READING_MODULES:
            run.reads.append(where)
        if isinstance(value, ModuleType):
            self._python_module(value, run.names, where, run)
        else:
            self.visit(value, where)

    def _python_module(self, module: ModuleType, names: CodeNames, where: str, run: _Run | None = None) -> None:
        """Visit a module that a function uses: of a local one the file, and what the function takes from it."""
        file = _file_of(module)
        if (file is None and _is_builtin(module.__name__)) or (file is not None and not self._is_local(file)):
            self._library(module.__name__)
            return
        if run is None:
            raise _UnknownError(f"{where} is a module, of which anything may be used")
        if file is None and not hasattr(module, "__path__"):
            raise _UnknownError(f"{where} is a module without a file")
        if file is not None:
            self.files.add(file)
        self.text("module", file.name if file is not None else module.__name__)
        # a module's own __getattr__ answers for names that it does not have
        for name in sorted((names.attributes | {"__getattr__"}) & vars(module).keys()):
            self._take(module, name, run)

    def _take(self, module: ModuleType, name: str, run: _Run) -> None:
        if (id(run), module.__name__, name) not in self._taken:
            self._taken.add((id(run), module.__name__, name))
            self.text("taken", name)
            self._named(vars(module)[name], run, f"{name} of {module.__name__}")

    def _chains(self, root: object, name: str, run: _Run, where: str) -> None:
        """Visit what a function may use of modules beyond the attributes that it names.

        That is all of a local one that it hands on, as to `getattr` or another function, and operators of somebody's
        own, which PyTorch keeps in modules of its own.
        """
        for chain in sorted(run.names.chains):
            if chain[0] != name:
                continue
            value, rest = root, list(chain[1:])
            while rest and isinstance(value, ModuleType) and rest[0] != "__dict__":
                value = getattr(value, rest.pop(0), None)
            if isinstance(value, _OPERATORS):
                self.visit(value, where)
            elif isinstance(value, ModuleType):
                self._whole(value, run)

    def _whole(self, module: ModuleType, run: _Run) -> None:
        file = _file_of(module)
        if file is not None and self._is_local(file):
            for name in sorted(vars(module).keys() - _NOTES_ON_MODULES):
                self._take(module, name, run)

    def _import(self, name: str, function: FunctionType, taken: tuple[str, ...], run: _Run) -> None:
        """Visit a module that a function imports as it runs. A user's is imported for it, as it will be anyway."""
        with suppress(ImportError):
            name = resolve_name(name, function.__globals__.get("__package__") or "") if name.startswith(".") else name
        self.text("import", name)
        folder = getattr(_file_of_globals(function), "parent", None)
        local = [
            each
            for each in (name, *(f"{name}.{part}" for part in taken))
            if any(self._is_local(file) for file in files_of(each, folder))
        ]
        if not local:
            self._library(name)
        for each in local:
            meant = set(files_of(each, folder))
            self.files.update(filter(self._is_local, meant))
            try:
                module = import_module(each)
            except (Exception, SystemExit):  # noqa: BLE001 (it is caught, or fails the model, when the function runs)
                self.text("missing")
                continue
            top = sys.modules[each.split(".", maxsplit=1)[0]]
            if not {file.resolve() for file in map(_file_of, (top, module)) if file} <= meant:
                raise _UnknownError(f"{run.title} imports {each}, but another {each} is loaded")
            self._named(top, run, each)
            self._named(module, run, each)
            for what, bound in sorted(run.names.bound):
                if what in (each, each.rpartition(".")[2]):
                    self._chains(module, bound, run, each)

    def _is_a_librarys(self, value: Any) -> bool:
        """Return whether something that can be called, such as a compiled function, has a name of a library's own."""
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not (callable(value) and isinstance(module, str) and isinstance(name, str)):
            return False
        file = _file_of_module(module)
        of_library = _is_builtin(module) if file is None else not self._is_local(file)
        return of_library and getattr(sys.modules.get(module), name, None) is value

    def _is_local(self, file: Path) -> bool:
        return is_local(file) or belongs(file, self._own)

    def _library(self, module: str) -> None:
        self.text("library", module)
        top = module.split(".", maxsplit=1)[0]
        if top not in _IN_THE_KEY and (name := library(top)):
            self.libraries.add(name)


def _contents(value: Any) -> tuple[str, Iterable[object]] | None:
    """Return what an object of a simple kind is made of, with a name of the kind; None for any other."""
    kind = type(value)
    if kind in (set, frozenset):
        return "set", _in_order(value)
    if kind in (dict, OrderedDict):
        return kind.__name__, value.items()
    match value:
        case MethodType():
            return "method", (value.__name__, value.__func__, value.__self__)
        case staticmethod() | classmethod() | property() | functools.cached_property():
            return kind.__name__, _functions(value)
        case functools.partial():
            return "partial", (kind, value.func, value.args, value.keywords, vars(value))
        case functools._lru_cache_wrapper():  # noqa: SLF001 (there is no public name)
            return "cached function", (value.__wrapped__,)
        case weakref.ref():
            return "weak reference", (value(),)
        case BaseModel():
            return "fields", (kind, vars(value), value.__pydantic_extra__, value.__pydantic_private__)
    return ("list", value) if kind is list else None


def _shortened(reason: str) -> str:
    """Return a reason on one line, without the middle of a long way to what it names."""
    text = " ".join(reason.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON // 2]} … {text[-_LONGEST_REASON // 2 :]}"


def _special(name: str) -> object:
    """Return a function of `scipy.special`, if that is loaded and has one of this name."""
    return getattr(sys.modules.get("scipy.special"), name, None)


def _functions(member: Any) -> list[Any]:
    """Return the functions that a member of a class consists of."""
    match member:
        case property():
            return [member.fget, member.fset, member.fdel]
        case functools.cached_property():
            return [member.func]
        case staticmethod() | classmethod():
            return [member.__func__]
    return [member]


def _in_order(members: Iterable[Any]) -> list[Any]:
    """Return the members of a set, whose own order differs from process to process, in the order of their texts."""
    held = list(members)
    if len(held) > 1 and not all(type(member) in _PLAIN for member in held):
        raise _UnknownError("a set of objects in it has no order")
    return sorted(held, key=lambda member: (type(member).__name__, repr(member)))


def _file_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def _file_of_module(name: str) -> Path | None:
    """Return the file of a module by its name; that of its package, if it is a compiled part of an installed one."""
    file = _file_of(sys.modules.get(name))
    if file is None and name not in sys.modules:
        whole = _file_of(sys.modules.get(name.split(".", maxsplit=1)[0]))
        return whole if whole is not None and not is_local(whole) else None
    return file


def _file_of_globals(function: FunctionType) -> Path | None:
    """Return the file in which a function was written; None for one that was put together at run time."""
    file = function.__globals__.get("__file__")
    return Path(file) if file else None


def _is_builtin(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in sys.stdlib_module_names or module in sys.builtin_module_names


def _is_note(name: str) -> bool:
    """Return whether a member of a class only says something about the class."""
    return name in _NOTES_ON_CLASSES or name.startswith("__pydantic_")


def _slots(value: object) -> dict[str, object]:
    """Return what an object holds in slots, beside its dictionary."""
    names = copyreg._slotnames(type(value))  # type: ignore[attr-defined]  # noqa: SLF001 (as pickle does)
    return {name: getattr(value, name) for name in names if hasattr(value, name)}
