"""A graph runs in a process of its own: it gives its numbers, and none takes more memory or time than it is given."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from graphs_made import N, before_solution, made
from onnx import TensorProto, helper

from pdebench_fm.errors import UsageError
from pdebench_fm.graphs import process
from pdebench_fm.graphs.interface import GraphError
from pdebench_fm.graphs.process import RunningGraph


def written(tmp_path, model):
    path = tmp_path / "graph.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def batch(size, n=N):
    random = np.random.default_rng(size)
    return random.normal(size=(size, n, n)).astype(np.float32), random.normal(size=(size, 6)).astype(np.float32)


def test_a_graph_gives_its_numbers_for_every_batch_size(tmp_path):
    running = RunningGraph(written(tmp_path, made()))
    assert running.resolution == N
    for size in (1, 3, 2):
        source, coefficients = batch(size)
        expected = np.float32(0.5) * (source * coefficients[:, :1, None])
        np.testing.assert_allclose(running(source, coefficients), expected, rtol=1e-6)
    child = running._process
    running.close()
    assert child.returncode is not None
    assert list(tmp_path.iterdir()) == [tmp_path / "graph.onnx"]


def filled(size):
    """The sum of so many numbers, which are in no file."""
    return [
        helper.make_node("ConstantOfShape", ["size"], ["filled"]),
        helper.make_node("ReduceSum", ["filled"], ["more"], keepdims=0),
    ], {"size": np.array([size])}


def tiled():
    return [
        helper.make_node("Tile", ["source", "times"], ["tiled"]),
        helper.make_node("ReduceSum", ["tiled"], ["more"], keepdims=0),
    ], {"times": np.array([10_000, 1_000, 1_000])}


def expanded():
    return [
        helper.make_node("Expand", ["factor", "wide"], ["expanded"]),
        helper.make_node("ReduceSum", ["expanded"], ["more"], keepdims=0),
    ], {"wide": np.array([100_000, 100_000])}


def doubled_in_a_loop():
    """x ← (x, x), fifty times."""
    body = helper.make_graph(
        [
            helper.make_node("Concat", ["x", "x"], ["twice"], axis=0),
            helper.make_node("Identity", ["go"], ["goes"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, None),
        ],
    )
    return [
        helper.make_node("Loop", ["times", "", "factor"], ["grown"], body=body),
        helper.make_node("ReduceSum", ["grown"], ["more"], keepdims=0),
    ], {"times": np.array(50)}


BOMBS = {
    "a constant of 10 GB": lambda: filled(2_500_000_000),
    "a constant of 10^15 numbers": lambda: filled(10**15),
    "tiles": tiled,
    "a view": expanded,
    "a loop that doubles": doubled_in_a_loop,
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not limit a process's memory")
@pytest.mark.parametrize("kind", BOMBS)
def test_a_graph_that_unfolds_to_more_memory_than_it_is_given_is_ended(kind, tmp_path):
    nodes, constants = BOMBS[kind]()
    path = written(tmp_path, before_solution(made(), *nodes, constants=constants))
    assert path.stat().st_size < 2000
    with pytest.raises(GraphError, match=r"memory|alloc|overflow|exceeds the supported maximum") as ended:
        RunningGraph(path, memory=2**29)(*batch(2))
    assert "\n" not in str(ended.value)


def test_a_graph_that_runs_for_ever_is_ended(tmp_path):
    nodes, constants = doubled_in_a_loop()
    body = nodes[0].attribute[0].g
    body.node[0].CopyFrom(helper.make_node("Mul", ["x", "x"], ["twice"]))
    model = before_solution(made(), *nodes, constants=constants | {"times": np.array(2**62)})
    running = RunningGraph(written(tmp_path, model), seconds=15.0)
    running._seconds = 1.0
    began = time.monotonic()
    with pytest.raises(GraphError, match="it took longer than 1 s"):
        running(*batch(1))
    assert time.monotonic() - began < 10.0
    assert running._process.returncode is not None
    with pytest.raises(GraphError):  # it is not started again
        running(*batch(1))


def test_other_solutions_than_were_asked_for_are_refused(tmp_path):
    model = made()
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("ReduceSum", ["before"], ["solution"], keepdims=1))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    running = RunningGraph(written(tmp_path, model))
    with pytest.raises(GraphError, match=r"it gave \(1, 1, 1\) and not the float32 solutions \(2, 8, 8\)"):
        running(*batch(2))


def test_the_process_knows_no_token_and_no_home(monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HOME", "ORT_LOAD_CONFIG_FROM_MODEL"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in process._environment().values()


def test_it_ends_with_whoever_started_it(tmp_path):
    path = written(tmp_path, made())
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom pdebench_fm.graphs.process import RunningGraph\n"
        "running = RunningGraph(Path(sys.argv[1]))\nprint(running._process.pid, flush=True)\nos._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} is still there")


def test_a_missing_extra_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"an ONNX graph needs onnxruntime: pip install 'pdebench-fm\[onnx\]'"):
        RunningGraph(written(tmp_path, made()))
