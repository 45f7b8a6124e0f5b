"""How long an evaluation will take: told once, by its own first rows or steps, and nothing is run for it."""

import pytest
import torch

from pdebench_fm.evaluation import scoring
from pdebench_fm.evaluation.evaluate import evaluate_suite
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
