"""Whether the card gives users of the stock `datasets` library the manifest's files: the right ones for every split."""

from collections.abc import Iterator
from glob import escape
from pathlib import Path, PurePosixPath

from datasets.data_files import resolve_pattern, sanitize_patterns
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard

from pdebench_fm.data.beside_shards import CARD_NAME
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import Manifest
from pdebench_fm.data.verification.checks import Check
from pdebench_fm.front_matter import read_card_text

_KNOWN = {"data_files", "default"}
"""What our cards say of a configuration; anything else may lead the library to other files."""


def readme_check(manifest: Manifest, folder: Path) -> Check:
    """Check that the card's metadata maps each split of each configuration to the manifest's shards, in order."""
    name, path = "configurations", folder / CARD_NAME
    if not path.is_file():
        return Check.of(name, [f"{CARD_NAME} is missing"], "")
    try:
        card = DatasetCard(read_card_text(path))
        configs = MetadataConfigs.from_dataset_card_data(card.data)
    except Exception as error:  # noqa: BLE001 (a card is anybody's text: YAML's, the library's and Python's own errors)
        lines = str(error).strip().splitlines()
        return Check.of(name, [f"{CARD_NAME} cannot be read: {lines[0] if lines else type(error).__name__}"], "")
    problems = list(_problems(manifest, folder, configs))
    return Check.of(name, problems, f"{CARD_NAME} gives every split the manifest's files")


def _problems(manifest: Manifest, folder: Path, configs: MetadataConfigs) -> Iterator[str]:
    held: dict[str, dict[str, list[str]]] = {}
    for listed in manifest.splits:
        held.setdefault(listed.regime, {})[listed.split] = [shard.path for shard in listed.shards]
    for name in [name for name in configs if name not in held]:
        yield f"{CARD_NAME} has a configuration {name!r} that the manifest does not"
    default = find_dataset(manifest.dataset).default_regime
    for regime, splits in held.items():
        if regime not in configs:
            yield f"{CARD_NAME} has no configuration {regime!r}"
            continue
        config = configs[regime]
        for option in sorted(set(config) - _KNOWN):
            yield f"{CARD_NAME} sets {option!r} of {regime}, which our cards do not"
        if bool(config.get("default")) != (regime == default):
            yield f"{CARD_NAME}: the default configuration of {manifest.dataset} is {default}"
        patterns = sanitize_patterns(config.get("data_files", []))
        for split in [split for split in patterns if split not in splits]:
            yield f"{CARD_NAME} has a split {regime}/{split} that the manifest does not"
        for split, shards in splits.items():
            if (wrong := _difference(patterns.get(split, []), shards, folder)) is not None:
                yield f"{CARD_NAME} maps {regime}/{split} to {wrong}"


def _difference(patterns: list[str], shards: list[str], folder: Path) -> str | None:
    """Return in words what patterns lead to instead of these shards; None if it is them, in this order."""
    for pattern in patterns:
        if "://" in pattern or "::" in pattern or PurePosixPath(pattern).is_absolute() or ".." in pattern:
            return f"{pattern!r}, outside of the dataset"
    base = folder.resolve()
    found: list[str] = []
    for pattern in patterns:
        try:
            paths = resolve_pattern(pattern, escape(base.as_posix()))
        except FileNotFoundError:
            return f"{pattern!r}, which is no file"
        found += [Path(path).relative_to(base).as_posix() for path in paths]
    if found == shards:
        return None
    if not found:
        return "no files"
    if sorted(found) == sorted(shards):
        return f"its shards in another order, {found[0]} first"
    other = next((path for path in found if path not in shards), None)
    if other is not None:
        return f"{other}, not its shards"
    return f"{len(found)} files, not its {len(shards)} shards"
