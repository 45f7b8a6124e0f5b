"""The steps of a release, in order: each looks up whether it is done, says what it would do, and how it is undone.

Nothing is recorded beside what a step makes: whether it is done is seen on the Hub and on this disk each time, so that
a release that was stopped anywhere goes on when it is run again. Nothing is published before all is built and verified.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pdebench_fm.data.build import build
from pdebench_fm.data.executors import open_executor
from pdebench_fm.data.manifest import Manifest, Shard
from pdebench_fm.data.publishing.finished import finished_build
from pdebench_fm.data.publishing.publication import published_data
from pdebench_fm.data.publishing.publish import PublishProgress, publish
from pdebench_fm.data.verification.verify import verify
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.hub.pull_requests import own_account
from pdebench_fm.leaderboard.fetching import fetch
from pdebench_fm.leaderboard.publication import publish_board
from pdebench_fm.leaderboard.site import build_site
from pdebench_fm.leaderboard.space import publish_site
from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.release import undoing
from pdebench_fm.release.plan import BOARD, Release
from pdebench_fm.results.paths import ROWS
from pdebench_fm.zoo.publish import publish_model

Progress = Literal["done", "to do", "refused"]
"""How far a step is."""

_SITE = "site"


@dataclass(frozen=True)
class State:
    """Whether a step is done.

    Attributes:
        progress: `refused` if what is there already makes it impossible.
        detail: what was seen, or what would be done.
    """

    progress: Progress
    detail: str


@dataclass(frozen=True)
class Step:
    """One step of a release.

    Attributes:
        name: of the step, such as "publish poisson".
        look: tells its state; changes nothing.
        act: does it, whatever is there of it already, and returns what came of it in a few words.
        undo: returns the command that takes it back, now.
    """

    name: str
    look: Callable[[], State]
    act: Callable[[], str]
    undo: Callable[[], str]

    def state(self) -> State:
        """Return its state; what makes it impossible is one."""
        try:
            return self.look()
        except PdefmError as error:
            return State("refused", str(error))


@dataclass(frozen=True)
class Carried:
    """A step that was carried out, or found done."""

    step: Step
    state: State
    outcome: str


def check_start(release: Release) -> None:
    """Check what would else stop a release after hours: the folder, the network, and whose token it is.

    Raises:
        UsageError: if there can be no such folder, or the token may not write to the namespace.
        PdefmError: if the Hub cannot be asked.
    """
    taken = next((path for path in (release.out, *release.out.parents) if path.exists()), None)
    if taken is not None and not taken.is_dir():
        raise UsageError(f"{taken} is a file: choose another folder for --out")
    repository = release.repository(BOARD, "dataset")
    account = own_account(repository)
    if release.namespace not in account.namespaces:
        places = ", ".join(account.namespaces)
        raise UsageError(f"the token is {account.name}'s, who publishes under {places}, not under {release.namespace}")


def release_steps(release: Release) -> list[Step]:
    """Return the steps of a release, in order."""
    makers: Sequence[tuple[Callable[[Release, str], Step], Sequence[str]]] = (
        (_build, release.datasets),
        (_verify, release.datasets),
        (_publish_dataset, release.datasets),
        (_publish_model, release.models),
        (_publish_board, (BOARD,)),
        (_publish_site, (BOARD,)),
    )
    return [make(release, name) for make, names in makers for name in names]


def carry_out(steps: Sequence[Step]) -> Iterator[Carried]:
    """Do what is not done of some steps, one as each item is asked for.

    Raises:
        PdefmError: if a step fails; it names the step, and those before it stay done.
    """
    for step in steps:
        try:
            state = step.look()
            yield Carried(step, state, state.detail if state.progress == "done" else step.act())
        except PdefmError as error:
            error.args = (f"the release stopped at {step.name!r}: {error}; the same command goes on from there",)
            raise


# Datasets


def _published_already(release: Release, dataset: str) -> bool:
    """Return whether a dataset is on the Hub as it is to be released.

    Raises:
        PdefmError: if there is something else under its tag.
    """
    repository, tag = release.repository(dataset, "dataset"), f"v{release.data_version}"
    held = published_data(repository, tag)
    if held is None:
        return False
    if not _is_planned(held, release):
        raise PdefmError(
            f"{repository.name} has {tag} with other rows than a {release.size} release has, and a tag never changes: "
            "release the same size, or into another namespace"
        )
    return True


def _is_planned(manifest: Manifest, release: Release) -> bool:
    plan = release.build_plan(manifest.dataset)
    planned = {(regime, split): rows for regime in plan.regimes for split, rows in plan.rows.items()}
    held = {(split.regime, split.split): split.rows for split in manifest.splits}
    wanted = (plan.version, plan.seed, plan.resolution)
    return held == planned and (manifest.version, manifest.seed, manifest.resolution) == wanted


def _build(release: Release, dataset: str) -> Step:
    folder, plan = release.out / dataset, release.build_plan(dataset)

    def look() -> State:
        if _published_already(release, dataset):
            return State("done", "is published already")
        rows = sum(plan.rows.values()) * len(plan.regimes)
        what = f"{rows:,} rows at {plan.resolution}×{plan.resolution} into {folder}"
        try:
            manifest = finished_build(folder, lambda shard, _: release.on_note(f"{dataset}: looking at {shard.path}"))
        except PdefmError:  # nothing yet, a part of it, or damaged
            return State("to do", f"builds {what}, or goes on with it")
        if _is_planned(manifest, release):
            return State("done", f"built: {what}")
        return State("to do", f"builds {what}, as far as it is not there")

    def act() -> str:
        shards = plan.shards
        finished: list[Shard] = []

        def show(shard: Shard) -> None:
            finished.append(shard)
            release.on_note(f"{dataset}: {len(finished)} of {len(shards)} shards built")

        with open_executor(release.workers) as executor:
            build(plan, release.out, executor=executor, on_shard=show)
        return f"built {len(shards)} shards in {folder}"

    return Step(f"build {dataset}", look, act, lambda: undoing.remove_folder(folder))


def _verify(release: Release, dataset: str) -> Step:
    folder = release.out / dataset

    def look() -> State:
        if _published_already(release, dataset):
            return State("done", "is published already, and was verified before")
        return State("to do", f"reads every row of {folder}, and makes a sample of them again")

    def act() -> str:
        report = verify(
            str(folder), on_rows=lambda done, total: release.on_note(f"{dataset}: {done} of {total} rows verified")
        )
        if report.failures:
            first = report.failures[0]
            raise PdefmError(
                f"{folder} is not what it should be: {first.name}: {first.detail}; remove it, it is built anew then"
            )
        return f"{len(report.checks)} checks passed"

    return Step(f"verify {dataset}", look, act, lambda: undoing.NOTHING)


def _publish_dataset(release: Release, dataset: str) -> Step:
    repository, tag = release.repository(dataset, "dataset"), f"v{release.data_version}"

    def look() -> State:
        if _published_already(release, dataset):
            return State("done", f"{repository.name} has {tag}")
        return State("to do", f"uploads to {repository.url}, and tags {tag}")

    def show(state: PublishProgress) -> None:
        release.on_note(f"{state.dataset}: {state.done} of {state.total} shards, {state.stage} {state.note}")

    def act() -> str:
        done = publish(
            release.out / dataset,
            release.namespace,
            release.data_version,
            private=release.private,
            token=release.token,
            endpoint=release.endpoint,
            on_progress=show,
            sleep=release.sleep,
        )
        return f"{done.repository} {done.tag}: {done.sent} shards sent, {done.kept} already there; {done.url}"

    return Step(f"publish {dataset}", look, act, partial(undoing.take_back, repository, release.data_version))


# Models


def _publish_model(release: Release, model: str) -> Step:
    repository, version = release.repository(model, "model"), release.models_version

    def send(*, dry_run: bool) -> State:
        done = publish_model(
            model,
            release.namespace,
            version,
            private=release.private,
            dry_run=dry_run,
            token=release.token,
            endpoint=release.endpoint,
            on_wait=release.on_note,
            sleep=release.sleep,
        )
        if done.already_published:
            return State("done", f"{done.repository} has {done.tag}")
        verb = "sends" if dry_run else "sent"
        return State("to do", f"{verb} {len(done.sent)} files to {done.url}, tag {done.tag}")

    return Step(
        f"publish {model}",
        lambda: send(dry_run=True),
        lambda: send(dry_run=False).detail,
        partial(undoing.take_back, repository, version),
    )


# The leaderboard


def _publish_board(release: Release, name: str) -> Step:
    repository = release.repository(name, "dataset")

    def send(*, dry_run: bool) -> State:
        done = publish_board(
            release.board,
            repository.name,
            private=release.private,
            dry_run=dry_run,
            token=release.token,
            endpoint=release.endpoint,
            on_wait=release.on_note,
            sleep=release.sleep,
        )
        kept = f"; {len(done.kept)} files of rows are there with other content and stay" if done.kept else ""
        if not done.sent:
            return State("done", f"{done.repository} has all rows{kept}")
        return State("to do", f"{'sends' if dry_run else 'sent'} {len(done.sent)} files to {done.url}{kept}")

    def undo() -> str:
        main = repository.snapshot()
        rows = [path.split("/")[1] for path in ({} if main is None else main.files) if path.startswith(f"{ROWS}/")]
        if set(rows) <= {HOME_ORGANISATION}:
            return undoing.delete(repository)
        return undoing.delete_files(repository, f"{ROWS}/{HOME_ORGANISATION}/*")  # others' rows stay

    return Step(f"publish the {name}", lambda: send(dry_run=True), lambda: send(dry_run=False).detail, undo)


def _publish_site(release: Release, name: str) -> Step:
    repository, rows = release.repository(name, "space"), release.repository(name, "dataset")
    site = release.out / _SITE

    def look() -> State:
        new = "makes the Space" if repository.snapshot() is None else "brings the Space up to date"
        return State("to do", f"builds {site} from the rows of {rows.name}, and {new} {repository.url}")

    def act() -> str:
        with tempfile.TemporaryDirectory() as folder:
            fetch(
                rows.name,
                Path(folder),
                token=release.token,
                endpoint=release.endpoint,
                on_wait=release.on_note,
                sleep=release.sleep,
            )
            build_site(
                Path(folder),
                site,
                release.on_note,
                pictures=release.pictures,
                on_draw=lambda what: release.on_note(f"drawing {what}"),
            )
        done = publish_site(
            site,
            repository.name,
            private=release.private,
            token=release.token,
            endpoint=release.endpoint,
            on_wait=release.on_note,
            sleep=release.sleep,
        )
        if done.unchanged:
            return f"{done.space} has all of it already; {done.url}"
        return f"{len(done.sent)} files sent, {len(done.removed)} removed; {done.url}"

    def undo() -> str:
        return f"{undoing.delete(repository)} && {undoing.remove_folder(site)}"

    return Step("publish the Space", look, act, undo)
