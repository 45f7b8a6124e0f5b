"""The package's own models: known by their digests wherever they lie, and opened where their weights are."""

import pytest
from factories import make_evaluation, make_model

from pdebench_fm import shipped
from pdebench_fm.cli.zoo import _home
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.own_name import check_own_name
from pdebench_fm.files import sha256_of
from pdebench_fm.leaderboard.official import is_official, shipped_model
from pdebench_fm.leaderboard.recompute import NotRunError, open_submitted
from pdebench_fm.models import IdentityNormaliser, ModelConfig, NeuralOperator, load_model, open_candidate, zoo_names
from pdebench_fm.models.loading import RECORDS
from pdebench_fm.own_models import OwnModel, own_models, write_own_models
from pdebench_fm.results.result import read_result
from pdebench_fm.zoo.entries import find_entry

NAME = "fno-mixed-300m"
CONFIG = ModelConfig(width=4, modes=2, normaliser=IdentityNormaliser(), family="mixed", size="300m")


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A model that is too large for the package: its weights are in a checkout, and what is known of it in both."""
    folder = tmp_path / "checkout" / "weights" / NAME
    NeuralOperator(CONFIG).save_pretrained(folder, half=True)
    fingerprint = open_candidate(str(folder)).fingerprint
    known = {sha256_of(folder / "model.safetensors"): OwnModel(name=NAME, fingerprint=fingerprint, scores="0" * 64)}
    before = own_models()
    monkeypatch.setattr("pdebench_fm.own_models.PLACE", tmp_path / "own.json")
    write_own_models(before | known)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "checkout" / "pdebench_fm")
    yield folder
    shipped_model.cache_clear()


@pytest.fixture
def elsewhere(large, tmp_path):
    """The same in an installed package, beside which a folder of that name has nothing to say."""
    (tmp_path / "checkout" / "pyproject.toml").unlink()
    shipped_model.cache_clear()
    return large


def result_of(folder, **changes):
    candidate = open_candidate(str(folder))
    of = {"weights_sha256": candidate.weights_sha256, "fingerprint": candidate.fingerprint} | changes
    return make_evaluation("poisson-ood/mild", make_model(NAME, **of)).result


def test_a_large_model_is_one_of_the_zoo_in_a_checkout(large):
    assert NAME in zoo_names()
    by_name, by_folder = load_model(NAME), load_model(large)
    assert by_name.source.weights_sha256 == by_folder.source.weights_sha256
    assert (by_name.source.model_id, by_name.source.revision) == (NAME, "package")
    entry = find_entry(NAME)
    assert (entry.home, entry.folder) == ("checkout", large)
    assert "weights/" in _home(entry).plain
    assert find_entry("fno-mixed-64k").home == "package"
    assert open_submitted(result_of(large)).weights_sha256 == by_name.source.weights_sha256


@pytest.mark.usefixtures("elsewhere")
def test_an_installed_package_says_where_the_weights_of_a_large_model_are():
    assert NAME not in zoo_names()
    for opened in (load_model, open_candidate, find_entry):
        with pytest.raises(
            UsageError, match=rf"{NAME} is too large to come with the package: .* weights/ of the repos"
        ):
            opened(NAME)
    with pytest.raises(UsageError, match="is the name of a model of the package"):
        check_own_name(NAME, ["mine.py"])


def test_a_large_models_rows_are_official_with_its_weights_and_without(elsewhere):
    result = result_of(elsewhere)
    assert is_official(result.model)
    for changes in ({"fingerprint": "1" * 64}, {"weights_sha256": "2" * 64}):
        assert not is_official(result_of(elsewhere, **changes).model)
    other_name = result.model.model_copy(update={"model_id": "fno-mixed-1m"})
    assert not is_official(other_name)
    with pytest.raises(NotRunError, match="verify it in a clone"):
        open_submitted(result)


def test_a_model_whose_weights_were_not_kept_is_known_and_cannot_be_opened():
    (name, *_) = sorted(own.name for own in own_models().values() if own.scores is None)
    assert name not in zoo_names()
    with pytest.raises(
        UsageError, match=rf"^{name} was trained for its results .* by the settings in .*/{name}/training\.json$"
    ):
        load_model(name)
    weights = next(weights for weights, own in own_models().items() if own.name == name)
    (path, *_) = (shipped.shipped("leaderboard") / "results").rglob(f"{name}/*.json")
    held = read_result(path)
    assert held.model.weights_sha256 == weights
    assert is_official(held.model)
    with pytest.raises(NotRunError, match=f"the weights of {name} were not kept"):
        open_submitted(held)
    assert (RECORDS / name / "training.json").is_file()
    with pytest.raises(UsageError, match="its weights were not kept"):
        check_own_name("mine", [name])
    with pytest.raises(UsageError, match=r"keeps its name|is the name of a model of the package"):
        check_own_name(name, ["mine"])
