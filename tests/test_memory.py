"""Keeping freed memory works on Linux and is harmless elsewhere."""

import subprocess
import sys

import pytest

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
