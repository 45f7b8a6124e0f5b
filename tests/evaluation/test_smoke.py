"""The smoke test finds what would stop an evaluation, says so, and lets a sound model pass."""

import copy
import math

import pytest
import torch
from pointwise import Pointwise
from torch import nn

from pdebench_fm.cli import main
from pdebench_fm.cli.console import console
from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.evaluation.smoke import SmokeCheck, SmokeReport, smoke_test
from pdebench_fm.models import candidate_of, open_candidate


class OverTheBatch(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source - source.mean(), coefficients)


class Noisy(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source + torch.randn_like(source), coefficients)


class InPlace(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source.mul_(2.0), coefficients)


class Detached(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source, coefficients).detach()


class Unused(Pointwise):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(1, 1)


class NaNGradient(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source, coefficients) + (0.0 * self.map.bias).square().sqrt()


class Uncopied(Pointwise):
    def __deepcopy__(self, memo):
        return Pointwise()


class NotCopyable(Pointwise):
    def __deepcopy__(self, memo):
        raise NotImplementedError("holds an open file")


class OneResolution(Pointwise):
    def forward(self, source, coefficients):
        return super().forward(source, coefficients)[:, :64, :64]


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))

    def forward(self, source, _):
        return self.gain * source


def outcomes(model):
    report = smoke_test(candidate_of(model))
    return report, {check.name: check for check in report.checks}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_a_sound_module_passes_every_check_on_every_task():
    model = Pointwise()
    before = copy.deepcopy(model.state_dict())
    report, checks = outcomes(model)
    assert not report.would_fail
    assert set(TASKS) < set(checks)
    assert {check.outcome for check in report.checks} == {"ok"}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("flawed", "name", "outcome", "words"),
    [
        (OverTheBatch, "one sample at a time", "would fail", "never over the batch"),
        (Noisy, "repeated", "would fail", "evaluation mode"),
        (InPlace, "inputs untouched", "note", "writes into source"),
        (Detached, "gradients", "would fail", "detach()"),
        (Unused, "gradients", "note", "none for 2 of 4 parameters, such as spare.weight"),
        (NaNGradient, "gradients", "would fail", "NaN or infinite for 1 of 2"),
        (Uncopied, "copy", "would fail", "copy.deepcopy predicts something else"),
        (NotCopyable, "copy", "would fail", "holds an open file"),
        (OneResolution, "output at 128×128", "would fail", "shape (12, 64, 64)"),
        (Bare, "fresh start", "note", "from scratch"),
    ],
)
def test_a_flaw_is_found_and_said_to_fail_or_not(flawed, name, outcome, words):
    report, checks = outcomes(flawed())
    assert checks[name].outcome == outcome
    assert words in f"{checks[name].found} {checks[name].advice}"
    assert report.would_fail is (outcome == "would fail")


def test_a_training_that_breaks_is_told_for_its_task():
    class Fragile(Pointwise):
        def forward(self, source, coefficients):
            if self.training and bool((coefficients[:, 5] > 15).any()):
                raise ArithmeticError("no training beyond 15")
            return super().forward(source, coefficients)

    _, checks = outcomes(Fragile())
    assert checks["helmholtz-ood/hard"].outcome == "would fail"
    assert "no training beyond 15" in checks["helmholtz-ood/hard"].found
    assert checks["poisson-ood/hard"].outcome == "ok"


def test_a_function_is_scored_and_not_trained():
    report, checks = outcomes(lambda source, _: 0.0 * source)
    assert not report.would_fail
    assert checks["fine-tuning"].outcome == "note"
    assert checks["poisson-ood/hard"].found == "error 1"
    assert "gradients" not in checks


def test_without_a_valid_output_nothing_else_is_tried():
    report, checks = outcomes(lambda source, _: math.nan * source)
    assert report.would_fail
    assert "NaN" in checks["output at 64×64"].found
    assert list(checks) == ["output at 64×64", "output at 128×128", "everything else"]


def test_fresh_starts_that_do_not_differ_or_repeat_are_found():
    weights = iter(range(100))

    def fixed(_seed):
        torch.manual_seed(0)
        return Pointwise()

    def drifting(_seed):
        torch.manual_seed(next(weights))
        return Pointwise()

    for fresh, words in ((fixed, "seeds 0 and 1"), (drifting, "other weights each time")):
        candidate = candidate_of(Pointwise())
        report = smoke_test(type(candidate)(candidate.operator, "x", candidate.device, fresh=fresh))
        assert words in next(check.found for check in report.checks if check.name == "fresh start")


def test_a_model_of_the_zoo_passes():
    assert not smoke_test(open_candidate("fno-mixed-64k")).would_fail


def test_the_command_shows_a_table_and_exits_by_what_it_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "--model", "zero", "--smoke", "--device", "cpu"]) == 0
    assert "an evaluation would run" in capsys.readouterr().out
    (tmp_path / "mine.py").write_text(
        "def build():\n    return solve\ndef solve(source, coefficients):\n    return source.half()['x']\n"
    )
    assert main(["eval", "--model", "mine.py", "--smoke", "--device", "cpu"]) == 1
    output = capsys.readouterr().out
    assert "would fail" in output
    assert "return source.half()['x']" in output
    assert "prediction.py" not in output
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mine.py"]


def test_a_long_name_of_a_method_leaves_room_for_what_was_found(capsys, monkeypatch):
    monkeypatch.setattr(console, "width", 80)
    check = SmokeCheck(
        "my_adaptation_with_a_name:adapt on advection-diffusion/in-domain, 8 shots", "ok", "error 0.0123"
    )
    monkeypatch.setattr("pdebench_fm.evaluation.smoke.smoke_test", lambda *_: SmokeReport("zero", (check,)))
    assert main(["eval", "--model", "zero", "--smoke", "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert "error 0.0123" in output
    assert "advection-diffusion/in-domain" in output


def test_the_smoke_test_computes_with_as_many_threads_as_an_evaluation():
    seen = set()

    class Watching(Pointwise):
        def forward(self, source, coefficients):
            seen.add(torch.get_num_threads())
            return super().forward(source, coefficients)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        smoke_test(candidate_of(Watching()))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {1}
