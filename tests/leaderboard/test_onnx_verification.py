"""Rows of other people's modules are verified by their ONNX graphs, and no graph of a stranger's does any harm."""

import re
import shutil

import pytest
import torch
from described import ALICE
from falsified import changed, improved, put
from graphs_made import before_solution, made
from huggingface_hub import HfApi
from onnx import helper

from pdebench_fm.cli import main
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.cell import Cell, Scored
from pdebench_fm.evaluation.evaluate import evaluate, evaluate_suite
from pdebench_fm.evaluation.graphs import graph_of
from pdebench_fm.evaluation.orders import compute_order, order_of
from pdebench_fm.evaluation.settings import settings_of
from pdebench_fm.hub.repository import hub_client
from pdebench_fm.leaderboard import recompute
from pdebench_fm.leaderboard.checks import claims_of
from pdebench_fm.leaderboard.records import badge_of, private_of, read_record
from pdebench_fm.leaderboard.submission import Submitter, named
from pdebench_fm.leaderboard.verification import Depth, verify
from pdebench_fm.models.references import open_candidate
from pdebench_fm.protocol.task import load_task
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.result import CellRecord, Graph
from pdebench_fm.training.adapt import AdaptationRecipe

TASK = "poisson-ood/hard"
MINE = (
    "import torch\n\nclass Mine(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.w = torch.nn.Parameter(torch.tensor([0.3, 0.1]))\n    def forward(self, source, coefficients):\n"
    "        size = coefficients[:, 0] + coefficients[:, 1]\n"
    "        modes = torch.fft.rfft2(source)[:, :8, :8] / size[:, None, None]\n"
    "        smooth = torch.fft.irfft2(torch.nn.functional.pad(modes, (0, 25, 0, 56)), s=(64, 64))\n"
    "        return self.w[0] * smooth + self.w[1] * source\n\ndef build():\n    return Mine()\n"
)
PRIVATE = 20_261_125


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A module of somebody's own, scored as it is and adapted, with its graphs, by the command."""
    from pdebench_fm.evaluation import cell

    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine.py").write_text(MINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell, "adaptation_recipe", lambda *_: AdaptationRecipe(0.02, steps=4, batch_size=4))
        words = ["--model", str(folder / "mine.py:build"), "--task", TASK, "--shots", "0,8", "--seeds", "2"]
        words += ["--track", "lite", "--device", "cpu", "--no-scratch", "--out", str(folder / "results")]
        words += ["--cache", str(folder / "cache")]
        assert main(["eval", *words]) == 0  # the second call finds the scores in the cache, and no graphs of them
        assert main(["eval", *words, "--graphs", str(folder / "graphs")]) == 0
    return folder


@pytest.fixture
def on_hub(hub, mine, monkeypatch, tmp_path):
    """Let the row be on a leaderboard, and its graphs on the Hub; returns a function that puts others there."""
    api = HfApi(endpoint=hub.url, token=ALICE)
    api.create_repo("alice/mine")
    monkeypatch.setattr(recompute, "hub_client", lambda token: hub_client(hub.url, token))

    def upload(folder):
        api.upload_folder(repo_id="alice/mine", folder_path=folder)
        return f"alice/mine@{api.repo_info('alice/mine').sha}"

    (result,) = (mine / "results").rglob("*.json")
    evaluation = read_evaluation(result)
    graphs = mine / "graphs" / "mine"

    def row(change=lambda evaluation: evaluation, content=None):
        """Write the row, changed; its graphs may all get another content, and the row their digests."""
        place = graphs
        if content is not None:
            place = shutil.copytree(graphs, tmp_path / "changed")
            for path in place.iterdir():
                path.write_bytes(content)
        scored = named(change(evaluation), Submitter("alice", weights_at=upload(place)))
        return put(scored, tmp_path / "board" / row_path(scored.result)), scored.result

    row.board = tmp_path / "board"
    return row


