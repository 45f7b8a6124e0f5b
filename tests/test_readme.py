"""The README's Python runs, and the commands it shows exist."""

import re
import subprocess
from pathlib import Path

import pytest

from pdebench_fm.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted({" ".join(words.split()[:3]) for words in re.findall(r"^(pdefm .+)$", README, re.MULTILINE)})


@pytest.mark.parametrize("code", PYTHON)
def test_python_examples_run(code, capsys):
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 (our own README)
    capsys.readouterr()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command, capsys):
    words = [word for word in command.split()[1:] if re.fullmatch(r"[a-z]+", word)]
    assert main([*words, "--help"]) == 0
    assert "Usage: pdefm " + " ".join(words[:1]) in capsys.readouterr().out


def test_linked_files_exist():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh", "environment.sh"])
def test_scripts_are_valid_bash(script):
    subprocess.run(["bash", "-n", str(ROOT / "scripts" / script)], check=True)
