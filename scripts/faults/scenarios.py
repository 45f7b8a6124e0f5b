"""The commands that faults are tried on, and what an undisturbed run of each leaves."""

import csv
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

TIMES = {"seconds", "wall_seconds", "hours", "date", "environment"}  # that two runs need not have in common
_CHECKPOINT = "checkpoint.safetensors"  # holds times too
OWN_MEMORY = {".build", "tensorboard", "hf", "cache"}  # folders that a command alone reads


@dataclass(frozen=True)
class Scenario:
    """A command and its results.

    Attributes:
        commands: arguments of `pdefm`, run one after the other; `{folder}` stands for their folder.
        needs: folders of the shared inputs that are copied in first.
        results: the folder in which the results are.
        damaged: the folder whose files are damaged; none, for a command that is only killed.
        fresh: folders of an undisturbed run that are removed before the command meets what is damaged.
        goes_on: whether it has to end, on damaged files, with what an undisturbed run gives, or else with an error;
            a command that only reads them may also find nothing wrong (with a changed letter in a name, say).
        notices: patterns of the files whose damage such a command has to find.
        unmoved: whether such a command, where it finds nothing wrong, has to give an undisturbed run's scores.
        all_or_none: whether it must not leave some of its results.
        alone: whether it is the only one that writes to its folders, and may remove at once what a killed one left.
    """

    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()
    results: str | None = None
    damaged: str | None = None
    fresh: tuple[str, ...] = ()
    goes_on: bool = True
    notices: tuple[str, ...] = ()
    unmoved: bool = False
    all_or_none: bool = False
    alone: bool = True


def prepare(scenario: Scenario, shared: Path, folder: Path) -> None:
    """Make the folder of a case, with its inputs."""
    folder.mkdir(parents=True)
    for name in scenario.needs:
        shutil.copytree(shared / name, folder / name)


def outcome(scenario: Scenario, folder: Path) -> dict[str, object]:
    """Return the results in a folder, file by file, without times."""
    if scenario.results is None:
        return {}
    return contents(folder / scenario.results)


def contents(root: Path) -> dict[str, object]:
    """Return what is in a folder, or in a file, file by file, without times."""
    if root.is_file():
        return {root.name: _content(root)}
    files = [path for path in root.rglob("*") if path.is_file()]
    inner = [path for path in files if not OWN_MEMORY & set(path.relative_to(root).parts) and path.suffix != ".part"]
    return {
        path.relative_to(root).as_posix(): _content(path) for path in inner if path.name != "checkpoint.safetensors"
    }


def scores(scenario: Scenario, folder: Path) -> dict[str, object]:
    """Return the per-sample scores in a folder of results, by model."""
    tables = [(path, value) for path, value in outcome(scenario, folder).items() if path.endswith(".samples.parquet")]
    return {str(Path(path).parent): value for path, value in tables}


def leftovers(folder: Path) -> list[str]:
    """Return what no command may leave: parts of files, locks, submissions that are not in their place."""
    return [path.name for pattern in (".pdefm*", ".submission*") for path in folder.rglob(pattern)]


def _content(path: Path) -> object:
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.name == "metrics.csv":
        rows = csv.DictReader(io.StringIO(path.read_text()))
        return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
    if path.name.endswith(".samples.parquet"):
        return pq.read_table(path).replace_schema_metadata(None).to_pydict()
    return path.read_bytes()


def _without_times(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_times(inner) for key, inner in value.items() if key not in TIMES and "sha256" not in key}
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value


def build_command(workers: int) -> tuple[str, ...]:
    """Return the command that builds a small dataset."""
    rows = ("--train", "8", "--validation", "4", "--test", "8", "--resolution", "64")
    return ("data", "build", "poisson", "--out", "{folder}/data", *rows, "--workers", str(workers))


def pretrain_command() -> tuple[str, ...]:
    """Return the command of a short pretraining."""
    size = ("--family", "poisson", "--size", "64k", "--steps", "12", "--batch-size", "2")
    return ("pretrain", *size, "--device", "cpu", "--out", "{folder}/run")


_EVAL = ("eval", "--track", "lite", "--shots", "0", "--device", "cpu", "--task", "poisson/in-domain")
EVAL_STORED = (*_EVAL, "--model", "zero,{folder}/run/fno-poisson-64k", "--data", "{folder}/data/poisson")
EVAL_STORED += ("--cache", "{folder}/cache", "--out", "{folder}/results")
_SUBMIT = ("submit", "{folder}/sent", "--to", "{folder}/board")
_PAGE = ("leaderboard", "build", "--no-pictures", "--from", "{folder}/board", "--out", "{folder}/site")

SHARED: dict[str, tuple[tuple[str, ...], ...]] = {
    "data": (build_command(1),),
    "run": (pretrain_command(),),
    "sent": ((*_EVAL, "--model", "zero,mean", "--cache", "{folder}/sent-cache", "--out", "{folder}/sent"),),
    "board": (_SUBMIT,),
}
"""How the inputs that commands share are made."""

SCENARIOS: dict[str, Scenario] = {
    "build": Scenario((build_command(1),), results="data", damaged="data"),
    "build with workers": Scenario((build_command(2),), results="data"),
    "pretrain": Scenario((pretrain_command(),), results="run", damaged="run"),
    "eval": Scenario(
        (EVAL_STORED,), ("data", "run"), results="results", damaged="cache", fresh=("results",), alone=False
    ),
    "submit": Scenario((_SUBMIT, _PAGE), ("sent",), results="board", all_or_none=True),
    "submit what is damaged": Scenario((_SUBMIT,), ("sent",), damaged="sent", fresh=("board",), goes_on=False),
    "page of damaged rows": Scenario((_PAGE,), ("board",), damaged="board", fresh=("site",), goes_on=False),
    "eval of damaged rows": Scenario(
        (EVAL_STORED,),
        ("data", "run"),
        results="results",
        damaged="data",
        fresh=("results", "cache", "hf"),
        goes_on=False,
        unmoved=True,
    ),
    "eval of a damaged model": Scenario(
        (EVAL_STORED,), ("data", "run"), damaged="run", fresh=("results", "cache"), goes_on=False
    ),
    "verify": Scenario(
        (("data", "verify", "{folder}/data/poisson"),), ("data",), damaged="data", goes_on=False, notices=("*.parquet",)
    ),
}
