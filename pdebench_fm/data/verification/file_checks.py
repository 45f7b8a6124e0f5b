"""What is checked of a stored dataset's files: the manifest against itself, and the folder against the manifest."""

import re
from collections.abc import Iterator
from pathlib import Path

from pdebench_fm.data.benchmark import BENCHMARK_NAME, benchmark_file
from pdebench_fm.data.beside_shards import CARD_NAME, FIGURES_FOLDER
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import MANIFEST_NAME, Manifest
from pdebench_fm.data.statistics import STATISTICS_NAME
from pdebench_fm.data.verification.checks import Check
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import sha256_of
from pdebench_fm.limits import CARD_BYTES, read_limited

_BESIDE_SHARDS = re.compile(
    "|".join(
        [*map(re.escape, (MANIFEST_NAME, STATISTICS_NAME, CARD_NAME, BENCHMARK_NAME)), rf"{FIGURES_FOLDER}/[^/]+\.png"]
    )
)


def manifest_check(manifest: Manifest) -> Check:
    """Check that a manifest names what the catalogue has, each split and each shard once, with rows that add up."""
    regimes = find_dataset(manifest.dataset).regimes
    problems = [] if manifest.splits else ["it lists no splits"]
    seen: set[str] = set()
    for split in manifest.splits:
        name = f"{split.regime}/{split.split}"
        if split.regime not in regimes:
            problems.append(f"{manifest.dataset} has no regime {split.regime!r}")
        if name in seen:
            problems.append(f"{name} is listed twice")
        seen.add(name)
        if (held := sum(shard.rows for shard in split.shards)) != split.rows:
            problems.append(f"{name} has {split.rows} rows, its shards {held}")
        count = len(split.shards)
        for i, shard in enumerate(split.shards):
            if shard.path != (right := f"{name}-{i:05d}-of-{count:05d}.parquet"):
                problems.append(f"shard {i} of {name} is {shard.path!r}, not {right!r}")
    return Check.of("manifest", problems, f"{manifest.dataset} {manifest.version}, {len(manifest.splits)} splits")


def file_checks(manifest: Manifest, folder: Path) -> Iterator[Check]:
    """Check that exactly the manifest's shards are there, with their sizes and hashes.

    Files and folders whose name begins with a dot are nobody's data and are passed over.
    """
    shards = [shard for split in manifest.splits for shard in split.shards]
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    held = [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]
    missing = [f"{shard.path} is missing" for shard in shards if shard.path not in held]
    yield Check.of("missing shards", missing, f"all {len(shards)} are there")
    listed = {shard.path for shard in shards}
    extra = [path for path in held if path not in listed and not _BESIDE_SHARDS.fullmatch(path)]
    yield Check.of("extra files", [f"{path} is not in the manifest" for path in extra], "none")
    present = [shard for shard in shards if shard.path in held]
    sizes = [(shard, (folder / shard.path).stat().st_size) for shard in present]
    wrong = [f"{shard.path} has {size} bytes, not {shard.bytes}" for shard, size in sizes if size != shard.bytes]
    yield Check.of("size", wrong, f"{sum(size for _, size in sizes) / 1e6:,.1f} MB in all")
    hashes = [(shard, sha256_of(folder / shard.path)) for shard in present]
    changed = [
        f"{shard.path} has SHA-256 {found[:12]}…, not {shard.sha256[:12]}…"
        for shard, found in hashes
        if found != shard.sha256
    ]
    yield Check.of("SHA-256", changed, f"as in the manifest for {len(hashes)} shards")


def benchmark_check(manifest: Manifest, folder: Path) -> Check:
    """Check that `eval.yaml`, which publishing adds, registers the tasks that the manifest's test splits are."""
    path = folder / BENCHMARK_NAME
    name, due = "benchmark registration", benchmark_file(manifest)
    if not path.is_file():
        return Check.of(name, [], f"no {BENCHMARK_NAME} here: it is added by publishing")
    try:
        held = read_limited(path, CARD_BYTES)
    except PdefmError as error:
        return Check.of(name, [str(error)], "")
    problems = (
        [] if held == due else [f"{BENCHMARK_NAME} is not what this package writes for the manifest's test splits"]
    )
    return Check.of(name, problems, f"{BENCHMARK_NAME} has a task for each regime")
