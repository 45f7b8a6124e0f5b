"""Models that misbehave: their cells fail with the reason, the other cells go on."""

import logging
import re

import numpy as np
import pytest
import torch
from torch import nn

from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation import scoring
from pdebench_fm.evaluation.evaluate import evaluate, evaluate_suite
from pdebench_fm.models.candidate import Candidate

TASK = "poisson-ood/medium"


def reason(model, task, **options):
    (failure,) = evaluate(model, task, track="lite", **options).failures
    return failure.reason


def write_over(source, _):
    source.fill_(float("inf"))
    return torch.zeros_like(source)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda source, _: source[:, :-1], r"\(16, 63, 64\)"),
        (lambda source, _: source[:, None], r"\(16, 1, 64, 64\)"),
        (lambda source, _: source.double(), "torch.float64"),
        (lambda source, _: source.numpy(), "ndarray"),
        (lambda source, _: (source, source), "tuple"),
        (lambda *_: None, "NoneType"),
        (lambda source, _: source / 0.0 * 0.0, "not finite .* in test rows 0 to 15"),
        (lambda source, _: source * float("inf"), "not finite"),
        (lambda source, _: source.missing, "AttributeError"),
        (lambda source, coefficients: source @ coefficients, "RuntimeError"),
        (lambda *_: torch.empty(2**60), "not enough memory"),
        (lambda *_: torch.from_numpy(np.ones(2**58)), "not enough memory"),
    ],
)
def test_what_a_model_did_is_the_reason(model, words, small_task):
    assert re.search(words, reason(model, small_task()))


def test_a_failure_has_no_score_and_the_result_no_runs(small_task):
    result = evaluate(lambda source, _: source * float("nan"), small_task(), track="lite")
    assert result.runs == ()
    assert [(f.start, f.shots, f.seed) for f in result.failures] == [("pretrained", 0, 0)]


def test_a_model_that_writes_into_its_inputs_spoils_nothing(small_task):
    assert evaluate(write_over, small_task(), track="lite").runs[0].summary.mean == pytest.approx(1.0)


class Fragile(nn.Module):
    """Scales the source; trained, it fails as it is told, in the forward or the backward pass."""

    def __init__(self, how):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(3.0))
        self.how = how

    def forward(self, source, _):
        if self.training and self.how == "raises":
            raise ValueError("cannot be trained today")
        if self.training and self.how == "diverges":
            return source * self.factor * 1e30 * 1e30
        if self.training and self.how == "detaches":
            return (source * self.factor).detach()
        return source * self.factor


@pytest.mark.usefixtures("quick_recipes")
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raises", "raised ValueError: cannot be trained today"),
        ("diverges", "not finite .* at step 1 of the adaptation"),
        ("detaches", "does not require grad"),
    ],
)
def test_a_failed_adaptation_leaves_the_other_cells(how, words, small_task):
    result = evaluate(Fragile(how), small_task(), [0, 4], track="lite", seeds=2, scratch=False)
    assert [(run.start, run.shots) for run in result.runs] == [("pretrained", 0)]
    assert [(failure.shots, failure.seed) for failure in result.failures] == [(4, 0), (4, 1)]
    assert all(re.search(words, failure.reason) for failure in result.failures)


def test_the_log_shows_the_models_own_traceback_once_and_none_of_ours(small_task, caplog):
    def helper(source):
        return source.nothing

    def broken(source, _):
        return helper(source)

    with caplog.at_level(logging.WARNING, "pdebench_fm"):
        evaluate_suite([broken], [small_task(), small_task("poisson-ood/hard")], track="lite")
    assert caplog.text.count("in helper") == 1
    assert caplog.text.count("failed: ") == 2
    assert "pdebench_fm/models" not in caplog.text
    assert "pdebench_fm/evaluation" not in caplog.text


def test_another_model_in_the_suite_goes_on(small_task):
    good, bad = Candidate(lambda s, _: s, "good", torch.device("cpu")), Candidate(None, "bad", torch.device("cpu"))
    first, second = evaluate_suite([bad, good], [small_task()], track="lite")
    assert first.result.failures[0].reason.startswith("bad raised TypeError")
    assert second.result.failures == ()


def test_rows_that_need_more_memory_than_there_is_are_a_failure(small_task, monkeypatch):
    def too_many(*_):
        raise MemoryError("Unable to allocate 8 TiB")

    monkeypatch.setattr(scoring.HeldTask, "test", too_many)
    assert reason(lambda source, _: source, small_task()) == "not enough memory: Unable to allocate 8 TiB"


def test_an_error_of_this_package_is_no_failure_of_the_model(small_task, monkeypatch):
    def bug(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(scoring, "sample_errors", bug)
    with pytest.raises(RuntimeError, match="shapes differ"):
        evaluate(lambda source, _: source, small_task(), track="lite")


def test_shots_for_a_model_that_only_predicts_are_refused_before_anything_is_computed(small_task):
    with pytest.raises(UsageError, match="mine only predicts, so it cannot be adapted to 8 shots"):
        evaluate(Candidate(lambda source, _: source, "mine", torch.device("cpu")), small_task(), 8, track="lite")
    with pytest.raises(UsageError, match="Identity only predicts"):
        evaluate(nn.Identity(), small_task(), 8, track="lite")


def test_of_zero_and_more_shots_a_model_that_only_predicts_has_the_first(small_task):
    notes = []
    predicts = Candidate(lambda source, _: source, "mine", torch.device("cpu"))
    (evaluation,) = evaluate_suite([predicts], [small_task()], [0, 8], track="lite", on_note=notes.append)
    assert [(run.start, run.shots) for run in evaluation.runs] == [("pretrained", 0)]
    assert notes == ["mine only predicts: it is scored zero-shot alone"]
