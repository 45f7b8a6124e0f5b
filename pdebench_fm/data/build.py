"""Builds of datasets: shards of Parquet in the Hub's own layout, resumable at any point."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError
from threadpoolctl import threadpool_limits

from pdebench_fm.data.beside_shards import FIGURES
from pdebench_fm.data.card import write_dataset_card
from pdebench_fm.data.catalogue import DATA_VERSION, SPLIT_SIZES, Dataset, find_regime, find_system
from pdebench_fm.data.definitions import check_definition, plugin_failure
from pdebench_fm.data.digest import combine, content_hashes, recipe_hashes
from pdebench_fm.data.manifest import MANIFEST_NAME, Manifest, Shard, Split, read_manifest, write_manifest
from pdebench_fm.data.rows import ShardWriter, block_rows
from pdebench_fm.data.statistics import STATISTICS_NAME
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.extensions.plugins import load_plugins, named_plugins
from pdebench_fm.files import atomic_path, folder_lock, is_unused, remove_parts, sha256_of, write_atomically
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.physics import REFERENCE_RESOLUTION, SYSTEMS, SampleKey, sample
from pdebench_fm.version import __version__

RESOLUTIONS = (64, 128, 256, 512)
"""Resolutions that can be built: the sources are resolved from 64² up."""

_SHARD_VALUES = 512 * 128 * 128  # grid points of a shard's sources; about 50 MB of compressed Parquet
_STATE_FOLDER = ".build"
_STATE_NAME = "state.json"
_CARD_NAME = "card.json"


@dataclass(frozen=True)
class BuildPlan:
    """What is to be built.

    Attributes:
        dataset: from the catalogue; `regimes`: some or all of its regimes.
        rows: rows of each split.
        resolution: points a side, one of `RESOLUTIONS`.
        version: of the data; `seed`: of the sampling.
    """

    dataset: Dataset
    regimes: tuple[str, ...]
    rows: Mapping[str, int]
    resolution: int = REFERENCE_RESOLUTION
    version: str = DATA_VERSION
    seed: int = 0

    def __post_init__(self) -> None:
        """Check everything, so that nothing is written for a plan that cannot be built."""
        for regime in self.regimes:
            find_regime(self.dataset, regime)
        if self.resolution not in RESOLUTIONS:
            valid = ", ".join(map(str, RESOLUTIONS))
            raise UsageError(f"resolution {self.resolution} cannot be built: choose one of {valid}")
        for split, rows in self.rows.items():
            if rows < 0:
                raise UsageError(f"a split cannot have {rows} rows ({split})")
        if not any(self.rows.values()):
            raise UsageError("a build needs at least one row")

    @property
    def shards(self) -> "list[ShardPlan]":
        """The shards of all splits, in order."""
        return [shard for regime in self.regimes for split in self.rows for shard in self.shards_of(regime, split)]

    def shards_of(self, regime: str, split: str) -> "list[ShardPlan]":
        """The shards of one split, of equal length but for one row; none for an empty split."""
        rows = self.rows[split]
        size = _SHARD_VALUES // self.resolution**2
        count = -(-rows // size)
        key = self.dataset.key(regime, split, self.version, self.seed)
        return [
            ShardPlan(
                key=key,
                path=f"{regime}/{split}-{i:05d}-of-{count:05d}.parquet",
                start=rows * i // count,
                stop=rows * (i + 1) // count,
                resolution=self.resolution,
            )
            for i in range(count)
        ]


@dataclass(frozen=True)
class ShardPlan:
    """One shard: rows `start` to `stop` of a stream, and where they go in the dataset's folder."""

    key: SampleKey
    path: str
    start: int
    stop: int
    resolution: int


class Sealed(BaseModel):
    """A file of the build's own memory, with a checksum: what was damaged in it is never gone on with.

    Attributes:
        checksum: SHA-256 of the rest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checksum: str = ""

    def sealed(self) -> Self:
        """Return the same with its checksum."""
        rest = self.model_dump_json(exclude={"checksum"}).encode()
        return self.model_copy(update={"checksum": hashlib.sha256(rest).hexdigest()})

    def write(self, path: Path) -> None:
        """Write with the checksum, atomically."""
        write_atomically(path, self.sealed().model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read what `write` wrote; None if it is missing or damaged."""
        try:
            found = cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        return found if found == found.sealed() else None


class BuildState(Sealed):
    """What a dataset's folder holds or is becoming, written before the first shard.

    Attributes:
        dataset, version, seed, resolution: as in the plan; one folder has one of each.
        rows: rows of each split, by regime.
    """

    dataset: str
    version: str
    seed: int
    resolution: int
    rows: dict[str, dict[str, int]]


