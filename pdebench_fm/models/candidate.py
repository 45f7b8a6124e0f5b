"""A model under evaluation: whatever maps sources and coefficients to solutions, and what a result says of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pdebench_fm.data.training_manifest import TrainingManifest
from pdebench_fm.models.identity import Identity

Operator = Callable[[Tensor, Tensor], Tensor]
"""`operator(source (B, n, n), coefficients (B, 6)) -> solution (B, n, n)`, float32 tensors on one device."""


@dataclass(frozen=True)
class GraphFile:
    """The ONNX file that a model is.

    Attributes:
        name: Of the file, without its folder.
        sha256: Of its content.
    """

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model as the evaluation sees it. It equals nothing but itself: models need not be comparable or hashable.

    Attributes:
        operator: The model itself. A `torch.nn.Module` with parameters can be fine-tuned; anything else only predicts.
        name: What results call it: a zoo name, a Hub id, or a name of the user's own.
        device: Where inputs must lie.
        revision: Commit on the Hub, `"package"` for what came with this package, None where there is none.
        fingerprint: SHA-256 of everything its outputs depend on, this package's own code apart. None if that cannot be
            known; nothing of such a model is kept in the cache.
        unknown: Why it cannot be known, as in "it cannot be known again (…)"; None where it can.
        identify: Returns what the model is known by now; None where somebody else answers for the fingerprint.
        weights_sha256: SHA-256 of the weights file, where there is one.
        family: Label of the pretraining data, if any.
        size: Label of the size, if any.
        fresh: Returns the same architecture with random weights fixed by a seed; None if it cannot.
        training: Which rows it was trained on, as it is before any adaptation; None if that is not known.
        its_modules: A context in which what the model's code imports is what it was opened with; any call of that code
            has to be in it. See `extensions.own_modules`.
        pretrained: False if the weights are random. Such a model has no zero-shot score and no pretrained start: only
            its fresh starts are trained and scored.
        graph: The file, of a model that is an ONNX graph.
    """

    operator: Operator
    name: str
    device: torch.device
    revision: str | None = None
    fingerprint: str | None = None
    unknown: str | None = None
    identify: Callable[[], Identity] | None = None
    weights_sha256: str | None = None
    family: str | None = None
    size: str | None = None
    fresh: Callable[[int], nn.Module] | None = None
    training: TrainingManifest | None = None
    its_modules: Callable[[], AbstractContextManager[None]] = nullcontext
    pretrained: bool = True
    graph: GraphFile | None = None

    @property
    def module(self) -> nn.Module | None:
        """The module to fine-tune, or None for a model that only predicts."""
        operator = self.operator
        if isinstance(operator, nn.Module) and any(p.requires_grad for p in parameters_of(operator)):
            return operator
        return None

    @property
    def parameters(self) -> int | None:
        """The number of parameters, counting a complex one as two; None for what is no module."""
        if not isinstance(self.operator, nn.Module):
            return None
        sizes = (0 if is_lazy(p) else p.numel() * (2 if p.is_complex() else 1) for p in parameters_of(self.operator))
        return sum(sizes)


def parameters_of(module: nn.Module) -> list[nn.Parameter]:
    """Return a module's parameters; if its own code for that raises, those that it holds as PyTorch keeps them."""
    try:
        return list(module.parameters())
    except Exception:  # noqa: BLE001 (the module's own code, whose failure is told when it is trained)
        held, parts = [], [module]
        while parts:
            part = vars(parts.pop())
            held += [parameter for parameter in part["_parameters"].values() if parameter is not None]
            parts += [child for child in part["_modules"].values() if child is not None]
        return held


def module_device(module: nn.Module) -> torch.device:
    """Return where a module's parameters and buffers lie; the CPU if it has none, or if its own code does not say."""
    try:
        tensors = [*parameters_of(module), *module.buffers()]
    except Exception:  # noqa: BLE001 (the module's own code, whose failure is told when it is evaluated)
        tensors = []
    return tensors[0].device if tensors else torch.device("cpu")


def known_as(candidate: Candidate, identify: Callable[[], Identity]) -> Candidate:
    """Return a candidate with what it is known by, now and, by the same function, later."""
    identity = identify()
    return replace(candidate, fingerprint=identity.fingerprint, unknown=identity.unknown, identify=identify)
