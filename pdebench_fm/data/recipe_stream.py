"""The recipe form of a dataset: batches built from their recipes as they are needed, on the device that needs them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from pdebench_fm.data.batches import Batch, batch_of
from pdebench_fm.data.catalogue import DATA_VERSION, find_dataset, find_regime, find_system
from pdebench_fm.data.definitions import check_on_tensors
from pdebench_fm.errors import UsageError
from pdebench_fm.physics import REFERENCE_RESOLUTION, SampleKey, draw, sample
from pdebench_fm.physics.sampling import SPLITS, build_fields


class RecipeStream(IterableDataset[Batch]):
    """Rows 0, 1, 2, … of a split, in batches, from their recipes: without end, or up to a number of rows.

    The stream is its position, so row 7 is the same row however it is reached, and `start` enters it anywhere. Batches
    are dealt in turn to the ranks of a distributed run and to the workers of a `DataLoader` (which must be given
    `batch_size=None`, as batches are made here), so that together they see each row once.

    Attributes:
        key: the names that determine the rows.
        resolution: points a side.
        batch_size: rows of a batch; the last batch of a finite stream may be smaller.
        start, rows: the first row, and the row to stop before (None: never).
        device: where the fields are built and stay.
        rank, world_size: this process's place in a distributed run.
    """

    def __init__(
        self,
        key: SampleKey,
        *,
        resolution: int,
        batch_size: int,
        start: int,
        rows: int | None,
        device: str | torch.device,
        rank: int,
        world_size: int,
    ) -> None:
        """Describe the stream; nothing is made before it is iterated."""
        super().__init__()
        if batch_size < 1:
            raise UsageError(f"a batch needs at least one row, not {batch_size}")
        if start < 0 or not 0 <= rank < world_size:
            raise UsageError(f"start {start} must not be negative, and rank {rank} must be below {world_size}")
        if resolution < 64 or resolution % 64:
            raise UsageError(f"resolution {resolution} does not resolve the sources: choose a multiple of 64")
        if torch.device(device).type != "cpu":
            check_on_tensors(find_system(key.system))
        self.key = key
        self.resolution = resolution
        self.batch_size = batch_size
        self.start = start
        self.rows = rows
        self.device = torch.device(device)
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[Batch]:
        """Yield this consumer's batches."""
        find_system(self.key.system)  # which a loader's worker may not know yet
        info = get_worker_info()
        workers, worker = (1, 0) if info is None else (info.num_workers, info.id)
        consumers, consumer = self.world_size * workers, self.rank * workers + worker
        first = self.start + consumer * self.batch_size
        while self.rows is None or first < self.rows:
            stop = first + self.batch_size if self.rows is None else min(first + self.batch_size, self.rows)
            yield self.batch(first, stop)
            first += consumers * self.batch_size

    def batch(self, start: int, stop: int) -> Batch:
        """Return rows start … stop−1, on the stream's device."""
        indices = np.arange(start, stop)
        if self.device.type == "cpu":
            return batch_of(sample(self.key, indices, self.resolution))
        draws = draw(self.key, indices)
        weights, coefficients = (
            torch.from_numpy(array).to(self.device, torch.float64) for array in (draws.weights, draws.coefficients)
        )
        source, solution = build_fields(self.key.definition, weights, coefficients, self.resolution)
        return Batch(source.float(), coefficients.float(), solution.float())


def stream(
    task: str,
    split: str = "train",
    *,
    resolution: int = REFERENCE_RESOLUTION,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    start: int = 0,
    rows: int | None = None,
    version: str = DATA_VERSION,
    seed: int = 0,
) -> RecipeStream:
    """Stream the rows of a dataset's regime, built on the fly; endless unless `rows` is given.

    In a distributed run (`torch.distributed` initialised) each rank gets its share of the batches.

    Args:
        task: `<dataset>/<regime>`, `poisson/pretrain` and the like included.
        split: train, validation or test.
        resolution: points a side, a multiple of 64.
        batch_size: rows of a batch.
        device: where fields are built; needs float64, so not "mps".
        start: first row.
        rows: stop before this row.
        version: of the dataset.
        seed: of the sampling; 0 is what is published.

    Raises:
        UsageError: for an unknown dataset, regime or split, or an impossible size.
    """
    name, _, regime = task.partition("/")
    dataset = find_dataset(name)
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return RecipeStream(
        dataset.key(find_regime(dataset, regime), split, version, seed),
        resolution=resolution,
        batch_size=batch_size,
        start=start,
        rows=rows,
        device=device,
        rank=torch.distributed.get_rank() if distributed else 0,
        world_size=torch.distributed.get_world_size() if distributed else 1,
    )
