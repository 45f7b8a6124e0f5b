"""What a model is known by: whatever its outputs depend on tells it apart, and the same model is the same anywhere."""
# ruff: noqa: ARG001, ARG002, ARG004, ARG005, PLW0108 (the models' arguments are what a model is given; most use one)

import copy
import enum
import functools
import importlib
import operator
import os
import re
import subprocess
import sys
import threading
from collections import Counter, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from scipy.interpolate import CubicSpline
from torch import nn
from torch.nn.utils import parametrize

from pdebench_fm.extensions.replaced import replaced
from pdebench_fm.models import NeuralOperator, candidate_of, load_model, open_candidate
from pdebench_fm.models.candidates import as_it_is_now, watch
from pdebench_fm.models.identity import identity_of

GAIN = 1.0
Pair = namedtuple("Pair", "first second")


class Base(nn.Module):
    """A module of one number, whose output is shaped by whatever else it is given."""

    def __init__(self, shape=None):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.shape = shape

    def forward(self, source, coefficients):
        return self.gain * source if self.shape is None else self.shape(self.gain * source)


class Subclass(Base):
    def forward(self, source, coefficients):
        return 2 * super().forward(source, coefficients)


class Halved(Base):
    share = 0.5

    @property
    def part(self):
        return self.share


class Slotted:
    __slots__ = ("power",)

    def __init__(self, power):
        self.power = power

    def __call__(self, values):
        return values**self.power


@dataclass
class Curve:
    power: float = 1.0
    steps: list = field(default_factory=list)

    def __call__(self, values):
        return values**self.power

    def twice(self, values):
        return 2 * values**self.power


class SlottedModule(nn.Module):
    __slots__ = ("power",)

    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, source, coefficients):
        return source**self.power


class SlottedTensor(torch.Tensor):
    __slots__ = ("power",)


def slotted_tensor(power):
    tensor = torch.ones(2).as_subclass(SlottedTensor)
    tensor.power = power
    return tensor


class Hiding(dict):
    def items(self):
        return []

    def __reduce__(self):
        return (Hiding, ())


class Kind(enum.Enum):
    SINE = "sine"
    COSINE = "cosine"


class Doubling(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, weight):
        return self.factor * weight


def times(factor):
    return lambda values: factor * values


def by_default(factor):
    def scaled(values, by=factor):
        return by * values

    return scaled


def by_keyword(factor):
    def scaled(values, *, by=factor):
        return by * values

    return scaled


def with_attribute(factor):
    def scaled(values):
        return scaled.factor * values

    scaled.factor = factor
    return scaled


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(context, values):
        return 2 * values

    @staticmethod
    def backward(context, gradient):
        return 2 * gradient


class WrongSlope(Doubled):
    @staticmethod
    def backward(context, gradient):
        return gradient


def of_global(values):
    return GAIN * values


def cached(factor):
    return functools.lru_cache(lambda values: factor * values)


def given(**attributes):
    module = Base()
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


def changed(change, *arguments):
    module = Base()
    change(module, *arguments)
    return module


def hooked(factor):
    return changed(lambda m: m.register_forward_hook(lambda module, inputs, output: factor * output))


def reparametrised(factor):
    return changed(lambda m: parametrize.register_parametrization(m, "gain", Doubling(factor), unsafe=True))


def in_plain_list(module):
    return given(parts=[module])


def deep(factor, depth=5):
    value = {"factor": factor}
    for _ in range(depth):
        value = [value, (value, "beside")]
    return given(tree=value)


def shared(*, tied):
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for part in module:
        nn.init.ones_(part.weight)
        nn.init.zeros_(part.bias)
    if tied:
        module[1].weight = module[0].weight
    return module


def tied_memory(*, tied):
    module = shared(tied=False)
    if tied:
        module[1].weight.data = module[0].weight.data
    return module


def overlapping(start):
    memory = torch.ones(4)
    return given(first=nn.Parameter(memory[:2]), second=nn.Parameter(memory[start : start + 2]))


def with_buffer(value, *, persistent):
    return changed(lambda m: m.register_buffer("scale", torch.tensor(value), persistent=persistent))


def frozen(flag):
    return changed(lambda m: m.gain.requires_grad_(flag))


def overridden(factor):
    return changed(lambda m: setattr(m, "forward", lambda source, coefficients: factor * source))


def with_tensor_hook(factor):
    return changed(lambda m: m.gain.register_hook(lambda gradient: factor * gradient))


