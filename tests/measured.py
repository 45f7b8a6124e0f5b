"""What a piece of Python costs, in a process of its own: how much memory it takes beyond its imports, and how long."""

import json
import os
import subprocess
import sys

_FRAME = """
import json, resource, sys, time
{imports}
from pdebench_fm.errors import PdefmError
found = []
for path in sys.argv[1:]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        {call}
        said = None
    except PdefmError as error:
        said = str(error)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    found.append([said, grown, time.monotonic() - start])
print(json.dumps(found))
"""


def measured(imports, call, paths):
    """Call something with each path: what it said as its error, the MiB that its peak grew by, the seconds it took."""
    script = _FRAME.format(imports=imports, call=call)
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]