def test_a_module_of_somebodys_own_is_reproduced_by_its_graphs(on_hub, mine):
    path, result = on_hub()
    graphs = sorted((mine / "graphs" / "mine").iterdir())
    words = [re.sub("-[0-9a-f]{12}.onnx", "", graph.name) for graph in graphs]
    assert words == [
        "poisson-ood-hard-lite-pretrained-0-shots-seed-0",
        "poisson-ood-hard-lite-v1-pretrained-8-shots-seed-0",
        "poisson-ood-hard-lite-v1-pretrained-8-shots-seed-1",
    ]
    assert [cell.graph.file for cell in result.cells] == [graph.name for graph in graphs]
    (row,) = verify([str(on_hub.board)], Depth(private_seed=PRIVATE)).rows
    assert not row.refusal
    assert [rerun.adaptation for rerun in row.reruns] == ["verified", "self-reported", "self-reported"]
    assert all(rerun.difference < 1e-4 for rerun in row.reruns)
    record = read_record(on_hub.board, path.relative_to(on_hub.board))
    zero, adapted = result.runs
    assert badge_of(result, zero, record) == "reproduced on a private split"
    assert badge_of(result, adapted, record) == "scores reproduced, adaptation self-reported"
    assert private_of(result, adapted, record).agreement == "agrees"
    # what tensors it has is its submitter's word, which binds nobody else's row
    assert not any(claim.reproduced for claim in claims_of(path.name, result, record))
    assert row.badges == (
        "pretrained, 0 shots: reproduced on a private split",
        "pretrained, 8 shots: scores reproduced, adaptation self-reported",
    )


def test_better_scores_than_the_graphs_give_are_refused(on_hub):
    on_hub(improved)
    (row,) = verify([str(on_hub.board)], Depth(recompute=True)).rows
    assert row.refusal.startswith("recomputed: pretrained, 0 shots, seed 0: ")
    assert "and may be 0.0001" in row.refusal
    assert not (on_hub.board / "verified").exists()


def with_graph(cell, **changes):
    return CellRecord.model_validate(dict(cell) | {"graph": cell.graph.model_copy(update=changes)})


def swapped(evaluation):
    """An adapted graph in place of the one that was scored as it is, under its own name and digest."""
    zero, one, two = evaluation.result.cells
    return changed(evaluation, cells=(with_graph(zero, **dict(one.graph)), one, two))


def missing(evaluation):
    return changed(
        evaluation, cells=tuple(with_graph(cell, file=f"no-{cell.graph.file}") for cell in evaluation.result.cells)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swapped, "recomputed: pretrained, 0 shots, seed 0: .* instead of"),
        (missing, "recomputed: alice/mine@[0-9a-f]{40} has no no-poisson-ood-hard"),
    ],
)
def test_other_graphs_than_were_scored_are_refused(change, words, on_hub):
    on_hub(change)
    (row,) = verify([str(on_hub.board)], Depth(recompute=True)).rows
    assert re.match(words, row.refusal)
    assert not (on_hub.board / "verified").exists()


def hostile(**changes):
    model = made(64)
    if "operator" in changes:
        model.graph.node.insert(0, helper.make_node("Evil", ["source"], ["unused"], domain="com.acme"))
        model.opset_import.append(helper.make_opsetid("com.acme", 1))
    if "nan" in changes:
        model = before_solution(made(64), helper.make_node("Log", ["source"], ["more"]))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x04}q\x00.", "is not run: it is no ONNX model"),
        (hostile(operator=True), "is not run: it has operators of 'com.acme'"),
        (hostile(nan=True), "zero-shot gives no score when it is run again: .* returned NaN"),
        (made(128).SerializeToString(), r"is for fields of 128×128, and these are 64×64"),
        (made(64).SerializeToString(), r"zero-shot|0 shots, seed 0: .* instead of"),
    ],
)
def test_a_graph_that_is_none_or_gives_something_else_is_refused(content, words, on_hub):
    import hashlib

    digest = hashlib.sha256(content).hexdigest()

    def stated(evaluation):
        cells = tuple(with_graph(cell, sha256=digest) for cell in evaluation.result.cells)
        return changed(evaluation, cells=cells)

    on_hub(stated, content)
    (row,) = verify([str(on_hub.board)], Depth(recompute=True, shots=frozenset([0]))).rows
    assert row.refusal.startswith("recomputed: ")
    assert re.search(words, row.refusal)
    assert not (on_hub.board / "verified").exists()