def generator_of(seed):
    return given(random=np.random.default_rng(seed))


def module_in_mode(*, training):
    dropout = nn.Dropout(0.5)
    dropout.train(training)
    return in_plain_list(dropout)


def of_class(name, **members):
    return type(name, (Base,), {"__module__": __name__, **members})()


DIFFERENT = {
    "a plain number": lambda: [
        given(k=1),
        given(k=2),
        given(k=1.0),
        given(k=True),
        given(k="1"),
        given(k=None),
        Base(),
    ],
    "a tiny difference": lambda: [given(k=0.1), given(k=float(np.nextafter(0.1, 1))), given(k=-0.0), given(k=0.0)],
    "a library's function": lambda: [Base(torch.tanh), Base(torch.relu), Base(nn.functional.relu), Base(np.tanh)],
    "a lambda's constant": lambda: [Base(lambda v: v + 1), Base(lambda v: v + 2), Base(lambda v: v - 1)],
    "a closure": lambda: [Base(times(1)), Base(times(2)), Base(times(torch.tensor(2.0)))],
    "a nested closure": lambda: [Base(times(times(1))), Base(times(times(2)))],
    "a default": lambda: [Base(by_default(1)), Base(by_default(2))],
    "a keyword's default": lambda: [Base(by_keyword(1)), Base(by_keyword(2))],
    "a function's attribute": lambda: [Base(with_attribute(1)), Base(with_attribute(2))],
    "a partial": lambda: [Base(functools.partial(torch.mul, other=k)) for k in (1, 2)],
    "a cached function": lambda: [Base(cached(1)), Base(cached(2))],
    "a bound method": lambda: [Base(Curve(1.0).twice), Base(Curve(2.0).twice), Base(Curve(1.0).__call__)],
    "a dataclass": lambda: [given(c=Curve(1.0)), given(c=Curve(2.0)), given(c=Curve(1.0, [1]))],
    "slots": lambda: [given(c=Slotted(1)), given(c=Slotted(2))],
    "an enumeration": lambda: [given(kind=Kind.SINE), given(kind=Kind.COSINE)],
    "a plain list": lambda: [
        in_plain_list(nn.GELU()),
        in_plain_list(nn.ReLU()),
        in_plain_list(Base()),
        in_plain_list(Subclass()),
    ],
    "a mode of a hidden part": lambda: [module_in_mode(training=True), module_in_mode(training=False)],
    "a plain dictionary": lambda: [
        given(parts={"a": nn.GELU()}),
        given(parts={"a": nn.ReLU()}),
        given(parts={"b": nn.GELU()}),
    ],
    "deep inside": lambda: [deep(1), deep(2)],
    "a set": lambda: [given(modes={1, 2}), given(modes={1, 3}), given(modes=frozenset({1, 2, 3}))],
    "a tensor that is no buffer": lambda: [given(k=[torch.ones(2)]), given(k=[torch.zeros(2)]), given(k=torch.ones(2))],
    "an array": lambda: [
        given(k=np.ones(2)),
        given(k=np.zeros(2)),
        given(k=np.ones(2, np.float32)),
        given(k=np.ones((2, 1))),
    ],
    "a buffer": lambda: [with_buffer(value, persistent=kept) for value in (1.0, 2.0) for kept in (True, False)],
    "a frozen parameter": lambda: [frozen(True), frozen(False)],
    "a dtype": lambda: [Base(), Base().double(), Base().half()],
    "tied parameters": lambda: [shared(tied=True), shared(tied=False)],
    "tied memory": lambda: [tied_memory(tied=True), tied_memory(tied=False)],
    "the order of parts": lambda: [nn.Sequential(nn.GELU(), nn.ReLU()), nn.Sequential(nn.ReLU(), nn.GELU())],
    "settings of a part": lambda: [nn.LeakyReLU(0.1), nn.LeakyReLU(0.2), nn.GELU("none"), nn.GELU("tanh")],
    "a forward hook": lambda: [Base(), hooked(1), hooked(2)],
    "a forward pre-hook": lambda: [
        changed(lambda m: m.register_forward_pre_hook(lambda module, inputs: None)),
        changed(lambda m: m.register_forward_pre_hook(lambda module, inputs: inputs)),
    ],
    "a hook's way": lambda: [
        changed(lambda m: m.register_forward_hook(print)),
        changed(lambda m: m.register_forward_hook(print, with_kwargs=True)),
        changed(lambda m: m.register_forward_hook(print, always_call=True)),
    ],
    "a backward hook": lambda: [Base(), changed(lambda m: m.register_full_backward_hook(lambda *_: None))],
    "a hook of a tensor": lambda: [Base(), with_tensor_hook(1), with_tensor_hook(2)],
    "an overridden forward": lambda: [Base(), overridden(1), overridden(2)],
    "a subclass": lambda: [Base(), Subclass(), Halved()],
    "a class's attribute": lambda: [of_class("A", k=1), of_class("A", k=2)],
    "a class's property": lambda: [
        of_class("A", k=property(lambda self: 1)),
        of_class("A", k=property(lambda self: 2)),
    ],
    "a derivative": lambda: [Base(lambda v: Doubled.apply(v)), Base(lambda v: WrongSlope.apply(v))],
    "a base of the class": lambda: [type("A", (kind,), {"__module__": __name__})() for kind in (Base, Subclass)],
    "a class's name": lambda: [of_class("A"), of_class("B")],
    "a parametrisation": lambda: [Base(), reparametrised(1), reparametrised(2)],
    "a random generator": lambda: [generator_of(0), generator_of(1)],
    "a device kept as a value": lambda: [given(place=torch.device("cpu")), given(place=torch.device("meta"))],
    "a pattern": lambda: [given(k=re.compile("a")), given(k=re.compile("b"))],
    "a named tuple": lambda: [given(k=Pair(1, 2)), given(k=Pair(1, 3)), given(k=(1, 3))],
    "a kind of dictionary": lambda: [given(k=kind(int, {1: 2})) for kind in (defaultdict, lambda _, d: Counter(d))],
    "a kind of list": lambda: [given(k=deque([1])), given(k=deque([1], maxlen=3)), given(k=deque([2])), given(k=[1])],
    "a masked array": lambda: [given(k=np.ma.array([1, 2], mask=mask)) for mask in ([0, 1], [1, 0])],
    "a vectorised function": lambda: [given(k=np.vectorize(times(factor))) for factor in (1, 2)],
    "a spline": lambda: [given(k=CubicSpline([0, 1, 2], [0, 1, last])) for last in (2, 3)],
    "a sparse matrix": lambda: [given(k=factor * scipy.sparse.eye_array(3)) for factor in (1, 2)],
    "a method of a built-in object": lambda: [given(k=[1].index), given(k=[2].index), given(k="a".join)],
    "a wrapped function": lambda: [Base(torch.no_grad()(times(factor))) for factor in (1, 2)],
    "a batched function": lambda: [Base(torch.func.vmap(times(factor))) for factor in (1, 2)],
    "slots of a module": lambda: [SlottedModule(1), SlottedModule(2)],
    "slots of a tensor": lambda: [given(k=[slotted_tensor(1)]), given(k=[slotted_tensor(2)])],
    "overlapping memory": lambda: [overlapping(0), overlapping(1), overlapping(2)],
    "a special method that is an object": lambda: [
        of_class("A", __getitem__=Curve(1.0)),
        of_class("A", __getitem__=Curve(2.0)),
        of_class("A", __getitem__=operator.add),
        of_class("A", __getitem__=operator.mul),
        of_class("A", __getitem__=functools.partialmethod(Base.forward, coefficients=1)),
        of_class("A", __getitem__=functools.partialmethod(Base.forward, coefficients=2)),
    ],
    "a class's value between underscores": lambda: [of_class("A", __gain__=1), of_class("A", __gain__=2)],
    "a dictionary that is called hooks": lambda: [given(my_hooks={1: 2.0}), given(my_hooks={2: 2.0})],
    "a dictionary that hides what it holds": lambda: [given(k=Hiding(a=1)), given(k=Hiding(a=2))],
    "memory's order": lambda: [
        given(k=torch.arange(4.0).view(2, 2)),
        given(k=torch.tensor([[0.0, 2.0], [1.0, 3.0]]).T),
    ],
    "ours with another layer": lambda: [ours(), ours(layers=2), ours(gain=0.25)],
}


