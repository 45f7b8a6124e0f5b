"""Pretraining in several processes: each sample is seen once, so the weights are those of one process."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from pdebench_fm.files import folder_lock
from pdebench_fm.models import load_model
from pdebench_fm.training.checkpoint import read_checkpoint

KILLED_AS_IT_MEETS = """
import os
if os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0" and os.environ.get("RANK") == "1":
    from torch import distributed

    meet = distributed.init_process_group
    distributed.init_process_group = lambda *given, **named: (meet(*given, **named), os.kill(os.getpid(), 9))
"""
"""For the start of every process: in the first attempt, one ends when the addresses of all are known."""

RUN = ["pretrain", "--family", "mixed", "--size", "64k", "--batch-size", "6", "--device", "cpu", "--out"]


def launch(processes, arguments, *, restarts=0, **variables):
    """Run `pdefm` as `torchrun` does, and return what it printed."""
    starter = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    starter += ["--max-restarts", str(restarts)]
    command = [sys.executable, *(starter if processes > 1 else []), "-m", "pdebench_fm", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environment)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    assert launch(1, [*RUN, str(out), "--steps", "6"]).returncode == 0
    return out


def test_two_processes_end_with_the_weights_of_one(alone, tmp_path):
    done = launch(2, [*RUN, str(tmp_path / "two"), "--steps", "6"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved") == 1
    expected = load_model(alone / "fno-mixed-64k").state_dict()
    for name, tensor in load_model(tmp_path / "two" / "fno-mixed-64k").state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)
    assert read_checkpoint(tmp_path / "two" / "checkpoint.safetensors").state.step == 6


def test_a_run_goes_on_in_another_number_of_processes(alone, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes((alone / "checkpoint.safetensors").read_bytes())
    done = launch(2, [*RUN, str(tmp_path), "--steps", "6"])
    assert done.returncode == 0, done.stderr
    resumed = load_model(tmp_path / "fno-mixed-64k").state_dict()
    expected = load_model(alone / "fno-mixed-64k").state_dict()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in expected.items())


def test_processes_that_are_started_again_do_not_wait_for_those_that_were_killed(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(KILLED_AS_IT_MEETS)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = launch(2, [*RUN, str(tmp_path / "two"), "--steps", "6"], restarts=1, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "-9" in done.stderr  # one was killed
    assert read_checkpoint(tmp_path / "two" / "checkpoint.safetensors").state.step == 6


def start_two(out, steps):
    """Start a run in two processes, and wait until it trains."""
    starter = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *starter, "-m", "pdebench_fm", *RUN, str(out), "--steps", str(steps)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 90
    while not (out / "tensorboard").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


def test_ctrl_c_ends_all_processes_after_the_same_step_and_saves_it(tmp_path):
    process = start_two(tmp_path / "two", 300)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, errors = process.communicate(timeout=60)
    step = read_checkpoint(tmp_path / "two" / "checkpoint.safetensors").state.step
    assert 0 < step < 300
    assert f"interrupted: saved at step {step} of 300; run again to go on" in errors, output + errors
    assert not list((tmp_path / "two").rglob(".pdefm*"))


def test_processes_end_with_the_launcher_that_was_killed(tmp_path):
    process = start_two(tmp_path / "two", 100_000)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)  # to the end of the output, which its processes hold open too
    with folder_lock(tmp_path / "two"):
        pass


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    run = [word if word != "6" else "5" for word in RUN]
    done = launch(2, [*run, str(tmp_path / "odd"), "--steps", "6"])
    assert done.returncode != 0
    assert "a batch of 5 cannot be shared by 2 processes" in done.stderr
    assert not (tmp_path / "odd").exists()
