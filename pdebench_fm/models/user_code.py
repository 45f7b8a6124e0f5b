"""Code that a user brought: its exceptions are shown with its own traceback, not with ours."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import pdebench_fm
from pdebench_fm.errors import PdefmError, UserCodeError

_OURS = str(Path(pdebench_fm.__file__).parent)
_PLUMBING = (
    "<frozen importlib",
    str(Path(torch.__file__).parent / "nn" / "modules" / "module.py"),
    str(Path(torch.__file__).parent / "utils" / "_contextlib.py"),
)


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run a user's code in this context.

    Args:
        what: Names the code in the message, such as "build in mine.py".

    Raises:
        UserCodeError: If the code raises, `sys.exit` included. Errors of this package and a lack of memory pass
            through as they are.
    """
    try:
        yield
    except (PdefmError, MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        raise UserCodeError(f"{what} raised {type(error).__name__}: {text}", users_traceback(error)) from error


def users_traceback(error: BaseException) -> str:
    """Return an exception's traceback from the first frame on that is the user's."""
    shown = traceback.TracebackException.from_exception(error)
    while shown.stack and _is_ours(shown.stack[0].filename):
        del shown.stack[0]
    return "".join(shown.format())


def _is_ours(filename: str) -> bool:
    """Return whether a frame leads to the user's code rather than being it."""
    return filename.startswith((_OURS, *_PLUMBING))
