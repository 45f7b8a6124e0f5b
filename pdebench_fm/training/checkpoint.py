"""Training checkpoints: one safetensors file that holds everything a run needs to go on, never a pickle."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import atomic_path
from pdebench_fm.training.config import PretrainConfig

_ADVICE = "put back a copy of it, or remove it to start again"


class LogEntry(BaseModel):
    """What is known at a validation.

    Attributes:
        step: optimizer steps done.
        samples: seen so far.
        seconds: spent so far.
        training_error: mean relative ℓ² error since the last entry.
        validation_errors: mean relative ℓ² error by system on the validation samples.
        selection_errors: likewise on rows of the regime `selection`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    step: NonNegativeInt
    samples: NonNegativeInt
    seconds: float
    training_error: float
    validation_errors: dict[str, float]
    selection_errors: dict[str, float] = {}


class RunState(BaseModel):
    """What a training run is made of besides its tensors.

    Attributes:
        config: the run's; a run goes on only from its own.
        step: optimizer steps done.
        seconds: wall time spent so far, all pieces together.
        losses: of the steps since the last entry of the log.
        log: an entry for each validation so far.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    config: PretrainConfig
    step: NonNegativeInt
    seconds: NonNegativeFloat
    losses: tuple[float, ...] = ()
    log: tuple[LogEntry, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a training run: its state, and weights and optimizer state by name."""

    state: RunState
    tensors: Mapping[str, Tensor]


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write atomically, with a digest over everything: the previous checkpoint stays usable until the new one is whole.

    Raises:
        PdefmError: if it cannot be written.
    """
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in checkpoint.tensors.items()}
    state = checkpoint.state.model_dump_json()
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"state": state, "digest": _digest(state, tensors)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        PdefmError: if the file is damaged in any bit, or is no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise PdefmError(f"{path} is not a usable checkpoint ({error}): {_ADVICE}") from error
    state = metadata.get("state", "")
    if metadata.get("digest") != _digest(state, tensors):
        raise PdefmError(f"{path} is damaged, it is not what was written: {_ADVICE}")
    try:
        return Checkpoint(RunState.model_validate_json(state), tensors)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise PdefmError(f"{path} is not a usable checkpoint ({place}: {first['msg']}): {_ADVICE}") from error


def _digest(state: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state and of all tensors, on the CPU, with their names, dtypes and shapes."""
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
