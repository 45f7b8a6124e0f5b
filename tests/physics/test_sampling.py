"""Sampling as a pure function: ranges, independence of batches, resolution, and what a row can be rebuilt from."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdebench_fm.data.digest import recipe_digest
from pdebench_fm.physics import (
    REGIMES,
    SYSTEMS,
    SampleKey,
    advection_diffusion_ratio,
    draw,
    register_system,
    relative_residual,
    sample,
)
from pdebench_fm.physics.sampling import build_fields

ALL = [(system, regime) for system in SYSTEMS for regime in REGIMES]


def slow_source(weights, n, *, zero_mean, width=1 / 32):
    """The definition: a loop over 144 Gaussians, normalised on the 128×128 grid."""

    def total(points):
        y, x = np.meshgrid(points, points, indexing="ij")
        centre = [0.5 - 11 / 32 + i / 16 for i in range(12)]
        field = np.zeros_like(x)
        for i in range(12):
            for j in range(12):
                distance = (y - centre[i]) ** 2 + (x - centre[j]) ** 2
                field += weights[i, j] * np.exp(-distance / (2 * width**2))
        return field

    reference = total(np.arange(128) / 128)
    field = total(np.arange(n) / n) / reference.max()
    return field - reference.mean() / reference.max() if zero_mean else field


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("n", [64, 128])
def test_source_equals_the_loop_over_gaussians(system, n):
    samples = sample(SampleKey(system, "medium", "train"), [11], n)
    expected = slow_source(samples.draws.weights[0].astype(float), n, zero_mean=SYSTEMS[system].zero_mean)
    np.testing.assert_allclose(samples.source[0], expected, atol=1e-7)


def test_sources_have_the_width_and_the_sparsities_that_their_system_declares(registry):  # noqa: ARG001
    register_system(replace(SYSTEMS["poisson"], name="narrower", source_width=1 / 48, sparsities=(0.05, 0.95)))
    samples = sample(SampleKey("narrower", "medium", "train"), range(40), 64)
    np.testing.assert_allclose(
        samples.source[0],
        slow_source(samples.draws.weights[0].astype(float), 64, zero_mean=True, width=1 / 48),
        atol=1e-7,
    )
    weights, coefficients = (a.astype(float) for a in (samples.draws.weights, samples.draws.coefficients))
    source, solution = build_fields(SYSTEMS["narrower"], weights, coefficients, 64)
    assert relative_residual(source, solution, coefficients).max() < 1e-9
    absent = (samples.draws.weights == 0).mean(axis=(1, 2))
    assert absent[::2].mean() == pytest.approx(0.05, abs=0.02)
    assert absent[1::2].mean() == pytest.approx(0.95, abs=0.02)
    np.testing.assert_allclose(samples.draws.sparsity[:2], (0.05, 0.95), rtol=1e-6)


@pytest.mark.parametrize(("system", "regime"), ALL)
def test_parameters_lie_in_the_regime_and_fields_satisfy_the_equation(system, regime):
    samples = sample(SampleKey(system, regime, "validation"), range(48))
    draws = samples.draws
    declared = SYSTEMS[system].regimes[regime]
    assert draws.parameter.min() >= declared.low
    assert draws.parameter.max() <= declared.high
    assert np.ptp(draws.parameter) > 0.5 * (declared.high - declared.low)
    if declared.integer:
        np.testing.assert_array_equal(draws.parameter, np.round(draws.parameter))
        np.testing.assert_array_equal(draws.coefficients[:, 5], draws.parameter)
    coefficients = draws.coefficients.astype(float)
    source, solution = build_fields(SYSTEMS[system], draws.weights.astype(float), coefficients, 128)
    assert relative_residual(source, solution, coefficients).max() < 1e-9
    np.testing.assert_allclose(samples.source, source, atol=1e-7)
    tolerance = 1e-7 * np.abs(solution).max(axis=(1, 2), keepdims=True)
    assert np.all(np.abs(samples.solution - solution) <= tolerance)


@pytest.mark.parametrize("regime", REGIMES)
def test_every_ratio_measured_on_its_own_solution_is_the_one_drawn(regime):
    draws = draw(SampleKey("advection-diffusion", regime, "train"), range(300))
    coefficients = draws.coefficients.astype(float)
    _, solution = build_fields(SYSTEMS["advection-diffusion"], draws.weights.astype(float), coefficients, 128)
    np.testing.assert_allclose(advection_diffusion_ratio(solution, coefficients), draws.parameter, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_velocity_nearly_orthogonal_to_every_large_mode_is_balanced_too():
    """Of 131072 published train rows of this system the one for which a Newton step overshoots into rounding."""
    rows = sample(SampleKey("advection-diffusion", "hard", "train"), [28367, 28368], 128)
    solution, coefficients = rows.solution.astype(np.float64), rows.draws.coefficients.astype(np.float64)
    np.testing.assert_allclose(advection_diffusion_ratio(solution, coefficients), rows.draws.parameter, rtol=2e-6)


def test_velocity_and_diffusion_share_one_mixing():
    draws = draw(SampleKey("advection-diffusion", "pretrain", "train"), range(64))
    k11, k22, k12, v1, v2, _ = draws.coefficients.astype(float).T
    mixing = np.hypot(v1, v2)
    low = (k11 + k22) / 2 - np.sqrt(((k11 - k22) / 2) ** 2 + k12**2)  # the smaller eigenvalue, (1−λ)·0.01
    assert np.all((mixing > 0) & (mixing < 1))
    np.testing.assert_allclose(low, 0.01 * (1 - mixing), rtol=1e-4)


def test_poisson_eigenvalue_is_the_anisotropy_of_the_tensor():
    draws = draw(SampleKey("poisson", "hard", "train"), range(64))
    k11, k22, k12 = draws.coefficients[:, :3].astype(float).T
    tensors = np.array([[k11, k12], [k12, k22]]).transpose(2, 0, 1)
    low, high = np.linalg.eigvalsh(tensors).T
    np.testing.assert_allclose(low, 0.01, rtol=1e-4)
    np.testing.assert_allclose(high / low, draws.parameter, rtol=1e-4)


def test_helmholtz_solutions_are_bounded_and_redrawn_from_the_next_window():
    draws = draw(SampleKey("helmholtz", "in-domain", "train"), range(400))
    samples = sample(SampleKey("helmholtz", "in-domain", "train"), range(400))
    assert np.abs(samples.solution).max() <= 2.0
    assert 0 < draws.attempts.mean() < 2
    np.testing.assert_array_equal(samples.draws.weights, draws.weights)


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_bits_do_not_depend_on_batch_or_order(system, data):
    indices = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True))
    key = SampleKey(system, "in-domain", "train")
    whole = sample(key, range(61), 64)
    part = sample(key, indices, 64)
    for of_part, of_whole in (
        (part.source, whole.source),
        (part.solution, whole.solution),
        (part.draws.weights, whole.draws.weights),
        (part.draws.coefficients, whole.draws.coefficients),
        (part.draws.latents, whole.draws.latents),
    ):
        np.testing.assert_array_equal(of_part, of_whole[indices])


@pytest.mark.parametrize(("system", "regime"), ALL)
def test_a_coarse_field_is_the_fine_field_at_every_second_point(system, regime):
    key = SampleKey(system, regime, "test")
    fields = {n: sample(key, range(8), n) for n in (64, 128, 256)}
    largest = np.abs(fields[128].solution).max(axis=(1, 2), keepdims=True)
    for coarse, fine in ((64, 128), (128, 256)):
        assert np.all(np.abs(fields[coarse].solution - fields[fine].solution[:, ::2, ::2]) < 2e-6 * largest)
        np.testing.assert_allclose(fields[coarse].source, fields[fine].source[:, ::2, ::2], atol=1e-6)


def test_sparsity_is_balanced_in_every_prefix():
    draws = draw(SampleKey("poisson", "pretrain", "train"), range(400))
    np.testing.assert_allclose(draws.sparsity[:8], np.tile([0.2, 0.4, 0.6, 0.8], 2), rtol=1e-6)
    for level in (0.2, 0.4, 0.6, 0.8):
        inactive = (draws.weights[np.isclose(draws.sparsity, level)] == 0).mean()
        assert abs(inactive - level) < 0.02
    active = draws.weights[draws.weights > 0]
    assert active.min() >= np.float32(1e-3)
    assert active.max() <= 1.0
    assert abs(active.mean() - 0.5) < 0.01


def test_streams_differ_by_every_name_and_only_by_the_major_version():
    base = SampleKey("poisson", "pretrain", "train")
    first = draw(base, [0]).weights
    others = [
        SampleKey("helmholtz", "pretrain", "train"),
        SampleKey("poisson", "medium", "train"),
        SampleKey("poisson", "pretrain", "test"),
        SampleKey("poisson", "pretrain", "train", version="2.0.0"),
        SampleKey("poisson", "pretrain", "train", seed=1),
    ]
    assert all(not np.array_equal(draw(key, [0]).weights, first) for key in others)
    np.testing.assert_array_equal(draw(SampleKey("poisson", "pretrain", "train", version="1.4.2"), [0]).weights, first)


def test_recipes_are_the_published_ones():
    # exact arithmetic only, so these digests are the same on every machine; a change here is a new major version
    digests = {
        f"{system}/{regime}": recipe_digest(SampleKey(system, regime, "test"), 16)[:16] for system, regime in ALL
    }
    assert digests == PUBLISHED


def test_negative_indices_are_refused():
    with pytest.raises(ValueError, match="nonnegative"):
        draw(SampleKey("poisson", "pretrain", "train"), [-1])


PUBLISHED = {
    "poisson/pretrain": "0962fca6a336a7cf",
    "poisson/in-domain": "9df8476c46dce256",
    "poisson/mild": "7b507875ff072810",
    "poisson/medium": "fbdf5d56b81a936e",
    "poisson/hard": "b737dfc66a1d1394",
    "advection-diffusion/pretrain": "18accf6675a1a63a",
    "advection-diffusion/in-domain": "215e4bcda9dc82f3",
    "advection-diffusion/mild": "81bc829085af30f1",
    "advection-diffusion/medium": "87b70d22af229287",
    "advection-diffusion/hard": "ad178da0893fdb71",
    "helmholtz/pretrain": "4be7de016dd902bf",
    "helmholtz/in-domain": "cda3aede1bb85a2d",
    "helmholtz/mild": "9bd8292cb486b5e6",
    "helmholtz/medium": "5b89cea27226c1fd",
    "helmholtz/hard": "ea55154af04d35ed",
}
