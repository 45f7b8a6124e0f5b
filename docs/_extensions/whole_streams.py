"""What a cell prints is shown as it was printed, whole, whatever the pieces that it came in.

A kernel hands on what a command prints in pieces of 100 bytes, more of them the busier the machine is. MyST-NB merges
them such that each ends its line, which breaks tables. Here they are joined with nothing between them, before it looks.
"""

from typing import Any

from myst_nb.core import render
from myst_nb.core.utils import coalesce_streams
from nbformat import NotebookNode
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:  # noqa: ARG001
    """Register the extension."""
    render.coalesce_streams = whole_streams
    return {"parallel_read_safe": True, "version": "1"}


def whole_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return a cell's outputs with one output for each stream, where its first piece was."""
    joined: list[NotebookNode] = []
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            joined.append(output)
        elif output["name"] in streams:
            streams[output["name"]]["text"] += output["text"]
        else:
            streams[output["name"]] = NotebookNode(output)
            joined.append(streams[output["name"]])
    return list(coalesce_streams(joined))
