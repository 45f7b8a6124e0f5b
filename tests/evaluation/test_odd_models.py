"""Odd models: the smoke test says that one would fail where an evaluation of it fails, and only there."""

import random
import sys

import numpy as np
import pytest
import torch
from pointwise import Pointwise
from torch import nn

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.evaluation import smoke
from pdebench_fm.evaluation.evaluate import evaluate, evaluate_suite
from pdebench_fm.evaluation.smoke import smoke_test
from pdebench_fm.models import candidate_of
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.interpolation import InterpolationRecipe
from pdebench_fm.training.search import SearchRecipe


class Differentiating(Pointwise):
    def forward(self, source, coefficients):
        if torch.is_grad_enabled():
            solution = super().forward(source, coefficients)
        else:
            solution = super().forward(source, coefficients).requires_grad_()
        (gradient,) = torch.autograd.grad(solution.square().sum(), solution, create_graph=True)
        return solution - 0.1 * gradient


class RecordingGradients(Pointwise):
    def forward(self, source, coefficients):
        with torch.enable_grad():
            return super().forward(source, coefficients)


class InInferenceMode(Pointwise):
    def forward(self, source, coefficients):
        with torch.inference_mode():
            return super().forward(source, coefficients)


class ReturningAParameter(Pointwise):
    def forward(self, source, coefficients):
        solution = super().forward(source, coefficients)
        return solution if self.training else nn.Parameter(solution)


class Marked(torch.Tensor):
    pass


class ReturningASubclass(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source, coefficients).as_subclass(Marked)


class ReturningAMaskedTensor(Pointwise):
    def forward(self, source, coefficients):
        solution = super().forward(source, coefficients).detach()
        return torch.masked.masked_tensor(solution, torch.ones_like(solution, dtype=torch.bool))


class Sparse(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source, coefficients).to_sparse()


class Nested(Pointwise):
    def forward(self, source, coefficients):
        return torch.nested.nested_tensor(list(super().forward(source, coefficients)))


class Lazy(Pointwise):
    def __init__(self):
        nn.Module.__init__(self)
        self.map = nn.LazyLinear(1)


class LazyAndBroken(Lazy):
    def forward(self, *_):
        raise ValueError("cannot be called")


class SparseGradients(Pointwise):
    def __init__(self):
        super().__init__()
        self.offsets = nn.Embedding(2, 1, sparse=True)

    def forward(self, source, coefficients):
        return super().forward(source, coefficients) + self.offsets(torch.zeros(1, dtype=torch.int64)).sum()


class ComplexParameter(Pointwise):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, dtype=torch.complex64))

    def forward(self, source, coefficients):
        return super().forward(source, coefficients) * self.gain.abs()

    def reset_parameters(self):
        nn.init.ones_(self.gain)


class WholeParameter(Pointwise):
    def __init__(self):
        super().__init__()
        self.power = nn.Parameter(torch.ones(1, dtype=torch.int64), requires_grad=False)

    def forward(self, source, coefficients):
        return super().forward(source, coefficients) ** self.power


class Frozen(Pointwise):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


class ComputedParameters(Pointwise):
    def parameters(self, recurse=True):
        return [1.0 * parameter for parameter in super().parameters(recurse)]


class NoParameters(Pointwise):
    def parameters(self, *_, **__):
        raise KeyError("no parameters today")


class NoModules(Pointwise):
    def modules(self):
        raise OSError("no modules today")


class NoBuffers(Pointwise):
    def buffers(self, *_, **__):
        raise OSError("no buffers today")


class NotCopied(Pointwise):
    def __deepcopy__(self, memo):
        raise NotImplementedError("holds an open file")


class NotEvaluated(Pointwise):
    def eval(self):
        raise OSError("no evaluation mode")


class NotTrained(Pointwise):
    def train(self, mode=True):
        if mode:
            raise OSError("no training mode")
        return super().train(mode)


class Unmeant(BaseException):
    pass


class Raising(Pointwise):
    """Raises an instance of its class in one mode."""

    def __init__(self, error, training):
        super().__init__()
        self.error, self.when = error, training

    def forward(self, source, coefficients):
        if self.training is self.when:
            raise self.error
        return super().forward(source, coefficients)


