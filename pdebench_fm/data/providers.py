"""Where a split's rows come from: made on the spot from the sampling function, or read from a stored dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from pdebench_fm.data.batches import Batch, batch_of
from pdebench_fm.data.catalogue import SPLIT_SIZES
from pdebench_fm.physics import REFERENCE_RESOLUTION, SampleKey, sample
from pdebench_fm.whole_numbers import as_whole_number


class Row(TypedDict):
    """One row as PyTorch's loaders batch it: `source` and `solution` (n, n), `coefficients` (6,), all float32."""

    source: Tensor
    coefficients: Tensor
    solution: Tensor


class MapStyle(Dataset[Row]):
    """Rows as a map-style dataset of PyTorch's: `DataLoader(task.test, batch_size=32, shuffle=True)`."""

    @property
    def size(self) -> int:
        """Number of rows."""
        raise NotImplementedError

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the rows with these indices, in this order."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.size

    def __getitem__(self, index: int) -> Row:
        """Return a row, from the end if the index is negative.

        Raises:
            IndexError: if there is no such row.
            TypeError: for anything but a whole number, such as a slice.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """Return several rows at once, as PyTorch's loaders ask for them."""
        size, places = self.size, list(map(_whole, indices))
        if wrong := [place for place in places if not -size <= place < size]:
            raise IndexError(f"row {wrong[0]} of {size}")
        batch = self.batch([place % size for place in places])
        return [
            Row(source=batch.source[i], coefficients=batch.coefficients[i], solution=batch.solution[i])
            for i in range(len(batch))
        ]


def _whole(index: object) -> int:
    number = as_whole_number(index)
    if number is None:
        raise TypeError(f"a row is asked for by its number, not {index!r}: batch(range(8)) gives several")
    return number


class SplitRows(Protocol):
    """The rows of one split, wherever they come from."""

    @property
    def key(self) -> SampleKey:
        """The names its recipes follow from."""

    @property
    def size(self) -> int:
        """Number of rows."""

    @property
    def resolution(self) -> int:
        """Points a side."""

    @property
    def content_digest(self) -> str | None:
        """Digest of the stored values, for rows that were read, once they were found to have it; None for made ones."""

    @property
    def stated_digest(self) -> str | None:
        """The same as it is stated where the rows lie, for which none of them is read."""

    @property
    def location(self) -> str | None:
        """Folder or repository that rows were read from; None for rows that are made."""

    @property
    def revision(self) -> str | None:
        """Commit that rows were read from; None for a folder and for rows that are made."""

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the rows with these indices, in this order."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, index: int) -> Row:
        """Return a row."""


@dataclass(frozen=True)
class RecipeRows(MapStyle):
    """Rows made from their recipes when they are asked for: the same rows as the published ones, without a download."""

    key: SampleKey
    resolution: int = REFERENCE_RESOLUTION
    content_digest: None = None
    stated_digest: None = None
    location: None = None
    revision: None = None

    @property
    def size(self) -> int:
        """Rows of the published split."""
        return SPLIT_SIZES[self.key.split]

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the rows with these indices, in this order."""
        return batch_of(sample(self.key, np.asarray(indices, dtype=np.int64), self.resolution))
