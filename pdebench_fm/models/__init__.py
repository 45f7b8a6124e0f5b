"""Neural operators: architecture, physical wrapper, weights, and the zoo of pretrained models."""

from pdebench_fm.models.baselines import BASELINES, ExactSolver
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.channels import ChannelOperator
from pdebench_fm.models.config import HomogeneousNormaliser, ModelConfig, Normaliser
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.fno import FNO
from pdebench_fm.models.operator import NeuralOperator, ShapeError
from pdebench_fm.models.prediction import ModelOutputError, predict
from pdebench_fm.models.references import open_candidate
from pdebench_fm.models.sizes import SIZES, Size
from pdebench_fm.models.sources import ModelSource
from pdebench_fm.models.spectral import SpectralConvolution
from pdebench_fm.models.unet import UNet
from pdebench_fm.models.zoo import load_model, resolve, zoo_names

__all__ = [
    "BASELINES",
    "Candidate",
    "ChannelOperator",
    "ExactSolver",
    "FNO",
    "HomogeneousNormaliser",
    "ModelConfig",
    "ModelOutputError",
    "ModelSource",
    "NeuralOperator",
    "Normaliser",
    "ShapeError",
    "SIZES",
    "Size",
    "SpectralConvolution",
    "UNet",
    "candidate_of",
    "choose_device",
    "load_model",
    "open_candidate",
    "predict",
    "resolve",
    "zoo_names",
]
