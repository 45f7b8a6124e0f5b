"""A small untrained model, few rows and quick recipes, so that whole evaluations take a moment."""

from dataclasses import dataclass

import pytest
import torch

from pdebench_fm.data.catalogue import find_task
from pdebench_fm.data.providers import RecipeRows
from pdebench_fm.evaluation import cell
from pdebench_fm.evaluation.task import EvaluationTask
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator, load_model
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.search import SearchRecipe


@dataclass(frozen=True)
class FewRows(RecipeRows):
    """The first rows of a split, as a small build would have them."""

    count: int = 16

    @property
    def size(self):
        return self.count


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


@pytest.fixture(scope="session")
def small_task():
    """Return a task with 16 rows in its train and test splits."""

    def make(name="poisson-ood/medium", seed=0):
        task = find_task(name)
        train, test = (FewRows(task.dataset.key(task.regime.name, split, seed=seed)) for split in ("train", "test"))
        return EvaluationTask(task, train, test)

    return make


@pytest.fixture
def quick_recipes(monkeypatch):
    def quick(start, shots, name="v1"):
        if name == "paper":
            return SearchRecipe((1e-4, 5e-3), epochs=2, batch_size=3)
        return AdaptationRecipe(5e-3 if start == "scratch" else 2e-3, steps=6, batch_size=min(shots, 4))

    monkeypatch.setattr(cell, "adaptation_recipe", quick)
