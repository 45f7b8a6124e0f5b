"""Which files a user's code consists of: those it imports, transitively, that no installed package brought."""

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_SITES = ("site-packages", "dist-packages")


def is_local(path: Path) -> bool:
    """Return whether a file is neither this package's, nor Python's, nor an installed package's."""
    return is_local_file(str(path))


@cache
def is_local_file(file: str) -> bool:
    """Return the same for a path as text: it is asked of every module that is loaded."""
    return not (is_ours(Path(file)) or is_installed(Path(file)))


def is_installed(path: Path) -> bool:
    """Return whether a file or folder is Python's own, or where packages are installed."""
    return any(site in path.parts for site in _SITES) or any(path.is_relative_to(folder) for folder in _INSTALLED)


def is_ours(path: Path) -> bool:
    """Return whether a file belongs to this package."""
    return path.is_relative_to(_PACKAGE)


def loaded_files() -> set[Path]:
    """Return the local files that this process has imported."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {Path(file).resolve() for file in files if file and is_local_file(file)}


@cache
def library(module: str) -> str:
    """Return the installed distribution, with its version, that a module belongs to; "" for Python's own.

    Args:
        module: Its name, dotted or not.
    """
    top = module.split(".", maxsplit=1)[0]
    if top in sys.stdlib_module_names:
        return ""
    try:
        return f"{top}=={version(top)}"
    except PackageNotFoundError:  # it may be called otherwise than its modules
        names = sorted(set(_distributions().get(top, ())))
        return ", ".join(f"{name}=={version(name)}" for name in names) or top


@cache
def _distributions() -> Mapping[str, Sequence[str]]:
    """Return the installed distributions by the modules that they brought; finding them reads a file of each."""
    return packages_distributions()


def files_and_libraries(roots: Iterable[Path], own: tuple[Path, ...] = ()) -> tuple[frozenset[Path], frozenset[str]]:
    """Follow the imports of files, wherever in them they stand, without running anything.

    Args:
        roots: Local Python files.
        own: Files and folders that count as local although they are installed.

    Returns:
        The roots and all local files that they import, whoever may have imported these before; and the installed
        libraries that any of them imports, as `library` names them. What an import hook or a name put together at
        run time would load is not found.
    """
    files: set[Path] = set()
    libraries: set[str] = set()
    waiting = [path.resolve() for path in roots]
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        files.add(path)
        for name in imported_names(path):
            found = list(files_of(name, path.parent))
            local = [file for file in found if is_local(file) or belongs(file, own)]
            waiting += local
            if not local and not any(map(is_ours, found)) and (brought := library(name)):
                libraries.add(brought)
    return frozenset(files), frozenset(libraries)


def belongs(path: Path, own: Iterable[Path]) -> bool:
    """Return whether a file is one of these, or lies in one of these folders."""
    return any(path.is_relative_to(place) for place in own)


def beside(top: str, folder: Path) -> Path | None:
    """Return where in a folder a module or package without dots in its name lies; None if none does.

    That is the file of a module or of a package's `__init__`, or the folder of a package that has none.
    """
    package = folder / top
    for path in (package / "__init__.py", folder / f"{top}.py"):
        if path.is_file():
            return path.resolve()
    return package.resolve() if package.is_dir() and next(package.glob("*.py"), None) else None


def place_of(spec: ModuleSpec | None) -> Path | None:
    """Return where a module lies, as `beside` has it; None for one of Python's own without a file."""
    if spec is not None and spec.has_location and spec.origin:
        return Path(spec.origin).resolve()
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(folders[0]).resolve() if folders else None


def spec_of(name: str, places: Sequence[str] | None = None) -> ModuleSpec | None:
    """Return the specification of a module that is loaded, or else would be; nothing is imported."""
    spec: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    return spec or PathFinder.find_spec(name, places)


def files_of(name: str, folder: Path | None = None) -> Iterator[Path]:
    """Yield the files of a module and of the packages it lies in, as far as its dotted name is one of modules.

    Nothing is imported. What is installed goes before what lies beside the importing file.

    Args:
        name: Absolute.
        folder: Of the importing file.
    """
    parts = name.split(".")
    places = [*sys.path, *([str(folder)] if folder else [])]
    near = beside(parts[0], folder) if folder is not None else None
    loaded = True  # what is loaded under the name is what an import gives
    for i in range(len(parts)):
        so_far = ".".join(parts[: i + 1])
        spec = spec_of(so_far, places) if loaded else PathFinder.find_spec(so_far, places)
        if i == 0 and near is not None and ((place := place_of(spec)) is None or (place != near and is_local(place))):
            spec, loaded = PathFinder.find_spec(so_far, [str(folder)]), False
        if spec is None:
            return
        if (file := place_of(spec)) is not None and file.is_file():
            yield file
        if not (places := list(spec.submodule_search_locations or ())):
            return


def imported_names(path: Path) -> tuple[str, ...]:
    """Return the absolute names of the modules, or of attributes of modules, that a file imports anywhere in it."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return _imported_names(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _imported_names(path: Path, changed: int, size: int) -> tuple[str, ...]:
    del changed, size  # by which an edited file is told from what was read before
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # no source: an extension module, or a file that is gone
        return ()
    names: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names += [alias.name for alias in node.names]
            case ast.ImportFrom():
                base = f"{_package_of(path, node.level)}.{node.module or ''}".strip(".")
                names += [f"{base}.{alias.name}".strip(".") for alias in node.names]
            case ast.Call(
                func=ast.Attribute(attr="import_module" | "__import__") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(str(name)), *_],
            ):
                names.append(name)
    return tuple(dict.fromkeys(names))


def _package_of(path: Path, level: int) -> str:
    """Return the dotted name of the package that `level` dots mean in a file; "" for an absolute import."""
    if level == 0:
        return ""
    folder = path.parent
    for _ in range(level - 1):
        folder = folder.parent
    parts = []
    while (folder / "__init__.py").is_file():
        parts.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(parts))
