"""What publishing a build would change on the Hub, or why it may not be: decided before anything is sent."""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pdebench_fm.data.benchmark import BENCHMARK_NAME, benchmark_file
from pdebench_fm.data.beside_shards import CARD_NAME, FIGURES_FOLDER
from pdebench_fm.data.card import dataset_card
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import MANIFEST_NAME, Manifest, Shard
from pdebench_fm.data.statistics import STATISTICS_NAME
from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.names import check_not_older, numbers_of, tagged_versions
from pdebench_fm.hub.repository import Repository, Snapshot, identities

_SHARD = re.compile(r"([a-z0-9-]+)/(train|validation|test)-[0-9]{5}-of-[0-9]{5}\.parquet")
_SHOWN_BY_CARD = re.compile(rf"{re.escape(STATISTICS_NAME)}|{FIGURES_FOLDER}/[^/]+\.png")
_HARMLESS = {".gitattributes", ".gitignore", "LICENSE", CARD_NAME}  # what a repository may hold before any data
_SHOWN = 3  # files that an error names


@dataclass(frozen=True)
class Build:
    """A finished build, and what it is to be published as.

    Attributes:
        folder: the dataset's folder.
        manifest: of the build, whose `version` is that of the data.
        namespace: of the repository.
        version: of the publication: that of the data, or a newer patch of it for a new card.
        private: whether a new repository is private.
    """

    folder: Path
    manifest: Manifest
    namespace: str
    version: str
    private: bool

    @property
    def repository(self) -> str:
        """`namespace/dataset`."""
        return f"{self.namespace}/{self.manifest.dataset}"

    @property
    def tag(self) -> str:
        """The tag to publish under."""
        return f"v{self.version}"

    @property
    def is_card_only(self) -> bool:
        """Whether the data are to be those of an earlier tag."""
        return self.version != self.manifest.version

    @property
    def shards(self) -> list[Shard]:
        """The shards of all splits."""
        return _shards(self.manifest)

    def described(self, manifest: Manifest) -> dict[str, bytes]:
        """Return the card of these data, what it shows, and what the Hub is told of it as a benchmark, by path.

        That is all that a new patch may renew.

        Raises:
            PdefmError: if the build's own description of itself is damaged.
        """
        files = (path for path in self.folder.rglob("*") if path.is_file())
        named = {path.relative_to(self.folder).as_posix(): path for path in files}
        shown = {name: named[name].read_bytes() for name in sorted(named) if _SHOWN_BY_CARD.fullmatch(name)}
        registration = benchmark_file(manifest)
        benchmark = {} if registration is None else {BENCHMARK_NAME: registration}
        return {CARD_NAME: dataset_card(manifest, self.namespace, self.folder).encode(), **benchmark, **shown}


