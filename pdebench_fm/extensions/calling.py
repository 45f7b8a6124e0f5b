"""A model's code that a user brought: its exceptions are told as its own, and the switches that it turns put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pdebench_fm.errors import PdefmError
from pdebench_fm.extensions.importing import failure
from pdebench_fm.surroundings import unchanged

_PLUMBING = (
    str(Path(torch.__file__).parent / "nn" / "modules" / "module.py"),
    str(Path(torch.__file__).parent / "utils" / "_contextlib.py"),
)


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run a user's code in this context; what it sets for the whole process or thread is put back after it.

    Args:
        what: Names the code in the message, such as "build in mine.py".

    Raises:
        UserCodeError: If the code raises, `sys.exit` and whatever else is no `Exception` included. Errors of this
            package, a lack of memory and a `KeyboardInterrupt` pass through as they are.
    """
    try:
        with unchanged():
            yield
    except (PdefmError, MemoryError, torch.OutOfMemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise failure(what, error, _PLUMBING) from error
