"""Weights of the tl-scaling code become models with the same outputs; whatever is not such weights is refused."""

import ast
import copy
import json
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import pdebench_fm
from pdebench_fm.cli import main
from pdebench_fm.data import stream
from pdebench_fm.models import NeuralOperator, TLScalingNormaliser
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.training.adapt import AdaptationRecipe, adapt

from .tl_scaling_peer import CHANNELS, CONFIG, SCALES, make_peer


@pytest.fixture
def peer(tmp_path):
    return make_peer(tmp_path, "poisson")


def arguments(peer, **changes):
    values = {"from": "tl-scaling", "config": peer.config, "entry": "trained", "scales": peer.scales} | changes
    values.setdefault("out", peer.folder / "model")
    options = [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]
    return ["zoo", "import", str(peer.checkpoint), *options]


def imported(peer, **changes):
    assert main(arguments(peer, **changes)) == 0
    return NeuralOperator.from_pretrained(peer.folder / "model")


def samples(system, n=64, size=4):
    return next(iter(stream(f"{system}/pretrain", "train", resolution=n, batch_size=size, device="cpu")))


def assert_same(found, expected, tolerance=1e-5):
    size = torch.linalg.vector_norm(expected, dim=(1, 2))
    assert (torch.linalg.vector_norm(found - expected, dim=(1, 2)) < tolerance * size).all()
    variation = torch.linalg.vector_norm(expected - expected.mean(dim=(1, 2), keepdim=True), dim=(1, 2))
    assert (variation > 0.03 * size).all()  # no constant behind which a difference would hide


@pytest.mark.parametrize("n", [64, 128])
@pytest.mark.parametrize("system", CHANNELS)
def test_an_imported_model_has_the_peers_outputs(tmp_path, system, n):
    peer = make_peer(tmp_path, system)
    model = imported(peer)
    batch = samples(system, n)
    expected = peer.solve(batch.source, batch.coefficients, SCALES[system])
    with torch.no_grad():
        assert_same(model(batch.source, batch.coefficients), expected)
    assert model.config.family == system


def test_coefficients_that_the_peer_does_not_see_change_nothing(peer):
    model = imported(peer)
    batch = samples("poisson")
    changed = batch.coefficients.clone()
    changed[:, 3:] = 7.0
    with torch.no_grad():
        assert torch.equal(model(batch.source, changed), model(batch.source, batch.coefficients))
        changed[:, :3] *= 2
        assert not torch.allclose(model(batch.source, changed), model(batch.source, batch.coefficients))


def test_a_helmholtz_network_without_the_diffusion_channel_sees_omega_alone(tmp_path):
    peer = make_peer(tmp_path, "helmholtz", channels=(5,))
    scales = [0.0023, 6.0, 0.3, 1, 1]
    np.save(peer.scales, scales)
    model, batch = imported(peer), samples("helmholtz")
    with torch.no_grad():
        assert_same(model(batch.source, batch.coefficients), peer.solve(batch.source, batch.coefficients, scales))


def test_scales_of_zero_count_as_one_and_other_domains_are_kept(peer):
    scales = [0, 0.02, 0, 0.006, 0, 2, 0.5]
    np.save(peer.scales, scales)
    model, batch = imported(peer), samples("poisson")
    normaliser = model.config.normaliser
    assert (normaliser.source_scale, normaliser.coefficient_scales[1]) == (1, 1)
    assert (normaliser.length_x, normaliser.length_y) == (2, 0.5)
    with torch.no_grad():
        assert_same(model(batch.source, batch.coefficients), peer.solve(batch.source, batch.coefficients, scales))


def test_a_configuration_without_scales_means_inputs_as_they_are(peer):
    model, batch = imported(peer, entry="small", scales=None), samples("poisson")
    assert model.config.normaliser.kind == "identity"
    with torch.no_grad():
        assert_same(model(batch.source, batch.coefficients), peer.solve(batch.source, batch.coefficients))


