"""The switches of PyTorch and NumPy that change how a whole process or thread calculates, and their standard places.

Most have a public function to read and one to write. Where there is none, or not in every version of PyTorch, the
functions behind them are looked up by name, and a switch that a version does not have is left out.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import _C
from torch.backends import cuda, cudnn, mha, opt_einsum
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers
from torch.utils import _device, deterministic

UNKNOWN = object()
"""What a switch reads that cannot be read now; it is left alone then."""


@dataclass(frozen=True)
class Switch:
    """A setting of the process or thread.

    Attributes:
        read: returns where it stands.
        write: puts it there; called only where `read` says something else.
        standard: where an evaluation has it, and other places as good; empty if an evaluation takes it as it finds it.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object]
    standard: tuple[object, ...] = ()

    def place(self) -> Any:
        """Return where it stands; `UNKNOWN` if PyTorch refuses to say, as where its old and new names were mixed."""
        try:
            return self.read()
        except (AttributeError, AssertionError, RuntimeError):
            return UNKNOWN

    def put(self, place: object) -> None:
        """Put it at a place that `place` returned, unless it stands there."""
        if place is not UNKNOWN and self.place() != place:
            self.write(place)

    def pin(self) -> None:
        """Put it where an evaluation has it."""
        if self.standard and self.place() is not UNKNOWN and self.place() not in self.standard:
            self.write(self.standard[0])


def _attribute(owner: object, name: str, *standard: object) -> Switch:
    return Switch(lambda: getattr(owner, name), lambda value: setattr(owner, name, value), standard)


def _hidden(name: str, *standard: object) -> Iterator[Switch]:
    """Yield the switch that PyTorch's core has under a name, if this version does."""
    get, put = getattr(_C, f"_get_{name}", None), getattr(_C, f"_set_{name}", None)
    if get is not None and put is not None:
        yield Switch(get, put, standard)


def _autocast() -> Iterator[Switch]:
    for kind, dtype in (("cpu", torch.bfloat16), ("cuda", torch.float16), ("mps", torch.float16)):
        yield Switch(
            lambda kind=kind: torch.is_autocast_enabled(kind),  # type: ignore[misc]
            lambda value, kind=kind: torch.set_autocast_enabled(kind, value),  # type: ignore[misc]
            (False,),
        )
        yield Switch(
            lambda kind=kind: torch.get_autocast_dtype(kind),  # type: ignore[misc]
            lambda value, kind=kind: torch.set_autocast_dtype(kind, value),  # type: ignore[misc]
            (dtype,),
        )
    yield Switch(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, (True,))


def _float32_precision() -> Iterator[Switch]:
    """Yield how float32 is multiplied: first by the old names, which write the new ones too, then by the new."""
    yield Switch(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, ("highest",))
    yield _attribute(cuda.matmul, "allow_tf32", False)
    yield _attribute(cudnn, "allow_tf32", True)  # PyTorch's own standard, of convolutions alone
    get, put = getattr(_C, "_get_fp32_precision_getter", None), getattr(_C, "_set_fp32_precision_setter", None)
    if get is None or put is None:
        return
    plain = ("ieee", "none")
    for backend, operation, *standard in (
        ("generic", "all", "none", "ieee"),
        ("cuda", "all", "none", "ieee"),
        ("cuda", "matmul", *plain),
        ("cuda", "conv", "tf32"),
        ("cuda", "rnn", "tf32"),
        ("mkldnn", "all", "none", "ieee"),
        ("mkldnn", "matmul", *plain),
        ("mkldnn", "conv", *plain),
        ("mkldnn", "rnn", *plain),
    ):
        yield Switch(
            lambda names=(backend, operation): get(*names),  # type: ignore[misc]
            lambda value, names=(backend, operation): put(*names, value),  # type: ignore[misc]
            tuple(standard),
        )


def _reductions() -> Iterator[Switch]:
    yield _attribute(cuda.matmul, "allow_fp16_reduced_precision_reduction", True)
    yield _attribute(cuda.matmul, "allow_bf16_reduced_precision_reduction", True)
    if hasattr(cuda.matmul, "allow_fp16_accumulation"):
        yield _attribute(cuda.matmul, "allow_fp16_accumulation", False)
    yield from _hidden("cpu_allow_fp16_reduced_precision_reduction", False)


