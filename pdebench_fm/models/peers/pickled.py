"""The one place where a file of `torch.save` is opened: for converting, and only as far as it is plain data."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pdebench_fm.errors import PdefmError, UsageError

# Training code that reads its settings with ruamel.yaml puts that library's float into the optimizer's state, and so
# into checkpoints. A float of our own under that name takes its place: nothing of the file's choosing is imported.
_YamlFloat = type("ScalarFloat", (float,), {"__module__": "ruamel.yaml.scalarfloat"})


def read_checkpoint_tensors(path: Path, key: str) -> dict[str, Tensor]:
    """Read the state dict that a checkpoint holds under `key`, on the CPU; code in the file is refused, never run.

    Args:
        path: A file of `torch.save`, with a dictionary in it.
        key: The dictionary's entry that holds the weights by name.

    Raises:
        UsageError: If there is no such file.
        PdefmError: If it is another kind of file, damaged, holds more than plain data, or has no such weights.
    """
    if not path.is_file():
        raise UsageError(f"no checkpoint file {path}")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([_YamlFloat]):
            warnings.simplefilter("ignore")  # about files that are then refused in one line
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises nearly anything, from KeyError to RuntimeError
        raise PdefmError(f"{path} is not converted: {_reason(error)}") from error
    if not isinstance(content, Mapping) or key not in content:
        found = [repr(name) for name in content] if isinstance(content, Mapping) else [f"a {type(content).__name__}"]
        shown = ", ".join([*found[:5], "..."] if len(found) > 5 else found)
        raise PdefmError(f"{path} has no entry {key!r} with the weights in it, only {shown or 'nothing'}")
    weights = content[key]
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise PdefmError(f"{path}: the entry {key!r} is not a state dict, which has tensors by name")
    return dict(weights)


def _reason(error: Exception) -> str:
    """Say in a few words why a file was not read."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if name := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"it asks for {name[1]}, and unpickling that could run any code; "
            "only a checkpoint of tensors and plain numbers is opened"
        )
    return "it is not a complete checkpoint as torch.save writes it"
