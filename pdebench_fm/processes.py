"""Processes that end with the one that started them, whatever ends it: a kill leaves no time to end them."""

import os
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait

_SECONDS = 1.0  # between looks at who the parent is


def end_with_parent() -> None:
    """Let this process end within about a second of its parent's end; to be called once, early, in a child.

    A child of `multiprocessing` is told at once by a pipe that its parent alone holds open. Any other child, and one
    whose parent was forked with that pipe open, notices that it has been given another parent (not on Windows, where a
    process keeps its parent's number). A signal asked of the kernel instead (`PR_SET_PDEATHSIG`) would come at the end
    of the parent's *thread* that started the child.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), name="end-with-parent", daemon=True).start()


def _watch(parent: int) -> None:
    started_by = parent_process()
    sentinels = [] if started_by is None else [started_by.sentinel]
    pause = threading.Event()
    while os.getppid() == parent:
        if sentinels and wait(sentinels, timeout=_SECONDS):
            break
        if not sentinels:
            pause.wait(_SECONDS)
    os._exit(1)  # at once: nobody is left to whom an error or a result could go
