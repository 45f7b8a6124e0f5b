"""Saved models come back bit for bit, and files that are not what they should be are refused with a reason."""

import json
import os
import pickle
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import sha256_of
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator
from pdebench_fm.models import weights as weights_module
from pdebench_fm.models.weights import read_weights, specs_of

CONFIG = ModelConfig(
    width=4,
    modes=2,
    normaliser=HomogeneousNormaliser(coefficient_scales=(0.03, 0.03, 0.01, 1 / 3, 1, 6.5)),
    family="mixed",
    size="tiny",
)


@pytest.fixture
def model():
    torch.manual_seed(3)
    return NeuralOperator(CONFIG)


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_a_record_of_other_weights_goes_with_them(model, folder):
    record = folder / "training.json"
    record.write_text("{}")
    model.save_pretrained(folder)
    assert record.exists()
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    model.save_pretrained(folder)
    assert not record.exists()


def test_a_saved_model_comes_back_bit_for_bit(model, folder):
    loaded = NeuralOperator.from_pretrained(folder)
    assert loaded.config == model.config
    assert not loaded.training
    assert list(loaded.state_dict()) == list(model.state_dict())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    source, coefficients = torch.randn(2, 8, 8), torch.rand(2, 6)
    assert torch.equal(loaded(source, coefficients), model(source, coefficients))


def test_half_precision_takes_half_the_room_and_is_read_as_single(model, folder, tmp_path):
    model.save_pretrained(tmp_path / "half", half=True)
    sizes = [(place / "model.safetensors").stat().st_size for place in (tmp_path / "half", folder)]
    tensors = sum(tensor.numel() for tensor in model.state_dict().values())
    assert sizes[1] - sizes[0] == pytest.approx(2 * tensors, abs=100)
    loaded = NeuralOperator.from_pretrained(tmp_path / "half")
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].half().float())
    source, coefficients = torch.randn(2, 8, 8), torch.rand(2, 6)
    torch.testing.assert_close(loaded(source, coefficients), model(source, coefficients), rtol=0.01, atol=0.01)
    with torch.no_grad():
        model.network.lift.weight[0, 0] = 1e5
    with pytest.raises(PdefmError, match=r"'network\.lift\.weight' is too large for half precision"):
        model.save_pretrained(tmp_path / "large", half=True)
    assert not (tmp_path / "large" / "config.json").exists()


def test_saving_writes_the_configuration_and_the_weights(folder):
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert ModelConfig.model_validate_json((folder / "config.json").read_text()) == CONFIG
    assert json.loads((folder / "config.json").read_text()) == json.loads(CONFIG.model_dump_json())


def test_the_loaded_model_says_which_weights_it_has(folder):
    source = NeuralOperator.from_pretrained(folder).source
    assert (source.model_id, source.revision, source.directory) == (str(folder), None, folder)
    assert source.weights_sha256 == sha256_of(folder / "model.safetensors")


def test_a_loaded_model_can_be_trained_and_saved_again(folder, tmp_path):
    loaded = NeuralOperator.from_pretrained(folder)
    before = sha256_of(folder / "model.safetensors")
    optimizer = torch.optim.SGD(loaded.parameters(), lr=0.1)
    loaded(torch.randn(2, 8, 8), torch.rand(2, 6)).square().sum().backward()
    optimizer.step()
    loaded.save_pretrained(tmp_path / "again")
    again = NeuralOperator.from_pretrained(tmp_path / "again")
    assert torch.equal(again.network.lift.weight, loaded.network.lift.weight)
    assert again.source.weights_sha256 != before
    assert sha256_of(folder / "model.safetensors") == before


def test_an_interrupted_save_leaves_no_half_written_model(model, folder, monkeypatch):
    before = (folder / "model.safetensors").read_bytes()

    def fail(_, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(weights_module, "save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert not list(folder.glob(".*"))
    with pytest.raises(PdefmError, match=r"no config\.json"):
        NeuralOperator.from_pretrained(folder)


def rename(tensors):
    tensors["network.lift.scale"] = tensors.pop("network.lift.weight")


def drop(tensors):
    del tensors["network.project.bias"]


def add(tensors):
    tensors["extra"] = torch.zeros(1)


def reshape(tensors):
    tensors["network.lift.weight"] = torch.zeros(4, 8)


def cast(tensors):
    tensors["network.lift.bias"] = tensors["network.lift.bias"].double()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename, "1 missing ('network.lift.weight') and 1 unexpected ('network.lift.scale')"),
        (drop, "1 missing ('network.project.bias')"),
        (add, "1 unexpected ('extra')"),
        (reshape, "tensor 'network.lift.weight' has the shape (4, 8), not (4, 7)"),
        (cast, "tensor 'network.lift.bias' is F64, not torch.float32"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(folder, change, message):
    change_weights(folder, change)
    with pytest.raises(PdefmError, match=re.escape(message)):
        NeuralOperator.from_pretrained(folder)


def test_a_configuration_of_another_width_is_refused(folder):
    config = CONFIG.model_copy(update={"width": 8})
    (folder / "config.json").write_text(config.model_dump_json())
    with pytest.raises(PdefmError, match=r"does not fit its config.json: tensor 'network.lift.weight'.*not \(8, 7\)"):
        NeuralOperator.from_pretrained(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONFIG.model_dump_json()[:-1] + ', "depth": 3}', "field 'depth': Extra inputs are not permitted"),
        ("{}", "field 'width': Field required"),
        ("not json", "Invalid JSON"),
    ],
)
def test_an_invalid_configuration_is_refused_in_one_line(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(PdefmError, match=re.escape(message)) as caught:
        NeuralOperator.from_pretrained(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "epoch=3.ckpt", "w.tar", "w.PKL"])
def test_a_pickle_is_refused_without_being_opened(folder, name):
    class Bomb:
        def __reduce__(self):
            return os.abort, ()

    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(PdefmError, match=r"is a pickle.*can run any code.*safetensors.torch.save_file"):
        NeuralOperator.from_pretrained(folder)


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(200), bytes(8) + b"["])
def test_a_file_that_is_safetensors_only_by_name_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(PdefmError, match="has no safetensors header"):
        NeuralOperator.from_pretrained(folder)


def test_a_truncated_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(PdefmError, match="not a complete safetensors file"):
        NeuralOperator.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_directory_without_one_of_its_files_is_not_a_model(folder, name):
    (folder / name).unlink()
    with pytest.raises(PdefmError, match=f"it has no {name}"):
        NeuralOperator.from_pretrained(folder)


def test_each_tensor_is_read_once_straight_to_its_device(model, folder, monkeypatch):
    original, read = weights_module.safe_open, []

    class Recorded:
        """An open file that notes which tensor is read for which device."""

        def __init__(self, path, framework, device):
            self.device, self.manager = device, original(path, framework=framework)

        def __enter__(self):
            self.file = self.manager.__enter__()
            return self

        def __exit__(self, *error):
            return self.manager.__exit__(*error)

        def get_tensor(self, name):
            read.append((name, self.device))
            return self.file.get_tensor(name)

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(weights_module, "safe_open", Recorded)
    expected = specs_of(model.state_dict())
    tensors = read_weights(folder / "model.safetensors", expected, torch.device("cuda:0"))
    assert read == [(name, "cuda:0") for name in expected]
    assert all(torch.equal(tensors[name], value) for name, value in model.state_dict().items())


def test_reading_weights_that_are_not_there_says_so(model, tmp_path):
    with pytest.raises(PdefmError, match="no weights at"):
        read_weights(tmp_path / "none.safetensors", specs_of(model.state_dict()), torch.device("cpu"))
