"""The floor, the ceilings, and architectures without weights, the real library `neuraloperator` among them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pdebench_fm.data.batches import batch_of
from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.models import (
    BASELINES,
    ChannelOperator,
    ExactSolver,
    UNet,
    candidate_of,
    load_model,
    open_candidate,
    predict,
)
from pdebench_fm.models.baselines import MEAN_ROWS
from pdebench_fm.models.channels import MIXED_SCALES
from pdebench_fm.models.neuraloperator import neuraloperator_fno
from pdebench_fm.models.unet import unet
from pdebench_fm.physics import SYSTEMS, SampleKey, draw, sample, solve
from pdebench_fm.results.merging import may_merge
from pdebench_fm.training.adapt import AdaptationRecipe, adapt
from pdebench_fm.training.loss import relative_l2

TRAINABLE = ["unet", "neuraloperator-fno", "neuraloperator-tfno"]


def rows(task, count=8, resolution=64, split="test"):
    key = TASKS[task].dataset.key(TASKS[task].regime.name, split)
    return batch_of(sample(key, range(count), resolution))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("resolution", [64, 128])
def test_the_oracle_is_exact_to_the_rounding_of_the_fields(task, resolution):
    batch = rows(task, resolution=resolution)
    error = relative_l2(predict(open_candidate("oracle"), batch), batch.solution)
    assert error.max() < 1e-6


def test_the_oracle_takes_the_operator_of_another_system():
    def biharmonic(k, coefficients):
        return 1.0 + (k.kx**2 + k.ky**2) ** 2 + 0.0 * coefficients[:, :1, None]

    batch = rows("poisson/in-domain")
    _, expected = solve(batch.source.double().numpy(), batch.coefficients.double().numpy(), biharmonic)
    predicted = predict(candidate_of(ExactSolver(biharmonic), "oracle"), batch)
    assert np.allclose(predicted.numpy(), expected, atol=1e-6 * np.abs(expected).max())


def test_zero_has_an_error_of_one():
    batch = rows("helmholtz/in-domain")
    assert torch.equal(relative_l2(predict(open_candidate("zero"), batch), batch.solution), torch.ones(8))


@pytest.mark.parametrize("system", SYSTEMS)
def test_mean_predicts_the_mean_training_solution_of_the_same_equation(system):
    training = sample(SampleKey(system, "pretrain", "train"), range(MEAN_ROWS), 64).solution
    expected = training.astype(np.float64).mean(axis=0)
    for n, field in ((64, expected), (32, expected[::2, ::2])):
        batch = rows(f"{system}/in-domain")
        batch = type(batch)(batch.source[:, :: 64 // n, :: 64 // n], batch.coefficients, batch.solution)
        predicted = predict(open_candidate("mean"), batch)
        assert np.allclose(predicted.numpy(), field, atol=1e-5 * np.abs(field).max())


def test_mean_is_zero_for_an_equation_that_it_does_not_know():
    batch = rows("advection-diffusion/in-domain")
    batch.coefficients[:, 5] = 1.0
    assert not predict(open_candidate("mean"), batch).any()


@pytest.mark.parametrize("name", TRAINABLE)
def test_architectures_have_no_pretraining_and_learn_from_fresh_starts(name):
    candidate = BASELINES[name].candidate(torch.device("cpu"))
    assert not candidate.pretrained
    first, again, other = (nn.utils.parameters_to_vector(candidate.fresh(seed).parameters()) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert candidate.fingerprint == BASELINES[name].candidate(torch.device("cpu")).fingerprint
    batch = rows("poisson/in-domain", count=2)
    losses = []
    recipe = AdaptationRecipe(1e-2, 12, 2, warmup_steps=0)
    adapt(candidate.fresh(0), batch, recipe, 0, lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", TRAINABLE)
def test_an_architecture_that_was_loaded_is_known_by_its_random_weights(name):
    by_name, module = open_candidate(name), load_model(name)
    for given in (module, copy.deepcopy(module), load_model(name).train()):
        candidate = candidate_of(given)
        assert (candidate.name, candidate.revision, candidate.pretrained) == (name, "package", False)
        assert torch.equal(*(nn.utils.parameters_to_vector(c.fresh(1).parameters()) for c in (candidate, by_name)))
    assert candidate_of(module).fingerprint == by_name.fingerprint
    assert (candidate_of(module, "mine").name, candidate_of(module, "mine").pretrained) == ("mine", False)
    with torch.no_grad():
        next(module.parameters()).mul_(1.5)
    assert candidate_of(module).pretrained
    assert candidate_of(module).name == "ChannelOperator"


def test_random_weights_in_an_altered_architecture_are_no_pretraining_either():
    module = load_model("unet")
    module.register_forward_hook(lambda *call: 2 * call[2])
    candidate = candidate_of(module)
    assert (candidate.name, candidate.revision, candidate.pretrained) == ("ChannelOperator", None, False)
    assert candidate.fresh(0)._forward_hooks
    assert candidate_of(unet(width=8)).pretrained  # of other shapes, so perhaps trained by somebody


def test_an_architecture_is_evaluated_alike_by_its_name_and_as_a_module(small_task, quick_recipes):  # noqa: ARG001
    settings = {"shots": 8, "seeds": 1, "track": "lite"}
    one, other = (evaluate(model, small_task(), **settings) for model in ("unet", load_model("unet")))
    assert [(run.start, run.shots) for run in one.runs] == [("scratch", 8)]
    assert one.samples.equals(other.samples)
    assert may_merge(one.result, other.result)
    with pytest.raises(UsageError, match="unet has random weights, so it has no zero-shot score"):
        evaluate(load_model("unet"), small_task(), track="lite")


@pytest.mark.parametrize("name", TRAINABLE)
def test_architectures_are_homogeneous_and_commute_with_translations(name):
    candidate = BASELINES[name].candidate(torch.device("cpu"))
    batch = rows("advection-diffusion/in-domain", count=2)
    with torch.no_grad():
        predicted = candidate.operator(batch.source, batch.coefficients)
        scaled = candidate.operator(7.0 * batch.source, batch.coefficients)
        shifted = candidate.operator(batch.source.roll((16, 32), (1, 2)), batch.coefficients)
    scale = predicted.abs().max()
    assert (scaled - 7.0 * predicted).abs().max() < 1e-4 * scale
    assert (shifted - predicted.roll((16, 32), (1, 2))).abs().max() < 1e-4 * scale


def test_the_librarys_network_sees_the_channels_in_the_documented_order_and_normalisation():
    batch = rows("helmholtz/in-domain", count=3)
    wrapped = neuraloperator_fno(width=4)
    rms = batch.source.double().square().mean(dim=(1, 2)).sqrt().float()
    channels = torch.empty(3, 7, 64, 64)
    channels[:, 0] = batch.source / rms[:, None, None]
    for i in range(6):
        channels[:, 1 + i] = (batch.coefficients[:, i] / MIXED_SCALES[i])[:, None, None]
    with torch.no_grad():
        expected = rms[:, None, None] * wrapped.network(channels)[:, 0]
        assert torch.allclose(wrapped(batch.source, batch.coefficients), expected, atol=1e-6)


def test_a_network_of_the_library_is_a_model_that_can_be_copied_and_fine_tuned():
    from neuralop.models import TFNO

    network = TFNO(n_modes=(8, 8), in_channels=7, out_channels=1, hidden_channels=4, positional_embedding=None)
    candidate = candidate_of(ChannelOperator(network), "my-tfno")
    batch = rows("poisson/in-domain", count=2)
    twin = candidate_of(copy.deepcopy(candidate.module), "my-tfno")
    assert torch.equal(predict(twin, batch), predict(candidate, batch))
    assert twin.fingerprint == candidate.fingerprint
    adapted = adapt(candidate.module, batch, AdaptationRecipe(1e-2, 2, 2), 0)
    assert not torch.equal(predict(candidate_of(adapted), batch), predict(candidate, batch))


def test_without_the_library_its_names_say_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("pdebench_fm.models.neuraloperator.import_module", missing)
    with pytest.raises(UsageError, match=r"pip install 'pdebench-fm\[peers\]'"):
        open_candidate("neuraloperator-fno")


def test_a_grid_that_cannot_be_halved_often_enough_is_refused():
    with pytest.raises(UsageError, match="multiples of 16"):
        UNet()(torch.zeros(1, 7, 40, 40))


def test_the_fixed_scales_are_those_of_the_pretraining_data():
    keys = [SampleKey(system, "pretrain", "train") for system in SYSTEMS]
    coefficients = np.concatenate([draw(key, range(400)).coefficients for key in keys]).astype(np.float64)
    squares = np.where(coefficients == 0, np.nan, coefficients**2)
    assert np.allclose(MIXED_SCALES, np.sqrt(np.nanmean(squares, axis=0)), rtol=0.1)
