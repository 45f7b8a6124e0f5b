"""The registry of systems: one dictionary, into which one function puts the paper's three and anybody else's."""

import inspect
import re

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.physics.systems import PAPER_SYSTEMS, System
from pdebench_fm.physics.validation import check_system

BUILT_IN = "built-in"

SYSTEMS: dict[str, System] = {}
"""Every registered system by its name."""

ORIGINS: dict[str, str] = {}
"""Where each system comes from: `BUILT_IN`, or the file that registered it."""

_NAMESPACES: dict[str, object] = {}  # of the modules that registered them
_RESERVED = re.compile(r"mixed|.*-ood")


def is_reserved(name: str) -> bool:
    """Return whether a name is the benchmark's own for something else than a system, so that no system can have it."""
    return _RESERVED.fullmatch(name) is not None


def register_system(system: System) -> None:
    """Add a system, from here on known by its name like the built-in ones.

    Its declaration is tried out first: on a few draws of each regime, coefficients and symbol must be finite, of the
    right shapes, the same when called again and row by row, and such that solutions are real. A file that is run
    again, as another module, registers its systems anew.

    Args:
        system: with a name that is neither taken nor reserved.

    Raises:
        UsageError: if the declaration cannot work, or the name is taken; it says where the other one comes from.
    """
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None
    if caller is None:
        raise UsageError(f"system {system.name!r} is registered from nowhere: call register_system in a Python file")
    _add(system, caller.f_code.co_filename, caller.f_globals)


def registered_system(name: str) -> System:
    """Return the registered system of this name, or raise a `UsageError` that names the nearest ones."""
    if name not in SYSTEMS:
        raise unknown_name("system", name, SYSTEMS)
    return SYSTEMS[name]


def _add(system: System, origin: str, namespace: object = None) -> None:
    """Check a system and add it.

    Args:
        system: to be added.
        origin: the file that registers it.
        namespace: of the module that this file runs as.
    """
    check_system(system)
    name = system.name
    runs_again = ORIGINS.get(name) == origin and _NAMESPACES.get(name) is not namespace
    if ORIGINS.get(name) == BUILT_IN:
        raise UsageError(f"system {name!r} of {origin} has the name of a built-in system: choose another")
    if name in SYSTEMS and not runs_again:
        raise UsageError(f"system {name!r} is registered twice, by {ORIGINS[name]} and by {origin}: names must differ")
    if is_reserved(name):
        raise UsageError(f"system {name!r} of {origin}: 'mixed' and names in -ood are the benchmark's: choose another")
    SYSTEMS[name] = system
    ORIGINS[name] = origin
    _NAMESPACES[name] = namespace


for _system in PAPER_SYSTEMS:
    _add(_system, BUILT_IN)
