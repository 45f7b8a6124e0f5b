"""Suites: what names stand for, what is refused, and that a suite stopped anywhere goes on to the same scores."""

import pytest
import torch
from torch import nn

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation import cell as cells_module
from pdebench_fm.evaluation import orders
from pdebench_fm.evaluation import run as running
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.cell import Cell, cell_key
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.progress import Pace
from pdebench_fm.evaluation.run import run_suite
from pdebench_fm.evaluation.scoring import adapted
from pdebench_fm.evaluation.settings import settings_of
from pdebench_fm.evaluation.suite import plan
from pdebench_fm.folders import default_cache_folder
from pdebench_fm.models import load_model
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.prediction import predict
from pdebench_fm.models.references import open_candidate
from pdebench_fm.protocol.names import shots_list, split_list, task_names
from pdebench_fm.protocol.task import load_task
from pdebench_fm.results.merging import may_merge


def test_names_stand_for_tasks():
    assert task_names(["all"]) == list(TASKS)
    assert task_names(["helmholtz-ood"]) == ["helmholtz-ood/mild", "helmholtz-ood/medium", "helmholtz-ood/hard"]
    assert task_names(["poisson", "poisson-ood/hard"]) == ["poisson/in-domain", "poisson-ood/hard"]
    assert task_names(["poisson/pretrain"]) == ["poisson/pretrain"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["helmholtz-oood"], "unknown task 'helmholtz-oood': did you mean 'helmholtz-ood'"),
        (["poisson-ood/hrd"], "did you mean 'poisson-ood/hard'"),
        (["poisson", "poisson"], "names poisson/in-domain twice"),
        (["all", "poisson-ood/hard"], "names poisson-ood/hard twice"),
    ],
)
def test_names_that_are_unknown_or_repeated_are_refused(words, message):
    with pytest.raises(UsageError, match=message):
        task_names(words)


def test_lists_have_no_gaps_and_no_repetition():
    assert split_list("a, b", "model") == ["a", "b"]
    assert shots_list("0,32, 8") == [0, 32, 8]
    for text in ("a,,b", "", "a,a"):
        with pytest.raises(UsageError, match="--model"):
            split_list(text, "model")
    for text in ("8,08", "8,", "few"):
        with pytest.raises(UsageError, match="--shots"):
            shots_list(text)


def named(name, operator=None, **changes):
    return Candidate(operator or nn.Linear(2, 2), name, torch.device("cpu"), **changes)


FRESH = {"fresh": lambda _: nn.Linear(2, 2)}


@pytest.mark.parametrize(
    ("shots", "seeds", "words"),
    [
        (
            [8],
            501,
            "at most 500, not 501: m is adapted with 2 starts and numbers of shots, 501 times each, and a result",
        ),
        ([0, 8], 500, "seeds must be at most 499, not 500"),
        ([8, 32], 251, "seeds must be at most 250, not 251"),
        (8, 1001, "seeds must be at most 1000, not 1001"),
        (range(1, 502), 1, "1002 adaptations are too many: m is adapted with 1002 starts"),
    ],
)
def test_more_seeds_than_a_result_holds_are_refused_before_anything_is_computed(shots, seeds, words):
    with pytest.raises(UsageError, match=words):
        plan([named("m", **FRESH)], [load_task("poisson-ood/medium")], shots, seeds=seeds)


@pytest.mark.parametrize(
    ("shots", "seeds", "scratch", "cells"), [([8], 500, True, 1000), ([0, 8], 999, False, 1000), (0, 1000, True, 1)]
)
def test_as_many_seeds_as_a_result_holds_are_planned(shots, seeds, scratch, cells):
    task = load_task("poisson-ood/medium")
    suite = plan([named("m", **FRESH)], [task], shots, seeds=seeds, scratch=scratch)
    assert len(suite.cells(*suite.candidates, task)) == cells


def test_a_suite_has_a_cell_for_each_start_shots_and_seed(small_task):
    fresh = named("a", fresh=lambda _: nn.Linear(2, 2))
    suite = plan([fresh, named("b")], [small_task()], [4, 0], track="lite", seeds=2)
    described = [(cell.start, cell.shots, cell.seed) for cell in suite.cells(fresh, suite.tasks[0])]
    assert described == [
        ("pretrained", 0, 0),
        ("pretrained", 4, 0),
        ("pretrained", 4, 1),
        ("scratch", 4, 0),
        ("scratch", 4, 1),
    ]
    assert len(suite.cells(suite.candidates[1], suite.tasks[0])) == 3
    assert suite.notes() == ["no runs of b from scratch: it cannot be made with fresh weights"]


