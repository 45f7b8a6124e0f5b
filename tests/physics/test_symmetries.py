"""The symmetries that systems declare, held against matrices and the exact solver; and declarations that are wrong."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch

from pdebench_fm.errors import UsageError
from pdebench_fm.physics import PAPER_SYSTEMS, Range, SampleKey, System, draw, register_system, registered_system, solve
from pdebench_fm.physics.sampling import build_fields
from pdebench_fm.physics.symmetries import ELEMENTS, Element, translated

MATRICES = {
    "identity": [[1, 0], [0, 1]],
    "flip-x": [[-1, 0], [0, 1]],
    "flip-y": [[1, 0], [0, -1]],
    "half-turn": [[-1, 0], [0, -1]],
    "exchange": [[0, 1], [1, 0]],
    "quarter-turn": [[0, -1], [1, 0]],
    "three-quarter-turn": [[0, 1], [-1, 0]],
    "anti-exchange": [[0, -1], [-1, 0]],
}
"""Each element's g, of points (x, y)."""

SYSTEMS = [system.name for system in PAPER_SYSTEMS]


def moved_by(g, field):
    """u(g⁻¹ x) at every grid point x, looked up point by point."""
    n = field.shape[-1]
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    from_x, from_y = np.tensordot(np.transpose(g), np.stack([x, y]), axes=1) % n  # the inverse is the transpose
    return field[..., from_y, from_x]


def transformed_by(g, coefficients):
    """gKgᵀ, gv and ω."""
    k11, k22, k12, v1, v2, omega = coefficients.T
    tensor = g @ np.array([[k11, k12], [k12, k22]]).transpose(2, 0, 1) @ g.T
    v1, v2 = g @ np.stack([v1, v2])
    return np.stack([tensor[:, 0, 0], tensor[:, 1, 1], tensor[:, 0, 1], v1, v2, omega], axis=1)


def symmetry(system, name):
    (found,) = (item for item in registered_system(system).symmetry_group if item.element == ELEMENTS[name])
    return found


def rows(system, count=4, n=64):
    """Sources (B, n, n), coefficients (B, 6) and exact solutions of a system, float64."""
    draws = draw(SampleKey(system, "mild", "test"), range(count))
    weights, coefficients = draws.weights.astype(float), draws.coefficients.astype(float)
    source, solution = build_fields(registered_system(system), weights, coefficients, n)
    return source, coefficients, solution


def test_every_system_of_the_benchmark_has_the_whole_group_of_the_square():
    for system in SYSTEMS:
        assert {item.element for item in registered_system(system).symmetry_group} == set(ELEMENTS.values())
        assert registered_system(system).symmetry_group[0].element == Element()


@pytest.mark.parametrize("name", ELEMENTS)
def test_fields_move_as_the_elements_matrix_moves_points(name):
    field = np.random.default_rng(3).standard_normal((2, 6, 6))
    expected = moved_by(np.array(MATRICES[name]), field)
    np.testing.assert_array_equal(ELEMENTS[name].of_field(field), expected)
    np.testing.assert_array_equal(ELEMENTS[name].of_field(torch.from_numpy(field)).numpy(), expected)


@pytest.mark.parametrize("name", ELEMENTS)
def test_coefficients_change_as_a_tensor_a_vector_and_a_number(name):
    coefficients = np.random.default_rng(4).standard_normal((3, 6))
    expected = transformed_by(np.array(MATRICES[name]), coefficients)
    found = symmetry("advection-diffusion", name)
    np.testing.assert_array_equal(found.of_coefficients(coefficients), expected)
    np.testing.assert_array_equal(found.of_coefficients(torch.from_numpy(coefficients)).numpy(), expected)


@pytest.mark.parametrize("first", ELEMENTS)
def test_products_are_products_of_matrices(first):
    names = {tuple(map(tuple, matrix)): name for name, matrix in MATRICES.items()}
    for second in ELEMENTS:
        product = np.array(MATRICES[second]) @ np.array(MATRICES[first])
        expected = names[tuple(map(tuple, product.tolist()))]
        assert ELEMENTS[second].after(ELEMENTS[first]) == ELEMENTS[expected]


