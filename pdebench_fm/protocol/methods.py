"""Ways of adapting by name: the protocol's recipes, the package's own methods, and those that users bring."""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdebench_fm.errors import PdefmError, UsageError, unknown_name, words_of
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.extensions.functions import UserFunction, function_in_file, loaded, offered, split_file_reference
from pdebench_fm.extensions.replaced import put_back
from pdebench_fm.models.candidate import Operator
from pdebench_fm.models.fresh import copied
from pdebench_fm.models.identity import Identity, identity_of
from pdebench_fm.naming import safe_name
from pdebench_fm.protocol.divisions import (
    DIVISIONS,
    SIGNS_OF_METHODS,
    Division,
    division_of,
    has_a_methods_signs,
    looks_like,
    passes_for_a_division,
)
from pdebench_fm.protocol.recipes import (
    L2_SP_TABLE,
    PAPER_RECIPE,
    PROTOCOL_RECIPE,
    RECIPES,
    SYMMETRIC_TABLE,
    find_recipe,
)
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.interpolation import InterpolationRecipe, OnStep
from pdebench_fm.training.methods.l2_sp import L2SP
from pdebench_fm.training.methods.symmetric import Symmetric
from pdebench_fm.training.methods.table import TabledMethod
from pdebench_fm.training.support import SupportSet

METHOD_GROUP = "pdebench_fm.adaptations"
"""The entry-point group by which installed packages offer methods: each entry is a function like a file's `adapt`."""

DEFAULT_FUNCTION = "adapt"

AdaptFunction = Callable[[nn.Module, SupportSet, int], nn.Module]
"""`adapt(module, support, seed) -> module`."""

OWN_METHODS: dict[str, TabledMethod] = {"symmetric": Symmetric(SYMMETRIC_TABLE), "l2-sp": L2SP(L2_SP_TABLE)}
"""The package's own of the open division."""


class AdaptationError(PdefmError):
    """A method did not adapt a model: says which method, and what it did."""


