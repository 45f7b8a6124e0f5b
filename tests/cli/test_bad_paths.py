"""Every command with every bad path: one clear line, never a traceback, and nothing left behind."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from described import make_pretrained
from factories import make_result, write_made
from rich.table import Table
from rich.text import Text

import pdebench_fm
from pdebench_fm.cli import console, main

COMMANDS = {
    "data build --out": "data build poisson --out {} --train 4 --validation 0 --test 4 --resolution 64",
    "data verify": "data verify {}",
    "data show --out": "data show poisson/in-domain --out {}",
    "data publish": "data publish {} --namespace nobody",
    "pretrain --out": "pretrain --family poisson --size 64k --steps 1 --resolution 32 --device cpu --out {}",
    "eval --model": "eval --model {} --task poisson-ood/hard --track lite --device cpu --out {new}",
    "eval --model x.py": "eval --model {}.py:build --task poisson-ood/hard --track lite --device cpu --out {new}",
    "eval --smoke": "eval --model {} --smoke --device cpu",
    "eval --data": "eval --model zero --task poisson-ood/hard --data {} --device cpu --out {new}",
    "eval --out": "eval --model zero --task poisson-ood/hard --track lite --device cpu --out {}",
    "compare, first": "compare {} {result}",
    "compare, second": "compare {result} {}",
    "plot": "plot {} --kind shots --out {new}.svg",
    "plot --out": "plot {result} --kind shots --out {}",
    "plot --reference": "plot {result} --kind fields --reference {} --out {new}.svg",
    "submit": "submit {} --to {new}",
    "submit --to": "submit {result} --to {}",
    "leaderboard rank": "leaderboard rank {}",
    "leaderboard build --from": "leaderboard build --no-pictures --from {} --out {new}",
    "leaderboard build --out": "leaderboard build --no-pictures --from {board} --out {}",
    "leaderboard serve": "leaderboard serve {} --port 0",
    "leaderboard publish": "leaderboard publish {} --space nobody/board",
    "zoo card": "zoo card {}",
    "zoo card, results": "zoo card {model} {}",
    "zoo show": "zoo show {}",
    "zoo publish": "zoo publish {} --namespace nobody --version 1.0.0",
    "zoo import": "zoo import {} --from tl-scaling --config {result} --out {new}",
    "zoo import --config": "zoo import {result} --from tl-scaling --config {} --out {new}",
    "zoo import --out": "zoo import {result} --from tl-scaling --config {result} --out {}",
    "zoo export": "zoo export {} --to torch-export --out {new}",
    "zoo export --out": "zoo export {model} --to torch-export --out {} --resolution 32",
}
FOLDERS = {
    "data build --out",
    "pretrain --out",
    "eval --out",
    "submit --to",
    "leaderboard build --out",
    "zoo import --out",
}
FILES = {"data show --out": ".png", "plot --out": ".svg", "zoo export --out": ".pt2"}
"""Those that write to their path, a folder or a file of some suffix."""


def _nothing(path):
    return path


def _a_dangling_link(path):
    path.symlink_to(path.parent / "gone" / "away")
    return path


def _a_link_to_itself(path):
    path.symlink_to(path)
    return path


def _below_a_file(path):
    (path.parent / "file").write_text("precious")
    return path.parent / "file" / path.name


def _a_file_of_nonsense(path):
    path.write_bytes(b"\x00\xff[/]\x1b[31m" * 99)
    return path


def _an_empty_file(path):
    path.touch()
    return path


def _an_empty_folder(path):
    path.mkdir()
    return path


def _too_long_a_name(path):
    return path.with_name("long" * 100 + path.suffix)


def _too_long_a_path(path):
    return path.parent / "/".join(["deep"] * 2000) / path.name


def _a_pipe(path):
    os.mkfifo(path)
    return path


def _a_name_that_is_no_text(path):
    return path.with_name(os.fsdecode(b"\xff\xfe") + path.suffix)


def _a_name_that_turns_and_colours(path):
    return path.with_name("\x1b[31mred\u202e" + path.suffix)


def _of_a_user_who_is_not_there(_path):
    return "~no-such-user/x"


BAD = [
    _nothing,
    _a_dangling_link,
    _a_link_to_itself,
    _below_a_file,
    _a_file_of_nonsense,
    _an_empty_file,
    _an_empty_folder,
    _too_long_a_name,
    _too_long_a_path,
    _a_pipe,
    _a_name_that_is_no_text,
    _a_name_that_turns_and_colours,
    _of_a_user_who_is_not_there,
]
NEW = {_nothing, _a_name_that_is_no_text, _a_name_that_turns_and_colours, _of_a_user_who_is_not_there}
REPLACED = {_a_dangling_link, _a_link_to_itself, _a_file_of_nonsense, _an_empty_file, _a_pipe}


def _is_bad(command, bad):
    """Tell whether a path is no place for what a command reads or writes."""
    if command in FOLDERS:
        return bad not in NEW | {_an_empty_folder, _a_dangling_link}
    if command in FILES:
        return bad not in NEW | REPLACED
    return (command, bad) != ("leaderboard build --from", _an_empty_folder)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_made(make_result("poisson/in-domain", "acme/solver"), folder / "result.json")
    (folder / "board").mkdir()
    return {
        "result": folder / "result.json",
        "board": folder / "board",
        "model": make_pretrained(folder / "fno-mixed-tiny"),
    }


def _is_one_line(stderr):
    assert stderr.startswith("pdefm: "), stderr
    assert stderr.count("\n") == 1, stderr
    assert "Traceback" not in stderr
    assert "internal error" not in stderr
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", stderr)


@pytest.mark.parametrize(
    ("command", "bad"),
    [
        pytest.param(command, bad, id=f"{command}: {bad.__name__.strip('_').replace('_', ' ')}")
        for command in COMMANDS
        for bad in BAD
        if _is_bad(command, bad)
    ],
)
def test_a_bad_path_is_one_clear_line(command, bad, places, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "a [").mkdir()
    path = str(bad(tmp_path / f"a [/] path [bold]{FILES.get(command, '')}"))
    before = sorted(tmp_path.rglob("*"))
    words = [word.format(path, new=tmp_path / "new", **places) for word in COMMANDS[command].split(" ")]
    assert main(words) in (1, 2)
    _is_one_line(capsys.readouterr().err)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_command_leaves_files_with_the_permissions_that_the_user_wants(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "cache"))
    before = os.umask(0o027)
    try:
        for command in (
            "submit {result} --to board",
            "leaderboard build --no-pictures --from board --out site",
            "plot {result} --kind shots --out picture.svg",
            "plot {result} --kind shots --out picture.html",
            "eval --model zero --task poisson-ood/hard --track lite --device cpu --out results",
            "data build poisson --regime in-domain --out data --train 4 --validation 0 --test 4 --resolution 64",
            "data show poisson/in-domain --out rows.png",
        ):
            assert main([word.format(**places) for word in command.split()]) == 0
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert len(found) > 20
    assert {path for path, mode in found.items() if mode != (0o750 if path.is_dir() else 0o640)} == set()


NO_HOME = """
import os, sys
for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "PDEFM_CACHE", "XDG_CACHE_HOME", "HF_HOME"):
    os.environ.pop(name, None)
