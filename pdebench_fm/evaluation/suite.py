"""A suite: which models are scored on which tasks, with how many shots, and the cells that this comes down to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Unpack

from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.cell import Cell
from pdebench_fm.evaluation.settings import RunSettings, SettingWords, settings_of
from pdebench_fm.graphs.process import WRITING_PACKAGES, require_packages
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import as_it_is_now
from pdebench_fm.protocol.task import EvaluationTask
from pdebench_fm.protocol.tracks import Start, check_shots
from pdebench_fm.results.fields import MOST_CELLS, duplicates


@dataclass(frozen=True, eq=False)
class Suite:
    """What was asked for, checked; made by `plan`.

    Attributes:
        candidates, tasks: each model is scored on each task.
        settings: how, each of them alike.
    """

    candidates: tuple[Candidate, ...]
    tasks: tuple[EvaluationTask, ...]
    settings: RunSettings

    def cells(self, candidate: Candidate, task: EvaluationTask) -> list[Cell]:
        """Return the cells of one model on one task, in the order of its result."""
        return [
            Cell(candidate, task, self.settings, start, shots, seed)
            for start, shots in self.runs(candidate)
            for seed in range(self.settings.seeds if shots else 1)
        ]

    def runs(self, candidate: Candidate) -> list[tuple[Start, int]]:
        """Return the starts and numbers of shots with which a model is scored, in the order of its results."""
        starts: tuple[Start, ...] = ("pretrained", "scratch")
        return [
            (start, shots) for shots in self.settings.shots for start in starts if self._is_run(candidate, start, shots)
        ]

    def notes(self, *, kept: bool = False) -> list[str]:
        """Return what is left out of what was asked for, and why, a line each.

        Args:
            kept: whether finished cells are kept, so that it is said of which models they cannot be.
        """
        notes = []
        method = self.settings.method
        if kept and method.function is not None and method.fingerprint is None:
            notes.append(
                f"the adaptation {method.name} cannot be known again ({method.unknown}), so its runs are not kept"
            )
        for candidate in self.candidates:
            if kept and candidate.fingerprint is None:
                why = f" ({candidate.unknown})" if candidate.unknown else ""
                notes.append(f"{candidate.name} cannot be known again{why}, so its runs are not kept")
            if any(self.settings.shots) and candidate.module is None:
                notes.append(f"{candidate.name} only predicts: it is scored zero-shot alone")
            elif not candidate.pretrained:
                notes.append(f"{candidate.name} has random weights: only its training from scratch is scored")
            elif self.settings.scratch and any(self.settings.shots) and candidate.fresh is None:
                notes.append(f"no runs of {candidate.name} from scratch: it cannot be made with fresh weights")
        return notes

    def _is_run(self, candidate: Candidate, start: Start, shots: int) -> bool:
        if start == "pretrained":
            return candidate.pretrained and (not shots or candidate.module is not None)
        return bool(shots) and candidate.fresh is not None and (self.settings.scratch or not candidate.pretrained)


def plan(
    candidates: Sequence[Candidate],
    tasks: Sequence[EvaluationTask],
    shots: int | Iterable[int] = 0,
    **words: Unpack[SettingWords],
) -> Suite:
    """Check what is asked for, before anything is computed.

    Args:
        candidates: the models.
        tasks: each model is to be scored on each.
        shots: as `settings_of` takes them.
        words: the other settings, as `settings_of` takes them.

    Raises:
        UsageError: for settings that cannot be, no models or tasks, two models that results could not tell apart, shots
            that a train split cannot give or a model cannot take, or more seeds than a result can hold.
    """
    settings = settings_of(shots, **words)
    wanted = settings.shots
    if not candidates or not tasks:
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
    _check_graphs(candidates, settings)
    for task in tasks:
        if task.test_rows(settings.track) < 2:
            raise UsageError(f"{task.name} has a single test row there: an interval needs at least two")
    suite = Suite(tuple(candidates), tuple(tasks), settings)
    for candidate in candidates:
        _check_room(candidate, suite)
    return suite


def _check_room(candidate: Candidate, suite: Suite) -> None:
    """Check that a result can hold all cells of a model."""
    runs, seeds = suite.runs(candidate), suite.settings.seeds
    adapted = sum(shots > 0 for _, shots in runs)
    room = MOST_CELLS - (len(runs) - adapted)
    if adapted * seeds > room:
        most = room // adapted
        wrong = f"seeds must be at most {most}, not {seeds}" if most else f"{adapted} adaptations are too many"
        raise UsageError(
            f"{wrong}: {candidate.name} is adapted with {adapted} starts and numbers of shots, {seeds} times each, and "
            f"a result holds {MOST_CELLS} scores"
        )


def _check_graphs(candidates: Iterable[Candidate], settings: RunSettings) -> None:
    """Check that models can be asked for graphs of them, if they are to be."""
    if settings.graphs is None:
        return
    require_packages("writing graphs", WRITING_PACKAGES)
    for candidate in candidates:
        if candidate.graph is not None:
            raise UsageError(f"{candidate.graph.name} is an ONNX graph already: leave --graphs out")


def _check_trainable(candidate: Candidate, shots: tuple[int, ...]) -> None:
    if candidate.graph is not None and any(shots):
        raise UsageError(
            f"{candidate.graph.name} is an ONNX graph, whose weights are constants that cannot be trained: ask for 0 "
            "shots; evaluate the module that it was made from with --graphs FOLDER, which writes the adapted ones"
        )
    if not candidate.pretrained and not any(shots):
        raise UsageError(f"{candidate.name} has random weights, so it has no zero-shot score: ask for shots above 0")
    if not candidate.pretrained and candidate.fresh is None:
        raise UsageError(f"{candidate.name} has random weights and cannot be made with others: nothing to score")
    if all(shots) and candidate.module is None:
        raise UsageError(
            f"{candidate.name} only predicts, so it cannot be adapted to {max(shots)} shots: ask for 0 shots, or give "
            "it as a torch.nn.Module with parameters to train"
        )
