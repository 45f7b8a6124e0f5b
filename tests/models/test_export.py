"""Exported programs, run by their own runtimes, give the model's solutions at any batch size."""

import hashlib
import sys

import pytest
import torch

from pdebench_fm.cli import main
from pdebench_fm.errors import PdefmError
from pdebench_fm.models import (
    DiffusionNormaliser,
    HomogeneousNormaliser,
    IdentityNormaliser,
    ModelConfig,
    NeuralOperator,
    TLScalingNormaliser,
    export,
    load_model,
    open_candidate,
)
from pdebench_fm.models.export import trace
from pdebench_fm.models.graph import open_graph
from pdebench_fm.models.neuraloperator import neuraloperator_fno
from pdebench_fm.models.transform import transform_of
from pdebench_fm.models.unet import unet

SCALES = (0.03, 0.03, 0.01, 0.5, 0.5, 6.0)
HOMOGENEOUS = HomogeneousNormaliser(coefficient_scales=SCALES)
N = 12


def build(normaliser=HOMOGENEOUS, frame="given"):
    torch.manual_seed(5)
    return NeuralOperator(ModelConfig(width=4, modes=3, layers=2, normaliser=normaliser, frame=frame)).eval()


def batch(size, n=N):
    generator = torch.Generator().manual_seed(size)
    coefficients = torch.rand(size, 6, generator=generator) * torch.tensor(SCALES)
    coefficients[:, :2] += 0.02  # a positive-definite tensor
    return torch.randn(size, n, n, generator=generator), coefficients


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and its program, written by the command."""
    folder, model = tmp_path_factory.mktemp("exported"), build()
    model.save_pretrained(folder / "model")
    out = folder / "model.pt2"
    command = ["zoo", "export", str(folder / "model"), "--to", "torch-export", "--resolution", str(N)]
    assert main([*command, "--out", str(out)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["model", "model.pt2"]
    return model, out


def assert_equal_for_every_batch_size(program, model):
    for size in (1, 2, 5):
        source, coefficients = batch(size)
        source[0] = 0
        with torch.no_grad():
            assert_close(program(source, coefficients), model(source, coefficients))


def test_a_torch_program_gives_the_models_solutions_for_every_batch_size(exported):
    model, path = exported
    assert_equal_for_every_batch_size(torch.export.load(path).module(), model)


@pytest.mark.parametrize(
    "normaliser",
    [
        DiffusionNormaliser(coefficient_scales=(1.0,) * 6),
        DiffusionNormaliser(coefficient_scales=(1.0,) * 6, diffusivity="mean", velocity_share=0.5, omega_share=2.0),
        TLScalingNormaliser(source_scale=0.1, coefficient_scales=SCALES),
        IdentityNormaliser(),
    ],
    ids=lambda normaliser: normaliser.kind,
)
def test_so_it_does_with_other_normalisers(normaliser):
    model = build(normaliser)
    with torch.no_grad():
        program = trace(model, N)
    assert_equal_for_every_batch_size(program.module(), model)


@pytest.mark.parametrize("frame", ["square", "lattice"])
def test_so_it_does_in_other_coordinates(frame):
    model = build(frame=frame)
    with torch.no_grad():
        program = trace(model, N)
    assert_equal_for_every_batch_size(program.module(), model)


@pytest.mark.parametrize(
    ("normaliser", "frame"),
    [
        (HOMOGENEOUS, "given"),
        (DiffusionNormaliser(coefficient_scales=(1.0,) * 6, velocity_share=0.5), "square"),
        (DiffusionNormaliser(coefficient_scales=(1.0,) * 6), "lattice"),
    ],
    ids=str,
)
def test_an_onnx_graph_gives_the_models_solutions_for_every_batch_size(tmp_path, normaliser, frame):
    runtime = pytest.importorskip("onnxruntime")
    model = build(normaliser, frame)
    export.export_model(model, "onnx", tmp_path / "model.onnx", resolution=N)
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # the weights are inside

    def run(source, coefficients):
        feed = {"source": source.numpy(), "coefficients": coefficients.numpy()}
        return torch.from_numpy(session.run(["solution"], feed)[0])

    assert_equal_for_every_batch_size(run, model)


def test_a_torch_program_consists_of_pytorchs_own_operators(exported):
    _, path = exported
    calls = [node.target for node in torch.export.load(path).graph.nodes if node.op == "call_function"]
    assert len(calls) > 20
    assert {getattr(call, "namespace", call.__module__) for call in calls} <= {"aten", "_operator"}


def test_tracing_leaves_nothing_behind_in_the_constants_that_models_share(exported):
    model, _ = exported  # traced with the constants of this grid
    source, coefficients = batch(2)
    transform_of.cache_clear()
    fresh = model(source, coefficients)
    with torch.no_grad():
        trace(model, N)
    after = model(source, coefficients)
    assert torch.equal(after, fresh)
    after.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("wrong", [1.001, float("nan")])
def test_a_program_that_computes_something_else_is_not_kept(tmp_path, monkeypatch, wrong):
    model = build()
    monkeypatch.setattr(export, "trace", lambda *_: b"program")
    broken = export.Exporter(
        write=lambda program, path: path.write_bytes(program), run=lambda _, *inputs: wrong * model(*inputs)
    )
    monkeypatch.setitem(export.EXPORTERS, "torch-export", broken)
    with pytest.raises(PdefmError, match=r"is not written: .* differs from the model by"):
        export.export_model(model, "torch-export", tmp_path / "model.pt2", resolution=N)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--to": "onxn"}, "did you mean 'onnx'"),
        ({"--resolution": "5"}, "needs a resolution of 6 or more"),
        ({"--resolution": "-4"}, "needs a resolution of 6 or more"),
        ({"--out": "."}, "is a folder"),
        ({"--to": "onnx"}, "export to onnx needs onnxscript: pip install 'pdebench-fm[onnx]'"),
    ],
)
def test_a_users_mistake_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, change, words):
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    for package in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, sys)
    build().save_pretrained(tmp_path / "model")
    options = {"--to": "torch-export", "--resolution": str(N), "--out": str(tmp_path / "model.pt2")} | change
    arguments = ["zoo", "export", str(tmp_path / "model"), *(word for pair in options.items() for word in pair)]
    assert main(arguments) == 2
    stderr = capsys.readouterr().err
    assert words in stderr
    assert stderr.startswith("pdefm: ")
    assert stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_torch_program_runs_outside_of_no_grad(exported):
    model, path = exported
    source, coefficients = batch(2)
    solution = torch.export.load(path).module()(source, coefficients)
    assert not solution.requires_grad
    with torch.no_grad():
        assert_close(solution, model(source, coefficients))
    assert all(parameter.requires_grad for parameter in model.parameters())


class Spectral(torch.nn.Module):
    """Somebody's own: complex weights, and transforms along both axes."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 4, dtype=torch.cfloat))
        self.mix = torch.nn.Conv2d(7, 4, 3, padding=1, padding_mode="circular")

    def forward(self, source, coefficients):
        fields = torch.cat([source[:, None], coefficients[:, :, None, None].expand(-1, -1, *source.shape[1:])], 1)
        modes = torch.fft.rfft2(self.mix(fields), norm="forward")
        mixed = torch.einsum("bcxy,cd->bdxy", modes, self.weight)
        return torch.fft.irfft2(mixed, s=source.shape[-2:], norm="forward").sum(1)


