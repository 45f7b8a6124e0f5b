"""Ways of adapting in evaluations: what a method is given, what becomes of it, and that a bad one fails by its name."""

# ruff: noqa: ARG001, ARG002 (a method is called with three arguments, whatever it needs)

import re
import sys
from pathlib import Path

import pytest
import torch
from pointwise import Pointwise
from torch import nn

import pdebench_fm as pf
from pdebench_fm.cli import main
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation import scoring
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.cell import cell_key
from pdebench_fm.evaluation.evaluate import evaluate, evaluate_suite
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.scoring import compute
from pdebench_fm.evaluation.smoke import smoke_test
from pdebench_fm.evaluation.suite import plan
from pdebench_fm.models import NeuralOperator, load_model
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.physics import PAPER_SYSTEMS
from pdebench_fm.protocol import methods
from pdebench_fm.protocol.methods import open_method
from pdebench_fm.results.merging import may_merge
from pdebench_fm.results.paths import row_path
from pdebench_fm.training import adapt as steps
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.methods.symmetric import Symmetric
from pdebench_fm.training.methods.table import MethodRow

ROOT = Path(__file__).parents[2]
TASK = "poisson-ood/medium"
HALVING = """
def adapt(module, support, seed):
    for parameter in module.parameters():
        parameter.data.mul_(0.5 + len(support))
    return module
"""


@pytest.fixture
def quick_symmetric(monkeypatch):
    table = (MethodRow(1, AdaptationRecipe(1e-3, steps=3, batch_size=4)),)
    monkeypatch.setitem(methods.OWN_METHODS, "symmetric", Symmetric(table))


def comparable(evaluation):
    return evaluation.result.model_dump(exclude={"cells": {"__all__": {"date", "seconds"}}})


def run(adaptation, task, shots=(0, 4), model=None, **options):
    words = {"track": "lite", "seeds": 1} | options
    return evaluate(Pointwise() if model is None else model, task, shots, adaptation=adaptation, **words)


def test_a_file_is_named_in_the_result_with_division_and_fingerprint(write, small_task, model):
    result = run(write(HALVING), small_task(), model=model).result
    assert (result.method, result.division) == ("mine:adapt", "open")
    assert result.method_fingerprint == open_method(write(HALVING)).fingerprint is not None
    assert [(run.start, run.shots) for run in result.runs] == [("pretrained", 0), ("pretrained", 4), ("scratch", 4)]
    closed = run(None, small_task(), 0, model=model).result
    assert row_path(closed) != row_path(result)
    assert not may_merge(closed, result)


def test_without_shots_a_model_is_scored_as_it_is_unless_the_method_says_otherwise(small_task):
    def doubling(module, support, seed):
        assert (len(support), support.source.shape) == (0, (0, 64, 64))
        nn.init.zeros_(module.map.weight)
        nn.init.zeros_(module.map.bias)
        return module

    model = Pointwise()
    plain = run(None, small_task(), 0, model).runs[0].summary.mean
    assert run(doubling, small_task(), 0, model).runs[0].summary.mean == plain
    doubling.zero_shot = True
    assert run(doubling, small_task(), 0, model).runs[0].summary.mean == 1.0
    doubling.zero_shot = "yes"
    with pytest.raises(UsageError, match="zero_shot of the adaptation doubling must be True or False, not 'yes'"):
        run(doubling, small_task(), 0, model)


def test_a_method_is_given_the_support_set_a_seed_and_the_symmetries(small_task):
    seen = []

    def look(module, support, seed):
        seen.append((seed, support))
        assert torch.is_grad_enabled()
        return module

    task = small_task("advection-diffusion-ood/mild")
    with torch.inference_mode():
        assert run(look, task, 5, scratch=False, seeds=2).failures == ()
    assert [seed for seed, _ in seen] == [0, 1]
    for seed, support in seen:
        rows = task.train.batch(task.support_indices(5, seed))
        assert torch.equal(support.source, rows.source[:, ::2, ::2])
        assert torch.equal(support.solution, rows.solution[:, ::2, ::2])
        assert torch.equal(support.coefficients, rows.coefficients)
        assert (support.system, len(support), len(support.symmetries)) == ("advection-diffusion", 5, 8)


