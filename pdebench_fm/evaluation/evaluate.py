"""Evaluating in one call: a model on a task, or several on many."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

from pdebench_fm.data.executors import open_executor
from pdebench_fm.data.training_manifest import TrainingManifest
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.own_name import check_own_name
from pdebench_fm.evaluation.progress import SuiteProgress
from pdebench_fm.evaluation.run import run_suite
from pdebench_fm.evaluation.runners import ClusterRunner, LocalRunner, Runner
from pdebench_fm.evaluation.settings import SettingWords, positive
from pdebench_fm.evaluation.suite import plan
from pdebench_fm.evaluation.workers import WorkersRunner
from pdebench_fm.extensions.replaced import replaced
from pdebench_fm.models.candidate import Candidate, Operator
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.references import open_candidate
from pdebench_fm.protocol.names import task_names
from pdebench_fm.protocol.task import EvaluationTask, load_task
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.fields import duplicates

Model = Operator | Candidate
"""A `NeuralOperator`, any other module or function `(source, coefficients) -> solution`, or a `Candidate`."""


def evaluate(
    model: str | Path | Model,
    task: str | EvaluationTask,
    shots: int | Iterable[int] = 0,
    *,
    data: str | None = None,
    device: str = "auto",
    name: str | None = None,
    training: TrainingManifest | None = None,
    cache: CellCache | None = None,
    on_progress: Callable[[SuiteProgress], None] = lambda _: None,
    **settings: Unpack[SettingWords],
) -> Evaluation:
    """Score a model on a task by the protocol, and the same architecture trained from scratch beside it.

    Args:
        model: on the device to evaluate on; it is not changed. A function, or a module without parameters to train, is
            scored zero-shot only. Or a word that `open_candidate` knows: a zoo name, a directory, a Hub id, a file of
            yours, a baseline.
        task: from `load_task`, or its name, `<dataset>/<regime>`.
        shots: size of the support set, or a list, range or array of sizes; 0 is zero-shot.
        data: folder or Hub repository that rows of a task given by name are read from, instead of made.
        device: of a model given as a word; see `choose_device`.
        name: what results call a model of yours, "my-fno" or "organisation/my-fno"; by default what its file, folder or
            class is called.
        training: which rows the model was trained on, if it does not state that itself: see
            docs/concepts/contamination.md.
        cache: where finished cells are looked for and kept.
        on_progress: called at the start, after each step of an adaptation, and after each cell.
        settings: `track`, "full" (128², the whole test split), "lite" (64², its first 512 rows), or one that is not
            ranked, such as "n256-rows512" (256², the first 512 rows); `seeds`, adaptation runs for each number of shots
            above 0 (3: a zero-shot score has one, as nothing in it is random); `scratch`, whether to train the
            architecture from random weights on the same support sets too, where it can be made anew (True); `recipe`,
            "v1", the protocol's, or "paper": learning rates and epochs chosen on the validation split; or
            `adaptation`, a method of the open division: the name of one of the package's ("symmetric", "l2-sp") or of
            a plug-in, a file of yours, "mine.py:adapt", or a function `(module, support, seed) -> module`;
            `deterministic`, whether to hold PyTorch to deterministic algorithms (on a CPU); `threads` of PyTorch on a
            CPU (1, whatever the machine has, as another number gives other last digits); `graphs`, a folder that each
            cell's model, adapted as it was scored, is written to as an ONNX graph (None).

    Returns:
        The evaluation: scores in its `runs`, everything in its `result`, and every sample's scores in its `samples`.
        `write` puts them into files. What gave no finite score, because the model raised, ran out of memory, or
        returned something else than finite solutions, is in its `failures`.

    Raises:
        UsageError: for settings that cannot be, an unknown model or task, shots that the train split cannot give, or
            shots above 0 for a model that only predicts.
        PdefmError: if a model cannot be opened or rows cannot be read.
    """
    if isinstance(task, str) and len(names := task_names([task])) > 1:
        raise UsageError(f"{task} is {len(names)} tasks: name one, such as {names[0]}, or use evaluate_suite")
    (evaluation,) = evaluate_suite(
        [model],
        [task],
        shots,
        data=data,
        device=device,
        name=name,
        training=training,
        cache=cache,
        on_progress=on_progress,
        **settings,
    )
    return evaluation


def evaluate_suite(
    models: str | Path | Iterable[str | Path | Model],
    tasks: str | Iterable[str | EvaluationTask],
    shots: int | Iterable[int] = 0,
    *,
    data: str | None = None,
    device: str | Sequence[str] = "auto",
    name: str | None = None,
    training: TrainingManifest | None = None,
    cache: CellCache | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    on_note: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[SuiteProgress], None] = lambda _: None,
    on_evaluation: Callable[[Evaluation], None] = lambda _: None,
    **settings: Unpack[SettingWords],
) -> list[Evaluation]:
    """Score several models on many tasks; see `evaluate` for what is not said here.

    Args:
        models: as `evaluate` takes them, or the word for one.
        tasks: from `load_task`, or names: "all", a dataset's for its ranked regimes, or `<dataset>/<regime>`.
        shots: size, or sizes, of the support sets.
        data: folder or Hub repository that rows of tasks given by name are read from, instead of made.
        device: of models given as words: one, or several GPUs, "cuda:0,cuda:1" or a list, of which each gets a process.
        name: what results call a model of yours, where there is no other.
        training: which rows the model was trained on, where there is one model, which does not state that itself.
        cache: where finished cells are looked for and kept: stopped anywhere, the same call goes on where it was.
        workers: processes of this machine that cells are computed in, side by side; by default one for each device,
            and of one device this process. The models have to be given as words, and a script that asks for workers
            needs `if __name__ == "__main__":` around what it does. The scores are those of one process.
        scheduler: address of a running Dask scheduler that the cells are sent to instead. Its workers need this
            package, and must be able to open the models, which have to be given as words, and the data.
        on_note: called with what is left out of what was asked for, a line each.
        on_progress: called at the start, after steps of an adaptation on this machine, and after each cell.
        on_evaluation: called with each evaluation as soon as it is whole.
        settings: of all models and tasks, as in `evaluate`.

    Returns:
        An evaluation for each task and model, task by task.

    Raises:
        UsageError: for unknown or repeated models and tasks, and as `evaluate` does.
        PdefmError: if a model cannot be opened, rows cannot be read, a worker cannot start, or the cluster fails.
    """
    places = processes_of(device, workers, scheduler)
    if cache is not None and not isinstance(cache, CellCache):
        raise UsageError(f"cache must be a CellCache, as CellCache(folder), not {cache!r}")
    models = [models] if isinstance(models, str | Path) else list(models)
    tasks = [tasks] if isinstance(tasks, str) else tasks
    if again := duplicates(str(model) for model in models if isinstance(model, str | Path)):
        raise UsageError(f"model {again[0]} is named twice: name it once")
    loaded = _tasks(tasks, data)
    if name is not None:
        check_own_name(name, models)
    candidates = [candidate_of(candidate, name) for candidate in _candidates(models, places[0])]
    if training is not None:
        candidates = _trained_on(training, candidates)
    suite = plan(candidates, loaded, shots, **settings)
    for note in suite.notes(kept=cache is not None):
        on_note(note)
    references = {c: str(m) for c, m in zip(suite.candidates, models, strict=True) if isinstance(m, str | Path)}
    with _runner(places, references, scheduler) as runner:
        return run_suite(suite, cache=cache, runner=runner, on_progress=on_progress, on_evaluation=on_evaluation)


def _candidates(models: Sequence[str | Path | Model], place: str) -> list[Candidate]:
    """Return the models, once all of them could be opened.

    Raises:
        PdefmError: if some cannot be: the error of a single one, or what is wrong with each; if one changes another.
    """
    before = dict(replaced())
    candidates: list[Candidate] = []
    wrong: list[tuple[str | Path, PdefmError]] = []
    for model in models:
        if not isinstance(model, str | Path):
            candidates.append(candidate_of(model))
            continue
        try:
            candidates.append(open_candidate(model, place))
        except PdefmError as error:
            wrong.append((model, error))
    if len(wrong) > 1:
        reasons = "; ".join(f"{model}: {error}" for model, error in wrong)
        kind = UsageError if all(isinstance(error, UsageError) for _, error in wrong) else PdefmError
        raise kind(f"{len(wrong)} of {len(wrong) + len(candidates)} models cannot be evaluated: {reasons}")
    if wrong:
        raise wrong[0][1]
    _check_undisturbed(models, candidates, before)
    return candidates


def _trained_on(training: TrainingManifest, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the one model with what it was trained on; a `UsageError` if there are several."""
    if len(candidates) != 1:
        raise UsageError(f"a training manifest is that of one model, and here are {len(candidates)}: evaluate it alone")
    return [candidate_of(candidates[0], training=training)]


