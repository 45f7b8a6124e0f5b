"""From a model in Python (ours, any module, or a plain function) to what the evaluation needs to know of it."""

import hashlib
import inspect
import re
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pdebench_fm.errors import UsageError
from pdebench_fm.files import sha256_of
from pdebench_fm.models.candidate import Candidate, Operator, parameters_of
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.fresh import fresh_by_reset, initialised
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.weights import WEIGHTS_NAME
from pdebench_fm.surroundings import seeded, standard

_LONGEST_NAME = 96
_ADDRESS = re.compile(r"0x[0-9a-f]+")


@standard()
def candidate_of(
    model: Operator | Candidate,
    name: str | None = None,
    *,
    device: str | torch.device | None = None,
    fingerprint: str | None = None,
) -> Candidate:
    """Return a model as the evaluation sees it.

    Args:
        model: A `NeuralOperator`; any other `torch.nn.Module`, or function, that maps source (B, n, n) and coefficients
            (B, 6) to solution (B, n, n), float32 tensors on one device; or a Candidate, which is returned.
        name: What results call it: letters, digits and single "-", "_", "." between them, or "organisation/name". By
            default the zoo name, Hub id or folder that a NeuralOperator was loaded from, else the name of the class or
            function.
        device: Where a function takes its inputs, the CPU by default. A module's is where its parameters lie.
        fingerprint: SHA-256, in hexadecimal, of everything that a function's outputs depend on, if you know it; by it
            finished evaluations are found again. A module's is that of its tensors and of the files that define it.

    Returns:
        The candidate. It holds the model itself, no copy.

    Raises:
        UsageError: If `model` cannot be called, or the name is not one that results can have.
    """
    if name is not None:
        check_name(name)
    if isinstance(model, Candidate):
        return model if name is None else replace(model, name=name)
    if isinstance(model, type) or not callable(model):
        what = f"the class {model.__name__}" if isinstance(model, type) else f"of type {type(model).__name__}"
        raise UsageError(f"a model is a torch.nn.Module or a function of (source, coefficients); this is {what}")
    if isinstance(model, NeuralOperator):
        candidate = _of_neural_operator(model)
        return candidate if name is None else replace(candidate, name=name)
    if isinstance(model, nn.Module):
        model = initialised(model, module_device(model))
        return Candidate(
            operator=model,
            name=name or safe_name(type(model).__name__),
            device=module_device(model),
            fingerprint=fingerprint or _known_fingerprint(model),
            fresh=fresh_by_reset(model),
        )
    return Candidate(
        operator=model,
        name=name or safe_name(getattr(model, "__name__", type(model).__name__)),
        device=torch.device(device or "cpu"),
        fingerprint=fingerprint,
    )


def safe_name(text: str) -> str:
    """Return `text` with only what a model's name may hold."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", text)
    return re.sub(r"\.{2,}", ".", name)[:_LONGEST_NAME].strip("-._") or "model"


def check_name(name: str) -> None:
    """Raise a `UsageError` unless a result, and a leaderboard's folder, can have this name of a model."""
    parts = name.split("/")
    if len(parts) > 2 or any(safe_name(part) != part for part in parts):
        raise UsageError(
            f"a model cannot be called {name!r}: use letters, digits and single '-', '_' or '.' between them, "
            "as in 'my-model' or 'organisation/my-model'"
        )


def module_device(module: nn.Module) -> torch.device:
    """Return where a module's parameters and buffers lie; the CPU if it has none, or if its own code does not say."""
    try:
        tensors = [*parameters_of(module), *module.buffers()]
    except Exception:  # noqa: BLE001 (the module's own code, whose failure is told when it is evaluated)
        tensors = []
    return tensors[0].device if tensors else torch.device("cpu")


def _known_fingerprint(module: nn.Module) -> str | None:
    """Return a module's fingerprint; None if it cannot be looked at."""
    try:
        return fingerprint_of(module)
    except Exception:  # noqa: BLE001 (the module's own code may refuse in any way)
        return None


def fingerprint_of(module: nn.Module, *more_files: Path) -> str | None:
    """Return a SHA-256 of what a module's outputs depend on.

    It covers every parameter and buffer (name, dtype, shape, bytes), the kind and settings of every part, and the files
    that define their classes, PyTorch's own excepted. It does not depend on where files or tensors lie.

    Args:
        module: The module.
        more_files: Files that take part in it otherwise, such as the one with the function that builds it.

    Returns:
        64 hexadecimal digits; None if a class has no file, as in a notebook, where its code can change unseen.
    """
    files = _defining_files(module)
    if files is None:
        return None
    digest = hashlib.sha256()
    for name, part in module.named_modules(remove_duplicate=False):
        settings = _ADDRESS.sub("", part.extra_repr())
        digest.update(f"{name}\x1f{type(part).__qualname__}\x1f{settings}\x1e".encode())
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for name, tensor in tensors:
        digest.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1e".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    for content in sorted(sha256_of(path) for path in files.union(more_files)):
        digest.update(content.encode())
    return digest.hexdigest()


def _defining_files(module: nn.Module) -> set[Path] | None:
    """Return the files that define the classes of a module's parts, PyTorch's own excepted; None if one has none."""
    kinds = {type(part) for part in module.modules()}
    try:
        files = {Path(inspect.getfile(kind)) for kind in kinds if kind.__module__.split(".")[0] != "torch"}
    except (OSError, TypeError):
        return None
    return files if all(path.is_file() for path in files) else None


def _of_neural_operator(model: NeuralOperator) -> Candidate:
    """Return one of ours: with its provenance, unless its weights have been changed since they were loaded."""
    device = module_device(model)

    def fresh(seed: int) -> nn.Module:
        with seeded(seed, device):
            return NeuralOperator(model.config).to(device)

    source = model.source
    candidate = Candidate(
        operator=model, name="unsaved", device=device, family=model.config.family, size=model.config.size, fresh=fresh
    )
    if source is None or not _has_weights_of(model, source.directory / WEIGHTS_NAME):
        return replace(candidate, fingerprint=fingerprint_of(model))
    # A directory is known by its name alone: where it lay on somebody's disk is nobody's business.
    local = source.revision is None
    return replace(
        candidate,
        name=safe_name(source.directory.resolve().name) if local else source.model_id,
        revision=source.revision,
        fingerprint=_fingerprint_of_files(model.config, source.weights_sha256),
        weights_sha256=source.weights_sha256,
    )


def _fingerprint_of_files(config: ModelConfig, weights_sha256: str) -> str:
    """Return a SHA-256 of a model's weights file and of what its configuration changes, its labels left out."""
    text = config.model_dump_json(exclude={"family", "size"})
    return hashlib.sha256(f"{text}\x1f{weights_sha256}".encode()).hexdigest()


def _has_weights_of(model: nn.Module, path: Path) -> bool:
    """Return whether a model's tensors are still those of the file that it was loaded from."""
    try:
        with safe_open(path, framework="pt") as file:
            pairs = ((tensor.cpu(), file.get_tensor(name)) for name, tensor in model.state_dict().items())
            return all(ours.dtype == theirs.dtype and torch.equal(_bits(ours), _bits(theirs)) for ours, theirs in pairs)
    except (OSError, SafetensorError):  # the file is gone, or another lies there now
        return False


def _bits(tensor: Tensor) -> Tensor:
    """Return a tensor's bytes, in which a NaN equals itself."""
    return tensor.contiguous().view(-1).view(torch.uint8)
