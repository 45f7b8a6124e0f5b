"""From a model in Python (ours, any module, or a plain function) to what the evaluation needs to know of it."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pdebench_fm.data.training_manifest import TrainingManifest, read_manifest
from pdebench_fm.errors import UsageError
from pdebench_fm.extensions.local_files import loaded_files
from pdebench_fm.models.baselines import untrained
from pdebench_fm.models.candidate import Candidate, Operator, known_as, module_device
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.fresh import fresh_by_reset, initialised
from pdebench_fm.models.identity import Identity, identity_of, structure_of
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sources import RECORD_NAME
from pdebench_fm.models.weights import WEIGHTS_NAME, as_read
from pdebench_fm.naming import check_model_name, safe_name
from pdebench_fm.surroundings import seeded, standard

_UNSAVED = "unsaved"


@standard()
def candidate_of(
    model: Operator | Candidate,
    name: str | None = None,
    *,
    device: str | torch.device | None = None,
    fingerprint: str | None = None,
    training: TrainingManifest | None = None,
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
            finished evaluations are found again. A module's is found by `identity_of`, unless you give it.
        training: Which rows the model was trained on. That of a NeuralOperator that is as it was loaded is in the
            `training.json` beside its weights.

    Returns:
        The candidate. It holds the model itself, no copy. A baseline as `load_model` gives it, such as "unet", counts
        as not pretrained, as it does by its name, until its weights are others.

    Raises:
        UsageError: If `model` cannot be called, the name is not one that results can have, or its training is stated
            twice.
        PdefmError: If the `training.json` beside its weights is damaged.
    """
    candidate = _candidate_of(model, name, device, fingerprint)
    check_model_name(candidate.name if name is None else name)
    if training is None:
        return candidate
    if candidate.training not in (None, training):
        raise UsageError(f"{candidate.name} states what it was trained on by itself: give no other manifest for it")
    return replace(candidate, training=training)


def _candidate_of(
    model: Operator | Candidate, name: str | None, device: str | torch.device | None, fingerprint: str | None
) -> Candidate:
    if isinstance(model, Candidate):
        return model if name is None else replace(model, name=name)
    if isinstance(model, type) or not callable(model):
        what = f"the class {model.__name__}" if isinstance(model, type) else f"of type {type(model).__name__}"
        raise UsageError(f"a model is a torch.nn.Module or a function of (source, coefficients); this is {what}")
    if type(model) is NeuralOperator:
        return _of_neural_operator(model, name)
    if isinstance(model, nn.Module):
        found = untrained(model)
        if found is not None and not found.altered and fingerprint is None:
            candidate = found.baseline.untrained(model)
            return candidate if name is None else replace(candidate, name=name)
        model = initialised(model, module_device(model))
        candidate = Candidate(
            operator=model,
            name=name or safe_name(type(model).__name__),
            device=module_device(model),
            fingerprint=fingerprint,
            fresh=fresh_by_reset(model),
            pretrained=found is None,
        )
        source = getattr(model, "source", None) if isinstance(model, NeuralOperator) else None
        return candidate if fingerprint else known_as(candidate, lambda: identity_of(model, leave_out=(source,)))
    return Candidate(
        operator=model,
        name=name or safe_name(getattr(model, "__name__", type(model).__name__)),
        device=torch.device(device or "cpu"),
        fingerprint=fingerprint,
        unknown=None if fingerprint else "it is a function given without a fingerprint",
    )


def as_it_is_now(candidate: Candidate) -> Candidate:
    """Return a candidate whose model may have changed since it was made, as what the model is now.

    A changed model keeps its name, unless that is the one its unchanged weights go by.
    """
    if candidate.identify is None or candidate.identify().fingerprint == candidate.fingerprint:
        return candidate
    source = getattr(candidate.operator, "source", None)
    names = (source.model_id, safe_name(source.directory.resolve().name)) if source is not None else ()
    changed = replace(candidate, name=_UNSAVED) if candidate.name in names else candidate
    if changed.weights_sha256 is not None:
        changed = replace(changed, weights_sha256=None, revision=None)
    changed = replace(changed, training=None)  # which was that of the model as it was
    return known_as(changed, candidate.identify)


class Identified(Protocol):
    """What can be known again: a model, or a way of adapting one."""

    @property
    def fingerprint(self) -> str | None:
        """What it was known by when it was opened."""

    @property
    def identify(self) -> Callable[[], Identity] | None:
        """Returns what it is known by now."""

    @property
    def its_modules(self) -> Callable[[], AbstractContextManager[None]]:
        """A context in which what its code imports is what it was opened with."""


