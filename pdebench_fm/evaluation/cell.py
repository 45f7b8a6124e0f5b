"""The smallest piece of an evaluation, computed once: one model, on one task, after one adaptation with one seed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as library_version

import torch

from pdebench_fm.data.definitions import definition_digest
from pdebench_fm.evaluation.settings import RunSettings
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.protocol.metrics import Errors
from pdebench_fm.protocol.recipes import PAPER_RECIPE, adaptation_recipe
from pdebench_fm.protocol.task import EvaluationTask
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, Start, Track, find_track
from pdebench_fm.results.result import Metrics
from pdebench_fm.results.samples import summarise
from pdebench_fm.surroundings import is_deterministic
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.search import SearchRecipe

CODE_VERSION = 1
"""Raised with every change of code, here or in what is called from here, that changes the bits of a score."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What is computed at once.

    Attributes:
        candidate: the model.
        task: with its rows.
        settings: of the evaluation that it is a part of.
        start: from the candidate's weights or from fresh ones.
        shots: size of the support set.
        seed: of the support set, of the order in which it is visited, and of everything random in the model.
    """

    candidate: Candidate
    task: EvaluationTask
    settings: RunSettings
    start: Start
    shots: int
    seed: int

    @property
    def track(self) -> Track:
        """How much of the task is scored."""
        return self.settings.track

    @property
    def recipe(self) -> str:
        """Name of the adaptation recipe."""
        return self.settings.recipe

    @property
    def deterministic(self) -> bool:
        """Whether PyTorch is held to deterministic algorithms."""
        return is_deterministic(self.settings.deterministic, self.candidate.device)

    @property
    def threads(self) -> int | None:
        """PyTorch's, where its sums are split by them: on a CPU."""
        return self.settings.threads if self.candidate.device.type == "cpu" else None

    @property
    def adaptation(self) -> AdaptationRecipe | SearchRecipe | None:
        """How the model is adapted; None for a zero-shot cell."""
        return adaptation_recipe(self.start, self.shots, self.recipe) if self.shots else None

    @property
    def steps(self) -> int:
        """Optimizer steps of the adaptation."""
        recipe = self.adaptation
        if recipe is None:
            return 0
        return recipe.steps if isinstance(recipe, AdaptationRecipe) else recipe.steps(self.shots)

    @property
    def work(self) -> int:
        """How much there is to compute, in forward passes of one sample; a backward pass counts as two."""
        test_rows = self.task.test_rows(self.track)
        recipe = self.adaptation
        if recipe is None:
            return test_rows
        training = 3 * self.steps * min(recipe.batch_size, self.shots)
        validations = len(recipe.learning_rates) * recipe.epochs if isinstance(recipe, SearchRecipe) else 0
        return training + (1 + validations) * test_rows

    def __str__(self) -> str:
        """Return the cell in words."""
        how = "zero-shot" if self.shots == 0 else f"{self.start}, {self.shots} shots, seed {self.seed}"
        return f"{self.candidate.name} on {self.task.name}, {how}"


@dataclass(frozen=True)
class Scored:
    """The outcome of a cell: the errors of every test row.

    Attributes:
        errors: by metric, (rows,) float64.
        seconds: what it took to compute.
    """

    errors: Errors
    seconds: float

    @property
    def metrics(self) -> Metrics:
        """The errors reduced over the rows."""
        return summarise(self.errors)


@dataclass(frozen=True)
class Failed:
    """The outcome of a cell that gave no score.

    Attributes:
        reason: in one line.
        details: the traceback of the model's own code; "" where the reason says it all.
        seconds: what it took to fail.
    """

    reason: str
    details: str
    seconds: float


Outcome = Scored | Failed


def cell_inputs(cell: Cell) -> Mapping[str, object]:
    """Return everything that a cell's outcome depends on, as JSON values."""
    task, device = cell.task, cell.candidate.device
    inputs: dict[str, object] = {
        "code": CODE_VERSION,
        "protocol": PROTOCOL_VERSION,
        "model": cell.candidate.fingerprint,
        "task": task.name,
        "version": task.test.key.version,
        "sampling_seed": task.test.key.seed,
        "recipe_digest": task.recipe_digest(cell.track),
        "content_digest": task.test.content_digest,
        "track": asdict(find_track(cell.track)),
        "start": cell.start,
        "shots": cell.shots,
        "seed": cell.seed,
        "deterministic": cell.deterministic,
        "torch": torch.__version__,
        "numpy": library_version("numpy"),
        "device": device.type,
        "threads": cell.threads,
    }
    definition = definition_digest(task.test.key)
    if definition is not None:
        inputs["definition"] = definition
    recipe = cell.adaptation
    if recipe is not None:
        inputs["recipe"] = {"name": cell.recipe, **asdict(recipe)}
        inputs["train"] = [task.train.size, task.train.content_digest]
        if cell.recipe == PAPER_RECIPE:
            inputs["validation"] = [task.validation.size, task.validation.content_digest]
    return inputs


def cell_key(cell: Cell) -> str | None:
    """Return the SHA-256 of everything a cell's outcome depends on; None if its model cannot be known again."""
    if cell.candidate.fingerprint is None:
        return None
    return hashlib.sha256(json.dumps(cell_inputs(cell), sort_keys=True).encode()).hexdigest()
