"""The process that a graph runs in: `python -m pdebench_fm.graphs.child GRAPH MEMORY`, spoken to by its pipes.

Each answer is a byte, 0 or 1 for failed, a length of 8 bytes, and as many bytes: text, or solutions. A request is B and
n, 8 bytes each, and the float32 values of sources and coefficients.
"""

import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pdebench_fm.errors import words_of
from pdebench_fm.graphs.checks import check_graph
from pdebench_fm.graphs.interface import COEFFICIENTS, INPUTS, OUTPUT, GraphError
from pdebench_fm.limits import GRAPH_BYTES, read_limited
from pdebench_fm.processes import end_with_parent
from pdebench_fm.text import in_one_line

_LONGEST = 300


def main(path: str, memory: str) -> None:
    """Load a graph, say how many points a side it has, and answer requests until there are no more."""
    import onnxruntime

    end_with_parent()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the runtime prints is no answer
    _limit(int(memory))
    onnxruntime.set_default_logger_severity(4)

    def load() -> bytes:
        checked = check_graph(read_limited(Path(path), GRAPH_BYTES))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the sums are the same on any machine's cores
        sessions.append(onnxruntime.InferenceSession(checked.content, options, providers=["CPUExecutionProvider"]))
        return str(checked.resolution or 0).encode()

    sessions: list[Any] = []
    if not _answer(answers, load):
        return
    while head := sys.stdin.buffer.read(16):
        batch, n = struct.unpack("<QQ", head)
        source = _read(batch, n, n)
        coefficients = _read(batch, COEFFICIENTS)
        _answer(answers, lambda: _run(sessions[0], source, coefficients))  # noqa: B023 (called at once)


def _run(session: Any, source: np.ndarray[Any, Any], coefficients: np.ndarray[Any, Any]) -> bytes:
    (solution,) = session.run([OUTPUT], dict(zip(INPUTS, (source, coefficients), strict=True)))
    if not isinstance(solution, np.ndarray) or solution.dtype != np.float32 or solution.shape != source.shape:
        found = getattr(solution, "shape", type(solution).__name__)
        raise GraphError(f"it gave {found} and not the float32 solutions {source.shape}")
    return solution.astype("<f4", copy=False).tobytes()


def _read(*shape: int) -> np.ndarray[Any, Any]:
    content = sys.stdin.buffer.read(4 * int(np.prod(shape)))
    return np.frombuffer(content, "<f4").reshape(shape).astype(np.float32)


def _answer(answers: BinaryIO, make: Callable[[], bytes]) -> bool:
    """Send what a function returns, or why it did not; return whether it did."""
    try:
        failed, content = 0, make()
    except MemoryError:
        failed, content = 1, b"it needs more memory than it is given"
    except Exception as error:  # noqa: BLE001 (whatever the runtime finds wrong with a stranger's graph)
        text = in_one_line(words_of(error)) or type(error).__name__
        if "bad_alloc" in text or "Failed to allocate memory" in text or "bad allocation" in text:
            text = "it needs more memory than it is given"
        failed, content = 1, text[:_LONGEST].encode()
    answers.write(struct.pack("<BQ", failed, len(content)) + content)
    answers.flush()
    return not failed


def _limit(memory: int) -> None:
    """Let this process have so many bytes more than now, write no file and leave no core, where the system can."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    pages = 0
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    for what, most in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS takes no limit of memory
            resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    main(*sys.argv[1:])
