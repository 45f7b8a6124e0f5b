"""Which tensors a Fourier neural operator has, from three numbers: so that files are judged before a model is built."""

import math

from pdebench_fm.models.fno import INPUT_CHANNELS


def tensor_shapes(width: int, modes: int, layers: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a `NeuralOperator` by its name in `model.safetensors`; all are float32."""
    shapes: dict[str, tuple[int, ...]] = _linear("lift", INPUT_CHANNELS, width)
    for layer in range(layers):
        shapes[f"network.layers.{layer}.spectral.weight"] = (2, 2 * modes, modes, width, width)
        shapes |= _linear(f"layers.{layer}.pointwise", width, width)
    return shapes | _linear("expand", width, 2 * width) | _linear("project", 2 * width, 1)


def parameter_count(width: int, modes: int, layers: int) -> int:
    """Return how many real numbers such a model has to learn; a complex weight is two."""
    return sum(map(math.prod, tensor_shapes(width, modes, layers).values()))


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"network.{name}.weight": (outputs, inputs), f"network.{name}.bias": (outputs,)}
