"""Which models there are: in the package, in the Hub's cache, and as recipes; and bringing one into that cache."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.folders import expanded
from pdebench_fm.hub.failures import HubError
from pdebench_fm.hub.repository import Repository, hub_client
from pdebench_fm.limits import CARD_BYTES, CONFIG_BYTES, RECORD_BYTES, read_limited
from pdebench_fm.models.baselines import BASELINES
from pdebench_fm.models.builders import plugins
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.loading import (
    not_shipped,
    recipe_directory,
    recipe_names,
    split_reference,
    zoo_directory,
    zoo_folder,
    zoo_names,
)
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sources import (
    CARD_NAME,
    CONFIG_NAME,
    RECORD_NAME,
    download_model,
    read_config,
    refuse_pickles_among,
    source_in,
)
from pdebench_fm.models.weights import WEIGHTS_NAME, check_weights
from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.zoo.stated_scores import StatedScore, stated_scores

Home = Literal["package", "checkout", "hub cache", "recipe", "folder"]
"""Where a model lives: a recipe has no weights."""


@dataclass(frozen=True)
class ZooEntry:
    """A model that can be loaded or, where it is a recipe, trained.

    Attributes:
        name: what `load_model` takes: a zoo name or a Hub id.
        home: where it lives.
        folder: where its files lie.
        config: its architecture.
        scores: those that its card states; empty without a card.
        commit: the revision of a model in the Hub's cache.
        refs: the names by which that revision was asked for, such as "v1.0.0" and "main".
    """

    name: str
    home: Home
    folder: Path
    config: ModelConfig
    scores: tuple[StatedScore, ...]
    commit: str | None = None
    refs: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many real numbers the model has to learn."""
        return self.config.parameters

    @property
    def revision(self) -> str:
        """The name of the revision: a tag before a branch, else the commit; empty for what is not of the Hub."""
        return min(self.refs, key=lambda ref: (ref == "main", ref), default=self.commit or "")

    @property
    def card(self) -> Path:
        """Its README."""
        return self.folder / CARD_NAME

    def pretraining_error(self, system: str) -> float | None:
        """Return the zero-shot error on a system's pretraining distribution, if the card states it."""
        found = [score.error for score in self.scores if score.task == f"{system}/pretrain" and score.shots == 0]
        return found[0] if found else None


@dataclass(frozen=True)
class Unusable:
    """A model that is here and cannot be used.

    Attributes:
        name: of a zoo model, or a Hub id.
        reason: why, in one line.
    """

    name: str
    reason: str


def zoo_entries(unusable: list[Unusable] | None = None) -> list[ZooEntry]:
    """Return the models of the package and its checkout, then those in the Hub's cache, then the recipes.

    Args:
        unusable: to which those are added that cannot be used: none of them keeps the others from being listed.
    """
    folders = {name: zoo_folder(name) for name in zoo_names()}
    shipped = [
        _Place(name, "package" if folder.parent == zoo_directory() else "checkout", folder)
        for name, folder in folders.items()
    ]
    recipes = [_Place(name, "recipe", recipe_directory() / name) for name in recipe_names()]
    return [*_usable(shipped, unusable), *cached_models(unusable), *_usable(recipes, unusable)]


def cached_models(unusable: list[Unusable] | None = None) -> list[ZooEntry]:
    """Return this package's models in the Hub's cache, by name and then newest first; others there are passed over.

    Args:
        unusable: as in `zoo_entries`.
    """
    try:
        repositories = scan_cache_dir().repos
    except (CacheNotFound, RuntimeError):  # the latter for a user without a home, who has no cache
        return []
    except (OSError, ValueError) as error:  # a file in place of the folder, or one that may not be read
        if unusable is not None:
            unusable.append(Unusable("the Hub's cache", str(error)))
        return []
    models = sorted((repo for repo in repositories if repo.repo_type == "model"), key=lambda repo: repo.repo_id)
    places = [
        _Place(repo.repo_id, "hub cache", folder, revision.commit_hash, tuple(sorted(revision.refs)))
        for repo in models
        for revision in sorted(repo.revisions, key=lambda revision: -revision.last_modified)
        if _is_ours(folder := Path(revision.snapshot_path))
    ]
    return _usable(places, unusable)


def list_models() -> list[str]:
    """Return what `load_model` takes here: the package's models, those in the Hub's cache, baselines, and plug-ins.

    A folder, any other model on the Hub and a file of one's own can be loaded too.
    """
    loadable = dict.fromkeys(entry.name for entry in zoo_entries() if entry.home != "recipe")
    return [*loadable, *BASELINES, *plugins()]


def find_card(reference: str) -> Path:
    """Return the folder with a model's card and training record; of a Hub model that is not in the cache, a download.

    Args:
        reference: as `find_entry` takes it.

    Raises:
        UsageError: if there is no such model, here or on the Hub.
        PdefmError: if it is not what it should be, or has no card.
    """
    named = None if reference in zoo_names() or expanded(reference).is_dir() else split_reference(reference)
    folder = find_entry(reference).folder if named is None or _is_cached(*named) else _download_card(reference, *named)
    if not (folder / CARD_NAME).is_file():
        raise PdefmError(f"{reference} has no card: there is no {CARD_NAME} in {folder}")
    return folder


def _is_cached(name: str, wanted: str | None) -> bool:
    unusable: list[Unusable] = []
    held = [entry for entry in cached_models(unusable) if entry.name == name]
    known = any(wanted is None or wanted in (*entry.refs, entry.commit) for entry in held)
    return known or any(found.name == name for found in unusable)


