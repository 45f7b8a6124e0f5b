"""The digest of the package's own code: an edit anywhere that takes part changes it, one elsewhere does not."""

import ast
import shutil
from pathlib import Path

import pytest
import torch

import pdebench_fm
from pdebench_fm.evaluation import machinery
from pdebench_fm.evaluation.machinery import library_versions, package_digest, processor

ROOT = Path(pdebench_fm.__file__).parent


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    copy = tmp_path_factory.mktemp("code") / "pdebench_fm"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    return copy


def digest(package):
    return package_digest.__wrapped__(package)


def test_a_copy_has_the_same_digest_wherever_it_lies(package):
    assert digest(package) == package_digest()


@pytest.mark.parametrize(
    "name",
    [
        "physics/operator.py",
        "data/batches.py",
        "models/fno.py",
        "models/baselines.py",
        "training/adapt.py",
        "protocol/metrics.py",
        "protocol/recipes.py",
        "evaluation/scoring.py",
        "extensions/importing.py",
    ],
)
def test_an_edited_module_that_takes_part_changes_the_digest(name, package):
    path = package / name
    before, text = digest(package), path.read_bytes()
    try:
        path.write_bytes(text + b"\n")
        assert digest(package) != before
        path.unlink()
        assert digest(package) != before
    finally:
        path.write_bytes(text)
    assert digest(package) == before


@pytest.mark.parametrize("name", ["cli/console.py", "plots/shots.py", "leaderboard/board.py"])
def test_an_edited_module_that_only_shows_scores_does_not(name, package):
    path = package / name
    before, text = digest(package), path.read_bytes()
    path.write_bytes(text + b"\n")
    assert digest(package) == before
    path.write_bytes(text)


def test_what_is_left_out_is_imported_by_nothing_that_takes_part():
    aside = machinery._ASIDE - {"hub"}  # whose client the files of models come through, whatever they say
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] in machinery._ASIDE or path.parent == ROOT:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                parts = (node.module or "").split(".")
                assert parts[0] != "pdebench_fm" or parts[1:2] == [] or parts[1] not in aside, path


def test_libraries_and_processor_are_named():
    assert set(library_versions()) == {"torch", "numpy", "scipy"}
    assert torch.backends.cpu.get_cpu_capability() in processor(torch.device("cpu"))