def ours(gain=None, **changes):
    model = load_model("fno-mixed-64k")
    if changes or gain is not None:
        torch.manual_seed(0)
        return NeuralOperator(model.config.model_copy(update=changes), **({} if gain is None else {"gain": gain}))
    return model


@pytest.mark.parametrize("way", DIFFERENT)
def test_models_of_equal_weights_that_differ_in(way):
    identities = [identity_of(model) for model in DIFFERENT[way]()]
    assert all(identity.unknown is None for identity in identities)
    assert len({identity.fingerprint for identity in identities}) == len(identities)


LOST_IN_COPIES = {
    "a hook of a tensor",
    "tied memory",
    "overlapping memory",
    "slots of a module",
    "slots of a tensor",
    "a dictionary that hides what it holds",
}


@pytest.mark.parametrize("way", DIFFERENT)
def test_the_same_model_made_again_or_copied_is_the_same(way):
    first = [identity_of(model) for model in DIFFERENT[way]()]
    assert [identity_of(model) for model in DIFFERENT[way]()] == first
    if way not in LOST_IN_COPIES:
        copies = [identity_of(copy.deepcopy(model)) for model in DIFFERENT[way]()]
        assert copies == first


def test_a_global_value_that_a_function_uses_takes_part(monkeypatch):
    before = identity_of(Base(of_global)).fingerprint
    monkeypatch.setattr(sys.modules[__name__], "GAIN", 2.0)
    assert identity_of(Base(of_global)).fingerprint != before


