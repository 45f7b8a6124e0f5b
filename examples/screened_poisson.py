"""The screened Poisson equation −∇·(K∇u) + c u = f as a system of its own.

It is the benchmark's equation with ω = −c < 0, so the six coefficients keep their meaning, and models that were
pretrained on the benchmark can be tried on it, though none of them has ever seen a negative ω. From the folder above:

    export PDEFM_PLUGINS=examples/screened_poisson.py
    pdefm data list
    pdefm data build screened-poisson --train 256 --validation 32 --test 64 --workers 2 --out data
    pdefm data verify data/screened-poisson
    pdefm data show screened-poisson/hard --index 3 --out row.png
    pdefm eval --model fno-mixed-64k --task screened-poisson/medium --shots 0,8 --seeds 1 --track lite
    pdefm pretrain --family screened-poisson --size 64k --steps 100 --out runs/screened-poisson
"""

from math import pi

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.physics import Drawn, Range, System, register_system
from pdebench_fm.physics.operator import diffusive_symbol
from pdebench_fm.physics.symmetries import TENSOR_AND_VECTOR
from pdebench_fm.physics.systems import DIFFUSIVITY, rotated_diffusion


def coefficients(drawn: Drawn) -> NDArray[np.float64]:
    """Return (k11, k22, k12, v1, v2, ω) of each row, (B, 6), with ω = −c."""
    values = np.zeros((len(drawn.parameter), 6))
    values[:, :3] = DIFFUSIVITY * rotated_diffusion(drawn.latents["eigenvalue"], drawn.latents["rotation"])
    values[:, 5] = -drawn.parameter
    return values


register_system(
    System(
        name="screened-poisson",
        title="Screened Poisson",
        equation="−∇·(K ∇u) + c u = f",
        parameter_symbol="c",
        parameter_name="screening",
        regimes={
            "pretrain": Range(0.5, 5.0),
            "in-domain": Range(0.5, 2.0),
            "mild": Range(2.5, 7.5),
            "medium": Range(5.0, 10.0),
            "hard": Range(10.0, 20.0),
        },
        latents={"eigenvalue": Range(1.0, 5.0), "rotation": Range(0.0, 2.0 * pi)},
        coefficients=coefficients,
        symbol=diffusive_symbol,  # 4π² kᵀKk − ω = 4π² kᵀKk + c: positive for every k
        symmetries=TENSOR_AND_VECTOR,  # as the coefficients mean what the benchmark's do
        zero_mean=False,  # as constants are no longer in the operator's null space
        terms="K is a constant symmetric positive-definite tensor, and c = −ω > 0 a constant.",
        sampling=("K = 0.01 · R(θ)ᵀ diag(1, e) R(θ) with e uniform in (1, 5) and θ in (0, 2π); c varies by regime."),
    )
)