def watch(watched: Identified, *beside: Identified) -> Callable[[], bool]:
    """Return a function that tells whether a model is still what its fingerprint says, after it was used.

    It is not if its state has changed, or if local files were imported in the meantime that its fingerprint does not
    cover; then what it returned may depend on how often, and after what, it was asked. For the same reason asking
    empties the caches (`functools.lru_cache`) of the functions that it uses.

    Args:
        watched: The model, or a way of adapting one.
        beside: What is used with it, whose files may be imported too.
    """
    if watched.fingerprint is None or watched.identify is None:
        return lambda: True
    identify = watched.identify
    with watched.its_modules():
        before = loaded_files()

    def unchanged() -> bool:
        with watched.its_modules():
            now, loaded = identify(), loaded_files()
        for function in now.caches:
            function.cache_clear()
        if now.fingerprint != watched.fingerprint:
            return False
        if not now.files:  # what has no code of a user's imports nothing of a user's, whatever else goes on
            return True
        others = (other.identify().files for other in beside if other.identify is not None)
        return loaded - before <= now.files.union(*others)

    return unchanged


def _of_neural_operator(model: NeuralOperator, name: str | None) -> Candidate:
    """Return one of ours: with its provenance, unless it has been changed since it was loaded."""
    device = module_device(model)

    def fresh(seed: int) -> nn.Module:
        with seeded(seed, device):
            return NeuralOperator(model.config).to(device)

    candidate = Candidate(
        operator=model,
        name=name or _UNSAVED,
        device=device,
        family=model.config.family,
        size=model.config.size,
        fresh=fresh if _is_stock(model) else fresh_by_reset(model),
    )
    candidate = known_as(candidate, lambda: _identity(model))
    source = model.source
    if source is None or not _is_as_loaded(model):
        return candidate
    # A directory is known by its name alone: where it lay on somebody's disk is nobody's business.
    local = source.revision is None
    return replace(
        candidate,
        name=name or (safe_name(source.directory.resolve().name) if local else source.model_id),
        revision=source.revision,
        weights_sha256=source.weights_sha256,
        training=read_manifest(source.directory / RECORD_NAME),
    )


def _identity(model: NeuralOperator) -> Identity:
    """Return what one of ours is known by: its files, if it is what they say, else all that it consists of."""
    if model.source is not None and _is_as_loaded(model):
        return Identity(_fingerprint_of_files(model.config, model.source.weights_sha256))
    return identity_of(model, leave_out=(model.source,))


def _is_as_loaded(model: NeuralOperator) -> bool:
    """Return whether a model is still what its files say, in its weights and in everything else."""
    assert model.source is not None  # noqa: S101 (the callers have looked)
    return _is_stock(model) and _has_weights_of(model, model.source.directory / WEIGHTS_NAME)


@standard()
def _is_stock(model: NeuralOperator) -> bool:
    """Return whether nothing but the values of its tensors tells a model from a new one of its configuration."""
    if type(model) is not NeuralOperator:
        return False
    with torch.device("meta"):
        twin = NeuralOperator(model.config)
    twin.source = model.source
    structure = structure_of(twin.train(model.training))
    return structure is not None and structure == structure_of(model)


def _fingerprint_of_files(config: ModelConfig, weights_sha256: str) -> str:
    """Return a SHA-256 of a model's weights file and of what its configuration changes, its labels left out."""
    text = config.model_dump_json(exclude={"family", "size"})
    return hashlib.sha256(f"{text}\x1f{weights_sha256}".encode()).hexdigest()


def _has_weights_of(model: nn.Module, path: Path) -> bool:
    """Return whether a model's tensors are still those of the file that it was loaded from."""
    try:
        with safe_open(path, framework="pt") as file:
            pairs = ((tensor.cpu(), as_read(file.get_tensor(name))) for name, tensor in model.state_dict().items())
            return all(ours.dtype == theirs.dtype and torch.equal(_bits(ours), _bits(theirs)) for ours, theirs in pairs)
    except (OSError, SafetensorError):  # the file is gone, or another lies there now
        return False


def _bits(tensor: Tensor) -> Tensor:
    """Return a tensor's bytes, in which a NaN equals itself."""
    return tensor.contiguous().view(-1).view(torch.uint8)
