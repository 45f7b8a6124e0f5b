"""A task with its rows: the test split to score on and the support sets to adapt to, on either track."""

from dataclasses import dataclass

from pdebench_fm.data.batches import Batch, every_nth_point
from pdebench_fm.data.catalogue import DATA_VERSION, Task, find_task
from pdebench_fm.data.digest import recipe_digest
from pdebench_fm.data.providers import RecipeRows, SplitRows
from pdebench_fm.data.stored import open_split
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.protocol import TrackDefinition, find_track, support_indices
from pdebench_fm.evaluation.result import DatasetRecord, Track


@dataclass(frozen=True)
class EvaluationTask:
    """One task of the benchmark and where its rows come from.

    Attributes:
        task: the catalogue's entry.
        train, test: rows of the two splits; nothing of `train` outside a support set is ever looked at.
    """

    task: Task
    train: SplitRows
    test: SplitRows

    @property
    def name(self) -> str:
        """`<dataset>/<regime>`."""
        return self.task.name

    def test_rows(self, track: Track) -> int:
        """Return how many test rows a track scores."""
        wanted = find_track(track).test_rows
        return self.test.size if wanted is None else min(wanted, self.test.size)

    def test_batch(self, track: Track) -> Batch:
        """Return the rows that are scored, at the track's resolution."""
        return _at_resolution(self.test, range(self.test_rows(track)), find_track(track))

    def support(self, shots: int, seed: int, track: Track) -> Batch:
        """Return the support set of a run, at the track's resolution.

        Raises:
            UsageError: if `shots` is negative or larger than the train split.
        """
        indices = support_indices(self.name, shots, self.train.size, seed)
        return _at_resolution(self.train, indices, find_track(track))

    def record(self, track: Track) -> DatasetRecord:
        """Return the provenance of the scored rows."""
        test = self.test
        return DatasetRecord(
            name=self.task.dataset.name,
            regime=self.task.regime.name,
            version=test.key.version,
            origin="recipe" if test.content_digest is None else "rows",
            recipe_digest=recipe_digest(test.key, self.test_rows(track)),
            content_digest=test.content_digest,
            location=test.location,
            revision=test.revision,
        )


def load_task(name: str, data: str | None = None, *, version: str = DATA_VERSION, seed: int = 0) -> EvaluationTask:
    """Return a task, ready to be evaluated on.

    Args:
        name: `<dataset>/<regime>`, such as "helmholtz-ood/medium".
        data: None makes the rows on the spot from the sampling function, the same recipes as what is published;
            a folder or a Hub repository (`org/name`, `org/name@revision`) reads stored rows instead.
        version: of the dataset, where rows are made.
        seed: of the sampling, where rows are made; 0 is what is published, another one gives a fresh, private task.

    Raises:
        UsageError: for an unknown task.
        PdefmError: if stored rows cannot be read.
    """
    task = find_task(name)
    if data is not None:
        train, test = (open_split(data, task.dataset, task.regime.name, split) for split in ("train", "test"))
        return EvaluationTask(task, train, test)
    keys = (task.dataset.key(task.regime.name, split, version, seed) for split in ("train", "test"))
    train_rows, test_rows = (RecipeRows(key) for key in keys)
    return EvaluationTask(task, train_rows, test_rows)


def _at_resolution(rows: SplitRows, indices: "range | list[int]", track: TrackDefinition) -> Batch:
    """Return rows on the track's grid: every second, fourth, … point of theirs."""
    stride, rest = divmod(rows.resolution, track.resolution)
    if rest:
        raise UsageError(
            f"rows of {rows.resolution}×{rows.resolution} points cannot serve the {track.name} track "
            f"({track.resolution}×{track.resolution}): build them at a multiple of it"
        )
    return every_nth_point(rows.batch(indices), stride)
