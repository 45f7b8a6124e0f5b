"""Models that need no files: the floor, the ceilings, and architectures to be trained from scratch."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from pdebench_fm.data.batches import batch_of
from pdebench_fm.data.catalogue import DATA_VERSION
from pdebench_fm.models.candidate import Candidate, Operator
from pdebench_fm.models.candidates import candidate_of, fingerprint_of
from pdebench_fm.models.neuraloperator import neuraloperator_fno
from pdebench_fm.models.unet import unet
from pdebench_fm.physics import REFERENCE_RESOLUTION, SampleKey, sample, solve
from pdebench_fm.physics.operator import Symbol, advective_symbol
from pdebench_fm.surroundings import seeded
from pdebench_fm.version import __version__

MEAN_ROWS = 256
"""Rows of each pretraining distribution's train split that the mean predictor averages."""


@dataclass(frozen=True)
class ExactSolver:
    """The oracle: the exact spectral solution, computed in float64. Its error is the rounding of the float32 fields.

    Attributes:
        symbol: The operator in Fourier space; by default −∇·(K∇u) + v·∇u − ωu, which covers the package's own systems.
            For another system: `candidate_of(ExactSolver(system.symbol), "oracle")`.
    """

    symbol: Symbol = advective_symbol

    def __call__(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Return the solutions, (B, n, n), of sources (B, n, n) and coefficients (B, 6)."""
        place = "cpu" if source.device.type == "mps" else source.device  # MPS has no float64
        _, solution = solve(source.to(place).double(), coefficients.to(place).double(), self.symbol)
        return torch.as_tensor(solution).to(source)


def zero(source: Tensor, coefficients: Tensor) -> Tensor:  # noqa: ARG001 (the signature of every model)
    """Return zeros, the solution of every problem without a source: a relative error of exactly 1."""
    return torch.zeros_like(source)


def mean(source: Tensor, coefficients: Tensor) -> Tensor:
    """Return the mean solution of the pretraining distribution of the same equation, whatever the source.

    The mean is over the first `MEAN_ROWS` rows of the train split of `poisson/pretrain`, `advection-diffusion/pretrain`
    or `helmholtz/pretrain`. Which of them is told by the terms that a sample's coefficients have: advection, reaction
    or neither; a sample with both belongs to none of the three and gets zeros. Nothing of the evaluated task is looked
    at: out of distribution, it can be worse than zero.

    Args:
        source: (B, n, n), n a divisor or a multiple of 128.
        coefficients: (B, 6).

    Returns:
        (B, n, n).
    """
    has_advection = (coefficients[:, 3:5] != 0).any(dim=1)
    has_reaction = coefficients[:, 5] != 0
    solution = torch.zeros_like(source)
    for system, advection, reaction in (
        ("poisson", False, False),
        ("advection-diffusion", True, False),
        ("helmholtz", False, True),
    ):
        rows = (has_advection == advection) & (has_reaction == reaction)
        if bool(rows.any()):
            solution[rows] = mean_solution(system, source.shape[-1]).to(source)
    return solution


@cache
def mean_solution(system: str, n: int) -> Tensor:
    """Return the mean solution, (n, n) float32, of a system's pretraining distribution; not to be written to."""
    made = max(n, REFERENCE_RESOLUTION)
    batch = batch_of(sample(SampleKey(system, "pretrain", "train"), range(MEAN_ROWS), made))
    field: Tensor = batch.solution.mean(dim=0, dtype=torch.float64).float()
    return field[:: made // n, :: made // n].contiguous()


@dataclass(frozen=True)
class Baseline:
    """A model that comes with the package and has no files.

    Attributes:
        name: Its reference.
        title: What it is, in one line.
        build: Returns it; random weights, if it has any, come from PyTorch's global generator.
    """

    name: str
    title: str
    build: Callable[[], Operator]

    def candidate(self, device: torch.device) -> Candidate:
        """Return it as the evaluation sees it; one with weights is not pretrained, and has fresh starts only.

        Raises:
            UsageError: If it needs a library that is not installed.
        """
        with seeded(0, device):
            operator = self.build()
        if not isinstance(operator, nn.Module):
            return replace(candidate_of(operator, self.name, device=device, fingerprint=_of_code()), revision="package")
        module = operator.to(device).eval()

        def fresh(seed: int) -> nn.Module:
            with seeded(seed, device):
                built = self.build()
            assert isinstance(built, nn.Module)  # noqa: S101 (as the first one was)
            return built.to(device)

        return Candidate(
            operator=module,
            name=self.name,
            device=device,
            revision="package",
            fingerprint=fingerprint_of(module),
            fresh=fresh,
            pretrained=False,
        )


BASELINES: Mapping[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("oracle", "the exact spectral solution: the floor that rounding sets", ExactSolver),
        Baseline("zero", "predicts zero: a relative error of 1", lambda: zero),
        Baseline("mean", "predicts the mean solution of the pretraining distribution", lambda: mean),
        Baseline("unet", "a U-Net with periodic padding, trained from scratch", unet),
        Baseline("neuraloperator-fno", "FNO of the library neuraloperator, trained from scratch", neuraloperator_fno),
        Baseline(
            "neuraloperator-tfno",
            "tensorised FNO of the library neuraloperator, trained from scratch",
            lambda: neuraloperator_fno("TFNO"),
        ),
    )
}
"""Every baseline by name: `oracle`, `zero` and `mean` only predict; the others have random weights."""


def _of_code() -> str:
    """Return a SHA-256 of what the predictors' outputs depend on: this package's physics, versioned as a whole."""
    parts = f"{__version__}\x1f{DATA_VERSION}\x1f{MEAN_ROWS}\x1f".encode()
    return hashlib.sha256(parts + Path(__file__).read_bytes()).hexdigest()
