"""The errors this package raises on purpose, and the wording of "did you mean"."""

from collections.abc import Iterable
from difflib import get_close_matches


class PdefmError(Exception):
    """A failure whose message is one clear line for the user; the command line exits with `exit_code`.

    Attributes:
        details: text of several lines that the command line prints before the message; none for most.
    """

    exit_code = 1
    details: str = ""


class UsageError(PdefmError):
    """The caller asked for something that does not exist or cannot be; says what would be right."""

    exit_code = 2


class InterruptedRunError(PdefmError):
    """The user pressed Ctrl-C; says what was kept. The exit code is the shell's convention."""

    exit_code = 130


class UserCodeError(PdefmError):
    """Code that the user brought raised an exception; `details` is its traceback, without frames of this package."""

    def __init__(self, message: str, details: str = "") -> None:
        """Keep the user's traceback beside the message."""
        super().__init__(message)
        self.details = details


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UsageError:
    """Return the error for a `name` that is not among the `valid` ones of this `kind`, nearest names first."""
    names = list(valid)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(repr(candidate) for candidate in near) + "?"
    else:
        hint = "valid names: " + ", ".join(names)
    return UsageError(f"unknown {kind} {name!r}: {hint}")
