"""Faults of distributed runs: a cluster that loses a worker, `torchrun` that loses a rank and starts it again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from scenarios import EVAL_STORED, build_command, contents, pretrain_command

_SECONDS = 300  # after which a run hangs
_SECONDS_OF_WORK = 2.0  # of a cluster's workers, most of it to import PyTorch
_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def try_all(root: Path, rounds: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Try each of the distributed commands so many times; return the outcomes, counted, and the breaches."""
    counts: dict[str, int] = {}
    breaches: list[str] = []
    root.mkdir(parents=True)
    alone = {"build": root / "alone", "eval": root / "alone", "torchrun": root / "two"}
    _finish(_start(build_command(1), alone["build"]))
    _finish(_start(pretrain_command(), alone["build"]))
    _finish(_start(EVAL_STORED, alone["eval"]))
    _finish(_start(pretrain_command(), alone["torchrun"], ranks=2))
    for i in range(rounds):
        generator = np.random.default_rng([seed, 3, i])
        for name, tried in (("build", _cluster), ("eval", _cluster), ("torchrun", _torchrun)):
            folder = root / f"{name}-{i}"
            lost, result = tried(name, folder, generator, root / "alone")
            differs = contents(folder / result) != contents(alone[name] / result)
            outcome = f"{name}: {'lost one' if lost else 'ended before'}, then as undisturbed"
            if differs:
                outcome = f"{name}: BREACH"
                breaches.append(f"distributed {name}, round {i}: another result than without a fault, in {folder}")
            counts[outcome] = counts.get(outcome, 0) + 1
    return counts, breaches


def _cluster(name: str, folder: Path, generator: np.random.Generator, inputs: Path) -> tuple[bool, str]:
    """Build or evaluate on a cluster of two workers, one of which is killed."""
    from distributed import LocalCluster

    folder.mkdir()
    command = build_command(1)[:-2]
    if name == "eval":
        command = tuple(word.replace("{folder}/data", f"{inputs}/data") for word in EVAL_STORED)
        command = tuple(word.replace("{folder}/run", f"{inputs}/run") for word in command)
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(processes=True, local_directory=str(folder / "dask"), **settings) as cluster:
        process = _start((*command, "--scheduler", cluster.scheduler_address), folder)
        _wait_for(folder / {"build": "data", "eval": "cache"}[name], process)
        time.sleep(float(generator.random()) * _SECONDS_OF_WORK)
        lost = process.poll() is None
        os.kill(cluster.workers[int(generator.integers(2))].pid, signal.SIGKILL)
        _finish(process)
    return lost, {"build": "data", "eval": "results"}[name]


def _torchrun(_name: str, folder: Path, generator: np.random.Generator, _inputs: Path) -> tuple[bool, str]:
    """Pretrain in two processes, one of which is killed."""
    process = _start(pretrain_command(), folder, ranks=2)
    launcher = psutil.Process(process.pid)
    _wait_for(folder / "run", process)
    time.sleep(float(generator.random()))
    ranks = [child for child in launcher.children() if "pretrain" in child.cmdline()] if process.poll() is None else []
    if ranks:
        ranks[int(generator.integers(len(ranks)))].kill()
    _finish(process)
    return bool(ranks), "run/fno-poisson-64k/model.safetensors"


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a command has begun to write."""
    deadline = time.monotonic() + _SECONDS
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def _start(command: tuple[str, ...], folder: Path, ranks: int = 1) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    starter = ["-m", "torch.distributed.run", "--standalone", "--max-restarts=3", f"--nproc-per-node={ranks}"]
    words = [word.replace("{folder}", str(folder)) for word in command]
    arguments = [*(starter if ranks > 1 else []), "-m", "pdebench_fm", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, *arguments], env=_ENVIRONMENT, **pipes)


def _finish(process: subprocess.Popen[str]) -> None:
    try:
        output, _ = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise SystemExit(f"a distributed run hung: {process.args}") from error
    if process.returncode:
        raise SystemExit(f"a distributed run ended with {process.returncode}: {output[-3000:]}")
