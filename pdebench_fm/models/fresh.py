"""Fresh starts: the same architecture with random weights fixed by a seed, for modules that are not ours."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's generators of the CPU and of `device` in this context, and put them back after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def fresh_by_reset(model: nn.Module) -> Callable[[int], nn.Module] | None:
    """Return what makes fresh copies of a module by the `reset_parameters` of its parts.

    Args:
        model: Left as it is.

    Returns:
        A function of the seed; None if some parameter would keep its value, or if some are frozen: whether those
        belong to the architecture or to the pretraining, only the module's author knows.
    """
    parameters = list(model.parameters())
    if not parameters or not all(parameter.requires_grad for parameter in parameters) or not _resets_all(model):
        return None
    device = parameters[0].device

    def fresh(seed: int) -> nn.Module:
        with seeded(seed, device):
            return _reset(copy.deepcopy(model))

    return fresh


def _reset(module: nn.Module) -> nn.Module:
    """Reset every part that can be, the outer ones last, so that they have the last word."""
    for part in reversed(list(module.modules())):
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
    return module


def _resets_all(model: nn.Module) -> bool:
    """Return whether resetting draws every parameter anew, by trying it on a copy filled with NaN."""
    try:
        with torch.no_grad(), seeded(0, next(model.parameters()).device):
            probe = copy.deepcopy(model)
            for parameter in probe.parameters():
                parameter.fill_(torch.nan)
            _reset(probe)
            return all(bool(parameter.isfinite().all()) for parameter in probe.parameters())
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return False  # a part that cannot be copied, or whose reset_parameters wants arguments
