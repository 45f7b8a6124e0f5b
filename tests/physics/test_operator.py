"""The spectral solver against independent calculations: finite differences, dense algebra, laws of the equation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdebench_fm.physics import SYSTEMS, SampleKey, advection_diffusion_ratio, apply_operator, draw, solve
from pdebench_fm.physics.operator import diffusive_symbol
from pdebench_fm.physics.sampling import build_fields

RANDOM = np.random.default_rng(7)
COEFFICIENTS = np.array([[0.02, 0.015, 0.004, 0.3, -0.2, 1.7]])


def finite_difference_operator(u, coefficients):
    """Second-order central differences of −∇·(K∇u) + v·∇u − ωu on the periodic grid."""
    h = 1.0 / u.shape[-1]
    east, west = np.roll(u, -1, axis=2), np.roll(u, 1, axis=2)
    north, south = np.roll(u, -1, axis=1), np.roll(u, 1, axis=1)
    corners = (
        np.roll(north, -1, axis=2) - np.roll(north, 1, axis=2) - np.roll(south, -1, axis=2) + np.roll(south, 1, axis=2)
    )
    k11, k22, k12, v1, v2, omega = coefficients.T[:, :, None, None]
    diffusion = (
        k11 * (east - 2 * u + west) / h**2 + k22 * (north - 2 * u + south) / h**2 + 2 * k12 * corners / (4 * h**2)
    )
    advection = v1 * (east - west) / (2 * h) + v2 * (north - south) / (2 * h)
    return -diffusion + advection - omega * u


@pytest.mark.parametrize("system", SYSTEMS)
def test_finite_difference_residual_of_sampled_solutions_converges_with_second_order(system):
    draws = draw(SampleKey(system, "in-domain", "test"), range(6))
    weights, coefficients = draws.weights.astype(float), draws.coefficients.astype(float)
    residuals = []
    for n in (128, 256, 512):
        source, solution = build_fields(SYSTEMS[system], weights, coefficients, n)
        difference = finite_difference_operator(solution, coefficients) - source
        residuals.append(np.linalg.norm(difference, axis=(1, 2)) / np.linalg.norm(source, axis=(1, 2)))
    order = np.log2(np.array(residuals[:-1]) / np.array(residuals[1:]))
    assert residuals[0].max() < 0.1
    assert np.all(np.abs(order - 2.0) < 0.1)


def test_solution_equals_a_dense_solve_on_a_small_grid():
    n = 9  # odd: every wave number has its conjugate, so the dense operator is invertible as it stands
    waves = np.fft.fftfreq(n, 1 / n)
    forward = np.exp(-2j * np.pi * np.outer(waves, np.arange(n)) / n)
    derivative = (np.linalg.inv(forward) @ np.diag(2j * np.pi * waves) @ forward).real
    d_x, d_y = np.kron(np.eye(n), derivative), np.kron(derivative, np.eye(n))
    k11, k22, k12, v1, v2, omega = COEFFICIENTS[0]
    matrix = -(k11 * d_x @ d_x + k22 * d_y @ d_y + 2 * k12 * d_x @ d_y) + v1 * d_x + v2 * d_y - omega * np.eye(n * n)
    source = RANDOM.standard_normal((1, n, n))
    expected = np.linalg.solve(matrix, source.ravel()).reshape(n, n)
    _, solution = solve(source, COEFFICIENTS)
    np.testing.assert_allclose(solution[0], expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@settings(max_examples=20, deadline=None)
@given(a=st.floats(-5, 5), b=st.floats(-5, 5), shift=st.tuples(st.integers(0, 15), st.integers(0, 15)))
def test_solving_is_linear_and_commutes_with_translation(a, b, shift):
    f, g = RANDOM.standard_normal((2, 1, 16, 16))
    u, w = solve(f, COEFFICIENTS)[1], solve(g, COEFFICIENTS)[1]
    combined = solve(a * f + b * g, COEFFICIENTS)[1]
    np.testing.assert_allclose(combined, a * u + b * w, atol=1e-11 * (1 + abs(a) + abs(b)) * np.abs(u).max())
    moved = solve(np.roll(f, shift, axis=(1, 2)), COEFFICIENTS)[1]
    np.testing.assert_allclose(moved, np.roll(u, shift, axis=(1, 2)), atol=1e-12 * np.abs(u).max())


def test_applying_the_operator_gives_back_the_source():
    source = RANDOM.standard_normal((1, 32, 32))
    consistent, solution = solve(source, COEFFICIENTS)
    # an odd derivative has no Nyquist component, hence no claim on those modes of white noise
    np.testing.assert_allclose(apply_operator(solution, COEFFICIENTS), consistent, atol=1e-10)


def test_pure_diffusion_removes_the_mean_from_the_source_and_gives_a_solution_of_mean_zero():
    source = RANDOM.standard_normal((2, 16, 16)) + 3.0
    coefficients = np.array([[0.01, 0.02, 0.0, 0.0, 0.0, 0.0], [0.01, 0.01, 0.0, 0.0, 0.0, 0.0]])
    consistent, solution = solve(source, coefficients, diffusive_symbol)
    np.testing.assert_allclose(consistent, source - source.mean(axis=(1, 2), keepdims=True), atol=1e-13)
    np.testing.assert_allclose(solution.mean(axis=(1, 2)), 0.0, atol=1e-13)


def test_an_exactly_resonant_mode_leaves_the_source_and_the_solution():
    n = 16
    x = np.arange(n) / n
    resonant = np.broadcast_to(np.cos(2 * np.pi * x), (1, n, n))
    other = np.broadcast_to(np.cos(4 * np.pi * x)[:, None], (1, n, n))
    coefficients = np.array([[0.01, 0.01, 0.0, 0.0, 0.0, (4.0 * np.pi**2) * 0.01]])
    source, solution = solve(resonant + other, coefficients, diffusive_symbol)
    np.testing.assert_allclose(source, other, atol=1e-13)
    denominator = 4 * np.pi**2 * 0.01 * 4 - coefficients[0, 5]
    np.testing.assert_allclose(solution, other / denominator, atol=1e-12)


def test_tensors_give_the_solution_of_arrays():
    source = RANDOM.standard_normal((1, 16, 16))
    expected = solve(source, COEFFICIENTS)[1]
    solution = solve(torch.from_numpy(source), torch.from_numpy(COEFFICIENTS))[1]
    np.testing.assert_allclose(solution.numpy(), expected, atol=1e-12)


def test_advection_diffusion_ratio_equals_one_measured_by_finite_differences():
    draws = draw(SampleKey("advection-diffusion", "pretrain", "test"), range(4))
    coefficients = draws.coefficients.astype(float)
    _, solution = build_fields(SYSTEMS["advection-diffusion"], draws.weights.astype(float), coefficients, 512)
    diffusion_only, advection_only = coefficients.copy(), coefficients.copy()
    diffusion_only[:, 3:] = 0.0
    advection_only[:, :3] = 0.0
    measured = np.linalg.norm(finite_difference_operator(solution, advection_only), axis=(1, 2)) / np.linalg.norm(
        finite_difference_operator(solution, diffusion_only), axis=(1, 2)
    )
    np.testing.assert_allclose(advection_diffusion_ratio(solution, coefficients), measured, rtol=5e-3)
    np.testing.assert_allclose(measured, draws.parameter, rtol=5e-3)
