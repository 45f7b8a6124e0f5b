"""Children end with their parent, whatever ends it: everything that a process started lets go of its output."""

import signal
import subprocess
import sys

import pytest

PARENT = {
    "a pool": """
import time
from pdebench_fm.data.executors import open_executor
with open_executor(workers=2) as pool:
    futures = [pool.submit(time.sleep, 600) for _ in range(2)]
    while not all(future.running() for future in futures):
        time.sleep(0.1)
    print("ready", flush=True)
    time.sleep(600)
""",
    "an idle pool": """
import time
from pdebench_fm.data.executors import open_executor
with open_executor(workers=2) as pool:
    list(pool.map(time.sleep, [0.1, 0.1]))
    print("ready", flush=True)
    time.sleep(600)
""",
    "a pool that a fork holds the pipes of": """
import os, time
from multiprocessing.resource_tracker import _resource_tracker
from pdebench_fm.data.executors import open_executor
with open_executor(workers=2) as pool:
    list(pool.map(time.sleep, [0.1, 0.1]))
    if os.fork() == 0:
        os.closerange(1, 3)
        os.close(_resource_tracker._fd)  # Python's own helper ends by its pipe alone, and holds the output open too
        time.sleep(30)
        os._exit(0)
    print("ready", flush=True)
    time.sleep(600)
""",
    "a pool whose readers are late": """
import os, time
from loky import ProcessPoolExecutor
def late():
    from pdebench_fm.processes import end_with_parent
    parent = os.getppid()
    print("ready", flush=True)
    while os.getppid() == parent:
        time.sleep(0.05)
    end_with_parent()  # its parent is gone already
with ProcessPoolExecutor(1, initializer=late) as pool:
    pool.submit(time.sleep, 600)
    time.sleep(600)
""",
    "another program": """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", '''
import time
from pdebench_fm.processes import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(600)
'''])
time.sleep(600)
""",
}


@pytest.mark.parametrize("parent", PARENT)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_their_parent(parent, end):
    with subprocess.Popen([sys.executable, "-c", PARENT[parent]], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(end)
        rest, _ = process.communicate(timeout=20)  # to the end of its output, which its children hold open too
    assert rest == ""
    assert process.returncode == -end