class WithoutMessage(Exception):
    def __str__(self):
        raise ValueError


class MemoryWithoutMessage(MemoryError, WithoutMessage):
    pass


class Exiting(Pointwise):
    def forward(self, *_):
        sys.exit("done")


class RaisingBackward(Pointwise):
    def forward(self, source, coefficients):
        solution = super().forward(source, coefficients)
        if solution.requires_grad:
            solution.register_hook(lambda _: 1 / 0)
        return solution


class WithoutDeterministicAlgorithm(Pointwise):
    def forward(self, source, coefficients):
        solution = super().forward(source, coefficients)
        return torch.zeros_like(solution).put_(torch.arange(solution.numel()), solution)


class DrawingInTraining(Pointwise):
    def forward(self, source, coefficients):
        gain = 1.0 + 0.01 * (np.random.rand() + random.random()) if self.training else 1.0  # noqa: NPY002, S311
        return super().forward(source * gain, coefficients)


class OfDoubles(Pointwise):
    def __init__(self):
        torch.set_default_dtype(torch.float64)
        super().__init__()
        torch.set_default_dtype(torch.float32)

    def forward(self, source, coefficients):
        return super().forward(source.double(), coefficients.double())


class FreshOnesBreak(Pointwise):
    made = 0

    def reset_parameters(self):
        FreshOnesBreak.made += 1
        if FreshOnesBreak.made > 1:  # the first is tried when the model is given
            raise OSError("no fresh weights today")


class Keeping(Pointwise):
    """Keeps what it has computed last, with its history."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    def forward(self, source, coefficients):
        self.last = super().forward(source, coefficients)
        self.kept["features"] = [2.0 * self.last]
        return self.last


class WithWeightNorm(Pointwise):
    """By the older of PyTorch's two, which keeps the weights that it computes."""

    def __init__(self):
        super().__init__()
        self.map = nn.utils.weight_norm(self.map)


class WithGridAndMask(Pointwise):
    """Buffers that can't be written to, and that have no values between: not finite, of new shapes, eight bits."""

    def __init__(self):
        super().__init__()
        self.register_buffer("grid", torch.linspace(0.0, 1.0, 4).expand(4, 4))
        self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("eighth", torch.ones(2).to(torch.float8_e4m3fn))

    def forward(self, source, coefficients):
        if self.training:
            self.seen = torch.zeros(len(self.seen) + 1)
        return super().forward(source, coefficients) + 0.0 * self.mask.exp().sum()


class InHalfPrecision(Pointwise):
    def __init__(self):
        super().__init__()
        self.to(torch.bfloat16)

    def forward(self, source, coefficients):
        return super().forward(source.to(torch.bfloat16), coefficients.to(torch.bfloat16)).float()


