"""What is computed is credited to where and when it was computed, and results of one identity come together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import torch
from factories import make_environment

from pdebench_fm.cli import main
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation import orders, provenance
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.evaluate import evaluate, evaluate_suite
from pdebench_fm.evaluation.provenance import current_environment
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.results.evaluation import read_evaluation

OLD = make_environment(package_version="0.0.9", device="NVIDIA X", threads=16)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def test_an_environment_is_that_of_this_process():
    found = current_environment(torch.device("cpu"))
    assert (found.device, found.threads) == ("cpu", torch.get_num_threads())
    assert found.libraries["torch"] == torch.__version__


def test_each_cell_says_when_it_was_computed_and_how_long_it_took(model, small_task, quick_recipes):  # noqa: ARG001
    before = datetime.now(UTC)
    result = evaluate(model, small_task(), [0, 4], track="lite", seeds=2).result
    assert len(result.cells) == 5
    for cell in result.cells:
        assert before - timedelta(seconds=1) <= cell.date <= datetime.now(UTC)
        assert 0.0 < cell.seconds < 60.0


def test_a_cell_of_the_cache_is_credited_to_where_it_was_computed(model, small_task, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "current_environment", lambda _: OLD)
        first = evaluate(model, small_task(), 0, track="lite", cache=CellCache(tmp_path)).result
    again = evaluate(model, small_task(), 0, track="lite", cache=CellCache(tmp_path)).result
    assert first.cells[0].environment == OLD
    assert again == first  # its date and seconds as well


def test_a_cell_of_a_worker_is_credited_to_the_worker(model, small_task, monkeypatch):
    compute = orders.compute

    def elsewhere(cell, *arguments):
        outcome = compute(cell, *arguments)
        there = outcome.provenance.model_copy(update={"environment": OLD, "seconds": 77.0, "date": LONG_AGO})
        return replace(outcome, provenance=there)

    monkeypatch.setattr(orders, "compute", elsewhere)
    (cell,) = evaluate(model, small_task(), 0, track="lite").result.cells
    assert (cell.environment, cell.seconds, cell.date) == (OLD, 77.0, LONG_AGO)


def test_a_failure_says_what_it_failed_on(small_task):
    def broken(*_):
        raise ValueError("no")

    evaluation = evaluate(Candidate(broken, "broken", torch.device("cpu")), small_task(), 0, track="lite")
    (failure,) = evaluation.failures
    assert failure.environment == current_environment(torch.device("cpu"))
    assert evaluation.runs == ()
    assert evaluation.samples.num_rows == 0


def test_both_ways_to_evaluate_return_the_same(model, small_task):
    one = evaluate(model, small_task(), 0, track="lite")
    (other,) = evaluate_suite([model], [small_task()], 0, track="lite")
    assert type(one) is type(other)
    assert one.runs == other.runs == one.result.runs
    assert one.samples.equals(other.samples)


def test_a_single_test_row_is_refused_as_it_has_no_interval(model, small_task):
    task = small_task()
    with pytest.raises(UsageError, match="a single test row"):
        evaluate(model, replace(task, test=replace(task.test, count=1)), track="lite")


def test_a_model_that_turned_out_not_to_be_what_it_was_known_by_has_no_fingerprint(model, small_task, monkeypatch):
    compute = orders.compute
    monkeypatch.setattr(orders, "compute", lambda *arguments: replace(compute(*arguments), known=False))
    assert evaluate(model, small_task(), 0, track="lite").result.model.fingerprint is None


MINE = "import torch\n\nfactor = torch.nn.Parameter(torch.tensor({factor}))\n\n\nclass Mine(torch.nn.Module):\n"
MINE += "    def __init__(self):\n        super().__init__()\n        self.factor = factor\n\n"
MINE += "    def forward(self, source, coefficients):\n        return self.factor * source\n\n\n"
MINE += "def build():\n    return Mine()\n"


@pytest.mark.usefixtures("quick_recipes")
def test_evaluating_again_into_one_folder_loses_nothing(tmp_path, capsys):
    data = build(BuildPlan(DATASETS["poisson-ood"], ("hard",), {"train": 32, "test": 24}, 64), tmp_path / "data")
    mine, out = tmp_path / "mine.py", tmp_path / "out"
    mine.write_text(MINE.format(factor=1.0))

    def run(*options):
        common = ["--model", f"{mine}:build", "--task", "poisson-ood/hard", "--track", "lite", "--out", str(out)]
        assert main(["eval", *common, "--no-scratch", *options]) == 0
        capsys.readouterr()
        found = [read_evaluation(path).result for path in out.rglob("*.json")]
        return sorted(
            ([(run.shots, len(run.seeds)) for run in result.runs], result.dataset.origin, result.model.fingerprint)
            for result in found
        )

    ((runs, origin, fingerprint),) = run("--shots", "0,8", "--seeds", "2")
    assert (runs, origin) == ([(0, 1), (8, 2)], "recipe")
    assert run("--shots", "0") == [(runs, origin, fingerprint)]
    assert run("--shots", "8", "--seeds", "1") == [(runs, origin, fingerprint)]
    assert run("--shots", "16", "--seeds", "1") == [([(0, 1), (8, 2), (16, 1)], "recipe", fingerprint)]
    with_data = run("--shots", "0,8", "--seeds", "1", "--data", str(data))
    assert [each[:2] for each in with_data] == [([(0, 1), (8, 1)], "rows"), ([(0, 1), (8, 2), (16, 1)], "recipe")]
    mine.write_text(MINE.format(factor=2.0))
    edited = run("--shots", "0")
    assert [each for each in edited if each in with_data] == with_data
    (new,) = [each for each in edited if each not in with_data]
    assert new[:2] == ([(0, 1)], "recipe")
    assert new[2] != fingerprint
