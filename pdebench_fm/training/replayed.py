"""Passes of a network on a GPU, recorded once and replayed: small networks wait for their launches, not for the GPU."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pdebench_fm.models.operator import NeuralOperator


class Replayed:
    """Calls a network in training, and on a GPU replays its passes, forward and backward, as CUDA graphs.

    A step of a small network is about a thousand kernels of a few microseconds each, which Python takes several times
    as long to launch. They are recorded with the first batch of each shape and replayed after that: the same kernels in
    the same order. Only this package's own networks are recorded: what other modules do between kernels may matter.
    """

    def __init__(self, module: nn.Module) -> None:
        """Replay passes of a module, whose parameters may change in place but not be replaced."""
        self._module = module
        self._recorded: dict[torch.Size, Callable[[Tensor, Tensor], Any]] = {}

    def __call__(self, source: Tensor, coefficients: Tensor) -> Any:
        """Return what the module does; a replay's is overwritten by the next.

        Args:
            source: (B, n, n).
            coefficients: (B, 6).
        """
        if not self._can_record(source):
            return self._module(source, coefficients)
        if source.shape not in self._recorded:
            shell = copy.copy(self._module)  # the same parameters: PyTorch puts the replay into what it is given
            self._recorded[source.shape] = torch.cuda.make_graphed_callables(
                shell, (source.clone(), coefficients.clone())
            )
        return self._recorded[source.shape](source, coefficients)

    def _can_record(self, source: Tensor) -> bool:
        return (
            source.is_cuda
            and type(self._module) is NeuralOperator
            and self._module.training
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cuda")
            and not any(_hooks(self._module))
        )


def _hooks(module: nn.Module) -> Iterator[object]:
    """Yield what a user has hung onto the passes of a module's parts."""
    for part in module.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks):  # noqa: SLF001
            yield from hooks.values()