@dataclass(frozen=True, eq=False)
class Method:
    """A named way of adapting a model: a recipe of the protocol's, or a function of the open division.

    Attributes:
        name: what results call it.
        function: `adapt(module, support, seed) -> module`; None for a recipe, whose settings `recipes` has.
        reference: the word by which `open_method` finds it in another process; None for an object of this one.
        zero_shot: whether the function does something without any example; else the model is scored as it is then.
        fingerprint: SHA-256 of everything that the function does depends on, this package's own code apart; None if
            that cannot be known, and for a recipe, which the protocol's version tells.
        unknown: why it cannot be known, as in "it cannot be known again (…)".
        identify: returns what the function is known by now.
        its_modules: a context in which what the function imports is what it was opened with.
    """

    name: str
    function: AdaptFunction | None = None
    reference: str | None = None
    zero_shot: bool = False
    fingerprint: str | None = None
    unknown: str | None = None
    identify: Callable[[], Identity] | None = None
    its_modules: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def division(self) -> Division:
        """What results by it are ranked among."""
        return division_of(self.name)

    def recipe(self, start: Start, shots: int) -> AdaptationRecipe | InterpolationRecipe | None:
        """Return how many steps of which size a function trains with on `shots` ≥ 1 rows; None if nobody knows."""
        if not isinstance(self.function, TabledMethod):
            return None
        return self.function.recipe(shots, fresh=start == "scratch")

    @property
    def averages(self) -> bool:
        """Whether a prediction is known to be the mean over the symmetries."""
        return isinstance(self.function, TabledMethod) and self.function.averages

    @property
    def makes_examples(self) -> bool:
        """Whether it is known to train on more examples than it is given."""
        return isinstance(self.function, TabledMethod) and self.function.makes_examples

    def shortened(self, steps: int) -> "Method":
        """Return a method of the package with as few steps, to try whether it runs; any other as it is."""
        function = self.function
        return replace(self, function=function.shortened(steps)) if isinstance(function, TabledMethod) else self

    def adapted(
        self,
        model: Operator,
        support: SupportSet,
        seed: int,
        on_step: OnStep = lambda _step, _loss: None,
    ) -> nn.Module:
        """Return what the function makes of a model, which is left as it is, as are the support set's tensors.

        Args:
            model: a module; any other operator is given to the function as one that only predicts.
            support: on the model's device.
            seed: for the function to use.
            on_step: called after each step of a method of the package.

        Raises:
            AdaptationError: if the function raises, asks for symmetries that there are not, or returns no module.
        """
        title = f"the adaptation {self.name}"
        try:
            with user_code("copying the model"):
                module = copied(model) if isinstance(model, nn.Module) else _Predicting(model)
            given = replace(
                support,
                source=support.source.clone(),
                solution=support.solution.clone(),
                coefficients=support.coefficients.clone(),
            )
            returned: object
            classes = [type(part) for part in module.modules()]
            with put_back(*classes) as places, user_code(title), torch.enable_grad(), self.its_modules():
                if isinstance(self.function, TabledMethod):
                    returned = self.function(module, given, seed, on_step)
                else:
                    assert self.function is not None  # noqa: S101 (no recipe is called)
                    returned = self.function(module, given, seed)
            if places:
                raise AdaptationError(
                    f"{title} replaces {places[0]} for the whole process, and with it changes the models"
                )
        except (PdefmError, MemoryError, torch.OutOfMemoryError) as error:
            text = words_of(error)
            failure = AdaptationError(text if text.startswith(title) else f"{title}: {text or type(error).__name__}")
            failure.details = getattr(error, "details", "")
            raise failure from error
        if not isinstance(returned, nn.Module):
            kind = f"the class {returned.__name__}" if isinstance(returned, type) else f"a {type(returned).__name__}"
            raise AdaptationError(f"{title} returned {kind}, not a torch.nn.Module: it must return the adapted module")
        return returned


PROTOCOL_METHOD = Method(PROTOCOL_RECIPE, reference=PROTOCOL_RECIPE)
_RECIPE_METHODS = {PROTOCOL_RECIPE: PROTOCOL_METHOD, PAPER_RECIPE: Method(PAPER_RECIPE, reference=PAPER_RECIPE)}


def method_of(recipe: object = None, adaptation: object = None) -> Method:
    """Return the way of adapting that a user's arguments mean, by default the protocol's own.

    Args:
        recipe: the name of a recipe, "v1" or "paper".
        adaptation: as `open_method` takes it.

    Raises:
        UsageError: if both are given, or one is nothing that there is.
        UserCodeError: if a user's code raises.
    """
    if recipe is not None and adaptation is not None:
        raise UsageError("give either a recipe or an adaptation: a model is adapted in one way at a time")
    if adaptation is not None:
        return open_method(adaptation)
    if recipe is None:
        return PROTOCOL_METHOD
    if not isinstance(recipe, str):
        raise UsageError(f"recipe must be a name, not {recipe!r}")
    return _RECIPE_METHODS[find_recipe(recipe)]


