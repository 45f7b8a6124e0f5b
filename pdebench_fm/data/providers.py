"""Where a split's rows come from: made on the spot from the sampling function, or read from a stored dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pdebench_fm.data.batches import Batch, batch_of
from pdebench_fm.data.catalogue import SPLIT_SIZES
from pdebench_fm.physics import REFERENCE_RESOLUTION, SampleKey, sample


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


@dataclass(frozen=True)
class RecipeRows:
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
