"""Pretraining: exact resume, refusals, and that it learns."""

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pdebench_fm.cli import main
from pdebench_fm.data.batches import Mixture
from pdebench_fm.data.catalogue import TASKS, find_family, find_task
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.models import load_model
from pdebench_fm.models.frames import coefficients_in, frame_of
from pdebench_fm.models.normalisers import normalise
from pdebench_fm.physics import PAPER_SYSTEMS, Range, SampleKey, System, register_system, sample
from pdebench_fm.training import checkpoint as checkpoints
from pdebench_fm.training import run as running
from pdebench_fm.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.pretrain import Pretraining, initial_model, validation_errors
from pdebench_fm.training.record import read_training_record
from pdebench_fm.training.run import pretrain

CONFIG = PretrainConfig(
    family="mixed",
    size="64k",
    steps=12,
    batch_size=3,
    warmup_steps=4,
    normaliser="diffusion-normalised",
    frame="square",
    velocity_share=0.5,
    omega_share=1.0,
    weight_decay=0.1,
    decay_share=0.5,
)


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
    assert metrics_of(tmp_path) == metrics_of(uninterrupted.parent)
    assert [row["step"] for row in metrics_of(tmp_path)] == ["4", "8", "12"]


def metrics_of(out):
    """Return the rows of a run's metrics, without the time it took, which alone may differ."""
    with (out / "metrics.csv").open(newline="") as handle:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(handle)]


def test_running_a_finished_run_again_changes_nothing(uninterrupted):
    before = weights_of(uninterrupted)
    assert same(weights_of(pretrain(CONFIG, uninterrupted.parent, validate_every=4)), before)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 1e-3}, {"weight_decay": 0.2}, {"family": "poisson"}, {"steps": 13}]
)
def test_a_checkpoint_of_another_configuration_is_refused(uninterrupted, change):
    with pytest.raises(UsageError, match=next(iter(change))):
        pretrain(CONFIG.model_copy(update=change), uninterrupted.parent)


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="not a pretraining run"):
        pretrain(CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_checkpoint_with_any_bit_flipped_or_cut_off_anywhere_is_named_and_never_gone_on_with(uninterrupted, tmp_path):
    whole = (uninterrupted.parent / "checkpoint.safetensors").read_bytes()
    header = int.from_bytes(whole[:8], "little")
    path = tmp_path / "checkpoint.safetensors"
    generator = np.random.default_rng(0)
    anywhere = generator.integers(8 * len(whole), size=30)
    in_the_header = generator.integers(8 * (header + 8), size=30)  # where the names and the state are
    for place in map(int, (*anywhere, *in_the_header)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(PdefmError, match=rf"^{path} is (damaged|not a usable checkpoint).*remove it to"):
            pretrain(CONFIG, tmp_path)
    for length in (0, 7, 1000, header, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(PdefmError, match=rf"^{path} is not a usable checkpoint"):
            pretrain(CONFIG, tmp_path)


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


LIFT = "model.network.lift.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda held: {**held, LIFT: held[LIFT].flatten()[:1]}, rf"{LIFT}' is \(1,\) float32, the"),
        (lambda held: {**held, LIFT: held[LIFT].double()}, rf"{LIFT}' is .* float64, the"),
        (lambda held: without(held, LIFT), rf"{LIFT}' is none, the"),
        (lambda held: {**held, "model.more": torch.zeros(2)}, r"model.more' is \(2,\) float32, the .* is none"),
        (lambda held: {**held, f"optimizer.step.{LIFT[6:]}": torch.zeros(1)}, r"optimizer.step.*\(1,\) float32, the"),
        (lambda held: without(held, f"optimizer.exp_avg.{LIFT[6:]}"), "optimizer.exp_avg.*is none, the"),
        (lambda held: without(held, f"average.{LIFT[6:]}"), "average.*is none, the"),
    ],
)
def test_tensors_that_are_not_the_configurations_are_named(uninterrupted, tmp_path, change, message):
    held = read_checkpoint(uninterrupted.parent / "checkpoint.safetensors")
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(Checkpoint(held.state, change(dict(held.tensors))), path)
    with pytest.raises(PdefmError, match=rf"^cannot go on from {path}: its tensor '{message}"):
        pretrain(CONFIG, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"step": -1}, "step: Input should be greater"),
        ({"step": 13}, "it is at step 13 of 12"),
        ({"config": {"family": "mixed"}}, "config.size: Field required"),
        ({"config": {"family": "mixed", "size": "65k", "steps": 12}}, "unknown size '65k'"),
    ],
)
def test_a_state_that_no_run_has_is_one_clear_error(uninterrupted, tmp_path, change, message):
    held = read_checkpoint(uninterrupted.parent / "checkpoint.safetensors")
    text = json.dumps(held.state.model_dump(mode="json") | change)
    path = tmp_path / "checkpoint.safetensors"
    save_file(dict(held.tensors), path, {"state": text, "digest": checkpoints._digest(text, held.tensors)})
    with pytest.raises(PdefmError, match=rf"{path}.*{message}"):
        pretrain(CONFIG, tmp_path)


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_the_optimizers_state_is_restored_by_its_own_rule(tmp_path, monkeypatch, device):
    run = Pretraining(CONFIG, device)
    run.advance()
    write_checkpoint(run.checkpoint(), tmp_path / "checkpoint.safetensors")
    given = []

    class Watched(torch.optim.AdamW):
        def load_state_dict(self, state):
            given.append(state)
            super().load_state_dict(state)

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    resumed = Pretraining.resume(read_checkpoint(tmp_path / "checkpoint.safetensors"), device)
    assert len(given) == 1
    for one, other in zip(run.model.parameters(), resumed.model.parameters(), strict=True):
        held, found = run.optimizer.state[one], resumed.optimizer.state[other]
        assert found.keys() == held.keys() == {"step", "exp_avg", "exp_avg_sq"}
        for key, value in held.items():
            assert (found[key].device, found[key].dtype) == (value.device, value.dtype)
            assert torch.equal(found[key], value)
    assert run.advance() == resumed.advance()
    assert same(run.checkpoint().tensors, resumed.checkpoint().tensors)


