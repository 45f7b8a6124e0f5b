"""Models from files: everything that a file consists of tells it apart, whenever and by whomever it was imported."""

import importlib
import os
import subprocess
import sys

import pytest
import torch

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import UsageError
from pdebench_fm.models import open_candidate, predict

BATCH = Batch(torch.ones(1, 4, 4), torch.rand(1, 6), torch.ones(1, 4, 4))


@pytest.fixture(autouse=True)
def fresh_imports(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    def write(folder, **files):
        for name, text in files.items():
            path = tmp_path / folder / f"{name.replace('_in_', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path / folder / "mine.py")

    return write


def fingerprint(reference):
    candidate = open_candidate(reference, "cpu")
    predict(candidate, BATCH)
    return candidate.fingerprint


def forget(folder):
    """Forget what was imported, as a new process would."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


FUNCTIONS = """
import functools
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.shape = shape

    def forward(self, source, coefficients):
        return self.gain * self.shape(source)

def tanh():
    return Model(torch.tanh)

def relu():
    return Model(torch.relu)

def times_two():
    return lambda source, _: 2 * source

def times_three():
    return lambda source, _: 3 * source

def made(factor):
    def build():
        return lambda source, _: factor * source
    return build

four, five = made(4), made(5)

def six(device=None):
    factor = 6
    def predict(source, coefficients, by=factor):
        return by * source
    return predict

seven = functools.partial(lambda device, by: lambda source, _: by * source, by=7)
eight = functools.partial(lambda device, by: lambda source, _: by * source, by=8)

def scratch(factor):
    def build(pretrained):
        model = Model(torch.tanh)
        if not pretrained:
            nn.init.constant_(model.gain, factor)
        return model
    return build

nine, ten = scratch(9), scratch(10)

class Solver:
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, source, coefficients):
        return self.factor * source

def eleven():
    return Solver(11)

def twelve():
    return Solver(12)

def sine():
    return lambda source, _: torch.sin(source)

def cosine():
    return lambda source, _: torch.cos(source)
"""
NAMES = ["tanh", "relu", "times_two", "times_three", "four", "five", "six", "seven", "eight", "nine", "ten"]
NAMES += ["eleven", "twelve", "sine", "cosine"]


def test_each_function_of_a_file_is_another_model(write):
    path = write("a", mine=FUNCTIONS)
    first = {name: fingerprint(f"{path}:{name}") for name in NAMES}
    assert None not in first.values()
    assert len(set(first.values())) == len(NAMES)
    assert {name: fingerprint(f"{path}:{name}") for name in NAMES} == first
    assert {name: fingerprint(f"{write('b', mine=FUNCTIONS)}:{name}") for name in NAMES} == first


IMPORTING = {
    "at the top": "import helper\ndef build():\n    return lambda source, _: helper.scaled(source)\n",
    "in build": "def build():\n    import helper\n    return lambda source, _: helper.scaled(source)\n",
    "from, in build": "def build():\n    from helper import scaled\n    return lambda source, _: scaled(source)\n",
    "when it predicts": "def build():\n    def predict(source, _):\n        import helper\n"
    "        return helper.scaled(source)\n    return predict\n",
    "from, when it predicts": "def build():\n    def predict(source, _):\n        from helper import scaled\n"
    "        return scaled(source)\n    return predict\n",
    "in forward": """
import torch
from torch import nn
class Model(nn.Module):
    def forward(self, source, coefficients):
        import helper as other
        return other.scaled(source)
def build():
    return Model()
