"""The errors this package raises on purpose, and the wording of "did you mean"."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


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


def as_utf8(text: str) -> str:
    """Return a text that files and streams can hold: halves of characters are shown as "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def words_of(error: BaseException) -> str:
    """Return the message of any exception in one line, "" for none; one of a user's own may be unable to give it.

    What no file can hold as UTF-8, such as the bytes of a file's name that is in another encoding, is shown as "?".
    """
    try:
        return as_utf8(" ".join(str(error).split()))
    except Exception:  # noqa: BLE001 (whatever its `__str__` raises)
        return "(it has no message that can be printed)"


def unknown_name(kind: str, name: str, valid: Iterable[str], *, files: bool = False) -> UsageError:
    """Return the error for a `name` that is not among the `valid` ones of this `kind`, nearest names first.

    Args:
        kind: what was named, such as "model".
        name: what was asked for.
        valid: what there is.
        files: whether a Python file could have been meant as well: one that has this name is what was meant.
    """
    if files and (meant := _file_called(name)):
        return UsageError(f"unknown {kind} {name!r}: did you mean the file {meant!r}?")
    names = list(valid)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(repr(candidate) for candidate in near) + "?"
    else:
        hint = "valid names: " + ", ".join(names)
    return UsageError(f"unknown {kind} {name!r}: {hint}")


def _file_called(name: str) -> str | None:
    """Return the reference to a Python file here that lacks its suffix alone: "mine" or "mine:build" for mine.py."""
    stem, colon, function = name.partition(":")
    try:
        found = bool(stem) and Path(f"{stem}.py").is_file()
    except (OSError, ValueError):  # a name that no file can have
        found = False
    return f"{stem}.py{colon}{function}" if found else None
