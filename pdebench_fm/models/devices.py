"""Where a model runs, from the one word a user gives."""

import torch

from pdebench_fm.errors import UsageError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called `name`.

    Args:
        name: `"auto"` (CUDA, else Apple's MPS, else the CPU), `"cpu"`, `"cuda"`, `"cuda:1"` and so on, or `"mps"`.

    Raises:
        UsageError: If there is no such device here.
    """
    if not isinstance(name, str):
        raise UsageError(f'a device is given by its name, "auto" or "cpu" say, not by {name!r}')
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f'unknown device {name!r}: use "auto", "cpu", "cuda", "cuda:1" (the second GPU) or "mps"')
    if device.type == "cuda":
        return _cuda_device(device, name)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(_missing(name, "Apple GPU"))
    return device


def _cuda_device(device: torch.device, name: str) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise UsageError(_missing(name, "usable CUDA GPU"))
    index = torch.cuda.current_device() if device.index is None else device.index
    if index >= count:
        raise UsageError(f"device {name!r} does not exist: this machine has CUDA devices 0 to {count - 1}")
    return torch.device("cuda", index)


def _missing(name: str, what: str) -> str:
    return f'device {name!r} was asked for, but PyTorch finds no {what} here: device="auto" picks what there is'
