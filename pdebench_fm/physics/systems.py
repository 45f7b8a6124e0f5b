"""What a system is, and the three systems of the paper with their five regimes, as declarative objects.

The paper's are cases of −∇·(K∇u) + v·∇u − ωu = f (Subramanian et al. 2023, arXiv 2306.00258, SYS-1 to SYS-3); others
are declared the same way and put beside them by `register_system`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import pi

import numpy as np

from pdebench_fm.physics.balance import source_power, speed_for_ratio
from pdebench_fm.physics.operator import COEFFICIENT_NAMES, Symbol, advective_symbol, diffusive_symbol
from pdebench_fm.physics.source import SIGMA, SPARSITY_LEVELS, Float64
from pdebench_fm.physics.symmetries import TENSOR_AND_VECTOR, Declaration, Symmetry, symmetries_of

DIFFUSIVITY = 0.01
"""The smaller eigenvalue of the diffusion tensor, common to all systems."""


@dataclass(frozen=True)
class Range:
    """The interval a quantity is drawn from, uniformly; integers are drawn with both ends included."""

    low: float
    high: float
    integer: bool = False

    def at(self, uniform: Float64) -> Float64:
        """Map uniforms on [0, 1) to this range, by exact IEEE arithmetic alone."""
        if self.integer:
            return self.low + np.floor(uniform * (self.high - self.low + 1.0))
        return self.low + uniform * (self.high - self.low)

    def __str__(self) -> str:
        """Return the range as the design's tables print it."""
        return f"{self.low:g}–{self.high:g}" if self.integer else f"U({self.low:g}, {self.high:g})"


@dataclass(frozen=True)
class Regime:
    """A named distribution of the varied parameter and its part in the benchmark."""

    name: str
    role: str
    overlap: str


REGIMES: dict[str, Regime] = {
    regime.name: regime
    for regime in (
        Regime("pretrain", "pretraining distribution", "—"),
        Regime("in-domain", "downstream, inside the pretraining distribution", "full"),
        Regime("mild", "downstream, out of distribution", "about half"),
        Regime("medium", "downstream, out of distribution", "none"),
        Regime("hard", "downstream, out of distribution", "none, far"),
    )
}
"""The benchmark's five regimes by name."""


SELECTION = "selection"
"""The regime on whose rows the settings of a pretraining are chosen for transfer: out of distribution, of a
stream of its own, no part of any dataset and scored by no task."""


@dataclass(frozen=True)
class Drawn:
    """What a system's coefficients may depend on.

    Attributes:
        parameter: (B,) float64, the varied parameter.
        latents: other drawn quantities by name, each (B,) float64.
        weights: (B, 12, 12) float64, the source's Gaussian weights.
    """

    parameter: Float64
    latents: Mapping[str, Float64]
    weights: Float64