def _check_undisturbed(
    models: Sequence[str | Path | Model], candidates: Sequence[Candidate], before: Mapping[str, object]
) -> None:
    """Check that opening one model has changed no other: what each scores must not depend on its company.

    Raises:
        UsageError: if it has.
    """
    if len(models) < 2:
        return
    if places := [place for place, value in replaced() if before.get(place) is not value]:
        raise UsageError(
            f"one of the models' files replaces {places[0]} for the whole process: evaluate that model alone, so that "
            "it changes no other"
        )
    for model, candidate in zip(models, candidates, strict=True):
        if (
            isinstance(model, str | Path)
            and candidate.identify
            and candidate.identify().fingerprint != (candidate.fingerprint)
        ):
            raise UsageError(
                f"{model} is no longer the same since the others were opened: it uses something that one of them "
                "changes, such as a value in a module that both import; evaluate it in a run of its own"
            )


def processes_of(device: str | Sequence[str], workers: int | None, scheduler: str | None) -> list[str]:
    """Return the device of each process that computes.

    Raises:
        UsageError: for devices that do not exist, are there twice, or do not go together; for several processes beside
            a cluster.
    """
    if isinstance(device, str):
        names = [name.strip() for name in device.split(",")]
    else:
        names = list(device) if isinstance(device, Iterable) else [device]
    devices = [choose_device(name) for name in names]
    if not devices:
        raise UsageError('device names none: use "auto", "cpu", "cuda:0,cuda:1", …')
    if len(devices) > 1 and (len(set(devices)) < len(devices) or {place.type for place in devices} != {"cuda"}):
        raise UsageError(f"several devices must be different GPUs, such as cuda:0,cuda:1, not {','.join(names)}")
    number = len(devices) if workers is None else positive("workers", workers)
    if len(devices) > 1 and number != len(devices):
        raise UsageError(f"each device has one worker: leave workers out, or say {len(devices)}")
    if scheduler is not None and (number > 1 or workers is not None):
        raise UsageError("choose either workers (or several devices) or a scheduler: a cluster has its own workers")
    return [str(place) for place in devices] if len(devices) > 1 else [str(devices[0])] * number


@contextmanager
def _runner(places: Sequence[str], references: Mapping[Candidate, str], scheduler: str | None) -> Iterator[Runner]:
    if scheduler is None:
        yield LocalRunner() if len(places) == 1 else WorkersRunner(places, references)
        return
    with open_executor(scheduler=scheduler) as executor:
        assert executor is not None  # noqa: S101 (which only one process has)
        yield ClusterRunner(executor, references)


def _tasks(tasks: Iterable[str | EvaluationTask], data: str | None) -> list[EvaluationTask]:
    """Return the tasks, names replaced by what they stand for; all names are checked before any rows are opened."""
    expanded: list[str | EvaluationTask] = []
    for task in tasks:
        if not isinstance(task, str | EvaluationTask):
            raise UsageError(f"a task is given by its name, or as load_task returns it; this is {task!r}")
        expanded += task_names([task]) if isinstance(task, str) else [task]
    task_names(task for task in expanded if isinstance(task, str))  # none twice
    return [load_task(task, data) if isinstance(task, str) else task for task in expanded]
