"""The training loss: relative ℓ², the benchmark's own score."""

import torch
from torch import Tensor


def relative_l2(prediction: Tensor, solution: Tensor) -> Tensor:
    """Return ‖û − u‖₂ / ‖u‖₂ of each sample, (B,), from fields of (B, n, n)."""
    difference = torch.linalg.vector_norm(prediction - solution, dim=(-2, -1))
    error: Tensor = difference / torch.linalg.vector_norm(solution, dim=(-2, -1))
    return error
