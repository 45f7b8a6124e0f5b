"""Models that a user's own function builds: from a Python file, or from an installed plug-in."""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

import torch
from torch import nn

from pdebench_fm.errors import UsageError
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.extensions.functions import function_in_file, loaded, offered
from pdebench_fm.models.candidate import Candidate, Operator, known_as
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.fresh import initialised
from pdebench_fm.models.identity import Identity, identity_of
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.naming import safe_name
from pdebench_fm.surroundings import seeded

PLUGIN_GROUP = "pdebench_fm.models"
"""The entry-point group by which an installed package offers models: each entry is a function like a file's `build`."""

DEFAULT_FUNCTION = "build"
_GIVEN = ("device", "pretrained")


@dataclass(frozen=True)
class Builder:
    """A user's function that builds a model.

    Attributes:
        function: Called with no argument but, where it has parameters of these names, `device` and `pretrained`.
        title: Names it in messages, such as "build in mine.py".
        files: Files that it consists of, apart from what its code says itself.
        own: Files and folders of the installed package that it belongs to, whose code is looked at as a user's own.
        its_modules: A context in which what its code imports is the model's own.
    """

    function: Callable[..., object]
    title: str
    files: tuple[Path, ...] = ()
    own: tuple[Path, ...] = ()
    its_modules: Callable[[], AbstractContextManager[None]] = nullcontext

    def __post_init__(self) -> None:
        """Check that the function can be called.

        Raises:
            UsageError: If it wants other arguments.
        """
        for parameter in self._parameters().values():
            needed = parameter.default is parameter.empty and parameter.kind not in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            )
            if needed and parameter.name not in _GIVEN:
                raise UsageError(
                    f"{self.title} needs the argument {parameter.name!r}: a function that builds a model takes none, "
                    "or `device`, or `pretrained`, and returns the model; one that is the model itself is returned by "
                    "another"
                )

    def build(self, device: torch.device, *, pretrained: bool = True) -> Operator:
        """Return the model on `device`, a module in evaluation mode.

        Raises:
            UsageError: If the function returns no model.
            UserCodeError: If it raises.
        """
        values = {"device": device, "pretrained": pretrained}
        with user_code(self.title):
            built = self.function(**{name: values[name] for name in _GIVEN if name in self._parameters()})
            if isinstance(built, nn.Module):
                return initialised(built.to(device).eval(), device)
        if isinstance(built, type) or not callable(built):
            what = f"the class {built.__name__}" if isinstance(built, type) else repr(type(built).__name__)
            raise UsageError(
                f"{self.title} returned {what}: it must return a torch.nn.Module or a function (source, coefficients)"
            )
        return built

    def candidate(self, name: str, device: torch.device) -> Candidate:
        """Return the built model as the evaluation sees it.

        Raises:
            UsageError: If the function returns no model.
            UserCodeError: If it raises.
        """
        with seeded(0, device):  # a model that draws its weights is the same one each time it is opened
            operator = self.build(device)
        candidate = replace(candidate_of(operator, name, device=device), its_modules=self.its_modules)
        operator = candidate.operator
        if candidate.weights_sha256 is not None:  # a NeuralOperator, loaded from a file and unchanged
            return candidate
        candidate = known_as(candidate, lambda: self._identity(operator))
        if "pretrained" not in self._parameters() or not isinstance(operator, nn.Module):
            return candidate
        shapes = _shapes(operator)

        def fresh(seed: int) -> nn.Module:
            with seeded(seed, device):
                model = self.build(device, pretrained=False)
            if not isinstance(model, nn.Module) or _shapes(model) != shapes:
                raise UsageError(f"{self.title} returns another architecture for pretrained=False than otherwise")
            return model

        return replace(candidate, fresh=fresh)

    def _parameters(self) -> dict[str, inspect.Parameter]:
        try:
            return dict(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):  # some built-in functions have no signature
            return {}

    def _identity(self, operator: Operator) -> Identity:
        """Return what a built model is known by: all of it, and the function by which fresh ones are made."""
        source = operator.source if isinstance(operator, NeuralOperator) else None
        with self.its_modules():
            return identity_of(
                operator,
                builder=self.function,
                name=getattr(self.function, "__qualname__", self.title),
                files=self.files,
                own=self.own,
                leave_out=(source,),
            )


def open_file(path: Path, function: str, device: torch.device) -> Candidate:
    """Run a user's Python file and return the model that a function in it builds.

    The file can import others that lie beside it; these are part of the candidate's fingerprint, and imported anew for
    each model, so that none changes another one's. It is called by the file's name, and by the function's too, if that
    is not `build`.

    Raises:
        UsageError: If there is no such file or function, or it builds no model.
        UserCodeError: If its code raises.
    """
    found = function_in_file(
        path,
        function,
        "a model of your own",
        is_one=lambda value: not isinstance(value, nn.Module),
        advice="name a function that returns the model",
    )
    name = path.stem if function == DEFAULT_FUNCTION else f"{path.stem}-{function}"
    with found.modules.opened():
        builder = Builder(found.function, found.title, found.files, its_modules=found.modules.active)
        return builder.candidate(safe_name(name), device)


def plugins() -> dict[str, EntryPoint]:
    """Return the models that installed packages offer, by name.

    Raises:
        UsageError: If two packages offer the same name.
    """
    return offered(PLUGIN_GROUP)


def open_plugin(entry: EntryPoint, device: torch.device) -> Candidate:
    """Return the model that an installed plug-in builds; its revision is the version of the package that it is in.

    Raises:
        UsageError: If the plug-in builds no model.
        UserCodeError: If its code raises.
    """
    found = loaded(entry)
    if not callable(found.function) or isinstance(found.function, nn.Module):
        kind = type(found.function).__name__
        raise UsageError(f"{found.title} is of type {kind}: it must be a function that returns the model")
    builder = Builder(found.function, found.title, found.files, found.own)
    candidate = builder.candidate(safe_name(entry.name), device)
    if candidate.revision is None and entry.dist is not None:
        candidate = replace(candidate, revision=f"{entry.dist.name} {entry.dist.version}")
    return candidate


def _shapes(module: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(parameter.shape)) for name, parameter in module.named_parameters()]
