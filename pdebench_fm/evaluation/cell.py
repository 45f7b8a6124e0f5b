"""The smallest piece of an evaluation, computed once: one model, on one task, after one adaptation with one seed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from pdebench_fm.data.definitions import definition_digest
from pdebench_fm.data.providers import RecipeRows, SplitRows
from pdebench_fm.evaluation.machinery import library_versions, package_digest, processor
from pdebench_fm.evaluation.settings import RunSettings
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.identity import identity_of
from pdebench_fm.protocol.methods import Method
from pdebench_fm.protocol.metric_names import Errors
from pdebench_fm.protocol.recipes import PAPER_RECIPE, adaptation_recipe
from pdebench_fm.protocol.task import EvaluationTask
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, Start, Track, find_track
from pdebench_fm.results.result import Metrics, Provenance
from pdebench_fm.results.samples import summarise
from pdebench_fm.surroundings import is_deterministic
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.interpolation import InterpolationRecipe
from pdebench_fm.training.methods.averaging import has_symmetries_built_in
from pdebench_fm.training.search import SearchRecipe


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
    def method(self) -> Method | None:
        """How the model is adapted; None where it is scored as it is."""
        method = self.settings.method
        return method if self.shots or method.zero_shot else None

    @property
    def deterministic(self) -> bool:
        """Whether PyTorch is held to deterministic algorithms."""
        return is_deterministic(self.settings.deterministic, self.candidate.device)

    @property
    def threads(self) -> int | None:
        """PyTorch's, where its sums are split by them: on a CPU."""
        return self.settings.threads if self.candidate.device.type == "cpu" else None

    @property
    def recipe(self) -> AdaptationRecipe | InterpolationRecipe | SearchRecipe | None:
        """How the model is trained; None where it is not, or as a user's method likes."""
        if not self.shots:
            return None
        method = self.settings.method
        if method.function is not None:
            return method.recipe(self.start, self.shots)
        return adaptation_recipe(self.start, self.shots, method.name)

    @property
    def steps(self) -> int:
        """Optimizer steps of the adaptation, as far as they are known beforehand."""
        recipe = self.recipe
        if recipe is None:
            return 0
        return recipe.steps(self.shots) if isinstance(recipe, SearchRecipe) else recipe.steps

    @property
    def work(self) -> int:
        """How much there is to compute, in forward passes of one sample; a backward pass counts as two."""
        recipe = self.recipe
        if recipe is None:
            return self.scoring_work
        if isinstance(recipe, SearchRecipe):
            validations = len(recipe.learning_rates) * recipe.epochs * self.task.test_rows(self.track)
            trained = self.steps * min(recipe.batch_size, self.shots)
            return 3 * trained + validations + self.scoring_work
        if isinstance(recipe, InterpolationRecipe):
            halves = (self.shots + 1) // 2, self.shots // 2
            trained = self._rows_seen(recipe.whole, self.shots)
            trained += sum(self._rows_seen(recipe.half, half) for half in halves)
            chosen = len(recipe.shares) * self.shots * self._averaged_over
            return 3 * trained + chosen + self.scoring_work
        return 3 * self._rows_seen(recipe, self.shots) + self.scoring_work

    @property
    def scoring_work(self) -> int:
        """How much of that is for the scores."""
        return self.task.test_rows(self.track) * self._averaged_over

    @property
    def _averaged_over(self) -> int:
        """Of how many predictions one is the mean; where a model has symmetries built in, of about one."""
        module = self.candidate.module
        if not self.settings.method.averages or (module is not None and has_symmetries_built_in(module)):
            return 1
        return len(self.task.task.dataset.system.symmetry_group)

    def _rows_seen(self, recipe: AdaptationRecipe, shots: int) -> int:
        """Return how many rows a training goes through; a batch has no row twice, but for examples made of others."""
        makes_examples = self.settings.method.makes_examples
        return recipe.steps * (recipe.batch_size if makes_examples else min(recipe.batch_size, shots))

    def __str__(self) -> str:
        """Return the cell in words."""
        how = "zero-shot" if self.shots == 0 else f"{self.start}, {self.shots} shots, seed {self.seed}"
        return f"{self.candidate.name} on {self.task.name}, {how}"


