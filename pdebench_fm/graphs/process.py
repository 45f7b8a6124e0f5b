"""A graph that runs in a process of its own: what a stranger's file does to memory and time is that process's affair.

Nothing that comes back is code or a pickle: a line of text, or as many float32 values as were asked for.
"""

import importlib.util
import os
import struct
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.errors import UsageError
from pdebench_fm.graphs.interface import GraphError
from pdebench_fm.limits import GRAPH_BYTES, GRAPH_MEMORY, GRAPH_SECONDS, in_bytes
from pdebench_fm.text import in_one_line

PACKAGES = ("onnx", "onnxruntime")
"""What running a graph needs, of the extra `onnx`."""

WRITING_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What writing one needs."""

# No token, no home with one, and nothing that tells a runtime to do more than to run.
_KEPT = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TEMP", "VIRTUAL_ENV")
_MOST_TEXT = 4096


def require_packages(what: str, packages: tuple[str, ...] = PACKAGES) -> None:
    """Raise a `UsageError` if packages of the extra `onnx` are missing; `what` needs them."""
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        raise UsageError(f"{what} needs {' and '.join(missing)}: pip install 'pdebench-fm[onnx]'")


def is_installed(package: str) -> bool:
    """Return whether a package could be imported; it is not."""
    if package in sys.modules:
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None


class RunningGraph:
    """A loaded graph, ready to be called.

    Attributes:
        resolution: n, the points a side of its fields; None if it says nothing of that.
    """

    def __init__(self, path: Path, *, seconds: float = GRAPH_SECONDS, memory: int = GRAPH_MEMORY) -> None:
        """Check a graph as data and load it, in a process that ends with this object.

        Args:
            path: Of the file.
            seconds: That loading, or one call, may take.
            memory: Bytes that the process may have beside the runtime and a few times the file; held to on Linux.

        Raises:
            UsageError: If the runtime is not installed.
            GraphError: If the file is too large or no graph that is run, or if loading it takes too much of either.
        """
        require_packages("an ONNX graph")
        size = path.stat().st_size
        if size > GRAPH_BYTES:
            raise GraphError(f"it has {in_bytes(size)}, of at most {in_bytes(GRAPH_BYTES)}")
        self._seconds = seconds
        self._process = subprocess.Popen(  # noqa: S603 (this package's own module)
            [sys.executable, "-P", "-m", "pdebench_fm.graphs.child", str(path.resolve()), str(memory + 6 * size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        self._end = weakref.finalize(self, _ended, self._process)
        self.resolution = int(self._asked(b"", _MOST_TEXT)) or None

    def __call__(self, source: NDArray[np.float32], coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the solutions, (B, n, n), of sources (B, n, n) and coefficients (B, 6).

        Raises:
            GraphError: If it fails, gives anything else, or takes too much time or memory; it is ended then.
        """
        batch, n, _ = source.shape
        values = [np.ascontiguousarray(each, "<f4").tobytes() for each in (source, coefficients)]
        content = self._asked(b"".join([struct.pack("<QQ", batch, n), *values]), source.size * 4)
        if len(content) != source.size * 4:
            raise GraphError("it gave too few values")
        return np.frombuffer(content, "<f4").reshape(source.shape).astype(np.float32)

    def close(self) -> None:
        """End its process."""
        self._end()

    def _asked(self, request: bytes, most: int) -> bytes:
        """Return the answer to a request, of at most so many bytes."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 (both are pipes)
        timer = threading.Timer(self._seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            failed, length = struct.unpack("<BQ", _read(self._process.stdout, 9))
            content = _read(self._process.stdout, min(length, _MOST_TEXT if failed else most))
        except (OSError, EOFError, ValueError):
            self.close()
            raise GraphError(self._how_it_ended(late=late.is_set())) from None
        finally:
            timer.cancel()
        if failed:
            raise GraphError(in_one_line(content.decode(errors="replace")))
        return content

    def _how_it_ended(self, *, late: bool) -> str:
        if late:
            return f"it took longer than {self._seconds:g} s"
        return f"its process ended (exit code {self._process.returncode}): was there enough memory?"


def _environment() -> dict[str, str]:
    """Return what the process is told: where this package is, and little else."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    places = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def _read(pipe: IO[bytes], size: int) -> bytes:
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _ended(process: "subprocess.Popen[Any]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was to be written has nowhere to go
                pipe.close()
