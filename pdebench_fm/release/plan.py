"""What is to be released, where to, and how large: all that the steps of a release follow from."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pdebench_fm.data.build import BuildPlan
from pdebench_fm.data.catalogue import DATA_VERSION, DATASETS, SPLIT_SIZES
from pdebench_fm.errors import UsageError
from pdebench_fm.hub.names import check_namespace, check_version
from pdebench_fm.hub.repository import Kind, Repository, hub_client
from pdebench_fm.models.loading import zoo_names
from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.shipped import shipped

Size = Literal["full", "small"]

MODELS_VERSION = "1.0.0"
"""Version that the models of the package are published as; other weights, scores or cards need a higher one."""

BOARD = "leaderboard"
"""Name of the leaderboard's repository and of its Space."""


@dataclass(frozen=True)
class Rows:
    """How large the datasets are.

    Attributes:
        splits: rows of each split.
        resolution: points a side.
    """

    splits: Mapping[str, int]
    resolution: int


SIZES: dict[Size, Rows] = {
    "full": Rows(SPLIT_SIZES, 128),
    "small": Rows({"train": 8, "validation": 4, "test": 8}, 64),  # a rehearsal: some seconds, 20 MB
}


@dataclass(frozen=True)
class Release:
    """What is to be released.

    Attributes:
        namespace: a user or an organisation on the Hub.
        out: the folder of builds and of the leaderboard's site.
        size: of the datasets; `small` is a rehearsal, which the project's own namespace is not for.
        data_version: that the datasets are published as: the data's own, or a higher patch of it for new cards.
        models_version: that the models are published as.
        datasets: their names.
        models: names of models of the package.
        board: the folder of the leaderboard's first rows; by default those that come with the package.
        workers: processes that build.
        private: whether new repositories are private.
        pictures: whether the leaderboard's site has pictures of fields.
        token: of the Hub; by default `HF_TOKEN` or that of `hf auth login`.
        endpoint: the Hub's address; by default `HF_ENDPOINT` or the public one.
        on_note: told what is being done, and why and how long the Hub is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: for what cannot be released as asked.
    """

    namespace: str
    out: Path
    size: Size = "full"
    data_version: str = DATA_VERSION
    models_version: str = MODELS_VERSION
    datasets: tuple[str, ...] = tuple(DATASETS)
    models: tuple[str, ...] = field(default_factory=lambda: tuple(zoo_names()))
    board: Path = field(default_factory=lambda: shipped(BOARD))
    workers: int = 1
    private: bool = False
    pictures: bool = True
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    on_note: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Refuse what could not be carried out to its end."""
        check_namespace(self.namespace)
        check_version(self.data_version)
        check_version(self.models_version)
        if self.size == "small" and self.namespace == HOME_ORGANISATION:
            raise UsageError(
                f"{HOME_ORGANISATION} is for the benchmark itself, of which a small build is no part: rehearse in a "
                "namespace of your own"
            )
        if self.data_version.rpartition(".")[0] != DATA_VERSION.rpartition(".")[0]:
            raise UsageError(
                f"this package makes data of version {DATA_VERSION}, which cannot be released as {self.data_version}: "
                f"give {DATA_VERSION}, or a higher last number for new cards only"
            )

    def build_plan(self, dataset: str) -> BuildPlan:
        """Return what is to be built of a dataset."""
        rows, definition = SIZES[self.size], DATASETS[dataset]
        return BuildPlan(definition, definition.regimes, rows.splits, rows.resolution)

    def repository(self, name: str, kind: Kind) -> Repository:
        """Return a repository in the namespace, whether it exists or not."""
        return Repository(
            hub_client(self.endpoint, self.token), f"{self.namespace}/{name}", kind, self.on_note, self.sleep
        )
