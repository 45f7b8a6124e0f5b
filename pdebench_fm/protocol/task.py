"""A task with its rows: the test split to score on and the support sets to adapt to, on either track."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from pdebench_fm.data.batches import Batch, concatenate, every_nth_point
from pdebench_fm.data.catalogue import DATA_VERSION, DATASETS, TASKS, Task, all_datasets, find_task
from pdebench_fm.data.definitions import check_on_tensors
from pdebench_fm.data.digest import combine, recipe_hashes
from pdebench_fm.data.providers import RecipeRows, SplitRows
from pdebench_fm.data.stored import open_split
from pdebench_fm.data.training_manifest import SEEDS
from pdebench_fm.errors import UsageError
from pdebench_fm.physics import SampleKey, draw
from pdebench_fm.protocol.tracks import Track, find_track, support_indices
from pdebench_fm.text import html_table

_CHUNK = 512


@dataclass(frozen=True, repr=False)
class EvaluationTask:
    """One task of the benchmark and where its rows come from.

    Attributes:
        task: the catalogue's entry.
        train, test: rows of the two splits; nothing of `train` outside a support set is ever looked at.
        data: the folder or repository that rows are read from; None where they are made.
    """

    task: Task
    train: SplitRows
    test: SplitRows
    data: str | None = None

    @property
    def name(self) -> str:
        """`<dataset>/<regime>`."""
        return self.task.name

    def __repr__(self) -> str:
        """Return the task in a line."""
        facts = "; ".join(f"{what}: {value}" for what, value in self._facts())
        return f"EvaluationTask({self.name!r}; {facts})"

    def _repr_html_(self) -> str:
        """Return the task as a table, as notebooks show it."""
        return html_table(self.name, (), self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """Return what is to be known of the task, by what it is called."""
        system = self.task.dataset.system
        return [
            ("equation", system.equation),
            ("varied", system.range_of(self.task.regime.name)),
            (
                "rows",
                f"{self.train.size:,} train, {self.test.size:,} test, {self.test.resolution}×{self.test.resolution}",
            ),
            ("from", self.data if self.data is not None else f"recipes of data version {self.test.key.version}"),
        ]

    def test_rows(self, track: Track) -> int:
        """Return how many test rows a track scores."""
        wanted = find_track(track).test_rows
        return self.test.size if wanted is None else min(wanted, self.test.size)

    def test_batch(self, track: Track) -> Batch:
        """Return the rows that are scored, at the track's resolution."""
        return rows_at(self.test, range(self.test_rows(track)), track)

    def test_parameters(self, track: Track) -> list[float]:
        """Return the varied parameter (e, Ψ, ω) of each row that is scored."""
        return _drawn(self.test.key, self.test_rows(track))[1]

    def support_indices(self, shots: int, seed: int) -> list[int]:
        """Return which rows of the train split are a run's support set.

        Raises:
            UsageError: if `shots` is negative or larger than the train split.
        """
        return support_indices(self.name, shots, self.train.size, seed)

    @cached_property
    def validation(self) -> SplitRows:
        """The rows of the validation split, opened when first asked for: only the paper's recipe looks at them.

        Raises:
            PdefmError: if stored rows cannot be read.
        """
        if self.data is not None:
            return open_split(self.data, self.task.dataset, self.task.regime.name, "validation")
        key = self.train.key
        return RecipeRows(self.task.dataset.key(self.task.regime.name, "validation", key.version, key.seed))

    def recipe_digest(self, track: Track) -> str:
        """Return the digest of the draws behind the rows that are scored."""
        return _drawn(self.test.key, self.test_rows(track))[0]


def list_tasks(*, pretraining: bool = False) -> list[str]:
    """Return the names of the tasks that `load_task` knows: the benchmark's twelve, then those of plug-ins.

    Args:
        pretraining: whether the benchmark's pretraining distributions, which no leaderboard ranks, are among them.

    Raises:
        PdefmError: if a plug-in cannot be loaded.
    """
    datasets = all_datasets()
    names = [f"{dataset.name}/{regime}" for dataset in datasets.values() for regime in dataset.regimes]
    return [name for name in names if pretraining or name in TASKS or name.partition("/")[0] not in DATASETS]


def load_task(name: str, data: str | None = None, *, version: str = DATA_VERSION, seed: int = 0) -> EvaluationTask:
    """Return a task, ready to be evaluated on.

    Args:
        name: `<dataset>/<regime>`, such as "helmholtz-ood/medium".
        data: None makes the rows on the spot from the sampling function, the same recipes as what is published;
            a folder or a Hub repository (`org/name`, `org/name@revision`) reads stored rows instead.
        version: of the dataset, where rows are made.
        seed: of the sampling, where rows are made; 0 is what is published, another one gives a fresh, private task.

    Raises:
        UsageError: for an unknown task, or one of a plug-in whose symbol cannot be scored with; for a seed that is no
            whole number, or of more than 53 bits.
        PdefmError: if stored rows cannot be read.
    """
    task = find_task(name)
    if type(seed) is not int or abs(seed) >= SEEDS:
        raise UsageError(f"a sampling seed is a whole number of up to 53 bits, not {seed!r}")
    check_on_tensors(task.dataset.system)
    if data is not None:
        train, test = (open_split(data, task.dataset, task.regime.name, split) for split in ("train", "test"))
        return EvaluationTask(task, train, test, data)
    keys = (task.dataset.key(task.regime.name, split, version, seed) for split in ("train", "test"))
    train_rows, test_rows = (RecipeRows(key) for key in keys)
    return EvaluationTask(task, train_rows, test_rows)


def rows_at(rows: SplitRows, indices: Sequence[int], track: Track) -> Batch:
    """Return rows on a track's grid: every second, fourth, … point of theirs; on a finer grid, made on it.

    They are made or read some at a time, so that the finer grid never needs much memory.

    Raises:
        UsageError: if the rows' grid has no such points, and they were read rather than made.
    """
    definition = find_track(track)
    if isinstance(rows, RecipeRows) and definition.resolution > rows.resolution:
        rows = replace(rows, resolution=definition.resolution)
    stride, rest = divmod(rows.resolution, definition.resolution)
    if rest:
        raise UsageError(
            f"rows of {rows.resolution}×{rows.resolution} points cannot serve the {definition.name} track "
            f"({definition.resolution}×{definition.resolution}): build them at a multiple of it"
        )
    starts = range(0, len(indices), _CHUNK) if len(indices) else range(1)
    return concatenate([every_nth_point(rows.batch(indices[start : start + _CHUNK]), stride) for start in starts])


@lru_cache(maxsize=32)
def _drawn(key: SampleKey, rows: int) -> tuple[str, list[float]]:
    """Return the recipe digest and the varied parameters of the first `rows` samples, drawn once."""
    hashes: list[bytes] = []
    parameters: list[float] = []
    for start in range(0, rows, _CHUNK):
        draws = draw(key, range(start, min(rows, start + _CHUNK)))
        hashes += recipe_hashes(draws)
        parameters += [float(value) for value in draws.parameter]
    return combine(hashes), parameters
