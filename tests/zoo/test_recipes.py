"""The recipes of models without weights: configuration and card are true, and the command line accepts the script."""

import re
import shlex
import subprocess

import pytest
from typer.main import get_command

from pdebench_fm.cli.app import app
from pdebench_fm.models import SIZES, load_model, parameter_count, recipe_names
from pdebench_fm.models.loading import recipe_directory
from pdebench_fm.models.sources import read_config
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.pretrain import initial_model


def words_of(text):
    """The arguments of the only `pretrain` command in a text."""
    (found,) = re.findall(r"-m pdebench_fm (pretrain .+?)(?<!\\)\n", text.replace("\\\n", " "))
    return shlex.split(found)


def options_of(words):
    """The options as the command line itself reads them."""
    return get_command(app).commands["pretrain"].make_context("pretrain", words[1:]).params


def test_the_largest_size_is_a_recipe():
    assert recipe_names() == ["fno-mixed-256m"]


@pytest.fixture(params=recipe_names())
def folder(request):
    return recipe_directory() / request.param


def test_a_recipe_has_a_configuration_a_card_and_a_script_and_no_weights(folder):
    assert {path.name for path in folder.iterdir()} == {"config.json", "README.md", "pretrain.slurm"}


def test_the_configuration_is_what_the_script_trains(folder):
    options = options_of(words_of((folder / "pretrain.slurm").read_text()))
    config = read_config(folder)
    size = SIZES[options["size"]]
    assert (config.width, config.modes, config.size) == (size.width, size.modes, size.name)
    assert folder.name == f"fno-{options['family']}-{options['size']}" == f"fno-{config.family}-{config.size}"
    # The scales come from the data, not from the size: a small model's are measured here.
    small = initial_model(PretrainConfig(family=options["family"], size="64k", steps=1)).config
    assert config.normaliser.coefficient_scales == pytest.approx(small.normaliser.coefficient_scales, rel=1e-6)


def test_the_script_is_bash_and_shares_every_batch_evenly(folder):
    script = folder / "pretrain.slurm"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    nodes, processes = (int(re.search(rf"--{word} (\d+)", text)[1]) for word in ("nnodes", "nproc-per-node"))
    assert re.search(rf"^#SBATCH --nodes={nodes} .*--gpus-per-node={processes} ", text, re.MULTILINE)
    assert options_of(words_of(text))["batch_size"] % (nodes * processes) == 0


def test_the_card_gives_the_scripts_command_and_says_that_there_are_no_weights(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert words_of(text) == words_of((folder / "pretrain.slurm").read_text())
    assert "**No weights are shipped.**" in text
    assert re.search(r"has\s+not been run at this size", text)
    assert f"{parameter_count(read_config(folder)):,} real parameters" in text


def test_the_cards_learning_rate_is_the_small_models_by_width(folder):
    options = options_of(words_of((folder / "pretrain.slurm").read_text()))
    expected = load_model("fno-mixed-64k").config.width / read_config(folder).width * 0.01
    assert options["learning_rate"] == pytest.approx(expected)
