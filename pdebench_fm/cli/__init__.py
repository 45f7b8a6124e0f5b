"""The command line, `pdefm`: a thin layer over the Python API that parses, displays and reports errors in one line."""

import logging
import os
import sys
from collections.abc import Sequence

from typer.exceptions import TyperException

from pdebench_fm.errors import PdefmError

_INTERRUPTED = 130  # what Typer returns for Ctrl-C, by the shell's convention


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `pdefm` and return its exit code: 0, 1 for a failed run, 2 for wrong usage, 130 when interrupted.

    Args:
        arguments: without the program's name; those of the process by default. `--debug` anywhere among them shows
            the traceback of an error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    from pdebench_fm.cli.app import app
    from pdebench_fm.cli.console import write_any_text

    write_any_text()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # which tells at length where it keeps its fonts
    if any("\0" in word for word in words):
        return _report("no argument can hold a zero byte", 2)
    try:
        exit_code = app(words, standalone_mode=False, prog_name="pdefm") or 0
    except TyperException as error:
        if debug:
            raise
        return _report(getattr(error, "format_message", error.__str__)(), 2)
    except PdefmError as error:
        if debug:
            raise
        return _report(str(error), error.exit_code, error.details)
    except OSError as error:
        if debug:
            raise
        return _report(_what_the_system_says(error), 1) if error.filename is not None else _unexpected(error)
    except Exception as error:
        if debug:
            raise
        return _unexpected(error)
    return _report("interrupted", exit_code) if exit_code == _INTERRUPTED else exit_code


def _what_the_system_says(error: OSError) -> str:
    """Return what is wrong with a file: its name is too long, it may not be read, its disk has failed."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else error.filename
    return f"cannot use {name}: {error.strerror or type(error).__name__}"


def _unexpected(error: Exception) -> int:
    """Print an exception that nobody raised on purpose: a plug-in's as its own, ours as an internal error."""
    from pdebench_fm.data.definitions import plugin_failure

    if failure := plugin_failure(error):
        return _report(str(failure), failure.exit_code, failure.details)
    kind = type(error).__name__
    return _report(f"internal error ({kind}: {error}); run again with --debug for the traceback", 1)


def _report(message: str, exit_code: int, details: str = "") -> int:
    """Print one line on stderr, after the details if there are any."""
    from pdebench_fm.text import in_one_line, visible

    if details:
        print(visible(details.rstrip(), keep="\n\t"), file=sys.stderr)
    print("pdefm: " + in_one_line(message), file=sys.stderr)
    return exit_code
