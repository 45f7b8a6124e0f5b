"""The manifest of a build: every shard with its size and hash, and the digests of every split."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from pdebench_fm.contracts import SHA256_PATTERN, VERSION_PATTERN, Contract
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import MANIFEST_BYTES, RESOLUTION, SPLIT_ROWS, read_limited

MANIFEST_NAME = "manifest.json"

Sha256 = Annotated[str, Field(pattern=f"^{SHA256_PATTERN}$")]
Rows = Annotated[PositiveInt, Field(le=SPLIT_ROWS)]
Version = Annotated[str, Field(pattern=f"^{VERSION_PATTERN}$")]


class Shard(Contract):
    """One Parquet file: `path` relative to the dataset's folder, rows, bytes and hash."""

    path: str
    rows: Rows
    bytes: PositiveInt
    sha256: Sha256


class Split(Contract):
    """One split of one regime, with the digests that name its recipes and its stored values."""

    regime: str
    split: Literal["train", "validation", "test"]
    rows: Rows
    recipe_digest: Sha256
    content_digest: Sha256
    shards: tuple[Shard, ...]


class Manifest(Contract):
    """What a dataset's folder holds.

    Attributes:
        manifest_version: of this file's layout.
        dataset: name in the catalogue; `version` is the data's, which the samples were drawn with.
        seed: of the sampling, 0 for everything published.
        resolution: points a side.
        package_version: of the package that built it.
        splits: in the order of the catalogue's regimes.
    """

    manifest_version: Literal[1] = 1
    dataset: str
    version: Version
    seed: NonNegativeInt = 0
    resolution: Annotated[PositiveInt, Field(le=RESOLUTION)]
    package_version: str
    splits: tuple[Split, ...]

    def find(self, regime: str, split: str) -> Split:
        """Return a split, or raise a `PdefmError` that says what the build holds."""
        for candidate in self.splits:
            if (candidate.regime, candidate.split) == (regime, split):
                return candidate
        held = ", ".join(f"{s.regime}/{s.split}" for s in self.splits)
        raise PdefmError(f"this build of {self.dataset} has no {regime}/{split}: it holds {held}")


def read_manifest(path: Path) -> Manifest:
    """Read `manifest.json`; a missing, newer or damaged one is a `PdefmError` that says so."""
    try:
        text = read_limited(path, MANIFEST_BYTES).decode()
    except FileNotFoundError as error:
        raise PdefmError(f"{path.parent} has no {MANIFEST_NAME}: it is not a finished build of a dataset") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PdefmError(f"cannot read {path}: {error}") from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        if place == "manifest_version":
            raise PdefmError(
                f"{path} has manifest version {first['input']!r}; this package reads version 1: upgrade pdebench-fm"
            ) from error
        raise PdefmError(f"{path} is not a valid manifest: {place}: {first['msg']}") from error


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write `manifest.json` atomically."""
    path = folder / MANIFEST_NAME
    write_atomically(path, manifest.model_dump_json(indent=2) + "\n")
    return path
