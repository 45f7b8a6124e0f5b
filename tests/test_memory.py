"""Keeping freed memory works on Linux and is harmless elsewhere."""

import errno
import os
import subprocess
import sys

import pytest
import torch

from pdebench_fm import memory

FAULTS_OF_A_LATER_TENSOR = """
import resource, torch
from pdebench_fm.memory import keep_freed_memory
assert keep_freed_memory()
for _ in range(30):  # until the heap has found its shape
    torch.zeros(2**24).add_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.zeros(2**24).add_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_used_again_without_new_pages():
    if not memory.keep_freed_memory():
        pytest.skip("the C library is not glibc")
    run = subprocess.run([sys.executable, "-c", FAULTS_OF_A_LATER_TENSOR], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 100


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False


def raised_from(cause):
    error = ValueError("the rows cannot be made")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=repr,
)
def test_want_of_memory_is_known_however_it_is_said(error):
    assert memory.is_out_of_memory(error)
    assert memory.is_out_of_memory(raised_from(error))


@pytest.mark.parametrize("error", [None, ValueError("shape"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_other_trouble_is_no_want_of_memory(error):
    assert not memory.is_out_of_memory(error)
    assert not memory.is_out_of_memory(raised_from(error))
