"""What a calculation depends on beside its inputs is pinned while it runs, and put back however it ends."""

import random
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from pdebench_fm.errors import UserCodeError
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.surroundings import seeded, standard, unchanged
from pdebench_fm.switches import SWITCHES

CPU = torch.device("cpu")


def hook(*_):
    return None


# Each turns one switch, by the means that a user has.
TURNS = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "a device entered": lambda: torch.device("meta").__enter__(),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast on a GPU": lambda: torch.set_autocast_enabled("cuda", True),
    "autocast's dtype": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "autocast's cache": lambda: torch.set_autocast_cache_enabled(False),
    "gradients": lambda: torch.set_grad_enabled(False),
    "anomaly detection": lambda: torch.set_anomaly_enabled(True),
    "threads of backward": lambda: torch.autograd.set_multithreading_enabled(False),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "precision of products": lambda: torch.set_float32_matmul_precision("medium"),
    "TF32 of products": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "TF32 of convolutions": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "half sums": lambda: setattr(torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False),
    "bfloat16 sums": lambda: setattr(torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    "cuDNN's search": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "cuDNN's determinism": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "cuDNN": lambda: setattr(torch.backends.cudnn, "enabled", False),
    "oneDNN": lambda: torch.backends.mkldnn.set_flags(False),
    "attention": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "attention's sums": lambda: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True),
    "attention's fast path": lambda: torch.backends.mha.set_fastpath_enabled(False),
    "denormals": lambda: torch.set_flush_denormal(True),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "NumPy's errors": lambda: np.seterr(all="raise"),
    "hooks of all modules": lambda: torch.nn.modules.module.register_module_forward_hook(hook),
    "hooks of all optimizers": lambda: register_optimizer_step_pre_hook(hook),
}
if hasattr(torch.backends, "fp32_precision"):
    TURNS["float32"] = lambda: setattr(torch.backends, "fp32_precision", "tf32")
    TURNS["float32 of oneDNN"] = lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16")

LEFT_OPEN = {"deterministic algorithms", "threads"}  # chosen by who evaluates


def turn(*names):
    for name in names:
        TURNS[name]()


@user_code("it")
def raising(name):
    TURNS[name]()
    raise ValueError


def places():
    return [switch.place() for switch in SWITCHES]


@contextmanager
def turned(*names):
    """The process with switches turned, and put back by their own writers afterwards."""
    before = places()
    with ExitStack() as stack:
        for switch, place in reversed(list(zip(SWITCHES, before, strict=True))):
            stack.callback(switch.put, place)
        turn(*names)
        assert places() != before
        yield
    assert places() == before


@pytest.mark.parametrize("name", TURNS)
def test_a_turned_switch_is_at_its_standard_inside_and_back_afterwards(name):
    standard_places = places()
    with turned(name):
        before = places()
        with standard():
            inside = places()
        assert places() == before
    for switch, now, then in zip(SWITCHES, inside, standard_places, strict=True):
        assert name in LEFT_OPEN or now == then or now in switch.standard


@pytest.mark.parametrize("name", TURNS)
def test_what_a_users_code_turns_is_put_back_when_it_returns_or_raises(name):
    before = places()
    with user_code("it"):
        TURNS[name]()
    assert places() == before
    with pytest.raises(UserCodeError):
        raising(name)
    assert places() == before


def test_all_at_once():
    with turned(*TURNS):
        before = places()
        with standard(deterministic=True):
            assert torch.zeros(1).device == CPU
            assert torch.zeros(1).dtype == torch.float32
            turn(*TURNS)
        assert places() == before


def test_a_process_that_nobody_has_touched_is_at_the_standard():
    code = (
        "from pdebench_fm.switches import SWITCHES\n"
        "assert len(SWITCHES) > 40\n"
        "print([i for i, s in enumerate(SWITCHES) if s.standard and s.place() not in s.standard])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


class Doubling(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return 2 * result if func is torch.Tensor.add else result


class Halving(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return result / 2 if func is torch.ops.aten.add.Tensor else result


@pytest.mark.parametrize("mode", [Doubling, Halving])
def test_modes_that_change_calls_are_out_of_the_way_inside(mode):
    one = torch.ones(1)
    with mode():
        assert one.add(one).item() != 2
        with standard():
            assert one.add(one).item() == 2
        assert one.add(one).item() != 2
    assert one.add(one).item() == 2


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu")])
def test_gradients_can_be_had_inside_whatever_is_around(context):
    with context():
        before = places(), torch.is_inference_mode_enabled()
        with standard():
            factor = torch.ones(2, 2, requires_grad=True)
            product = factor @ factor
            product.sum().backward()
            assert (product.dtype, factor.grad.tolist()) == (torch.float32, [[4.0, 4.0]] * 2)
            torch.set_grad_enabled(False)
        assert (places(), torch.is_inference_mode_enabled()) == before


def drawn():
    return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002, S311


def test_generators_are_seeded_inside_and_go_on_outside_as_if_nothing_had_been():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    expected = [drawn(), drawn()]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    first = drawn()
    inside = []
    for seed in (0, 0, 3):
        with seeded(seed, CPU):
            inside.append(drawn())
    assert [first, drawn()] == expected
    assert inside[0] == inside[1]
    assert all(one != other for one, other in zip(inside[0], inside[2], strict=True))


def test_one_thread_at_a_time_is_inside_and_may_enter_again():
    inside, most = [], []

    def enter():
        for _ in range(20):
            with standard(), seeded(0, CPU):
                inside.append(1)
                most.append(len(inside))
                torch.rand(100).sum()
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80


def test_a_switch_that_cannot_be_put_back_keeps_no_other_from_it(monkeypatch):
    def refuse(_):
        raise RuntimeError("stuck")

    monkeypatch.setitem(SWITCHES[0].__dict__, "write", refuse)
    before = places()[1:]
    with pytest.raises(RuntimeError, match="stuck"):
        unchanged()(turn)("default dtype", "a device entered")
    assert places()[1:] == before
    monkeypatch.undo()
    SWITCHES[0].put((None, None, ()))
