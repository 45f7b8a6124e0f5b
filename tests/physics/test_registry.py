"""Registering systems: what is refused and how it is told, and that foreign operators are treated like our own."""

from dataclasses import replace
from math import inf, nan, pi

import numpy as np
import pytest

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.physics import (
    BUILT_IN,
    ORIGINS,
    PAPER_SYSTEMS,
    Range,
    SampleKey,
    System,
    apply_operator,
    draw,
    register_system,
    registered_system,
    sample,
)


def in_first_place(drawn):
    values = np.zeros((len(drawn.parameter), 6))
    values[:, 0] = drawn.parameter
    return values


def squares(k, coefficients):
    """The symbol of −aΔu."""
    return coefficients[:, 0][:, None, None] * (4 * pi**2 * (k.kx**2 + k.ky**2))


PLAIN = System(
    name="plain",
    title="Plain",
    equation="−a Δu = f",
    parameter_symbol="a",
    parameter_name="diffusivity",
    regimes={"pretrain": Range(0.01, 0.05)},
    coefficients=in_first_place,
    symbol=squares,
    coefficient_names=("a",),
)

CALLS = iter(range(1000))


def skew(k, coefficients):
    """An odd derivative without its factor i."""
    return squares(k, coefficients) + 2 * pi * coefficients[:, 0][:, None, None] * k.kx_odd


def nyquist(k, coefficients):
    """An odd derivative that keeps the Nyquist mode, whose two signs are the same on the grid."""
    return squares(k, coefficients) + 2j * pi * coefficients[:, 0][:, None, None] * k.ky


