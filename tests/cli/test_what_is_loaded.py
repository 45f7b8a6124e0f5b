"""Only what is used is loaded: libraries that take seconds to load are not for everybody to wait for."""

import subprocess
import sys

import pytest

LIBRARIES = ["datasets", "matplotlib", "plotly", "accelerate", "distributed"]
COMPILER = "torch._dynamo"
RUN = "from pdebench_fm.cli import main; assert main({!r}) == 0"
EVALUATION = "eval --model fno-mixed-64k --task poisson/in-domain --shots 0 --track n16-rows16 --out results"


@pytest.mark.parametrize(
    ("code", "unused"),
    [
        *((RUN.format(line.split()), [*LIBRARIES, COMPILER]) for line in ("tasks", "data list", "zoo list")),
        (RUN.format(EVALUATION.split()), LIBRARIES),  # the compiler is held to be deterministic as well
        ("import pdebench_fm; pdebench_fm.load_model('fno-mixed-64k')", [*LIBRARIES, COMPILER]),
    ],
)
def test_what_has_no_use_for_a_library_does_not_load_it(tmp_path, code, unused):
    loaded = f"import sys; {code}; print(*set(sys.modules) & {set(unused)!r}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.split() == []