def small_peer(kind):
    return neuraloperator_fno(kind, width=4, modes=2, layers=1)


OTHERS = {
    "somebody's own": Spectral,
    "a U-Net": lambda: unet(width=4, depth=1),
    "neuraloperator's FNO": lambda: small_peer("FNO"),
    "neuraloperator's TFNO": lambda: small_peer("TFNO"),
    "a function": lambda: lambda source, coefficients: source * coefficients[:, :1, None],
    "zero": lambda: load_model("zero"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_any_model_of_tensors_becomes_a_graph_for_every_batch_size(kind, tmp_path):
    torch.manual_seed(1)
    model = OTHERS[kind]()
    tensors = list(model.parameters()) if isinstance(model, torch.nn.Module) else []
    before = [tensor.detach().clone() for tensor in tensors]
    export.export_model(model, "onnx", tmp_path / "model.onnx", resolution=N)
    graph = open_graph(tmp_path / "model.onnx").operator
    for size in (1, 2, 5):
        source, coefficients = batch(size)
        with torch.no_grad():
            expected = model(source, coefficients)
        torch.testing.assert_close(
            graph(source, coefficients), expected, rtol=1e-4, atol=5e-5 * float(expected.abs().max())
        )
    assert all(map(torch.equal, before, tensors))


REFUSED = {
    "torch.linalg.eigvalsh(source).sum(1)[:, None, None] * source": "PyTorch has no form of its operator aten.",
    "torch.tanh(torch.fft.fft(source)).real": "aten.tanh.default of complex numbers has no form",
    "source if float(source.sum()) > 0 else 2 * source": "mine cannot be written as onnx: ",
    "torch.from_numpy(source.numpy().copy())": "mine cannot be written as onnx: ",
    "1 / 0": "ZeroDivisionError",
}


@pytest.mark.parametrize("formula", REFUSED)
def test_what_cannot_be_a_graph_is_refused_by_name_and_leaves_nothing(formula, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        f"import torch\n\ndef solve(source, coefficients):\n    return {formula}\n\ndef build():\n    return solve\n"
    )
    command = ["zoo", "export", str(tmp_path / "mine.py:build"), "--to", "onnx", "--resolution", str(N)]
    assert main([*command, "--out", str(tmp_path / "out" / "mine.onnx")]) in (1, 2)
    stderr = capsys.readouterr().err
    last = stderr.strip().splitlines()[-1]
    assert last.startswith("pdefm: ")
    assert REFUSED[formula] in last
    assert len(last) < 500
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_file_of_a_users_is_exported_by_the_command(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "import torch\n\nclass Mine(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.w = torch.nn.Linear(7, 1)\n    def forward(self, source, coefficients):\n"
        "        fields = coefficients[:, None, None, :].expand(-1, *source.shape[1:], -1)\n"
        "        return self.w(torch.cat([source[..., None], fields], -1))[..., 0]\n\ndef build():\n    return Mine()\n"
    )
    out = tmp_path / "mine.onnx"
    assert main(["zoo", "export", str(tmp_path / "mine.py:build"), "--to", "onnx", "--out", str(out)]) == 0
    assert "source (B, 128, 128)" in " ".join(capsys.readouterr().out.split())
    candidate = open_candidate(str(out))
    assert (candidate.name, candidate.graph.name) == ("mine", "mine.onnx")
    assert candidate.weights_sha256 == candidate.graph.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()


def test_a_model_without_double_precision_is_compared_as_it_is(tmp_path):
    def model(source, coefficients):
        return source * coefficients[:, :1, None]

    assert export.export_model(model, "onnx", tmp_path / "model.onnx", resolution=N) < 1e-6
