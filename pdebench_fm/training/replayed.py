"""Passes of a network on a GPU, recorded once and replayed: small networks wait for their launches, not for the GPU."""

import copy
import gc
import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from pdebench_fm.models.fno import FNO, FourierLayer
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.spectral import SpectralConvolution

_Pass = Callable[[Tensor, Tensor], Tensor]
_PARTS = frozenset({NeuralOperator, FNO, FourierLayer, SpectralConvolution, nn.Linear, nn.ModuleList})
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def replayed(module: nn.Module) -> nn.Module:
    """Return what to call in a module's place: where it is one of this package's networks on a GPU, a `Replayed`.

    Other modules are returned as they are, and networks that a user has changed: what is done between kernels may
    matter to them. So are those on another GPU than the process's current one, where PyTorch would record nothing.
    """
    if type(module) is not NeuralOperator or not all(map(_is_plain, module.modules())):
        return module
    on_current = all(p.is_cuda and p.get_device() == torch.cuda.current_device() for p in module.parameters())
    return Replayed(module) if on_current else module


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
            if not self._recorded:
                gc.collect()  # PyTorch's recordings are in cycles, and hold memory of the GPU until those are found
            record = _recorded_with_gradients if torch.is_grad_enabled() else _recorded
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "The CUDA Graph is empty")
                self._recorded[key] = record(self.module, source.clone(), coefficients.clone())
        return self._recorded[key](source, coefficients)


def _recorded_with_gradients(module: nn.Module, source: Tensor, coefficients: Tensor) -> _Pass:
    # Newer versions of PyTorch warn that gradients come from the recording's stream, for which they do wait.
    getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", lambda _: None)(False)
    shell = copy.copy(module)  # with the same parameters: PyTorch puts the replay into what it is given
    recorded: Any = torch.cuda.make_graphed_callables(shell, (source, coefficients))
    return cast("_Pass", recorded)


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


def _is_plain(part: nn.Module) -> bool:
    """Return whether a part of a network is as this package made it."""
    return type(part) in _PARTS and "forward" not in vars(part) and not any(getattr(part, hooks) for hooks in _HOOKS)
