"""Predictions are checked in one place, and an error says what was returned and what was expected."""

import pytest
import torch
from torch import nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import UserCodeError
from pdebench_fm.models import ModelOutputError, candidate_of, predict


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return Batch(torch.randn(3, 8, 8), torch.rand(3, 6), torch.randn(3, 8, 8))


def nan_in_the_second(source, _):
    output = source.clone()
    output[1, 0, 0] = torch.nan
    return output


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda s, _: s.numpy(), "ndarray, not a torch.Tensor"),
        (lambda *_: None, "NoneType"),
        (lambda s, c: (s, c), r"tuple of 2 \(the first: Tensor\)"),
        (lambda s, _: s[:, None], r"shape \(3, 1, 8, 8\).*\(3, 8, 8\).*squeeze\(1\)"),
        (lambda s, _: s[..., None], r"squeeze\(3\)"),
        (lambda s, _: s[:2], r"shape \(2, 8, 8\)"),
        (lambda s, _: s.mean(), r"shape \(\)"),
        (lambda s, _: s.double(), "float64.*float32"),
        (lambda s, _: s.to("meta"), "on meta.*on cpu"),
        (nan_in_the_second, "NaN.*1 of 3 samples.*number 1"),
        (lambda s, _: s / 0, "infinite.*3 of 3"),
    ],
)
def test_a_wrong_output_is_named_with_what_was_expected(function, words, batch):
    with pytest.raises(ModelOutputError, match=f"my-model returned .*{words}"):
        predict(candidate_of(function, "my-model"), batch)


def test_an_exception_of_the_model_keeps_its_own_traceback(batch):
    def solve(source, coefficients):
        return source @ coefficients

    with pytest.raises(UserCodeError, match="solve raised RuntimeError") as caught:
        predict(candidate_of(solve), batch)
    assert "return source @ coefficients" in caught.value.details
    assert "pdebench_fm" not in caught.value.details.replace(__file__, "")


def test_a_lack_of_memory_is_not_called_the_users_error(batch):
    def hungry(*_):
        raise MemoryError("too large")

    with pytest.raises(MemoryError):
        predict(candidate_of(hungry), batch)


def test_a_model_gets_copies_and_no_gradient_is_kept(batch):
    def greedy(source, coefficients):
        coefficients.zero_()
        return source.mul_(0)

    kept = Batch(batch.source.clone(), batch.coefficients.clone(), batch.solution)
    predict(candidate_of(greedy), batch)
    assert torch.equal(batch.source, kept.source)
    assert torch.equal(batch.coefficients, kept.coefficients)
    module = nn.Bilinear(1, 1, 1)
    candidate = candidate_of(lambda source, _: module(source[..., None], source[..., None])[..., 0])
    assert not predict(candidate, batch).requires_grad


def test_a_module_predicts_in_evaluation_mode_and_its_parts_return_to_theirs(batch):
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.frozen = nn.Dropout(0.5), nn.BatchNorm1d(2).eval()

        def forward(self, source, _):
            return self.drop(source)

    model = Dropping()
    assert torch.equal(predict(candidate_of(model), batch), batch.source)
    assert (model.training, model.drop.training, model.frozen.training) == (True, True, False)


def test_a_module_that_does_more_when_its_mode_changes_is_taken_back_by_its_own_means(batch):
    class Merging(nn.Module):
        merged = False

        def train(self, mode=True):
            self.merged = not mode
            return super().train(mode)

        def forward(self, source, _):
            return source * (2.0 if self.merged else 3.0)

    model = Merging()
    assert torch.equal(predict(candidate_of(model), batch), 2 * batch.source)
    assert (model.training, model.merged) == (True, False)
