"""Coordinates of the network: true to the equation, chosen the same way for problems that are one problem."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdebench_fm.models import DiffusionNormaliser, HomogeneousNormaliser, ModelConfig, NeuralOperator
from pdebench_fm.models.frames import coefficients_in, field_in, frame_of, inverse
from pdebench_fm.physics import SampleKey, registered_system, sample, solve

CHOSEN = ("square", "lattice")
SHEAR = torch.tensor([[1, 2], [0, 1]])
UNIMODULAR = st.lists(
    st.sampled_from([SHEAR, torch.tensor([[0, 1], [1, 0]]), torch.tensor([[-1, 0], [0, 1]]), SHEAR.T]), max_size=6
)


def product(matrices):
    whole = torch.eye(2, dtype=torch.int64)
    for matrix in matrices:
        whole = matrix @ whole
    return whole


def rows(system, regime, count=24, n=64):
    """Rows of a split as float64 tensors, with the exact solutions of what is stored."""
    found = sample(SampleKey(system, regime, "test"), range(count), n)
    coefficients = found.draws.coefficients.astype(float)
    source, solution = solve(found.source.astype(float), coefficients, registered_system(system).symbol)
    return tuple(map(torch.from_numpy, (source, coefficients, solution)))


def tensors(coefficients):
    k11, k22, k12 = coefficients[:, :3].T
    return torch.stack([k11, k12, k12, k22], dim=1).view(-1, 2, 2)


def anisotropy(coefficients):
    low, high = torch.linalg.eigvalsh(tensors(coefficients)).T
    return high / low


def operator(frame, normaliser=None):
    torch.manual_seed(3)
    normaliser = normaliser or HomogeneousNormaliser(coefficient_scales=(0.02, 0.02, 0.01, 0.3, 0.3, 6.0))
    return NeuralOperator(ModelConfig(width=4, modes=3, layers=2, normaliser=normaliser, frame=frame)).double()


@pytest.mark.parametrize("kind", CHOSEN)
@pytest.mark.parametrize("system", ["poisson", "advection-diffusion", "helmholtz"])
def test_a_problem_in_its_frame_has_the_solution_in_its_frame(system, kind):
    source, coefficients, solution = rows(system, "mild", n=128)
    frame = frame_of(kind, coefficients)
    moved = field_in(inverse(frame), source).numpy()
    _, found = solve(moved, coefficients_in(frame, coefficients).numpy(), registered_system(system).symbol)
    expected = solution.numpy()
    difference = np.abs(field_in(frame, torch.from_numpy(found)).numpy() - expected).max()
    assert difference < 1e-7 * np.abs(expected).max()
    if system != "helmholtz":
        assert not torch.equal(frame, frame_of("given", coefficients))


@pytest.mark.parametrize("kind", CHOSEN)
def test_fields_and_coefficients_move_as_points_do(kind):
    source, coefficients, _ = rows("advection-diffusion", "hard", n=16 * 4)
    frame = frame_of(kind, coefficients)
    moved = field_in(inverse(frame), source)
    generator = np.random.default_rng(1)
    for row in range(len(frame)):
        matrix = frame[row].numpy()
        for x, y in generator.integers(0, 64, (5, 2)):
            x_moved, y_moved = matrix @ (x, y) % 64
            assert moved[row, y_moved, x_moved] == source[row, y, x]
    tensor = frame.double() @ tensors(coefficients) @ frame.double().mT
    velocity = (frame.double() @ coefficients[:, 3:5, None])[:, :, 0]
    found = coefficients_in(frame, coefficients)
    torch.testing.assert_close(tensors(found), tensor, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(found[:, 3:5], velocity, rtol=1e-12, atol=1e-15)
    assert torch.equal(found[:, 5], coefficients[:, 5])


def test_the_square_frame_is_where_the_velocity_or_the_tensor_points_into_one_octant():
    _, moving, _ = rows("advection-diffusion", "mild", count=200)
    v1, v2 = coefficients_in(frame_of("square", moving), moving)[:, 3:5].T
    assert bool(((v1 >= v2) & (v2 >= 0)).all())
    _, still, _ = rows("poisson", "mild", count=200)
    k11, k22, k12 = coefficients_in(frame_of("square", still), still)[:, :3].T
    assert bool(((k11 >= k22) & (k12 >= 0)).all())


def test_the_lattice_frame_of_a_problem_without_velocity_is_where_the_tensor_is_reduced():
    _, coefficients, _ = rows("poisson", "hard", count=200)
    found = coefficients_in(frame_of("lattice", coefficients), coefficients)
    k11, k22, k12 = found[:, :3].T
    assert bool(((k12 >= 0) & (2 * k12 <= k11 * (1 + 1e-6)) & (k11 <= k22 * (1 + 1e-6))).all())
    determinant = torch.linalg.det(tensors(found))
    torch.testing.assert_close(determinant, torch.linalg.det(tensors(coefficients)), rtol=1e-9, atol=0)
    assert bool((anisotropy(found) <= anisotropy(coefficients) * (1 + 1e-9)).all())
    assert float(anisotropy(found).median()) < 0.4 * float(anisotropy(coefficients).median())


def test_the_lattice_frame_of_a_problem_with_velocity_is_that_of_the_square():
    _, moving, _ = rows("advection-diffusion", "mild", count=20)
    _, still, _ = rows("poisson", "mild", count=20)
    mixed = torch.cat([moving, still])
    found = frame_of("lattice", mixed)
    assert torch.equal(found[:20], frame_of("square", moving))
    assert torch.equal(found[20:], frame_of("lattice", still))


@settings(deadline=None, max_examples=60)
@given(matrices=UNIMODULAR, seed=st.integers(0, 2**31))
def test_sheared_turned_and_mirrored_diffusion_problems_are_one_to_a_model_on_the_lattice(matrices, seed):
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(2, 16, 16, dtype=torch.float64, generator=generator)
    coefficients = torch.rand(2, 6, dtype=torch.float64, generator=generator) * 0.02
    coefficients[:, :2] += 0.02
    coefficients[:, 3:5] = 0
    matrix = product(matrices).expand(2, 2, 2)
    model = operator("lattice")
    with torch.no_grad():
        moved = model(field_in(inverse(matrix), source), coefficients_in(matrix, coefficients))
        turned = field_in(-frame_of("given", coefficients), source)  # which no tensor tells apart
        same, half_turned = (
            model(source, coefficients),
            field_in(-frame_of("given", coefficients), model(turned, coefficients)),
        )
    distances = [
        (moved - field_in(inverse(matrix), solution)).abs().amax(dim=(1, 2)) for solution in (same, half_turned)
    ]
    assert float(torch.minimum(*distances).max()) <= 1e-9 * float(same.abs().max())


@pytest.mark.parametrize("kind", CHOSEN)
@pytest.mark.parametrize("symmetry", registered_system("advection-diffusion").symmetry_group, ids=str)
def test_a_model_in_its_own_frame_has_the_symmetries_of_the_square(symmetry, kind):
    source, coefficients, _ = rows("advection-diffusion", "mild")
    normaliser = DiffusionNormaliser(coefficient_scales=(1.0,) * 6, velocity_share=0.5)
    model = operator(kind, normaliser)
    found = model(symmetry.of_field(source), symmetry.of_coefficients(coefficients))
    expected = symmetry.of_field(model(source, coefficients))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10 * float(expected.detach().abs().max()))


def test_a_model_in_the_given_frame_has_not():
    source, coefficients, _ = rows("advection-diffusion", "mild")
    model = operator("given")
    for symmetry in registered_system("advection-diffusion").symmetry_group[1:]:
        found = model(symmetry.of_field(source), symmetry.of_coefficients(coefficients))
        assert not torch.allclose(found, symmetry.of_field(model(source, coefficients)), rtol=1e-2)


@pytest.mark.parametrize("kind", CHOSEN)
@pytest.mark.parametrize(
    "first_three", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (-1, 2, 0.5), (1, 1, 5), (1e-12, 1, 0.3), (float("nan"), 1, 0)]
)
def test_whatever_the_coefficients_a_frame_permutes_the_points(first_three, kind):
    frame = frame_of(kind, torch.tensor([[*first_three, 0.3, -2.0, 1.0]]))
    assert frame.dtype == torch.int64
    assert int(frame[0, 0, 0] * frame[0, 1, 1] - frame[0, 0, 1] * frame[0, 1, 0]) in (-1, 1)
    field = torch.arange(64.0).view(1, 8, 8)
    moved = field_in(frame, field)
    assert torch.equal(moved.flatten().sort().values, field.flatten())
    assert torch.equal(field_in(inverse(frame), moved), field)


@pytest.mark.parametrize("kind", CHOSEN)
def test_gradients_pass_through(kind):
    _, coefficients, _ = rows("advection-diffusion", "mild", count=2)
    source = torch.randn(2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs = (source.requires_grad_(), coefficients.requires_grad_())
    assert torch.autograd.gradcheck(operator(kind), inputs, fast_mode=True)
