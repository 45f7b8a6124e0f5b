"""The catalogue: which datasets and tasks exist, their regimes and sizes, and how a user's name is looked up.

The benchmark's own are constants. A system of a plug-in adds one dataset of its name with all its regimes, each of them
a task; plug-ins are loaded when a name is asked for that is not known without them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.extensions.plugins import VARIABLE, load_plugins
from pdebench_fm.physics import (
    BUILT_IN,
    ORIGINS,
    PAPER_SYSTEMS,
    REGIMES,
    SYSTEMS,
    Range,
    Regime,
    SampleKey,
    System,
    overlap,
)

DATA_VERSION = "1.0.0"
"""Semantic version of the published datasets; a change of bits is a major version."""

SPLIT_SIZES = {"train": 32768, "validation": 4096, "test": 4096}
"""Rows of each published split."""

_INSIDE = ("pretrain", "in-domain")
_OUTSIDE = ("mild", "medium", "hard")


def find_system(name: str) -> System:
    """Return the system of this name, loading plug-ins if it takes them, or raise a `UsageError`."""
    if name not in SYSTEMS:
        load_plugins()
    if name not in SYSTEMS:
        raise UsageError(
            f"{unknown_name('system', name, SYSTEMS)} (in a worker process only what {VARIABLE} names is known, and "
            "installed plug-ins)"
        )
    return SYSTEMS[name]


@dataclass(frozen=True)
class Dataset:
    """One repository: a system's regimes inside or outside its pretraining distribution.

    Attributes:
        name: the repository's name, without a namespace.
        system_name: of the system, as it is registered.
        regimes: its configurations; `default_regime` is the one loaded when none is named.
    """

    name: str
    system_name: str
    regimes: tuple[str, ...]
    default_regime: str

    @property
    def system(self) -> System:
        """The system's declaration."""
        return find_system(self.system_name)

    @property
    def origin(self) -> str:
        """Where the system comes from: `BUILT_IN`, or the file that registered it."""
        return ORIGINS[self.system.name]

    def regime(self, name: str) -> Regime:
        """Return a regime with its part: the benchmark's, or what a plug-in's ranges say."""
        if self.origin == BUILT_IN:
            return REGIMES[name]
        role = "pretraining distribution" if name == "pretrain" else "downstream"
        return Regime(name, role, _overlap(self.system, name))

    def key(self, regime: str, split: str, version: str = DATA_VERSION, seed: int = 0) -> SampleKey:
        """Return the names that determine the rows of one split."""
        return SampleKey(self.system_name, regime, split, version, seed)


@dataclass(frozen=True)
class Task:
    """A downstream problem: one regime of one dataset."""

    dataset: Dataset
    regime: Regime

    @property
    def name(self) -> str:
        """`<dataset>/<regime>`."""
        return f"{self.dataset.name}/{self.regime.name}"


def _overlap(system: System, regime: str) -> str:
    """Return in words how much of a regime's range lies inside the pretraining one."""
    if regime == "pretrain" or "pretrain" not in system.regimes:
        return "—"
    share = overlap(system.regimes[regime], [system.regimes["pretrain"]])
    return {0.0: "none", 1.0: "full"}.get(share, f"{100 * share:.0f} %")


def _datasets_of(system: System) -> tuple[Dataset, Dataset]:
    """Return the two repositories of a system."""
    return (
        Dataset(system.name, system.name, _INSIDE, "pretrain"),
        Dataset(f"{system.name}-ood", system.name, _OUTSIDE, "medium"),
    )


def _tasks_of(datasets: dict[str, Dataset]) -> dict[str, Task]:
    """Return every regime of these datasets as a task."""
    tasks = (Task(dataset, dataset.regime(name)) for dataset in datasets.values() for name in dataset.regimes)
    return {task.name: task for task in tasks}


DATASETS: dict[str, Dataset] = {dataset.name: dataset for system in PAPER_SYSTEMS for dataset in _datasets_of(system)}
"""The datasets of the benchmark."""

_ALL_TASKS: dict[str, Task] = _tasks_of(DATASETS)

TASKS: dict[str, Task] = {name: task for name, task in _ALL_TASKS.items() if task.regime.name != "pretrain"}
"""The twelve tasks of the benchmark."""

_AND = "-and-"
_PAPER_NAMES = tuple(system.name for system in PAPER_SYSTEMS)

FAMILIES: dict[str, tuple[str, ...]] = {**{name: (name,) for name in _PAPER_NAMES}, "mixed": _PAPER_NAMES}
"""Pretrained families of the benchmark: the systems in each one's training mixture, in equal parts."""


