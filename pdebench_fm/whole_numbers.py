"""What counts as a whole number where users give one."""

import operator


def as_whole_number(value: object) -> int | None:
    """Return a whole number of Python's, NumPy's or PyTorch's as Python's; None for anything else.

    True, 1.0 and "1" are none.
    """
    try:
        if not str(getattr(value, "dtype", type(value).__name__)).endswith("bool"):
            return operator.index(value)  # type: ignore[arg-type]  # which is what it finds out
    except (TypeError, ValueError, RuntimeError):
        pass
    return None
