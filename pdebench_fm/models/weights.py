"""Reading and writing weights as safetensors only, each tensor checked against the model that wants it."""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import atomic_path
from pdebench_fm.limits import HEADER_BYTES, in_bytes

WEIGHTS_NAME = "model.safetensors"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".tar", ".pkl")

TensorSpec = tuple[tuple[int, ...], torch.dtype]
"""What a tensor must be: its shape and its dtype."""

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def specs_of(tensors: Mapping[str, Tensor]) -> dict[str, TensorSpec]:
    """Return what each of a model's tensors must be; `tensors` is its state dict, on any device, meta included."""
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}


def read_weights(path: Path, expected: Mapping[str, TensorSpec], device: torch.device) -> dict[str, Tensor]:
    """Read a safetensors file onto `device`, after checking all its names, shapes and dtypes.

    What is stored in half precision (float16) is read as float32.

    Args:
        path: The file.
        expected: Each tensor's name, shape and dtype, as from `specs_of`.
        device: Where the tensors go, one at a time.

    Returns:
        The tensors by name, in memory of their own.

    Raises:
        PdefmError: If the file is missing, is not safetensors, or does not hold exactly the expected tensors.
    """
    with _opened(path, device) as file:
        _check(path, file, expected)
        tensors = {}
        for name in expected:
            stored = file.get_tensor(name)
            tensor = as_read(stored)
            # On the CPU `stored` is a view of the mapped file, at any alignment: copied to memory of its own.
            tensors[name] = tensor.clone() if tensor is stored and device.type == "cpu" else tensor
        return tensors


def as_read(stored: Tensor) -> Tensor:
    """Return a tensor of a file as a model has it: in float32, which has every value of half precision."""
    return stored.float() if stored.dtype == torch.float16 else stored


def check_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check by its header alone, whatever its size, that a safetensors file holds exactly these tensors.

    They are float32, or float16 to take half the room.

    Raises:
        PdefmError: If the file is missing, is not safetensors, or does not hold exactly the expected tensors.
    """
    with _opened(path, torch.device("cpu")) as file:
        _check(path, file, {name: (shape, torch.float32) for name, shape in shapes.items()})


@contextmanager
def _opened(path: Path, device: torch.device) -> Iterator[Any]:
    """Open a safetensors file, none of whose tensors is read by that.

    The library holds names, shapes and offsets to each other and to the file's size; how long the header may be is our
    own limit.
    """
    refuse_pickle(path)
    if not path.is_file():
        raise PdefmError(f"no weights at {path}")
    try:
        with path.open("rb") as start:
            (length,) = struct.unpack("<Q", start.read(8))
        if length > HEADER_BYTES:
            raise PdefmError(
                f"{path} is not a model's weights: its header has {in_bytes(length)}, of at most "
                f"{in_bytes(HEADER_BYTES)}"
            )
        with safe_open(path, framework="pt", device=str(device)) as file:
            yield file
    except (SafetensorError, OSError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PdefmError(f"{path} is not a complete safetensors file ({reason})") from error


def write_weights(path: Path, tensors: Mapping[str, Tensor], *, half: bool = False) -> None:
    """Write tensors as a safetensors file, whole or not at all.

    Raises:
        PdefmError: If they are to be stored in half precision, and one of them is too large for it.
    """
    stored = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    if half:
        stored = {name: tensor.half() for name, tensor in stored.items()}
        if large := [name for name, tensor in stored.items() if tensor.isinf().any()]:
            raise PdefmError(f"{large[0]!r} is too large for half precision: save the model in its own")
    with atomic_path(path) as temporary:
        save_file(stored, temporary)


def refuse_pickle(path: Path) -> None:
    """Raise a PdefmError if the name or the content of `path` says that it is not safetensors."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise PdefmError(_refusal(path, "is a pickle"))
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= path.stat().st_size - 8:
        return
    raise PdefmError(_refusal(path, "has no safetensors header"))


def _refusal(path: Path, why: str) -> str:
    return (
        f"{path} {why}; only safetensors weights are loaded, because unpickling a file can run any code in it. "
        "`pdefm zoo import` converts checkpoints of peers' code; others, where you trust them: "
        "safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')"
    )


def _check(path: Path, file: Any, expected: Mapping[str, TensorSpec]) -> None:
    """Raise a PdefmError naming the first tensor that is missing, unexpected, or of another shape or dtype."""
    found = set(file.keys())
    missing = [name for name in expected if name not in found]
    unexpected = sorted(found - set(expected))
    if missing or unexpected:
        parts = [
            f"{len(names)} {what} ({names[0]!r:.80}{', ...' if len(names) > 1 else ''})"
            for names, what in ((missing, "missing"), (unexpected, "unexpected"))
            if names
        ]
        raise PdefmError(f"{path} does not fit its config.json: tensors {' and '.join(parts)}")
    for name, (shape, dtype) in expected.items():
        tensor = file.get_slice(name)
        found_shape, found_dtype = tuple(tensor.get_shape()), tensor.get_dtype()
        if found_shape != shape:
            raise PdefmError(
                f"{path} does not fit its config.json: tensor {name!r} has the shape {found_shape}, not {shape}"
            )
        if _DTYPES.get(found_dtype) not in (dtype, torch.float16):
            raise PdefmError(f"{path} cannot be used: tensor {name!r} is {found_dtype}, not {dtype}")