def test_a_graph_with_another_digest_is_never_loaded(on_hub, monkeypatch):
    monkeypatch.setattr(recompute, "open_graph", lambda _path: pytest.fail("it was loaded"))
    on_hub(lambda evaluation: evaluation, made(64).SerializeToString())
    (row,) = verify([str(on_hub.board)], Depth(recompute=True)).rows
    assert re.search(r"is another \(SHA-256\), [0-9a-f]{12}…, than was scored", row.refusal)


def test_a_row_without_graphs_or_their_place_stays_self_reported(on_hub):
    path, result = on_hub(
        lambda e: changed(e, cells=tuple(cell.model_copy(update={"graph": None}) for cell in e.result.cells))
    )
    (row,) = verify([str(on_hub.board)], Depth(recompute=True)).rows
    assert not row.refusal
    assert "evaluated with --graphs" in row.note
    assert (
        badge_of(result, result.runs[0], read_record(on_hub.board, path.relative_to(on_hub.board))) == "self-reported"
    )


def test_a_graph_is_a_model_that_only_predicts(tmp_path, mine, monkeypatch, capsys, small_task):
    (zero, *_) = sorted((mine / "graphs" / "mine").iterdir())
    shutil.copy(zero, tmp_path / "graph.onnx")
    monkeypatch.chdir(tmp_path)
    words = ["--model", "graph.onnx", "--task", TASK, "--track", "lite", "--device", "cpu"]
    assert main(["eval", *words, "--out", "results"]) == 0
    (path,) = (tmp_path / "results").rglob("*.json")
    result = read_evaluation(path).result
    (own,) = (mine / "results").rglob("*.json")
    of_module = read_evaluation(own).result.cells[0]
    (cell,) = result.cells
    assert cell.metrics.relative_l2_mean == pytest.approx(of_module.metrics.relative_l2_mean, rel=1e-5)
    assert cell.graph == Graph(file="graph.onnx", sha256=of_module.graph.sha256)
    assert (result.model.model_id, result.model.weights_sha256) == ("graph", of_module.graph.sha256)
    for more, said in (
        (["--shots", "0,8"], "graph.onnx is an ONNX graph, whose weights are constants that cannot be trained"),
        (["--graphs", "out"], "graph.onnx is an ONNX graph already"),
    ):
        capsys.readouterr()
        assert main(["eval", *words, *more]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "two..dots.onnx").write_bytes(zero.read_bytes())
    with pytest.raises(UsageError, match="a graph cannot be called"):
        evaluate("two..dots.onnx", small_task(), track="lite")


def test_another_process_writes_the_graph_of_what_it_computes(tmp_path, mine):
    reference = str(mine / "mine.py:build")
    candidate = open_candidate(reference)
    settings = settings_of(0, track="lite", graphs=tmp_path / "graphs")
    cell = Cell(candidate, load_task(TASK), settings, "pretrained", 0, 0)
    assert graph_of(cell) is None
    outcome = compute_order(order_of(cell, {candidate: reference}))
    assert isinstance(outcome, Scored)
    (path,) = (tmp_path / "graphs").rglob("*.onnx")
    assert graph_of(cell).file == path.name


def test_a_model_that_cannot_be_a_graph_keeps_its_score(tmp_path, small_task, caplog):
    def model(source, coefficients):
        return torch.from_numpy(source.numpy()) + 0 * coefficients[:, :1, None]

    (found,) = evaluate_suite([model], [small_task()], track="lite", graphs=tmp_path / "graphs")
    assert found.result.cells[0].graph is None
    assert "no graph of model on poisson-ood/medium, zero-shot: model cannot be written as onnx" in caplog.text
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_cell_gets_the_graph_that_is_named_later(on_hub):
    _, result = on_hub()
    whole = read_evaluation(next(on_hub.board.rglob("*.json")))
    bare = changed(whole, cells=tuple(cell.model_copy(update={"graph": None}) for cell in result.cells))
    assert bare.merged_with(whole).result == whole.merged_with(bare).result == result
    others = improved(whole)  # whose graphs are of other scores
    assert all(cell.graph is None for cell in bare.merged_with(others).result.cells)
