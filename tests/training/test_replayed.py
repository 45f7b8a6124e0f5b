"""Recorded passes are those of the network; they run where there is a GPU, and elsewhere nothing is recorded."""

import copy
import gc
import weakref

import pytest
import torch

from pdebench_fm import load_model
from pdebench_fm.data.batches import Batch
from pdebench_fm.models.prediction import predicted
from pdebench_fm.training.adapt import FineTuning
from pdebench_fm.training.loss import relative_l2
from pdebench_fm.training.replayed import Replayed, _is_plain, replayed

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def batch(rows, device, seed=0):
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(rows, 32, 32, generator=generator)
    coefficients = torch.tensor([1.5, 2.0, 0.3, 0.0, 0.0, 0.0]) + 0.1 * torch.rand(rows, 6, generator=generator)
    return Batch(source, coefficients, torch.randn(rows, 32, 32, generator=generator)).to(torch.device(device))


def gradients(call, module, rows):
    module.zero_grad()
    relative_l2(call(rows.source, rows.coefficients), rows.solution).mean().backward()
    return [parameter.grad.clone() for parameter in module.parameters()]


@needs_gpu
@pytest.mark.parametrize("name", ["fno-poisson-64k", "fno-advection-diffusion-64k", "fno-mixed-1m"])
def test_a_replay_gives_the_gradients_of_the_network_at_the_weights_of_now(name):
    module = load_model(name, device="cuda").train()
    replayed = Replayed(module)
    for seed, rows in enumerate([8, 8, 3, 8]):
        given = batch(rows, "cuda", seed)
        for one, other in zip(gradients(replayed, module, given), gradients(module, module, given), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.01 * parameter.abs().mean())
    assert len(replayed._recorded) == 2


@needs_gpu
def test_a_fine_tuned_module_is_its_own_again():
    module = load_model("fno-poisson-64k", device="cuda")
    tuning = FineTuning(module, gradient_clip=1.0)
    losses = [tuning.step(batch(8, "cuda"), 1e-3) for _ in range(20)]
    assert losses[-1] < losses[0]
    twin = copy.deepcopy(tuning.module)
    before = [parameter.clone() for parameter in twin.parameters()]
    tuning.step(batch(8, "cuda"), 1e-3)
    rows = batch(8, "cuda", 1)
    assert not torch.equal(twin(rows.source, rows.coefficients), tuning.module(rows.source, rows.coefficients))
    assert all(torch.equal(one, other) for one, other in zip(before, twin.parameters(), strict=True))


@needs_gpu
@pytest.mark.parametrize("name", ["fno-poisson-64k", "fno-mixed-1m"])
def test_predictions_between_steps_are_those_of_the_network(name):
    tuning = FineTuning(load_model(name, device="cuda"), gradient_clip=1.0)
    assert isinstance(tuning.passes, Replayed)
    for seed, count in enumerate([8, 8, 5, 8]):
        tuning.step(batch(8, "cuda", seed), 1e-3)
        rows = batch(count, "cuda", seed)
        with torch.no_grad():
            expected = tuning.module(rows.source, rows.coefficients)
        torch.testing.assert_close(predicted(tuning.passes, rows, "the model"), expected, rtol=1e-5, atol=1e-7)
        assert tuning.module.training


@needs_gpu
def test_a_module_with_hooks_of_a_user_is_called_as_it_is():
    module = load_model("fno-poisson-64k", device="cuda")
    module.network.lift.register_forward_hook(lambda *_: None)
    assert replayed(module) is module


def test_a_recording_is_made_for_each_shape_and_makes_room_first(monkeypatch):
    shells = []

    def recorded(shell, _arguments):
        assert not any(before() is not None for of_one in shells[:-1] for before in of_one)
        shells[-1].append(weakref.ref(shell))
        shell.forward = shell.forward  # holds the shell, as PyTorch's does
        return shell

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", recorded)
    gc.disable()
    try:
        for _ in range(3):
            shells.append([])
            module = load_model("fno-poisson-64k").train()
            call = Replayed(module)
            for count in (4, 4, 2):
                rows = batch(count, "cpu", count)
                given = gradients(call, module, rows)
                assert all(map(torch.equal, given, gradients(module, module, rows)))
            assert len(shells[-1]) == 2
            assert all(shell() is not None for shell in shells[-1])
            del call, module
    finally:
        gc.enable()


def changed_network(how):
    module = load_model("fno-poisson-64k").train()
    if how == "hook":
        module.network.lift.register_full_backward_pre_hook(lambda *_: None)
    elif how == "parametrization":
        torch.nn.utils.parametrize.register_parametrization(module.network.lift, "weight", torch.nn.Identity())
    elif how == "forward":
        module.network.forward = module.network.forward_plain
    elif how == "part":
        module.network.lift = type("Mine", (torch.nn.Linear,), {})(7, 8)
    return module


@pytest.mark.parametrize("how", ["hook", "parametrization", "forward", "part"])
def test_a_network_that_a_user_has_changed_is_called_as_it_is(how):
    assert all(map(_is_plain, load_model("fno-poisson-64k").modules()))
    assert not all(map(_is_plain, changed_network(how).modules()))


def test_a_network_on_another_gpu_than_the_current_one_is_called_as_it_is(monkeypatch):
    module = load_model("fno-poisson-64k").train()
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(torch.Tensor, "get_device", lambda _: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert replayed(module) is module
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert isinstance(replayed(module), Replayed)


def test_on_a_cpu_and_for_modules_of_a_user_the_module_is_called():
    for module in (load_model("fno-poisson-64k"), torch.nn.Linear(3, 3)):
        assert replayed(module) is module
