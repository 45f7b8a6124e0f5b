"""Processes that end with the one that started them, whatever ends it, and that do not run its script again."""

import ast
import os
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

from pdebench_fm.errors import UsageError

_SECONDS = 1.0  # between looks at who the parent is


def end_with_parent() -> None:
    """Let this process end within about a second of its parent's end; to be called once, early, in a child.

    A child of `multiprocessing` is told at once by a pipe that its parent alone holds open. Any other child, and one
    whose parent was forked with that pipe open, notices that it has been given another parent (not on Windows, where a
    process keeps its parent's number). A signal asked of the kernel instead (`PR_SET_PDEATHSIG`) would come at the end
    of the parent's *thread* that started the child.
    """
    known = parent_process()
    # Not asked of the system where Python knows it: a parent that is gone by now has been replaced there already.
    parent = known.pid if known is not None and known.pid is not None and os.name == "posix" else os.getppid()
    threading.Thread(target=_watch, args=(parent,), name="end-with-parent", daemon=True).start()


def _watch(parent: int) -> None:
    sentinel = getattr(parent_process(), "sentinel", None)  # loky's children have a parent without one
    sentinels = [] if sentinel is None else [sentinel]
    pause = threading.Event()
    while os.getppid() == parent:
        if sentinels and wait(sentinels, timeout=_SECONDS):
            break
        if not sentinels:
            pause.wait(_SECONDS)
    os._exit(1)  # at once: nobody is left to whom an error or a result could go


def limit_memory(most: int) -> bool:
    """Let this process claim at most so many bytes of memory of its own: more is refused as if there were none.

    Counted are private writable pages, not the libraries, nor addresses that are only reserved (Linux's `RLIMIT_DATA`).

    Returns:
        Whether it took effect: False on other systems.
    """
    if not sys.platform.startswith("linux"):
        return False
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return True


def end_in_words(exit_code: int | None) -> str:
    """Return how a process ended: "exit code 3", or the signal that ended it."""
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    return signal.Signals(-exit_code).name if -exit_code in list(signal.Signals) else f"signal {-exit_code}"


def require_main_guard() -> None:
    """Refuse to start processes from a script that each of them would run again.

    A process that is started anew, not forked, imports the main script of its parent. What this script calls without a
    guard is called there again. Told from the line of the script that is being run, before any process is started.

    Raises:
        UsageError: if it stands outside of `if __name__ == "__main__":`; it names the script and the line.
    """
    frame = sys._getframe()  # noqa: SLF001 (as `inspect.currentframe`, which may be None)
    caller: FrameType | None = frame
    while caller is not None and not (
        caller.f_code.co_name == "<module>" and caller.f_globals.get("__name__") in ("__main__", "__mp_main__")
    ):
        caller = caller.f_back
    if caller is None:
        return  # called from elsewhere: a test runner, a notebook, another thread
    spec, script = caller.f_globals.get("__spec__"), caller.f_globals.get("__file__")
    if script != caller.f_code.co_filename or (spec is not None and spec.name.endswith("__main__")):
        return  # no script, or `python -m package`, which is not imported again
    try:
        tree = ast.parse(Path(script).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # nothing that Python could import again
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)]
    if any(node.lineno <= caller.f_lineno <= (node.end_lineno or node.lineno) for node in tests):
        return
    raise UsageError(
        f"{script}, line {caller.f_lineno}, starts worker processes, and each of them would run the script again: put "
        f'this part of it under `if __name__ == "__main__":`'
    )
