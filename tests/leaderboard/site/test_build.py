"""Which files a build writes, where it may write them, and what it removes."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import folder_lock
from pdebench_fm.leaderboard.site import build_site


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_site_has_its_data_once_and_for_download(root, tmp_path):
    page = build_site(root, tmp_path / "site")
    assert page == tmp_path / "site" / "index.html"
    files = set(contents(page.parent))
    assert {"leaderboard.json", "leaderboard.csv", "shared/style.css", "shared/plot.js", "site-files.json"} <= files
    assert [len([file for file in files if file.startswith(f"data/{name}-")]) for name in ("data", "details")] == [1, 1]
    assert set(json.loads((page.parent / "site-files.json").read_text())) == files - {"site-files.json"}


def test_what_the_pages_load_is_in_the_site(root, tmp_path):
    site = build_site(root, tmp_path / "site").parent
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        for address in re.findall(r' (?:src|href|data-details)="(?!data:|#)([^"#]+)', text):
            assert (page.parent / address).is_file(), address
    assert not re.search(r"url\(|@import", (site / "shared" / "style.css").read_text())


def test_the_library_of_charts_is_small_and_has_its_licences(root, tmp_path):
    shared = build_site(root, tmp_path / "site").parent / "shared"
    assert len(gzip.compress((shared / "plot.js").read_bytes())) < 1.5e6
    for name in ("d3", "plot"):
        assert "Permission to use, copy, modify" in (shared / f"{name}.LICENSE.txt").read_text()


def test_an_empty_leaderboard_says_so(tmp_path):
    text = build_site(tmp_path, tmp_path / "site").read_text(encoding="utf-8")
    assert "No results yet" in text
    assert "0 models" in text
    assert "<script" not in text


def test_the_same_rows_make_the_same_site(root, tmp_path):
    first = contents(build_site(root, tmp_path / "one").parent)
    assert contents(build_site(root, tmp_path / "two").parent) == first
    assert contents(build_site(root, tmp_path / "one").parent) == first


def test_an_earlier_site_is_replaced_and_its_neighbours_stay(root, tmp_path):
    site = build_site(tmp_path, tmp_path / "site").parent
    old_data = {file for file in contents(site) if file.startswith("data/")}
    (site / "CNAME").write_text("example.org")
    (site / "data" / "mine.txt").write_text("mine")
    build_site(root, site)
    files = contents(site)
    assert b"No results yet" not in files["index.html"]
    assert files["CNAME"] == b"example.org"
    assert files["data/mine.txt"] == b"mine"
    assert old_data
    assert not old_data & set(files)


@pytest.mark.parametrize("listed", ["../precious.txt", "link/precious.txt", "{}/precious.txt"])
def test_a_changed_list_of_files_removes_nothing_outside(root, tmp_path, listed):
    site = build_site(root, tmp_path / "site").parent
    (tmp_path / "outside").mkdir()
    for place in (tmp_path, tmp_path / "outside"):
        (place / "precious.txt").write_text("precious")
    (site / "link").symlink_to(tmp_path / "outside")
    names = [*json.loads((site / "site-files.json").read_text()), listed.format(tmp_path)]
    (site / "site-files.json").write_text(json.dumps(names))
    build_site(root, site)
    assert [(place / "precious.txt").read_text() for place in (tmp_path, tmp_path / "outside")] == ["precious"] * 2


@pytest.mark.parametrize("place", ["results", "results/site", "verified/site"])
def test_a_site_is_not_built_among_the_rows(root, place):
    before = sorted(root.rglob("*"))
    with pytest.raises(UsageError, match=r"is among the rows of|holds something else"):
        build_site(root, root / place)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("name", ["index.html", "thesis.tex"])
def test_a_folder_that_holds_something_else_is_refused(root, tmp_path, name):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / name).write_text("precious")
    with pytest.raises(UsageError, match="holds something else"):
        build_site(root, tmp_path / "site")
    assert [path.read_text() for path in (tmp_path / "site").iterdir()] == ["precious"]


@pytest.mark.parametrize("last", ["shared/table.js", "leaderboard.csv", "index.html"])
def test_a_build_goes_on_where_a_killed_one_ended(root, tmp_path, monkeypatch, last):
    from pdebench_fm.leaderboard.site import build

    expected = contents(build_site(root, tmp_path / "undisturbed").parent)
    site = build_site(tmp_path, tmp_path / "site").parent if last == "leaderboard.csv" else tmp_path / "site"
    write = build.write_atomically

    def killed(path, content):
        if path == site / last:
            path.with_name(".pdefm-0123456789abcdef.part").write_text("half")
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(build, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        build_site(root, site)
    monkeypatch.undo()
    build_site(root, site)
    assert contents(site) == expected


def test_a_site_has_one_writer(root, tmp_path):
    build_site(root, tmp_path / "site")
    with folder_lock(tmp_path / "site"), pytest.raises(PdefmError, match="another pdefm is writing to"):
        build_site(root, tmp_path / "site")


def test_a_file_instead_of_a_folder_is_refused(root, tmp_path):
    (tmp_path / "site").write_text("precious")
    with pytest.raises(UsageError, match="is a file"):
        build_site(root, tmp_path / "site")


def test_a_bad_file_is_named_and_the_site_is_otherwise_as_without_it(root, tmp_path):
    whole = contents(build_site(root, tmp_path / "site").parent)
    (root / "results" / "pdebench-fm" / "bad<b>\x1b[31m\u202e.json").write_text('{"\\u001b<i>": 1}')
    notes = []
    site = build_site(root, tmp_path / "site", notes.append).parent
    (note,) = notes
    assert "bad<b>" in note
    page = (site / "index.html").read_text(encoding="utf-8")
    section = re.search(r'<section class="notes" id="skipped">.*?</section>', page, re.S)[0]
    assert r"results/pdebench-fm/bad&lt;b&gt;\x1b[31m\u202e.json: " in section
    assert contents(site) | {"index.html": page.replace(section + "\n", "").encode()} == whole
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)


def test_a_folder_of_rows_that_is_a_link_is_an_error(root, tmp_path):
    (root / "results" / "acme").rename(tmp_path / "acme")
    (root / "results" / "acme").symlink_to(tmp_path / "acme")
    with pytest.raises(PdefmError, match=r"results/acme is a link to a folder"):
        build_site(root, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_folder_of_rows_that_cannot_be_read_is_an_error(root, tmp_path, monkeypatch):
    scandir = os.scandir

    def forbidden(path):
        if Path(path).name == "acme":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)  # root, who runs tests, may read everything
    with pytest.raises(PdefmError, match=r"cannot read the folder .*results/acme: Permission denied"):
        build_site(root, tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(path.with_name("gone"))])
def test_what_stands_where_the_folder_of_rows_should_be_is_an_error(tmp_path, make):
    make(tmp_path / "results")
    with pytest.raises(PdefmError, match="results is no folder"):
        build_site(tmp_path, tmp_path / "site")


def test_a_site_of_others_models_is_built_without_pytorch(small_site, tmp_path):
    """Which takes seconds and memory, and only this package's own models need it."""
    words = (
        "import sys; from pathlib import Path; from pdebench_fm.leaderboard.site import build_site; "
        "build_site(*map(Path, sys.argv[1:])); print('torch' in sys.modules)"
    )
    places = [small_site / "board", tmp_path / "site"]
    done = subprocess.run([sys.executable, "-c", words, *places], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_rows_are_read_and_ranked_and_pages_made_without_pytorch():
    """Whose import takes longer than a small board's build, and 200 MB."""
    words = "import sys, pdebench_fm.leaderboard.site, pdebench_fm.leaderboard.ranking; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