@dataclass(frozen=True)
class System:
    """One family of linear equations L u = f: what is drawn, the coefficients that follow, and the operator's symbol.

    Attributes:
        name: the name in datasets and tasks.
        title: the name in headings.
        equation: in plain text, for cards and pages.
        parameter_symbol, parameter_name: the varied parameter.
        regimes: its range in each regime; the regime `pretrain`, if there is one, is what models are pretrained on,
            and by `SELECTION`, likewise, the settings for that are chosen.
        coefficients: `Drawn -> (B, 6) float64`, row by row.
        symbol: the operator in Fourier space, of six coefficients.
        latents: ranges of everything else that is drawn.
        coefficient_names: of the six places of the coefficient vector; places beyond the names hold 0.
        zero_mean: whether the source's mean is removed (the solution is then determined up to a constant, set to 0).
        solution_bound: samples with max|u| above this on the reference grid are drawn again; None accepts all.
        source_width: σ of the Gaussians that sources are sums of, 1/64 to 1/25.
        sparsities: the levels that the rows of a stream have in turn; the share of Gaussians that are absent.
        symmetries: which elements of the square's group the operator commutes with, and what becomes of the
            coefficients; one that follows from others need not be named. That it commutes with translations and
            sums is no declaration: as a multiplier of Fourier modes it always does.
        paper_name: the paper's name of it, for the three of the benchmark.
        terms: what the equation's letters stand for, a sentence of Markdown for the card.
        sampling: how the coefficients are drawn, likewise; without it the card lists the ranges of the latents.
    """

    name: str
    title: str
    equation: str
    parameter_symbol: str
    parameter_name: str
    regimes: Mapping[str, Range]
    coefficients: Callable[[Drawn], Float64]
    symbol: Symbol
    latents: Mapping[str, Range] = field(default_factory=dict)
    coefficient_names: tuple[str, ...] = COEFFICIENT_NAMES
    zero_mean: bool = True
    solution_bound: float | None = None
    source_width: float = SIGMA
    sparsities: tuple[float, ...] = SPARSITY_LEVELS
    symmetries: Declaration = field(default_factory=dict)
    paper_name: str | None = None
    terms: str = ""
    sampling: str = ""

    def __post_init__(self) -> None:
        """Keep a copy of what is declared: the caller may go on to change its own."""
        if isinstance(self.symmetries, Mapping):
            object.__setattr__(self, "symmetries", dict(self.symmetries))

    @property
    def condition(self) -> str:
        """What a sample is accepted by, such as "given |u| ≤ 2"; "" where every one is."""
        return "" if self.solution_bound is None else f"given |u| ≤ {self.solution_bound:g}"

    def ends_of(self, regime: str) -> str:
        """Return a regime's range of the varied parameter, such as "ω 1–5", where the condition is stated beside it."""
        span = self.regimes[regime]
        return f"{self.parameter_symbol} {span.low:g}–{span.high:g}"

    def range_of(self, regime: str) -> str:
        """Return a regime's range of the varied parameter with the condition, such as "ω 1–5, given |u| ≤ 2"."""
        return f"{self.ends_of(regime)}, {self.condition}" if self.condition else self.ends_of(regime)

    def law_of(self, regime: str) -> str:
        """Return what the varied parameter is drawn from, such as "U(1, 5)" or "integers 1–5, given |u| ≤ 2".

        Where samples are refused it is uniform before that, and not after: see `data.acceptance`.
        """
        span = self.regimes[regime]
        if not self.condition:
            return str(span)
        kind = "integers " if span.integer else ""
        return f"{kind}{span.low:g}–{span.high:g}, {self.condition}"

    @property
    def symmetry_group(self) -> tuple[Symmetry, ...]:
        """All symmetries that follow from those declared, the identity first."""
        return symmetries_of(self.symmetries, self.coefficient_names)


def rotated_diffusion(eigenvalue: Float64, rotation: Float64) -> Float64:
    """Return R(θ)ᵀ diag(1, e) R(θ) as (B, 3): k11, k22, k12."""
    c, s = np.cos(rotation), np.sin(rotation)
    return np.stack([c**2 + eigenvalue * s**2, s**2 + eigenvalue * c**2, (eigenvalue - 1.0) * (c * s)], axis=-1)


def _poisson_coefficients(drawn: Drawn) -> Float64:
    coefficients = np.zeros((len(drawn.parameter), 6))
    coefficients[:, :3] = DIFFUSIVITY * rotated_diffusion(drawn.parameter, drawn.latents["rotation"])
    return coefficients


def _advection_diffusion_coefficients(drawn: Drawn) -> Float64:
    """K = (1−λ)K₀ and v = λ(cos φ, sin φ), λ ∈ (0, 1) such that the sample's own solution has the drawn Ψ.

    Where the velocity is nearly orthogonal to modes that carry the source, Ψ feels the last digit of its components.
    So the velocity is rounded to its stored precision first, and the diffusion is balanced against what is stored.
    """
    latents = drawn.latents
    diffusion = DIFFUSIVITY * rotated_diffusion(latents["eigenvalue"], latents["rotation"])
    direction = np.stack([np.cos(latents["direction"]), np.sin(latents["direction"])], axis=-1)
    power = source_power(drawn.weights)
    speed = speed_for_ratio(power, diffusion, direction, drawn.parameter)[:, None]
    mixing = speed / (1.0 + speed)
    velocity = (mixing * direction).astype(np.float32).astype(np.float64)
    balance = speed_for_ratio(power, diffusion, velocity, drawn.parameter, guess=1.0 + speed[:, 0])[:, None]
    coefficients = np.zeros((len(drawn.parameter), 6))
    coefficients[:, :3] = diffusion / balance
    coefficients[:, 3:5] = velocity
    return coefficients


