"""A small plug-in: what tests name in `PDEFM_PLUGINS`, as it is or with changes."""

DRUM = """
import numpy as np
from pdebench_fm.physics import Range, System, register_system

def coefficients(drawn):
    values = np.zeros((len(drawn.parameter), 6))
    values[:, 0] = drawn.parameter
    return values

def symbol(k, coefficients):
    tension = coefficients[:, 0][:, None, None]
    return tension * (k.kx**2 + k.ky**2)

register_system(System(
    name="drum", title="Drum", equation="−T Δu / 4π² = f", parameter_symbol="T", parameter_name="tension",
    regimes={"far-2": Range(2, 6), "near": Range(0.5, 3)}, coefficients=coefficients, symbol=symbol,
    coefficient_names=("T",),
))
"""
