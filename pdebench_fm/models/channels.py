"""Image-to-image networks as operators: coefficients become constant channels, the equation's scaling is built in."""

import torch
from torch import Tensor, nn

from pdebench_fm.models.fno import INPUT_CHANNELS
from pdebench_fm.models.normalisers import shape_and_amplitude

MIXED_SCALES = (0.017, 0.017, 0.0072, 0.15, 0.15, 6.7)
"""Root mean square of each coefficient, where it is not zero, in the pretraining data of the three systems together."""


class ChannelOperator(nn.Module):
    """An operator made of a network that maps channels (B, 7, n, n) to one channel (B, 1, n, n).

    The normalisation is that of `NeuralOperator`: the network sees the source divided by its root mean square, and the
    six coefficients, divided by fixed scales, as constant channels; its output is multiplied by the root mean square.
    So the operator is exactly homogeneous in its source, as the equation is, and no statistics have to be fitted.

    Attributes:
        network: The network.
        scales: (6,), what the coefficients are divided by; saved with the weights.
    """

    in_channels = INPUT_CHANNELS
    scales: Tensor

    def __init__(self, network: nn.Module, coefficient_scales: tuple[float, ...] = MIXED_SCALES) -> None:
        """Wrap a network.

        Args:
            network: Maps (B, 7, n, n) float32 to (B, 1, n, n).
            coefficient_scales: A typical magnitude of each of (k11, k22, k12, v1, v2, omega).
        """
        super().__init__()
        self.network = network
        self.register_buffer("scales", torch.tensor(coefficient_scales))

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Solve a batch.

        Args:
            source: (B, n, n) float32.
            coefficients: (B, 6) float32, (k11, k22, k12, v1, v2, omega).

        Returns:
            (B, n, n).
        """
        normalised, amplitude = shape_and_amplitude(source)
        constants = (coefficients / self.scales)[:, :, None, None].expand(-1, -1, *source.shape[1:])
        output: Tensor = self.network(torch.cat([normalised[:, None], constants], dim=1))
        return amplitude * output[:, 0]
