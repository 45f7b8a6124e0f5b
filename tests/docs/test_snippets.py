"""Every shell and Python snippet of the README and the documentation runs, page by page, as it is written."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from described import ALICE
from hub_server import HubServer, client_environment
from huggingface_hub import HfApi
from snippets import ROOT, Reader, commands, pages, snippets_of

from pdebench_fm.cli import main

PAGES = pages()
ORGANISATIONS = ("pdebench-fm", "my-org", "acme", "pde-lab", "ORG")


@pytest.fixture(scope="module")
def reader_at(tmp_path_factory):
    """Return a reader at work in a new folder, with a Hub of their own and the cache of whoever read before."""
    home = tmp_path_factory.mktemp("reader")
    with HubServer(home / "hub") as hub:
        hub.add_user("alice", token=ALICE, organizations=ORGANISATIONS)
        api = HfApi(endpoint=hub.url, token=ALICE)
        for organisation in ("ORG", "my-org"):
            api.create_repo(f"{organisation}/leaderboard", repo_type="dataset")
        environment = client_environment(hub, home, ALICE) | {
            "PDEFM_CACHE": str(home / "cells"),
            "PATH": os.pathsep.join([str(home / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "MPLBACKEND": "agg",
        }
        readers = []
        with commands(home, environment) as server:

            def make(name):
                folder = home / name
                folder.mkdir()
                readers.append(Reader(folder, server, environment))
                return readers[-1]

            yield make
            for reader in readers:
                reader.leave()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_works_from_its_first_snippet_to_its_last(page, reader_at):
    reader = reader_at(re.sub(r"\W", "-", str(page.relative_to(ROOT))))
    for snippet in snippets_of(page):
        reader.follow(snippet)


def test_what_is_not_run_says_why():
    marks = [snippet.mark for page in PAGES for snippet in snippets_of(page) if snippet.mark]
    assert all(mark == "in a clone" or re.fullmatch(r"not run: \w[^\n]{10,}", mark) for mark in marks), marks


def test_commands_that_are_not_run_exist(capsys):
    for page in PAGES:
        for snippet in snippets_of(page):
            for line in re.findall(
                r"^\s*(?:\w+=\S+ )*pdefm (.+)$", "" if snippet.is_run else snippet.code, re.MULTILINE
            ):
                words = [word for word in line.split()[:2] if re.fullmatch(r"[a-z]+", word)]
                assert main([*words, "--help"]) == 0, snippet.place
                shown = capsys.readouterr().out
                for option in re.findall(r"(?<=\s)--[a-z-]+", line):
                    assert option in shown, f"{snippet.place}: {option}"


def test_what_pip_is_told_to_install_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set()
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for line in re.findall(r"pip install ([^\n`]+)", page.read_text(encoding="utf-8")):
            target = re.search(r'-e "?\.|pdebench-fm', line)
            named |= {extra for extras in re.findall(r"\[([\w,]+)\]", line) if target for extra in extras.split(",")}
    assert {"train", "onnx", "plots"} <= named
    assert named <= set(project["optional-dependencies"])


def test_an_extra_of_the_installed_package_can_be_installed_later():
    words = ["--dry-run", "--no-index", "--disable-pip-version-check", "pdebench-fm[onnx]"]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "does not provide" not in done.stderr
