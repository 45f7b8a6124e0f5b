"""Each model and task has a page of its own, below the site's folder, on file systems of every kind."""

import unicodedata
from itertools import combinations
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.leaderboard.site.addresses import model_address, task_address

NAMES = [
    "solver",
    "Solver",
    "SOLVER",
    "solver.v2",
    "solver.v2.",
    "solver-v2",
    "solver_v2",
    "solver v2",
    "sölver",
    unicodedata.normalize("NFD", "sölver"),
    "ѕolver",  # begins with a Cyrillic letter
    "solver\u202e",
    "",
    ".",
    "..",
    "...",
    "../solver",
    "/solver",
    "..\\solver",
    "c:solver",
    "con",
    "CON",
    "con.txt",
    "nul.html",
    "solver.html",
    "index",
    "-solver",
    "~solver",
    "<b>",
    "a" * 60,
    "a" * 61,
    "a" * 200,
    "solver\0",
    "%2e%2e",
    "?x#y",
]


def folded(path):
    """A path as a file system that ignores case and Unicode's forms would take it."""
    return unicodedata.normalize("NFKC", str(path)).casefold()


def test_no_two_models_have_one_page():
    places = [folded(model_address(organisation, name)) for organisation in NAMES for name in NAMES if "/" not in name]
    assert len(set(places)) == len(places)


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_page_lies_in_the_sites_folder_under_a_plain_name(organisation, name):
    path = model_address(organisation, name)
    assert path.parts[0] == "models"
    assert len(path.parts) == 3
    assert path.suffix == ".html"
    for part in path.parts:
        assert part.isascii()
        assert part.replace("~", "").replace("-", "").replace("_", "").replace(".", "").isalnum()
        assert not part.startswith((".", "-"))
        assert len(part) < 120
    assert path.parts[1].partition(".")[0] not in {"con", "nul", "aux", "prn", "com1", "lpt1"}


@pytest.mark.parametrize("name", ["fno-mixed-64k", "net.v2", "a_b", "unet"])
def test_a_plain_name_stays_readable(name):
    assert model_address("acme", f"acme/{name}") == PurePosixPath("models", "acme", f"{name}.html")


def test_tasks_have_pages_of_their_own():
    places = [task_address(task) for task in TASKS]
    assert all(first != second for first, second in combinations(places, 2))
    assert task_address("poisson-ood/hard") == PurePosixPath("tasks/poisson-ood--hard.html")
