"""Runs `pdefm` in a fork of this process, which has imported everything, and ends it as a fault would."""

import ctypes
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 120.0  # seconds after which a command hangs
ORPHAN_SECONDS = 20.0  # in which the children of a killed command have to end
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
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
    reading, writing = os.pipe()
    counted_reading, counted_writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        for stream in (1, 2):
            os.dup2(writing, stream)
        os.closerange(3, counted_writing)
        os._exit(_child(commands, folder, kill_at, file_limit, lambda: os.write(counted_writing, b".")))
    os.close(writing)
    os.close(counted_writing)
    output, operations, status, hung = bytearray(), 0, None, False
    streams = {reading, counted_reading}
    while status is None:
        elapsed = time.monotonic() - began
        if elapsed > TIMEOUT or (kill_after is not None and elapsed >= kill_after):
            hung = elapsed > TIMEOUT
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        wait = 0.02 if kill_after is None else min(0.02, kill_after - elapsed)
        for stream in select.select(list(streams), [], [], max(wait, 0.0))[0]:
            chunk = os.read(stream, 65536)
            if not chunk:
                streams.discard(stream)
                time.sleep(0.002)
            elif stream == reading:
                output += chunk
            else:
                operations += len(chunk)
        found, ended = os.waitpid(child, os.WNOHANG)
        if found:
            status = ended
    seconds = time.monotonic() - began
    orphans = _wait_for_group(child)
    for stream in (reading, counted_reading):
        os.set_blocking(stream, False)
        try:
            while chunk := os.read(stream, 65536):
                if stream == reading:
                    output += chunk
                else:
                    operations += len(chunk)
        except BlockingIOError:
            pass
        os.close(stream)
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, output.decode(errors="replace"), seconds, operations, hung, orphans)


def _child(
    commands: Sequence[Sequence[str]],
    folder: Path,
    kill_at: int | None,
    file_limit: int | None,
    counted: Callable[[], object],
) -> int:
    from pdebench_fm.cli import main

    operations = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal operations
        if event in OPERATIONS and str(folder) in str(arguments[0]):
            if operations == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            operations += 1
            counted()

    try:
        os.chdir(folder)
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
