"""Neural operators: architecture, physical wrapper, weights, and the zoo of pretrained models."""

from pdebench_fm.models.config import (
    HomogeneousNormaliser,
    IdentityNormaliser,
    ModelConfig,
    Normaliser,
    TLScalingNormaliser,
)
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.fno import FNO
from pdebench_fm.models.operator import NeuralOperator, ShapeError, parameter_count
from pdebench_fm.models.sizes import SIZES, Size
from pdebench_fm.models.sources import ModelSource
from pdebench_fm.models.spectral import SpectralConvolution
from pdebench_fm.models.zoo import load_model, recipe_names, resolve, zoo_names

__all__ = [
    "FNO",
    "HomogeneousNormaliser",
    "IdentityNormaliser",
    "ModelConfig",
    "ModelSource",
    "NeuralOperator",
    "Normaliser",
    "ShapeError",
    "SIZES",
    "Size",
    "SpectralConvolution",
    "TLScalingNormaliser",
    "choose_device",
    "load_model",
    "parameter_count",
    "recipe_names",
    "resolve",
    "zoo_names",
]
