"""What determines a pretraining run: data, model, optimisation and its schedule, as one validated object."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, StringConstraints

from pdebench_fm.contracts import VERSION_PATTERN
from pdebench_fm.data.batches import Mixture
from pdebench_fm.data.catalogue import DATA_VERSION, find_family, find_system
from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.models.config import Diffusivity, Frame
from pdebench_fm.models.sizes import SIZES, Size
from pdebench_fm.physics import SELECTION, SampleKey
from pdebench_fm.training.schedule import warmup_cosine


class PretrainConfig(BaseModel):
    """Everything that determines a pretraining run; the same configuration gives the same weights on one machine.

    Attributes:
        family: `poisson`, `advection-diffusion`, `helmholtz` or `mixed`.
        shares: how many samples each of the family's systems has in every round of the stream, in their order; by
            default one each.
        size: a name in `SIZES`.
        steps: optimizer steps; `batch_size` fresh samples each.
        normaliser: how physical inputs become the network's, a kind of `Normaliser`; scales are measured on the stream.
        frame: in which coordinates the network sees a problem.
        diffusivity, velocity_share, omega_share: of the `DiffusionNormaliser`.
        learning_rate: Adam's peak, after `warmup_steps`, before half a cosine to zero.
        decay_share: share of the steps, the last ones, that the half cosine takes; before them the rate is at its peak.
        weight_decay: of AdamW, times the learning rate; 0 is Adam.
        ema_decay: of the averaged weights, which are the ones that are validated and saved.
        gradient_clip: largest 2-norm of a step's gradient.
        gain: scale of the spectral weights at the start.
        resolution: points a side of the training fields, and of those validated on.
        coarse_resolution: points a side during the first `coarse_share` of the steps. A step costs in proportion to the
            points, and most of what a model learns shows on a coarse grid.
        precision: of the pointwise maps; `"bfloat16"` by PyTorch's autocast, while weights and everything spectral stay
            float32.
        seed: of the initial weights.
        data_version: of the sampling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    family: str
    shares: Annotated[tuple[PositiveInt, ...], Field(strict=False)] = ()
    size: Annotated[str, StringConstraints(max_length=40, pattern="^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
    steps: Annotated[PositiveInt, Field(lt=2**31)]
    batch_size: Annotated[PositiveInt, Field(le=2**20)] = 16
    normaliser: Literal["homogeneous-rms", "diffusion-normalised"] = "homogeneous-rms"
    frame: Frame = "given"
    diffusivity: Diffusivity = "geometric"
    velocity_share: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    omega_share: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    learning_rate: Annotated[PositiveFloat, Field(allow_inf_nan=False)] = 1e-2
    decay_share: float = Field(default=1.0, gt=0.0, le=1.0)
    weight_decay: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    warmup_steps: PositiveInt = 200
    ema_decay: float = Field(default=0.998, ge=0.0, lt=1.0)
    gradient_clip: Annotated[PositiveFloat, Field(allow_inf_nan=False)] = 1.0
    gain: Annotated[PositiveFloat, Field(allow_inf_nan=False)] = 0.5
    resolution: PositiveInt = 64
    coarse_resolution: PositiveInt = 32
    coarse_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    data_version: Annotated[str, StringConstraints(max_length=40, pattern=f"^{VERSION_PATTERN}$")] = DATA_VERSION

    def mixture(self, split: str, resolution: int | None = None) -> Mixture:
        """Return the stream of the family's pretraining distribution, at `resolution` unless another is given."""
        return self._mixture("pretrain", split, resolution)

    def selection(self) -> Mixture | None:
        """Return the rows by which settings are chosen; None where a system of the family declares none.

        They are out of distribution, and no task scores them.
        """
        systems = (find_system(name) for name in find_family(self.family))
        return self._mixture(SELECTION, "validation") if all(SELECTION in s.regimes for s in systems) else None

    def _mixture(self, regime: str, split: str, resolution: int | None = None) -> Mixture:
        keys = (SampleKey(system, regime, split, self.data_version) for system in find_family(self.family))
        return Mixture(tuple(keys), resolution or self.resolution, self.shares)

    @property
    def coarse_steps(self) -> int:
        """How many steps, the first ones, are on the coarse grid."""
        return round(self.coarse_share * self.steps)

    def is_coarse(self, step: int) -> bool:
        """Return whether a step is on the coarse grid."""
        return step < self.coarse_steps

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.learning_rate * warmup_cosine(step, self.steps, self.warmup_steps, self.decay_share)

    @property
    def model_name(self) -> str:
        """The zoo's name for this family and size."""
        return f"fno-{self.family}-{self.size}"


def check_config(config: PretrainConfig) -> None:
    """Raise a `UsageError` unless there is such a family and size, and fields that such a model can be trained on."""
    if config.size not in SIZES:
        raise unknown_name("size", config.size, SIZES)
    systems = find_family(config.family)
    if config.shares and len(config.shares) != len(systems):
        raise UsageError(
            f"{len(config.shares)} shares for {len(systems)} systems: give one each of {', '.join(systems)}"
        )
    if config.data_version != DATA_VERSION:
        raise UsageError(f"this package makes data of version {DATA_VERSION}, not {config.data_version}")
    for resolution in {config.resolution, config.coarse_resolution if config.coarse_share else config.resolution}:
        _check_resolution(resolution, SIZES[config.size])


def _check_resolution(resolution: int, size: Size) -> None:
    """Raise a `UsageError` unless there are fields on a grid that can carry the size's modes."""
    if resolution % 64 and 64 % resolution:
        raise UsageError(f"there are no fields of {resolution} points a side: choose 16, 32, or a multiple of 64")
    if resolution < 2 * size.modes:
        raise UsageError(
            f"{resolution} points a side cannot carry the {size.modes} modes of size {size.name}: "
            f"it needs at least {2 * size.modes} (for the coarse grid: --coarse-resolution, or --coarse-share 0)"
        )