@pytest.mark.parametrize("damage", [b"", b"step,samples", b"\xff\x00", None])
def test_whatever_happened_to_the_metrics_they_are_as_they_were_when_the_run_goes_on(uninterrupted, tmp_path, damage):
    with pytest.raises(KeyboardInterrupt, match="saved at step 9 of 12"):
        pretrain(CONFIG, tmp_path, validate_every=4, on_progress=press_ctrl_c_at(9))
    if damage is None:
        (tmp_path / "metrics.csv").unlink()
    else:
        (tmp_path / "metrics.csv").write_bytes(damage)
    pretrain(CONFIG, tmp_path, validate_every=4)
    assert metrics_of(tmp_path) == metrics_of(uninterrupted.parent)


def press_ctrl_c_at(*steps):
    def on_progress(progress):
        if progress.step in steps:
            signal.raise_signal(signal.SIGINT)

    return on_progress


def test_ctrl_c_saves_after_the_step_and_the_run_goes_on_from_there(uninterrupted, tmp_path):
    started = []
    for step in (5, 6, 11):
        with pytest.raises(KeyboardInterrupt, match=f"saved at step {step} of 12; run again to go on"):
            pretrain(
                CONFIG,
                tmp_path,
                validate_every=4,
                on_progress=press_ctrl_c_at(step),
                on_start=lambda *steps: started.append(steps),
            )
        assert read_checkpoint(tmp_path / "checkpoint.safetensors").state.step == step
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    folder = pretrain(CONFIG, tmp_path, validate_every=4, on_start=lambda *steps: started.append(steps))
    assert started == [(0, 12), (5, 12), (6, 12), (11, 12)]
    assert same(weights_of(folder), weights_of(uninterrupted))
    assert metrics_of(tmp_path) == metrics_of(uninterrupted.parent)