@dataclass(frozen=True)
class Scored:
    """The outcome of a cell: the errors of every test row.

    Attributes:
        errors: by metric, (rows,) float64.
        provenance: what they were computed with, when, and how long it took.
        known: whether the model was afterwards what its fingerprint says. If not, the scores may depend on what it was
            asked before, and they are not kept.
        method_known: the same of the method by which it was adapted.
    """

    errors: Errors
    provenance: Provenance
    known: bool = True
    method_known: bool = True

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
        provenance: what it failed on, when, and how long that took.
    """

    reason: str
    details: str
    provenance: Provenance


Outcome = Scored | Failed


def cell_inputs(cell: Cell) -> Mapping[str, JsonValue] | None:
    """Return everything that a cell's outcome depends on; None if its model, method or rows cannot be known again."""
    inputs = described_inputs(cell)
    rows = inputs["rows"]
    known = inputs["model"] is not None and isinstance(rows, dict) and None not in rows.values()
    if cell.method is not None and cell.method.function is not None:
        known = known and cell.method.fingerprint is not None
    return inputs if known else None


def described_inputs(cell: Cell) -> Mapping[str, JsonValue]:
    """Return what a cell's outcome depends on as far as it can be told: None stands for what cannot be known again.

    What can be switched in the process is not among it: it is the same for every cell, see `surroundings.standard`.
    """
    task, device = cell.task, cell.candidate.device
    splits = {"test": task.test}
    if cell.shots:
        splits["train"] = task.train
        if cell.settings.method.name == PAPER_RECIPE:
            splits["validation"] = task.validation
    rows: dict[str, JsonValue] = {name: _rows_inputs(split) for name, split in splits.items()}
    return {
        "code": package_digest(),
        **library_versions(),
        "device": device.type,
        "processor": processor(device),
        # on a CPU, sums over a batch are split by threads
        "threads": cell.threads,
        "protocol": PROTOCOL_VERSION,
        "model": cell.candidate.fingerprint,
        "task": task.name,
        "version": task.test.key.version,
        "sampling_seed": task.test.key.seed,
        "recipe_digest": task.recipe_digest(cell.track),
        "definition": definition_digest(task.test.key),
        "rows": rows,
        "track": asdict(find_track(cell.track)),
        "start": cell.start,
        "shots": cell.shots,
        "seed": cell.seed,
        "method": _method_inputs(cell),
        "deterministic": cell.deterministic,
    }


def cell_key(cell: Cell) -> str | None:
    """Return the SHA-256 of everything a cell's outcome depends on; None if that cannot be known again."""
    inputs = cell_inputs(cell)
    return None if inputs is None else key_of(inputs)


def key_of(inputs: Mapping[str, JsonValue]) -> str:
    """Return the SHA-256 of what an outcome depends on, as `cell_inputs` gives it or as it was read from a file."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _method_inputs(cell: Cell) -> JsonValue:
    """Return what an adaptation is known by; None where there is none."""
    method, recipe = cell.method, cell.recipe
    if method is None:
        return None
    if method.function is None:
        settings = {} if recipe is None else asdict(recipe)
        return {"name": method.name, **json.loads(json.dumps(settings))}  # as files hold it: tuples are lists
    system = cell.task.task.dataset.system
    symmetries: list[JsonValue] = [str(asdict(symmetry)) for symmetry in system.symmetry_group]
    return {"name": method.name, "fingerprint": method.fingerprint, "system": system.name, "symmetries": symmetries}


def _rows_inputs(rows: SplitRows) -> JsonValue:
    """Return what a split's rows are known by, wherever they lie; None for rows of a kind that cannot be known."""
    known: dict[str, JsonValue] = {
        "size": rows.size,
        "resolution": rows.resolution,
        "content_digest": rows.content_digest,
    }
    if type(rows) is not RecipeRows and rows.content_digest is None:  # made by somebody's own code
        identity = identity_of(rows)
        if identity.fingerprint is None:
            return None
        known["made_by"] = identity.fingerprint
    return known
