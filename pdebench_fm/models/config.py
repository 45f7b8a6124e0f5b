"""What a model is, as the validated content of its `config.json`: enough to rebuild it without weights."""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, PositiveInt, StringConstraints, model_validator

from pdebench_fm.contracts import Contract
from pdebench_fm.limits import MODEL_LAYERS, MODEL_MODES, MODEL_PARAMETERS, MODEL_WIDTH
from pdebench_fm.models.layout import parameter_count, tensor_shapes

PositiveScale = Annotated[FiniteFloat, Field(gt=0)]
Label = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\p{C}]*$")]
"""A word for people: without control characters and the like."""

CoefficientScales = tuple[PositiveScale, PositiveScale, PositiveScale, PositiveScale, PositiveScale, PositiveScale]


class HomogeneousNormaliser(Contract):
    """Makes the operator exactly homogeneous in its source, as the equation is; the default of models trained here.

    The network sees source / s with s the source's root mean square, and coefficients / `coefficient_scales`;
    its output is multiplied by s.

    Attributes:
        kind: The word that selects this normaliser in `config.json`.
        coefficient_scales: A typical magnitude of each of (k11, k22, k12, v1, v2, omega) in the pretraining
            data; 1 for a coefficient that is always 0 there.
    """

    kind: Literal["homogeneous-rms"] = "homogeneous-rms"
    coefficient_scales: CoefficientScales


Diffusivity = Literal["geometric", "mean"]
"""One number for a diffusion tensor: the geometric mean of its eigenvalues, √det K, or their mean, tr K / 2."""


class DiffusionNormaliser(Contract):
    """Builds in, besides homogeneity in the source, what else the equation's scaling says: u(f, aK, av, aω) = u / a.

    With s = 4π² d + `velocity_share` · 2π|v| + `omega_share` · |ω|, d being the `diffusivity` of K, the network sees
    source / r with r its root mean square, and (4π² K, 2π v, ω) / (s · `coefficient_scales`): the terms of the operator
    on a wave as long as the domain, relative to each other. Its output is multiplied by r / s.

    Attributes:
        kind: The word that selects this normaliser in `config.json`.
        coefficient_scales: A typical magnitude, in the pretraining data, of each of the six as divided by s; 1 for a
            coefficient that is always 0 there.
        diffusivity: Which number d of K.
        velocity_share, omega_share: How much the velocity and ω count in s; 0 for diffusion alone.
    """

    kind: Literal["diffusion-normalised"] = "diffusion-normalised"
    coefficient_scales: CoefficientScales
    diffusivity: Diffusivity = "geometric"
    velocity_share: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    omega_share: Annotated[FiniteFloat, Field(ge=0)] = 0.0


class TLScalingNormaliser(Contract):
    """The normalisation of the code of Subramanian et al. 2023 (arXiv 2306.00258), for weights trained with it.

    With s = sqrt(sum of source²) · (length_x / nx) · (length_y / ny) / `source_scale`, the network sees source / s and
    coefficients / (s · `coefficient_scales`); its output is the solution. As s is a sum times the area of a cell, it
    halves when n doubles: such a model belongs to the resolution that it was trained at. Nor is it homogeneous: a
    source multiplied by a factor reaches the network as coefficients divided by it.

    Attributes:
        kind: The word that selects this normaliser in `config.json`.
        source_scale: The typical norm of a source in the pretraining data, their `scales.npy`'s first entry.
        coefficient_scales: A typical magnitude of each of (k11, k22, k12, v1, v2, omega); 1 for those that the
            network does not see.
        length_x: Length of the domain along x.
        length_y: Length of the domain along y.
    """

    kind: Literal["tl-scaling"] = "tl-scaling"
    source_scale: PositiveScale
    coefficient_scales: CoefficientScales
    length_x: PositiveScale = 1.0
    length_y: PositiveScale = 1.0


class IdentityNormaliser(Contract):
    """No normalisation: the network sees the physical inputs, and its output is the solution."""

    kind: Literal["identity"] = "identity"


Normaliser = Annotated[
    HomogeneousNormaliser | DiffusionNormaliser | TLScalingNormaliser | IdentityNormaliser, Field(discriminator="kind")
]


Frame = Literal["given", "square", "lattice"]
"""How the coordinates are chosen in which the network sees a problem, see `pdebench_fm.models.frames`."""


class ModelConfig(Contract):
    """A neural operator's architecture and normalisation.

    Attributes:
        format_version: Version of this file's layout.
        architecture: The network's kind; `"fno"` is the Fourier neural operator.
        width: Channels d of the hidden fields.
        modes: m, the Fourier modes kept along each axis and sign.
        layers: Number of Fourier layers.
        normaliser: How physical inputs become the network's inputs, and back.
        frame: In which coordinates: those given, or of all that are equally good on the periodic square always the
            same ones.
        family: Label of the pretraining data, e.g. `"mixed"`; changes nothing.
        size: Label of the size, e.g. `"1m"`; changes nothing.
    """

    format_version: Literal[1] = 1
    architecture: Literal["fno"] = "fno"
    width: Annotated[PositiveInt, Field(le=MODEL_WIDTH)]
    modes: Annotated[PositiveInt, Field(le=MODEL_MODES)]
    layers: Annotated[PositiveInt, Field(le=MODEL_LAYERS)] = 4
    normaliser: Normaliser
    frame: Frame = "given"
    family: Label | None = None
    size: Label | None = None

    @model_validator(mode="after")
    def _can_be_held(self) -> Self:
        if self.parameters > MODEL_PARAMETERS:
            raise ValueError(
                f"width {self.width}, modes {self.modes} and layers {self.layers} make {self.parameters:,} parameters: "
                f"should be at most {MODEL_PARAMETERS:,}"
            )
        return self

    @property
    def parameters(self) -> int:
        """How many real numbers the model has to learn; a complex weight is two."""
        return parameter_count(self.width, self.modes, self.layers)

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The shape of each of the model's tensors, by its name in `model.safetensors`."""
        return tensor_shapes(self.width, self.modes, self.layers)
