"""Training checkpoints: one safetensors file that holds everything a run needs to go on, never a pickle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import atomic_path


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a training run.

    Attributes:
        config: the run's configuration as JSON text; a run goes on only from its own.
        step: optimizer steps done.
        seconds: wall time spent so far, all pieces together.
        tensors: weights and optimizer state, by name.
    """

    config: str
    step: int
    seconds: float
    tensors: Mapping[str, Tensor]


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write atomically: the previous checkpoint stays usable until the new one is whole."""
    metadata = {"config": checkpoint.config, "step": str(checkpoint.step), "seconds": json.dumps(checkpoint.seconds)}
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, temporary, metadata)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; a damaged file is a `PdefmError`."""
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata()
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a mapping)
        return Checkpoint(metadata["config"], int(metadata["step"]), json.loads(metadata["seconds"]), tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise PdefmError(f"{path} is not a usable checkpoint ({error}); remove it to start again") from error
