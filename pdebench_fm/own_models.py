"""This package's own models by their digests, also those whose weights are too large to come with it."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter

from pdebench_fm.contracts import Contract
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RECORD_BYTES, read_limited

PLACE = Path(str(files("pdebench_fm"))) / "zoo" / "own.json"
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class OwnModel(Contract):
    """What is known of a model of this package.

    Attributes:
        name: of the zoo.
        fingerprint: of configuration and weights.
        scores: digest of the scores in its card; None of a model that was trained for its results alone, whose weights
            were not kept.
    """

    name: str
    fingerprint: Digest
    scores: Digest | None


_MODELS: Final = TypeAdapter(dict[str, OwnModel])


def own_models() -> Mapping[str, OwnModel]:
    """Return this package's models by the SHA-256 of their weights."""
    return _read(PLACE)


def own_names() -> list[str]:
    """Return the names of this package's models, sorted."""
    return sorted(own.name for own in own_models().values())


def has_kept(weights_sha256: str | None) -> bool:
    """Return whether these are the weights of a model of this package, and were kept."""
    own = None if weights_sha256 is None else own_models().get(weights_sha256)
    return own is not None and own.scores is not None


def write_own_models(models: Mapping[str, OwnModel]) -> None:
    """Write them, sorted by name."""
    ordered = sorted(models.items(), key=lambda item: item[1].name)
    content = {weights: model.model_dump() for weights, model in ordered}
    write_atomically(PLACE, json.dumps(content, indent=2) + "\n")
    _read.cache_clear()


@cache
def _read(place: Path) -> Mapping[str, OwnModel]:
    return _MODELS.validate_json(read_limited(place, RECORD_BYTES)) if place.is_file() else {}
