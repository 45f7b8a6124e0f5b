"""What a function's compiled code says of it: its own digest, which names it uses, and what it may read elsewhere."""

import dis
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType

_READING_NAMES = frozenset(
    {
        "__file__",
        "__import__",
        "compile",
        "environ",
        "environb",
        "eval",
        "exec",
        "fromfile",
        "from_pretrained",
        "genfromtxt",
        "getenv",
        "getsource",
        "globals",
        "import_module",
        "input",
        "load_file",
        "load_model",
        "loadmat",
        "loadtxt",
        "locals",
        "memmap",
        "open",
        "open_candidate",
        "open_dataset",
        "read_bytes",
        "read_csv",
        "read_json",
        "read_parquet",
        "read_pickle",
        "read_table",
        "read_text",
        "safe_open",
        "urlopen",
    }
)
# `load` of torch, numpy, json, …; torch.compile and module.eval are other things, and input a usual name.
_READING_ATTRIBUTES = (_READING_NAMES | {"load"}) - {"compile", "eval", "input"}
READING_MODULES = frozenset(
    {
        "ctypes",
        "datetime",
        "fileinput",
        "glob",
        "h5py",
        "importlib",
        "inspect",
        "io",
        "linecache",
        "mmap",
        "multiprocessing",
        "netCDF4",
        "os",
        "pathlib",
        "platform",
        "requests",
        "secrets",
        "shelve",
        "shutil",
        "socket",
        "sqlite3",
        "subprocess",
        "sys",
        "tempfile",
        "time",
        "urllib",
        "uuid",
        "xarray",
        "zarr",
    }
)
"""Modules through which code may look at files, the environment, the clock or other code."""

_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_SCOPES = ("GLOBAL", "NAME", "DEREF", "CLASSDEREF", "FAST", "FROM_DICT_OR_GLOBALS", "FROM_DICT_OR_DEREF", "FAST_CHECK")
_NO_OPERATIONS = frozenset({"EXTENDED_ARG", "CACHE", "NOP"})


@dataclass(frozen=True)
class CodeNames:
    """The names that a function's code uses, those of functions inside it included.

    Attributes:
        globals: Looked up in its module, or among Python's own.
        attributes: Looked up in whatever object.
        imports: `(level, name, names)` of each import: the number of leading dots, the module, what is taken from it.
        chains: Each name that is looked up, of whatever scope, with the attributes that follow it: `a.b` is ("a", "b").
        bound: `(what, as)` of what imports give a name of its own.
    """

    globals: frozenset[str]
    attributes: frozenset[str]
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    chains: frozenset[tuple[str, ...]] = frozenset()
    bound: frozenset[tuple[str, str]] = frozenset()

    @property
    def reads(self) -> str | None:
        """The first name by which it may look at files, the environment, the clock or code made up as it runs."""
        modules = {name.split(".")[0] for _, name, _ in self.imports}
        found = [
            *sorted(self.globals & (_READING_NAMES | READING_MODULES)),
            *sorted(self.attributes & _READING_ATTRIBUTES),
            *sorted(modules & READING_MODULES),
            *sorted({name for *_, names in self.imports for name in names} & _READING_NAMES),
        ]
        return found[0] if found else None


def code_names(code: CodeType) -> CodeNames:
    """Return the names that a code object uses."""
    names: dict[str, set[str]] = {"GLOBAL": set(), "ATTRIBUTE": set()}
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    chains: set[tuple[str, ...]] = set()
    bound: set[tuple[str, str]] = set()
    for part in _with_nested(code):
        instructions = [each for each in dis.get_instructions(part) if each.opname not in _NO_OPERATIONS]
        for i, instruction in enumerate(instructions):
            operation, value = instruction.opname, instruction.argval
            if operation in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"):
                names["GLOBAL"].add(value)
            elif operation in (*_ATTRIBUTES, "LOAD_SUPER_ATTR", "STORE_ATTR", "IMPORT_FROM"):
                names["ATTRIBUTE"].add(value)
            elif operation == "IMPORT_NAME":
                level, taken = instructions[i - 2].argval, instructions[i - 1].argval
                imports.append((int(level or 0), value, tuple(taken or ())))
            if operation.startswith("LOAD_") and operation.endswith(_SCOPES) and isinstance(value, str):
                chains.add((value, *_attributes_after(instructions, i)))
            if operation in ("IMPORT_NAME", "IMPORT_FROM") and instructions[i + 1].opname.startswith("STORE_"):
                bound.add((value, instructions[i + 1].argval))
    attributes = frozenset(names["ATTRIBUTE"])
    return CodeNames(frozenset(names["GLOBAL"]), attributes, tuple(imports), frozenset(chains), frozenset(bound))


def _attributes_after(instructions: Sequence[dis.Instruction], i: int) -> Iterator[str]:
    """Yield the attributes that are looked up, one in the other, in what instruction `i` has loaded."""
    for following in instructions[i + 1 :]:
        if following.opname not in (*_ATTRIBUTES, "STORE_ATTR"):
            return
        yield following.argval
        if following.opname == "STORE_ATTR":
            return


def code_digest(code: CodeType) -> str:
    """Return a SHA-256 of what a code object does: not of where it stands, nor of its comments."""
    digest = hashlib.sha256()
    signature = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    constants = [_constant(value) for value in code.co_consts]
    digest.update(repr((code.co_name, signature, names, constants)).encode())
    digest.update(code.co_code + code.co_exceptiontable)
    return digest.hexdigest()


def _constant(value: object) -> str:
    """Return a text for a constant of a code object, the same in every process."""
    if isinstance(value, CodeType):
        return code_digest(value)
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(_constant, value))})"
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    return f"{type(value).__name__}:{value!r}"


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)