@dataclass(frozen=True)
class Plan:
    """What is to be done about a repository.

    Attributes:
        main: its state; None if it is yet to be created.
        tagged: the commit that has the tag already; None if there is anything to do.
        replaces: whether main holds whole data already, so that it must change at once or not at all.
        missing: shards to upload.
        files: small files to write, or for what is tagged those that would differ, by path.
        gone: files to delete.
    """

    main: Snapshot | None
    tagged: str | None = None
    replaces: bool = False
    missing: tuple[Shard, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    gone: tuple[str, ...] = ()


def plan_publication(build: Build, repository: Repository) -> Plan:
    """Look at the repository and return what has to be done.

    Raises:
        PdefmError: if it holds something that a publication must not change.
    """
    main = repository.snapshot()
    tags = {} if main is None else repository.tags()
    if build.tag in tags:
        return _tagged(build, repository, main, tags[build.tag])
    if build.is_card_only and f"v{build.manifest.version}" not in tags:
        raise PdefmError(
            f"{build.tag} would be a new card for the data of v{build.manifest.version}, which {build.repository} "
            f"does not have, or not for your token: publish version {build.manifest.version} first"
        )
    if main is None:
        return Plan(None, missing=tuple(build.shards))
    if build.private and not main.private:
        raise PdefmError(f"{build.repository} exists and is public: make it private in its settings first")
    held = _manifest_at(repository, main)
    _check_main(build, main, held, tags)
    if build.is_card_only:
        return _new_card(build, repository, main, held, tags[f"v{build.manifest.version}"])
    files = {**build.described(build.manifest), MANIFEST_NAME: (build.folder / MANIFEST_NAME).read_bytes()}
    wanted = {*files, *(shard.path for shard in build.shards)}
    return Plan(
        main,
        replaces=held is not None,
        missing=tuple(shard for shard in build.shards if main.files.get(shard.path) != shard.sha256),
        files=_differing(files, main),
        gone=tuple(sorted(path for path in main.files if _is_data(path) and path not in wanted)),
    )


def published_data(repository: Repository, tag: str) -> Manifest | None:
    """Return the manifest of the data that a tag names; None if there is no such tag.

    Raises:
        PdefmError: if what is tagged is no whole build.
    """
    tags = {} if repository.snapshot() is None else repository.tags()
    if tag not in tags:
        return None
    there = repository.snapshot(tags[tag])
    held = None if there is None else _manifest_at(repository, there)
    if there is None or held is None or not _is_whole(there, held):
        raise PdefmError(f"{repository.name} has {tag} without the shards of one whole build: delete that tag first")
    return held


def _tagged(build: Build, repository: Repository, main: Snapshot | None, commit: str) -> Plan:
    """Return the plan that has nothing to do, if what is tagged are these data."""
    there = repository.snapshot(commit)
    held = None if there is None else _manifest_at(repository, there)
    if there is None or held is None or not _is_whole(there, held) or _data(held) != _data(build.manifest):
        raise PdefmError(
            f"{build.repository} has {build.tag} with other contents, and a tag never changes: "
            "other data need a new version"
        )
    return Plan(main, tagged=there.commit, files=_differing(build.described(held), there))


def _check_main(build: Build, main: Snapshot, held: Manifest | None, tags: dict[str, str]) -> None:
    """Refuse to replace what is not an earlier version of this dataset."""
    if held is None:
        foreign = [path for path in main.files if not _is_of(build, path)]
        if foreign:
            shown = ", ".join(sorted(foreign)[:_SHOWN])
            raise PdefmError(
                f"{build.repository} holds something else than this dataset ({shown}): nothing was changed"
            )
    elif held.dataset != build.manifest.dataset:
        raise PdefmError(f"{build.repository} holds the dataset {held.dataset}: nothing was changed")
    elif numbers_of(held.version)[:2] == numbers_of(build.version)[:2] and _data(held) != _data(build.manifest):
        raise PdefmError(
            f"{build.repository} already holds other data of version {held.version}: other data need a new version"
        )
    check_not_older(build.repository, build.version, [*tagged_versions(tags), *([held.version] if held else [])])


def _new_card(build: Build, repository: Repository, main: Snapshot, held: Manifest | None, commit: str) -> Plan:
    """Return the plan that only renews the card of the tagged data."""
    there = repository.snapshot(commit)
    if there is None or held is None or _data_files(there) != _data_files(main) or not _is_whole(main, held):
        raise PdefmError(f"main of {build.repository} no longer holds the data of v{build.manifest.version}")
    if _data(held) != _data(build.manifest):
        raise PdefmError(
            f"{build.folder} holds other data than v{build.manifest.version} of {build.repository}: "
            f"a new patch can only bring a new card, other data need a new version"
        )
    return Plan(main, replaces=True, files=_differing(build.described(held), main))


def _manifest_at(repository: Repository, snapshot: Snapshot) -> Manifest | None:
    """Return the manifest in a repository, None if it has none."""
    if MANIFEST_NAME not in snapshot.files:
        return None
    try:
        return Manifest.model_validate_json(repository.read(MANIFEST_NAME, snapshot.commit))
    except ValidationError as error:
        raise PdefmError(
            f"{repository.name} has a {MANIFEST_NAME} that this package cannot read: "
            "it is of a newer package or of something else"
        ) from error


def _data(manifest: Manifest) -> object:
    """Return what the data of a build are, whatever their Parquet files look like."""
    splits = sorted((s.regime, s.split, s.rows, s.recipe_digest, s.content_digest) for s in manifest.splits)
    return manifest.dataset, manifest.seed, manifest.resolution, splits


def _is_whole(snapshot: Snapshot, manifest: Manifest) -> bool:
    """Return whether exactly the shards of the manifest are there."""
    shards = {shard.path: shard.sha256 for shard in _shards(manifest)}
    return shards == {path: identity for path, identity in snapshot.files.items() if path.endswith(".parquet")}


def _data_files(snapshot: Snapshot) -> dict[str, str]:
    """Return the files that a new card leaves as they are."""
    held = snapshot.files
    return {path: held[path] for path in held if path.endswith(".parquet") or path == MANIFEST_NAME}


def _is_data(path: str) -> bool:
    """Return whether a file belongs to one version's data, so that another version without it removes it."""
    return path.endswith(".parquet") or path == BENCHMARK_NAME or _SHOWN_BY_CARD.fullmatch(path) is not None


def _is_of(build: Build, path: str) -> bool:
    """Return whether a file may be in a repository whose first publication has not ended."""
    match = _SHARD.fullmatch(path)
    return path in _HARMLESS or (match is not None and match[1] in find_dataset(build.manifest.dataset).regimes)


def _differing(files: dict[str, bytes], snapshot: Snapshot) -> tuple[tuple[str, bytes], ...]:
    """Return the small files that are not there with this content."""
    return tuple(
        (path, content) for path, content in files.items() if snapshot.files.get(path) not in identities(content)
    )


def _shards(manifest: Manifest) -> list[Shard]:
    return [shard for split in manifest.splits for shard in split.shards]
