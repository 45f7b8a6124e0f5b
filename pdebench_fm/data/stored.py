"""Reading stored datasets: from the Arrow buffers of the `datasets` cache straight to tensors.

The `Array2D` feature gives stock users (n, n) arrays, but decodes each through Python lists. Here the same
memory-mapped Arrow values are viewed as one array and rows are gathered from it.

The shards are those of the manifest, not those that a card's metadata may map a split to; and the cache's key holds
their digest, as the library's own key of a folder is the same for two folders of one name.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pdebench_fm.data.batches import Batch
from pdebench_fm.data.blocks import DamagedShardError, check_shard, samples_of, table_blocks
from pdebench_fm.data.catalogue import Dataset
from pdebench_fm.data.digest import stored_columns
from pdebench_fm.data.manifest import MANIFEST_NAME, Manifest, Shard, Split, read_manifest
from pdebench_fm.data.providers import MapStyle
from pdebench_fm.data.verification.before_use import check_fields, check_files, check_split, refusal
from pdebench_fm.data.verification.checks import Block
from pdebench_fm.data.verification.file_checks import manifest_check
from pdebench_fm.errors import PdefmError
from pdebench_fm.limits import MANIFEST_BYTES
from pdebench_fm.physics import SampleKey, Samples

_CHUNK = 8  # rows whose fields are made again together, as in `physics.sampling`

_logger = logging.getLogger("pdebench_fm")


@dataclass(frozen=True)
class StoredRows(MapStyle):
    """The rows of a stored split, memory-mapped, none of which is handed out before it was checked.

    Nothing is read, or downloaded, before the first row or the content digest is asked for. Then the whole split's
    recipes, digests and files are checked, and after that the fields of each row that is read for the first time.
    `verification.before_use` says what each check stops.

    Attributes:
        key, resolution: from the manifest; `held`: what it says of the split.
        location, revision: as in `SplitRows`.
        locate: returns the file here that is this shard's.
    """

    key: SampleKey
    resolution: int
    held: Split
    location: str
    revision: str | None
    locate: Callable[[Shard], Path]

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.held.rows

    @property
    def content_digest(self) -> str:
        """Digest of the stored values: the manifest's, once the values were found to have it.

        Raises:
            AlteredRowsError: if the split is not what it should be.
        """
        self._table  # noqa: B018 (checks it)
        return self.held.content_digest

    @property
    def stated_digest(self) -> str:
        """The content digest as the manifest states it, whether or not the values have been looked at."""
        return self.held.content_digest

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the rows with these indices, in this order.

        Raises:
            AlteredRowsError: if the split, or a field of one of these rows, is not what it should be.
        """
        rows = np.asarray(indices, dtype=np.int64)
        self._check_fields(np.unique(rows[~self._remade[rows]]))
        return Batch(*(torch.from_numpy(self._gather(name, rows)) for name in ("source", "coefficients", "solution")))

    @cached_property
    def _table(self) -> pa.Table:
        """All rows, in the columns of the row schema, after everything but their fields was checked."""
        files = [self.locate(shard) for shard in self.held.shards]
        damaged = check_files(self.held, files)
        try:
            table = _read(self.held, files, self.resolution)
        except PdefmError as error:
            raise refusal(self.location, self.held, damaged or [str(error)]) from error
        check_split(self.location, self.held, self.key, self.resolution, table, damaged)
        return table

    @cached_property
    def _remade(self) -> NDArray[np.bool_]:
        """Which rows' fields were made again and found to be right."""
        return np.zeros(self.size, np.bool_)

    @cached_property
    def _columns(self) -> dict[str, list[NDArray[Any]]]:
        """Views of the columns' values, chunk by chunk."""
        blocks = list(table_blocks(self._table, self.key, self.resolution, whole_chunks=True))
        columns = [stored_columns(block) for block in blocks]
        return {name: [block[name] for block in columns] for name in columns[0]}

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first row of each chunk, and the number of rows."""
        return np.cumsum([0, *map(len, self._columns["index"])], dtype=np.int64)

    def _check_fields(self, rows: NDArray[np.int64]) -> None:
        """Make the fields of rows again, (R,) ascending, and remember which were found to be right."""
        ends = np.cumsum([shard.rows for shard in self.held.shards])
        for shard, end in zip(self.held.shards, ends, strict=True):
            of_shard = rows[(end - shard.rows <= rows) & (rows < end)]
            for start in range(0, len(of_shard), _CHUNK):
                some = of_shard[start : start + _CHUNK]
                stored = self._samples(some)
                places = [int(row) for row in some - (end - shard.rows)]
                check_fields(self.location, self.held, [Block(shard.path, places, stored, stored.draws)])
                self._remade[some] = True

    def _samples(self, rows: NDArray[np.int64]) -> Samples:
        """Return these rows whole."""
        columns = {name: self._gather(name, rows) for name in self._columns}
        return samples_of(columns, self.key)

    def _gather(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        chunks = self._columns[name]
        out = np.empty((len(rows), *chunks[0].shape[1:]), chunks[0].dtype)
        of_chunk = np.searchsorted(self._starts, rows, side="right") - 1
        for i, (chunk, row) in enumerate(zip(of_chunk, rows, strict=True)):
            out[i] = chunks[chunk][row - self._starts[chunk]]
        return out


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
        revision, shown = None, folder.name
        locate = partial(_file_in, folder)
    else:
        path, _, named = location.partition("@")
        manifest, revision = _manifest_from_hub(path, named or None)
        shown = path
        locate = partial(_file_from_hub, path, revision)
    if manifest.dataset != dataset.name:
        raise PdefmError(f"{location} holds {manifest.dataset}, not {dataset.name}")
    if not (sound := manifest_check(manifest)).passed:
        raise PdefmError(f"the {MANIFEST_NAME} of {location} makes no sense: {sound.detail}")
    held = manifest.find(regime, split)
    key = dataset.key(regime, split, manifest.version, manifest.seed)
    return StoredRows(key, manifest.resolution, held, shown, revision, locate)


def _manifest_from_hub(repository: str, revision: str | None) -> tuple[Manifest, str]:
    """Return a repository's manifest and the commit it is from."""
    folder = _download(repository, MANIFEST_NAME, revision, MANIFEST_BYTES)
    if not (folder / MANIFEST_NAME).is_file():
        raise PdefmError(f"{repository} has no {MANIFEST_NAME}: it is not a dataset of this package")
    return read_manifest(folder / MANIFEST_NAME), folder.name


