"""Opening ways of adapting: what a word means, what is refused, and what each is called."""

# ruff: noqa: ARG001, ARG002, ARG005 (a method is called with three arguments, whatever it needs)

import sys
from functools import partial

import pytest
import torch
from torch import nn

from pdebench_fm.errors import UsageError, UserCodeError
from pdebench_fm.protocol.methods import PROTOCOL_METHOD, known_method, method_of, open_method

ADAPT = "def adapt(module, support, seed):\n    return module\n"


def test_recipes_and_own_methods_go_by_their_names():
    assert method_of() is PROTOCOL_METHOD is method_of(recipe="v1") is open_method("v1")
    assert [(method_of(recipe=name).name, method_of(recipe=name).division) for name in ("v1", "paper")] == [
        ("v1", "closed"),
        ("paper", "unranked"),
    ]
    symmetric = open_method("symmetric")
    assert (symmetric.name, symmetric.division, symmetric.zero_shot) == ("symmetric", "open", True)
    assert symmetric.fingerprint == open_method("symmetric").fingerprint is not None
    assert PROTOCOL_METHOD.fingerprint is None


def test_a_files_function_is_called_by_file_and_function(write):
    path = write(ADAPT + "def other(module, support, *rest): return module\n")
    assert [open_method(f"{path}{end}").name for end in ("", ":adapt", ":other")] == ["mine:adapt"] * 2 + ["mine:other"]
    assert open_method(path).fingerprint != open_method(f"{path}:other").fingerprint
    assert open_method(write(ADAPT, "v2.py")).division == "open"
    assert open_method(write(ADAPT, "v2.py")).name == "v2:adapt"


@pytest.mark.parametrize(
    ("text", "end", "message"),
    [
        ("", ":adapt", "mine.py defines no function 'adapt'"),
        (ADAPT, ":adpt", "unknown function of mine.py 'adpt': did you mean 'adapt'"),
        ("def adapt(module): return module", "", r"adapt in mine.py cannot be called with \(module, support, seed\)"),
        ("def adapt(module, support, seed, more): pass", "", "cannot be called with .*: missing a required argument"),
        ("adapt = 3\ndef build(): pass", "", "adapt in mine.py is of type int: name a function"),
    ],
)
def test_what_is_no_method_is_refused(text, end, message, write):
    with pytest.raises(UsageError, match=message):
        open_method(write(text) + end)


def test_a_file_that_raises_is_told_as_its_own(write):
    with pytest.raises(UserCodeError, match=r"mine\.py raised ZeroDivisionError") as caught:
        open_method(write("1 / 0"))
    assert "mine.py" in caught.value.details


def test_a_file_that_replaces_a_function_of_pytorch_is_refused(write):
    gelu = torch.nn.functional.gelu
    try:
        with pytest.raises(UsageError, match=r"replaces torch\.nn\.functional\.gelu for the whole process"):
            open_method(write("import torch\ntorch.nn.functional.gelu = torch.relu\n" + ADAPT))
    finally:
        torch.nn.functional.gelu = gelu


def v1(module, support, seed):
    return module


def symmetric(module, support, seed):
    return module


def closed(module, support, seed):
    return module


def V01(module, support, seed):
    return module


@pytest.mark.parametrize("function", [v1, symmetric, closed, V01])
def test_an_own_function_takes_no_name_of_the_packages(function):
    with pytest.raises(UsageError, match=r"cannot be called .*: that is one of the package's names"):
        open_method(function)


def test_any_callable_is_a_method():
    class Adapting:
        zero_shot = True

        def __call__(self, module, support, seed):
            return module

    found = open_method(Adapting())
    assert (found.name, found.zero_shot, found.reference) == ("Adapting", True, None)
    assert open_method(partial(lambda module, support, seed, more: module, more=1)).name == "partial"
    with pytest.raises(UsageError, match="cannot be called with"):
        open_method(nn.ReLU)


def test_a_result_is_never_a_reason_to_run_a_file(write):
    assert known_method(write(ADAPT)) is None
    assert known_method("mine:adapt") is None
    assert known_method("paper").name == "paper"


@pytest.fixture
def installed(monkeypatch, write, tmp_path):
    """Install a package that offers methods: what pip leaves of it."""
    write(ADAPT, "their_methods.py")
    monkeypatch.syspath_prepend(tmp_path)

    def install(name):
        folder = tmp_path / "their_methods-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: their-methods\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(f"[pdebench_fm.adaptations]\n{name} = their_methods:adapt\n")

    yield install
    sys.modules.pop("their_methods", None)


def test_an_installed_package_offers_methods(installed, write):
    installed("theirs")
    found = open_method("theirs")
    assert (found.name, found.division, found.reference) == ("theirs", "open", "theirs")
    before = found.fingerprint
    write(ADAPT + "# edited\n", "their_methods.py")
    assert open_method("theirs").fingerprint != before is not None
    with pytest.raises(UsageError, match="unknown adaptation 'their': did you mean 'theirs'"):
        open_method("their")


def test_an_installed_package_cannot_enter_the_closed_division(installed):
    installed("v9")
    with pytest.raises(UsageError, match="cannot be called 'v9'"):
        open_method("v9")
