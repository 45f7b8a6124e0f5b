"""What every graph of this package takes and gives, and how one that does not is refused."""

import re

from pdebench_fm.errors import PdefmError

INPUTS = ("source", "coefficients")
"""(B, n, n) and (B, 6), float32."""

OUTPUT = "solution"
"""(B, n, n), float32."""

COEFFICIENTS = 6

GRAPH_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\.onnx"
"""What a graph's file is called, so that results and repositories can name it."""

_LONGEST_NAME = 200


def is_graph_name(text: str) -> bool:
    """Tell whether a graph's file may have this name, which has no folder."""
    return len(text) <= _LONGEST_NAME and re.fullmatch(GRAPH_NAME, text) is not None


class GraphError(PdefmError):
    """A file is no graph that is run, or it failed when it was: says why, without the file's name."""
