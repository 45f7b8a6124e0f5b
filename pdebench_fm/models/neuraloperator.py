"""Networks of the library `neuraloperator` (the extra `peers`) as operators, with random weights."""

from importlib import import_module
from types import ModuleType
from typing import Literal

from torch import nn

from pdebench_fm.errors import UsageError
from pdebench_fm.models.channels import ChannelOperator
from pdebench_fm.models.fno import INPUT_CHANNELS


def neuraloperator_fno(
    kind: Literal["FNO", "TFNO"] = "FNO", *, width: int = 16, modes: int = 4, layers: int = 4
) -> ChannelOperator:
    """Return the library's Fourier neural operator, or its tensorised one, as an operator of this benchmark.

    Inputs are normalised as for our own models, see `ChannelOperator`. The library's positional embedding is left out:
    the problems are translation equivariant on the torus, and the network stays so too. Everything else, the Tucker
    factorisation of TFNO at rank 0.1 included, is the library's default.

    Args:
        kind: `"FNO"` (dense spectral weights) or `"TFNO"` (factorised ones).
        width: Hidden channels; the defaults are the width and modes of our size `64k`.
        modes: m, the Fourier modes kept along each axis and sign.
        layers: Fourier layers.

    Raises:
        UsageError: If the library is not installed.
    """
    network: nn.Module = getattr(_library(), kind)(
        n_modes=(2 * modes, 2 * modes),
        in_channels=INPUT_CHANNELS,
        out_channels=1,
        hidden_channels=width,
        n_layers=layers,
        positional_embedding=None,
    )
    return ChannelOperator(network)


def _library() -> ModuleType:
    """Import the library, which takes seconds, only where it is used."""
    try:
        return import_module("neuralop.models")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"this model needs the library neuraloperator ({error}): pip install 'pdebench-fm[peers]'"
        ) from error