def _helmholtz_coefficients(drawn: Drawn) -> Float64:
    coefficients = np.zeros((len(drawn.parameter), 6))
    coefficients[:, :2] = DIFFUSIVITY
    coefficients[:, 5] = drawn.parameter
    return coefficients


_ANGLE = Range(0.0, 2.0 * pi)

PAPER_SYSTEMS = (
    System(
        name="poisson",
        paper_name="SYS-1",
        title="Poisson",
        equation="−∇·(K ∇u) = f",
        parameter_symbol="e",
        parameter_name="anisotropy",
        regimes={
            "pretrain": Range(1.0, 5.0),
            "in-domain": Range(1.0, 2.5),
            "mild": Range(2.5, 7.5),
            "medium": Range(5.0, 10.0),
            "hard": Range(10.0, 20.0),
            SELECTION: Range(5.0, 7.0),
        },
        latents={"rotation": _ANGLE},
        coefficients=_poisson_coefficients,
        symbol=diffusive_symbol,
        symmetries=TENSOR_AND_VECTOR,
        terms="K is a constant symmetric positive-definite diffusion tensor.",
        sampling=(
            "K = 0.01 · R(θ)ᵀ diag(1, e) R(θ) with θ uniform in (0, 2π); the eigenvalue e (the anisotropy) varies by "
            "regime."
        ),
    ),
    System(
        name="advection-diffusion",
        paper_name="SYS-2",
        title="Advection–diffusion",
        equation="−∇·(K ∇u) + v·∇u = f",
        parameter_symbol="Ψ",
        parameter_name="advection-to-diffusion ratio",
        regimes={
            "pretrain": Range(0.2, 1.0),
            "in-domain": Range(0.2, 0.4),
            "mild": Range(0.6, 1.4),
            "medium": Range(1.0, 2.0),
            "hard": Range(2.0, 5.0),
            SELECTION: Range(1.0, 1.4),
        },
        latents={"eigenvalue": Range(1.0, 5.0), "rotation": _ANGLE, "direction": _ANGLE},
        coefficients=_advection_diffusion_coefficients,
        symbol=advective_symbol,
        symmetries=TENSOR_AND_VECTOR,
        terms="K is a constant symmetric positive-definite diffusion tensor and v a constant velocity.",
        sampling=(
            "K = (1−λ) · 0.01 · R(θ)ᵀ diag(1, e) R(θ) and v = λ (cos φ, sin φ) with e uniform in (1, 5) and θ, φ "
            "in (0, 2π). The ratio Ψ = ‖v·∇u‖₂ / ‖∇·(K∇u)‖₂ varies by regime. It is exact for every row: Ψ is drawn, "
            "and λ solved such that the row's own solution has it. Where v happens to be almost orthogonal to the "
            "modes that carry the source, solutions are large; such rows are kept."
        ),
    ),
    System(
        name="helmholtz",
        paper_name="SYS-3",
        title="Helmholtz",
        equation="−∇·(K ∇u) − ω u = f",
        parameter_symbol="ω",
        parameter_name="wavenumber parameter",
        regimes={
            "pretrain": Range(1, 10, integer=True),
            "in-domain": Range(1, 5, integer=True),
            "mild": Range(5, 15, integer=True),
            "medium": Range(11, 15, integer=True),
            "hard": Range(16, 20, integer=True),
            SELECTION: Range(11, 13, integer=True),
        },
        coefficients=_helmholtz_coefficients,
        symbol=diffusive_symbol,
        symmetries=TENSOR_AND_VECTOR,
        zero_mean=False,
        solution_bound=2.0,
        terms=(
            "K = 0.01·I, and ω ≥ 0 is constant: the operator is indefinite, its solutions oscillate, and near a "
            "resonance they are large."
        ),
        sampling=(
            "ω is an integer, drawn uniformly from a range that varies by regime, together with the source, until "
            "|u| ≤ 2. So its law is uniform given |u| ≤ 2 only: next to a resonance, ω ≈ 0.395·|k|², an integer all "
            "but disappears."
        ),
    ),
)
"""The systems of the benchmark."""
