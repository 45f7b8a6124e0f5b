"""How long an evaluation will take: told once, by its own first rows or steps, and nothing is run for it."""

import pytest
import torch

from pdebench_fm.evaluation import scoring
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.evaluation.run import _Estimator
from pdebench_fm.evaluation.suite import plan
from pdebench_fm.models import candidate_of


class Clock:
    """Seconds that go on by `step` each time a model is asked."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


def estimates(model, tasks, **options):
    told = []
    evaluate_suite([model], tasks, track="lite", on_progress=told.append, **options)
    return [state.estimate for state in told if state.estimate is not None]


@pytest.fixture
def asked(monkeypatch):
    """A model whose batches take 3 s, the first one 60 s; and the sizes of those that it was asked for."""
    clock, batches = Clock(), []
    monkeypatch.setattr(scoring.time, "perf_counter", clock.perf_counter)

    def model(source, coefficients):  # noqa: ARG001 (the solution of nothing)
        batches.append(len(source))
        clock.now += 60.0 if len(batches) == 1 else 3.0
        return torch.zeros_like(source)

    return candidate_of(model, "slow"), batches


def test_the_estimate_is_the_pace_of_the_second_batch_times_all_rows(asked, small_task, monkeypatch):
    monkeypatch.setattr(scoring, "BATCH", 4)
    model, batches = asked
    (estimate,) = estimates(model, [small_task(), small_task("poisson-ood/hard")])
    assert estimate == pytest.approx(3.0 / 4 * 32)
    assert batches == [4] * 8  # and not one more


def test_an_evaluation_of_one_batch_tells_nothing_before_it_is_over(asked, small_task):
    assert estimates(asked[0], [small_task()]) == []


@pytest.mark.usefixtures("quick_recipes")
def test_steps_tell_it_where_adaptation_comes_first(model, small_task):
    (estimate,) = estimates(model, [small_task()], shots=[8], seeds=2, scratch=False)
    assert 0.0 < estimate < 600.0


def test_predictions_that_are_averaged_over_are_counted_once(asked, small_task, monkeypatch):
    monkeypatch.setattr(scoring, "BATCH", 4)
    model, batches = asked
    (estimate,) = estimates(model, [small_task()], adaptation="symmetric")
    assert batches == [32] * 4  # of four rows under eight symmetries
    assert estimate == pytest.approx(3.0 / 4 * 16)


def test_workers_tell_of_a_step_now_and_then_and_in_turn(small_task, model, monkeypatch):
    suite = plan([candidate_of(model)], [small_task()], 8, track="lite", seeds=2, scratch=False)
    one, other = suite.cells(suite.candidates[0], suite.tasks[0])
    clock = Clock()
    monkeypatch.setattr("pdebench_fm.evaluation.run.time.perf_counter", clock.perf_counter)
    estimator = _Estimator()
    told = []
    for now, cell, step in ((1.0, one, 5), (1.5, other, 4), (3.0, one, 15), (3.5, other, 14)):
        clock.now = now
        told.append(estimator.after_step(cell, step))
    assert (told[0], told[1], told[3]) == (None, None, None)
    assert told[2] * (one.work - one.scoring_work) == pytest.approx(one.steps * 2.0 / 10)
