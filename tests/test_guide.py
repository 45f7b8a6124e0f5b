"""The guide "add your model in 20 lines", executed block by block as a reader would."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from pdebench_fm.cli import main
from pdebench_fm.models import BASELINES, open_candidate

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "add-your-model.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, from which modules can be imported, and where finished cells are kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("mine", "trained"):
        sys.modules.pop(name, None)


def test_the_guide_works_from_its_first_line_to_its_last(folder, capsys):
    names = {}
    for language, words, code in BLOCKS:
        target = re.search(r"file=(\S+)", words)
        if target:
            (folder / target[1]).write_text(code, encoding="utf-8")
        elif language == "python":
            exec(compile(code, "add-your-model.md", "exec"), names)  # noqa: S102 (our own guide)
        elif language == "bash" and "notest" not in words:
            for line in code.splitlines():
                assert main([*shlex.split(line)[1:], "--device", "cpu"]) == 0, capsys.readouterr().err
    assert names["candidate"].name == "my-tfno"
    assert names["same"].name == "trained"
    assert names["same"].fresh is not None
    assert list((folder / "results").rglob("*.json"))
    assert "an evaluation would run" in capsys.readouterr().out


def test_the_first_model_has_the_promised_length():
    code = next(code for _, words, code in BLOCKS if "file=mine.py" in words)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def test_every_baseline_is_in_the_guide():
    assert all(f"`{name}`" in GUIDE for name in BASELINES)


def test_the_example_file_is_a_model():
    candidate = open_candidate(ROOT / "examples" / "my_model.py")
    assert candidate.name == "my_model"
    assert candidate.fresh is not None
