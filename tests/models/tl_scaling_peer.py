"""The peer's network, inputs and files, written anew from a description of arXiv 2306.00258's public code."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = {"helmholtz": (0, 5), "poisson": (0, 1, 2), "advection-diffusion": (0, 1, 2, 3, 4)}
SCALES = {
    "poisson": [0.0021, 0.021, 0.019, 0.006, 0.4, 1, 1],
    "advection-diffusion": [0.0019, 0.012, 0.013, 0.004, 0.31, 0.29, 0.2, 1, 1],
    "helmholtz": [0.0023, 0.01, 6.0, 0.3, 1, 1],
}
CONFIG = """
default: &DEFAULT
  model: 'fno'
  in_dim: 2
  out_dim: 1
  dropout: 0
  Lx: !!float 1.0
  Ly: !!float 1.0
  loss_func: 'mse'
  lr: !!float 1.0

small: &small
  <<: *DEFAULT
  layers: [64, 64, 64, 64, 64]
  modes1: [65, 65, 65, 65]
  modes2: [65, 65, 65, 65]
  fc_dim: 128
  in_dim: {in_dim}
  mode_cut: 5
  embed_cut: 8
  fc_cut: 2
  lr: 1E-3

trained: &trained
  <<: *small
  scales_path: '/somewhere/scales.npy'
"""


class PeerNetwork(nn.Module):
    """Lift, layers of (spectral convolution + 1x1 convolution) with GELU between them, two-layer projection."""

    def __init__(self, in_dim, width=8, modes=5, layers=4):
        super().__init__()
        self.modes = modes
        self.fc0 = nn.Linear(in_dim, width)
        self.sp_convs = nn.ModuleList(nn.Module() for _ in range(layers))
        for layer in self.sp_convs:
            for sign in (1, 2):
                weights = nn.Parameter(torch.randn(width, width, modes, modes, 2))
                layer.register_parameter(f"weights{sign}", weights)
        self.ws = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(layers))
        self.fc1 = nn.Linear(width, 2 * width)
        self.fc2 = nn.Linear(2 * width, 1)

    def convolve(self, layer, x):
        m = self.modes
        spectrum = torch.fft.rfft2(x, norm="ortho")
        out = torch.zeros_like(spectrum)
        for rows, weights in ((slice(0, m), layer.weights1), (slice(-m, None), layer.weights2)):
            kernel = torch.view_as_complex(weights)
            out[:, :, rows, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, rows, :m], kernel)
        return torch.fft.irfft2(out, s=x.shape[-2:], norm="ortho")

    def forward(self, x):
        x = self.fc0(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        for index, (layer, pointwise) in enumerate(zip(self.sp_convs, self.ws, strict=True)):
            x = self.convolve(layer, x) + pointwise(x.flatten(2)).view(x.shape)
            if index < len(self.ws) - 1:
                x = F.gelu(x)
        return self.fc2(F.gelu(self.fc1(x.permute(0, 2, 3, 1))))[..., 0]


def pack(source, coefficients, channels, scales=None):
    """The inputs of their data set, sample by sample in NumPy: (B, 1 + c, n, n)."""
    packed = []
    if scales is not None:
        scales = np.array([scale if scale != 0 else 1 for scale in scales]).astype("float32")
    for field, row in zip(source.numpy(), coefficients.numpy(), strict=True):
        x = np.stack([field, *(np.full_like(field, row[channel]) for channel in channels)])
        if scales is not None:
            nx, ny = field.shape
            norm = np.linalg.norm(field) * (scales[-2] / nx) * (scales[-1] / ny)
            x = x / (norm / scales[0])
            for index in range(1, len(x)):
                x[index] = x[index] / scales[index]
        packed.append(x)
    return torch.from_numpy(np.stack(packed).astype("float32"))


@dataclass
class Peer:
    """A run of theirs: its network, and its files in a folder."""

    network: PeerNetwork
    folder: object
    channels: tuple

    @property
    def checkpoint(self):
        return self.folder / "ckpt.tar"

    @property
    def config(self):
        return self.folder / "config.yaml"

    @property
    def scales(self):
        return self.folder / "scales.npy"

    def save(self, prefix="", extra=None, **changes):
        """Write the checkpoint as their trainer does; `changes` replace weights, None removes one."""
        weights = self.network.state_dict() | changes
        weights = {prefix + name: tensor for name, tensor in weights.items() if tensor is not None}
        content = {
            "iters": 12,
            "epoch": 3,
            "model_state": weights,
            "optimizer_state_dict": {"param_groups": [{"lr": 1e-3, **(extra or {})}]},
            "scheduler_state_dict": {"T_max": 500, "base_lrs": [1e-3]},
        }
        torch.save(content, self.checkpoint)

    def solve(self, source, coefficients, scales=None):
        with torch.no_grad():
            return self.network(pack(source, coefficients, self.channels, scales))


def make_peer(folder, system, channels=None):
    channels = channels or CHANNELS[system]
    torch.manual_seed(len(channels))
    peer = Peer(PeerNetwork(1 + len(channels)), folder, channels)
    peer.save()
    peer.config.write_text(CONFIG.format(in_dim=1 + len(channels)))
    np.save(peer.scales, SCALES[system])
    return peer
