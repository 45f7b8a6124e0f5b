"""Which models there are: in the package, in the Hub's cache, and as recipes; and bringing one into that cache."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import CachedRepoInfo, CachedRevisionInfo, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.hub.names import HOME_NAMESPACE
from pdebench_fm.hub.repository import Repository, hub_client
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.loading import recipe_directory, recipe_names, split_reference, zoo_directory, zoo_names
from pdebench_fm.models.operator import NeuralOperator, parameter_count
from pdebench_fm.models.sources import CARD_NAME, CONFIG_NAME, MODEL_FILES, read_config, refuse_pickles_among, source_in
from pdebench_fm.models.weights import WEIGHTS_NAME
from pdebench_fm.zoo.stated_scores import StatedScore, stated_scores

Home = Literal["package", "hub cache", "recipe"]
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
        return parameter_count(self.config)

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


def zoo_entries() -> list[ZooEntry]:
    """Return the models of the package, then those in the Hub's cache, then the recipes."""
    shipped = [_entry(name, "package", zoo_directory() / name) for name in zoo_names()]
    return [*shipped, *cached_models(), *(_entry(name, "recipe", recipe_directory() / name) for name in recipe_names())]


def cached_models() -> list[ZooEntry]:
    """Return this package's models in the Hub's cache, by name and then newest first; others there are passed over."""
    try:
        repositories = scan_cache_dir().repos
    except (CacheNotFound, RuntimeError):  # the latter for a user without a home, who has no cache
        return []
    models = sorted((repo for repo in repositories if repo.repo_type == "model"), key=lambda repo: repo.repo_id)
    return [
        entry
        for repo in models
        for revision in sorted(repo.revisions, key=lambda revision: -revision.last_modified)
        if (entry := _cached(repo, revision)) is not None
    ]


def find_entry(reference: str, revision: str | None = None) -> ZooEntry:
    """Return the model of the package, the Hub's cache or the recipes that a user names.

    Args:
        reference: a zoo name, or a Hub id with `@revision` or without.
        revision: a tag, branch or commit of a Hub id; by default main, else the newest that is in the cache.

    Raises:
        UsageError: if there is no such model here.
    """
    named = split_reference(reference, revision)
    if named is None:
        entries = {entry.name: entry for entry in zoo_entries() if entry.home != "hub cache"}
        if reference not in entries:
            raise unknown_name("model", reference, entries)
        return entries[reference]
    name, wanted = named
    held = [entry for entry in cached_models() if entry.name == name]
    fitting = [entry for entry in held if wanted is None or wanted in (*entry.refs, entry.commit)]
    if not fitting:
        has = f" at {wanted}, only at {', '.join(entry.revision for entry in held)}" if held else ""
        raise UsageError(f"{name} is not in the Hub's cache here{has}: `pdefm zoo pull {reference}` brings it")
    return next((entry for entry in fitting if "main" in entry.refs), fitting[0])


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
    named = split_reference(reference if "/" in reference else f"{HOME_NAMESPACE}/{reference}", revision)
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
    folder = repository.download(MODEL_FILES, wanted, renew=True)
    NeuralOperator.from_source(source_in(folder, name, there.commit))
    return _entry(name, "hub cache", folder, there.commit, (wanted,) if wanted != there.commit else ())


def _entry(name: str, home: Home, folder: Path, commit: str | None = None, refs: tuple[str, ...] = ()) -> ZooEntry:
    """Return the entry of a folder that has a valid configuration."""
    try:
        scores = stated_scores(folder)
    except PdefmError:  # no card of ours: it can be used all the same
        scores = ()
    return ZooEntry(name, home, folder, read_config(folder), scores, commit, refs)


def _cached(repo: CachedRepoInfo, revision: CachedRevisionInfo) -> ZooEntry | None:
    """Return the entry of a cached revision if it is a whole model of this package."""
    folder = Path(revision.snapshot_path)
    if not all((folder / name).is_file() for name in (CONFIG_NAME, WEIGHTS_NAME)):
        return None
    try:
        return _entry(repo.repo_id, "hub cache", folder, revision.commit_hash, tuple(sorted(revision.refs)))
    except PdefmError:
        return None