def test_what_a_method_changes_reaches_nobody(small_task):
    def spoil(module, support, seed):
        support.source.zero_()
        support.solution.zero_()
        support.coefficients.zero_()
        torch.set_default_dtype(torch.float64)
        for parameter in module.parameters():
            parameter.data.zero_()
        return module

    def first(module, support, seed):
        with torch.no_grad():
            module.map.bias.fill_(support.source.sum() + torch.rand(()))
        return module

    model = Pointwise()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = run(first, small_task(), [0, 4], model, seeds=2)
    spoilt = run(spoil, small_task(), [0, 4], model, seeds=2)
    assert torch.get_default_dtype() == torch.float32
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert spoilt.runs[1].summary.mean == 1.0
    assert spoilt.runs[0].summary.mean == expected.runs[0].summary.mean
    state = torch.get_rng_state()
    assert comparable(run(first, small_task(), [0, 4], model, seeds=2)) == comparable(expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_method_that_replaces_what_models_call_fails_and_it_is_put_back(small_task):
    def replacing(module, support, seed):
        torch.nn.functional.softplus = lambda values: values * 0
        return module

    def hiding(module, support, seed):
        nn.Linear.__call__ = lambda _self, values: values
        return module

    before = torch.nn.functional.softplus, nn.Linear.__call__
    for method, place in ((replacing, "torch.nn.functional.softplus"), (hiding, "Linear.__call__")):
        found = run(method, small_task(), [0, 4], scratch=False)
        (failure,) = found.failures
        reason = f"the adaptation {method.__name__} replaces {place} for the whole process, and with it changes the "
        reason += "models"
        assert (failure.shots, failure.reason) == (4, reason)
        assert (torch.nn.functional.softplus, nn.Linear.__call__) == before
        assert "__call__" not in vars(nn.Linear)


def test_a_method_that_replaces_what_the_package_or_the_model_calls_fails_and_it_is_put_back(small_task):
    def another_loss(module, support, seed):
        steps.relative_l2 = lambda prediction, solution: (prediction - solution).abs().mean(dim=(1, 2))
        return steps.adapt(module, support, steps.AdaptationRecipe(1e-3, 2, 8), seed)

    def another_score(module, support, seed):
        scoring.sample_errors = lambda *_: {}
        return module

    def another_step(module, support, seed):
        NeuralOperator._solve = lambda _self, source, _coefficients: source
        return module

    def another_model(module, support, seed):
        type(module).forward = lambda _self, source, _coefficients: source
        type(module).extra_repr = lambda _self: ""
        return module

    before = steps.relative_l2, scoring.sample_errors, NeuralOperator._solve, Pointwise.forward
    for method, place in (
        (another_loss, "pdebench_fm.training.adapt.relative_l2"),
        (another_score, "pdebench_fm.evaluation.scoring.sample_errors"),
        (another_step, "NeuralOperator._solve"),
        (another_model, "Pointwise.extra_repr"),
    ):
        found = run(method, small_task(), [0, 4], Pointwise(), scratch=False)
        (failure,) = found.failures
        assert f"the adaptation {method.__name__} replaces {place} for the whole process" in failure.reason
        assert (steps.relative_l2, scoring.sample_errors, NeuralOperator._solve, Pointwise.forward) == before
        assert "extra_repr" not in vars(Pointwise)


DRAWN_ONCE = """
from functools import lru_cache

import torch


@lru_cache
def noise():
    return torch.rand(())


def adapt(module, support, seed):
    with torch.no_grad():
        module.map.bias.fill_(noise())
    return module
"""


def test_what_a_method_keeps_in_a_cache_of_its_functions_changes_no_later_cell(small_task, tmp_path):
    file = tmp_path / "cached.py"
    file.write_text(DRAWN_ONCE)
    found = run(str(file), small_task(), 4, Pointwise(), seeds=2, scratch=False).result
    assert found.method_fingerprint is not None
    first, second = found.cells  # that draw by another seed each, and else do the same
    assert first.samples_sha256 != second.samples_sha256


def test_a_model_of_this_package_that_came_back_in_double_precision_fails_by_its_name(small_task):
    def widened(module, support, seed):
        return module.double()

    (failure,) = run(widened, small_task(), 4, "fno-poisson-64k", scratch=False).failures
    assert failure.reason.startswith(
        "fno-poisson-64k adapted by widened: source and coefficients must be torch.float64"
    )


def test_a_model_that_only_predicts_is_copied_too(small_task):
    class Scaled:
        def __init__(self):
            self.scale = 1.0

        def __call__(self, source, coefficients):
            return self.scale * source

    def spoil(module, support, seed):
        module._operator.scale = 0.0
        return module

    spoil.zero_shot = True
    model = Scaled()
    assert run(spoil, small_task(), 0, model).runs[0].summary.mean == 1.0
    assert model.scale == 1.0


def test_an_exception_with_bytes_of_another_encoding_is_a_failure_like_any_other(small_task):
    def failing(module, support, seed):
        raise ValueError("no file caf\udce9.npy")

    found = run(failing, small_task(), 4, scratch=False)
    assert "no file caf?.npy" in found.failures[0].reason


class Returning(nn.Module):
    """What a method may return: a module that gives whatever it is told to."""

    def __init__(self, give):
        super().__init__()
        self.give = give

    def forward(self, source, coefficients):
        return self.give(source)


class Stubborn:
    """A callable object that cannot be compared or hashed."""

    __hash__ = None

    def __call__(self, module, support, seed):
        return "nothing"


def raising(module, support, seed):
    raise ValueError("no idea")


def leaving(module, support, seed):
    sys.exit(3)


def filling(module, support, seed):
    torch.empty(2**60)


BAD = {
    "another type": (lambda *_: {}, "the adaptation lambda returned a dict, not a torch.nn.Module"),
    "nothing": (lambda *_: None, "the adaptation lambda returned a NoneType, not a torch.nn.Module"),
    "a class": (lambda *_: Pointwise, "the adaptation lambda returned the class Pointwise"),
    "a function": (lambda module, *_: module.forward, "returned a method, not a torch.nn.Module"),
    "an object's": (Stubborn(), "the adaptation Stubborn returned a str"),
    "raises": (raising, "the adaptation raising raised ValueError: no idea"),
    "exits": (leaving, "the adaptation leaving raised SystemExit"),
    "memory": (filling, "not enough memory: the adaptation filling"),
    "nan": (lambda *_: Returning(lambda f: f * torch.nan), "Pointwise adapted by lambda returned NaN"),
    "infinite": (lambda *_: Returning(lambda f: f / 0), "Pointwise adapted by lambda returned infinite"),
    "shapes": (lambda *_: Returning(lambda f: f[:, None]), r"Pointwise adapted by lambda returned the shape \(16, 1, "),
    "grids": (lambda *_: Returning(lambda f: f[:, ::2, ::2]), r"adapted by lambda returned the shape \(16, 32, 32\)"),
    "complex": (lambda *_: Returning(lambda f: f + 0j), "adapted by lambda returned torch.complex64"),
    "numpy": (lambda *_: Returning(lambda f: f.numpy()), "adapted by lambda returned ndarray"),
    "a raising module": (lambda *_: Returning(lambda f: f.nothing), "adapted by lambda raised AttributeError"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_method_is_a_failure_with_its_name_and_the_rest_goes_on(what, small_task):
    method, words = BAD[what]
    result = run(method, small_task(), scratch=False, seeds=2).result
    assert [(run.start, run.shots) for run in result.runs] == [("pretrained", 0)]
    assert [(failure.shots, failure.seed) for failure in result.failures] == [(4, 0), (4, 1)]
    for failure in result.failures:
        assert re.search(words, failure.reason), failure.reason


@pytest.mark.parametrize("what", BAD)
def test_the_smoke_test_agrees(what, monkeypatch):
    monkeypatch.setattr("pdebench_fm.evaluation.smoke.TASKS", [TASK])
    report = smoke_test(candidate_of(Pointwise()), method=open_method(BAD[what][0]))
    (check,) = [check for check in report.checks if " on " in check.name]
    assert check.outcome == "would fail"
    words = BAD[what][1].replace("16", "8").removeprefix("not enough memory: ")
    assert re.search(words, check.found), check.found


@pytest.mark.usefixtures("quick_symmetric")
def test_the_smoke_test_tries_a_good_method_on_each_system():
    report = smoke_test(candidate_of(Pointwise()), method=open_method("symmetric"))
    checks = [check for check in report.checks if check.name.startswith("symmetric on ")]
    names = [f"symmetric on {system}/in-domain, {shots} shots" for system in SYSTEMS for shots in (0, 8)]
    assert [check.name for check in checks] == names
    assert not any(check.outcome == "would fail" for check in report.checks)


SYSTEMS = [system.name for system in PAPER_SYSTEMS]

ASYMMETRIC = """
from dataclasses import replace
from pdebench_fm.physics import SYSTEMS, register_system

register_system(replace(SYSTEMS["poisson"], name="plain", symmetries={}, paper_name=None))
"""


@pytest.mark.usefixtures("registry", "quick_symmetric")
def test_symmetries_of_a_system_that_declares_none_are_a_failure_and_other_tasks_go_on(write, monkeypatch):
    monkeypatch.setenv("PDEFM_PLUGINS", write(ASYMMETRIC, "asymmetric.py"))

    def turning(module, support, seed):
        len(support.symmetries)
        return module

    for method, failed in (("symmetric", {0, 4}), (turning, {4})):
        name = open_method(method).name
        plain, poisson = evaluate_suite(
            [Pointwise()], ["plain/medium", TASK], [0, 4], track="lite", seeds=1, adaptation=method, scratch=False
        )
        assert {failure.shots for failure in plain.failures} == failed
        (reason,) = {failure.reason for failure in plain.failures}
        assert reason.startswith(f"the adaptation {name}: the system 'plain' declares no symmetries")
        assert poisson.failures == ()


@pytest.mark.usefixtures("quick_symmetric")
def test_symmetric_averages_without_shots_and_models_that_only_predict_too(small_task, model):
    means = {name: run(name, small_task(), 0, model).runs[0].summary.mean for name in (None, "symmetric")}
    assert means["symmetric"] != means[None]
    oracle = run("symmetric", small_task(), 0, "oracle")
    assert oracle.runs[0].summary.mean < 1e-5
    shifted = Candidate(lambda source, _: source * torch.linspace(-1, 1, 64), "odd", torch.device("cpu"))
    averaged = run("symmetric", small_task(), 0, shifted)
    assert averaged.runs[0].summary.mean < run(None, small_task(), 0, shifted).runs[0].summary.mean


@pytest.mark.usefixtures("quick_symmetric")
def test_symmetric_trains_both_starts_and_reports_its_steps(small_task, model):
    seen = []
    result = run("symmetric", small_task(), 4, model, on_progress=seen.append).result
    assert (result.method, result.division) == ("symmetric", "open")
    assert [(run.start, run.shots) for run in result.runs] == [("pretrained", 4), ("scratch", 4)]
    steps = [(state.step, state.steps) for state in seen if state.loss is not None]
    whole_and_halves, whole = [(step, 9) for step in range(1, 10)], [(step, 3) for step in range(1, 4)]
    assert steps == whole_and_halves + whole


def test_an_edited_method_is_another_one(write, small_task, tmp_path):
    helper = write("FACTOR = 0.5\n", "my_helper.py")
    path = write("import my_helper\n" + HALVING.replace("0.5", "my_helper.FACTOR"))
    cache = CellCache(tmp_path / "cache")
    options = {"cache": cache, "scratch": False, "model": Pointwise()}
    first = run(path, small_task(), **options)
    assert comparable(run(path, small_task(), **options)) == comparable(first)
    kept = len(list((tmp_path / "cache").rglob("*.json")))
    assert kept == 2
    Path(helper).write_text("FACTOR = 0.25\n")
    sys.modules.pop("my_helper")
    other = run(path, small_task(), **options)
    assert other.result.method_fingerprint != first.result.method_fingerprint
    assert other.runs[1].summary.mean != first.runs[1].summary.mean
    assert other.runs[0] == first.runs[0]
    assert not may_merge(other.result, first.result)
    assert row_path(other.result) != row_path(first.result)
    assert len(list((tmp_path / "cache").rglob("*.json"))) == kept + 1  # what was not adapted is the same cell


def test_a_method_that_cannot_be_known_again_is_not_kept_and_that_is_said_once(small_task, tmp_path):
    endless = (number for number in range(10**9))

    def adapt(module, support, seed):
        next(endless)
        return module

    notes = []
    (evaluation,) = evaluate_suite(
        [Pointwise()], [small_task()], [0, 4], track="lite", seeds=2, scratch=False, adaptation=adapt,
        cache=CellCache(tmp_path), on_note=notes.append,
    )  # fmt: skip
    assert len(notes) == 1
    assert notes[0].startswith("the adaptation adapt cannot be known again (")
    assert evaluation.result.method_fingerprint is None
    assert len(list(tmp_path.rglob("*.json"))) == 1  # the zero-shot cell, which nothing was adapted for


class Counting:
    """Does something else each time."""

    def __init__(self):
        self.calls = 0

    def __call__(self, module, support, seed):
        self.calls += 1
        nn.init.constant_(module.map.bias, self.calls)
        return module


def test_a_method_that_changes_as_it_is_used_is_not_kept(small_task, tmp_path, caplog):
    result = run(Counting(), small_task(), scratch=False, cache=CellCache(tmp_path)).result
    assert result.method_fingerprint is None
    assert result.model.fingerprint is not None
    assert "the adaptation Counting changed while it was used" in caplog.text
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_a_cells_key_changes_with_the_method(write, model_folder, small_task):
    def key(adaptation, shots=4):
        suite = plan(
            [candidate_of(load_model(model_folder))], [small_task()], shots, track="lite", adaptation=adaptation
        )
        return cell_key(suite.cells(*suite.candidates, *suite.tasks)[0])

    files = [write(HALVING), write(HALVING.replace("0.5", "0.4"), "other.py"), write(HALVING, "v2.py")]
    keys = [key(None), key("symmetric"), *map(key, files), key("symmetric", 0), key(None, 0)]
    assert len(set(keys)) == len(keys)
    assert key(files[0]) == keys[2]
    assert key(files[0], 0) == keys[-1]  # nothing is adapted


def test_workers_open_a_method_by_its_word_and_no_object_of_this_process(write, model_folder):
    options = {"track": "lite", "device": "cpu", "seeds": 1, "scratch": False}
    path, tasks = write(HALVING), ["poisson-ood/hard", TASK]
    here = evaluate_suite([str(model_folder)], tasks, [0, 4], adaptation=path, **options)
    there = evaluate_suite([str(model_folder)], tasks, [0, 4], adaptation=path, **options, workers=2)
    assert [comparable(each) for each in there] == [comparable(each) for each in here]
    assert here[0].failures == ()
    with pytest.raises(UsageError, match="the adaptation Counting is an object of this process: workers open one by"):
        evaluate_suite([str(model_folder)], tasks, [0, 4], adaptation=Counting(), **options, workers=2)


def test_the_example_is_run_by_the_command_line_and_is_short(model_folder, tmp_path, capsys):
    example = ROOT / "examples" / "my_adaptation.py"
    guide = (ROOT / "docs" / "how-to" / "add-your-adaptation.md").read_text(encoding="utf-8")
    assert example.read_text(encoding="utf-8").partition("\n\n")[2] in guide
    body = example.read_text().split("def adapt")[1].splitlines()
    assert len([line for line in body if line.strip()]) <= 15
    words = f"eval --model {model_folder} --task {TASK} --track lite --shots 8 --seeds 1 --no-scratch --device cpu"
    out = ["--out", str(tmp_path / "results"), "--cache", str(tmp_path / "cache")]
    assert main([*words.split(), "--adaptation", f"{example}:adapt", *out]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "method “my_adaptation:adapt”, open division" in shown
    (path,) = (tmp_path / "results").rglob("*.json")
    result = pf.read_result(path)
    assert (result.method, result.division, result.failures) == ("my_adaptation:adapt", "open", ())
    closed = pf.evaluate(load_model(model_folder), TASK, 8, track="lite", seeds=1, scratch=False)
    assert result.runs[0].summary.mean < 1.2 * closed.runs[0].summary.mean
    assert main([*words.split(), "--adaptation", "symmetric", "--recipe", "v1", *out]) == 2
    assert "either a recipe or an adaptation" in capsys.readouterr().err


CALLS: list[int] = []


class Counted(Pointwise):
    """Counts the samples that it is called for: with gradients three times, for the passes back."""

    def forward(self, source, coefficients):
        CALLS.append((3 if torch.is_grad_enabled() else 1) * len(source))
        return super().forward(source, coefficients)


@pytest.mark.usefixtures("quick_symmetric")
@pytest.mark.parametrize("shots", [0, 2, 5])
@pytest.mark.parametrize("method", ["symmetric", "v1"])
def test_how_much_there_is_to_compute_counts_averages_and_the_examples_made(method, shots, small_task):
    task, candidate, adaptation = small_task(), candidate_of(Counted()), None if method == "v1" else method
    suite = plan([candidate], [task], shots, track="lite", seeds=1, scratch=False, adaptation=adaptation)
    (cell,) = suite.cells(candidate, task)
    CALLS.clear()
    compute(cell, HeldTask(task, "lite", torch.device("cpu")))
    checks = sum(CALLS) - cell.work
    assert 0 <= checks <= 32