os.getuid = os.geteuid = lambda: 54321  # a number that no user has, as in a container
from pdebench_fm.cli import main
for command in (
    "eval --model zero --task poisson-ood/hard --track lite --device cpu --out results",
    "zoo list",
    "plot results --kind shots --out picture.svg",
    "submit results --to board",
):
    print(main(command.split()), flush=True)
"""


def test_a_user_without_a_home_and_a_name_can_do_everything_and_is_told_that_nothing_is_kept(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(pdebench_fm.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", NO_HOME], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert re.findall(r"^\d+$", done.stdout, re.M) == ["0", "0", "0", "0"], done.stderr
    assert done.stderr == (
        "note: finished cells are not kept: there is no place for caches, as this user has no home: set PDEFM_CACHE\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board", "picture.svg", "results"]


def test_a_file_that_the_system_refuses_is_one_line(tmp_path, capsys, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied", str(tmp_path / "secret"))

    monkeypatch.setattr("pdebench_fm.leaderboard.store.submit", refuse)  # root, who runs tests, may read everything
    assert main(["submit", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"pdefm: cannot use {tmp_path / 'secret'}: Permission denied\n"


def test_a_zero_byte_in_an_argument_is_one_line(capsys):
    assert main(["submit", "a\0b"]) == 2
    _is_one_line(capsys.readouterr().err)


def test_what_is_printed_has_no_control_characters(capsys):
    console.say("a\x1b[31mb\u202e", ("[/]\x07", "bold"))
    table = Table("a\x1b[31m")
    table.add_row("[/b]\x9b31m")
    console.console.print(table, Text("c\u2066"))
    assert main(["submit", "no\x1b]0;title\x07such"]) == 2
    captured = capsys.readouterr()
    assert r"a\x1b[31mb\u202e[/]\x07" in captured.out
    assert r"[/b]\x9b31m" in captured.out
    assert r"c\u2066" in captured.out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", captured.out + captured.err)
