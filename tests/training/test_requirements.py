"""A lean install evaluates; only pretraining asks for more, and says for what."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys

for name in ("accelerate", "tensorboard"):
    sys.modules[name] = None  # as if it were not installed

from pdebench_fm.cli import main

sys.exit(main(sys.argv[1:]))
"""


def run_without(*words):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_pretraining_names_the_extra_that_it_needs(tmp_path):
    done = run_without("pretrain", "--family", "mixed", "--size", "64k", "--steps", "1", "--out", str(tmp_path / "x"))
    assert done.returncode == 2
    assert "pretraining needs accelerate" in done.stderr
    assert "pip install 'pdebench-fm[train]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words", ["eval --model zero --task poisson-ood/hard --track lite --out {out}", "zoo list", "data list"]
)
def test_everything_else_does_without(words, tmp_path):
    done = run_without(*words.format(out=tmp_path).split())
    assert done.returncode == 0, done.stderr
