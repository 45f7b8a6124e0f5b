"""A model's code that a user brought: its exceptions are shown with its own traceback, not with ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pdebench_fm.errors import PdefmError
from pdebench_fm.extensions.importing import failure

_PLUMBING = (
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
        raise failure(what, error, _PLUMBING) from error