def all_datasets() -> dict[str, Dataset]:
    """Return the benchmark's datasets and those of plug-ins, which are loaded.

    Raises:
        PdefmError: if a plug-in cannot be loaded.
    """
    load_plugins()
    return known_datasets()


def known_datasets(*wanted: str) -> dict[str, Dataset]:
    """Return the datasets that are known now, after loading plug-ins if one of the names that are wanted is not."""
    if any(name not in DATASETS and name not in SYSTEMS for name in wanted):
        load_plugins()
    foreign = (system for system in SYSTEMS.values() if ORIGINS[system.name] != BUILT_IN)
    return DATASETS | {
        system.name: Dataset(system.name, system.name, tuple(system.regimes), next(iter(system.regimes)))
        for system in foreign
    }


def system_of(dataset: str) -> str:
    """Return the name of a dataset's system; a plug-in's dataset has the system's own name, known here or not."""
    return DATASETS[dataset].system_name if dataset in DATASETS else dataset


def benchmark_range(system: str, regime: str) -> Range | None:
    """Return what the varied parameter of one of the benchmark's own regimes is drawn from; None for any other's."""
    return next((known.regimes.get(regime) for known in PAPER_SYSTEMS if known.name == system), None)


def find_dataset(name: str) -> Dataset:
    """Return the dataset of this name, or raise a `UsageError` that names the nearest ones."""
    datasets = known_datasets(name)
    if name not in datasets:
        raise unknown_to_the_catalogue("dataset", name, datasets)
    return datasets[name]


def unknown_to_the_catalogue(kind: str, name: str, valid: Iterable[str]) -> UsageError:
    """Return the error for a dataset, task or family of this name, which may be one of a plug-in that is not loaded."""
    error = unknown_name(kind, name, valid)
    if name.partition("/")[0] in DATASETS:
        return error
    text = str(error)
    end = "" if text.endswith("?") else "."
    return UsageError(f"{text}{end} A plug-in's is known if {VARIABLE}=FILE.py names the file that registers it")


def find_regime(dataset: Dataset, regime: str) -> str:
    """Return `regime` if the dataset has it, or raise a `UsageError`."""
    if regime not in dataset.regimes:
        raise unknown_name(f"regime of {dataset.name}", regime, dataset.regimes)
    return regime


def find_task(name: str) -> Task:
    """Return the task of this name, or raise a `UsageError` that names the nearest ones.

    A pretraining distribution (`poisson/pretrain`, …) can be evaluated on too, though no leaderboard ranks it.
    """
    if not isinstance(name, str):
        raise UsageError(f"a task is given by its name, such as 'poisson/in-domain', not {name!r}")
    tasks = _ALL_TASKS if name in _ALL_TASKS else _tasks_of(known_datasets(name.partition("/")[0]))
    if name not in tasks:
        raise unknown_to_the_catalogue("task", name, tasks)
    return tasks[name]


def is_known_task(name: str) -> bool:
    """Tell whether there is a task of this name, loading plug-ins if it takes them."""
    return name in _ALL_TASKS or name in _tasks_of(known_datasets(name.partition("/")[0]))


def find_ranked_task(name: str) -> Task:
    """Return the task of this name if it is one of the benchmark's twelve, or raise a `UsageError`."""
    if name in _ALL_TASKS and name not in TASKS:
        raise UsageError(f"{name} is a pretraining distribution, not a task of the leaderboard: {', '.join(TASKS)}")
    task = find_task(name)
    if name not in TASKS:
        raise UsageError(
            f"{name} is unranked: {task.dataset.origin} defines it, and the leaderboard ranks only its own"
        )
    return task


def find_family(name: str) -> tuple[str, ...]:
    """Return the systems of a pretrained family, or raise a `UsageError`; a plug-in's system is a family of its own.

    Two of the benchmark's systems are a family as well: `poisson-and-helmholtz`.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    pair = tuple(name.split(_AND))
    if len(pair) == len(set(pair)) == 2 and set(pair) <= set(_PAPER_NAMES):
        return tuple(sorted(pair, key=_PAPER_NAMES.index))
    foreign = [dataset.system for dataset in known_datasets(name).values() if dataset.origin != BUILT_IN]
    families = {system.name: "pretrain" in system.regimes for system in foreign}
    if name not in families:
        raise unknown_to_the_catalogue("family", name, (*FAMILIES, *families))
    if not families[name]:
        raise UsageError(f"{name} cannot be pretrained on: it declares no regime 'pretrain'")
    return (name,)
