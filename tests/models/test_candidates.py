"""Any model as a candidate: its name, fingerprint, fresh starts, and what a changed one is called."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from pdebench_fm.errors import UsageError
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator, candidate_of, load_model
from pdebench_fm.models.identity import identity_of
from pdebench_fm.naming import safe_name

SOURCE, COEFFICIENTS = torch.randn(2, 16, 16), torch.rand(2, 6)


class Scaled(nn.Module):
    """One trainable map per point, and a buffer."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(7, 1)
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, source, coefficients):
        constants = coefficients[:, None, None].expand(-1, *source.shape[1:], -1)
        return self.scale * self.map(torch.cat([source[..., None], constants], dim=-1))[..., 0]


class WithBareParameter(Scaled):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))


def ours():
    scales = HomogeneousNormaliser(coefficient_scales=(1.0,) * 6)
    return NeuralOperator(ModelConfig(width=4, modes=4, normaliser=scales, family="poisson", size="tiny"))


def test_a_module_can_be_fine_tuned_and_a_function_only_predicts():
    module, function = Scaled(), lambda source, _: source
    assert candidate_of(module).module is module
    assert candidate_of(module).name == "Scaled"
    assert candidate_of(module).parameters == 8
    assert candidate_of(function).module is None
    assert candidate_of(function).fresh is None
    assert candidate_of(function).name == "lambda"
    assert candidate_of(function).fingerprint is None
    assert candidate_of(function, fingerprint="ab").fingerprint == "ab"


def test_a_loaded_model_brings_its_provenance_and_a_changed_one_does_not():
    model = load_model("fno-mixed-64k")
    candidate = candidate_of(model)
    assert (candidate.name, candidate.revision, candidate.family) == ("fno-mixed-64k", "package", "mixed")
    assert candidate.weights_sha256 == model.source.weights_sha256
    assert candidate.fingerprint == candidate_of(load_model("fno-mixed-64k")).fingerprint
    with torch.no_grad():
        model.network.lift.bias[0] += 1e-3
    changed = candidate_of(model)
    assert (changed.name, changed.revision, changed.weights_sha256) == ("unsaved", None, None)
    assert changed.fingerprint != candidate.fingerprint


def test_a_file_with_nan_weights_is_still_the_models_own(tmp_path):
    model = load_model("fno-mixed-64k")
    with torch.no_grad():
        model.network.lift.bias[0] = torch.nan
    model.save_pretrained(tmp_path / "broken")
    assert candidate_of(load_model(tmp_path / "broken")).name == "broken"


def test_the_same_weights_under_other_scales_are_another_model(tmp_path):
    model = load_model("fno-mixed-64k")
    for name, scale in (("one", 1.0), ("two", 2.0)):
        normaliser = HomogeneousNormaliser(coefficient_scales=(scale,) * 6)
        NeuralOperator(model.config.model_copy(update={"normaliser": normaliser})).save_pretrained(tmp_path / name)
        (tmp_path / name / "model.safetensors").write_bytes((model.source.directory / "model.safetensors").read_bytes())
    one, two = (candidate_of(load_model(tmp_path / name)) for name in ("one", "two"))
    assert one.weights_sha256 == two.weights_sha256
    assert one.fingerprint != two.fingerprint


def test_a_directory_is_known_by_its_own_name_alone(tmp_path):
    ours().save_pretrained(tmp_path / "my run (2)")
    assert candidate_of(load_model(tmp_path / "my run (2)")).name == "my-run-2"


def test_a_loaded_model_whose_precision_was_changed_counts_as_changed():
    assert candidate_of(load_model("fno-mixed-64k").double()).weights_sha256 is None


@pytest.mark.parametrize("make", [ours, Scaled])
def test_fresh_starts_are_fixed_by_the_seed_and_leave_model_and_generator_alone(make):
    model = make()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    candidate = candidate_of(model)
    weights = [nn.utils.parameters_to_vector(candidate.fresh(seed).parameters()) for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_outer_reset_has_the_last_word():
    class ZeroLast(nn.Sequential):
        def reset_parameters(self):
            nn.init.zeros_(self[-1].weight)

    fresh = candidate_of(ZeroLast(nn.Linear(2, 2), nn.Linear(2, 2))).fresh(0)
    assert not fresh[1].weight.any()
    assert fresh[0].weight.all()


def test_no_fresh_start_where_a_parameter_would_keep_its_value_or_is_frozen():
    assert candidate_of(WithBareParameter()).fresh is None
    frozen = Scaled()
    frozen.map.bias.requires_grad_(False)
    assert candidate_of(frozen).fresh is None


def test_the_fingerprint_covers_tensors_buffers_and_kinds_of_parts():
    torch.manual_seed(0)
    model = Scaled()
    fingerprint = identity_of(model).fingerprint
    assert len(fingerprint) == 64
    assert identity_of(copy.deepcopy(model)).fingerprint == fingerprint
    other_bit, other_buffer, other_dtype = copy.deepcopy(model), copy.deepcopy(model), copy.deepcopy(model).double()
    other_bit.map.bias.data = torch.nextafter(other_bit.map.bias.data, torch.tensor(9.0))
    other_buffer.scale += 1
    gelu, tanh = (nn.Sequential(copy.deepcopy(model), nn.GELU(kind)) for kind in ("none", "tanh"))
    all_different = [
        fingerprint,
        *(identity_of(other).fingerprint for other in (other_bit, other_buffer, other_dtype, gelu, tanh)),
    ]
    assert len(set(all_different)) == 6


def test_a_class_without_a_file_has_no_fingerprint():
    names = {}
    exec("from torch import nn\nclass Typed(nn.Linear):\n    pass", names)  # noqa: S102 (as a notebook does)
    names["Typed"].__module__ = "nowhere"
    identity = identity_of(names["Typed"](1, 1))
    assert (identity.fingerprint, identity.unknown) == (None, "the class Typed has no file")


def test_complex_parameters_count_twice():
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros(3, dtype=torch.complex64))
    assert candidate_of(model).parameters == 6


@pytest.mark.parametrize(
    "name", ["a b", "", "a--b", "a/b/c", "../x", "a..b", "ü", "x" * 97, "-a", "nul", "me/com1", "a.parquet"]
)
def test_a_name_that_no_result_can_have_is_refused(name):
    with pytest.raises(UsageError, match="cannot be called"):
        candidate_of(Scaled(), name)


@pytest.mark.parametrize(
    "text",
    ["My Model!", "…", "a--b", "x" * 200, "a...b", "_private_", "con", "AUX.v1", "lpt1", "a.json", "A.GIT", "." * 9],
)
def test_derived_names_are_always_usable(text):
    candidate_of(Scaled(), safe_name(text))


@pytest.mark.parametrize("model", [None, 3, Scaled])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(UsageError, match=r"a model is a torch.nn.Module or a function"):
        candidate_of(model)


def test_a_candidate_is_passed_through_or_renamed():
    candidate = candidate_of(Scaled())
    assert candidate_of(candidate) is candidate
    assert candidate_of(candidate, "other").name == "other"


def test_a_model_of_the_hub_that_no_folder_can_be_called_like_is_refused_before_it_is_run(model_folder):
    model = load_model(model_folder)
    model.source = replace(model.source, model_id="org/con", revision="a" * 40)
    with pytest.raises(UsageError, match="a model cannot be called 'org/con': programs take it for something else"):
        candidate_of(model)