def _download_card(reference: str, name: str, wanted: str | None) -> Path:
    """Return the folder of a Hub model's card and training record, which alone are downloaded."""
    sizes = {CARD_NAME: CARD_BYTES, RECORD_NAME: RECORD_BYTES}
    try:
        return Repository(hub_client(), name, "model").download([*sizes], wanted, most=sizes)
    except HubError as error:
        raise UsageError(
            f"{name} is neither a folder nor in the Hub's cache here, and the Hub does not give its card: {error}; "
            f"`pdefm zoo pull {reference}` would bring all of it"
        ) from error


def find_entry(reference: str, revision: str | None = None) -> ZooEntry:
    """Return the model of the package, a folder, the Hub's cache or the recipes that a user names.

    Args:
        reference: a zoo name, a folder, or a Hub id with `@revision` or without.
        revision: a tag, branch or commit of a Hub id; by default main, else the newest that is in the cache.

    Raises:
        UsageError: if there is no such model here.
        PdefmError: if it is here, but not what it should be.
    """
    if not reference.strip():
        raise UsageError("a model is given by a name, a folder or a Hub id")
    if expanded(reference).is_file():
        raise UsageError(f"{reference} is a file: a card is that of a folder, a zoo name or a Hub id")
    if reference not in zoo_names() and expanded(reference).is_dir():
        return _Place(reference, "folder", expanded(reference)).entry()
    named = split_reference(reference, revision)
    unusable: list[Unusable] = []
    if named is None:
        entries = {entry.name: entry for entry in zoo_entries(unusable) if entry.home != "hub cache"}
        _refuse_unusable(reference, unusable)
        if reference not in entries:
            if "/" in reference:
                raise UsageError(
                    f"no folder {reference}: a model is a zoo name, a folder, or a Hub id 'organisation/name'"
                )
            raise not_shipped(reference) or unknown_name("model", reference, entries)
        return entries[reference]
    name, wanted = named
    held = [entry for entry in cached_models(unusable) if entry.name == name]
    fitting = [entry for entry in held if wanted is None or wanted in (*entry.refs, entry.commit)]
    if not fitting:
        _refuse_unusable(name, unusable)
        has = f" at {wanted}, only at {', '.join(entry.revision for entry in held)}" if held else ""
        raise UsageError(f"{name} is not in the Hub's cache here{has}: `pdefm zoo pull {reference}` brings it")
    return next((entry for entry in fitting if "main" in entry.refs), fitting[0])


def _refuse_unusable(name: str, unusable: Iterable[Unusable]) -> None:
    for found in unusable:
        if found.name == name:
            raise PdefmError(f"{name} cannot be used: {found.reason}")


def pull_model(
    reference: str,
    revision: str | None = None,
    *,
    token: str | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> ZooEntry:
    """Download a model into the Hub's cache and check every tensor of it against its configuration.

    Args:
        reference: a Hub id, or a zoo name, which means the one of this project's own namespace; with `@revision` or
            without.
        revision: a tag, branch or commit; main by default.
        token: of the Hub; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds, between attempts.

    Returns:
        The model in the cache.

    Raises:
        UsageError: if the reference cannot be, or there is no such model or revision.
        PdefmError: if what is there is not a model of this package, or the Hub fails.
    """
    named = split_reference(reference if "/" in reference else f"{HOME_ORGANISATION}/{reference}", revision)
    if named is None:
        raise UsageError(f"{reference!r} is neither a Hub id, 'organisation/name', nor the name of a zoo model")
    name, wanted = named[0], named[1] or "main"
    repository = Repository(hub_client(endpoint, token), name, "model", on_wait, sleep)
    there = repository.snapshot(wanted)
    if there is None:
        raise UsageError(
            f"the Hub has no model {name} at revision {wanted}, or your token may not see it: check the names, "
            "and for a private model log in with `hf auth login` or set HF_TOKEN"
        )
    if WEIGHTS_NAME not in there.files:
        refuse_pickles_among(name, there.files)
    folder = download_model(repository, wanted, renew=True)
    NeuralOperator.from_source(source_in(folder, name, there.commit))
    return _Place(name, "hub cache", folder, there.commit, (wanted,) if wanted != there.commit else ()).entry()


@dataclass(frozen=True)
class _Place:
    """Where a model's files are: the attributes are those of `ZooEntry`."""

    name: str
    home: Home
    folder: Path
    commit: str | None = None
    refs: tuple[str, ...] = ()

    def entry(self) -> ZooEntry:
        """Return the model, once configuration and weights were held to each other by their headers.

        Raises:
            PdefmError: if they are not what they should be.
        """
        config = read_config(self.folder)
        if self.home != "recipe":
            check_weights(self.folder / WEIGHTS_NAME, config.tensors)
        try:
            scores = stated_scores(self.folder)
        except PdefmError:  # no card of ours: it can be used all the same
            scores = ()
        return ZooEntry(self.name, self.home, self.folder, config, scores, self.commit, self.refs)


def _usable(places: Iterable[_Place], unusable: list[Unusable] | None) -> list[ZooEntry]:
    """Return the models that can be used, and add the others to `unusable`."""
    entries = []
    for place in places:
        try:
            entries.append(place.entry())
        except (PdefmError, OSError) as error:
            if unusable is not None:
                unusable.append(Unusable(place.name, str(error)))
    return entries


def _is_ours(folder: Path) -> bool:
    """Return whether a cached folder has weights, and a configuration that means to be of this package."""
    try:
        content = json.loads(read_limited(folder / CONFIG_NAME, CONFIG_BYTES))
        return isinstance(content, dict) and "normaliser" in content and (folder / WEIGHTS_NAME).is_file()
    except (PdefmError, OSError, ValueError, RecursionError):
        return False
