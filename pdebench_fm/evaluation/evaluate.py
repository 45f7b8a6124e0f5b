"""Evaluating in one call: a model on a task, or several on many."""

from collections.abc import Callable, Sequence

from pdebench_fm.data.executors import open_executor
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.progress import SuiteProgress
from pdebench_fm.evaluation.run import run_suite
from pdebench_fm.evaluation.runners import ClusterRunner
from pdebench_fm.evaluation.suite import plan
from pdebench_fm.models.candidate import Candidate, Operator
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.references import open_candidate
from pdebench_fm.protocol.names import task_names
from pdebench_fm.protocol.recipes import PROTOCOL_RECIPE
from pdebench_fm.protocol.task import EvaluationTask, load_task
from pdebench_fm.protocol.tracks import SEEDS
from pdebench_fm.results.evaluation import Evaluation

Model = Operator | Candidate
"""A `NeuralOperator`, any other module or function `(source, coefficients) -> solution`, or a `Candidate`."""


def evaluate(
    model: Model,
    task: EvaluationTask,
    shots: int | Sequence[int] = 0,
    *,
    track: str = "full",
    seeds: int = SEEDS,
    scratch: bool = True,
    recipe: str = PROTOCOL_RECIPE,
    deterministic: bool | None = None,
    cache: CellCache | None = None,
    on_progress: Callable[[SuiteProgress], None] = lambda _: None,
) -> Evaluation:
    """Score a model on a task by the protocol, and the same architecture trained from scratch beside it.

    Args:
        model: on the device to evaluate on; it is not changed. A function, or a module without parameters to train, is
            scored zero-shot only.
        task: from `load_task`.
        shots: size, or sizes, of the support set; 0 is zero-shot.
        track: "full" (128², the whole test split) or "lite" (64², its first 512 rows).
        seeds: adaptation runs with seeds 0, 1, …; a zero-shot score has one, as nothing in it is random.
        scratch: also train the architecture from random weights on the same support sets, where it can be made anew.
        recipe: "v1", the protocol's, or "paper": learning rates and epochs chosen on the validation split.
        deterministic: hold PyTorch to deterministic algorithms; by default on a CPU.
        cache: where finished cells are looked for and kept.
        on_progress: called at the start, after each step of an adaptation, and after each cell.

    Returns:
        The evaluation: scores in its `runs`, everything in its `result`, and every sample's scores in its `samples`.
        `write` puts them into files. What gave no finite score, because the model raised, ran out of memory, or
        returned something else than finite solutions, is in its `failures`.

    Raises:
        UsageError: for an unknown track or recipe, shots that the train split cannot give, or shots above 0 for a model
            that only predicts.
        PdefmError: if rows cannot be read.
    """
    suite = plan(
        [candidate_of(model)],
        [task],
        shots,
        track=track,
        seeds=seeds,
        scratch=scratch,
        recipe=recipe,
        deterministic=deterministic,
    )
    (evaluation,) = run_suite(suite, cache=cache, on_progress=on_progress)
    return evaluation


def evaluate_suite(
    models: Sequence[str | Model],
    tasks: Sequence[str | EvaluationTask],
    shots: int | Sequence[int] = 0,
    *,
    track: str = "full",
    seeds: int = SEEDS,
    scratch: bool = True,
    recipe: str = PROTOCOL_RECIPE,
    deterministic: bool | None = None,
    data: str | None = None,
    device: str = "auto",
    cache: CellCache | None = None,
    scheduler: str | None = None,
    on_note: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[SuiteProgress], None] = lambda _: None,
    on_evaluation: Callable[[Evaluation], None] = lambda _: None,
) -> list[Evaluation]:
    """Score several models on many tasks; see `evaluate` for what is not said here.

    Args:
        models: as `evaluate` takes them, or words that `open_candidate` knows.
        tasks: from `load_task`, or names: "all", a dataset's for its ranked regimes, or `<dataset>/<regime>`.
        shots: size, or sizes, of the support sets.
        track: of all tasks.
        seeds: adaptation runs of each model, task and number of shots above 0.
        scratch: also train each architecture from random weights.
        recipe: of all adaptations.
        deterministic: hold PyTorch to deterministic algorithms; by default on a CPU.
        data: folder or Hub repository that rows of tasks given by name are read from, instead of made.
        device: of models given as words.
        cache: where finished cells are looked for and kept: stopped anywhere, the same call goes on where it was.
        scheduler: address of a running Dask scheduler that the cells are sent to. Its workers need this package, and
            must be able to open the models, which have to be given as words, and the data.
        on_note: called with what is left out of what was asked for, a line each.
        on_progress: called at the start, after each step of an adaptation here, and after each cell.
        on_evaluation: called with each evaluation as soon as it is whole.

    Returns:
        An evaluation for each task and model, task by task.

    Raises:
        UsageError: for unknown or repeated models and tasks, and as `evaluate` does.
        PdefmError: if a model cannot be opened, rows cannot be read, or the cluster fails.
    """
    names = [model for model in models if isinstance(model, str)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"model {name} is named twice: name it once")
    loaded = _tasks(tasks, data)
    candidates = [open_candidate(m, device) if isinstance(m, str) else candidate_of(m) for m in models]
    suite = plan(
        candidates,
        loaded,
        shots,
        track=track,
        seeds=seeds,
        scratch=scratch,
        recipe=recipe,
        deterministic=deterministic,
    )
    for note in suite.notes(kept=cache is not None):
        on_note(note)
    with open_executor(scheduler=scheduler) as executor:
        references = {c: m for c, m in zip(candidates, models, strict=True) if isinstance(m, str)}
        runner = None if executor is None else ClusterRunner(executor, references)
        return run_suite(suite, cache=cache, runner=runner, on_progress=on_progress, on_evaluation=on_evaluation)


def _tasks(tasks: Sequence[str | EvaluationTask], data: str | None) -> list[EvaluationTask]:
    """Return the tasks, names replaced by what they stand for; all names are checked before any rows are opened."""
    expanded: list[str | EvaluationTask] = []
    for task in tasks:
        expanded += task_names([task]) if isinstance(task, str) else [task]
    task_names(task for task in expanded if isinstance(task, str))  # none twice
    return [load_task(task, data) if isinstance(task, str) else task for task in expanded]
