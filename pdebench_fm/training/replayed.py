"""Passes of a network on a GPU, recorded once and replayed: small networks wait for their launches, not for the GPU."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pdebench_fm.models.operator import NeuralOperator

_Pass = Callable[[Tensor, Tensor], Tensor]


def replayed(module: nn.Module) -> nn.Module:
    """Return what to call in a module's place: where it is one of this package's networks on a GPU, a `Replayed`.

    Other modules are returned as they are, and networks with hooks: what is done between kernels may matter to them.
    """
    is_own = type(module) is NeuralOperator and all(parameter.is_cuda for parameter in module.parameters())
    return Replayed(module) if is_own and not any(_hooks(module)) else module


class Replayed(nn.Module):
    """A network whose passes, forward and backward, are replayed as CUDA graphs.

    A step of a small network is about a thousand kernels of a few microseconds each, which Python takes several times
    as long to launch. They are recorded with the first batch of each shape, with and without gradients, and replayed
    after that: the same kernels in the same order, on what the parameters hold then.
    """

    def __init__(self, module: nn.Module) -> None:
        """Replay a network whose parameters may change in place but not be replaced; it does the same in every mode."""
        super().__init__()
        self.module = module
        self._recorded: dict[tuple[torch.Size, bool], _Pass] = {}

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Return what the network does, in memory that the next pass of this shape writes over.

        Args:
            source: (B, n, n), on the network's GPU.
            coefficients: (B, 6), likewise.
        """
        key = source.shape, torch.is_grad_enabled()
        if key not in self._recorded:
            record = _recorded_with_gradients if torch.is_grad_enabled() else _recorded
            self._recorded[key] = record(self.module, source.clone(), coefficients.clone())
        return self._recorded[key](source, coefficients)


def _recorded_with_gradients(module: nn.Module, source: Tensor, coefficients: Tensor) -> _Pass:
    # Newer versions of PyTorch warn that gradients come from the recording's stream, for which they do wait.
    getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", lambda _: None)(False)
    shell: Any = copy.copy(module)  # with the same parameters: PyTorch puts the replay in place of its `forward`
    torch.cuda.make_graphed_callables(shell, (source, coefficients))
    recorded: _Pass = shell.forward
    del shell.forward  # or the two would hold each other, and memory of the GPU, until garbage is collected
    return recorded


def _recorded(module: nn.Module, source: Tensor, coefficients: Tensor) -> _Pass:
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        module(source, coefficients)  # what is made once, such as constants, is no part of the recording
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output: Tensor = module(source, coefficients)

    def replay(now: Tensor, coefficients_now: Tensor) -> Tensor:
        source.copy_(now)
        coefficients.copy_(coefficients_now)
        graph.replay()
        return output

    return replay


def _hooks(module: nn.Module) -> Iterator[object]:
    """Yield what a user has hung onto the passes of a module's parts."""
    for part in module.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks):  # noqa: SLF001
            yield from hooks.values()
