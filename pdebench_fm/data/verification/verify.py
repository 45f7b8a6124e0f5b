"""Verification of a stored dataset: its files against the manifest, its digests, and its rows against their recipes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import MANIFEST_NAME, Manifest, Split, read_manifest
from pdebench_fm.data.statistics import STATISTICS_NAME, first_difference, read_statistics
from pdebench_fm.data.verification.checks import ROW_CHECKS, Check, Tally
from pdebench_fm.data.verification.file_checks import benchmark_check, file_checks, manifest_check
from pdebench_fm.data.verification.readme_check import readme_check
from pdebench_fm.data.verification.row_pass import RowPass
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.limits import DATASET_SLACK_BYTES, MANIFEST_BYTES
from pdebench_fm.physics import SYSTEMS

__all__ = ["Check", "Report", "verify"]

_logger = logging.getLogger("pdebench_fm")


@dataclass(frozen=True)
class Report:
    """The outcome of a verification."""

    location: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)


def verify(
    location: str,
    *,
    revision: str | None = None,
    sample: int = 256,
    seed: int = 0,
    on_check: Callable[[Check], None] = lambda _: None,
    on_rows: Callable[[int, int], None] = lambda _done, _total: None,
) -> Report:
    """Check a built dataset in full, and remake a sample of its rows.

    Every file is hashed and every row is read: digests, draws, ranges and sizes are checked of all rows, the fields of
    `sample` rows of each split, at least one of every shard, are built again. Memory does not grow with the rows.

    Args:
        location: a dataset's folder, a folder of several, or a Hub dataset `org/name`, which is downloaded.
        revision: tag, branch or commit of a Hub dataset (or write `org/name@revision`).
        sample: rows of each split that are built again; 0 builds none.
        seed: of the choice of those rows.
        on_check: called with each check as it is done.
        on_rows: called with the number of rows read so far and in all.

    Returns:
        A report; what is wrong with a dataset is a failed check in it, never an exception.

    Raises:
        UsageError: if nothing can be verified as asked.
        PdefmError: if there is no build at that location, or its manifest cannot be read.
    """
    if sample < 0:
        raise UsageError(f"a sample cannot have {sample} rows")
    folders = _find_builds(location, revision)
    checks: list[Check] = []
    for folder in folders:
        manifest = read_manifest(folder / MANIFEST_NAME)
        dataset = find_dataset(manifest.dataset)
        for check in _checks(manifest, folder, sample, seed, on_rows):
            named = check if len(folders) == 1 else replace(check, name=f"{dataset.name}: {check.name}")
            checks.append(named)
            on_check(named)
    return Report(location, tuple(checks))


def _find_builds(location: str, revision: str | None) -> list[Path]:
    """Return the folders of the datasets at a location, downloaded where it is not a folder."""
    folder = Path(location)
    if not folder.is_dir():
        return [_download(location, revision)]
    if revision is not None:
        raise UsageError(f"{location} is a folder, which has no revisions")
    if (folder / MANIFEST_NAME).exists():
        return [folder]
    inside = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}"))
    if not inside:
        raise PdefmError(f"{location} has no {MANIFEST_NAME}: it is not a finished build of a dataset")
    return inside


def _download(location: str, revision: str | None) -> Path:
    """Return the local copy of a Hub dataset at a revision."""
    from pdebench_fm.hub.failures import HubError
    from pdebench_fm.hub.repository import Repository, hub_client

    repository, _, named = location.partition("@")
    try:
        hub = Repository(hub_client(), repository, "dataset", _logger.warning)
        folder = hub.download([MANIFEST_NAME], revision or named, most={MANIFEST_NAME: MANIFEST_BYTES})
        if not (folder / MANIFEST_NAME).is_file():
            return folder
        manifest = read_manifest(folder / MANIFEST_NAME)
        shards = sum(shard.bytes for split in manifest.splits for shard in split.shards)
        return hub.download(["*"], folder.name, most={"*": shards + DATASET_SLACK_BYTES})
    except HubError as error:
        raise PdefmError(f"cannot read {location!r} as a folder or a Hub dataset: {error}") from error


def _checks(
    manifest: Manifest, folder: Path, sample: int, seed: int, on_rows: Callable[[int, int], None]
) -> Iterator[Check]:
    """Yield the checks of one dataset: first of its files, then all that one pass over its rows finds."""
    yield (first := manifest_check(manifest))
    if not first.passed:
        return
    yield from file_checks(manifest, folder)
    yield readme_check(manifest, folder)
    yield benchmark_check(manifest, folder)
    system = find_dataset(manifest.dataset).system_name
    tallies = [Tally(check) for check in ROW_CHECKS if system in (check.systems or SYSTEMS)]
    with threadpool_limits(1):  # as in builds: the products are small
        passes = _read_rows(manifest, folder, tallies, sample, seed, on_rows)
    yield Check.of("readable shards", [p for done in passes for p in done.damaged], "every row could be read")
    yield Check.of("rows", [p for done in passes for p in done.miscounted], "as many in each shard as in the manifest")
    yield from (tally.verdict() for tally in tallies)
    shared = "no two rows of the build have the same weights and coefficients"
    yield Check.of("shared rows", [p for done in passes for p in done.shared], shared)
    digests = [done.digest_problems() for done in passes]
    for i, name in enumerate(("content digest", "recipe digest")):
        yield Check.of(
            name, [p for of_split in digests for p in of_split[i]], f"as in the manifest for {len(passes)} splits"
        )
    yield _statistics_check(passes, folder)


def _read_rows(
    manifest: Manifest,
    folder: Path,
    tallies: Sequence[Tally],
    sample: int,
    seed: int,
    on_rows: Callable[[int, int], None],
) -> list[RowPass]:
    """Read every split into the tallies, and return what else was found in each."""
    dataset = find_dataset(manifest.dataset)
    total = sum(split.rows for split in manifest.splits)
    seen: dict[bytes, str] = {}
    passes: list[RowPass] = []
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        on_rows(done, total)

    for i, split in enumerate(manifest.splits):
        random = np.random.default_rng((seed, i))
        sampled = sampled_rows(split, sample, random)
        key = dataset.key(split.regime, split.split, manifest.version, manifest.seed)
        passes.append(RowPass(split, key, folder, manifest.resolution, sampled, tallies, seen))
        passes[-1].run(advance)
    return passes


def sampled_rows(split: Split, sample: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return which rows of a split are made again, ascending: one of every shard at least, unless none is wanted."""
    if sample == 0:
        return np.empty(0, np.int64)
    rows = [shard.rows for shard in split.shards]
    of_shards = np.cumsum([0, *rows[:-1]]) + random.integers(rows)
    others = np.setdiff1d(np.arange(split.rows), of_shards)
    more = random.choice(others, min(max(0, sample - len(of_shards)), len(others)), replace=False)
    return np.sort(np.concatenate([of_shards, more]))


def _statistics_check(passes: Sequence[RowPass], folder: Path) -> Check:
    """Check `statistics.json`, from which the card's numbers come, against what the pass measured."""
    name = "statistics"
    whole = [done for done in passes if done.meter.rows == done.split.rows]
    measured = {f"{done.split.regime}/{done.split.split}": done.meter.result(done.split) for done in whole}
    sizes = "; ".join(
        f"{split}: rms(u) {found.solution.rms:.3g}, u from {found.solution.minimum:.3g} to {found.solution.maximum:.3g}"
        for split, found in measured.items()
    )
    try:
        held = read_statistics(folder)
    except PdefmError as error:
        return Check(name, passed=False, detail=str(error))
    problems = []
    for stated in held.regimes if held else ():
        found = measured.get(f"{stated.regime}/{stated.split}")
        if found is not None and (wrong := first_difference(stated, found)):
            problems.append(f"{STATISTICS_NAME}, {stated.regime}: {wrong}")
    return Check.of(name, problems, sizes)
