"""What the guide "add your model in 20 lines" promises; `docs/test_snippets.py` runs it."""

import re
from pathlib import Path

from pdebench_fm.models import BASELINES, open_candidate

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "how-to" / "add-your-model.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_first_model_has_the_promised_length():
    code = next(code for _, words, code in BLOCKS if "file=mine.py" in words)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def test_every_baseline_is_in_the_guide():
    assert all(f"`{name}`" in GUIDE for name in BASELINES)


def test_the_example_file_is_a_model():
    candidate = open_candidate(ROOT / "examples" / "my_model.py")
    assert candidate.name == "my_model"
    assert candidate.fresh is not None
