"""One word for any model: files of the user's, plug-ins, names, their precedence, and what is said of mistakes."""

import sys

import pytest
import torch
from torch import nn

from pdebench_fm.cli import main
from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import UsageError, UserCodeError
from pdebench_fm.models import (
    HomogeneousNormaliser,
    ModelConfig,
    NeuralOperator,
    UNet,
    load_model,
    open_candidate,
    predict,
)

MODULE = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.rand(()))

    def forward(self, source, coefficients):
        return self.gain * source
"""
TRAINED = (
    MODULE
    + """
def build(pretrained, device="cpu"):
    model = Model()
    if pretrained:
        nn.init.constant_(model.gain, 2.0)
    return model
"""
)
BATCH = Batch(torch.ones(1, 4, 4), torch.rand(1, 6), torch.ones(1, 4, 4))


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        return name

    return write


def test_a_file_with_pretrained_gives_the_trained_model_and_fresh_ones(write):
    candidate = open_candidate(f"{write(TRAINED)}:build")
    assert candidate.name == "mine"
    assert torch.equal(predict(candidate, BATCH), 2 * BATCH.source)
    assert torch.equal(candidate.fresh(0).gain, candidate.fresh(0).gain)
    assert not torch.equal(candidate.fresh(0).gain, candidate.fresh(1).gain)
    assert candidate.fresh(0).gain < 1


def test_without_a_function_it_is_build_and_another_one_is_part_of_the_name(write):
    write(
        MODULE + "def build():\n    return Model()\ndef large():\n    return lambda source, coefficients: 3 * source\n"
    )
    assert open_candidate("mine.py").name == "mine"
    large = open_candidate("mine.py:large")
    assert (large.name, large.module) == ("mine-large", None)
    assert torch.equal(predict(large, BATCH), 3 * BATCH.source)


def test_random_weights_are_the_same_each_time_the_file_is_opened(write):
    write(MODULE + "def build():\n    return Model()\n")
    first, second = (open_candidate("mine.py") for _ in range(2))
    assert torch.equal(first.module.gain, second.module.gain)
    assert first.fingerprint == second.fingerprint


def test_the_fingerprint_covers_the_file_what_it_imports_from_beside_it_and_the_weights(write, tmp_path):
    write("FACTOR = 1\n", "beside.py")
    write("import beside\nimport torch\ndef build():\n    return lambda source, _: beside.FACTOR * source\n")
    first = open_candidate("mine.py").fingerprint
    assert len(first) == 64
    assert open_candidate("mine.py").fingerprint == first
    write("FACTOR = 2\n", "beside.py")
    assert open_candidate("mine.py").fingerprint != first
    sys.modules.pop("beside")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text(TRAINED)
    write(TRAINED)
    assert open_candidate("mine.py").fingerprint == open_candidate("elsewhere/mine.py").fingerprint
    write(TRAINED.replace("2.0", "2.5"))
    assert open_candidate("mine.py").fingerprint != open_candidate("elsewhere/mine.py").fingerprint


def test_a_file_that_builds_one_of_ours_keeps_its_provenance(write):
    write("from pdebench_fm.models import load_model\ndef build():\n    return load_model('fno-mixed-64k')\n")
    candidate = open_candidate("mine.py")
    assert candidate.name == "mine"
    assert candidate.weights_sha256 == open_candidate("fno-mixed-64k").weights_sha256
    assert candidate.fresh is not None


@pytest.mark.parametrize(
    ("text", "reference", "words"),
    [
        ("", "other.py", "no file other.py"),
        ("x = 1", "mine.py", "mine.py defines no function 'build'"),
        ("def build(): pass", "mine.py:biuld", "unknown function of mine.py 'biuld': did you mean 'build'"),
        ("build = 3", "mine.py", "is of type int"),
        (
            "from torch import nn\nbuild = nn.Linear(1, 1)",
            "mine.py",
            "is of type Linear: name a function",
        ),
        ("def build(): pass", "mine.py", "returned 'NoneType'"),
        (MODULE + "def build(): return Model", "mine.py", "returned the class Model"),
        ("def build(source, coefficients): return source", "mine.py", "needs the argument 'source'"),
    ],
)
def test_a_file_that_gives_no_model_is_one_clear_line(text, reference, words, write):
    write(text)
    with pytest.raises(UsageError, match=words):
        open_candidate(reference)


def test_another_architecture_without_pretraining_is_refused_when_it_is_asked_for(write):
    write("from torch import nn\ndef build(pretrained=True):\n    return nn.Linear(1, 1 + pretrained)\n")
    candidate = open_candidate("mine.py")
    with pytest.raises(UsageError, match="another architecture"):
        candidate.fresh(0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("def build():\n    return helper()\ndef helper():\n    return {}['weights']\n", "return {}['weights']"),
        ("import no_such_library\n", "import no_such_library"),
        ("def build(:\n", "def build(:"),
        ("import sys\nsys.exit(3)\n", "sys.exit(3)"),
    ],
)
def test_a_file_that_raises_shows_its_own_traceback_and_not_ours(text, shown, write, capsys):
    write(text)
    with pytest.raises(UserCodeError) as caught:
        open_candidate("mine.py")
    assert shown in caught.value.details
    assert main(["eval", "--model", "mine.py:build", "--task", "poisson-ood/hard", "--smoke"]) == 1
    stderr = capsys.readouterr().err
    assert shown in stderr
    assert "builders.py" not in stderr
    assert "importlib" not in stderr
    assert stderr.splitlines()[-1].startswith("pdefm: ")


@pytest.fixture
def installed(monkeypatch, write, tmp_path):
    """Install a package that offers a model: what pip leaves of it, found by the standard library's own search."""

    def install(name, value, package="their-package"):
        folder = tmp_path / f"{package.replace('-', '_')}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(f"[pdebench_fm.models]\n{name} = {value}\n")

    write(TRAINED, "their_package.py")
    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("their_package", None)


