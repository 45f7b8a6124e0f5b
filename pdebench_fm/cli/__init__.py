"""The command line, `pdefm`: a thin layer over the Python API that parses, displays and reports errors in one line."""

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
    except Exception as error:
        if debug:
            raise
        return _unexpected(error)
    return _report("interrupted", exit_code) if exit_code == _INTERRUPTED else exit_code


def _unexpected(error: Exception) -> int:
    """Print an exception that nobody raised on purpose: a plug-in's as its own, ours as an internal error."""
    from pdebench_fm.data.definitions import plugin_failure

    if failure := plugin_failure(error):
        return _report(str(failure), failure.exit_code, failure.details)
    kind = type(error).__name__
    return _report(f"internal error ({kind}: {error}); run again with --debug for the traceback", 1)


def _report(message: str, exit_code: int, details: str = "") -> int:
    """Print one line on stderr, after the details if there are any."""
    if details:
        print(details.rstrip(), file=sys.stderr)
    print("pdefm: " + " ".join(message.split()), file=sys.stderr)
    return exit_code
