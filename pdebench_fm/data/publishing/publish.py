"""Publishing finished builds on the Hub: checked first, resumable throughout, and under tags that never change.

A tag `vX.Y.Z` names what was published. X.Y names the data: every Z of it has the same rows, so a newer Z can only
bring a new card.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from pdebench_fm.data.manifest import Manifest, Shard
from pdebench_fm.data.publishing.finished import finished_build
from pdebench_fm.data.publishing.publication import Build, Plan, plan_publication
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.hub.failures import HubError
from pdebench_fm.hub.names import check_namespace, check_version
from pdebench_fm.hub.repository import ABSENT, Repository, Snapshot, hub_client, identities

COMMIT_BYTES = 2**30
"""Shards are committed once this much is uploaded: often enough to resume from, within the Hub's hourly limits."""


@dataclass(frozen=True)
class Published:
    """What is now on the Hub.

    Attributes:
        repository: `namespace/dataset`.
        revision: the SHA of the tagged commit.
        tag: `vX.Y.Z`.
        url: the repository's page.
        sent: shards that were uploaded.
        kept: shards that were there already.
        already_published: whether the tag was there, so that nothing was done.
        card_differs: whether it was there with another card than this package writes; a newer patch renews it.
    """

    repository: str
    revision: str
    tag: str
    url: str
    sent: int
    kept: int
    already_published: bool = False
    card_differs: bool = False


@dataclass(frozen=True)
class PublishProgress:
    """How far a dataset is: `done` of `total` shards are checked or uploaded.

    Attributes:
        stage: what is done to the shards.
        dataset: the dataset's name.
        note: the file at hand, or why the Hub is waited for.
    """

    stage: Literal["checking", "uploading"]
    dataset: str
    done: int
    total: int
    note: str = ""


OnProgress = Callable[[PublishProgress], None]


