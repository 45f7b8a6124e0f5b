"""The network against two others of the same widths and modes: time and memory of a training step and of inference.

    pip install neuraloperator
    python scripts/bench/network.py [--sizes 64k,1m,16m] [--resolutions 64,128] [--threads 2] [--rounds 15]

Compared are ours, `neuraloperator`'s FNO (its channel MLPs, positional embedding and normalisations off, so that it is
the same sequence of operators), and a plain implementation of the paper's network by full FFTs. All see the same batch;
the others are given their seven input channels ready-made, ours makes its own. The three take turns, so that a change
of the machine's speed meets all alike, and each ratio is the median over the turns. Peak memory is that of a process
of its own, above what it held before its first step.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.models import SIZES, HomogeneousNormaliser, ModelConfig, NeuralOperator, Size
from pdebench_fm.training.loss import relative_l2

OURS, NEURALOPERATOR, PLAIN = "ours", "neuraloperator", "plain FFT"
_LAYERS = 4


class PlainSpectral(nn.Module):
    """A spectral convolution as it is usually written: full transforms, complex weights, two corners."""

    def __init__(self, width: int, modes: int) -> None:
        super().__init__()
        self.modes = modes
        scale = 1 / width**2
        self.corners = nn.ParameterList(
            scale * torch.rand(width, width, modes, modes, dtype=torch.cfloat) for _ in range(2)
        )

    def forward(self, field: Tensor) -> Tensor:
        m, (ny, nx) = self.modes, field.shape[-2:]
        spectrum = torch.fft.rfft2(field)
        out = torch.zeros_like(spectrum)
        out[:, :, :m, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, :m, :m], self.corners[0])
        out[:, :, -m:, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, -m:, :m], self.corners[1])
        return torch.fft.irfft2(out, s=(ny, nx))


class PlainFNO(nn.Module):
    """The paper's network from PyTorch's own parts."""

    def __init__(self, width: int, modes: int) -> None:
        super().__init__()
        self.lift = nn.Conv2d(7, width, 1)
        self.spectral = nn.ModuleList(PlainSpectral(width, modes) for _ in range(_LAYERS))
        self.pointwise = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(_LAYERS))
        self.expand, self.project = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, 1, 1)

    def forward(self, channels: Tensor) -> Tensor:
        field = self.lift(channels)
        for index, (spectral, pointwise) in enumerate(zip(self.spectral, self.pointwise, strict=True)):
            field = spectral(field) + pointwise(field)
            if index < _LAYERS - 1:
                field = functional.gelu(field)
        return self.project(functional.gelu(self.expand(field)))[:, 0]


def neuraloperator(size: Size) -> nn.Module:
    from neuralop.models import FNO

    network = FNO(
        n_modes=(2 * size.modes, 2 * size.modes - 1),  # it keeps half of the last axis, rounded up: m
        in_channels=7,
        out_channels=1,
        hidden_channels=size.width,
        n_layers=_LAYERS,
        lifting_channel_ratio=0,
        projection_channel_ratio=2,
        positional_embedding=None,
        use_channel_mlp=False,
    )

    class WithoutChannel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, channels: Tensor) -> Tensor:
            return self.network(channels)[:, 0]

    return WithoutChannel()


def subject(kind: str, size: Size, resolution: int, batch: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a training step and an inference of one implementation."""
    torch.manual_seed(0)
    source, solution = torch.randn(batch, resolution, resolution), torch.randn(batch, resolution, resolution)
    coefficients = torch.rand(batch, 6)
    if kind == OURS:
        normaliser = HomogeneousNormaliser(coefficient_scales=(1.0,) * 6)
        model: nn.Module = NeuralOperator(ModelConfig(width=size.width, modes=size.modes, normaliser=normaliser))
        inputs: tuple[Tensor, ...] = (source, coefficients)
    else:
        model = neuraloperator(size) if kind == NEURALOPERATOR else PlainFNO(size.width, size.modes)
        constants = coefficients[:, :, None, None].expand(-1, -1, resolution, resolution)
        inputs = (torch.cat([source[:, None], constants], dim=1),)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=kind == OURS)  # fused Adam takes no complex weights

    def train() -> None:
        optimizer.zero_grad()
        relative_l2(model(*inputs), solution).mean().backward()
        optimizer.step()

    @torch.inference_mode()
    def infer() -> None:
        model(*inputs)

    return train, infer


def compare(size: Size, resolution: int, batch: int, rounds: int) -> None:
    subjects = {kind: subject(kind, size, resolution, batch) for kind in (OURS, NEURALOPERATOR, PLAIN)}
    for mode, what in enumerate(("training", "inference")):
        times: dict[str, list[float]] = {kind: [] for kind in subjects}
        for turn in range(-1, rounds):  # the first is not counted
            for kind, actions in subjects.items():
                began = time.perf_counter()
                actions[mode]()
                if turn >= 0:
                    times[kind].append(time.perf_counter() - began)
        ratios = {
            kind: statistics.median(theirs / ours for theirs, ours in zip(times[kind], times[OURS], strict=True))
            for kind in (NEURALOPERATOR, PLAIN)
        }
        memory = {kind: peak_memory(kind, size, resolution, batch, mode) for kind in subjects}
        ours = f"ours {1e3 * statistics.median(times[OURS]) / batch:7.2f} ms/sample  {memory[OURS]:5.0f} MiB"
        others = [f"{kind} {ratio:4.2f}×  {memory[kind]:5.0f} MiB" for kind, ratio in ratios.items()]
        print(" | ".join([f"{size.name:>4} {resolution:>3}² {what:<9} {ours}", *others]), flush=True)


def peak_memory(kind: str, size: Size, resolution: int, batch: int, mode: int) -> float:
    """Return the MiB by which a process of its own grows at most in two steps."""
    call = [sys.executable, __file__, "--probe", json.dumps([kind, size.name, resolution, batch, mode])]
    return float(subprocess.run(call, check=True, capture_output=True, text=True).stdout)


def probe(kind: str, size: str, resolution: int, batch: int, mode: int) -> None:
    action = subject(kind, SIZES[size], resolution, batch)[mode]
    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is counted from here on
    before = in_status(status, "VmRSS")
    action()
    action()
    print((in_status(status, "VmHWM") - before) / 1024)


def in_status(status: Path, name: str) -> int:
    """Return a line of Linux's /proc/self/status, in KiB."""
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sizes", default="64k,1m,16m")
    arguments.add_argument("--resolutions", default="64,128")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--probe")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    if options.probe:
        probe(*json.loads(options.probe))
        return
    keep_freed_memory()
    print(f"PyTorch {torch.__version__}, {options.threads} threads, batches of {options.batch}; ratio = theirs / ours")
    for size in options.sizes.split(","):
        for resolution in options.resolutions.split(","):
            compare(SIZES[size], int(resolution), options.batch, options.rounds)


if __name__ == "__main__":
    main()
