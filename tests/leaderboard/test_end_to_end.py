"""The whole way of a stranger's model, by the commands that people type, to a Hub of the tests."""

import re
import shutil

import pytest
from falsified import improved, modelled
from huggingface_hub import HfApi
from proposals import BOARD, BOB, files_of, propose, rows

from pdebench_fm.cli import main
from pdebench_fm.leaderboard.fetching import fetch
from pdebench_fm.leaderboard.records import badge_of, private_of
from pdebench_fm.leaderboard.store import load
from pdebench_fm.results.evaluation import read_evaluation

ALICE = "hf_alice"
TASK = "poisson-ood/hard"
SEED = "8264193"


@pytest.fixture
def his(hub, tmp_path, model_folder):
    """Bob's model on the Hub, with code beside it that says when it is run; returns its name with its commit."""
    folder = shutil.copytree(model_folder, tmp_path / "his")
    for name in ("modeling.py", "setup.py", "sitecustomize.py", "conftest.py", "__init__.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'executed')!r}, 'w').write('executed')\n")
    bob = HfApi(endpoint=hub.url, token=BOB)
    bob.create_repo("bob/solver")
    return f"bob/solver@{bob.upload_folder(repo_id='bob/solver', folder_path=folder).oid}"


@pytest.mark.usefixtures("here")
def test_a_strangers_model_gets_its_badge_and_an_altered_copy_does_not(board, his, hub, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)  # of the processes that verify
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")

    monkeypatch.setenv("HF_TOKEN", BOB)
    words = ["--task", TASK, "--track", "lite", "--device", "cpu", "--out", "results"]
    assert main(["eval", "--model", his, *words]) == 0
    assert main(["submit", "results", "--to", BOARD]) == 0
    assert f"pull request: {hub.url}/datasets/{BOARD}/discussions/1" in capsys.readouterr().out
    (path,) = (tmp_path / "results").rglob("*.json")
    altered = improved(modelled(read_evaluation(path), model_id="bob/better", weights_at=his))
    assert propose(hub, rows(altered, tmp_path)) == 2

    monkeypatch.setenv("HF_TOKEN", ALICE)  # the maintainer's, which no verification may see
    hub.forget_requests()
    assert main(["leaderboard", "review", BOARD, "--out", "reports", "--private-seed", SEED]) == 0
    assert {request.user for request in hub.requests} == {None}
    assert not (tmp_path / "executed").exists()
    assert re.search("#1 .*passed", capsys.readouterr().out)
    assert files_of(board) == set()
    for report in (tmp_path / "reports").iterdir():
        assert SEED not in report.read_text()

    hub.forget_requests()
    assert main(["leaderboard", "review", BOARD, "--out", "reports", "--post", "--merge"]) == 0
    assert hub.requests_to("/resolve/") == []
    assert [each.status for each in sorted(board.get_repo_discussions(BOARD, repo_type="dataset"), key=_number)] == [
        "merged",
        "open",
    ]
    told = [
        event for event in board.get_discussion_details(BOARD, 2, repo_type="dataset").events if event.type == "comment"
    ]
    assert "its model is, by its fingerprint, that of results/bob/solver/" in told[-1].content

    assert main(["leaderboard", "build", "--from", BOARD, "--out", "site"]) == 0
    pages = "".join(
        page.read_text() for page in (tmp_path / "site").rglob("*.*") if page.suffix in (".html", ".js", ".json")
    )
    assert "pretrained, 0 shots: reproduced on a private split" in pages
    assert "bob/better" not in pages
    (entry,) = load(fetch(BOARD, tmp_path / "fetched", token=False, endpoint=hub.url))
    (run,) = entry.result.runs
    assert (entry.result.model.model_id, entry.result.model.weights_at) == ("bob/solver", his)
    assert badge_of(entry.result, run, entry.record) == "reproduced on a private split"
    assert private_of(entry.result, run, entry.record).rows == 512


def _number(discussion):
    return discussion.num
