"""An evaluation neither depends on the state of the process that it runs in, nor changes it; nor does a model."""

import gc
import logging
import os
import random
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from pointwise import Pointwise
from torch import nn
from torch.overrides import TorchFunctionMode

from pdebench_fm.evaluation.evaluate import evaluate, evaluate_suite
from pdebench_fm.models import candidate_of, open_candidate
from pdebench_fm.switches import SWITCHES

pytestmark = pytest.mark.usefixtures("quick_recipes")


class Dropping(Pointwise):
    """Draws with every generator there is while it is trained."""

    def forward(self, source, coefficients):
        if self.training:
            source = nn.functional.dropout(source, 0.2) * (1 + 0.1 * np.random.rand() + 0.1 * random.random())  # noqa: NPY002, S311
        return super().forward(source, coefficients)


def made(kind, *arguments):
    torch.manual_seed(1)
    return kind(*arguments)


def scores(model, task, shots=(0, 4), **options):
    result = evaluate(model, task, shots, track="lite", seeds=1, **options)
    assert result.failures == ()
    return [cell.metrics for cell in result.result.cells]


def places():
    return [switch.place() for switch in SWITCHES]


@contextmanager
def after(turn):
    """Surroundings that are turned by a call; `put_back` ends them."""
    turn()
    yield