def test_a_second_ctrl_c_interrupts_at_once(tmp_path, monkeypatch):
    real = running.Pretraining.advance

    def impatient(self, **options):
        if self.step == 6:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return real(self, **options)

    monkeypatch.setattr(running.Pretraining, "advance", impatient)
    with pytest.raises(KeyboardInterrupt) as caught:
        pretrain(CONFIG, tmp_path, validate_every=4)
    assert caught.value.args == ()
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").state.step == 4


def test_a_second_run_in_one_folder_is_refused_while_the_first_goes_on(uninterrupted, tmp_path):
    refused = []

    def run_another(progress):
        if progress.step == 6:
            with pytest.raises(PdefmError, match=f"another pdefm is writing to {tmp_path}"):
                pretrain(CONFIG, tmp_path, validate_every=4)
            refused.append(progress.step)

    pretrain(CONFIG, tmp_path, validate_every=4, on_progress=run_another)
    assert refused == [6]
    assert metrics_of(tmp_path) == metrics_of(uninterrupted.parent)


FIRST_WRITE = """
import os, sys, pathlib
from pdebench_fm.training.run import pretrain
from pdebench_fm.training.config import PretrainConfig
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in ("os.mkdir", "open", "os.rename", "os.remove") and sys.argv[1] in str(arguments[0]):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(count)
pretrain(PretrainConfig(family="poisson", size="64k", steps=1, batch_size=2), pathlib.Path(sys.argv[1]))
"""


