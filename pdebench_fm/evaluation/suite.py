"""A suite: which models are scored on which tasks, with how many shots, and the cells that this comes down to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.cell import Cell
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import as_it_is_now
from pdebench_fm.protocol.recipes import PROTOCOL_RECIPE, find_recipe
from pdebench_fm.protocol.task import EvaluationTask
from pdebench_fm.protocol.tracks import SEEDS, Track, check_shots, find_track
from pdebench_fm.results.fields import duplicates
from pdebench_fm.surroundings import is_deterministic


@dataclass(frozen=True, eq=False)
class Suite:
    """What was asked for, checked; made by `plan`.

    Attributes:
        candidates, tasks: each model is scored on each task.
        shots: sizes of the support sets, ascending.
        track: how much of each task is scored.
        seeds: adaptations for each number of shots above 0.
        scratch: whether each model's architecture is trained from random weights too.
        recipe: name of the adaptation recipe.
        deterministic: None for the default of each model's device.
    """

    candidates: tuple[Candidate, ...]
    tasks: tuple[EvaluationTask, ...]
    shots: tuple[int, ...]
    track: Track
    seeds: int
    scratch: bool
    recipe: str
    deterministic: bool | None

    def cells(self, candidate: Candidate, task: EvaluationTask) -> list[Cell]:
        """Return the cells of one model on one task, in the order of its result."""
        return [
            Cell(
                candidate,
                task,
                self.track,
                start,
                shots,
                seed,
                self.recipe,
                is_deterministic(self.deterministic, candidate.device),
            )
            for shots in self.shots
            for start in ("pretrained", "scratch")
            if self._is_run(candidate, start, shots)
            for seed in range(self.seeds if shots else 1)
        ]

    def notes(self, *, kept: bool = False) -> list[str]:
        """Return what is left out of what was asked for, and why, a line each.

        Args:
            kept: whether finished cells are kept, so that it is said of which models they cannot be.
        """
        notes = []
        for candidate in self.candidates:
            if kept and candidate.fingerprint is None:
                why = f" ({candidate.unknown})" if candidate.unknown else ""
                notes.append(f"{candidate.name} cannot be known again{why}, so its runs are not kept")
            if not candidate.pretrained:
                notes.append(f"{candidate.name} has random weights: only its training from scratch is scored")
            elif self.scratch and any(self.shots) and candidate.fresh is None:
                notes.append(f"no runs of {candidate.name} from scratch: it cannot be made with fresh weights")
        return notes

    def _is_run(self, candidate: Candidate, start: str, shots: int) -> bool:
        if start == "pretrained":
            return candidate.pretrained
        return bool(shots) and candidate.fresh is not None and (self.scratch or not candidate.pretrained)


def plan(
    candidates: Sequence[Candidate],
    tasks: Sequence[EvaluationTask],
    shots: int | Iterable[int] = 0,
    *,
    track: str = "full",
    seeds: int = SEEDS,
    scratch: bool = True,
    recipe: str = PROTOCOL_RECIPE,
    deterministic: bool | None = None,
) -> Suite:
    """Check what is asked for, before anything is computed.

    Raises:
        UsageError: for an unknown track or recipe, no models or tasks, two models that results could not tell apart,
            or shots that a train split cannot give or a model cannot take.
    """
    if seeds < 1:
        raise UsageError(f"an evaluation needs at least one seed, not {seeds}")
    wanted = tuple(sorted({shots} if isinstance(shots, int) else set(shots)))
    if not wanted or not candidates or not tasks:
        raise UsageError("an evaluation needs at least one model, one task and one number of shots")
    for task in tasks:
        for number in wanted:
            check_shots(number, task.train.size)
    if again := duplicates(task.name for task in tasks):
        raise UsageError(f"task {again[0]} is there twice: name it once")
    if same := duplicates((c.name, c.revision, c.weights_sha256) for c in candidates):
        raise UsageError(f"two models are called {same[0][0]}, and their results would replace each other: rename one")
    candidates = [as_it_is_now(candidate) for candidate in candidates]
    for candidate in candidates:
        _check_trainable(candidate, wanted)
    track_name, recipe_name = find_track(track).name, find_recipe(recipe)
    for task in tasks:
        if task.test_rows(track_name) < 2:
            raise UsageError(f"{task.name} has a single test row there: an interval needs at least two")
    return Suite(tuple(candidates), tuple(tasks), wanted, track_name, seeds, scratch, recipe_name, deterministic)


def _check_trainable(candidate: Candidate, shots: tuple[int, ...]) -> None:
    if not candidate.pretrained and not any(shots):
        raise UsageError(f"{candidate.name} has random weights, so it has no zero-shot score: ask for shots above 0")
    if not candidate.pretrained and candidate.fresh is None:
        raise UsageError(f"{candidate.name} has random weights and cannot be made with others: nothing to score")
    if any(shots) and candidate.module is None:
        raise UsageError(
            f"{candidate.name} only predicts, so it cannot be adapted to {max(shots)} shots: ask for 0 shots, or give "
            "it as a torch.nn.Module with parameters to train"
        )