@pytest.mark.parametrize("name", ELEMENTS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_transformed_solution_solves_the_transformed_problem(system, name):
    source, coefficients, solution = rows(system)
    found = symmetry(system, name)
    _, expected = solve(found.of_field(source), found.of_coefficients(coefficients), registered_system(system).symbol)
    np.testing.assert_allclose(found.of_field(solution), expected, rtol=0, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_coefficient_that_is_absent_stays_a_plain_zero(name):
    assert not np.signbit(symmetry("poisson", name).of_coefficients(np.zeros((1, 6)))).any()


@pytest.mark.parametrize("name", ELEMENTS)
def test_elements_know_their_matrices(name):
    assert np.array_equal(ELEMENTS[name].matrix, MATRICES[name])


def test_with_the_coefficients_left_as_they_are_it_does_not():
    source, coefficients, solution = rows("advection-diffusion")
    for name in set(ELEMENTS) - {"identity"}:
        element = ELEMENTS[name]
        _, other = solve(element.of_field(source), coefficients)
        assert np.abs(element.of_field(solution) - other).max() > 1e-2 * np.abs(other).max()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_translated_solution_solves_the_translated_problem(system):
    source, coefficients, solution = rows(system)
    moved = translated(source, 5, -11)
    np.testing.assert_array_equal(moved[:, 5, 0], source[:, 0, 11])
    np.testing.assert_array_equal(translated(torch.from_numpy(source), 5, -11).numpy(), moved)
    _, expected = solve(moved, coefficients, registered_system(system).symbol)
    np.testing.assert_allclose(translated(solution, 5, -11), expected, rtol=0, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("system", SYSTEMS)
def test_with_equal_coefficients_a_sum_of_solutions_solves_for_the_sum_of_sources(system):
    source, coefficients, _ = rows(system)
    equal = np.repeat(coefficients[:1], len(source), axis=0)
    symbol = registered_system(system).symbol
    source, solution = solve(source, equal, symbol)
    weights = np.array([1.3, -0.2, 0.7, 2.1])[:, None, None]
    _, expected = solve((weights * source).sum(axis=0, keepdims=True), coefficients[:1], symbol)
    found = (weights * solution).sum(axis=0, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


def lean_coefficients(drawn):
    values = np.zeros((len(drawn.parameter), 6))
    values[:, 0], values[:, 1] = drawn.parameter, 0.3
    return values


def lean(k, coefficients):
    """−aΔu + b ∂ₓu, whose direction is no coefficient."""
    a, b = (coefficients[:, i][:, None, None] for i in range(2))
    return a * (4 * pi**2 * (k.kx**2 + k.ky**2)) + 2j * pi * b * k.kx_odd


LEAN = System(
    name="lean",
    title="Lean",
    equation="−a Δu + b ∂ₓu = f",
    parameter_symbol="a",
    parameter_name="diffusivity",
    regimes={"pretrain": Range(0.01, 0.05)},
    coefficients=lean_coefficients,
    symbol=lean,
    coefficient_names=("a", "b"),
)


@pytest.mark.usefixtures("registry")
def test_a_system_without_a_declaration_has_the_identity_alone():
    register_system(LEAN)
    assert [item.element for item in registered_system("lean").symmetry_group] == [Element()]


@pytest.mark.usefixtures("registry")
def test_a_system_of_ones_own_declares_what_holds_for_it_and_products_follow():
    register_system(replace(LEAN, symmetries={"flip-x": ("a", "-b"), "flip-y": ("a", "b")}))
    group = {item.element: item for item in registered_system("lean").symmetry_group}
    assert set(group) == {ELEMENTS[name] for name in ("identity", "flip-x", "flip-y", "half-turn")}
    assert group[ELEMENTS["half-turn"]].signs == (1, -1, 1, 1, 1, 1)


def stiff(order, factor):
    """a(−Δ)ᵐu + b ∂ₓu: on fine grids the first term is larger by many orders of magnitude."""

    def symbol(k, coefficients):
        a, b = (coefficients[:, i][:, None, None] for i in range(2))
        return factor * a * (4 * pi**2 * (k.kx**2 + k.ky**2)) ** order + 2j * pi * b * k.kx_odd

    return symbol


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(("order", "factor"), [(4, 1e-6), (12, 1e-20)])
def test_a_declaration_is_held_to_the_waves_that_fields_consist_of(order, factor):
    system = replace(LEAN, symbol=stiff(order, factor))
    with pytest.raises(UsageError, match="does not commute with 'flip-x'"):
        register_system(replace(system, symmetries={"flip-x": ("a", "b")}))
    register_system(replace(system, symmetries={"flip-x": ("a", "-b")}))


@pytest.mark.usefixtures("registry")
def test_a_declaration_has_to_hold_for_what_is_drawn_now_and_then_as_well():
    def now_and_then(drawn):
        coefficients = LEAN.coefficients(drawn)
        coefficients[:, 1] *= drawn.latents["kind"] == 0
        return coefficients

    latents = {**LEAN.latents, "kind": Range(0, 9, integer=True)}
    system = replace(LEAN, latents=latents, coefficients=now_and_then)
    with pytest.raises(UsageError, match="does not commute with 'flip-x'"):
        register_system(replace(system, symmetries={"flip-x": ("a", "b")}))
    register_system(replace(system, symmetries={"flip-x": ("a", "-b")}))


@pytest.mark.usefixtures("registry")
def test_a_declaration_that_is_changed_later_changes_nothing():
    declared = {"flip-x": ("a", "-b")}
    register_system(replace(LEAN, symmetries=declared))
    before = registered_system("lean").symmetry_group
    declared["flip-x"] = ("a", "b")
    assert registered_system("lean").symmetry_group == before


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"flip-x": ("a", "b")}, "does not commute with 'flip-x'"),
        ({"flip-y": ("a", "-b")}, "does not commute with 'flip-y'"),
        ({"exchange": ("a", "b")}, "does not commute with 'exchange'"),
        ({"half-turn": ("b", "-a")}, "does not commute with 'half-turn'"),
        ({"flip": ("a", "-b")}, "'flip' is no element of the square's group: identity, flip-x"),
        ({"flip-x": ("a",)}, "symmetry 'flip-x' must give each of a, b once"),
        ({"flip-x": ("a", "a")}, "not a, a"),
        ({"flip-x": ("a", "-c")}, "not a, -c"),
        ({"flip-x": "ab"}, "a tuple of coefficient names, not 'ab'"),
        ({"flip-x": (1, 2)}, "a tuple of coefficient names, not (1, 2)"),
        (("flip-x",), "symmetries must be a dictionary"),
        ({"identity": ("b", "-a")}, "'identity' leaves every coefficient as it is, and cannot make b, -a of them"),
    ],
    ids=str,
)
def test_a_declaration_that_does_not_hold_is_refused_in_one_line(declared, words, registry):
    before = dict(registry)
    with pytest.raises(UsageError) as refused:
        register_system(replace(LEAN, symmetries=declared))
    assert words in str(refused.value)
    assert str(refused.value).startswith("system 'lean': ")
    assert "\n" not in str(refused.value)
    assert registry == before