class ShardRecord(Sealed):
    """What is known of a finished shard, kept beside it for the manifest.

    Attributes:
        plan: that the shard is of; `shard`: its file.
        recipe_hashes, content_hashes: of each row.
    """

    plan: str
    shard: Shard
    recipe_hashes: tuple[str, ...]
    content_hashes: tuple[str, ...]


class CardRecord(Sealed):
    """The SHA-256 of what was measured and drawn for the card, by path, so that nothing damaged is taken for it."""

    files: dict[str, str]


def build(
    plan: BuildPlan,
    out: Path,
    *,
    executor: Executor | None = None,
    on_shard: Callable[[Shard], None] = lambda _: None,
) -> Path:
    """Build a dataset into `out/<dataset>`; killed at any point, the same call goes on and ends with the same digests.

    Args:
        plan: what to build.
        out: the parent folder.
        executor: runs the shards; in this process, one after the other, by default.
        on_shard: called as each shard is finished or found finished.

    Returns:
        The dataset's folder: `manifest.json`, `README.md` with its `statistics.json` and `figures/`, and
        `<regime>/<split>-*.parquet`.

    Raises:
        UsageError: if the folder holds something else than this build, whole or in part, or rows of the same system by
            another definition.
        UserCodeError: if the code of a plug-in's system raises an exception.
        PdefmError: if a shard cannot be written (a full disk, say); running again goes on. Or if another build writes
            to the folder now, or a regime that was finished before is no longer whole.
    """
    folder = out.absolute() / plan.dataset.name  # workers may have another working directory
    _joined_state(plan, folder)  # refuses a folder before anything is written to it
    with folder_lock(folder):
        _build(plan, folder, executor, on_shard)
        remove_parts(folder)  # of a cluster's worker that was lost
    return folder


def _build(plan: BuildPlan, folder: Path, executor: Executor | None, on_shard: Callable[[Shard], None]) -> None:
    """Build into a folder that no other build writes to."""
    state = _joined_state(plan, folder)
    state.write(folder / _STATE_FOLDER / _STATE_NAME)
    others = _finished_before(plan, state, folder)
    records = {record.shard.path: record for records in others.values() for record in records}
    missing: list[ShardPlan] = []
    for shard in plan.shards:
        record = _finished(shard, folder)
        if record is None:
            missing.append(shard)
        else:
            records[shard.path] = record
            on_shard(record.shard)
    for record in _run(missing, folder, executor):
        records[record.shard.path] = record
        on_shard(record.shard)
    manifest = _manifest(plan, {regime: state.rows[regime] for regime in (*plan.regimes, *others)}, records)
    _write_card(manifest, folder)
    write_manifest(manifest, folder)


def build_shard(plan: ShardPlan, folder: Path, plugins: Sequence[str] = ()) -> ShardRecord:
    """Make one shard and its record; a worker's task, and a pure function of the plan.

    Args:
        plan: of the shard.
        folder: the dataset's.
        plugins: named where the build was started, in whose environment a cluster's worker need not be.
    """
    if plan.key.system not in SYSTEMS:
        load_plugins(plugins)
    find_system(plan.key.system)
    try:
        return _build_shard(plan, folder)
    except Exception as error:
        if failure := plugin_failure(error):
            raise failure from error
        raise


def _build_shard(plan: ShardPlan, folder: Path) -> ShardRecord:
    recipes: list[bytes] = []
    contents: list[bytes] = []
    path = folder / plan.path
    keep_freed_memory()
    with atomic_path(path) as temporary, threadpool_limits(1):  # shards are the parallel unit, not small products
        with ShardWriter(temporary, plan.resolution) as writer:
            step = block_rows(plan.resolution)
            for start in range(plan.start, plan.stop, step):
                rows = sample(plan.key, range(start, min(plan.stop, start + step)), plan.resolution)
                recipes += recipe_hashes(rows.draws)
                contents += content_hashes(rows)
                writer.write(rows)
        shard = Shard(
            path=plan.path, rows=plan.stop - plan.start, bytes=temporary.stat().st_size, sha256=sha256_of(temporary)
        )
    record = ShardRecord(
        plan=repr(plan),
        shard=shard,
        recipe_hashes=tuple(row.hex() for row in recipes),
        content_hashes=tuple(row.hex() for row in contents),
    )
    record.write(_record_path(plan, folder))
    return record


def _record_path(plan: ShardPlan, folder: Path) -> Path:
    return folder / _STATE_FOLDER / f"{plan.path.replace('/', '--')}.json"


def _finished(plan: ShardPlan, folder: Path) -> ShardRecord | None:
    """Return the record of a shard that is there, of this plan and intact; None if it must be made."""
    path = folder / plan.path
    record = ShardRecord.read(_record_path(plan, folder))
    if record is None or record.plan != repr(plan):
        return None
    if not path.is_file() or path.stat().st_size != record.shard.bytes:
        return None
    if sha256_of(path) != record.shard.sha256:
        return None
    check_definition(path, plan.key, plan.start, plan.resolution)
    return record


