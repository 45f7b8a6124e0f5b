"""Publishing a model on the Hub: checked first, in one commit, resumable, and under tags that never move."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from pydantic import ValidationError

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.folders import expanded
from pdebench_fm.hub.failures import going_on
from pdebench_fm.hub.names import check_namespace, check_not_older, check_version, tagged_versions
from pdebench_fm.hub.repository import ABSENT, Expected, Repository, Snapshot, file_identities, hub_client, identities
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.loading import resolve, split_reference, zoo_names
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sources import CARD_NAME, CONFIG_NAME, RECORD_NAME
from pdebench_fm.models.weights import WEIGHTS_NAME
from pdebench_fm.zoo.card import ModelDescription, describe, model_card
from pdebench_fm.zoo.evidence import check_stated
from pdebench_fm.zoo.hub_scores import in_words, is_score_file, score_files

_HARMLESS = {".gitattributes", ".gitignore", "LICENSE", CARD_NAME}  # what a repository may hold before any model
_SHOWN = 3  # files that an error names


@dataclass(frozen=True)
class PublishedModel:
    """What is now on the Hub.

    Attributes:
        repository: `namespace/name`.
        revision: the SHA of the tagged commit; None if nothing was done because that was not asked for.
        tag: `vX.Y.Z`.
        url: the repository's page.
        sent: files that this call has sent, or would send.
        already_published: whether the tag was there with this content, so that nothing was done.
    """

    repository: str
    revision: str | None
    tag: str
    url: str
    sent: tuple[str, ...]
    already_published: bool


@dataclass(frozen=True)
class _Publication:
    """A checked model and what it is to be published as.

    Attributes:
        model: its description.
        folder: where its configuration, weights and training record lie.
        name: of the repository.
        version: X.Y.Z.
        private: whether a new repository is private.
        written: the card for this repository and version, and the scores in the Hub's form, by path.
        files: the identities of all files of the commit, by path.
    """

    model: ModelDescription
    folder: Path
    name: str
    version: str
    private: bool
    written: dict[str, bytes]
    files: Expected

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    def differing(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the files that are not there with this content."""
        return snapshot.differing(self.files)

    def gone(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the files of scores that an earlier version had and this one has not."""
        return tuple(path for path in sorted(snapshot.files) if is_score_file(path) and path not in self.files)


def publish_model(
    reference: str | Path,
    namespace: str,
    version: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> PublishedModel:
    """Publish a model as `namespace/fno-<family>-<size>` with the tag `v<version>`; interrupted, the same call goes on.

    Configuration, weights, training record, card and scores in the Hub's form are sent in one commit. The card is
    rendered anew, so that its
    examples load what is published, from scores that the results beside it give (see `zoo.evidence`); one that states
    others is refused.

    Args:
        reference: a model of the package, or the folder of a finished pretraining with a card (see `write_model_card`).
        namespace: a user or an organisation.
        version: `X.Y.Z`.
        private: whether a new repository is private; an existing public one is then refused.
        dry_run: check everything, and send nothing.
        token: of the Hub; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        on_wait: told why and how long the next attempt is waited for.
        sleep: waits, in seconds, between attempts.

    Returns:
        What is published; if it was before, nothing is sent.

    Raises:
        UsageError: for a namespace, a version or a reference that cannot be.
        PdefmError: if the model's files are not what they should be, the repository holds something else, the version
            is published with other content, or the Hub fails.
    """
    check_namespace(namespace)
    check_version(version)
    publication = _checked(_folder_of(reference), namespace, version, private=private)
    repository = Repository(hub_client(endpoint, token), publication.name, "model", on_wait, sleep)
    with going_on():
        return _publish(publication, repository, dry_run=dry_run)


def _folder_of(reference: str | Path) -> Path:
    """Return where the files of a model lie that is not on the Hub."""
    text = str(reference)
    if text not in zoo_names() and not expanded(text).is_dir() and split_reference(text) is not None:
        raise UsageError(f"there is no folder {text} here: give a model of the package, or the folder of a pretraining")
    return resolve(reference).directory


def _checked(folder: Path, namespace: str, version: str, *, private: bool) -> _Publication:
    """Return the publication of a model whose files are complete, valid and of each other."""
    model = describe(folder)
    loaded = NeuralOperator.from_pretrained(folder)  # checks every tensor against the configuration
    if broken := [name for name, tensor in loaded.state_dict().items() if not bool(tensor.isfinite().all())]:
        raise PdefmError(f"{folder / WEIGHTS_NAME} has values in {broken[0]!r} that are not finite: not published")
    labels, trained = (
        (loaded.config.family, loaded.config.size),
        (model.training.config.family, model.training.config.size),
    )
    if labels != trained:
        raise PdefmError(f"{folder} contradicts itself: {CONFIG_NAME} says {labels}, {RECORD_NAME} {trained}")
    check_stated(folder, model.scores)
    name = f"{namespace}/{model.name}"
    written = {CARD_NAME: model_card(model, name, f"v{version}").encode(), **score_files(model.scores)}
    kept = {path: file_identities(folder / path) for path in (CONFIG_NAME, WEIGHTS_NAME, RECORD_NAME)}
    files = kept | {path: identities(content) for path, content in written.items()}
    return _Publication(model, folder, name, version, private, written, files)


def _publish(publication: _Publication, repository: Repository, *, dry_run: bool) -> PublishedModel:
    """Do what is to be done about the repository."""
    main = repository.snapshot()
    if main is None:
        if dry_run:
            return _published(publication, repository, None, tuple(publication.files), already=False)
        main = repository.create(private=publication.private)
    tags = repository.tags()
    if publication.tag in tags:
        commit = _tagged(publication, repository, tags[publication.tag])
        return _published(publication, repository, commit, (), already=True)
    if publication.private and not main.private:
        raise PdefmError(f"{repository.name} exists and is public: make it private in its settings first")
    _check_main(publication, repository, main)
    check_not_older(repository.name, publication.version, tagged_versions(tags))
    missing, gone = publication.differing(main), publication.gone(main)
    if dry_run:
        return _published(publication, repository, None, missing, already=False)
    head = _commit(publication, repository, main.commit, missing, gone) if missing or gone else main.commit
    repository.tag(publication.tag, head)
    return _published(publication, repository, head, missing, already=False)


def _tagged(publication: _Publication, repository: Repository, commit: str) -> str:
    """Return the commit that has the tag, if it holds this very model."""
    there = repository.snapshot(commit)
    differing = tuple(publication.files) if there is None else publication.differing(there) + publication.gone(there)
    if differing:
        what = "its card" if set(differing) <= {CARD_NAME, *filter(is_score_file, differing)} else "other content"
        raise PdefmError(
            f"{repository.name} has {publication.tag} with another {in_words(differing)}, and a tag never moves: "
            f"publish {what} as a newer version"
        )
    return commit


def _check_main(publication: _Publication, repository: Repository, main: Snapshot) -> None:
    """Refuse to write over what is not an earlier version of this model."""
    refusal = f"{repository.name} holds something else than {publication.model.name}"
    if CONFIG_NAME not in main.files:
        foreign = sorted(set(main.files) - _HARMLESS)
        if foreign:
            raise PdefmError(f"{refusal} ({', '.join(foreign[:_SHOWN])}): nothing was changed")
        return
    try:
        held = ModelConfig.model_validate_json(repository.read(CONFIG_NAME, main.commit))
    except ValidationError as error:
        raise PdefmError(f"{refusal} (its {CONFIG_NAME} is of another kind): nothing was changed") from error
    labels = publication.model.config.family, publication.model.config.size
    if (held.family, held.size) != labels:
        raise PdefmError(f"{refusal} (its {CONFIG_NAME} says {held.family}, {held.size}): nothing was changed")


def _commit(
    publication: _Publication, repository: Repository, parent: str, missing: tuple[str, ...], gone: tuple[str, ...]
) -> str:
    """Send the missing files in one commit, and return it once it holds what was checked."""
    contents = {
        path: (publication.folder / path).read_bytes() for path in missing if path in (CONFIG_NAME, RECORD_NAME)
    }
    contents |= {path: content for path, content in publication.written.items() if path in missing}
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        *(CommitOperationAdd(path, content) for path, content in contents.items()),
        *map(CommitOperationDelete, gone),
    ]
    if WEIGHTS_NAME in missing:
        operations.append(repository.send(WEIGHTS_NAME, publication.folder / WEIGHTS_NAME))
    expected = {path: publication.files[path] for path in missing} | dict.fromkeys(gone, frozenset([ABSENT]))
    head = repository.commit(operations, f"Publish version {publication.version}", parent, expected)
    there = repository.snapshot(head)
    if there is None or not there.holds(publication.files):
        raise PdefmError(
            f"{repository.name} does not hold the files of {publication.folder}, so it was not tagged: "
            "leave them alone during the upload and publish again"
        )
    return head


def _published(
    publication: _Publication, repository: Repository, revision: str | None, sent: tuple[str, ...], *, already: bool
) -> PublishedModel:
    return PublishedModel(repository.name, revision, publication.tag, repository.url, sent, already)
