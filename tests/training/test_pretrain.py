"""Pretraining: exact resume, refusals, and that it learns."""

import csv
import time

import pytest
import torch

from pdebench_fm.data.batches import Mixture
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.models import load_model
from pdebench_fm.physics import SampleKey
from pdebench_fm.training import run as running
from pdebench_fm.training.checkpoint import read_checkpoint, write_checkpoint
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.pretrain import Pretraining, validation_errors
from pdebench_fm.training.run import pretrain

CONFIG = PretrainConfig(family="mixed", size="64k", steps=12, batch_size=3, warmup_steps=4)


def weights_of(folder):
    return load_model(folder).state_dict()


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return pretrain(CONFIG, out, validate_every=4)


def test_a_killed_run_ends_with_the_same_weights_as_an_uninterrupted_one(uninterrupted, tmp_path):
    class Killed(BaseException):
        pass

    def kill_at(step):
        def on_progress(progress):
            if progress.step == step:
                raise Killed

        return on_progress

    for step in (3, 6, 9):
        with pytest.raises(Killed):
            pretrain(CONFIG, tmp_path, validate_every=4, on_progress=kill_at(step))
    folder = pretrain(CONFIG, tmp_path, validate_every=4)
    assert same(weights_of(folder), weights_of(uninterrupted))
    with (tmp_path / "metrics.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["step"]) for row in rows] == [4, 8, 12]
    with (uninterrupted.parent / "metrics.csv").open() as handle:
        expected = list(csv.DictReader(handle))
    for row in rows + expected:
        del row["seconds"]  # the only thing that may differ
    assert rows[-1] == expected[-1]


def test_running_a_finished_run_again_changes_nothing(uninterrupted):
    before = weights_of(uninterrupted)
    assert same(weights_of(pretrain(CONFIG, uninterrupted.parent, validate_every=4)), before)


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"family": "poisson"}, {"steps": 13}])
def test_a_checkpoint_of_another_configuration_is_refused(uninterrupted, change):
    with pytest.raises(UsageError, match=next(iter(change))):
        pretrain(CONFIG.model_copy(update=change), uninterrupted.parent)


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="not a pretraining run"):
        pretrain(CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_checkpoint_is_named(uninterrupted, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(
        (uninterrupted.parent / "checkpoint.safetensors").read_bytes()[:1000]
    )
    with pytest.raises(PdefmError, match="safetensors is not a usable checkpoint"):
        pretrain(CONFIG, tmp_path)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint_named(tmp_path, monkeypatch):
    real = running.Pretraining.advance

    def poisoned(self):
        if self.step == 6:
            with torch.no_grad():
                next(self.model.parameters()).fill_(torch.nan)
        return real(self)

    monkeypatch.setattr(running.Pretraining, "advance", poisoned)
    with pytest.raises(PdefmError, match=r"step 7.*last good checkpoint is .*checkpoint\.safetensors"):
        pretrain(CONFIG, tmp_path, validate_every=4)
    kept = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert kept.step == 4
    assert all(tensor.isfinite().all() for tensor in kept.tensors.values())


def test_a_disk_that_fills_up_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    run = Pretraining(CONFIG)
    write_checkpoint(run.checkpoint(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pdebench_fm.training.checkpoint.save_file", full)
    with pytest.raises(PdefmError, match="No space left"):
        write_checkpoint(run.checkpoint(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_saved_model_is_the_averaged_one_and_says_what_it_is(uninterrupted):
    assert uninterrupted.name == "fno-mixed-64k"
    model = load_model(uninterrupted)
    assert (model.config.family, model.config.size) == ("mixed", "64k")
    checkpoint = read_checkpoint(uninterrupted.parent / "checkpoint.safetensors")
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, checkpoint.tensors[f"average.{name}"])


def test_training_learns():
    config = PretrainConfig(family="poisson", size="64k", steps=150, batch_size=8, warmup_steps=20)
    run = Pretraining(config)
    untrained = validation_errors(run.model, config)["poisson"]
    while run.step < config.steps:
        run.advance()
    assert untrained > 0.9
    assert validation_errors(run.averaged_model(), config)["poisson"] < 0.25


def test_training_in_half_precision_keeps_weights_and_gradients_single():
    config = PretrainConfig(
        family="poisson", size="64k", steps=60, batch_size=8, warmup_steps=20, precision="bfloat16", coarse_share=0.9
    )
    run = Pretraining(config)
    losses = [run.advance() for _ in range(40)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in run.model.parameters()} == {torch.float32}
    exact = Pretraining(config.model_copy(update={"precision": "float32"}))
    assert abs(exact.advance() - losses[0]) < 1e-2 * losses[0]


def test_the_first_share_of_the_steps_is_on_the_coarse_grid():
    config = CONFIG.model_copy(update={"steps": 4, "coarse_share": 0.5})
    run = Pretraining(config)
    seen = []
    run.model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    while run.step < config.steps:
        run.advance()
    assert [field.shape[-1] for field in seen] == [32, 32, 64, 64]
    assert torch.equal(seen[1], config.mixture("train").batch(3, 3).source[:, ::2, ::2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 48}, "no fields of 48 points"),
        ({"coarse_share": 0.5, "coarse_resolution": 4}, "4 points a side cannot carry the 4 modes of size 64k"),
        ({"size": "65k"}, "unknown size '65k'"),
        (
            {"family": "mixed", "shares": (1, 3)},
            "2 shares for 3 systems: give one each of poisson, adv",
        ),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Pretraining(CONFIG.model_copy(update=change))


def _rows(batches):
    return sorted(row.numpy().tobytes() for batch in batches for row in batch.source)


def test_a_mixture_has_equal_parts_and_any_position_can_be_entered():
    keys = tuple(SampleKey(system, "pretrain", "train") for system in ("poisson", "advection-diffusion", "helmholtz"))
    mixture = Mixture(keys, 64)
    whole = mixture.batch(0, 12)
    parts = [mixture.batch(start, 3) for start in (0, 3, 6, 9)]

    assert _rows([whole]) == _rows(parts)
    omega = whole.coefficients[:, 5]
    assert int((omega > 0).sum()) == 4
    assert int((whole.coefficients[:, 3:5].abs().sum(dim=1) > 0).sum()) == 4


def test_a_mixture_can_have_unequal_parts_and_repeats_no_sample():
    keys = tuple(SampleKey(system, "pretrain", "train") for system in ("poisson", "advection-diffusion"))
    mixture = Mixture(keys, 64, (1, 3))
    parts = [mixture.batch(start, 3) for start in (0, 3, 6, 9)]
    advected = [bool((row != 0).any()) for part in parts for row in part.coefficients[:, 3:5]]
    assert (advected.count(False), advected.count(True)) == (3, 9)
    expected = [Mixture((key,), 64).batch(0, count) for key, count in zip(keys, (3, 9), strict=True)]
    assert _rows(parts) == _rows(expected)


def test_minutes_are_turned_into_steps_once_and_kept_on_resume(tmp_path):
    config = CONFIG.model_copy(update={"family": "poisson", "steps": 1})
    seen = []
    pretrain(config, tmp_path, minutes=0.01, on_progress=seen.append)
    steps = read_checkpoint(tmp_path / "checkpoint.safetensors").step
    assert steps == seen[-1].steps > 1
    seen.clear()
    pretrain(config, tmp_path, minutes=5.0, on_progress=seen.append)  # finished already, whatever the minutes
    assert seen == []


def test_tensorboard_has_each_validation_once_after_a_kill(uninterrupted, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def steps(folder):
        events = EventAccumulator(str(folder / "tensorboard"))
        events.Reload()
        return [event.step for event in events.Scalars("error/validation/helmholtz")]

    assert steps(uninterrupted.parent) == [4, 8, 12]

    def interrupt(progress):
        if progress.step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(CONFIG, tmp_path, validate_every=4, on_progress=interrupt)
    time.sleep(1)  # TensorBoard reads the files of a run in the order of the seconds in their names
    pretrain(CONFIG, tmp_path, validate_every=4)
    assert steps(tmp_path) == [4, 8, 12]
