"""The text of the front page: what was left out and why."""

from pathlib import Path, PurePosixPath

import pytest
from factories import make_result

from pdebench_fm.leaderboard.site.front import front_page
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.page import Page
from pdebench_fm.leaderboard.site.words import number
from pdebench_fm.leaderboard.store import Entry, Skipped, row_path

SCRIPTS = Page(PurePosixPath("data/data.js"), ""), Page(PurePosixPath("data/details.js"), "")


def page_of(*results, skipped=()):
    entries = [Entry(row_path(result), row_path(result).parts[1], result) for result in results]
    return front_page(Material(entries, skipped), *SCRIPTS).content


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.08, "0.0800"),
        (0.0012345, "0.00123"),
        (0.00012345, "0.000123"),
        (0.000083, "8.30e-5"),
        (4.2051, "4.21"),
        (0.99999, "1.00"),
        (12.97, "13.0"),
        (123.4, "123"),
        (12345.6, "12346"),
        (1.5e7, "1.50e7"),
        (0.0, "0"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert number(value) == text


def test_of_thousands_of_bad_files_a_hundred_are_named():
    page = page_of(skipped=[Skipped(Path(f"results/{i}.json"), "no") for i in range(5000)])
    assert "results/99.json: no" in page
    assert "results/100.json" not in page
    assert "and 4900 more" in page


def test_of_the_many_failures_of_one_result_a_dozen_are_named():
    failures = [{"start": "scratch", "shots": 32, "seed": seed, "reason": "no"} for seed in range(900)]
    page = page_of(make_result(failures=failures))
    assert "seed 11: no" in page
    assert "seed 12: no" not in page
    assert "on poisson/in-domain (lite): 888 more" in page


def test_failed_runs_are_named_with_their_reason():
    failures = [{"start": "scratch", "shots": 32, "seed": 2, "reason": "not enough memory <8 GB>"}]
    page = page_of(make_result(failures=failures))
    assert "scratch, 32 shots, seed 2: not enough memory &lt;8 GB&gt;" in page
    assert "left-out" not in page_of(make_result())
