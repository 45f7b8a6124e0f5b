"""Neural operators: architecture, physical wrapper, weights, and the zoo of pretrained models."""

from pdebench_fm.models.baselines import BASELINES, ExactSolver
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.channels import ChannelOperator
from pdebench_fm.models.config import (
    DiffusionNormaliser,
    HomogeneousNormaliser,
    IdentityNormaliser,
    ModelConfig,
    Normaliser,
    TLScalingNormaliser,
)
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.fno import FNO
from pdebench_fm.models.loading import load_operator, recipe_names, resolve, zoo_names
from pdebench_fm.models.operator import NeuralOperator, ShapeError, parameter_count
from pdebench_fm.models.prediction import ModelOutputError, predict
from pdebench_fm.models.references import load_model, open_candidate
from pdebench_fm.models.sizes import SIZES, Size
from pdebench_fm.models.sources import ModelSource
from pdebench_fm.models.spectral import SpectralConvolution
from pdebench_fm.models.unet import UNet

__all__ = [
    "BASELINES",
    "Candidate",
    "ChannelOperator",
    "DiffusionNormaliser",
    "ExactSolver",
    "FNO",
    "HomogeneousNormaliser",
    "IdentityNormaliser",
    "ModelConfig",
    "ModelOutputError",
    "ModelSource",
    "NeuralOperator",
    "Normaliser",
    "ShapeError",
    "SIZES",
    "Size",
    "SpectralConvolution",
    "TLScalingNormaliser",
    "UNet",
    "candidate_of",
    "choose_device",
    "load_model",
    "load_operator",
    "open_candidate",
    "parameter_count",
    "predict",
    "recipe_names",
    "resolve",
    "zoo_names",
]