SETTINGS = """
FACTOR = 1.0
_hidden = {"factor": 1.0}

def __getattr__(name):
    if name == "LAZY":
        return _hidden["factor"]
    raise AttributeError(name)

def look_up(module, name):
    return getattr(module, name)
"""


def by_a_name_made_up(values):
    return getattr(settings, "FAC" + "TOR") * values


def by_its_dictionary(values):
    return settings.__dict__["FACTOR"] * values


def by_variables(values):
    return vars(settings)["FACTOR"] * values


def by_another_function(values):
    return settings.look_up(settings, "FACTOR") * values


def by_another_name(values):
    module = settings
    return module.FACTOR * values


def by_its_own_getattr(values):
    return settings.LAZY * values


def by_an_import(values):
    import settings as imported  # a file that the test writes

    return getattr(imported, "FAC" + "TOR") * values


def by_a_closure():
    module = settings

    def scaled(values):
        return vars(module)["FACTOR"] * values

    return scaled


settings = None
__factor__ = 1.0
SECRET_WAYS = (
    by_a_name_made_up,
    by_its_dictionary,
    by_variables,
    by_another_function,
    by_another_name,
    by_its_own_getattr,
    by_an_import,
)


@pytest.mark.parametrize("way", [*SECRET_WAYS, by_a_closure], ids=lambda way: way.__name__)
def test_a_value_in_a_module_takes_part_however_it_is_looked_up(way, tmp_path, monkeypatch):
    (tmp_path / "settings.py").write_text(SETTINGS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "settings", raising=False)
    module = importlib.import_module("settings")
    monkeypatch.setattr(sys.modules[__name__], "settings", module)
    model = Base(way() if way is by_a_closure else way)
    before = identity_of(model)
    assert before.unknown is None
    assert identity_of(model) == before
    module.FACTOR = module._hidden["factor"] = 2.0
    after = identity_of(model)
    assert after.unknown is None
    assert after.fingerprint != before.fingerprint
    del sys.modules["settings"]


def of_a_name_between_underscores(values):
    return __factor__ * values


def test_a_global_value_with_a_name_between_underscores_takes_part(monkeypatch):
    before = identity_of(Base(of_a_name_between_underscores)).fingerprint
    monkeypatch.setattr(sys.modules[__name__], "__factor__", 2.0)
    assert identity_of(Base(of_a_name_between_underscores)).fingerprint != before


def by_an_operator(values):
    return torch.ops.nobodys.scale(values)


def test_an_operator_of_somebodys_own_cannot_be_known():
    library = torch.library.Library("nobodys", "DEF")
    library.define("scale(Tensor x) -> Tensor")
    library.impl("scale", lambda x: 2 * x, "CPU")
    assert "nobodys" in identity_of(Base(by_an_operator)).unknown
    assert identity_of(Base(lambda values: torch.ops.aten.relu(values))).unknown is None


REPLACEMENTS = {
    "a function by a user's": (nn.functional, "gelu", lambda values, approximate="none": values),
    "a function by another of the library's": (nn.functional, "gelu", nn.functional.relu),
    "a transform": (torch.fft, "rfft2", torch.fft.fft2),
    "a method by another of the library's": (nn.GELU, "forward", nn.ReLU.forward),
    "a method by a built-in function": (nn.GELU, "forward", staticmethod(torch.relu)),
    "a method by an object": (nn.GELU, "forward", functools.partialmethod(Base.forward, coefficients=1)),
    "a method of tensors": (torch.Tensor, "square", torch.Tensor.abs),
}


