"""What reaches the terminal, the pipe and the log: whole bars, plain text, every encoding, and names as they are."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from factories import make_result

import pdebench_fm
from pdebench_fm.cli import console as terminal
from pdebench_fm.cli import main
from pdebench_fm.results.result import write_result

EVAL = ["eval", "--model", "zero", "--task", "poisson-ood/hard", "--track", "lite", "--device", "cpu"]

SHOWN = """
import time
from pdebench_fm.cli.console import progress_bar
from pdebench_fm.cli.evaluation_display import EvaluationDisplay
from pdebench_fm.evaluation.progress import SuiteProgress

cell = "pdebench-fm/fno-advection-diffusion-64k[x] on advection-diffusion-ood/medium, pretrained, 32768 shots, seed 2"
with EvaluationDisplay() as display:
    display.note("left out: a [bold] model")
    display.show(SuiteProgress(1234, 2345, cell, 12000, 25600, 0.0123, 754.0))
    time.sleep(0.2)
with progress_bar() as progress:
    bar = progress.add_task("verifying /a/long/folder/of/somebody's/with/many/parts/in/it", total=9999, note="rows")
    progress.update(bar, completed=1)
    time.sleep(0.1)
    progress.update(bar, completed=2222, note="rows; medium/train-00001-of-00002.parquet")
    time.sleep(0.2)
"""


def on_a_terminal(columns, code):
    """Run Python on a real terminal of so many columns; return the lines that it shows, without control codes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=environment | {"TERM": "xterm-256color"}
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # what Linux gives at the end of a terminal
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(parts).decode())
    return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_bar_count_and_time_left_survive_a_narrow_terminal(columns):
    lines = on_a_terminal(columns, SHOWN)
    assert max(map(len, lines)) <= columns
    assert "note: left out: a [bold] model" in lines
    evaluating = [line for line in lines if line.startswith("evaluating") and "1234/2345" in line]
    verifying = [line for line in lines if line.startswith("verifying") and "2222/9999" in line]
    assert evaluating
    assert verifying
    for line in evaluating + verifying:
        assert line.count("━") + line.count("╸") + line.count("╺") >= 10
    assert all("13 min left" in line and "step 12000/" in line for line in evaluating)
    assert any(re.search(r"\d+ (s|min) left", line) for line in verifying)


def test_a_pipe_gets_results_as_plain_text_and_no_progress(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert main([*EVAL, "--out", str(tmp_path / "r")]) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    assert "zero on poisson-ood/hard (lite): relative ℓ² error" in printed.out.splitlines()[0]
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", printed.out)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-8"])
def test_every_encoding_gets_text_that_can_be_read(encoding, tmp_path, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["data", "list"]) == 0
    write_result(make_result(), tmp_path / "a.json")
    assert main([*EVAL, "--out", str(tmp_path / "r—é")]) == 0
    terminal.say("not \udcff any encoding's")
    stream.flush()
    text = stream.buffer.getvalue().decode(encoding)
    assert "helmholtz-ood" in text
    assert ("relative ℓ²" if encoding == "utf-8" else "relative l") in text
    assert "Psi" in text or "Ψ" in text


def test_a_child_process_with_another_encoding_prints_as_well():
    done = subprocess.run(
        [sys.executable, "-m", "pdebench_fm", "data", "list"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252", "RANK": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "advection-diffusion" in done.stdout.decode("cp1252")
    assert "omega" in done.stdout.decode("cp1252")


NAMES = ["r[lr=1e-3]", "r[/b]", "[red]:smile:"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_not_markup_for_every_command_that_prints_one(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = Path(name)
    rows = ["--train", "2", "--validation", "2", "--test", "2", "--resolution", "64"]
    write_result(make_result(), tmp_path / "results" / "a.json")
    commands = [
        (["data", "build", "poisson", "--regime", "in-domain", *rows, "--out", name], f"{name}/poisson; load it"),
        (["data", "verify", f"{name}/poisson"], f"Verification of {name}/poisson"),
        (["data", "show", "poisson/in-domain", "--out", f"{name}/x.png"], f"{name}/x.png"),
        ([*EVAL, "--out", name], f"{name}/"),
        ([*EVAL, "--task", "poisson-ood/hard,poisson-ood/mild", "--out", name], f"2 results in {name} "),
        (["plot", "results", "--kind", "regimes", "--out", f"{name}/y.svg"], f"{name}/y.svg"),
        (["zoo", "export", "fno-mixed-64k", "--to", "torch-export", "--out", f"{name}/m.pt2"], f"{name}/m.pt2"),
    ]
    for words, told in commands:
        assert main(words) == 0, capsys.readouterr().err
        assert told in capsys.readouterr().out.replace("\n", " ")
    assert here.is_dir()
    assert main(["eval", "--model", name + "/none", "--task", "poisson"]) == 2
    assert name in capsys.readouterr().err


MARKUP = re.compile(r"\[/|\[(bold|dim|red|green|yellow|italic|link)\b[^\"']*\]|from_markup|import escape")


def test_no_text_of_the_command_line_is_markup():
    folder = Path(pdebench_fm.__file__).parent / "cli"
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\[/|\[(bold|dim|red|green|yellow|italic|link)\b[^\"']*\]|from_markup|import escape", text
        ), path
        assert ("Console(" in text) == (path.name == "console.py"), path


def test_only_the_other_processes_of_a_distributed_run_are_quiet(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert main(["data", "list"]) == 0
    assert "helmholtz-ood" in capsys.readouterr().out
    try:
        for world, quiet in (("1", False), ("2", True)):
            monkeypatch.setenv("WORLD_SIZE", world)
            terminal.speak_in_the_first_process_only()
            terminal.say("words")
            assert (capsys.readouterr().out == "") == quiet
        monkeypatch.setenv("RANK", "0")
        terminal.speak_in_the_first_process_only()
        terminal.say("words")
        assert capsys.readouterr().out == "words\n"
    finally:
        terminal.console.quiet = terminal.aside.quiet = False


def test_a_cache_that_cannot_be_written_costs_a_warning_not_the_result(tmp_path, capsys, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "file" / "cache"))  # as in a home that is read-only
    words = [*EVAL[:3], "--task", "poisson-ood/hard,poisson-ood/mild", *EVAL[5:], "--out", str(tmp_path / "r")]
    assert main(words) == 0
    warnings = [record.getMessage() for record in caplog.records if "not kept" in record.getMessage()]
    assert len(warnings) == 1
    assert "Not a directory" in warnings[0]
    found = [json.loads(path.read_text()) for path in (tmp_path / "r").rglob("*.json")]
    assert sorted(result["task"] for result in found) == ["poisson-ood/hard", "poisson-ood/mild"]
    assert "2 results in" in capsys.readouterr().out
