"""Fresh starts: the same architecture with random weights fixed by a seed, for modules that are not ours."""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pdebench_fm.errors import UserCodeError
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.surroundings import seeded


def fresh_by_reset(model: nn.Module) -> Callable[[int], nn.Module] | None:
    """Return what makes fresh copies of a module by the `reset_parameters` of its parts.

    Args:
        model: Left as it is.

    Returns:
        A function of the seed; None if some parameter would keep its value, or if some are frozen: whether those
        belong to the architecture or to the pretraining, only the module's author knows.
    """
    try:
        parameters = list(model.parameters())
        if not parameters or not all(parameter.requires_grad for parameter in parameters) or not _resets_all(model):
            return None
        device = parameters[0].device
    except Exception:  # noqa: BLE001 (a module of the user's own may refuse to be looked at in any way)
        return None

    def fresh(seed: int) -> nn.Module:
        with seeded(seed, device), user_code("making the model with fresh weights"):
            return _reset(copied(model))

    return fresh


def _reset(module: nn.Module) -> nn.Module:
    """Reset every part that can be, the outer ones last, so that they have the last word."""
    for part in reversed(list(module.modules())):
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
    return module


def _resets_all(model: nn.Module) -> bool:
    """Return whether resetting draws every parameter anew, by trying it on a copy filled with NaN.

    Raises:
        Exception: if a part cannot be copied, or its `reset_parameters` wants arguments.
    """
    with seeded(0, next(model.parameters()).device), torch.no_grad():
        probe = copied(model)
        for parameter in probe.parameters():
            parameter.fill_(torch.nan)
        _reset(probe)
        return all(bool(parameter.isfinite().all()) for parameter in probe.parameters())


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of a module, as it is now, whose parameters can be trained if its own can.

    `copy.deepcopy` alone gives a `torch.jit.ScriptModule` parameters that are computed from those of the first, and
    copies no tensors with a history, such as a training step leaves where a module keeps what it has computed, or
    `torch.nn.utils.weight_norm` keeps its weights: they lose it.

    Args:
        model: left as it is.
    """
    with torch.no_grad():
        twin = copy.deepcopy(model, {id(tensor): tensor.detach().clone() for tensor in _with_history(model)})
    for parameter, own in zip(model.parameters(), twin.parameters(), strict=False):  # a copy may be its author's work
        if parameter.requires_grad and not own.requires_grad and own.is_leaf:
            own.requires_grad_()
    return twin


def _with_history(model: nn.Module) -> Iterator[torch.Tensor]:
    """Yield the tensors with a history that a module's attributes hold, inside containers too."""
    seen: set[int] = set()
    held: list[object] = [vars(part) for part in model.modules()]
    while held:
        value = held.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            if not value.is_leaf:
                yield value
        elif isinstance(value, dict):
            held += value.values()
        elif isinstance(value, list | tuple | set | frozenset | deque):
            held += value
        elif not isinstance(value, nn.Module | type | ModuleType | FunctionType) and hasattr(value, "__dict__"):
            held.append(vars(value))


def initialised(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a module whose lazy parts have their parameters: itself if there are none, else a copy that was called.

    Args:
        model: left as it is; returned if it cannot be copied or called, which its evaluation then tells.
        device: where its inputs must lie.
    """
    try:
        with seeded(0, device), user_code("the model"):
            if not any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
                return model
            twin = copied(model).eval()
            with torch.no_grad():
                twin(torch.ones(1, 64, 64, device=device), torch.ones(1, 6, device=device))
            return twin.train(model.training)
    except UserCodeError:
        return model