def test_a_run_killed_at_any_of_its_first_writes_is_gone_on_with(tmp_path):
    config = PretrainConfig(family="poisson", size="64k", steps=1, batch_size=2)
    expected = weights_of(pretrain(config, tmp_path / "undisturbed"))
    for writes in (1, 2, 3, 5):
        out = tmp_path / str(writes)
        killed = subprocess.run([sys.executable, "-c", FIRST_WRITE, str(out), str(writes)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert same(weights_of(pretrain(config, out)), expected)
        assert not list(out.rglob(".pdefm*"))


def test_the_command_says_where_it_stopped_where_it_goes_on_and_that_nothing_is_left(tmp_path, capsys, monkeypatch):
    command = ["pretrain", "--family", "poisson", "--size", "64k", "--steps", "6", "--batch-size", "2"]
    command += ["--device", "cpu", "--out", str(tmp_path / "run")]
    real = running.Pretraining.advance

    def interrupted(self, **options):
        if self.step == 3:
            signal.raise_signal(signal.SIGINT)
        return real(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(running.Pretraining, "advance", interrupted)
        assert main(command) == 130
    assert capsys.readouterr().err.endswith("pdefm: interrupted: saved at step 4 of 6; run again to go on\n")
    assert main(command) == 0
    assert "going on at step 4 of 6" in "".join(capsys.readouterr())
    assert main(command) == 0
    assert "all 6 steps were done before: nothing is left to train" in "".join(capsys.readouterr())


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint_named(tmp_path, monkeypatch):
    real = running.Pretraining.advance

    def poisoned(self, **options):
        if self.step == 6:
            with torch.no_grad():
                next(self.model.parameters()).fill_(torch.nan)
        return real(self, **options)

    monkeypatch.setattr(running.Pretraining, "advance", poisoned)
    with pytest.raises(PdefmError, match=r"step 7.*last good checkpoint is .*checkpoint\.safetensors"):
        pretrain(CONFIG, tmp_path, validate_every=4)
    kept = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert kept.state.step == 4
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


def test_the_record_and_the_metrics_hold_the_errors_on_the_selection_rows(uninterrupted):
    model, found = load_model(uninterrupted), read_training_record(uninterrupted).selection_errors
    with (uninterrupted.parent / "metrics.csv").open() as handle:
        last = list(csv.DictReader(handle))[-1]
    for system in ("poisson", "advection-diffusion", "helmholtz"):
        rows = sample(SampleKey(system, "selection", "validation"), range(128), 64)
        source, solution = torch.from_numpy(rows.source), torch.from_numpy(rows.solution)
        with torch.no_grad():
            difference = model(source, torch.from_numpy(rows.draws.coefficients)) - solution
        expected = float((difference.norm(dim=(1, 2)) / solution.norm(dim=(1, 2))).mean())
        assert found[system] == pytest.approx(expected, rel=1e-4)
        assert float(last[f"selection_{system}"]) == pytest.approx(expected, rel=1e-4)


def test_no_task_scores_the_selection_rows():
    for system in PAPER_SYSTEMS:
        assert "selection" in system.regimes
        for dataset in (system.name, f"{system.name}-ood"):
            with pytest.raises(UsageError, match="unknown task"):
                find_task(f"{dataset}/selection")
    assert not any(task.regime.name == "selection" for task in TASKS.values())


def test_weight_decay_pulls_each_weight_to_zero_by_its_share_beside_adams_step():
    after = []
    for weight_decay in (0.0, 0.5):
        run = Pretraining(CONFIG.model_copy(update={"weight_decay": weight_decay}))
        before = [parameter.detach().clone() for parameter in run.model.parameters()]
        run.advance()
        after.append([parameter.detach() for parameter in run.model.parameters()])
    share = 0.5 * CONFIG.learning_rate_at(0)
    for start, plain, decayed in zip(before, *after, strict=True):
        torch.testing.assert_close(decayed, plain - share * start, rtol=1e-4, atol=1e-7)


def test_the_scales_of_each_normaliser_are_measured_on_what_the_network_sees():
    for change in ({"normaliser": "homogeneous-rms", "frame": "given"}, {"diffusivity": "mean"}, {"frame": "lattice"}):
        config = CONFIG.model_copy(update=change)
        model = initial_model(config)
        batch = config.mixture("train").batch(0, 1024)
        moved = coefficients_in(frame_of(config.frame, batch.coefficients), batch.coefficients)
        seen = normalise(model.config.normaliser, batch.source, moved).coefficients
        for column in seen.T:
            assert float(column[column != 0].square().mean().sqrt()) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.usefixtures("registry")
def test_a_family_without_a_diffusion_tensor_is_refused_where_one_is_needed():
    def coefficients(drawn):
        return np.pad(drawn.parameter[:, None], ((0, 0), (0, 5)))

    def symbol(k, coefficients):
        return coefficients[:, 0][:, None, None] * (1.0 + k.kx**2 + k.ky**2)

    spans = {"pretrain": Range(1.0, 2.0)}
    words = {"title": "Drum", "equation": "T(1 − Δ)u = f", "parameter_symbol": "T", "parameter_name": "tension"}
    register_system(
        System("drum", regimes=spans, coefficients=coefficients, symbol=symbol, coefficient_names=("T",), **words)
    )
    config = CONFIG.model_copy(update={"family": "drum", "frame": "given"})
    with pytest.raises(
        UsageError, match=r"the normaliser 'diffusion-normalised' needs a diffusion tensor .* drum does"
    ):
        initial_model(config)
    plain = config.model_copy(update={"normaliser": "homogeneous-rms"})
    with pytest.raises(UsageError, match=r"the frame 'square' needs a diffusion tensor"):
        initial_model(plain.model_copy(update={"frame": "square"}))
    initial_model(plain)
    assert config.selection() is None


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


def test_two_systems_are_a_family_in_the_benchmarks_order():
    assert find_family("helmholtz-and-poisson") == ("poisson", "helmholtz")
    assert find_family("poisson-and-advection-diffusion") == ("poisson", "advection-diffusion")
    for name in ("poisson-and-poisson", "poisson-and-drum", "poisson-and-advection-diffusion-and-helmholtz"):
        with pytest.raises(UsageError, match="unknown family"):
            find_family(name)


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
    steps = read_checkpoint(tmp_path / "checkpoint.safetensors").state.step
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

    with pytest.raises(KeyboardInterrupt):
        pretrain(CONFIG, tmp_path, validate_every=4, on_progress=press_ctrl_c_at(9))
    pretrain(CONFIG, tmp_path, validate_every=4)
    assert steps(tmp_path) == [4, 8, 12]
