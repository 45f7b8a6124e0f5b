"""Reading stored datasets: from the Arrow buffers of the `datasets` cache straight to tensors.

The `Array2D` feature gives stock users (n, n) arrays, but decodes each through Python lists. Here the same
memory-mapped Arrow values are viewed as one array and rows are gathered from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pdebench_fm.data.batches import Batch
from pdebench_fm.data.catalogue import Dataset
from pdebench_fm.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from pdebench_fm.errors import PdefmError
from pdebench_fm.physics import SampleKey


@dataclass(frozen=True)
class StoredRows:
    """The rows of a stored split, memory-mapped.

    Attributes:
        key, resolution, content_digest: from the manifest; the rest as in `SplitRows`.
        columns: chunks of each column's values, row by row.
        starts: (chunks + 1,) first row of each chunk.
    """

    key: SampleKey
    resolution: int
    content_digest: str
    location: str
    revision: str | None
    columns: dict[str, list[NDArray[np.float32]]]
    starts: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the rows with these indices, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        return Batch(*(self._gather(name, rows) for name in ("source", "coefficients", "solution")))

    def _gather(self, name: str, rows: NDArray[np.int64]) -> torch.Tensor:
        chunks = self.columns[name]
        out = np.empty((len(rows), *chunks[0].shape[1:]), np.float32)
        of_chunk = np.searchsorted(self.starts, rows, side="right") - 1
        for i, (chunk, row) in enumerate(zip(of_chunk, rows, strict=True)):
            out[i] = chunks[chunk][row - self.starts[chunk]]
        return torch.from_numpy(out)


def open_split(location: str, dataset: Dataset, regime: str, split: str) -> StoredRows:
    """Open a split of a built folder or a Hub repository.

    Args:
        location: the dataset's folder or its parent, or `org/name`, with `@revision` if not the newest.
        dataset: the dataset that is expected there.
        regime: which of its configurations.
        split: train, validation or test.

    Raises:
        PdefmError: if there is no finished build of this dataset, or it lacks the split.
    """
    folder = Path(location)
    if folder.is_dir():
        if not (folder / MANIFEST_NAME).exists() and (folder / dataset.name).is_dir():
            folder = folder / dataset.name
        manifest = read_manifest(folder / MANIFEST_NAME)
        path, revision, shown = str(folder), None, folder.name
    else:
        path, _, named = location.partition("@")
        manifest, revision = _manifest_from_hub(path, named or None)
        shown = path
    if manifest.dataset != dataset.name:
        raise PdefmError(f"{location} holds {manifest.dataset}, not {dataset.name}")
    held = manifest.find(regime, split)
    columns, starts = _read(path, regime, split, revision, manifest.resolution)
    if starts[-1] != held.rows:
        raise PdefmError(f"{location} has {starts[-1]} rows of {regime}/{split}, its manifest says {held.rows}")
    key = dataset.key(regime, split, manifest.version, manifest.seed)
    return StoredRows(key, manifest.resolution, held.content_digest, shown, revision, columns, starts)


def _manifest_from_hub(repository: str, revision: str | None) -> tuple[Manifest, str]:
    """Return a repository's manifest and the commit it is from."""
    from huggingface_hub import HfApi, hf_hub_download

    from pdebench_fm.hub.failures import HUB_ERRORS, explain

    try:
        commit = HfApi().dataset_info(repository, revision=revision).sha
        path = hf_hub_download(repository, MANIFEST_NAME, repo_type="dataset", revision=commit)
    except HUB_ERRORS as error:
        reason = explain(error, repository)
        raise PdefmError(f"cannot read {repository!r} as a folder or a Hub dataset: {reason}") from error
    if commit is None:
        raise PdefmError(f"the Hub names no commit for {repository!r}")
    return read_manifest(Path(path)), commit


def _read(
    path: str, regime: str, split: str, revision: str | None, resolution: int
) -> tuple[dict[str, list[NDArray[np.float32]]], NDArray[np.int64]]:
    """Return views of the columns' values, chunk by chunk, and the first row of each chunk."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    from pdebench_fm.hub.failures import HUB_ERRORS

    try:
        table = load_dataset(path, regime, split=split, revision=revision).with_format("arrow").data.table
    except (*HUB_ERRORS, DatasetsError, pa.ArrowException) as error:
        reason = str(error.__cause__ or error).strip() or type(error).__name__
        raise PdefmError(f"cannot read {regime}/{split} of {path}: {reason.splitlines()[0]}") from error
    shapes = {"source": (resolution, resolution), "solution": (resolution, resolution), "coefficients": (6,)}
    columns = {
        name: [_values(chunk).reshape(-1, *shape) for chunk in table.column(name).chunks]
        for name, shape in shapes.items()
    }
    lengths = [len(chunk) for chunk in columns["source"]]
    return columns, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _values(array: pa.Array) -> NDArray[np.float32]:
    """Return the innermost values of nested lists, without a copy."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    while pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    values: NDArray[np.float32] = array.to_numpy(zero_copy_only=True)
    return values
