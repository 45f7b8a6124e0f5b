"""Holding PyTorch to algorithms that give the same bits each time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def is_deterministic(wanted: bool | None, device: torch.device) -> bool:
    """Return whether to hold PyTorch to deterministic algorithms: as wanted, and by default on a CPU."""
    return device.type == "cpu" if wanted is None else wanted


@contextmanager
def algorithms(*, deterministic: bool) -> Iterator[None]:
    """Hold PyTorch to deterministic algorithms in this context, or let it choose; then put everything back.

    An operation that has none raises, as PyTorch's own setting does. cuBLAS reads its part once, at its first use in
    the process, so on a GPU this has to come first.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    benchmark = torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault(_CUBLAS_WORKSPACE, ":4096:8")
        torch.backends.cudnn.benchmark = False
        # every new tensor would be filled with NaN first: a check of models for reading memory they never wrote
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(deterministic)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = benchmark
