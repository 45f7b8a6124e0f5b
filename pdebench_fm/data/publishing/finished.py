"""Whether a folder is a finished build: everything its manifest promises is there and intact, and no other data."""

from collections.abc import Callable
from pathlib import Path

from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import MANIFEST_NAME, Manifest, Shard, read_manifest
from pdebench_fm.data.verification.file_checks import manifest_check
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import sha256_of

_SHOWN = 3  # files that an error names


def finished_build(folder: Path, on_shard: Callable[[Shard, int], None] = lambda *_: None) -> Manifest:
    """Return the manifest of a finished build, after reading and hashing every shard of it.

    Args:
        folder: the dataset's folder.
        on_shard: called before each shard is read, with the number of all.

    Raises:
        PdefmError: if the folder has no valid manifest, a shard is missing, truncated or altered, or there are Parquet
            files that the manifest does not list.
    """
    manifest = read_manifest(folder / MANIFEST_NAME)
    try:
        find_dataset(manifest.dataset)
    except UsageError as error:
        raise PdefmError(f"{folder} holds a dataset that this package does not know: {error}") from error
    declared = manifest_check(manifest)
    if not declared.passed:
        raise PdefmError(f"{folder / MANIFEST_NAME} contradicts itself: {declared.detail}")
    if not manifest.splits:
        raise PdefmError(f"{folder / MANIFEST_NAME} lists no splits: there is nothing in this build")
    shards = [shard for split in manifest.splits for shard in split.shards]
    listed = {shard.path for shard in shards}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}
    if extra := sorted(present - listed):
        raise PdefmError(
            f"{folder} holds Parquet files that its manifest does not list ({_some(extra)}): "
            "finish the build that makes them, or remove them"
        )
    damaged = []
    for shard in shards:
        on_shard(shard, len(shards))
        if fault := _fault(folder / shard.path, shard):
            damaged.append(f"{shard.path} {fault}")
    if damaged:
        raise PdefmError(
            f"{folder} is not a finished build, {len(damaged)} of its {len(shards)} shards cannot be used "
            f"({_some(damaged)}): run the build again, it makes them anew"
        )
    return manifest


def _fault(path: Path, shard: Shard) -> str | None:
    """Return what is wrong with a shard's file, None if nothing is."""
    try:
        size = path.stat().st_size
        if size != shard.bytes:
            return f"has {size} bytes instead of {shard.bytes}"
        return None if sha256_of(path) == shard.sha256 else "has other content than was built"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _some(names: list[str]) -> str:
    """Return the first few names, and how many there are besides."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
