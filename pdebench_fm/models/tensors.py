"""A digest of a module's tensors: which weights a model has that is in no file of this package's."""

import hashlib

import torch
from torch import Tensor, nn

from pdebench_fm.surroundings import standard


@standard()
def tensors_digest(module: nn.Module) -> str | None:
    """Return the SHA-256 of a module's parameters and persistent buffers, in the order of their names.

    Of each, its name, dtype ("float32") and shape ("16,7"), each followed by a zero byte, and its values as they lie in
    memory row by row, little-endian: what a file of the module's `state_dict` has, whatever its format.

    Returns:
        64 hexadecimal digits; None if the module has no tensors, or does not let them be read.
    """
    digest = hashlib.sha256()
    try:
        tensors = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
        for name in sorted(tensors):
            plain = tensors[name].detach().as_subclass(Tensor).resolve_conj().resolve_neg().cpu().contiguous()
            shape = ",".join(map(str, plain.shape))
            for text in (name, str(plain.dtype).removeprefix("torch."), shape):
                digest.update(text.encode() + b"\0")
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    except Exception:  # noqa: BLE001 (a module of the user's own may refuse to be looked at in any way)
        return None
    return digest.hexdigest() if tensors else None