def test_a_plugin_is_opened_by_its_name(installed):
    installed("their-model", "their_package:build")
    candidate = open_candidate("their-model")
    assert (candidate.name, candidate.revision) == ("their-model", "their-package 1.2")
    assert torch.equal(predict(candidate, BATCH), 2 * BATCH.source)
    assert candidate.fresh(0).gain < 1
    assert candidate.fingerprint is not None


def test_a_plugin_that_is_no_function_or_cannot_be_imported_is_told(installed):
    installed("one", "their_package:nn")
    installed("two", "no_such_package:build", "other-package")
    with pytest.raises(UsageError, match="must be a function"):
        open_candidate("one")
    with pytest.raises(UserCodeError, match=r"plug-in two .* raised ModuleNotFoundError"):
        open_candidate("two")


def test_two_plugins_of_one_name_are_an_error(installed):
    installed("same", "their_package:build")
    installed("same", "their_package:Model", "other-package")
    with pytest.raises(UsageError, match="two installed plug-ins are called 'same'"):
        open_candidate("same")


def test_an_unknown_name_is_answered_with_the_nearest_of_all_kinds(installed):
    installed("their-model", "their_package:build")
    for wrong, right in (("fno-mixd-64k", "fno-mixed-64k"), ("orcale", "oracle"), ("thier-model", "their-model")):
        with pytest.raises(UsageError, match=f"did you mean '{right}'"):
            open_candidate(wrong)


def test_names_go_before_directories_and_a_path_means_the_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scales = HomogeneousNormaliser(coefficient_scales=(1.0,) * 6)
    NeuralOperator(ModelConfig(width=4, modes=4, normaliser=scales)).save_pretrained(tmp_path / "zero")
    assert open_candidate("zero").module is None
    assert isinstance(open_candidate("./zero").module, NeuralOperator)
    assert isinstance(open_candidate(tmp_path / "zero").module, nn.Module)


def test_a_model_is_loaded_by_every_word_that_an_evaluation_takes(write):
    assert isinstance(load_model("unet").network, UNet)
    assert isinstance(load_model("fno-mixed-64k"), NeuralOperator)
    assert torch.equal(load_model("zero")(BATCH.source, BATCH.coefficients), torch.zeros(1, 4, 4))
    assert torch.equal(load_model(write(TRAINED))(BATCH.source, BATCH.coefficients), 2 * BATCH.source)
    assert all(map(torch.equal, load_model("unet").parameters(), load_model("unet").parameters()))


def test_what_cannot_be_loaded_is_said_with_what_can():
    with pytest.raises(UsageError, match="unknown model 'unett': did you mean 'unet'"):
        load_model("unett")
    with pytest.raises(UsageError, match="fno-mixed-256m is a recipe only"):
        open_candidate("fno-mixed-256m")
    with pytest.raises(UsageError, match=r"unet is not on the Hub, so it has no revision 'v1\.0\.0'"):
        load_model("unet", revision="v1.0.0")