def test_a_model_with_random_weights_is_only_trained_from_scratch(small_task):
    untrained = named("unet", pretrained=False, fresh=lambda _: nn.Linear(2, 2))
    suite = plan([untrained], [small_task()], [0, 4], track="lite", seeds=1, scratch=False)
    assert [(cell.start, cell.shots) for cell in suite.cells(untrained, suite.tasks[0])] == [("scratch", 4)]
    with pytest.raises(UsageError, match="no zero-shot score"):
        plan([untrained], [small_task()], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"shots": []}, "one number of shots"),
        ({"shots": [17]}, "ask for at most 16"),
        ({"track": "ful"}, "did you mean 'full'"),
        ({"recipe": "papr"}, "did you mean 'paper'"),
        ({"candidates": [named("a"), named("a")]}, "two models are called a"),
        ({"tasks": 2}, "poisson-ood/medium is there twice"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(changes, message, small_task):
    asked = {"candidates": [named("a")], "tasks": 1, "shots": [4], "track": "lite"} | changes
    asked["tasks"] = [small_task() for _ in range(asked["tasks"])]
    with pytest.raises(UsageError, match=message):
        plan(asked.pop("candidates"), asked.pop("tasks"), asked.pop("shots"), **asked)


def test_a_model_named_twice_is_refused_before_it_is_opened(small_task):
    with pytest.raises(UsageError, match="model x is named twice"):
        evaluate_suite(["x", "x"], [small_task()])


def scores(evaluations):
    exclude = {"cells": {"__all__": {"date", "seconds"}}}
    return [evaluation.result.model_dump(exclude=exclude) for evaluation in evaluations]


class StoppedError(Exception):
    pass


@pytest.fixture
def asked(model_folder, small_task, quick_recipes):  # noqa: ARG001 (the recipes are quick)
    """Run the same suite again and again: two models, two tasks, ten cells."""

    def run(**options):
        models = [candidate_of(load_model(model_folder), "one"), candidate_of(Pointwise(), "two")]
        suite = plan(models, [small_task(), small_task("helmholtz/in-domain")], [0, 4], track="lite", seeds=1)
        return run_suite(suite, **options)

    return run


class Pointwise(nn.Module):
    """A model of one number."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.5))

    def forward(self, source, _):
        return source * self.factor


def test_a_suite_stopped_anywhere_goes_on_to_the_same_scores(asked, tmp_path, monkeypatch):
    expected = asked()
    computed = []
    compute = orders.compute

    def count(cell, *arguments):
        computed.append(str(cell))
        if len(computed) in (1, 4, 6):
            raise StoppedError
        return compute(cell, *arguments)

    monkeypatch.setattr(orders, "compute", count)
    for _ in range(3):
        with pytest.raises(StoppedError):
            asked(cache=CellCache(tmp_path))
    found = asked(cache=CellCache(tmp_path))
    assert scores(found) == scores(expected)
    assert all(a.samples.equals(b.samples) for a, b in zip(found, expected, strict=True))
    assert len(computed) == 10 + 3
    asked(cache=CellCache(tmp_path))
    assert len(computed) == 13  # nothing was computed again


def test_damaged_files_in_the_cache_are_computed_again(asked, tmp_path):
    cache = CellCache(tmp_path)
    expected = asked(cache=cache)
    first, second, third, *_ = sorted(tmp_path.rglob("*.parquet"))
    first.write_bytes(first.read_bytes()[:100])
    second.write_bytes(third.read_bytes())  # another cell's
    third.with_suffix(".json").write_text("{")
    assert scores(asked(cache=cache)) == scores(expected)
    assert not list(tmp_path.rglob("*.part"))


def test_a_model_that_cannot_be_known_again_is_not_kept(small_task, tmp_path):
    evaluate_suite([lambda source, _: source], [small_task()], track="lite", cache=CellCache(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_cell_is_not_kept(small_task, tmp_path):
    broken = Candidate(lambda *_: None, "broken", torch.device("cpu"), fingerprint="ab" * 32)
    evaluate_suite([broken], [small_task()], track="lite", cache=CellCache(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_cells_key_changes_with_everything_its_outcome_depends_on(model_folder, small_task, monkeypatch):
    def key(task=None, candidate=None, shots=4, recipe="v1", deterministic=None, index=-1, **changes):
        candidate = candidate or candidate_of(load_model(model_folder))
        suite = plan(
            [candidate],
            [task or small_task()],
            shots,
            track="lite",
            recipe=recipe,
            deterministic=deterministic,
            **changes,
        )
        return cell_key(suite.cells(*suite.candidates, *suite.tasks)[index])

    def with_setting(target, name, value):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            return key()

    other = load_model(model_folder)
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    keys = [
        key(),
        key(small_task("poisson-ood/hard")),
        key(small_task(seed=7)),
        key(candidate=candidate_of(other)),
        key(shots=5),
        key(shots=0),
        key(index=0),  # pretrained instead of scratch
        key(index=-2),  # another seed
        key(recipe="paper"),
        key(deterministic=False),
        with_setting(torch, "__version__", "2.99.0"),
        key(threads=7),
        with_setting(cells_module, "package_digest", lambda: "99"),
        with_setting(cells_module, "adaptation_recipe", lambda *_: cells_module.AdaptationRecipe(1.0, 2, 3)),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path))
    assert default_cache_folder() == tmp_path
    monkeypatch.delenv("PDEFM_CACHE")
    assert default_cache_folder().name == "pdebench_fm"


def test_rows_of_a_task_are_made_once_for_all_models_shots_and_seeds(model_folder, small_task, monkeypatch):
    made = []
    batch = type(small_task().train).batch

    def recorded(rows, indices):
        made.extend((rows.key.split, index) for index in indices)
        return batch(rows, indices)

    monkeypatch.setattr(type(small_task().train), "batch", recorded)
    monkeypatch.setattr(cells_module, "adaptation_recipe", lambda *_: cells_module.AdaptationRecipe(1e-3, 1, 2))
    models = [candidate_of(load_model(model_folder), name) for name in ("one", "two")]
    run_suite(plan(models, [small_task()], [0, 2, 5], track="lite", seeds=2))
    assert len(made) == len(set(made))
    support = {index for split, index in made if split == "train"}
    assert support == {i for seed in (0, 1) for i in small_task().support_indices(5, seed)}


def test_progress_counts_cells_and_steps_and_estimates_the_time_left(asked):
    seen = []
    asked(on_progress=seen.append)
    assert [(state.done, state.cells) for state in (seen[0], seen[-1])] == [(0, 10), (10, 10)]
    assert seen[0].seconds_left is None
    assert seen[-1].seconds_left == 0.0
    steps = [state for state in seen if state.loss is not None]
    assert [state.step for state in steps[:6]] == [1, 2, 3, 4, 5, 6]
    assert all(state.steps == 6 and state.loss > 0 for state in steps)


def test_the_time_left_is_the_work_left_at_each_models_own_pace():
    pace = Pace()
    assert pace.seconds_left({"small": 10.0}) is None
    pace.record("small", 100.0, 2.0)
    assert pace.seconds_left({"small": 50.0}) == pytest.approx(1.0)
    pace.record("large", 100.0, 38.0)
    assert pace.seconds_left({"small": 50.0, "large": 50.0, "unknown": 10.0}) == pytest.approx(1.0 + 19.0 + 2.0)


def test_evaluations_are_handed_out_as_soon_as_they_are_whole(asked, monkeypatch):
    order = []
    build = running.evaluation_of
    monkeypatch.setattr(running, "evaluation_of", lambda *a: order.append("whole") or build(*a))
    asked(on_progress=lambda state: order.append(state.done), on_evaluation=lambda _: order.append("out"))
    assert order.count("out") == 4
    assert order.index("out") < order.index(4)


SHARING = """
import torch
from torch import nn
import {helper} as helper

class Model(nn.Module):
    def forward(self, source, coefficients):
        return helper.GAIN * source

def plain():
    return Model()

def changing():
    helper.GAIN = 3.0
    return Model()

def replacing():
    torch.nn.functional.gelu = torch.relu
    return Model()
"""


@pytest.fixture
def sharing(tmp_path):
    (tmp_path / "sharing_helper.py").write_text("GAIN = 1.0\n")
    path = tmp_path / "sharing.py"
    path.write_text(SHARING.format(helper="sharing_helper"))
    gelu = torch.nn.functional.gelu
    yield path
    torch.nn.functional.gelu = gelu


@pytest.mark.parametrize("order", [["plain", "changing"], ["changing", "plain"]])
def test_a_model_that_changes_a_module_is_scored_as_alone_beside_one_that_imports_it(sharing, small_task, order):
    together = evaluate_suite([f"{sharing}:{name}" for name in order], [small_task()], track="lite")
    for name, evaluation in zip(order, together, strict=True):
        (alone,) = evaluate_suite(f"{sharing}:{name}", [small_task()], track="lite")
        assert alone.samples.equals(evaluation.samples)
        assert may_merge(alone.result, evaluation.result)
    assert not together[0].samples.equals(together[1].samples)


def test_a_model_that_changes_a_shared_module_is_not_evaluated_beside_one_that_uses_it(
    sharing, small_task, tmp_path, monkeypatch
):
    helper = tmp_path / "site-packages" / "installed_helper.py"
    helper.parent.mkdir()
    helper.write_text("GAINS = [1.0]\n")
    monkeypatch.syspath_prepend(str(helper.parent))
    text = SHARING.format(helper="installed_helper").replace("helper.GAIN = 3.0", "helper.GAINS[0] = 3.0")
    sharing.write_text(
        text.replace("helper.GAIN *", "gains()[0] *")
        + "\nfrom installed_helper import GAINS\ndef gains():\n    return GAINS\n"
    )
    with pytest.raises(UsageError, match="plain is no longer the same since the others were opened"):
        evaluate_suite([f"{sharing}:plain", f"{sharing}:changing"], [small_task()], track="lite")


@pytest.mark.parametrize("zoo_first", [True, False])
def test_a_file_that_replaces_a_function_of_pytorch_is_evaluated_alone(sharing, small_task, zoo_first):
    models = [f"{sharing}:replacing", "fno-mixed-64k"]
    with pytest.raises(UsageError, match=r"replaces torch\.nn\.functional\.gelu for the whole process"):
        evaluate_suite(models[::-1] if zoo_first else models, [small_task()], track="lite")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cache": "folder"}, "cache must be a CellCache"),
        ({"device": 0}, "a device is given by its name"),
        ({"device": None}, "a device is given by its name"),
        ({"seeds": 10**12}, "seeds must be at most"),
        ({"threads": 10**9}, "threads must be at most"),
        ({"tasks": [None]}, "a task is given by its name"),
        ({"models": ["a" * 5000]}, "File name too long"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_an_argument_is_a_usage_error(small_task, wrong, message):
    given = {"models": ["zero"], "tasks": [small_task()], "track": "lite", **wrong}
    with pytest.raises(UsageError, match=message):
        evaluate_suite(given.pop("models"), given.pop("tasks"), **given)


ADAPTING = """
import torch
from torch import nn
import sharing_helper as helper

class Louder(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, source, coefficients):
        import sharing_helper as late
        return 10.0 * helper.GAIN * late.GAIN * self.module(source, coefficients)

def adapt(module, support, seed):
    import sharing_helper as late
    late.GAIN = 2.0
    return Louder(module)

adapt.zero_shot = True
"""


@pytest.mark.parametrize("model", ["plain", "changing"])
def test_an_adaptation_and_a_model_change_no_module_of_each_other(sharing, small_task, model):
    method = sharing.with_name("adapting.py")
    method.write_text(ADAPTING)
    candidate = open_candidate(f"{sharing}:{model}")
    before = candidate.fingerprint
    settings = settings_of([0], track="lite", adaptation=str(method))
    task = small_task()
    cell = Cell(candidate, task, settings, "pretrained", 0, 0)
    rows = HeldTask(task, "lite", candidate.device)
    found = predict(adapted(cell, rows), rows.test())
    gain = {"plain": 1.0, "changing": 3.0}[model]
    assert torch.allclose(found, 10.0 * 2.0 * 2.0 * gain * rows.test().source)
    assert candidate.identify().fingerprint == before
    assert torch.allclose(predict(candidate, rows.test()), gain * rows.test().source)
