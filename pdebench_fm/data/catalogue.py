"""The catalogue: which datasets and tasks exist, their regimes and sizes, and how a user's name is looked up."""

from dataclasses import dataclass

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.physics import REGIMES, SYSTEMS, Regime, SampleKey, System

DATA_VERSION = "1.0.0"
"""Semantic version of the published datasets; a change of bits is a major version."""

SPLIT_SIZES = {"train": 32768, "validation": 4096, "test": 4096}
"""Rows of each published split."""

_INSIDE = ("pretrain", "in-domain")
_OUTSIDE = ("mild", "medium", "hard")


@dataclass(frozen=True)
class Dataset:
    """One repository: a system's regimes inside or outside its pretraining distribution.

    Attributes:
        name: the repository's name, without a namespace.
        system_name: a name in `SYSTEMS`.
        regimes: its configurations; `default_regime` is the one loaded when none is named.
    """

    name: str
    system_name: str
    regimes: tuple[str, ...]
    default_regime: str

    @property
    def system(self) -> System:
        """The system's declaration."""
        return SYSTEMS[self.system_name]

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


def _datasets_of(system: System) -> tuple[Dataset, Dataset]:
    """Return the two repositories of a system."""
    return (
        Dataset(system.name, system.name, _INSIDE, "pretrain"),
        Dataset(f"{system.name}-ood", system.name, _OUTSIDE, "medium"),
    )


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset for system in SYSTEMS.values() for dataset in _datasets_of(system)
}

_ALL_TASKS: dict[str, Task] = {
    task.name: task
    for dataset in DATASETS.values()
    for task in (Task(dataset, REGIMES[regime]) for regime in dataset.regimes)
}

TASKS: dict[str, Task] = {name: task for name, task in _ALL_TASKS.items() if task.regime.name != "pretrain"}
"""The twelve tasks of the benchmark."""

FAMILIES: dict[str, tuple[str, ...]] = {**{name: (name,) for name in SYSTEMS}, "mixed": tuple(SYSTEMS)}
"""Pretrained families: the systems in each one's training mixture, in equal parts."""


def find_dataset(name: str) -> Dataset:
    """Return the dataset of this name, or raise a `UsageError` that names the nearest ones."""
    if name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)
    return DATASETS[name]


def find_regime(dataset: Dataset, regime: str) -> str:
    """Return `regime` if the dataset has it, or raise a `UsageError`."""
    if regime not in dataset.regimes:
        raise unknown_name(f"regime of {dataset.name}", regime, dataset.regimes)
    return regime


def find_task(name: str) -> Task:
    """Return the task of this name, or raise a `UsageError` that names the nearest ones.

    A pretraining distribution (`poisson/pretrain`, …) can be evaluated on too, though no leaderboard ranks it.
    """
    if name not in _ALL_TASKS:
        raise unknown_name("task", name, _ALL_TASKS)
    return _ALL_TASKS[name]


def find_ranked_task(name: str) -> Task:
    """Return the task of this name if it is one of the benchmark's twelve, or raise a `UsageError`."""
    if name in _ALL_TASKS and name not in TASKS:
        raise UsageError(f"{name} is a pretraining distribution, not a task of the leaderboard: {', '.join(TASKS)}")
    return find_task(name)


def find_family(name: str) -> tuple[str, ...]:
    """Return the systems of a pretrained family, or raise a `UsageError`."""
    if name not in FAMILIES:
        raise unknown_name("family", name, FAMILIES)
    return FAMILIES[name]
