"""The recipe form of a dataset: batches built from their recipes as they are needed, on the device that needs them."""

from collections.abc import Iterator
from multiprocessing.context import get_spawning_popen
from typing import Any

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
        place: this process's rank in a distributed run, and the number of ranks; None, which `stream` gives, asks
            PyTorch each time the stream is iterated, as a stream may be made before the processes meet.
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
        place: tuple[int, int] | None = None,
    ) -> None:
        """Describe the stream; nothing is made before it is iterated."""
        super().__init__()
        if batch_size < 1:
            raise UsageError(f"a batch needs at least one row, not {batch_size}")
        if start < 0:
            raise UsageError(f"start {start} must not be negative")
        if place is not None and not 0 <= place[0] < place[1]:
            raise UsageError(f"rank {place[0]} must not be negative, and below the number of ranks, {place[1]}")
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
        self.place = place

    def __iter__(self) -> Iterator[Batch]:
        """Yield this consumer's batches."""
        find_system(self.key.system)  # which a loader's worker may not know yet
        info = get_worker_info()
        workers, worker = (1, 0) if info is None else (info.num_workers, info.id)
        rank, ranks = self.place or _own_place()
        consumers, consumer = ranks * workers, rank * workers + worker
        first = self.start + consumer * self.batch_size
        while self.rows is None or first < self.rows:
            stop = first + self.batch_size if self.rows is None else min(first + self.batch_size, self.rows)
            yield self.batch(first, stop)
            first += consumers * self.batch_size

    def __getstate__(self) -> dict[str, Any]:
        """Return what a loader's new worker gets: it is in no distributed run, so it is told the place of its maker."""
        state = dict(self.__dict__)
        if get_spawning_popen() is not None and self.place is None:
            state["place"] = _own_place()
        return state

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

    In a distributed run (`torch.distributed` initialised when the stream is iterated) each rank gets its share of the
    batches.

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
    return RecipeStream(
        dataset.key(find_regime(dataset, regime), split, version, seed),
        resolution=resolution,
        batch_size=batch_size,
        start=start,
        rows=rows,
        device=device,
    )


def _own_place() -> tuple[int, int]:
    """Return this process's rank and the number of ranks, (0, 1) outside of a distributed run."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
