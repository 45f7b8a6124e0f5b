"""A study that takes a moment: an untrained model, few rows on a coarse grid, and quick recipes."""

import pytest

from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.studies.reproduce import Places
from pdebench_fm.studies.study import load_study

TINY = """\
study: tiny
title: A tiny study
question: Does it run?
source: a test
track: n16-rows8
seeds: 2
models:
  tiny: {open: MODEL}
evaluations:
  main:
    models: [tiny]
    tasks: [poisson-ood/medium, helmholtz/in-domain]
    shots: [0, 4, 8]
    scratch: true
picture:
  kind: shots
  title: Tiny
  histogram: true
claims:
  helps:
    says: It helps.
    measure: ratio
    each: [{model: tiny, task: poisson-ood/medium}, {model: tiny, task: helmholtz/in-domain}]
    shots: every
    of: {start: pretrained}
    to: {start: scratch}
    below: 1
  saves:
    says: It saves examples.
    measure: gain
    of: {model: tiny, task: poisson-ood/medium, shots: 4}
    curve: {model: tiny, task: poisson-ood/medium, start: scratch}
    above: 1
    paper: 10
scales:
  cpu: {seeds: 1}
"""


@pytest.fixture
def tiny_file(tmp_path, model_folder):
    """Write the study, after replacing some of its text, and return its path."""

    def write(*replaced, text=TINY, name="tiny.yaml"):
        for old, new in (*replaced, ("MODEL", str(model_folder))):
            if old == "MODEL":
                text = text.replace(old, new)
                continue
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def tiny(tiny_file):
    return load_study(tiny_file(), "smoke")


@pytest.fixture
def places(tmp_path):
    return Places(CellCache(tmp_path / "cache"), tmp_path / "pretrained", device="cpu")