@pytest.mark.parametrize("way", REPLACEMENTS)
def test_what_replaces_a_librarys_function_belongs_to_every_model(way, monkeypatch):
    users, zoo = nn.Sequential(nn.GELU()), load_model("fno-mixed-64k")
    before = [identity_of(users).fingerprint, candidate_of(zoo).fingerprint]
    with monkeypatch.context() as patch:
        patch.setattr(*REPLACEMENTS[way])
        candidate = candidate_of(zoo)
        assert candidate.weights_sha256 is None
        assert not {identity_of(users).fingerprint, candidate.fingerprint} & set(before)
    assert [identity_of(users).fingerprint, candidate_of(zoo).fingerprint] == before


def test_what_pytorch_wraps_of_its_own_replaces_nothing():
    torch.optim.Adam([nn.Parameter(torch.ones(1))])
    torch.compile(nn.Linear(2, 2), backend="eager")(torch.ones(1, 2))
    assert list(replaced()) == []


def test_a_method_replaced_in_a_class_takes_part(monkeypatch):
    users, librarys, zoo = Base(), nn.Sequential(nn.Tanh()), load_model("fno-mixed-64k")
    before = [identity_of(model).fingerprint for model in (users, librarys)]
    assert candidate_of(zoo).weights_sha256 is not None
    monkeypatch.setattr(Base, "forward", lambda self, source, coefficients: source)
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, values: 2 * values)
    after = [identity_of(model).fingerprint for model in (users, librarys)]
    assert not set(before) & set(after)
    monkeypatch.setattr(type(zoo.network), "forward", lambda self, source, coefficients: source)
    assert candidate_of(zoo).weights_sha256 is None


class Reading(Base):
    """Ways to look at something else while predicting."""

    def __init__(self, path=None):
        super().__init__()
        self.path = path
        self.load_from(path)

    def load_from(self, path):
        if path is not None:
            self.gain.data = torch.load(path, weights_only=True)


class Opens(Base):
    def forward(self, source, coefficients):
        with open("factor.txt") as file:  # noqa: PTH123 (one of the ways)
            return float(file.read()) * source


class Asks(Base):
    def forward(self, source, coefficients):
        return float(os.environ["FACTOR"]) * source


class Helped(Base):
    def forward(self, source, coefficients):
        return self.helper(source)

    def helper(self, source):
        return source * np.load("factor.npy")


class Imports(Base):
    def forward(self, source, coefficients):
        from pathlib import Path

        return source * float(Path("factor.txt").read_text())


def read_by_scipy(values):
    return scipy.io.loadmat("factor.mat")["factor"] * values


def drawn_from_the_system(values):
    import secrets

    return secrets.randbelow(3) * values


def unseen_in_a_function(values):
    return eval("values + 1")  # noqa: S307 (one of the ways)


UNKNOWN = {
    "a generator": lambda: given(steps=(i for i in range(3))),
    "a lock": lambda: given(lock=threading.Lock()),
    "an open file": lambda: given(file=open(__file__)),  # noqa: SIM115, PTH123
    "a set of objects": lambda: given(parts={Curve, Slotted}),
    "a compiled module": lambda: torch.jit.script(nn.Linear(2, 2)),
    "a parameter without values": lambda: nn.LazyLinear(2),
    "a sparse tensor": lambda: given(weight=torch.eye(2).to_sparse()),
    "an array of objects": lambda: given(k=np.array([object()])),
    "a function of arrays": lambda: given(k=np.frompyfunc(times(2), 1, 1)),
    "a view of memory": lambda: given(k=memoryview(b"a")),
    "a file read in forward": Opens,
    "the environment": Asks,
    "a file read by a method of forward's": Helped,
    "a file read by what forward imports": Imports,
    "text run as code": lambda: Base(unseen_in_a_function),
    "a file of another program": lambda: Base(read_by_scipy),
    "a number that nothing seeds": lambda: Base(drawn_from_the_system),
    "a file read by a hook": lambda: changed(lambda m: m.register_forward_hook(lambda *_: torch.load("x"))),
    "a local module as a value": lambda: given(library=sys.modules[__name__]),
    "an object that cannot be looked at": lambda: given(odd=Odd()),
}


class Odd:
    @property
    def __dict__(self):
        raise KeyError("no")