def test_weights_of_distributed_training_have_a_prefix_that_goes(peer):
    expected = imported(peer, out=peer.folder / "model").state_dict()
    peer.save(prefix="module.")
    assert main(arguments(peer, out=peer.folder / "again")) == 0
    found = NeuralOperator.from_pretrained(peer.folder / "again").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_yaml_librarys_float_in_the_optimizers_state_is_no_obstacle(peer, monkeypatch):
    scalar = type("ScalarFloat", (float,), {"__module__": "ruamel.yaml.scalarfloat"})
    with monkeypatch.context() as patch:
        for name in ("ruamel", "ruamel.yaml", "ruamel.yaml.scalarfloat"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        sys.modules["ruamel.yaml.scalarfloat"].ScalarFloat = scalar
        rate = scalar(1e-3)
        rate._width = 4  # it keeps its notation
        peer.save(extra={"initial_lr": rate})
    before = torch.serialization.get_safe_globals()
    imported(peer)
    assert set(torch.serialization.get_safe_globals()) == set(before)


def test_the_options_that_a_run_wrote_down_serve_as_well_as_its_configuration(peer):
    options = yaml.safe_load(CONFIG.format(in_dim=4))["trained"]
    written = peer.folder / "hyperparams.yaml"
    written.write_text(yaml.safe_dump({name: str(value) for name, value in options.items()}))
    model, batch = imported(peer, config=written, entry=None), samples("poisson")
    with torch.no_grad():
        assert_same(
            model(batch.source, batch.coefficients), peer.solve(batch.source, batch.coefficients, SCALES["poisson"])
        )


def test_cuts_of_zero_leave_the_lists_as_they_are(peer):
    text = (
        CONFIG.format(in_dim=4).replace("64, 64, 64, 64, 64", "8, 8, 8, 8, 8").replace("65, 65, 65, 65", "5, 5, 5, 5")
    )
    text = text.replace("_cut: 5", "_cut: 0").replace("_cut: 8", "_cut: 0").replace("fc_dim: 128", "fc_dim: 16")
    peer.config.write_text(text)
    assert imported(peer).config.width == 8


def test_an_imported_model_can_be_adapted_and_evaluated(peer, capsys):
    model, batch = imported(peer), samples("poisson", size=2)
    loss = model(batch.source, batch.coefficients).square().mean()
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0
    before = copy.deepcopy(model.state_dict())
    adapted = adapt(model, batch, AdaptationRecipe(learning_rate=1e-3, steps=3, batch_size=2, warmup_steps=1), seed=0)
    assert not torch.equal(adapted.network.lift.weight, before["network.lift.weight"])
    evaluate = ["eval", "--model", str(peer.folder / "model"), "--task", "poisson/in-domain", "--track", "lite"]
    assert main([*evaluate, "--no-scratch", "--seeds", "1", "--out", str(peer.folder / "results")]) == 0
    capsys.readouterr()
    assert len(list((peer.folder / "results").rglob("*.json"))) == 1


def test_an_imported_model_carries_the_manifest_that_it_is_given(peer, capsys):
    """Trained with that code's own rows, drawn from a range of their own."""
    stream = {"system": "poisson", "regime": "theirs", "split": "train", "data_version": "1.0.0", "start": 0, "stop": 9}
    stream |= {"resolution": 128, "parameter_range": {"low": 1.0, "high": 7.5}}
    manifest = peer.folder / "training.json"
    manifest.write_text(json.dumps({"manifest": {"trained": [stream | {"stop": 0}]}}))
    assert main(arguments(peer, manifest=manifest)) == 1
    assert "training.json holds no training manifest: manifest.trained.0.stop" in capsys.readouterr().err
    assert not (peer.folder / "model").exists()
    manifest.write_text(json.dumps({"manifest": {"trained": [stream]}}))
    model = imported(peer, manifest=manifest)
    (found,) = candidate_of(model).training.trained
    assert (found.regime, found.span.high) == ("theirs", 7.5)


def test_gradients_of_the_normaliser_are_those_of_finite_differences(peer):
    model = imported(peer).double()
    source = torch.randn(2, 10, 10, dtype=torch.float64, requires_grad=True)
    coefficients = torch.rand(2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, (source, coefficients), fast_mode=True)


def test_a_zero_source_has_the_solution_zero_and_finite_gradients(peer):
    model, batch = imported(peer), samples("poisson")
    batch.source[1] = 0
    coefficients = batch.coefficients.requires_grad_()
    solution = model(batch.source.requires_grad_(), coefficients)
    assert torch.equal(solution[1], torch.zeros_like(solution[1]))
    solution.sum().backward()
    assert batch.source.grad.isfinite().all()
    assert coefficients.grad.isfinite().all()


def test_a_factor_on_source_and_coefficients_together_changes_nothing(peer):
    # u of (a f, a K) is u of (f, K): the symmetry that this normaliser has, instead of homogeneity.
    model, batch = imported(peer), samples("poisson")
    with torch.no_grad():
        expected = model(batch.source, batch.coefficients)
        assert_same(model(1e-25 * batch.source, 1e-25 * batch.coefficients), expected)
        assert not torch.allclose(model(2 * batch.source, batch.coefficients), 2 * expected, rtol=1e-2)


class Bomb:
    def __reduce__(self):
        return os.system, ("exit 1",)


def tensors(count):
    return torch.zeros(count)


def replace_config(old, new):
    return lambda peer: peer.config.write_text(peer.config.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda peer: peer.save(extra={"x": Bomb()}), {}, "system, and unpickling that could run any code"),
        (lambda peer: peer.checkpoint.write_bytes(b"hello"), {}, "not a complete checkpoint"),
        (lambda peer: peer.checkpoint.write_bytes(b""), {}, "not a complete checkpoint"),
        (lambda peer: peer.checkpoint.write_bytes(peer.checkpoint.read_bytes()[:-99]), {}, "not a complete checkpoint"),
        (lambda peer: peer.checkpoint.unlink(), {}, "no checkpoint file"),
        (lambda peer: torch.save(tensors(3), peer.checkpoint), {}, "no entry 'model_state' with the weights in it"),
        (lambda peer: torch.save({"state_dict": {}}, peer.checkpoint), {}, "only 'state_dict'"),
        (lambda peer: torch.save({"model_state": [1]}, peer.checkpoint), {}, "not a state dict"),
        (lambda peer: peer.save(**{"fc2.bias": None}), {}, "lacks the weights 'fc2.bias', unlike"),
        (lambda peer: peer.save(prefix="net."), {}, "lacks the weights 'fc0.bias' and 21 more"),
        (lambda peer: peer.save(extra_head=tensors(2)), {}, "has the weights 'extra_head', unlike"),
        (lambda peer: peer.save(**{"fc0.bias": tensors(9)}), {}, "'fc0.bias' is torch.float32 of the shape (9,)"),
        (lambda peer: peer.save(**{"fc0.bias": tensors(8).double()}), {}, "'fc0.bias' is torch.float64"),
        (lambda peer: peer.save(**{"fc0.bias": tensors(8) / 0}), {}, "'fc0.bias' holds values that are not finite"),
        (replace_config("mode_cut: 5", "mode_cut: 4"), {}, "asks for torch.float32 of the shape (8, 8, 4, 4, 2)"),
        (replace_config("  mode_cut: 5\n", ""), {}, "lacks the option 'mode_cut'"),
        (replace_config("model: 'fno'", "model: 'ffn'"), {}, "option 'model' cannot be 'ffn'"),
        (replace_config("'mse'", "'pde'"), {}, "option 'loss_func' cannot be 'pde'"),
        (replace_config("out_dim: 1", "out_dim: 2"), {}, "option 'out_dim' cannot be 2"),
        (replace_config("in_dim: 4", "in_dim: 5"), {}, "in_dim 5 is not the inputs of one of the systems"),
        (replace_config("in_dim: 4", "in_dim: many"), {}, "option 'in_dim' cannot be 'many'"),
        (replace_config("fc_cut: 2", "fc_cut: 4"), {}, "32 hidden channels of the projection"),
        (replace_config("modes1: [65, ", "modes1: ["), {}, "one width more than modes"),
        (replace_config("embed_cut: 8", "embed_cut: 0"), {}, "of the shape (64, 4)"),
        (
            replace_config("embed_cut: 8\n  fc_cut: 2", "embed_cut: 0\n  fc_cut: 0\n  layers: [8, 9, 8, 8, 8]"),
            {},
            "layers",
        ),
        (replace_config("mode_cut: 5", "mode_cut: 0\n  modes2: [5, 5, 5, 4]"), {}, "must be one number throughout"),
        (lambda peer: peer.config.write_text("layers: ["), {}, "not a YAML file"),
        (lambda peer: peer.config.write_text("just words"), {}, "not a configuration"),
        (lambda peer: peer.config.write_text("model: fno"), {}, "is one configuration, without a name"),
        (lambda peer: peer.config.unlink(), {}, "no configuration file"),
        (None, {"entry": None}, "several configurations, give one as --entry: default, small, trained"),
        (None, {"entry": "trainde"}, "did you mean 'trained'"),
        (None, {"scales": None}, "inputs divided by /somewhere/scales.npy: give that file as --scales"),
        (None, {"entry": "small"}, "leave out --scales"),
        (lambda peer: peer.scales.unlink(), {}, "no file of scales"),
        (lambda peer: peer.scales.write_bytes(b"hello"), {}, "not an array"),
        (lambda peer: np.save(peer.scales, [Bomb()] * 7), {}, "not an array"),
        (lambda peer: np.save(peer.scales, SCALES["helmholtz"]), {}, "must hold 7 numbers for poisson"),
        (lambda peer: np.save(peer.scales, ["a"] * 7), {}, "must hold 7 numbers"),
        (lambda peer: np.save(peer.scales, [1, 1, -1, 1, 1, 1, 1]), {}, "finite numbers that are not negative"),
        (lambda peer: np.save(peer.scales, [1, 1, np.nan, 1, 1, 1, 1]), {}, "finite numbers that are not negative"),
        (None, {"from": "tl-scalin"}, "unknown peer 'tl-scalin': did you mean 'tl-scaling'"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_one_line_and_leaves_nothing(peer, change, options, words, capsys):
    if change is not None:
        change(peer)
    before = sorted(peer.folder.iterdir())
    assert main(arguments(peer, **options)) in (1, 2)
    stderr = capsys.readouterr().err
    assert words in stderr
    assert stderr.startswith("pdefm: ")
    assert stderr.count("\n") == 1
    assert "internal error" not in stderr
    assert sorted(peer.folder.iterdir()) == before


def test_a_folder_that_exists_is_left_alone(peer, capsys):
    imported(peer)
    before = {path.name: path.read_bytes() for path in (peer.folder / "model").iterdir()}
    assert main(arguments(peer)) == 2
    assert "exists already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (peer.folder / "model").iterdir()} == before


def test_a_disk_that_fails_leaves_nothing(peer, monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pdebench_fm.models.operator.write_weights", fail)
    before = sorted(peer.folder.iterdir())
    assert main(arguments(peer)) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(peer.folder.iterdir()) == before


def test_the_normaliser_says_what_it_is_in_the_models_configuration(peer):
    normaliser = imported(peer).config.normaliser
    assert isinstance(normaliser, TLScalingNormaliser)
    assert re.search(r'"kind": "tl-scaling"', (peer.folder / "model" / "config.json").read_text())
    assert normaliser.coefficient_scales == pytest.approx((0.021, 0.019, 0.006, 1, 1, 1), rel=1e-6)


def test_a_torch_file_is_opened_in_one_place_only_and_as_plain_data():
    calls = []
    root = Path(pdebench_fm.__file__).parent
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "dill", "joblib", "cloudpickle"}, path
                assert not ({"load"} & names and "torch" in names), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                calls.append((path.relative_to(root).as_posix(), ast.unparse(node)))
    assert [path for path, _ in calls] == ["models/peers/pickled.py"]
    assert "weights_only=True" in calls[0][1]
