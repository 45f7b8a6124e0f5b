"""A short round of the fault battery; a long one is run by hand, as docs/how-to/reliability.md says."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BROKEN = """
from pdebench_fm import files
files.remove_parts = lambda folder: None
"""


def battery(folder, *arguments, path=()):
    command = [sys.executable, str(ROOT / "scripts" / "faults" / "run.py"), "--folder", str(folder), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)


def test_a_short_round_ends_with_nothing_lost(tmp_path):
    faults = ("--kills", "4", "--disks", "2", "--inputs", "6", "--seed", "20")
    done = battery(tmp_path, *faults, "--scenarios", "build,pretrain,eval")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^12 faults, 0 breaches, ", done.stdout, re.MULTILINE)
    assert "killed, then as undisturbed" in done.stdout
    assert "clear error, then as undisturbed" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_battery_finds_what_is_broken(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(BROKEN)
    faults = ("--kills", "6", "--disks", "0", "--inputs", "0", "--seed", "20", "--scenarios", "build")
    done = battery(tmp_path, *faults, path=(tmp_path / "broken",))
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^--seed 20 --case kill:\d \(build\): left behind: \.pdefm-.*\.part", done.stdout, re.MULTILINE)
