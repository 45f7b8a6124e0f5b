"""The physical wrapper: homogeneity, translation equivariance, zero sources, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdebench_fm.errors import UsageError
from pdebench_fm.models import DiffusionNormaliser, HomogeneousNormaliser, ModelConfig, NeuralOperator

SCALES = (0.03, 0.03, 0.01, 0.5, 0.5, 6.0)
CONFIG = ModelConfig(width=6, modes=3, normaliser=HomogeneousNormaliser(coefficient_scales=SCALES))


DIFFUSION = [
    DiffusionNormaliser(coefficient_scales=SCALES, diffusivity=diffusivity, velocity_share=velocity, omega_share=omega)
    for diffusivity in ("geometric", "mean")
    for velocity, omega in ((0.0, 0.0), (0.7, 0.0), (0.7, 0.3))
]


def build(dtype=torch.float64, normaliser=CONFIG.normaliser):
    torch.manual_seed(1)
    return NeuralOperator(CONFIG.model_copy(update={"normaliser": normaliser})).to(dtype)


def elliptic(size=3, n=12, dtype=torch.float64):
    """A batch whose first three coefficients are a positive-definite tensor."""
    source, coefficients = batch(size, n, dtype)
    coefficients[:, :2] += 0.02
    return source, coefficients


def batch(size=3, n=12, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    source = torch.randn(size, n, n, dtype=torch.float64, generator=generator)
    coefficients = torch.rand(size, 6, dtype=torch.float64, generator=generator) * torch.tensor(SCALES)
    return source.to(dtype), coefficients.to(dtype)


@settings(deadline=None, max_examples=60)
@given(
    factor=st.floats(1e-100, 1e100),
    seed=st.integers(0, 2**31),
    normaliser=st.sampled_from([CONFIG.normaliser, *DIFFUSION]),
)
def test_scaling_the_source_scales_the_solution(factor, seed, normaliser):
    model = build(normaliser=normaliser)
    _, coefficients = elliptic()
    source = torch.randn(3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = factor * model(source, coefficients)
    torch.testing.assert_close(model(factor * source, coefficients), expected, rtol=1e-10, atol=1e-12 * factor)


@settings(deadline=None, max_examples=60)
@given(factor=st.floats(1e-60, 1e60), normaliser=st.sampled_from(DIFFUSION))
def test_scaling_the_coefficients_divides_the_solution_where_that_is_built_in(factor, normaliser):
    model = build(normaliser=normaliser)
    source, coefficients = elliptic()
    expected = model(source, coefficients) / factor
    torch.testing.assert_close(model(source, factor * coefficients), expected, rtol=1e-10, atol=1e-12 / factor)


@pytest.mark.parametrize("normaliser", DIFFUSION, ids=str)
def test_a_factor_of_two_divides_it_to_the_last_bit(normaliser):
    model = build(torch.float32, normaliser)
    source, coefficients = elliptic(dtype=torch.float32)
    assert torch.equal(model(source, 2.0 * coefficients), 0.5 * model(source, coefficients))


def test_the_plain_normaliser_has_no_such_law():
    source, coefficients = elliptic()
    model = build()
    assert not torch.allclose(model(source, 2.0 * coefficients), 0.5 * model(source, coefficients))


def test_the_diffusion_normalised_network_sees_the_operators_terms_relative_to_its_size():
    source, coefficients = elliptic()
    rms = source.square().mean(dim=(1, 2), keepdim=True).sqrt()
    k11, k22, k12, v1, v2, omega = coefficients.T
    pi = torch.pi
    diffusion = {
        "geometric": 4 * pi**2 * torch.linalg.det(torch.stack([k11, k12, k12, k22], 1).view(-1, 2, 2)) ** 0.5,
        "mean": 2 * pi**2 * (k11 + k22),
    }
    for normaliser in DIFFUSION:
        model = build(normaliser=normaliser)
        size = diffusion[normaliser.diffusivity]
        size = size + normaliser.velocity_share * 2 * pi * torch.hypot(v1, v2) + normaliser.omega_share * omega
        terms = torch.stack([4 * pi**2 * k11, 4 * pi**2 * k22, 4 * pi**2 * k12, 2 * pi * v1, 2 * pi * v2, omega])
        seen = (terms / size).T / torch.tensor(SCALES, dtype=torch.float64)
        expected = rms / size[:, None, None] * model.network(source / rms, seen)
        torch.testing.assert_close(model(source, coefficients), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("factor", [1e-36, 1e-20, 1e20, 1e36])
def test_scaling_holds_in_single_precision_where_squares_would_not(factor):
    model = build(torch.float32)
    source, coefficients = batch(dtype=torch.float32)
    found = model(factor * source, coefficients) / factor
    torch.testing.assert_close(found, model(source, coefficients), rtol=1e-4, atol=1e-5)


def test_a_negative_factor_is_left_to_the_network():
    model = build()
    source, coefficients = batch()
    assert not torch.allclose(model(-source, coefficients), -model(source, coefficients))


@settings(deadline=None, max_examples=20)
@given(down=st.integers(0, 11), right=st.integers(0, 11))
def test_translating_the_source_translates_the_solution(down, right):
    model = build()
    source, coefficients = batch()
    moved = model(source.roll((down, right), dims=(1, 2)), coefficients)
    expected = model(source, coefficients).roll((down, right), dims=(1, 2))
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("normaliser", [CONFIG.normaliser, *DIFFUSION], ids=str)
def test_a_zero_source_among_others_has_the_solution_zero_and_finite_gradients(normaliser):
    model = build(normaliser=normaliser)
    source, coefficients = elliptic()
    source[1] = 0
    coefficients[0, 3:] = 0  # no velocity, whose length has no derivative there
    source.requires_grad_()
    coefficients.requires_grad_()
    solution = model(source, coefficients)
    assert torch.equal(solution[1], torch.zeros(12, 12, dtype=torch.float64))
    assert solution[0].abs().max() > 0
    solution.square().sum().backward()
    for gradient in (source.grad, coefficients.grad, *(parameter.grad for parameter in model.parameters())):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("normaliser", [CONFIG.normaliser, *DIFFUSION], ids=str)
def test_gradients_with_respect_to_the_physical_inputs_are_those_of_finite_differences(normaliser):
    small = {"width": 2, "modes": 2, "layers": 2, "normaliser": normaliser}
    model = NeuralOperator(CONFIG.model_copy(update=small)).double()
    source, coefficients = elliptic(size=2, n=4)
    inputs = (source.requires_grad_(), coefficients.requires_grad_())
    assert torch.autograd.gradcheck(model, inputs, fast_mode=True)


def test_the_network_sees_the_source_over_its_root_mean_square_and_the_coefficients_over_their_scales():
    model = build()
    source, coefficients = batch()
    amplitude = source.square().mean(dim=(1, 2), keepdim=True).sqrt()
    scales = torch.tensor(SCALES, dtype=torch.float64)
    expected = amplitude * model.network(source / amplitude, coefficients / scales)
    torch.testing.assert_close(model(source, coefficients), expected, rtol=1e-12, atol=1e-12)


def test_a_source_that_is_not_a_number_stays_visible():
    model = build()
    source, coefficients = batch()
    source[2, 0, 0] = float("nan")
    solution = model(source, coefficients)
    assert solution[2].isnan().all()
    assert solution[:2].isfinite().all()


def test_autocast_halves_the_precision_of_the_pointwise_maps_only():
    model = build(torch.float32)
    source, coefficients = batch(dtype=torch.float32)
    spectral = model.network.layers[1].spectral
    seen = []
    spectral.register_forward_hook(lambda _, given, result: seen.append((given[0], result)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        solution = model(source, coefficients)
    given, convolved = seen[0]
    assert solution.dtype == convolved.dtype == torch.float32
    assert torch.equal(convolved, spectral(given.float()))
    exact = model(source, coefficients)
    error = (solution - exact).norm() / exact.norm()
    assert 1e-5 < error < 2e-2


@pytest.mark.parametrize(
    ("source_shape", "coefficients_shape", "message"),
    [
        ((12, 12), (1, 6), r"source must have the shape \(B, n, n\), not \(12, 12\)"),
        ((2, 1, 12, 12), (2, 6), r"source must have the shape"),
        ((2, 12, 14), (2, 6), r"source must have the shape"),
        ((2, 12, 12), (2, 5), r"coefficients must have the shape \(2, 6\).*not \(2, 5\)"),
        ((2, 12, 12), (6,), r"coefficients must have the shape"),
        ((2, 12, 12), (1, 6), r"coefficients must have the shape"),
    ],
)
def test_wrong_shapes_are_refused(source_shape, coefficients_shape, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()(torch.ones(source_shape).double(), torch.ones(coefficients_shape).double())
    assert isinstance(caught.value, UsageError)


def test_wrong_dtypes_are_refused():
    source, coefficients = batch()
    with pytest.raises(UsageError, match=r"must be torch.float32, as the model is, not torch.float64"):
        build(torch.float32)(source, coefficients)


def test_a_grid_too_coarse_for_the_modes_is_refused():
    with pytest.raises(UsageError, match="at least 6 points"):
        build()(*batch(n=5))
