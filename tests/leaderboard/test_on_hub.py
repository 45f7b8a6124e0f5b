"""A leaderboard on the Hub: one pull request for a submission whatever goes wrong, and what that is held to."""

import re
import shutil

import pytest
from falsified import improved, modelled, put
from huggingface_hub import CommitOperationDelete, HfApi
from proposals import BOARD, BOB, files_of, propose, rows

from pdebench_fm.cli import main
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.leaderboard.on_hub import is_on_hub, submit_to_hub
from pdebench_fm.leaderboard.pull_request import changed_paths, split_pull_request
from pdebench_fm.leaderboard.recompute import NotRunError, open_submitted
from pdebench_fm.leaderboard.submission import Submitter, named
from pdebench_fm.leaderboard.verification import Depth, verify
from pdebench_fm.models import load_model

TASK = "poisson-ood/hard"
TROUBLE = [{"status": 503}, {"status": 429, "retry_after": 30}, {"drop": "before"}, {"drop": "after"}]


@pytest.fixture(scope="module")
def scored(model_folder):
    return evaluate(load_model(model_folder), TASK, track="lite", device="cpu")


@pytest.fixture
def send(hub, tmp_path, scored):
    """Submit the scored model as Bob."""

    def submit(evaluation=scored, token=BOB, submitter=None, **options):
        path = put(evaluation, tmp_path / "in" / "result.json")
        return submit_to_hub(
            [path], BOARD, submitter, token=token, endpoint=hub.url, sleep=lambda _seconds: None, **options
        )

    return submit


@pytest.fixture
def check(hub):
    """Verify a pull request without a token."""

    def run(number=1, **options):
        return verify([f"{BOARD}#{number}"], token=False, endpoint=hub.url, **options)

    return run


def requests_on(api):
    return list(api.get_repo_discussions(BOARD, repo_type="dataset"))


def test_a_stranger_submits_by_one_pull_request_which_verification_passes(board, send, check, hub):
    done = send()
    assert done.pull_request.url == f"{hub.url}/datasets/{BOARD}/discussions/1"
    assert files_of(board) == set()
    assert files_of(board, "refs/pr/1") == set(done.files)
    assert all(path.startswith("results/bob/fno-tiny/") for path in done.files)
    again = send()
    assert (again.pull_request.number, again.pull_request.already_open) == (1, True)
    assert len(requests_on(board)) == 1
    (row,) = check().rows
    assert not row.refusal
    board.merge_pull_request(BOARD, 1, repo_type="dataset")
    assert files_of(board) == set(done.files)
    merged = send()
    assert (merged.files, merged.pull_request, len(requests_on(board))) == ({}, None, 1)
    assert merged.submission.rows[0].state == "already there"
    with pytest.raises(PdefmError, match="#1 is merged: only an open pull request"):
        check()


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
def test_trouble_at_any_call_ends_in_one_pull_request(board, send, hub, trouble):
    for path in ("/whoami-v2", "/revision/main", "/discussions", "/commit/"):
        hub.fail_next(path_contains=path, **trouble)
    done = send()
    assert hub.faults.pending == 0
    assert [request.num for request in requests_on(board)] == [done.pull_request.number] == [1]
    assert files_of(board, "refs/pr/1") == set(done.files)


def test_a_dry_run_sends_nothing_and_lists_what_would_be(board, send, hub):
    done = send(dry_run=True)
    assert sorted(path.rpartition(".")[2] for path in done.files) == ["json", "parquet"]
    assert done.pull_request is None
    assert requests_on(board) == []
    assert hub.requests_to("/commit/") == []


@pytest.mark.usefixtures("board", "here")
def test_the_command_prints_the_address(hub, tmp_path, scored, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", BOB)
    monkeypatch.chdir(tmp_path)
    put(scored, tmp_path / "in" / "result.json")
    for words, said in (
        ([], f"pull request: {hub.url}/datasets/{BOARD}/discussions/1"),
        ([], "is open already, nothing to do"),
        (["--dry-run"], "would be sent: results/bob/fno-tiny/"),
    ):
        assert main(["submit", "in", "--to", BOARD, *words]) == 0
        assert said in capsys.readouterr().out
    assert main(["submit", "in", "--to", BOARD, "--replace"]) == 2
    assert main(["leaderboard", "verify", f"{BOARD}#1"]) == 0


def test_somebody_elses_organisation_is_refused(board, send, check, hub, tmp_path, scored):
    for organisation in ("pde-lab", "alice", "pdebench-fm"):
        with pytest.raises(
            UsageError, match=r"is somebody else's: bob can submit for bob|is none of them by its digest"
        ):
            send(submitter=Submitter(organisation))
    assert requests_on(board) == []
    number = propose(hub, rows(named(scored, Submitter("alice")), tmp_path))
    assert "alice is somebody else's: bob can submit for bob" in check(number).rows[0].refusal


def test_nobodys_scores_are_replaced_or_removed(board, send, check, hub, tmp_path, scored):
    send()
    board.merge_pull_request(BOARD, 1, repo_type="dataset")
    with pytest.raises(UsageError, match="is on the leaderboard already with other scores"):
        send(improved(scored))
    other = improved(named(scored, Submitter("bob")))
    number = propose(hub, rows(other, tmp_path))
    assert "has other scores for cells of the row that is on the leaderboard" in check(number).rows[0].refusal
    number = propose(hub, [CommitOperationDelete(sorted(files_of(board))[0])])
    with pytest.raises(PdefmError, match=r"removes 'results/bob/fno-tiny/.*: a row is never removed"):
        check(number)


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "verified/bob/solver/row.json",
        "results/bob/row.json",
        "results/bob/solver/../../../up.json",
        "results/bob/solver/row.pkl",
        "results/bob/sоlver/row.json",
        "results/bob/solver/row\u202e.json",
        "/results/bob/solver/row.json",
        "Results/bob/solver/row.json",
        "results/bob/solver/row.json/x.json",
    ],
)
def test_a_pull_request_has_nothing_but_rows(path):
    with pytest.raises(PdefmError, match=r"changes .*: a submission has nothing but results/<organisation>"):
        changed_paths({}, {path: "1"}, "a pull request")


