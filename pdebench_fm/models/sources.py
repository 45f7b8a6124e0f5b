"""Where a model's files come from: a directory, or a repository on the Hugging Face Hub."""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from huggingface_hub import constants
from pydantic import ValidationError

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import sha256_of
from pdebench_fm.hub.failures import HubError
from pdebench_fm.hub.repository import DownloadOptions, Repository, hub_client
from pdebench_fm.limits import CARD_BYTES, CONFIG_BYTES, HEADER_BYTES, RECORD_BYTES, read_limited
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.weights import PICKLE_SUFFIXES, WEIGHTS_NAME, check_weights, refuse_pickle

CONFIG_NAME = "config.json"
RECORD_NAME = "training.json"
CARD_NAME = "README.md"
MODEL_FILES = (CONFIG_NAME, WEIGHTS_NAME, RECORD_NAME, CARD_NAME)
"""All that a model's repository is downloaded for; a directory of a model may lack the last two."""

_logger = logging.getLogger("pdebench_fm")


@dataclass(frozen=True)
class ModelSource:
    """Which weights a model was loaded from, so that a result can name them.

    Attributes:
        model_id: Zoo name, Hub id, or the directory as it was given.
        revision: Commit on the Hub, `"package"` for weights that came with this package, None for a directory.
        directory: Where the files lie.
        weights_sha256: SHA-256 of `model.safetensors`.
    """

    model_id: str
    revision: str | None
    directory: Path
    weights_sha256: str


def source_in(directory: Path, model_id: str, revision: str | None = None) -> ModelSource:
    """Return the source whose files lie in `directory`.

    Configuration and header of the weights are held to each other before the weights are read.

    Raises:
        PdefmError: If the directory lacks `config.json` or `model.safetensors`, or they do not fit each other.
    """
    weights = directory / WEIGHTS_NAME
    if not weights.is_file():
        for file in sorted(directory.glob("*")):
            if file.suffix.lower() in PICKLE_SUFFIXES:
                refuse_pickle(file)
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (directory / name).is_file():
            raise PdefmError(
                f"{model_id} is not a model: it has no {name} (a model is a directory or Hub repository "
                f"with {CONFIG_NAME} and {WEIGHTS_NAME}, as save_pretrained writes it)"
            )
    check_weights(weights, read_config(directory).tensors)
    return ModelSource(model_id, revision, directory, sha256_of(weights))


def source_on_hub(
    model_id: str,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> ModelSource:
    """Download a model repository, or find it in the cache.

    Args:
        model_id: `"organisation/name"`.
        revision: Branch, tag or commit; None for the default branch.
        token: The Hub's access token; None for the one of `hf auth login`.
        cache_dir: Where the Hub's client keeps its downloads, if not in the usual place.
        force_download: Download even what is cached.
        local_files_only: Do not use the network.

    Returns:
        The source; its revision is the commit that was found.

    Raises:
        PdefmError: If there is no such repository or revision, no access, or no network.
    """
    repository = Repository(hub_client(token=token), model_id, "model", _logger.warning)
    try:
        directory = download_model(
            repository, revision, cache_dir=cache_dir, force=force_download, local=local_files_only
        )
    except HubError as error:
        raise PdefmError(f"cannot read {model_id!r} as a directory here or a model on the Hub: {error}") from error
    if not (directory / WEIGHTS_NAME).is_file() and not (local_files_only or constants.HF_HUB_OFFLINE):
        with suppress(HubError):  # then what is missing is said without it
            there = repository.snapshot(directory.name)
            refuse_pickles_among(model_id, there.files if there is not None else ())
    return source_in(directory, model_id, revision=directory.name)


def download_model(repository: Repository, revision: str | None = None, **options: Unpack[DownloadOptions]) -> Path:
    """Bring a model's files into the Hub's cache: its configuration first, then weights of the size that it implies.

    Args:
        repository: The model's.
        revision: Branch, tag or commit; None for the default branch.
        options: Of `Repository.download`.

    Returns:
        The folder; its name is the commit.

    Raises:
        PdefmError: If the configuration is no model's, or a file is larger than it may be; it is not downloaded then.
    """
    folder = repository.download([CONFIG_NAME], revision, most={CONFIG_NAME: CONFIG_BYTES}, **options)
    if not (folder / CONFIG_NAME).is_file():
        return folder
    most = {
        WEIGHTS_NAME: 4 * read_config(folder).parameters + HEADER_BYTES,
        RECORD_NAME: RECORD_BYTES,
        CARD_NAME: CARD_BYTES,
    }
    return repository.download(MODEL_FILES, folder.name, most=most, **options)


def refuse_pickles_among(model_id: str, names: Iterable[str]) -> None:
    """Raise a PdefmError if there is a pickle among the files of a Hub repository; it is never downloaded."""
    for name in sorted(names):
        if Path(name).suffix.lower() in PICKLE_SUFFIXES:
            refuse_pickle(Path(model_id, name))


def read_config(directory: Path) -> ModelConfig:
    """Read and validate `config.json`.

    Raises:
        PdefmError: If it is not a model's configuration, naming the first field that is wrong.
    """
    path = directory / CONFIG_NAME
    try:
        return ModelConfig.model_validate_json(read_limited(path, CONFIG_BYTES))
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f"field {field!r}: " if field else ""
        what = first["msg"].removeprefix("Value error, ")
        raise PdefmError(f"{path} is not a model configuration of this version: {where}{what}") from error
