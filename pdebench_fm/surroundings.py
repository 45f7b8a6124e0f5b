"""What a calculation in this process depends on beside its inputs: pinned while it runs, and put back after it."""

import gc
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import RLock

import numpy as np
import torch
from torch._tensor_str import PRINT_OPTS
from torch.utils import deterministic as determinism
from torch.utils._python_dispatch import _disable_current_modes

from pdebench_fm.switches import SWITCHES

_CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"

one_at_a_time = RLock()
"""Held by the thread that has pinned the surroundings: most of them are those of the whole process."""


def is_deterministic(wanted: bool | None, device: torch.device) -> bool:
    """Return whether to hold PyTorch to deterministic algorithms: as wanted, and by default on a CPU."""
    return device.type == "cpu" if wanted is None else wanted


@contextmanager
def unchanged() -> Iterator[None]:
    """Put every switch back, however this context ends, to where it was when it began."""
    before = [switch.place() for switch in SWITCHES]
    try:
        yield
    finally:
        if [switch.place() for switch in SWITCHES] != before:
            with ExitStack() as stack:  # one that cannot be put back keeps no other from it
                for switch, place in reversed(list(zip(SWITCHES, before, strict=True))):  # emptied from its end
                    stack.callback(switch.put, place)


@contextmanager
def process_kept() -> Iterator[None]:
    """Put back what a model's code has changed of the process: what one has done must not reach the next, or the user.

    That is the working directory, the environment, standard output and error, what logging leaves out, the handler of
    Ctrl-C, the recursion limit, garbage collection, how tensors and arrays are printed, and warnings made errors.
    """
    folder, environment, streams = _folder(), dict(os.environ), (sys.stdout, sys.stderr)
    levels, limit, collects = (
        (logging.root.manager.disable, logging.root.level),
        sys.getrecursionlimit(),
        gc.isenabled(),
    )
    printed, arrays = dict(vars(PRINT_OPTS)), np.get_printoptions()
    filters, interrupted = list(warnings.filters), signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if folder is not None and _folder() != folder:
            os.chdir(folder)
        if environment != dict(os.environ):
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)
        sys.stdout, sys.stderr = streams
        logging.disable(levels[0])
        logging.root.setLevel(levels[1])
        sys.setrecursionlimit(limit)
        (gc.enable if collects else gc.disable)()
        vars(PRINT_OPTS).update(printed)
        np.set_printoptions(**arrays)
        # libraries add filters as they are imported, which may stay
        made = [each for each in warnings.filters if each[0] == "error" and each not in filters]
        warnings.filters[:] = [each for each in warnings.filters if each not in made]  # type: ignore[index]
        if interrupted is not None and signal.getsignal(signal.SIGINT) is not interrupted:
            with suppress(ValueError):  # in another thread, where it cannot have been changed either
                signal.signal(signal.SIGINT, interrupted)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 (as chdir takes it)
    except OSError:  # it was deleted
        return None


@contextmanager
def standard(*, deterministic: bool | None = None) -> Iterator[None]:
    """Calculate as PyTorch and NumPy do when nobody has touched a switch; then put everything back.

    One thread at a time is inside; another one waits. The same thread may enter again.

    Args:
        deterministic: hold PyTorch to algorithms that give the same bits each time, or let it choose; None leaves that
            as it is. An operation that has no such algorithm raises, as PyTorch's own setting does. cuBLAS reads its
            part once, at its first use in the process, so on a GPU this has to come first.
    """
    # leaving inference mode switches gradients on, so what it finds is kept before
    with one_at_a_time, unchanged(), torch.inference_mode(mode=False), _disable_current_modes():
        for switch in SWITCHES:
            switch.pin()
        torch.clear_autocast_cache()
        if deterministic is None:
            yield
        else:
            with _cublas_workspace(deterministic=deterministic):
                torch.use_deterministic_algorithms(deterministic)
                if deterministic:
                    # every new tensor would be filled with NaN first, to show which model reads what it never wrote
                    determinism.fill_uninitialized_memory = False  # type: ignore[attr-defined]
                yield


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Calculate as in `standard`, with every global generator seeded; then put the generators back as well.

    These are PyTorch's of the CPU and of all devices of `device`'s kind, NumPy's and Python's.
    """
    with standard(), _generators_kept(device):
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            # all of a kind: a model may have parts on several
            seed_all = torch.cuda.manual_seed_all if device.type == "cuda" else torch.mps.manual_seed
            seed_all(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the global one, which models may use)
        yield


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Give PyTorch this many threads in this context."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state(legacy=False))  # noqa: NPY002
        if device.type == "mps":
            stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
        devices = list(range(torch.cuda.device_count())) if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices=devices))
        yield


@contextmanager
def _cublas_workspace(*, deterministic: bool) -> Iterator[None]:
    """Tell cuBLAS to be deterministic, where there is one that has not been told."""
    if not deterministic or not torch.cuda.is_available() or _CUBLAS_WORKSPACE in os.environ:
        yield
        return
    os.environ[_CUBLAS_WORKSPACE] = ":4096:8"
    try:
        yield
    finally:
        os.environ.pop(_CUBLAS_WORKSPACE, None)
