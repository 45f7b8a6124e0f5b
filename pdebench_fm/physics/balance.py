"""The advection-diffusion balance: the velocity that gives a sample's own solution a wanted ratio Ψ, exactly.

With K = K₀ and v = r v₀ the operator is A + irB on each mode, A = 4π² kᵀK₀k, B = 2π v₀·k; a common factor of K and v
changes u by a factor and Ψ not at all. By Parseval, with w = |f̂|²/(A² + r²B²),

    Ψ²(r) = r² Σ B²w / Σ A²w,

in which numerator grows and denominator falls with r: the root is unique. The normalisation of f cancels. In terms of
q = r² and t = B²/(A² + qB²) the two sums are Σ|f̂|²t and Σ|f̂|²(1 − qt).
"""

from math import pi

import numpy as np

from pdebench_fm.physics.source import REFERENCE_RESOLUTION, Float64, raw_source_spectrum

RATIO_TOLERANCE = 2e-7
"""Relative tolerance on Ψ of the root finder; rounding the diffusion to float32 adds about 1e-7."""

_CUTOFF = 24
"""Modes beyond carry a share of exp(−4π²σ²·24²) ≈ 2e-10 of the source's power: they change Ψ by less than that."""

_MAXIMUM_ITERATIONS = 200

_LOST = 1e-10
"""Share of the source's power left to Σ A²w, below which the difference that gives it is rounding: Ψ is above 1e5."""


def source_power(weights: Float64) -> Float64:
    """Return |f̂|² of the source's modes, (B, 2·24+1, 24+1), both of each conjugate pair counted, without the mean."""
    spectrum = raw_source_spectrum(weights, REFERENCE_RESOLUTION, _CUTOFF)
    power: Float64 = spectrum.real**2 + spectrum.imag**2
    power[:, :, 1:] *= 2.0  # the half-spectrum holds one of each conjugate pair
    power[:, 0, 0] = 0.0  # the mean is removed from the source
    return power


def speed_for_ratio(
    power: Float64, diffusion: Float64, velocity: Float64, ratio: Float64, guess: Float64 | None = None
) -> Float64:
    """Return r > 0, (B,), for which diffusion K₀ and velocity r·v₀ give a solution with Ψ = `ratio`.

    Safeguarded Newton iteration on log Ψ²(log r), with a bracket that never loses the root; a sample that has
    converged is left alone, so that its bits do not depend on the other samples of the batch.

    Args:
        power: as from `source_power`.
        diffusion: (B, 3), K₀ as (k11, k22, k12).
        velocity: (B, 2), v₀.
        ratio: (B,), the wanted Ψ > 0.
        guess: (B,), where to start; Ψ itself by default.

    Raises:
        ArithmeticError: if no speed gives that ratio (the velocity is orthogonal to every mode of the source).
    """
    resistance = _resistance(diffusion, velocity)
    power = power.reshape(len(power), -1)
    total = power.sum(axis=1)
    target = 2.0 * np.log(ratio)
    x = np.log(ratio if guess is None else guess)
    low, high = np.full_like(x, -60.0), np.full_like(x, 60.0)
    done = np.zeros(len(x), dtype=bool)
    for _ in range(_MAXIMUM_ITERATIONS):
        active = np.flatnonzero(~done)
        if len(active) == 0:
            break
        value, slope = _log_ratio_squared(x[active], resistance[active], power[active], total[active])
        error = value - target[active]
        done[active] = np.abs(error) < 2.0 * RATIO_TOLERANCE
        low[active] = np.where(error < 0, x[active], low[active])
        high[active] = np.where(error > 0, x[active], high[active])
        with np.errstate(invalid="ignore"):
            step = x[active] - error / slope
        inside = (step > low[active]) & (step < high[active])
        bisected = 0.5 * (low[active] + high[active])
        x[active] = np.where(done[active], x[active], np.where(inside, step, bisected))
    if not done.all():
        message = f"no balance of advection and diffusion gives the ratio {ratio[~done][0]:.6g} for this source"
        raise ArithmeticError(message)
    return np.exp(x)


def _resistance(diffusion: Float64, velocity: Float64) -> Float64:
    """Return A²/B² of the modes, (B, M), infinite where B = 0."""
    kx = np.arange(_CUTOFF + 1.0)[None, :]
    ky = np.concatenate([np.arange(_CUTOFF + 1.0), np.arange(-_CUTOFF, 0.0)])[:, None]
    k11, k22, k12 = (4.0 * pi**2 * diffusion[:, i, None, None] for i in range(3))
    a = (k11 * kx**2 + k22 * ky**2) + (2.0 * k12 * kx) * ky
    a[:, 0, 0] = 1.0  # its power is 0; any value but 0 keeps the quotient defined
    b = (2.0 * pi * velocity[:, 0, None, None]) * kx + (2.0 * pi * velocity[:, 1, None, None]) * ky
    with np.errstate(divide="ignore"):
        resistance: Float64 = (a / b) ** 2
    return resistance.reshape(len(diffusion), -1)


def _log_ratio_squared(x: Float64, resistance: Float64, power: Float64, total: Float64) -> tuple[Float64, Float64]:
    """Return log Ψ² and its derivative with respect to x = log r, each (B,).

    Log Ψ² is infinite where r is so large that Σ A²w is lost in rounding: larger than that of any wanted Ψ, so that a
    step which overshoots narrows the bracket from the right side.
    """
    q = np.exp(2.0 * x)
    t = 1.0 / (resistance + q[:, None])
    once = power * t
    numerator = once.sum(axis=1)
    numerator_fall = (once * t).sum(axis=1)
    denominator = total - q * numerator
    denominator_fall = numerator - q * numerator_fall
    denominator = np.where(denominator > _LOST * total, denominator, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 2.0 * x + np.log(numerator / denominator)
        slope = 2.0 * (1.0 + q * (denominator_fall / denominator - numerator_fall / numerator))
    return value, slope