def open_method(adaptation: object) -> Method:
    """Return a way of adapting, ready to be used.

    Args:
        adaptation: `"path/to/file.py:function"`, or `"path/to/file.py"` for its `adapt`; the name of one of the
            package's, such as `"symmetric"`, or of a recipe; the name of one that an installed package offers by the
            entry-point group `pdebench_fm.adaptations`; or a function, or other callable, `(module, support, seed) ->
            module`.

    Raises:
        UsageError: if there is no such method, or it cannot be called so.
        UserCodeError: if a user's code raises.
    """
    if not isinstance(adaptation, str | Path):
        if not callable(adaptation):
            kind = type(adaptation).__name__
            raise UsageError(f"an adaptation is a name, path/to/file.py:function or a function, not of type {kind}")
        name = safe_name(str(getattr(adaptation, "__name__", type(adaptation).__name__)))
        return _of_user(UserFunction(adaptation, f"the adaptation {name}"), name, None)
    reference = str(adaptation)
    file = split_file_reference(reference, DEFAULT_FUNCTION)
    if file is None and (known := known_method(reference)) is not None:
        return known
    with put_back() as places:
        if file is not None:
            found, name = function_in_file(*file, "an adaptation of your own"), f"{safe_name(file[0].stem)}:{file[1]}"
        else:
            plugins = offered(METHOD_GROUP)
            if reference not in plugins:
                raise unknown_name("adaptation", reference, [*OWN_METHODS, *plugins, *RECIPES], files=True)
            found, name = loaded(plugins[reference]), safe_name(reference)
    if places:
        raise UsageError(f"{reference} replaces {places[0]} for the whole process, and with it changes the models")
    return _of_user(found, name, reference)


def known_method(name: str) -> Method | None:
    """Return the method of the package of this name, for which no other code is run; None if there is none."""
    if name in RECIPES:
        return _RECIPE_METHODS[name]
    own = OWN_METHODS.get(name)
    return None if own is None else _known(Method(name, own, name, own.zero_shot), UserFunction(own, name))


def _of_user(found: UserFunction, name: str, reference: str | None) -> Method:
    """Return a user's method.

    Raises:
        UsageError: if it has a name that is not its to have, or cannot be called with a module, a support set and a
            seed.
        UserCodeError: if looking at it raises.
    """
    own = (*OWN_METHODS, *RECIPES, *DIVISIONS)
    if name in own or division_of(name) != "open" or passes_for_a_division(name) or looks_like(name, own) is not None:
        raise UsageError(
            f"an adaptation of your own cannot be called {name!r}: that is one of the package's names, or passes for "
            "one"
        )
    if not has_a_methods_signs(name):
        raise UsageError(
            f"an adaptation of your own cannot be called {name!r}: its name should have {SIGNS_OF_METHODS}"
        )
    if not callable(found.function):
        raise UsageError(f"{found.title} is of type {type(found.function).__name__}: it must be a function")
    with user_code(found.title):
        try:
            inspect.signature(found.function).bind(None, None, 0)
        except ValueError:  # some built-in functions have no signature
            pass
        except TypeError as error:
            raise UsageError(
                f"{found.title} cannot be called with (module, support, seed), as an adaptation is: {error}"
            ) from error
        zero_shot = getattr(found.function, "zero_shot", False)
    if not isinstance(zero_shot, bool):
        raise UsageError(f"zero_shot of {found.title} must be True or False, not {zero_shot!r}")
    return _known(Method(name, found.function, reference, zero_shot), found)


def _known(method: Method, found: UserFunction) -> Method:
    """Return a method with what it is known by, now and, by the same function, later."""

    def identify() -> Identity:
        title = str(getattr(found.function, "__qualname__", method.name))
        with found.modules.active():
            return identity_of(found.function, name=title, files=found.files, own=found.own)

    identity = identify()
    known = replace(method, fingerprint=identity.fingerprint, unknown=identity.unknown, identify=identify)
    return replace(known, its_modules=found.modules.active)


def _copy_of(operator: Callable[[Tensor, Tensor], Any]) -> Callable[[Tensor, Tensor], Any]:
    """Return a copy of a model that is no module; itself where it cannot be copied, as sessions of other runtimes."""
    try:
        return deepcopy(operator)
    except Exception:  # noqa: BLE001 (whatever its own copying raises)
        return operator


class _Predicting(nn.Module):
    """A model that is no module, as one."""

    def __init__(self, operator: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self._operator = _copy_of(operator)

    def forward(self, source: Tensor, coefficients: Tensor) -> Any:
        """Map (B, n, n) and (B, 6) to what the model gives."""
        return self._operator(source, coefficients)
