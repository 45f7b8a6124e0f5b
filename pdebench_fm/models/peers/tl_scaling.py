"""Weights of the code of Subramanian et al. 2023 (github.com/ShashankSubramanian/neuraloperators-TL-scaling).

Their network is the one of `FNO` under other names and in other layouts, so that a conversion is exact; their
normalisation is `TLScalingNormaliser`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.models.config import IdentityNormaliser, ModelConfig, Normaliser, TLScalingNormaliser
from pdebench_fm.models.fno import COEFFICIENTS, INPUT_CHANNELS
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.peers.pickled import read_checkpoint_tensors
from pdebench_fm.models.peers.tl_scaling_options import PeerInputs, PeerNetwork, network_of, read_options


def convert(checkpoint: Path, config: Path, entry: str | None = None, scales: Path | None = None) -> NeuralOperator:
    """Return the model that a checkpoint of theirs is.

    Args:
        checkpoint: `ckpt.tar` or `ckpt_best.tar` of a run of theirs.
        config: The YAML file that the run was started with, or its `hyperparams.yaml`.
        entry: Which of the file's configurations; None where it has one.
        scales: The `scales.npy` that the configuration's `scales_path` named; None where it names none.

    Returns:
        The model, in evaluation mode, with the same outputs.

    Raises:
        UsageError: If a file, or the entry of the configuration, does not exist or is not named though it must be.
        PdefmError: If a file is not what it should be, or an option is one that `FNO` does not have.
    """
    options = read_options(config, entry)
    network = network_of(options, config)
    if options.scales_path is not None and scales is None:
        raise UsageError(f"the network saw inputs divided by {options.scales_path}: give that file as --scales")
    if options.scales_path is None and scales is not None:
        raise UsageError(
            f"{config} names no scales_path, so the network saw inputs as they are: leave out --scales, "
            "or name the configuration that was trained"
        )
    normaliser = IdentityNormaliser() if scales is None else read_scales(scales, network.inputs)
    model_config = ModelConfig(
        width=network.width,
        modes=network.modes,
        layers=network.layers,
        normaliser=normaliser,
        family=network.inputs.family,
    )
    weights = read_checkpoint_tensors(checkpoint, "model_state")
    with torch.device("meta"):
        model = NeuralOperator(model_config)
    model.load_state_dict(convert_weights(_checked(weights, network, checkpoint), network), assign=True)
    return model.eval()


def read_scales(path: Path, inputs: PeerInputs) -> Normaliser:
    """Read their `scales.npy`: source, each coefficient, solution, length along x and y; zeros count as 1.

    Raises:
        UsageError: If the file does not exist.
        PdefmError: If it is not an array of that many positive numbers.
    """
    if not path.is_file():
        raise UsageError(f"no file of scales {path}")
    wanted = len(inputs.coefficients) + 4
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # what is not an array is tried as an archive, with that library's errors
        raise PdefmError(f"{path} is not an array as numpy.save writes it") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu" or values.shape != (wanted,):
        found = f"{values.dtype} of the shape {values.shape}" if isinstance(values, np.ndarray) else "an archive"
        raise PdefmError(
            f"{path} must hold {wanted} numbers for {inputs.family} with {len(inputs.coefficients)} coefficients "
            f"(source, coefficients, solution, Lx, Ly), not {found}"
        )
    scales = np.where(values == 0, 1, values).astype(np.float32)  # the precision they divide in
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise PdefmError(f"{path} must hold finite numbers that are not negative, not {values.tolist()}")
    coefficient_scales = np.ones(COEFFICIENTS)
    coefficient_scales[list(inputs.coefficients)] = scales[1 : 1 + len(inputs.coefficients)]
    return TLScalingNormaliser(
        source_scale=float(scales[0]),
        coefficient_scales=tuple(coefficient_scales.tolist()),
        length_x=float(scales[-2]),
        length_y=float(scales[-1]),
    )


def _checked(weights: Mapping[str, Tensor], network: PeerNetwork, path: Path) -> Mapping[str, Tensor]:
    """Return the weights without the prefix of distributed training, or raise a PdefmError naming what is wrong."""
    if weights and all(name.startswith("module.") for name in weights):
        weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    expected = network.tensors()
    for what, names in (("lacks", expected.keys() - weights.keys()), ("has", weights.keys() - expected.keys())):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise PdefmError(f"{path} {what} the weights {min(names)!r}{more}, unlike the network of its configuration")
    for name, shape in expected.items():
        tensor = weights[name]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise PdefmError(
                f"{path}: {name!r} is {tensor.dtype} of the shape {tuple(tensor.shape)}, "
                f"but its configuration asks for torch.float32 of the shape {shape}"
            )
        if not tensor.isfinite().all():
            raise PdefmError(f"{path}: {name!r} holds values that are not finite numbers")
    return weights


def convert_weights(weights: Mapping[str, Tensor], network: PeerNetwork) -> dict[str, Tensor]:
    """Return a `NeuralOperator`'s state dict with their weights in it.

    Their spectral weights are (in, out, ky, kx, 2), last the real and the imaginary part; `weights1` has ky = 0..m-1
    and `weights2` ky = -m..-1. Coefficients that their network does not see get zero weights in the lift.
    """
    lift = torch.zeros(network.width, INPUT_CHANNELS)
    lift[:, [0, *(1 + index for index in network.inputs.coefficients)]] = weights["fc0.weight"]
    converted = {"network.lift.weight": lift, "network.lift.bias": weights["fc0.bias"]}
    for layer in range(network.layers):
        both = torch.cat([weights[f"sp_convs.{layer}.weights{sign}"] for sign in (1, 2)], dim=2)
        converted |= {
            f"network.layers.{layer}.spectral.weight": both.permute(4, 2, 3, 0, 1).contiguous(),
            f"network.layers.{layer}.pointwise.weight": weights[f"ws.{layer}.weight"][:, :, 0].contiguous(),
            f"network.layers.{layer}.pointwise.bias": weights[f"ws.{layer}.bias"],
        }
    for ours, theirs in (("expand", "fc1"), ("project", "fc2")):
        converted |= {f"network.{ours}.{part}": weights[f"{theirs}.{part}"] for part in ("weight", "bias")}
    return converted