@pytest.mark.parametrize("way", UNKNOWN)
def test_what_cannot_be_known_again_has_no_fingerprint_but_a_reason(way):
    identity = identity_of(UNKNOWN[way]())
    assert identity.fingerprint is None
    assert identity.unknown


def test_a_hook_on_all_modules_which_no_evaluation_runs_with_is_no_part_of_a_model():
    before = identity_of(Base())
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert identity_of(Base()) == before
    finally:
        handle.remove()


def test_what_is_read_while_a_model_is_made_is_in_its_tensors(tmp_path):
    torch.save(torch.tensor(2.0), tmp_path / "gain.pt")
    torch.save(torch.tensor(3.0), tmp_path / "other.pt")
    two, three = (identity_of(Reading(tmp_path / name)).fingerprint for name in ("gain.pt", "other.pt"))
    assert two
    assert three
    assert two != three


def changed_zoo_models():
    class Another(NeuralOperator):
        def forward(self, source, coefficients):
            return 2 * super().forward(source, coefficients)

    def with_(change):
        model = load_model("fno-mixed-64k")
        change(model)
        return model

    source = load_model("fno-mixed-64k").source
    yield Another.from_source(source)
    yield with_(lambda m: m.register_forward_hook(lambda module, inputs, output: 2 * output))
    yield with_(lambda m: m.network.lift.register_forward_hook(lambda module, inputs, output: 2 * output))
    yield with_(lambda m: setattr(m, "forward", lambda source, coefficients: source))
    yield with_(lambda m: setattr(m.network, "forward", lambda source, coefficients: source))
    yield with_(lambda m: setattr(m, "k", 3))
    yield with_(lambda m: setattr(m.network, "lift", nn.Sequential(m.network.lift)))
    yield with_(lambda m: setattr(m.network.lift, "bias", nn.Parameter(m.network.lift.bias.detach() + 1)))
    yield with_(lambda m: m.network.lift.bias.requires_grad_(False))
    yield with_(lambda m: setattr(m, "__class__", type("Other", (Another,), {"__module__": __name__})))


def test_a_changed_zoo_model_claims_neither_its_weights_nor_its_name():
    original = candidate_of(load_model("fno-mixed-64k"))
    candidates = [candidate_of(model) for model in changed_zoo_models()]
    assert [(c.weights_sha256, c.revision) for c in candidates] == [(None, None)] * len(candidates)
    assert "fno-mixed-64k" not in {c.name for c in candidates}
    fingerprints = [c.fingerprint for c in [original, *candidates]]
    assert None not in fingerprints
    assert len(set(fingerprints)) == len(fingerprints)


def test_a_fresh_start_of_a_subclass_is_of_the_subclass():
    subclass = next(changed_zoo_models())
    fresh = candidate_of(subclass).fresh
    assert fresh is None or type(fresh(0)) is type(subclass)


def test_a_candidate_whose_model_has_changed_since_is_taken_as_it_is_now():
    model = load_model("fno-mixed-64k")
    candidate = candidate_of(model)
    assert as_it_is_now(candidate) is candidate
    with torch.no_grad():
        model.network.lift.bias += 1.0
    now = as_it_is_now(candidate)
    assert (now.name, now.revision, now.weights_sha256) == ("unsaved", None, None)
    assert now.fingerprint == candidate_of(model).fingerprint != candidate.fingerprint


def test_a_model_that_remembers_is_seen_to_have_changed():
    class Counts(Base):
        calls = 0

        def forward(self, source, coefficients):
            self.calls += 1
            return self.calls * source

    for model, known in ((Base(), True), (Counts(), False)):
        unchanged = watch(candidate_of(model))
        assert unchanged()
        model(torch.ones(1, 2, 2), torch.ones(1, 6))
        assert unchanged() is known


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import test_identity
print(*test_identity.all_fingerprints(), sep="\\n")
"""


def all_fingerprints():
    torch.set_num_threads(1)
    for way, models in DIFFERENT.items():
        torch.manual_seed(0)
        yield from (f"{way}: {identity_of(model).fingerprint}" for model in models())
    for name in ("oracle", "zero", "mean", "unet", "fno-mixed-64k"):
        yield f"{name}: {open_candidate(name, 'cpu').fingerprint}"


def test_the_same_model_has_the_same_fingerprint_in_another_process():
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    here = list(all_fingerprints())
    assert printed.splitlines() == here
    assert len(here) > len(DIFFERENT) + 5
