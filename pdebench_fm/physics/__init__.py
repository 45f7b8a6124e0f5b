"""The science: equations, sources, exact spectral solutions and pure-function sampling.

This room knows NumPy and the array-API standard only: no PyTorch, no Hub, no files. Functions that work on fields
take NumPy arrays or any array with a standard namespace (PyTorch tensors on a GPU, say) and return the same kind.

Conventions, stated once: the domain is [0, 1)², periodic, on a uniform n×n grid with points j/n; fields are indexed
`[y, x]`; coefficients are always six numbers, `(k11, k22, k12, v1, v2, omega)` unless a system names them otherwise,
where index 1 is x and 2 is y.
"""

from pdebench_fm.physics.operator import advection_diffusion_ratio, apply_operator, relative_residual, solve
from pdebench_fm.physics.ranges import lies_in, overlap
from pdebench_fm.physics.registry import BUILT_IN, ORIGINS, SYSTEMS, register_system, registered_system
from pdebench_fm.physics.sampling import (
    Draws,
    SampleKey,
    Samples,
    draw,
    realise,
    sample,
)
from pdebench_fm.physics.source import REFERENCE_RESOLUTION
from pdebench_fm.physics.symmetries import ELEMENTS, Element, Symmetry, translated
from pdebench_fm.physics.systems import PAPER_SYSTEMS, REGIMES, SELECTION, Drawn, Range, Regime, System

__all__ = [
    "BUILT_IN",
    "ELEMENTS",
    "ORIGINS",
    "PAPER_SYSTEMS",
    "REFERENCE_RESOLUTION",
    "REGIMES",
    "SELECTION",
    "SYSTEMS",
    "Drawn",
    "Draws",
    "Element",
    "Range",
    "Regime",
    "SampleKey",
    "Samples",
    "Symmetry",
    "System",
    "advection_diffusion_ratio",
    "apply_operator",
    "draw",
    "lies_in",
    "overlap",
    "realise",
    "register_system",
    "registered_system",
    "relative_residual",
    "sample",
    "solve",
    "translated",
]
