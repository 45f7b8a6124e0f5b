"""Every command with every bad path: one clear line, never a traceback, and nothing left behind."""

import os
import re

import pytest
from described import make_pretrained
from factories import make_result, write_made

from pdebench_fm.cli import main

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
    "leaderboard build --from": "leaderboard build --from {} --out {new}",
    "leaderboard build --out": "leaderboard build --from {board} --out {}",
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
MAKES = {name for name in COMMANDS if name.split()[-1] in ("--out", "--to")}
"""Those whose path need not be there."""

PICTURES = {"data show --out": ".png", "plot --out": ".svg"}


def _nothing(folder):
    return folder / "no [/] such [bold] thing"


def _a_dangling_link(folder):
    (folder / "dangling").symlink_to(folder / "gone" / "away")
    return folder / "dangling"


def _a_link_to_itself(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


def _below_a_file(folder):
    (folder / "file").write_text("precious")
    return folder / "file" / "below"


def _a_file_of_nonsense(folder):
    (folder / "nonsense").write_bytes(b"\x00\xff[/]\x1b[31m" * 99)
    return folder / "nonsense"


def _an_empty_file(folder):
    (folder / "empty").touch()
    return folder / "empty"


def _an_empty_folder(folder):
    (folder / "folder").mkdir()
    return folder / "folder"


def _too_long_a_name(folder):
    return folder / ("long" * 100)


def _too_long_a_path(folder):
    return folder / "/".join(["deep"] * 2000)


def _a_pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _a_name_that_is_no_text(folder):
    return folder / os.fsdecode(b"\xff\xfe")


def _a_name_that_turns_and_colours(folder):
    return folder / "\x1b[31mred\u202e"


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
]
CAN_BE_MADE = {_nothing, _an_empty_folder, _a_name_that_is_no_text, _a_name_that_turns_and_colours}
"""Where a command may well write a folder."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_made(make_result("poisson/in-domain"), folder / "result.json")
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


@pytest.mark.parametrize("bad", BAD, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_path_is_one_clear_line(command, bad, places, tmp_path, capsys, monkeypatch):
    if command in MAKES and bad in CAN_BE_MADE:
        pytest.skip("a place to write to")
    monkeypatch.chdir(tmp_path)
    path = str(bad(tmp_path)) + PICTURES.get(command, "")
    before = sorted(tmp_path.rglob("*"))
    words = [word.format(path, new=tmp_path / "new", **places) for word in COMMANDS[command].split()]
    assert main(words) in (1, 2)
    _is_one_line(capsys.readouterr().err)
    assert sorted(tmp_path.rglob("*")) == before
