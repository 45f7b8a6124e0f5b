"""SYS-2 with the mixing looked up in a table of averages, as the paper's public code does, so that Ψ is off by sample.

Their code draws a ratio Ψ and takes the mixing λ whose mean ratio over 400 samples is nearest in a table of 59; the
benchmark solves for λ sample by sample. This table is made here, of this package's own samples. Known by
PDEFM_PLUGINS=examples/authors_advection_diffusion.py; no leaderboard ranks it. What a `System` does not say is the
order of rows: their splits have all rows of one sparsity together, here they alternate.
"""

from dataclasses import replace
from functools import cache
from math import pi

import numpy as np

from pdebench_fm.physics import SYSTEMS, Drawn, SampleKey, draw, register_system
from pdebench_fm.physics.balance import source_power
from pdebench_fm.physics.source import Float64
from pdebench_fm.physics.systems import DIFFUSIVITY, rotated_diffusion

ENTRIES, SAMPLES = 59, 400
_OURS = SYSTEMS["advection-diffusion"]


def mean_ratios(speeds: Float64, power: Float64, diffusion: Float64, direction: Float64) -> Float64:
    """Return the mean of Ψ over samples for each speed r = λ/(1−λ), by Parseval's theorem.

    Args:
        speeds: (R,).
        power: (B, 49, 25), as from `source_power`.
        diffusion: (B, 3), K of λ = 0.
        direction: (B, 2), v of λ = 1.
    """
    ky = np.fft.fftfreq(power.shape[1], 1.0 / power.shape[1])[:, None]
    kx = np.arange(power.shape[2])[None, :]
    k11, k22, k12 = (4 * pi**2 * diffusion[:, i, None, None] for i in range(3))
    a = (k11 * kx**2 + k22 * ky**2 + 2 * k12 * kx * ky) ** 2
    b = (2 * pi * (direction[:, 0, None, None] * kx + direction[:, 1, None, None] * ky)) ** 2
    a[:, 0, 0] = 1.0
    means = []
    for r in speeds:
        w = power / (a + r**2 * b)
        means.append(np.sqrt(r**2 * (b * w).sum(axis=(1, 2)) / (a * w).sum(axis=(1, 2))).mean())
    return np.array(means)


@cache
def table() -> tuple[Float64, Float64]:
    """Return mean ratios Ψ and the mixings λ that have them, (59,) each."""
    drawn = draw(SampleKey("advection-diffusion", "pretrain", "train"), range(SAMPLES))
    latents = dict(zip(_OURS.latents, drawn.latents.T, strict=True))
    diffusion = DIFFUSIVITY * rotated_diffusion(latents["eigenvalue"], latents["rotation"])
    direction = np.stack([np.cos(latents["direction"]), np.sin(latents["direction"])], axis=-1)
    speeds = np.geomspace(1e-3, 45.0, ENTRIES)
    ratios = mean_ratios(speeds, source_power(drawn.weights.astype(np.float64)), diffusion, direction)
    return ratios, speeds / (1.0 + speeds)


def coefficients(drawn: Drawn) -> Float64:
    """Return (k11, k22, k12, v1, v2, 0) of each row with the nearest mixing of the table."""
    ratios, mixings = table()
    mixing = mixings[np.abs(ratios[None, :] - drawn.parameter[:, None]).argmin(axis=1)][:, None]
    latents = drawn.latents
    values = np.zeros((len(drawn.parameter), 6))
    values[:, :3] = (1.0 - mixing) * DIFFUSIVITY * rotated_diffusion(latents["eigenvalue"], latents["rotation"])
    values[:, 3:5] = mixing * np.stack([np.cos(latents["direction"]), np.sin(latents["direction"])], axis=-1)
    return values


register_system(
    replace(
        _OURS,
        name="advection-diffusion-table",
        paper_name=None,
        title="Advection–diffusion, mixing from a table",
        regimes={name: _OURS.regimes[name] for name in ("pretrain", "in-domain", "mild", "medium", "hard")},
        coefficients=coefficients,
        sampling="As for advection-diffusion, but λ is that whose mean ratio, of 59 in a table, is nearest to Ψ.",
    )
)
