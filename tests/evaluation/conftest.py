"""A small untrained model and quick recipes, so that whole evaluations take seconds."""

import pytest
import torch

from pdebench_fm.evaluation import evaluate as evaluation
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator, load_model
from pdebench_fm.training.adapt import AdaptationRecipe


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "fno-tiny"
    scales = HomogeneousNormaliser(coefficient_scales=(0.02, 0.02, 0.01, 0.1, 0.1, 6.0))
    torch.manual_seed(5)
    NeuralOperator(ModelConfig(width=8, modes=4, normaliser=scales, size="tiny")).save_pretrained(folder)
    return folder


@pytest.fixture
def model(model_folder):
    return load_model(model_folder)


@pytest.fixture
def quick_recipes(monkeypatch):
    def quick(start, shots):
        return AdaptationRecipe(5e-3 if start == "scratch" else 2e-3, steps=6, batch_size=min(shots, 4))

    monkeypatch.setattr(evaluation, "adaptation_recipe", quick)