def _kernels() -> Iterator[Switch]:
    """Yield which of several implementations is taken."""
    yield _attribute(cudnn, "enabled", True)
    yield _attribute(cudnn, "benchmark", False)
    yield _attribute(cudnn, "deterministic", False)
    yield Switch(cuda.preferred_linalg_library, cuda.preferred_linalg_library, (cuda.preferred_linalg_library(),))
    yield Switch(cuda.preferred_blas_library, cuda.preferred_blas_library, (cuda.preferred_blas_library(),))
    yield Switch(cuda.flash_sdp_enabled, cuda.enable_flash_sdp, (True,))
    yield Switch(cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp, (True,))
    yield Switch(cuda.math_sdp_enabled, cuda.enable_math_sdp, (True,))
    yield Switch(cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp, (True,))
    yield from _hidden("math_sdp_allow_fp16_bf16_reduction", False)
    yield from _hidden("mkldnn_enabled", True)
    yield from _hidden("mkldnn_deterministic", False)
    yield from _hidden("nnpack_enabled", True)
    yield Switch(mha.get_fastpath_enabled, mha.set_fastpath_enabled, (True,))
    if opt_einsum.is_available():
        yield _attribute(opt_einsum, "enabled", True)
        yield _attribute(opt_einsum, "strategy", "auto")


def _determinism() -> Iterator[Switch]:
    """Yield what an evaluation chooses for itself; see `surroundings.standard`."""
    yield Switch(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    )
    yield _attribute(deterministic, "fill_uninitialized_memory")
    yield Switch(torch.get_num_threads, torch.set_num_threads)


def _autograd() -> Iterator[Switch]:
    yield Switch(torch.is_grad_enabled, torch.set_grad_enabled, (True,))
    yield Switch(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda value: torch.set_anomaly_enabled(*value),
        ((False, True),),
    )
    for name in ("multithreading", "fwd_grad"):
        get, put = getattr(_C, f"_is_{name}_enabled", None), getattr(_C, f"_set_{name}_enabled", None)
        if get is not None and put is not None:
            yield Switch(get, put, (True,))


def _global_hooks() -> Iterator[Switch]:
    """Yield the hooks of all modules and optimizers, with which one model would change the next."""
    for owner, prefixes in (
        (modules, ("forward", "backward", "buffer_reg", "module_reg", "parameter_reg")),
        (optimizers, ("optimizer",)),
    ):
        for name, hooks in vars(owner).items():
            if isinstance(hooks, dict) and any(name.startswith(f"_global_{prefix}") for prefix in prefixes):
                yield Switch(
                    lambda hooks=hooks: tuple(hooks.items()),  # type: ignore[misc]
                    lambda items, hooks=hooks: (hooks.clear(), hooks.update(items)),  # type: ignore[misc]
                    ((),),
                )
    yield _attribute(modules, "_global_is_full_backward_hook", None)


def _denormals_are_flushed() -> bool:
    """Return whether this thread takes denormal numbers for zero, which PyTorch can set but not tell."""
    return sys.float_info.min / 2.0 == 0.0


def _modes() -> tuple[object, ...]:
    """Return what stands between every call and PyTorch: the default device and other modes of `__torch_function__`."""
    context = getattr(_default_device(), "device_context", None)
    stack = tuple(_mode_at(i) for i in range(_mode_count()))
    return _device.CURRENT_DEVICE, context, stack


def _put_modes(held: tuple[Any, Any, tuple[Any, ...]]) -> None:
    device, context, stack = held
    while _mode_count():
        _pop_mode()
    for mode in stack:
        _push_mode(mode)
    _device.CURRENT_DEVICE = device
    _default_device().device_context = context


def _default_device() -> Any:
    """Return where `torch.set_default_device` remembers this thread's; it has no public way to be looked at."""
    return vars(torch)["_GLOBAL_DEVICE_CONTEXT"]


def _cuda_device() -> int | None:
    return torch.cuda.current_device() if torch.cuda.is_initialized() else None


_mode_count: Callable[[], int] = vars(_C)["_len_torch_function_stack"]
_mode_at: Callable[[int], object] = vars(_C)["_get_function_stack_at"]
_pop_mode: Callable[[], object] = vars(_C)["_pop_torch_function_stack"]
_push_mode: Callable[[object], None] = vars(_C)["_push_on_torch_function_stack"]

_NUMPY_STANDARD: Mapping[str, str] = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}

SWITCHES: tuple[Switch, ...] = (
    Switch(_modes, _put_modes, ((None, None, ()),)),
    Switch(torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
    *_autocast(),
    *_float32_precision(),
    *_reductions(),
    *_kernels(),
    *_determinism(),
    *_autograd(),
    *_global_hooks(),
    Switch(_denormals_are_flushed, torch.set_flush_denormal, (False,)),
    Switch(np.geterr, lambda value: np.seterr(**value), (_NUMPY_STANDARD,)),
    Switch(_cuda_device, lambda index: None if index is None else torch.cuda.set_device(index)),
)
"""In the order in which they are written."""
