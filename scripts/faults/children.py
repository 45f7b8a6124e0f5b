"""Runs `pdefm` in a fork of this process, which has imported everything, and ends it as a fault would."""

import ctypes
import fcntl
import mmap
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 120.0  # seconds after which a command hangs
ORPHAN_SECONDS = 20.0  # in which the children of a killed command have to end
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
_OUTPUT_BYTES = 1 << 20  # that a command may print
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans become children of this process, which can tell when they end


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code, or minus the signal.
        output: what it printed, both streams.
        seconds: it took; `operations` on files in its folder, if they were counted.
        hung, orphans: whether it had to be ended, and whether its children had to.
    """

    code: int
    output: str
    seconds: float
    operations: int
    hung: bool
    orphans: bool


def become_reaper() -> None:
    """Let orphans be reparented to this process."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def run(
    commands: Sequence[Sequence[str]],
    folder: Path,
    *,
    kill_after: float | None = None,
    kill_at: int | None = None,
    file_limit: int | None = None,
) -> Ended:
    """Run commands one after the other in `folder`, to the first that fails.

    Args:
        commands: arguments of `pdefm`.
        folder: their working directory, in which file operations are counted.
        kill_after: seconds to SIGKILL.
        kill_at: the file operation before which SIGKILL comes.
        file_limit: bytes of the largest file that can be written: a disk that is full from there on.
    """
    reading, writing = os.pipe()  # not a file, which the limit would be of too
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _OUTPUT_BYTES)
    operations = mmap.mmap(-1, 8)  # shared with the child
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        for stream in (1, 2):
            os.dup2(writing, stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
        os._exit(_child(commands, folder, kill_at, file_limit, operations))
    os.close(writing)
    try:
        status, hung = _wait(child, began + (TIMEOUT if kill_after is None else kill_after))
    except KeyboardInterrupt:  # of the battery
        os.killpg(child, signal.SIGKILL)
        raise
    seconds = time.monotonic() - began
    orphans = _wait_for_group(child)
    with os.fdopen(reading, "rb") as stream:
        output = stream.read().decode(errors="replace")
    count = int.from_bytes(operations[:8], "little")
    return Ended(os.waitstatus_to_exitcode(status), output, seconds, count, hung and kill_after is None, orphans)


def _wait(child: int, deadline: float) -> tuple[int, bool]:
    """Return a child's status, and whether it had to be killed at the deadline."""
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status, False
        time.sleep(min(0.005, max(0.0, deadline - time.monotonic())))
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1], True


def _child(
    commands: Sequence[Sequence[str]], folder: Path, kill_at: int | None, file_limit: int | None, operations: mmap.mmap
) -> int:
    import datasets

    from pdebench_fm.cli import main

    done = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        if event in OPERATIONS and str(folder) in str(arguments[0]):
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            operations[:8] = done.to_bytes(8, "little")

    code = 0
    try:
        os.chdir(folder)
        datasets.config.HF_DATASETS_CACHE = folder / "hf"
        sys.addaudithook(count)
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        for command in commands:
            if code := main([word.replace("{folder}", str(folder)) for word in command]):
                break
    except BaseException:  # noqa: BLE001 (that `main` lets nothing through is what is tried)
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _wait_for_group(group: int) -> bool:
    """Return whether there were processes of a command that did not end after it; they are ended."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while time.monotonic() < deadline:
        try:
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
            os.killpg(group, 0)
        except (ChildProcessError, ProcessLookupError):
            return False
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return True