def publish(
    folder: Path,
    namespace: str,
    version: str,
    *,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Publish one build as `namespace/<dataset>` with the tag `v<version>`; interrupted, the same call goes on.

    Args:
        folder: a finished build.
        namespace: a user or an organisation.
        version: `X.Y.Z` with the X.Y of the build's data; a Z above the data's publishes a new card only.
        private: whether a new repository is private; an existing public one is then refused.
        token: of the Hub; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        on_progress: called before each shard, and when the Hub is waited for.
        sleep: waits, in seconds, between attempts.

    Returns:
        What is published; if it was before, nothing is sent.

    Raises:
        UsageError: for a namespace or a version that cannot be.
        PdefmError: if the build is not finished, other contents are published under this version, or the Hub fails.
    """
    return next(
        publish_all(
            [folder],
            namespace,
            version,
            private=private,
            token=token,
            endpoint=endpoint,
            on_progress=on_progress,
            sleep=sleep,
        )
    )


def publish_all(
    folders: Sequence[Path],
    namespace: str,
    version: str,
    *,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Published]:
    """Publish builds of several datasets: all are checked by this call, each is uploaded as the iterator is advanced.

    Arguments and errors are those of `publish`.
    """
    check_namespace(namespace)
    check_version(version)
    builds = [Build(folder, _checked(folder, version, on_progress), namespace, version, private) for folder in folders]
    names = [build.manifest.dataset for build in builds]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"several folders hold {', '.join(twice)}: publish one of them")
    for build in builds:
        build.described(build.manifest)  # a card that cannot be written is an error now
    api = hub_client(endpoint, token)
    uploads = [_Upload(build, api, on_progress, sleep) for build in builds]
    planned = [(upload, upload.plan()) for upload in uploads]
    return (upload.run(plan) for upload, plan in planned)


def _checked(folder: Path, version: str, on_progress: OnProgress) -> Manifest:
    """Return the manifest of a build that is finished and may be published as this version."""
    started: list[Shard] = []

    def show(shard: Shard, total: int) -> None:
        on_progress(PublishProgress("checking", folder.resolve().name, len(started), total, shard.path))
        started.append(shard)

    manifest = finished_build(folder, show)
    on_progress(PublishProgress("checking", folder.resolve().name, len(started), len(started)))
    if manifest.seed != 0:
        raise UsageError(f"{folder} was built with the private seed {manifest.seed}: only seed 0 is published")
    line, _, patch = version.rpartition(".")
    held_line, _, held_patch = manifest.version.rpartition(".")
    if line != held_line or int(patch) < int(held_patch):
        raise UsageError(
            f"{folder} holds data of version {manifest.version}, which cannot be published as {version}: "
            f"use {manifest.version}, or a higher last number for a new card only"
        )
    return manifest


class _Upload:
    """The publication of one build."""

    def __init__(self, build: Build, api: HfApi, on_progress: OnProgress, sleep: Callable[[float], None]) -> None:
        self._build = build
        self._repository = Repository(api, build.repository, "dataset", self._show, sleep)
        self._on_progress = on_progress
        self._done = 0

    def plan(self) -> Plan:
        """Return what is to be done, or refuse it; nothing is changed."""
        return plan_publication(self._build, self._repository)

    def run(self, plan: Plan) -> Published:
        """Do what is to be done."""
        try:
            return self._run(plan)
        except HubError as error:
            build = self._build
            state = f"{self._done} of {len(build.shards)} shards of {build.repository} are uploaded"
            raise HubError(f"{error}; {state}, and the same command goes on from there") from error

    def _run(self, plan: Plan) -> Published:
        if plan.main is None:
            self._repository.create(private=self._build.private)
            plan = self.plan()
        if plan.main is None:
            raise HubError(f"{self._build.repository} was created but cannot be seen")
        if plan.tagged is not None:
            return self._published(plan, plan.tagged)
        head = self._changed(plan, plan.main)
        self._check(head, plan)
        self._repository.tag(self._build.tag, head)
        return self._published(plan, head)

    def _changed(self, plan: Plan, main: Snapshot) -> str:
        """Upload and commit what is missing, and return the commit that holds all of it."""
        head = main.commit
        self._done = len(self._build.shards) - len(plan.missing)
        waiting: list[tuple[Shard, CommitOperationAdd]] = []
        for shard in plan.missing:
            self._show(shard.path)
            waiting.append((shard, self._repository.send(shard.path, self._build.folder / shard.path)))
            self._done += 1
            if not plan.replaces and sum(sent.bytes for sent, _ in waiting) >= COMMIT_BYTES:
                head = self._commit(waiting, head)
                waiting = []
        self._show("")
        if not plan.replaces and waiting:
            head = self._commit(waiting, head)
            waiting = []
        if not (waiting or plan.files or plan.gone):
            return head
        operations = [addition for _, addition in waiting]
        operations += [CommitOperationDelete(path) for path in plan.gone]
        operations += [CommitOperationAdd(path, content) for path, content in plan.files]
        expected = _sent(shard for shard, _ in waiting) | _small(plan)
        return self._repository.commit(operations, f"Publish version {self._build.version}", head, expected)

    def _commit(self, sent: list[tuple[Shard, CommitOperationAdd]], head: str) -> str:
        """Commit uploaded shards to a repository that is not whole yet."""
        summary = f"Upload shards of version {self._build.version}"
        additions = [addition for _, addition in sent]
        return self._repository.commit(additions, summary, head, _sent(shard for shard, _ in sent))

    def _check(self, commit: str, plan: Plan) -> None:
        """Make sure that what is about to be tagged is what was checked."""
        expected = _small(plan) if self._build.is_card_only else _sent(self._build.shards) | _small(plan)
        there = self._repository.snapshot(commit)
        if there is None or not there.holds(expected):
            raise PdefmError(
                f"{self._build.repository} does not hold the files of {self._build.folder}, so it was not tagged: "
                "leave them alone during the upload and publish again"
            )

    def _published(self, plan: Plan, revision: str) -> Published:
        build, repository = self._build, self._repository
        sent = len(plan.missing)
        self._done = len(build.shards)
        self._show("")
        return Published(
            repository=repository.name,
            revision=revision,
            tag=build.tag,
            url=repository.url,
            sent=sent,
            kept=len(build.shards) - sent,
            already_published=plan.tagged is not None,
            card_differs=plan.tagged is not None and bool(plan.files),
        )

    def _show(self, note: str) -> None:
        build = self._build
        self._on_progress(PublishProgress("uploading", build.manifest.dataset, self._done, len(build.shards), note))


def _sent(shards: Iterable[Shard]) -> dict[str, frozenset[str]]:
    """Return the identities that shards get on the Hub, by path."""
    return {shard.path: frozenset([shard.sha256]) for shard in shards}


def _small(plan: Plan) -> dict[str, frozenset[str]]:
    """Return what the last commit makes of the small files and of those that go."""
    written = {path: identities(content) for path, content in plan.files}
    return {**written, **dict.fromkeys(plan.gone, frozenset([ABSENT]))}