""",
    "by another file": "import second\ndef build():\n    return lambda source, _: second.helper.scaled(source)\n",
    "of a package": "from pack import inside\ndef build():\n    return lambda source, _: inside.scaled(source)\n",
    "of a package, late": "def build():\n    def predict(source, _):\n        import pack.inside\n"
    "        return pack.inside.scaled(source)\n    return predict\n",
    "of a package without __init__": "from space import inside\ndef build():\n"
    "    return lambda source, _: inside.scaled(source)\n",
    "by its name as text": "import importlib\ndef build():\n    module = importlib.import_module('helper')\n"
    "    return lambda source, _: module.scaled(source)\n",
}
BESIDE = {
    "second": "import helper\n",
    "pack_in___init__": "",
    "pack_in_inside": "from helper import scaled\n",
    "space_in_inside": "from helper import scaled\n",
}


def helper(factor):
    return f"FACTOR = {factor}\ndef scaled(values):\n    return FACTOR * values\n"


@pytest.mark.parametrize("way", IMPORTING)
def test_a_file_that_is_imported_takes_part(way, write, tmp_path):
    files = {"mine": IMPORTING[way], **BESIDE}
    two = fingerprint(write("a", helper=helper(2), **files))
    assert two is not None
    assert fingerprint(write("a")) == two
    forget(tmp_path)
    assert fingerprint(write("a")) == two
    assert fingerprint(write("elsewhere", helper=helper(2), **files)) == two
    forget(tmp_path)
    assert fingerprint(write("a")) == two
    edited = fingerprint(write("a", helper=helper(31)))  # which is imported anew
    assert edited not in (two, None)
    forget(tmp_path)
    assert fingerprint(write("a")) == edited


@pytest.mark.parametrize("way", IMPORTING)
def test_files_of_one_name_in_two_folders_are_each_models_own(way, write):
    references = [write(f"a{factor}", mine=IMPORTING[way], helper=helper(factor), **BESIDE) for factor in (2, 3)]
    found = []
    for reference, factor in zip(references, (2, 3), strict=True):
        candidate = open_candidate(reference, "cpu")
        assert torch.equal(predict(candidate, BATCH), factor * BATCH.source)
        found.append(candidate.fingerprint)
    assert None not in found
    assert found[0] != found[1]
    assert [fingerprint(reference) for reference in references] == found


def test_a_file_that_another_model_has_imported_before_takes_part(write, tmp_path):
    write("shared", common=helper(2).replace("scaled", "shaped"))
    sys.path.append(str(tmp_path / "shared"))
    text = "import common\ndef build():\n    return lambda source, _: common.shaped(source)\n"
    write("one", mine="import common\ndef build():\n    return lambda source, _: source\n")
    assert fingerprint(str(tmp_path / "one" / "mine.py"))
    before = fingerprint(write("two", mine=text))
    write("shared", common=helper(3).replace("scaled", "shaped"))
    forget(tmp_path)
    fingerprint(str(tmp_path / "one" / "mine.py"))
    assert fingerprint(write("two")) not in (before, None)


def test_a_late_import_finds_the_models_own_file_whatever_was_opened_since(write):
    late = IMPORTING["when it predicts"]
    first = open_candidate(write("a", mine=late, helper=helper(2)), "cpu")
    second = open_candidate(write("b", mine=late, helper=helper(3)), "cpu")
    for candidate, factor in ((first, 2), (second, 3), (first, 2)):
        assert torch.equal(predict(candidate, BATCH), factor * BATCH.source)
        assert candidate.identify().fingerprint == candidate.fingerprint


CHANGING = {
    "mine": ("from second import helper", "helper.FACTOR = 5"),
    "the function": ("import helper as h", "h.FACTOR = 5"),
    "late": ("", "import helper; helper.FACTOR = 5"),
    "a file beside": ("import second", "second.helper.FACTOR = 5"),
    "a package": ("import pack.inside", "pack.inside.scaled.__globals__['FACTOR'] = 5"),
    "a package without __init__": ("from space import inside", "inside.scaled.__globals__['FACTOR'] = 5"),
}


def scores(references):
    """What models of one process predict for a source of ones, and their fingerprints."""
    candidates = [open_candidate(reference, "cpu") for reference in references]
    found = {
        reference: (float(predict(candidate, BATCH)[0, 0, 0]), candidate.identify().fingerprint)
        for reference, candidate in zip(references, candidates, strict=True)
    }
    assert [candidate.fingerprint for candidate in candidates] == [found[reference][1] for reference in references]
    return found


@pytest.mark.parametrize(
    ("way", "changing"),
    [*((way, "the function") for way in IMPORTING), *(("at the top", changing) for changing in CHANGING)],
)
def test_a_model_that_changes_what_another_one_imports_changes_itself_alone(way, changing, write, tmp_path):
    top, change = CHANGING[changing]
    text = f"{IMPORTING[way]}{top}\ndef changed():\n    {change}\n    return build()\n"
    path = write("a", mine=text, other=text, helper=helper(2), **BESIDE)
    references = [f"{path}:changed", f"{path if way != 'at the top' else f'{tmp_path}/a/other.py'}:build"]
    alone = {}
    for reference in references:
        alone |= scores([reference])
        forget(tmp_path)
    assert [factor for factor, _ in alone.values()] == [5.0, 2.0]
    assert scores(references) == alone
    assert scores(references[::-1]) == alone


def test_a_program_keeps_its_own_modules_and_a_model_gets_none_of_them(write, tmp_path, monkeypatch):
    text = "import helper\ndef build():\n    helper.FACTOR = 5\n    return lambda source, _: helper.scaled(source)\n"
    path = write("a", mine=text, helper=helper(2))
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    own = importlib.import_module("helper")
    own.FACTOR = 7
    candidate = open_candidate(path, "cpu")
    assert torch.equal(predict(candidate, BATCH), 5 * BATCH.source)
    assert sys.modules["helper"] is own
    assert own.FACTOR == 7
    with candidate.its_modules():
        assert importlib.import_module("helper").FACTOR == 5
    assert sys.modules["helper"] is own


def test_modules_beside_no_model_are_each_models_own_too(write, tmp_path):
    write("shared", common=helper(2))
    sys.path.append(str(tmp_path / "shared"))
    text = "import common\n{}def build():\n    return lambda source, _: common.scaled(source)\n"
    first = open_candidate(write("a", mine=text.format("common.FACTOR = 5\n")), "cpu")
    second = open_candidate(write("b", mine=text.format("")), "cpu")
    assert [float(predict(each, BATCH)[0, 0, 0]) for each in (first, second)] == [5.0, 2.0]


def test_what_is_installed_or_compiled_is_shared_by_all_models(write):
    text = (
        "import yaml\nfrom pdebench_fm import errors\nyaml.opened = getattr(yaml, 'opened', 0) + 1\n"
        "def build():\n    return lambda source, _: source\n"
    )
    path = write("a", mine=text)
    yaml = importlib.import_module("yaml")
    for times in (1, 2):
        open_candidate(path, "cpu")
        assert yaml.opened == times
    del yaml.opened


def test_a_file_that_the_programs_own_hides_is_refused(write, tmp_path, monkeypatch):
    write("program", helper=helper(5))
    monkeypatch.syspath_prepend(str(tmp_path / "program"))
    with pytest.raises(UsageError, match=r"mine.py imports helper, but .* hides .*: rename one of the two"):
        open_candidate(write("a", mine=IMPORTING["at the top"], helper=helper(2)), "cpu")


def test_a_value_set_in_an_imported_module_takes_part(write):
    text = "import helper\nhelper.FACTOR = {}\ndef build():\n    return lambda source, _: helper.scaled(source)\n"
    seven = fingerprint(write("a", mine=text.format(7), helper=helper(2)))
    candidate = open_candidate(write("a"), "cpu")
    sys.modules["helper"].FACTOR = 8
    assert candidate.identify().fingerprint not in (seven, None)


def test_the_versions_of_the_libraries_that_a_file_uses_take_part(write, monkeypatch):
    from pdebench_fm.extensions import local_files

    def under(version):
        monkeypatch.setattr(local_files, "library", lambda module: f"{module}=={version}")
        return fingerprint(write("a", mine="import yaml\ndef build():\n    return lambda source, _: source\n"))

    assert under("1.0") == under("1.0") != under("2.0")


def test_a_function_that_cannot_be_known_says_why(write):
    candidate = open_candidate(
        write("a", mine="import time\ndef build():\n    return lambda source, _: source * time.time()\n"), "cpu"
    )
    assert candidate.fingerprint is None
    assert "time" in candidate.unknown


def test_a_file_is_known_again_in_another_process(write):
    path = write("a", mine=FUNCTIONS)
    program = (
        "import sys\nfrom pdebench_fm.models import open_candidate\n"
        f"for name in {NAMES}:\n    print(open_candidate(f'{{sys.argv[1]}}:{{name}}', 'cpu').fingerprint)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, path],
        env={**os.environ, "PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert printed == [fingerprint(f"{path}:{name}") for name in NAMES]