def test_a_pull_request_is_bounded_and_whole():
    row = {"results/bob/s/a.json": "1", "results/bob/s/a.samples.parquet": "2"}
    assert changed_paths({"README.md": "3"}, {"README.md": "3", **row}, "it") == sorted(row)
    for path in row:
        with pytest.raises(PdefmError, match=r"alone: a row is a \.json and a \.samples\.parquet beside it"):
            changed_paths({}, {path: "1"}, "it")
    with pytest.raises(PdefmError, match="changes nothing"):
        changed_paths(row, row, "it")
    many = {f"results/bob/s/{i}.json": "1" for i in range(10_000)}
    with pytest.raises(PdefmError, match=r"has 10,000 files: a submission has at most 2,000"):
        changed_paths({}, many, "it")


def test_what_is_no_open_pull_request_is_said(board, check):
    with pytest.raises(PdefmError, match="404"):
        check(7)
    board.create_discussion(BOARD, "A question", repo_type="dataset")
    with pytest.raises(PdefmError, match="#1 is a discussion, no pull request"):
        check(1)


def test_a_file_that_is_too_large_is_not_downloaded(board, check, hub, monkeypatch, tmp_path, scored):  # noqa: ARG001
    number = propose(hub, rows(named(scored, Submitter("bob")), tmp_path))
    monkeypatch.setattr("pdebench_fm.leaderboard.pull_request.RESULT_BYTES", 100)
    with pytest.raises(PdefmError, match=r"is not downloaded: .* and should have at most 100 bytes"):
        check(number)
    assert hub.requests_to("/resolve/", "GET") == []


def _pickle(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def _renamed_pickle(folder):
    (folder / "model.safetensors").write_bytes(b"\x80\x04" + b"K\x01." * 100)


def _huge(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"width": 8', '"width": 1000000'))


def _other_shapes(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"modes": 4', '"modes": 3'))


def _header(folder):
    (folder / "model.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{" + b" " * 100)


WRONG_WEIGHTS = {
    "a pickle": (_pickle, "pickle"),
    "a pickle renamed": (_renamed_pickle, "safetensors"),
    "a million channels": (_huge, "width"),
    "other shapes": (_other_shapes, "does not fit|is not downloaded"),
    "a header of a terabyte": (_header, "safetensors"),
    "the right ones": (lambda _folder: None, None),
}


@pytest.mark.usefixtures("board", "here")
@pytest.mark.parametrize("kind", WRONG_WEIGHTS)
def test_weights_are_fetched_by_their_commit_and_held_to_the_row(kind, hub, tmp_path, scored, model_folder):
    spoil, words = WRONG_WEIGHTS[kind]
    folder = shutil.copytree(model_folder, tmp_path / "weights")
    spoil(folder)
    bob = HfApi(endpoint=hub.url, token=BOB)
    bob.create_repo("bob/solver")
    commit = bob.upload_folder(repo_id="bob/solver", folder_path=folder).oid
    row = named(scored, Submitter("bob", weights_at=f"bob/solver@{commit}"))
    path = put(row, tmp_path / "row.json")
    (found,) = verify([str(path)], Depth(recompute=True)).rows
    if words is None:
        assert (found.refusal, found.note) == ("", "")
        assert found.reruns[0].difference == 0.0
    else:
        assert re.search(words, found.refusal)
        assert found.refusal.startswith("recomputed: ")


def test_a_model_without_an_address_is_not_run(scored):
    with pytest.raises(NotRunError, match="does not say where its weights are"):
        open_submitted(modelled(named(scored, Submitter("bob")), weights_at=None).result)


def test_a_folder_and_a_repository_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert is_on_hub("pde-lab/leaderboard")
    for to in ("leaderboard", "leaderboard/", "./pde-lab/x", "here/board", str(tmp_path / "x"), "a/b/c", "~/x"):
        assert not is_on_hub(to)
    assert split_pull_request("pde-lab/leaderboard#12") == ("pde-lab/leaderboard", 12)
    for text in ("pde-lab/leaderboard", "pde-lab/leaderboard#0", "../x#1", "x#1", "a/b#1x"):
        assert split_pull_request(text) is None
