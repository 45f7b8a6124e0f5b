"""Models from strangers: headers and sizes are looked at before anything is read, hashed or built."""

import json
import struct

import pytest
import torch
from measured import measured
from safetensors.torch import load_file, save_file

from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.repository import hub_client
from pdebench_fm.models import IdentityNormaliser, ModelConfig, NeuralOperator, load_model
from pdebench_fm.models.layout import parameter_count, tensor_shapes
from pdebench_fm.models.sources import read_config


@pytest.mark.parametrize(("width", "modes", "layers"), [(3, 2, 2), (8, 4, 4), (5, 7, 1), (128, 32, 4)])
def test_the_layout_is_that_of_the_model(width, modes, layers):
    with torch.device("meta"):
        model = NeuralOperator(ModelConfig(width=width, modes=modes, layers=layers, normaliser=IdentityNormaliser()))
    held = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert tensor_shapes(width, modes, layers) == held
    assert parameter_count(width, modes, layers) == sum(tensor.numel() for tensor in model.parameters())


def with_config(folder, **changes):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | changes))


def with_header(folder, change):
    """Write the weights' header anew, as `change` makes it of the old one, before the same data."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(change(header)).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def overlapping(header):
    first, second = [name for name in header if name.endswith("weight")][:2]
    return header | {second: header[second] | {"data_offsets": header[first]["data_offsets"]}}


def far_away(header):
    name = next(name for name in header if name.endswith("bias"))
    begin, end = header[name]["data_offsets"]
    return header | {name: header[name] | {"data_offsets": [begin + 2**62, end + 2**62]}}


def huge_shape(header):
    name = next(name for name in header if name.endswith("bias"))
    return header | {name: header[name] | {"shape": [2**40, 2**40]}}


def many_tensors(header):
    some = next(iter(header.values()))
    return header | {f"extra-{i}": some for i in range(20_000)}


def sparse(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


def long_header(folder):
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 3 * 2**30) + b"{")
    sparse(path, 4 * 2**30)


def bfloat16(folder):
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors")


CASES = {
    "layers": (lambda folder: with_config(folder, layers=10**6), "'layers': Input should be less than or equal to 64"),
    "width": (lambda folder: with_config(folder, width=10**9), "'width': Input should be less than or equal to 4096"),
    "digits": (lambda folder: with_config(folder, width=10**400), "'width': "),
    "modes": (lambda folder: with_config(folder, modes=2**20), "'modes': Input should be less than or equal to 1024"),
    "all": (
        lambda folder: with_config(folder, width=4096, modes=1024, layers=64),
        " parameters: should be at most 4,000,000,000",
    ),
    "large": (lambda folder: with_config(folder, width=512, modes=16), "does not fit its config.json: tensor"),
    "deeper": (lambda folder: with_config(folder, layers=64), "180 missing"),
    "label": (lambda folder: with_config(folder, family="a\x1b[31mb"), "'family': String should match pattern"),
    "sparse config": (lambda folder: sparse(folder / "config.json", 3 * 2**30), "too large to be what it should"),
    "deep config": (lambda folder: (folder / "config.json").write_text("[" * 60_000), "recursion limit"),
    "sparse weights": (lambda folder: sparse(folder / "model.safetensors", 64 * 2**30), "not a complete safetensors"),
    "long header": (long_header, "its header has 3.2 GB, of at most 1.0 MB"),
    "overlap": (lambda folder: with_header(folder, overlapping), "not a complete safetensors file"),
    "offset": (lambda folder: with_header(folder, far_away), "not a complete safetensors file"),
    "shape": (lambda folder: with_header(folder, huge_shape), "not a complete safetensors file"),
    "tensors": (lambda folder: with_header(folder, many_tensors), "its header has"),
    "bfloat16": (bfloat16, "is BF16, not torch.float32"),
}


def make_model(folder):
    NeuralOperator(ModelConfig(width=4, modes=2, normaliser=IdentityNormaliser())).save_pretrained(folder)


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """What loading each of several hostile models says and costs, by name."""
    root = tmp_path_factory.mktemp("models")
    for number, (spoil, _) in enumerate(CASES.values()):
        make_model(root / str(number))
        spoil(root / str(number))
    found = measured(
        "from pdebench_fm.models import load_model\nload_model('fno-poisson-64k')",
        "load_model(path)",
        [root / str(number) for number in range(len(CASES))],
    )
    return dict(zip(CASES, found, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_model_is_refused_in_a_line_at_once(costs, name):
    said, grown, seconds = costs[name]
    assert said is not None
    assert CASES[name][1] in said
    assert "\n" not in said
    assert len(said) < 600
    assert grown < 100  # MiB
    assert seconds < 10


def test_the_largest_of_each_kind_is_accepted(tmp_path):
    make_model(tmp_path)
    for changes in ({"layers": 64}, {"width": 4096, "modes": 1}, {"modes": 1024, "width": 2}):
        with_config(tmp_path, **({"layers": 4, "width": 4, "modes": 2} | changes))
        assert read_config(tmp_path).parameters < 4_000_000_000
    with pytest.raises(PdefmError, match=r"does not fit its config\.json"):
        load_model(tmp_path)


@pytest.fixture
def on_hub(hub, monkeypatch):
    """Let models be looked for on the test's Hub."""
    monkeypatch.setattr("pdebench_fm.models.sources.hub_client", lambda token: hub_client(hub.url, token))
    return hub


def test_a_configuration_that_is_no_models_ends_a_download(on_hub, api, tmp_path):
    make_model(tmp_path / "model")
    with_config(tmp_path / "model", layers=10**6)
    api.create_repo("alice/deep")
    api.upload_folder(repo_id="alice/deep", folder_path=tmp_path / "model")
    on_hub.forget_requests()
    with pytest.raises(PdefmError, match="'layers'"):
        NeuralOperator.from_pretrained("alice/deep", cache_dir=tmp_path / "cache")
    assert not [request for request in on_hub.requests_to("/resolve/") if "safetensors" in request.path]


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("config.json", 100_000, r"alice/large is not downloaded: config\.json has 100\.0 kB, .* at most 65\.5 kB"),
        ("model.safetensors", 3_000_000, r"model\.safetensors has 3\.0 MB, and should have at most 1\.1 MB"),
        ("README.md", 300_000, r"README\.md has 300\.0 kB"),
        ("training.json", 2_000_000, r"training\.json has 2\.0 MB"),
    ],
)
def test_what_is_too_large_by_the_hubs_list_is_not_downloaded(on_hub, api, tmp_path, name, size, message):
    make_model(tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(b" " * size)
    api.create_repo("alice/large")
    api.upload_folder(repo_id="alice/large", folder_path=tmp_path / "model")
    on_hub.forget_requests()
    with pytest.raises(PdefmError, match=message):
        NeuralOperator.from_pretrained("alice/large", cache_dir=tmp_path / "cache")
    assert not [request for request in on_hub.requests_to("/resolve/") if name in request.path]