def _file_in(folder: Path, shard: Shard) -> Path:
    """Return a folder's file."""
    return folder / shard.path


def _file_from_hub(repository: str, commit: str, shard: Shard) -> Path:
    """Return the copy here of a repository's shard at a commit, downloaded if it is not here yet."""
    return _download(repository, shard.path, commit, shard.bytes) / shard.path


def _download(repository: str, path: str, revision: str | None, most: int) -> Path:
    """Return the folder of a revision's files here, among them this one if the repository has it, of at most a size."""
    from pdebench_fm.hub.failures import HubError
    from pdebench_fm.hub.repository import Repository, hub_client

    try:
        hub = Repository(hub_client(), repository, "dataset", _logger.warning)
        return hub.download([path], revision, most={path: most})
    except HubError as error:
        raise PdefmError(f"cannot read {repository!r} as a folder or a Hub dataset: {error}") from error


def _read(split: Split, files: Sequence[Path], resolution: int) -> pa.Table:
    """Return the rows of a split's shards, memory-mapped by the `datasets` library.

    Raises:
        PdefmError: if they cannot be read, or would unfold on disk to something else than the manifest's rows.
    """
    from datasets.exceptions import DatasetsError

    from pdebench_fm.data.arrow_cache import cached_table

    for shard, path in zip(split.shards, files, strict=True):
        try:
            check_shard(path, shard.rows, resolution)
        except DamagedShardError as error:
            raise PdefmError(f"{shard.path}: {error}") from error
    try:
        return cached_table(f"{split.regime}-{split.content_digest[:32]}", split.split, files)
    except (DatasetsError, OSError, ValueError, pa.ArrowException) as error:
        reason = str(error.__cause__ or error).strip() or type(error).__name__
        raise PdefmError(f"its shards cannot be read: {reason.splitlines()[0]}") from error
