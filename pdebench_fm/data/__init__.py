"""Datasets: the catalogue of tasks, rows made on the fly or read from files, builds and digests."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdebench_fm.data.recipe_stream import stream

__all__ = ["stream"]


def __getattr__(name: str) -> Any:
    """Import `stream` when it is first used: it needs PyTorch, which the catalogue does not."""
    if name != "stream":
        raise AttributeError(f"module 'pdebench_fm.data' has no attribute {name!r}")
    from pdebench_fm.data.recipe_stream import stream

    return stream