class Scriptable(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")

    def forward(self, source, coefficients):
        return self.map(source[:, None])[:, 0] + 0.0 * coefficients.sum()


ODD = {
    "plain": (Pointwise, ""),
    "differentiating": (Differentiating, ""),
    "recording gradients": (RecordingGradients, ""),
    "in inference mode": (InInferenceMode, "does not require grad"),
    "a parameter": (ReturningAParameter, ""),
    "a subclass": (ReturningASubclass, ""),
    "a masked tensor": (ReturningAMaskedTensor, "raised TypeError"),
    "a sparse tensor": (Sparse, "sparse_coo tensor"),
    "a nested tensor": (Nested, "nested tensor"),
    "lazy": (Lazy, ""),
    "lazy and broken": (LazyAndBroken, "cannot be called"),
    "sparse gradients": (SparseGradients, "Sparse"),
    "complex parameter": (ComplexParameter, ""),
    "whole parameter": (WholeParameter, ""),
    "frozen": (Frozen, ""),
    "computed parameters": (ComputedParameters, "non-leaf"),
    "no parameters": (NoParameters, "no parameters today"),
    "no modules": (NoModules, "no modules today"),
    "no buffers": (NoBuffers, ""),
    "not copied": (NotCopied, "holds an open file"),
    "not evaluated": (NotEvaluated, "no evaluation mode"),
    "not trained": (NotTrained, "no training mode"),
    "exits": (Exiting, "SystemExit: done"),
    "exits in training": (lambda: Raising(SystemExit(3), training=True), "SystemExit: 3"),
    "no exception": (lambda: Raising(Unmeant("what"), training=False), "Unmeant: what"),
    "no exception in training": (lambda: Raising(Unmeant("what"), training=True), "Unmeant: what"),
    "a generator's exit": (lambda: Raising(GeneratorExit("odd"), training=True), "GeneratorExit: odd"),
    "a stopped iteration": (lambda: Raising(StopIteration("odd"), training=False), "StopIteration: odd"),
    "a warning": (lambda: Raising(DeprecationWarning("odd"), training=True), "DeprecationWarning: odd"),
    "without a message": (lambda: Raising(WithoutMessage(), training=False), "WithoutMessage"),
    "no memory and no message": (lambda: Raising(MemoryWithoutMessage(), training=False), "memory"),
    "no memory and no message in training": (lambda: Raising(MemoryWithoutMessage(), training=True), "memory"),
    "raising backward": (RaisingBackward, "ZeroDivisionError"),
    "no deterministic algorithm": (WithoutDeterministicAlgorithm, "deterministic"),
    "drawing in training": (DrawingInTraining, ""),
    "of doubles": (OfDoubles, "float64"),
    "fresh ones break": (FreshOnesBreak, "no fresh weights today"),
    "keeping what it computed": (Keeping, ""),
    "weight norm": (WithWeightNorm, ""),
    "grids and masks": (WithGridAndMask, ""),
    "half precision": (InHalfPrecision, ""),
    "scripted": (lambda: torch.jit.script(Scriptable()), ""),
    "a function that exits": (lambda: lambda *_: sys.exit(2), "SystemExit: 2"),
}


@pytest.fixture
def few_tasks(monkeypatch):
    monkeypatch.setattr(smoke, "TASKS", dict(list(TASKS.items())[:3]))


@pytest.fixture
def quick_interpolation(monkeypatch):
    """The closed recipe as it is, but for a few steps."""
    from pdebench_fm.evaluation import cell

    def quick(start, _shots, _name="v1"):
        whole = AdaptationRecipe(2e-3, steps=3, batch_size=4)
        return whole if start == "scratch" else InterpolationRecipe(whole, whole)

    monkeypatch.setattr(cell, "adaptation_recipe", quick)


@pytest.mark.usefixtures("few_tasks", "quick_interpolation")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODD)
def test_the_smoke_test_and_an_evaluation_agree_and_other_models_go_on(name, small_task):
    make, words = ODD[name]
    torch.manual_seed(1)
    FreshOnesBreak.made = 0
    candidate, plain = candidate_of(make(), "odd"), candidate_of(Pointwise(), "plain")
    shots = 0 if candidate.module is None else (0, 4)
    odd, other = evaluate_suite([candidate, plain], [small_task()], shots, track="lite", seeds=1)
    assert other.result.failures == ()
    assert bool(odd.result.failures) is bool(words)
    assert all(words in failure.reason for failure in odd.result.failures)
    report = smoke_test(candidate)
    assert report.would_fail is bool(words), [check for check in report.checks if check.outcome == "would fail"]


class NoState(Pointwise):
    def state_dict(self, *_, **__):
        raise OSError("no state today")


@pytest.mark.usefixtures("quick_recipes")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (NoState, ""),  # what is kept of the best epoch is a copy, not its state
        (NotTrained, "no training mode"),
        (lambda: Raising(SystemExit(3), training=True), "SystemExit"),
        (Differentiating, ""),
    ],
)
def test_the_papers_recipe_blames_the_model_too(make, words, small_task, monkeypatch):
    from pdebench_fm.evaluation import cell
    from pdebench_fm.evaluation.held import HeldTask

    monkeypatch.setattr(cell, "adaptation_recipe", lambda *_: SearchRecipe((1e-4,), epochs=1, batch_size=3))
    monkeypatch.setattr(HeldTask, "validation", HeldTask.test)
    result = evaluate(make(), small_task(), 4, track="lite", seeds=1, recipe="paper", scratch=False)
    assert [words in failure.reason for failure in result.failures] == [True] * bool(words)