def mixed_nyquist(k, coefficients):
    return squares(k, coefficients) + coefficients[:, 0][:, None, None] * k.kx * k.ky


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Plain"}, "lower-case words"),
        ({"name": "plain--system"}, "lower-case words"),
        ({"name": "p" * 41}, "lower-case words"),
        ({"name": "poisson"}, "has the name of a built-in system"),
        ({"name": "helmholtz-ood"}, "names in -ood are the benchmark's"),
        ({"name": "mixed"}, "'mixed' and names"),
        ({"regimes": {}}, "it has no regime"),
        ({"regimes": {"far out": Range(0, 1)}}, "'far out' must be lower-case words"),
        ({"regimes": {"far": Range(0.0, inf)}}, "the range of regime 'far' is not finite"),
        ({"regimes": {"far": Range(nan, 1.0)}}, "the range of regime 'far' is not finite"),
        ({"regimes": {"far": Range(2.0, 1.0)}}, "the range of regime 'far' is empty"),
        ({"regimes": {"far": Range(1.0, 1.0 + 1e-9)}}, "the range of regime 'far' is empty"),
        ({"regimes": {"far": Range(1.5, 3, integer=True)}}, "is of integers, but its ends are not"),
        ({"latents": {"angle": Range(0.0, -1.0)}}, "the range of latent 'angle' is empty"),
        ({"latents": {f"q{i}": Range(0, 1) for i in range(17)}}, "17 latents, 16 are possible"),
        ({"coefficient_names": ()}, "must be 1 to 6 different names"),
        ({"coefficient_names": ("a", "a")}, "must be 1 to 6 different names"),
        ({"solution_bound": -1.0}, "solution_bound must be positive"),
        ({"coefficients": lambda drawn: drawn.parameter}, r"shape (B, 6), here (3, 6), not one of shape (3,)"),
        ({"coefficients": lambda drawn: in_first_place(drawn).tolist()}, "not a list"),
        ({"coefficients": lambda drawn: in_first_place(drawn) * 1e60}, "are not finite in float32"),
        ({"coefficients": lambda drawn: in_first_place(drawn)[:, ::-1]}, "more coefficients than 0"),
        ({"coefficients": lambda drawn: 0 * in_first_place(drawn)}, "all coefficients of a draw"),
        ({"coefficients": lambda drawn: in_first_place(drawn) * (1 + next(CALLS))}, "differ from call to call"),
        ({"coefficients": lambda drawn: in_first_place(drawn) * len(drawn.parameter)}, "the other rows of the batch"),
        ({"symbol": lambda k, c: c[:, 0] * k.kx**2 if len(c) == 1 else k.kx}, "the symbol must have the shape"),
        ({"symbol": lambda k, c: squares(k, c)[:1]}, "here (3, 64, 33), not one of shape (1, 64, 33)"),
        ({"symbol": lambda k, c: squares(k, c).astype(np.float32)}, "float64 or complex128, not float32"),
        ({"symbol": lambda k, c: 1 / squares(k, c)}, "the symbol is not finite"),
        ({"symbol": lambda k, c: squares(k, c) * (1 + next(CALLS))}, "the symbol differs from call to call"),
        ({"symbol": lambda k, c: squares(k, c * 0 + c[:1])}, "of a row depends on the other rows"),
        ({"symbol": skew}, "not Hermitian"),
        ({"symbol": nyquist}, "not Hermitian"),
        ({"symbol": mixed_nyquist}, "not Hermitian"),
        ({"symbol": lambda k, c: 0 * squares(k, c)}, "0 for every wave number"),
        ({"zero_mean": False}, "set zero_mean=True"),
        ({"source_width": 0.5}, "source_width must be from 1/64 to 1/25"),
        ({"source_width": nan}, "source_width must be from 1/64 to 1/25"),
        ({"sparsities": ()}, "sparsities must be numbers from 0 to below 1"),
        ({"sparsities": (0.5, 1.0)}, "sparsities must be numbers from 0 to below 1"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_in_one_line(changes, words, registry):
    before = dict(registry)
    with pytest.raises(UsageError) as refused:
        register_system(replace(PLAIN, **changes))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert registry == before


def test_something_else_than_a_system_is_refused():
    with pytest.raises(UsageError, match="a dict is registered as a system"):
        register_system({"name": "plain"})


def test_a_second_system_of_a_name_is_an_error_that_names_both_sources(registry, tmp_path):
    register_system(PLAIN)
    other = tmp_path / "other.py"
    with pytest.raises(UsageError) as refused:
        exec(compile("register(system)", str(other), "exec"), {"register": register_system, "system": PLAIN})  # noqa: S102
    assert __file__ in str(refused.value)
    assert str(other) in str(refused.value)
    assert registry["plain"] is PLAIN


def test_every_system_has_an_origin(registry):
    register_system(PLAIN)
    assert {name: ORIGINS[name] for name in registry} == {
        **{system.name: BUILT_IN for system in PAPER_SYSTEMS},
        "plain": __file__,
    }


def test_the_correct_way_to_write_odd_derivatives_is_accepted(registry):
    def symbol(k, coefficients):
        a = coefficients[:, 0][:, None, None]
        return squares(k, coefficients) + a * k.kx_odd * k.ky_odd + 2j * pi * a * k.ky_odd

    register_system(replace(PLAIN, symbol=symbol))
    assert "plain" in registry


def test_an_unknown_system_or_regime_is_told_with_the_nearest_names():
    with pytest.raises(UsageError, match="did you mean 'helmholtz'"):
        registered_system("helmholz")
    with pytest.raises(UsageError, match="did you mean 'poisson'"):
        draw(SampleKey("poison", "hard", "test"), [0])
    with pytest.raises(UsageError, match="did you mean 'hard'"):
        draw(SampleKey("poisson", "hrad", "test"), [0])


@pytest.mark.usefixtures("registry")
def test_exact_resonances_are_taken_out_of_the_source_and_near_ones_are_drawn_again():
    def resonant(k, coefficients):
        """|k|² − m: zero for every integer m that is a sum of two squares."""
        return (k.kx**2 + k.ky**2) - coefficients[:, 0][:, None, None]

    whole = {"pretrain": Range(1, 30, integer=True)}
    base = replace(PLAIN, regimes=whole, symbol=resonant, zero_mean=False)
    register_system(base)
    free = sample(SampleKey("plain", "pretrain", "train"), range(60), 64)
    m = free.draws.parameter.astype(int)
    squares_of_two = {a * a + b * b for a in range(6) for b in range(6)}
    resonances = np.array([value in squares_of_two for value in m])
    assert 0 < resonances.sum() < 60
    applied = apply_operator(free.solution.astype(float), free.draws.coefficients.astype(float), resonant)
    np.testing.assert_allclose(applied, free.source, atol=1e-3)
    modes = np.abs(np.fft.fft2(free.source.astype(float)))
    kx, ky = np.meshgrid(np.fft.fftfreq(64, 1 / 64), np.fft.fftfreq(64, 1 / 64))
    for row in np.flatnonzero(resonances):
        assert modes[row][kx**2 + ky**2 == m[row]].max() < 1e-4 * modes[row].max()
    largest = np.abs(free.solution).max(axis=(1, 2))
    bound = float(np.median(largest))
    register_system(replace(base, name="bounded", solution_bound=bound))
    bounded = sample(SampleKey("bounded", "pretrain", "train"), range(20))
    assert np.abs(bounded.solution).max() <= bound
    assert bounded.draws.attempts.max() > 0


@pytest.mark.usefixtures("registry")
def test_a_bound_that_no_draw_meets_is_an_error_and_not_an_endless_search(monkeypatch):
    monkeypatch.setattr("pdebench_fm.physics.sampling.MAXIMUM_ATTEMPTS", 5)
    register_system(replace(PLAIN, solution_bound=1e-9))
    with pytest.raises(PdefmError, match=r"row 3 of plain/pretrain, test: .* the bound 1e-09 in each of 5 draws"):
        draw(SampleKey("plain", "pretrain", "test"), [3])
