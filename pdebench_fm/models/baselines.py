"""Models that need no files: the floor, the ceilings, and architectures to be trained from scratch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pdebench_fm.data.batches import batch_of
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.errors import UsageError
from pdebench_fm.models.candidate import Candidate, Operator, known_as, module_device, parameters_of
from pdebench_fm.models.channels import ChannelOperator
from pdebench_fm.models.identity import identity_of, structure_of
from pdebench_fm.models.neuraloperator import neuraloperator_fno
from pdebench_fm.models.unet import unet
from pdebench_fm.physics import REFERENCE_RESOLUTION, SampleKey, sample, solve
from pdebench_fm.physics.operator import Symbol, advective_symbol
from pdebench_fm.surroundings import seeded

MEAN_ROWS = 256
"""Rows of each pretraining distribution's train split that the mean predictor averages."""

_TERMS = {"poisson": (False, False), "advection-diffusion": (True, False), "helmholtz": (False, True)}
"""Whether the coefficients of a system have advection, and reaction: what it is told by."""


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
    for system, (advection, reaction) in _TERMS.items():
        rows = (has_advection == advection) & (has_reaction == reaction)
        if bool(rows.any()):
            solution[rows] = mean_solution(system, source.shape[-1]).to(source)
    return solution


@cache
def mean_solution(system: str, n: int) -> Tensor:
    """Return the mean solution, (n, n) float32, of a system's pretraining distribution; not to be written to."""
    made = max(n, REFERENCE_RESOLUTION)
    batch = batch_of(sample(_averaged(system), range(MEAN_ROWS), made))
    field: Tensor = batch.solution.mean(dim=0, dtype=torch.float64).float()
    return field[:: made // n, :: made // n].contiguous()


def _averaged(system: str) -> SampleKey:
    return SampleKey(system, "pretrain", "train")


def seen_by_mean() -> TrainingManifest:
    """Return which rows the mean predictor is made of."""
    rows = (stream_of(_averaged(system), range(MEAN_ROWS), REFERENCE_RESOLUTION) for system in _TERMS)
    return TrainingManifest(trained=tuple(rows))


_UNTRAINED = TrainingManifest()


@dataclass(frozen=True)
class Baseline:
    """A model that comes with the package and has no files.

    Attributes:
        name: Its reference.
        title: What it is, in one line.
        build: Returns it; random weights, if it has any, come from PyTorch's global generator.
        training: Which rows it is made of; by default none.
    """

    name: str
    title: str
    build: Callable[[], Operator]
    training: TrainingManifest = _UNTRAINED

    def candidate(self, device: torch.device) -> Candidate:
        """Return it as the evaluation sees it; one with weights is not pretrained, and has fresh starts only.

        Raises:
            UsageError: If it needs a library that is not installed.
        """
        operator = self.drawn(device)
        if isinstance(operator, nn.Module):
            return self.untrained(operator.to(device).eval())
        candidate = Candidate(operator, self.name, device, revision="package", training=self.training)
        return known_as(candidate, lambda: identity_of(operator, name=self.name))

    def drawn(self, device: torch.device, seed: int = 0) -> Operator:
        """Return what `build` gives for a seed.

        Raises:
            UsageError: If it needs a library that is not installed.
        """
        with seeded(seed, device):
            return self.build()

    def untrained(self, module: nn.Module) -> Candidate:
        """Return a module that `drawn` gave, as it was, as the evaluation sees it."""
        device = module_device(module)

        def fresh(seed: int) -> nn.Module:
            built = self.drawn(device, seed)
            assert isinstance(built, nn.Module)  # noqa: S101 (as the first one was)
            return built.to(device)

        candidate = Candidate(
            module, self.name, device, revision="package", fresh=fresh, training=self.training, pretrained=False
        )
        return known_as(candidate, lambda: identity_of(module, name=self.name))


BASELINES: Mapping[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("oracle", "the exact spectral solution: the floor that rounding sets", ExactSolver),
        Baseline("zero", "predicts zero: a relative error of 1", lambda: zero),
        Baseline("mean", "predicts the mean solution of the pretraining distribution", lambda: mean, seen_by_mean()),
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


@dataclass(frozen=True)
class Untrained:
    """What a module turns out to be that still has the random weights of a baseline.

    Attributes:
        baseline: Whose weights they are.
        altered: Whether anything else is not as it was, such as a hook that was added.
    """

    baseline: Baseline
    altered: bool


def untrained(module: nn.Module) -> Untrained | None:
    """Return which baseline's random weights a module still has, as `load_model` gives it; None if none's."""
    given = parameters_of(module)
    if not isinstance(module, ChannelOperator) or any(map(is_lazy, given)):
        return None
    for baseline in BASELINES.values():
        try:
            twin = baseline.drawn(torch.device("cpu"))
        except UsageError:  # its library is not here, so that the module cannot be from it
            continue
        own = parameters_of(twin) if isinstance(twin, nn.Module) else []
        if isinstance(twin, nn.Module) and [p.shape for p in own] == [p.shape for p in given]:
            if not all(torch.equal(mine, theirs.cpu()) for mine, theirs in zip(own, given, strict=True)):
                return None
            structure = structure_of(twin.train(module.training))
            return Untrained(baseline, altered=structure is None or structure != structure_of(module))
    return None
