"""The page on submitting and citing: its commands exist, and its BibTeX says what CITATION.cff does."""

import re
import shlex

import pytest

from pdebench_fm.cli import main
from pdebench_fm.leaderboard.site.guide import bibtex, guide_page, read_citation
from pdebench_fm.version import __version__

from .pages import Document

PAGE = guide_page().content
BLOCKS = re.findall(r"<pre[^>]*><code>(.+?)</code>", PAGE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("pdefm ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_and_options_exist(command, capsys):
    words = shlex.split(command)[1:]
    names = words[: next((i for i, word in enumerate(words) if not word.isalpha() or word == "results"), None)]
    assert main([*names, "--help"]) == 0
    known = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--")):
        assert option in known


def test_all_steps_have_a_command():
    assert len(COMMANDS) == 5


def test_the_citation_is_that_of_the_project():
    text = bibtex(read_citation())
    assert f"  version = {{{__version__}}}," in text
    assert "@software{pdebench_fm," in text
    assert "title = {{pdebench\\_fm: the PDE foundation-model benchmark hub}}" in text
    assert "@article{subramanian2023towards," in text
    assert "author = {Subramanian, Shashank and Harrington, Peter and " in text
    assert "  year = {2023}," in text
    assert text in Document(PAGE).words
    assert text.count("{") == text.count("}")


def test_what_bibtex_would_take_for_its_own_is_escaped():
    work = {"type": "report", "title": "50 % of {this} & that_", "authors": [{"name": "A & B"}], "year": 2030}
    lines = ["@misc{ab2030of,", "  title = {{50 \\% of \\{this\\} \\& that\\_}},"]
    lines += ["  author = {{A \\& B}},", "  year = {2030},", "}"]
    assert bibtex(work) == "\n".join(lines)