def seed_all(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


def add_one(_module, _inputs, output):
    return output + 1


class Doubling(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return 2 * result if func is nn.functional.linear else result


@pytest.fixture
def put_back():
    before = places()
    yield
    for switch, place in zip(SWITCHES, before, strict=True):
        switch.put(place)


SURROUNDINGS = {
    "autocast": lambda: torch.autocast("cpu"),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "a device": lambda: torch.device("meta"),
    "anomaly detection": lambda: torch.autograd.detect_anomaly(check_nan=True),
    "NumPy's errors": lambda: np.errstate(all="raise"),
    "a mode": Doubling,
    "default dtype": lambda: after(lambda: torch.set_default_dtype(torch.float64)),
    "default device": lambda: after(lambda: torch.set_default_device("meta")),
    "denormals": lambda: after(lambda: torch.set_flush_denormal(True)),
    "precision": lambda: after(lambda: torch.set_float32_matmul_precision("medium")),
    "hook": lambda: after(lambda: nn.modules.module.register_module_forward_hook(add_one)),
    "generators": lambda: after(lambda: seed_all(9)),
}


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("name", SURROUNDINGS)
@pytest.mark.filterwarnings("ignore:Anomaly")
def test_scores_do_not_depend_on_the_surroundings(name, small_task, model):
    task = small_task()
    own, plain = made(Dropping), scores(model, task, scratch=False)
    expected = scores(own, task)
    with SURROUNDINGS[name]():
        before = places()
        assert scores(own, task) == expected
        assert scores(model, task, scratch=False) == plain
        assert places() == before


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("name", ["inference mode", "default dtype", "a device", "default device", "autocast"])
def test_models_opened_in_other_surroundings_are_the_same(name, small_task, model_folder, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from torch import nn\nimport torch\n\n\ndef build():\n    return Sum()\n\n\n" + SUM)
    references = [str(model_folder), f"{path}:build", "mean"]
    task = small_task()
    expected = [scores(open_candidate(reference), task, 0) for reference in references]
    with SURROUNDINGS[name]():
        opened = [open_candidate(reference) for reference in references]
    assert [scores(candidate, task, 0) for candidate in opened] == expected


SUM = """class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(1))

    def forward(self, source, coefficients):
        return source * self.weight
"""


class Turning(Pointwise):
    """Turns switches of the whole process whenever it is called, or when it is trained."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def turn(self):
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.set_flush_denormal(True)
        torch.set_num_threads(torch.get_num_threads() + 1)
        np.seterr(all="raise")
        torch.autocast("cpu").__enter__()

    def forward(self, source, coefficients):
        solution = super().forward(source, coefficients)
        if self.when == "called" or (self.training and self.when == "trained"):
            self.turn()
        return solution


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("when", ["called", "trained"])
def test_what_one_model_turns_changes_neither_its_own_metrics_nor_the_next_model(when, small_task):
    task, sound, before = small_task(), made(Pointwise), places()
    expected = scores(sound, task)
    turning, after = evaluate_suite(
        [candidate_of(made(Turning, when), "turning"), candidate_of(sound, "sound")],
        [task],
        (0, 4),
        track="lite",
        seeds=1,
    )
    for evaluation in (turning, after):
        assert [cell.metrics for cell in evaluation.result.cells] == expected
    assert places() == before


def test_what_a_file_turns_when_it_is_imported_or_builds_is_put_back(small_task, tmp_path):
    turn = "torch.set_default_dtype(torch.float64)\n{0}torch.set_default_device('meta')\n{0}torch.set_num_threads(3)\n"
    path = tmp_path / "turning.py"
    path.write_text(
        f"import torch\nfrom torch import nn\n{turn.format('')}\n\ndef build():\n    {turn.format('    ')}"
        "    return lambda source, coefficients: source\n"
    )
    before = places()
    result = evaluate(open_candidate(f"{path}:build"), small_task(), track="lite")
    assert (result.failures, places()) == ((), before)


def test_a_model_that_draws_has_its_draws_fixed_by_the_cell_and_spoils_nobody_elses(small_task):
    def noisy(source, _):
        return source * (torch.rand(1).item() + np.random.rand() + random.random())  # noqa: NPY002, S311

    task, found = small_task(), []
    for seed in (1, 2):
        seed_all(seed)
        before = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
        found.append(scores(noisy, task, 0))
        assert (
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
        ) == before
    assert found[0] == found[1] != scores(lambda source, _: source, task, 0)


def test_threads_that_evaluate_at_once_get_the_serial_scores(small_task, model):
    task = small_task()
    models = [made(Dropping), model, candidate_of(made(Turning, "called")), lambda source, _: source]
    shots = [(0, 4), (0, 4), 0, 0]
    expected = [scores(one, task, k) for one, k in zip(models, shots, strict=True)]
    found = {}

    def run(place):
        found[place] = scores(models[place], small_task(), shots[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(models))]
    before = places()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(len(models))] == expected
    assert places() == before


@dataclass
class Scaled:
    factor: float = 1.0

    def __call__(self, source, _):
        return self.factor * source


class Incomparable:
    __hash__ = None

    def __eq__(self, other):
        raise TypeError("not to be compared")

    def __call__(self, source, _):
        return source


def test_a_model_need_be_neither_hashable_nor_comparable(small_task):
    evaluations = evaluate_suite(
        [Scaled(), candidate_of(Scaled(2.0), "twice"), Incomparable()], [small_task()], 0, track="lite"
    )
    first, twice, third = (evaluation.result.runs[0].summary.mean for evaluation in evaluations)
    assert first == third != twice


class Descending(nn.Module):
    """Finds its answer by gradients: f/2 is where ‖u‖² − u·f is least, and one step from 0 of size ½ gets there."""

    def forward(self, source, _):
        guess = torch.zeros_like(source).requires_grad_()
        (gradient,) = torch.autograd.grad((guess.square() - guess * source).sum(), guess)
        return guess - 0.5 * gradient


def test_a_forward_that_differentiates_is_scored_zero_shot(small_task):
    task = small_task()
    assert scores(Descending(), task, 0) == scores(lambda source, _: 0.5 * source, task, 0)


def returned(what):
    def model(source, _):
        return what(0.5 * source)

    return model


class Marked(torch.Tensor):
    pass


class Refusing(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise TypeError("a tensor that nothing can be asked")


@pytest.mark.parametrize(
    "what",
    [
        nn.Parameter,
        lambda field: field.clone().requires_grad_() * 1.0,
        lambda field: field.transpose(1, 2).contiguous().transpose(1, 2),
        lambda field: torch.stack([field, field], dim=-1)[..., 0],
        lambda field: field.as_subclass(Marked),
        lambda field: field.as_subclass(Refusing),
        lambda field: torch.complex(torch.zeros_like(field), -field).conj().imag,  # a view whose sign is to be turned
    ],
)
def test_however_a_solution_is_held_it_is_the_same(what, small_task):
    task = small_task()
    assert scores(returned(what), task, 0) == scores(returned(lambda field: field), task, 0)


def test_an_expanded_solution_is_scored(small_task):
    task = small_task()
    flat = scores(lambda source, _: source.mean((1, 2), keepdim=True).expand_as(source), task, 0)
    assert flat == scores(lambda source, _: source.mean((1, 2), keepdim=True) * torch.ones_like(source), task, 0)


def test_a_model_that_returns_the_same_memory_each_time_is_scored_on_what_it_held(small_task):
    memory = torch.empty(16, 64, 64)

    def model(source, _):
        return torch.mul(source, 0.5, out=memory[: len(source)])

    task = small_task()
    assert scores(model, task, 0) == scores(lambda source, _: 0.5 * source, task, 0)


class Lazy(Pointwise):
    def __init__(self):
        nn.Module.__init__(self)
        self.map = nn.LazyLinear(1)


def test_a_lazy_module_is_evaluated_and_left_lazy(small_task):
    lazy = Lazy()
    assert scores(lazy, small_task()) == scores(lazy, small_task())
    assert isinstance(lazy.map.weight, nn.UninitializedParameter)


class Scriptable(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")

    def forward(self, source, coefficients):
        return self.map(source[:, None])[:, 0] + 0.0 * coefficients.sum()


@pytest.mark.parametrize(
    "kind", [torch.jit.script, lambda module: torch.jit.trace(module, (torch.ones(2, 64, 64), torch.ones(2, 6)))]
)
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_module_is_trained_like_the_one_that_it_was_made_of(kind, small_task):
    task, module = small_task(), made(Scriptable)
    expected, found = (scores(one, task, scratch=False) for one in (module, kind(module)))
    for run, other in zip(expected, found, strict=True):
        assert other.relative_l2_mean == pytest.approx(run.relative_l2_mean, rel=1e-5)


def test_a_module_made_in_inference_mode_can_be_trained(small_task):
    with torch.inference_mode():
        inside = made(Pointwise)
    assert inside.map.weight.is_inference()
    assert scores(inside, small_task()) == scores(made(Pointwise), small_task())


@pytest.mark.parametrize("training", [False, True])
def test_an_interrupt_passes(training, small_task):
    class Interrupted(Pointwise):
        def forward(self, source, coefficients):
            if self.training is training:
                raise KeyboardInterrupt
            return super().forward(source, coefficients)

    before = places()
    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), small_task(), 4, track="lite", seeds=1)
    assert places() == before


class Meddling(nn.Module):
    def forward(self, source, _):
        os.chdir("/")
        os.environ.pop("HOME", None)
        os.environ["MEDDLED"] = "1"
        sys.stdout = None
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        warnings.simplefilter("error")
        logging.disable(logging.CRITICAL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.disable()
        torch.set_printoptions(precision=1)
        np.set_printoptions(precision=1)
        return source


def process():
    return {
        "folder": Path.cwd(),
        "environment": dict(os.environ),
        "output": sys.stdout,
        "recursion": sys.getrecursionlimit(),
        "errors": [each for each in warnings.filters if each[0] == "error"],
        "logging": logging.root.manager.disable,
        "interrupt": signal.getsignal(signal.SIGINT),
        "collection": gc.isenabled(),
        "tensors": torch._tensor_str.PRINT_OPTS.precision,
        "arrays": np.get_printoptions()["precision"],
    }


def test_what_a_model_does_to_the_process_reaches_neither_the_user_nor_the_next_model(small_task):
    before = process()
    (evaluation,) = evaluate_suite([Meddling()], [small_task()], track="lite")
    assert not evaluation.failures
    assert process() == before
