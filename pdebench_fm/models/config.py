"""What a model is, as the validated content of its `config.json`: enough to rebuild it without weights."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt

PositiveScale = Annotated[FiniteFloat, Field(gt=0)]


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HomogeneousNormaliser(_Contract):
    """Makes the operator exactly homogeneous in its source, as the equation is.

    The network sees source / s with s the source's root mean square, and coefficients / `coefficient_scales`;
    its output is multiplied by s.

    Attributes:
        kind: The word that selects this normaliser in `config.json`.
        coefficient_scales: A typical magnitude of each of (k11, k22, k12, v1, v2, omega) in the pretraining
            data; 1 for a coefficient that is always 0 there.
    """

    kind: Literal["homogeneous-rms"] = "homogeneous-rms"
    coefficient_scales: tuple[PositiveScale, PositiveScale, PositiveScale, PositiveScale, PositiveScale, PositiveScale]


# With a second kind this becomes Annotated[HomogeneousNormaliser | Other, Field(discriminator="kind")].
Normaliser = HomogeneousNormaliser


class ModelConfig(_Contract):
    """A neural operator's architecture and normalisation.

    Attributes:
        format_version: Version of this file's layout.
        architecture: The network's kind; `"fno"` is the Fourier neural operator.
        width: Channels d of the hidden fields.
        modes: m, the Fourier modes kept along each axis and sign.
        layers: Number of Fourier layers.
        normaliser: How physical inputs become the network's inputs, and back.
        family: Label of the pretraining data, e.g. `"mixed"`; changes nothing.
        size: Label of the size, e.g. `"1m"`; changes nothing.
    """

    format_version: Literal[1] = 1
    architecture: Literal["fno"] = "fno"
    width: PositiveInt
    modes: PositiveInt
    layers: PositiveInt = 4
    normaliser: Normaliser
    family: str | None = None
    size: str | None = None
