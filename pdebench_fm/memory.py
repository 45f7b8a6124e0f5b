"""How a process uses its memory, for work that the usual way makes slow.

Freed memory is kept, because sampling and training free and claim the same fields at every step. And no garbage is
looked for while many objects are made that stay.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pdebench_fm.errors import words_of

_NO_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "can't start new thread",
)
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's <malloc.h>


def keep_freed_memory() -> bool:
    """Tell glibc's allocator not to return freed memory to the system, for the rest of the process.

    By default every field of some megabytes is new memory that the kernel clears page by page, which can take
    longer than the arithmetic on it. The process then holds its peak memory until it ends. Called by the commands
    and workers that make or train on many fields; it changes no result.

    Returns:
        Whether it took effect: False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26))
    return all(mallopt(option, value) == 1 for option, value in settings)


@contextmanager
def no_garbage_sought() -> Iterator[None]:
    """Leave out, in this context, Python's search for objects that refer to each other in circles and to nothing else.

    It looks through all objects again and again as they become more; where records are read that all stay, it finds
    nothing.
    """
    sought = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if sought:
            gc.enable()


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether an exception, or one that it was raised from, is for want of memory.

    PyTorch and the system say so in words, and a thread that cannot be started lacks the memory for its stack.
    """
    while error is not None:
        named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # the latter is PyTorch's
        if named or any(words in words_of(error).lower() for words in _NO_MEMORY):
            return True
        error = error.__cause__
    return False