def _run(plans: Sequence[ShardPlan], folder: Path, executor: Executor | None) -> Iterator[ShardRecord]:
    """Yield the records of shards as they are finished."""
    if executor is None:
        for plan in plans:
            yield build_shard(plan, folder)
        return
    futures: list[Future[ShardRecord]] = [executor.submit(build_shard, plan, folder, named_plugins()) for plan in plans]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:  # after a failure or an interrupt, what has not begun is not worth beginning
        for future in futures:
            future.cancel()


def _joined_state(plan: BuildPlan, folder: Path) -> BuildState:
    """Return the state of the folder with this plan added, or refuse a folder that holds something else."""
    rows = {regime: {split: n for split, n in plan.rows.items() if n} for regime in plan.regimes}
    state = BuildState(
        dataset=plan.dataset.name, version=plan.version, seed=plan.seed, resolution=plan.resolution, rows=rows
    )
    path = folder / _STATE_FOLDER / _STATE_NAME
    if not path.exists():
        if not is_unused(folder):
            raise UsageError(f"{folder} already holds something that is not a build: choose another folder")
        return state
    held = BuildState.read(path)
    if held is None:
        raise PdefmError(f"{path} is damaged: restore it, or remove {folder} and build again")
    for name in ("dataset", "version", "seed", "resolution"):
        if getattr(held, name) != getattr(state, name):
            raise UsageError(
                f"{folder} holds a build with {name} {getattr(held, name)}, not {getattr(state, name)}: "
                "choose another folder"
            )
    for regime, wanted in rows.items():
        if held.rows.get(regime, wanted) != wanted:
            raise UsageError(f"{folder} holds {regime} with other rows ({held.rows[regime]}): choose another folder")
    return state.model_copy(update={"rows": {**held.rows, **rows}})


def _finished_before(plan: BuildPlan, state: BuildState, folder: Path) -> dict[str, list[ShardRecord]]:
    """Return the records of the regimes that the folder holds whole besides those of this plan.

    Raises:
        PdefmError: if the manifest lists one that is no longer whole.
    """
    finished = {}
    for regime in state.rows.keys() - set(plan.regimes):
        shards = replace(plan, regimes=(regime,), rows=state.rows[regime]).shards
        records = [record for shard in shards if (record := _finished(shard, folder)) is not None]
        if len(records) == len(shards):
            finished[regime] = records
        elif regime in _listed(folder):
            raise PdefmError(
                f"{folder / regime} was built before and is damaged: build that regime again first, which repairs it"
            )
    return finished


def _write_card(manifest: Manifest, folder: Path) -> None:
    """Write the card; what was measured and drawn before is used again if it is as it was written."""
    record = folder / _STATE_FOLDER / _CARD_NAME
    known = CardRecord.read(record) or CardRecord(files={})
    paths = (STATISTICS_NAME, *FIGURES.values())
    for path in paths:
        if (folder / path).is_file() and known.files.get(path) != sha256_of(folder / path):
            (folder / path).unlink()
    write_dataset_card(manifest, folder)
    CardRecord(files={path: sha256_of(folder / path) for path in paths}).write(record)


def _listed(folder: Path) -> set[str]:
    """Return the regimes that a manifest lists; none where it is missing or damaged, as it is written anew."""
    try:
        return {split.regime for split in read_manifest(folder / MANIFEST_NAME).splits}
    except PdefmError:
        return set()


def _manifest(plan: BuildPlan, rows: Mapping[str, Mapping[str, int]], records: Mapping[str, ShardRecord]) -> Manifest:
    """Return the manifest of these rows of each regime, from the records of their shards."""
    splits: list[Split] = []
    for regime in (regime for regime in plan.dataset.regimes if regime in rows):
        whole = replace(plan, regimes=(regime,), rows=rows[regime])
        for split in (split for split in SPLIT_SIZES if rows[regime].get(split)):
            of_split = [records[shard.path] for shard in whole.shards_of(regime, split)]
            splits.append(
                Split(
                    regime=regime,
                    split=split,
                    rows=rows[regime][split],
                    recipe_digest=combine(bytes.fromhex(row) for record in of_split for row in record.recipe_hashes),
                    content_digest=combine(bytes.fromhex(row) for record in of_split for row in record.content_hashes),
                    shards=tuple(record.shard for record in of_split),
                )
            )
    return Manifest(
        dataset=plan.dataset.name,
        version=plan.version,
        seed=plan.seed,
        resolution=plan.resolution,
        package_version=__version__,
        splits=tuple(splits),
    )
