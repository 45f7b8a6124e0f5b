"""Review: whatever is wrong with a pull request is refused with its reason, and then nothing of it is merged."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from falsified import changed, improved, modelled, put, with_scores
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.utils import _http
from proposals import BOARD, BOB, files_of, propose, pushed, rows

from pdebench_fm.cli import main
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.files import folder_lock
from pdebench_fm.hub.pull_requests import OpenRequest
from pdebench_fm.leaderboard import decisions, review
from pdebench_fm.leaderboard.apart import Bounds, Order, TryAgainError, answer, scrubbed
from pdebench_fm.leaderboard.decisions import decide
from pdebench_fm.leaderboard.fetching import fetch
from pdebench_fm.leaderboard.reports import comment_of, headline, place_of, read_report, text_of
from pdebench_fm.leaderboard.review import Extent, in_turn
from pdebench_fm.leaderboard.submission import Spellings, Submitter, named
from pdebench_fm.leaderboard.verification import Depth
from pdebench_fm.limits import RESULT_BYTES
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator, load_model
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.samples import samples_path

ALICE, CAROL, LOOKALIKE = "hf_alice", "hf_carol", "hf_b0b"
TASK = "poisson-ood/hard"
ROOT = Path(__file__).parents[2]
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def scored(model_folder):
    """A small model, zero-shot on the standard rows of a task."""
    return evaluate(load_model(model_folder), TASK, track="lite", device="cpu")


@pytest.fixture(scope="module")
def row(scored):
    """It as a row of Bob's."""
    return named(scored, Submitter("bob"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A row of Bob's of another model of the same shape."""
    folder = tmp_path_factory.mktemp("models") / "fno-other"
    scales = HomogeneousNormaliser(coefficient_scales=(0.02, 0.02, 0.01, 0.1, 0.1, 6.0))
    NeuralOperator(ModelConfig(width=8, modes=4, normaliser=scales, size="tiny")).save_pretrained(folder)
    found = evaluate(load_model(folder), TASK, track="lite", device="cpu")
    return named(found, Submitter("bob", "bob/other"))


@pytest.fixture
def weights_of(hub):
    """Put a model's folder on the Hub as Bob's, and return where it is."""

    def send(folder):
        bob = HfApi(endpoint=hub.url, token=BOB)
        bob.create_repo("bob/solver", exist_ok=True)
        return f"bob/solver@{bob.upload_folder(repo_id='bob/solver', folder_path=folder).oid}"

    return send


@pytest.fixture
def reports(tmp_path):
    return tmp_path / "reports"


@pytest.fixture
def look(hub, reports):
    """Review the leaderboard as `pdefm` does, but in this process: another one takes seconds to start."""

    def run(depth=None, apart=lambda order, _bounds: answer(order), **extent):
        return review.review(BOARD, reports, depth, Extent(**extent), endpoint=hub.url, apart=apart)

    return run


@pytest.fixture
def act(hub, reports):
    """Post and merge by the reports, as Alice."""

    def run(*, post=True, merges=True):
        return decide(
            BOARD, reports, post=post, merges=merges, token=ALICE, endpoint=hub.url, sleep=lambda _seconds: None
        )

    return run


def comments_on(api, number):
    events = api.get_discussion_details(BOARD, number, repo_type="dataset").events
    return [(each.author, each.content) for each in events if each.type == "comment"]


def status_of(api, number):
    return api.get_discussion_details(BOARD, number, repo_type="dataset").status


def in_json(evaluation, tmp_path, edit):
    """The operations that add a row whose JSON was edited."""
    result, samples = rows(evaluation, tmp_path)
    text = edit(result.path_or_fileobj.decode())
    assert text != result.path_or_fileobj.decode()
    return [CommitOperationAdd(result.path_in_repo, text.encode()), samples]


def _score(evaluation):
    return repr(evaluation.result.cells[0].metrics.relative_l2_mean)


def _content(evaluation, tmp_path, content):
    result, samples = rows(evaluation, tmp_path)
    return [CommitOperationAdd(result.path_in_repo, content), samples]


def _parquet_of(evaluation, source, tmp_path):
    """The operations that add a row with the per-sample scores of another one."""
    (result, samples), (_, theirs) = rows(evaluation, tmp_path), rows(source, tmp_path)
    return [result, CommitOperationAdd(samples.path_in_repo, theirs.path_or_fileobj)]


def _stored(evaluation, tmp_path, **contents):
    """The contents of a row's files by path, of which some are others."""
    place, path = row_path(evaluation.result), put(evaluation, tmp_path / "row.json")
    held = {"json": path.read_bytes(), "parquet": samples_path(path).read_bytes()} | contents
    return {place.as_posix(): held["json"], samples_path(place).as_posix(): held["parquet"]}


def _elsewhere(prefix):
    """A push of one more file, with content that would do harm where it is put or followed."""
    return lambda e, tmp: _stored(e, tmp) | {prefix: b"../../../../etc/passwd"}


def _twins(evaluation, tmp_path, *names):
    """The operations that add one row under several names."""
    made = [rows(improved(modelled(evaluation, model_id=name)), tmp_path) for name in names]
    return [operation for each in made for operation in each]


def _said(old, new):
    """An edit of a row's JSON that lets it say something else."""
    return lambda e, tmp: in_json(e, tmp, lambda text: text.replace(old, new, 1))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 10\n"

BAD = {
    "an oversized file": (
        lambda e, tmp: _content(e, tmp, b" " * (RESULT_BYTES + 1)),
        "is not downloaded: .* and should have at most 16.8 MB",
    ),
    "no JSON": (lambda e, tmp: _content(e, tmp, b"{" * 9), "content: .*not JSON"),
    "deep JSON": (lambda e, tmp: _content(e, tmp, b"[" * 100_000), "content: .*is not a valid result"),
    "duplicate keys": (
        lambda e, tmp: in_json(e, tmp, lambda text: text.replace('"track":', '"track": "lite",\n"track":', 1)),
        "content: .*twice",
    ),
    "NaN": (lambda e, tmp: in_json(e, tmp, lambda text: text.replace(_score(e), "NaN", 1)), "content: "),
    "infinity": (lambda e, tmp: in_json(e, tmp, lambda text: text.replace(_score(e), "1e999", 1)), "content: "),
    "a negative score": (
        lambda e, tmp: in_json(e, tmp, lambda text: text.replace(_score(e), f"-{_score(e)}", 1)),
        "content: .*relative_l2_mean",
    ),
    "an impossible score": (
        lambda e, tmp: in_json(e, tmp, lambda text: text.replace(_score(e), "1e-300", 1)),
        "content: .*relative_l2_mean",
    ),
    "a score improved in the JSON alone": (
        lambda e, tmp: in_json(e, tmp, lambda text: text.replace(_score(e), repr(0.9 * float(_score(e))))),
        "content: .*is not a valid result",
    ),
    "a score improved in the Parquet alone": (
        lambda e, tmp: _parquet_of(e, improved(e), tmp),
        "content: .*does not hold the",
    ),
    "no Parquet": (
        lambda e, tmp: [rows(e, tmp)[0], CommitOperationAdd(rows(e, tmp)[1].path_in_repo, b"PAR1")],
        "content: ",
    ),
    "half a row": (lambda e, tmp: rows(e, tmp)[:1], r"alone: a row is a \.json and a \.samples\.parquet"),
    "an unknown task": (
        lambda e, tmp: in_json(e, tmp, lambda text: text.replace("poisson-ood", "navier-stokes-ood")),
        "content: ",
    ),
    "an unknown regime": (
        lambda e, tmp: in_json(e, tmp, lambda text: text.replace('/hard"', '/harder"').replace('"hard"', '"harder"')),
        "content: ",
    ),
    "an unknown protocol": (
        lambda e, tmp: rows(changed(e, protocol_version=2), tmp),
        "pinned: protocol 2 is not known",
    ),
    "rows that are not standard": (
        lambda e, tmp: rows(changed(e, dataset=e.result.dataset.model_copy(update={"recipe_digest": "ab" * 32})), tmp),
        "standard rows: it was scored on other rows",
    ),
    "another version of the data": (
        lambda e, tmp: rows(changed(e, dataset=e.result.dataset.model_copy(update={"version": "2.0.0"})), tmp),
        "pinned: data of version 2.0.0 are not known here",
    ),
    "bands that do not add up": (
        lambda e, tmp: rows(with_scores(e, lambda name, v: 0.5 * v if name == "band_high" else v), tmp),
        "samples: the bands of row 0",
    ),
    "validation rows looked at": (
        lambda e, tmp: rows(changed(e, method="paper", division="unranked"), tmp),
        "can be ranked: ",
    ),
    "somebody else's organisation": (
        lambda e, tmp: rows(modelled(e, model_id="alice/solver"), tmp),
        "organisation: alice is somebody else's: bob can submit for bob",
    ),
    "the leaderboard's own organisation": (
        lambda e, tmp: rows(modelled(e, model_id="pde-lab/solver"), tmp),
        "organisation: pde-lab is somebody else's",
    ),
    "this project's organisation": (
        lambda e, tmp: rows(modelled(e, model_id="pdebench-fm/solver"), tmp),
        "name and place: pdebench-fm/solver is under the name of pdebench-fm",
    ),
    "this project's organisation in other letters": (
        lambda e, tmp: rows(modelled(e, model_id="PDEBench-FM/solver"), tmp),
        "name and place: PDEBench-FM/solver is under the name of pdebench-fm",
    ),
    "an organisation that looks like this project's": (
        lambda e, tmp: rows(modelled(e, model_id="pdebench_frn/solver"), tmp),
        "name and place: pdebench_frn and pdebench-fm look alike",
    ),
    "a letter of another alphabet in the path": (
        lambda e, tmp: _stored(e, tmp) | {"results/pdеbench-fm/solver/row.json": b"{}"},
        "changes '.*u0435bench-fm.*: a submission has nothing but results/<organisation>",
    ),
    "a letter of another alphabet in the content": (
        lambda e, tmp: in_json(e, tmp, lambda text: text.replace('"bob/', '"bоb/')),
        "name and place: organisation name 'bоb' cannot be a folder",
    ),
    "a path upwards": (_elsewhere("results/bob/../../../up.json"), "changes 'results/bob/../../../up.json'"),
    "an absolute path": (_elsewhere("/etc/row.json"), "changes '/etc/row.json'"),
    "a path with a backslash": (_elsewhere("results/bob/a\\..\\b.json"), "changes 'results"),
    "a path with a mark of direction": (_elsewhere("results/bob/s/\u202egpj.json"), "changes 'results/bob/s/.u202egpj"),
    "a record of verification": (_elsewhere("verified/bob/solver/row.json"), "changes 'verified/bob/solver/row.json'"),
    "code": (_elsewhere("results/bob/solver/run.py"), "changes 'results/bob/solver/run.py'"),
    "another README": (_elsewhere("README.md"), "changes 'README.md'"),
    "a symlink for a result": (
        lambda e, tmp: _stored(e, tmp, json=b"../../../../../../etc/passwd"),
        "content: .*not JSON",
    ),
    "a symlink for scores": (lambda e, tmp: _stored(e, tmp, parquet=b"../../../../../etc/passwd"), "content: "),
    "a pointer for scores": (lambda e, tmp: _stored(e, tmp, parquet=POINTER), "content: "),
    "a place elsewhere": (
        lambda e, tmp: rows(e, tmp, Path("results/bob/another", row_path(e.result).name)),
        "name and place: .*is misplaced",
    ),
    "no UTF-8": (lambda e, tmp: _content(e, tmp, b"\xff\xfe{\x00}\x00"), "content: .*it is not UTF-8 text"),
    "a mark of byte order": (
        lambda e, tmp: _content(e, tmp, b"\xef\xbb\xbf" + rows(e, tmp)[0].path_or_fileobj),
        "content: .*not JSON",
    ),
    "a list": (lambda e, tmp: _content(e, tmp, b"[]"), "content: "),
    "an empty file": (lambda e, tmp: _content(e, tmp, b""), "content: .*not JSON"),
    "a field that nobody knows": (
        _said('"track":', '"__proto__": {}, "track":'),
        "content: .*__proto__ is not a field",
    ),
    "a schema to come": (_said('"schema_version": "2.0"', '"schema_version": "9.0"'), "content: .*newer package"),
    "a word without end": (_said('"lite"', f'"{"x" * 10_000}"'), "content: .*track"),
    "text that turns around": (_said('"family": null', '"family": "\u202exim"'), "content: .*marks of format"),
    "an escaped line": (_said('"family": null', r'"family": "a\u000ab"'), "content: .*control characters"),
    "half a character": (_said('"family": null', r'"family": "\ud800"'), "content: "),
    "a family in another alphabet": (_said('"family": null', '"family": "mixеd"'), "can be ranked: its family"),
    "a character that nobody sees": (_said('"family": null', '"family": "mixed\u200b"'), "content: .*marks of format"),
    "an adaptation in another alphabet": (
        lambda e, tmp: rows(changed(e, method="symmеtric", division="open"), tmp),
        "can be ranked: its method 'symm.u0435tric' should have ASCII",
    ),
    "an adaptation that looks like the package's": (
        lambda e, tmp: rows(changed(e, method="symmetrlc", division="open"), tmp),
        "can be ranked: its method 'symmetrlc' can be taken for this package's 'symmetric'",
    ),
    **{
        f"an adaptation that is written {written!r}": (
            lambda e, tmp, written=written: rows(changed(e, method=written, division="open"), tmp),
            words,
        )
        for written, words in {
            "v1.": "can be taken for this package's 'v1'",
            "v 1": "can be taken for this package's 'v1'",
            "vl": "can be taken for this package's 'v1'",
            "PAPER": "can be taken for this package's 'paper'",
            "c1osed": "can be taken for this package's 'closed'",
            "symmetric.": "can be taken for this package's 'symmetric'",
            "sym  metric": "can be taken for this package's 'symmetric'",
            "l2sp": "can be taken for this package's 'l2-sp'",
            "5ymmetric": "can be taken for this package's 'symmetric'",
            "symmetr!c": "should have letters and digits of ASCII",
            "v1, closed division": "should have letters and digits of ASCII",
            "--": "should have letters and digits of ASCII",
            "symmetric": "is this package's, whose fingerprint is .{12}…: it has no fingerprint",
        }.items()
    },
    "an organisation in other letters": (
        lambda e, tmp: rows(modelled(e, model_id="BOB/solver"), tmp),
        "organisation: BOB is somebody else's",
    ),
    "two models that differ in case alone": (
        lambda e, tmp: _twins(e, tmp, "bob/solver", "bob/Solver"),
        "name and place: .*differ in upper and lower case alone",
    ),
    "two models that look alike": (
        lambda e, tmp: _twins(e, tmp, "bob/solver-1", "bob/solver-l"),
        "name and place: .*look alike",
    ),
    "letters of double width in the path": (_elsewhere("results/ｂｏｂ/solver/row.json"), "changes 'results/.uff42"),
    "letters with loose accents in the path": (_elsewhere("results/bob/solve\u0301r/row.json"), "changes 'results/bob"),
    "a character in the path that nobody sees": (
        _elsewhere("results/bob/sol\u200bver/row.json"),
        "changes 'results/bob",
    ),
    "a folder named as a row": (_elsewhere("results/bob/solver/row.json/row.json"), "changes 'results/bob/solver/row"),
    "a hidden file of git": (_elsewhere("results/bob/.git/config"), "changes 'results/bob/.git/config'"),
    "10,000 files": (
        lambda _e, _tmp: {f"results/bob/s/{i}.json": b"{}" for i in range(10_000)},
        "has 10,000 files: a submission has at most 2,000",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_is_refused_with_its_reason_and_nothing_comes_of_it(kind, board, look, act, hub, tmp_path, row):
    make, words = BAD[kind]
    made = make(row, tmp_path)
    number = pushed(hub, made) if isinstance(made, dict) else propose(hub, made)
    (report,) = look().reports
    assert report.verdict == "refused"
    why = report.refusal or next(each.refusal for each in report.rows if each.refusal)
    assert re.search(words, why)
    (decision,) = act()
    assert (decision.done, decision.problem) == (("commented",), "")
    assert (files_of(board), status_of(board, number)) == (set(), "open")
    assert [who for who, _ in comments_on(board, number)] == ["alice"]
    assert fetch(BOARD, tmp_path / "fetched", token=False, endpoint=hub.url).joinpath("results").exists()
    assert list((tmp_path / "fetched").rglob("*.json")) == []


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("falsify", "words"),
    [
        (improved, "instead of"),
        (lambda e: modelled(e, weights_sha256="ab" * 32), r"has other weights \(SHA-256\)"),
        (lambda e: improved(modelled(e, fingerprint="ab" * 32)), "has other configuration and weights"),
    ],
    ids=["scores in both files", "other weights", "both"],
)
def test_what_the_files_cannot_tell_is_found_by_running_the_weights(
    falsify, words, board, look, act, hub, tmp_path, row, weights_of, model_folder
):
    false = falsify(modelled(row, weights_at=weights_of(model_folder)))
    number = propose(hub, rows(false, tmp_path))
    assert look().reports[0].verdict == "passed"  # the files agree with each other
    (report,) = look(Depth(recompute=True)).reports
    assert report.verdict == "refused"
    assert re.search(f"recomputed: .*{words}", report.rows[0].refusal)
    act()
    assert (files_of(board), status_of(board, number)) == (set(), "open")
    assert "recomputed: " in comments_on(board, number)[0][1]


@pytest.mark.usefixtures("board", "here")
def test_samples_swapped_between_two_models_are_found(look, hub, tmp_path, row, other, weights_of, model_folder):
    swapped = _parquet_of(row, other, tmp_path) + _parquet_of(other, row, tmp_path)
    propose(hub, swapped)
    assert [each.refusal.partition(":")[0] for each in look().reports[0].rows] == ["content", "content"]
    model = row.result.model.model_copy(update={"weights_at": weights_of(model_folder)})
    propose(
        hub, rows(changed(other, model=model), tmp_path)
    )  # consistent: the other one's scores under this one's name
    assert look().reports[1].verdict == "passed"
    assert re.search("recomputed: .*instead of", look(Depth(recompute=True)).reports[1].rows[0].refusal)


def test_scores_and_names_of_others_are_taken_on_the_leaderboard_and_in_requests_that_passed(
    board, look, act, hub, tmp_path, row
):
    hub.add_user("carol", token=CAROL)
    copied = modelled(row, model_id="carol/mine", weights_sha256="ab" * 32, fingerprint="cd" * 32)
    propose(hub, rows(row, tmp_path))
    propose(hub, rows(copied, tmp_path), token=CAROL)
    first, second = look().reports
    assert first.verdict == "passed"
    assert "are, to the last digit, those of results/bob/fno-tiny/" in second.rows[0].refusal
    act()
    assert status_of(board, 1) == "merged"
    (again,) = look(again=True).reports  # the first one's row is on the leaderboard by now
    assert again.rows[0].refusal == second.rows[0].refusal
    hub.add_user("b0b", token=LOOKALIKE)
    propose(hub, rows(improved(modelled(row, model_id="b0b/x")), tmp_path), token=LOOKALIKE)
    assert "b0b and bob look alike" in look().reports[1].rows[0].refusal


@pytest.mark.usefixtures("here", "board")
def test_other_scores_of_a_model_whose_scores_were_reproduced_are_refused_even_if_its_weights_are_not_named(
    look, act, hub, tmp_path, row, weights_of, model_folder
):
    propose(hub, rows(modelled(row, weights_at=weights_of(model_folder)), tmp_path))
    propose(hub, rows(improved(modelled(row, model_id="bob/better")), tmp_path))
    propose(hub, rows(modelled(row, model_id="bob/again"), tmp_path))
    words = "its model is, by its fingerprint, that of results/bob/fno-tiny/.* was reproduced and not"
    for _ in range(2):  # with the true row in an open request, then on the leaderboard
        *_, better, again = look(Depth(recompute=True), again=True).reports
        assert re.search(f"samples: {words}", better.rows[0].refusal)
        assert again.verdict == "passed"
        act(post=False)
        propose(hub, rows(modelled(row, model_id="bob/once-more"), tmp_path))


@pytest.mark.parametrize(
    ("name", "there", "alike"),
    [
        (("Acme", "x"), ("acme", "y"), True),
        (("acme-1ab", "x"), ("acme-lab", "y"), True),
        (("acme_lab", "x"), ("acme.lab", "y"), True),
        (("modem", "x"), ("modern", "y"), True),
        (("acme", "net-O"), ("acme", "net-0"), True),
        (("pdebench.fm", "x"), ("acme", "y"), True),
        (("acme", "fno-1m"), ("acme", "fno-16m"), False),
        (("acme", "x"), ("acme", "y"), False),
        (("pde-lab", "x"), ("pdelab", "y"), False),
    ],
)
def test_names_that_can_be_taken_for_others_are_refused(name, there, alike):
    spelled = Spellings([there])
    if alike:
        with pytest.raises(UsageError, match=r"look alike|upper and lower case"):
            spelled.check(name)
    else:
        spelled.check(name)


@pytest.mark.usefixtures("here")
def test_what_passed_is_merged_once_and_its_record_written_once_whatever_answer_is_lost(
    board, look, act, hub, tmp_path, row, weights_of, model_folder, reports
):
    sent = modelled(row, weights_at=weights_of(model_folder))
    number = propose(hub, rows(sent, tmp_path))
    (report,) = look(Depth(recompute=True)).reports
    assert (report.verdict, len(report.records)) == ("passed", 1)
    for path in ("/comment", "/merge", "/commit/main"):
        hub.fail_next(method="POST", path_contains=path, drop="after")
    hub.forget_requests()
    (decision,) = act()
    assert (decision.done, decision.problem) == (("commented", "merged", "records written"), "")
    assert hub.faults.pending == 0
    place = row_path(sent.result)
    record = f"verified/{Path(*place.parts[1:]).as_posix()}"
    assert files_of(board) == {place.as_posix(), samples_path(place).as_posix(), record}
    assert len(comments_on(board, number)) == 1
    titles = [commit.title for commit in board.list_repo_commits(BOARD, repo_type="dataset")]
    assert titles == ["Records of verification of #1", "Rows (#1)", "initial commit"]
    assert hub.requests_to("/resolve/") == []  # nothing of a submission was read
    assert act() == []
    assert (reports / "finished" / "pull-1.json").exists()


@pytest.mark.usefixtures("here")
def test_killed_between_merge_and_records_the_next_run_completes(
    board, look, act, hub, tmp_path, row, weights_of, model_folder
):
    propose(hub, rows(modelled(row, weights_at=weights_of(model_folder)), tmp_path))
    look(Depth(recompute=True))
    hub.fail_next(method="POST", path_contains="/commit/main", status=403)
    (decision,) = act()
    assert decision.done == ("commented", "merged")
    assert "403" in decision.problem
    assert look(Depth(recompute=True)).reports == ()  # it is not open any more
    (decision,) = act()
    assert (decision.done, decision.problem) == (("records written",), "")
    assert sum(path.startswith("verified/") for path in files_of(board)) == 1
    assert len(comments_on(board, 1)) == 1


def test_a_request_that_has_moved_on_is_left_alone(board, look, act, hub, tmp_path, row):
    number = propose(hub, rows(row, tmp_path))
    look()
    bob = HfApi(endpoint=hub.url, token=BOB)
    more = rows(improved(modelled(row, model_id="bob/better")), tmp_path)
    bob.create_commit(BOARD, more, commit_message="More", repo_type="dataset", revision=f"refs/pr/{number}")
    (decision,) = act()
    assert decision.done == ()
    assert "was verified: review it again" in decision.problem
    assert (files_of(board), comments_on(board, number)) == (set(), [])
    assert main(["leaderboard", "review", BOARD, "--out", "x", "--post", "--recompute"]) == 2
    assert look().verified == {number}


def in_between(monkeypatch, happens):
    """Let something happen between the last look at a request and its merge, the first time."""
    merge, happened = decisions.merge, []

    def late(repository, request):
        if not happened:
            happened.append(request)
            happens(request)
        merge(repository, request)

    monkeypatch.setattr(decisions, "merge", late)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("there", [False, True], ids=["a new row", "a row that is there"])
def test_what_is_pushed_at_the_last_moment_is_taken_back_and_leaves_no_record(
    there, board, look, act, hub, tmp_path, row, other, monkeypatch, weights_of, model_folder, reports
):
    sent = modelled(row, weights_at=weights_of(model_folder))
    if there:
        propose(hub, rows(other, tmp_path))
        look()
        act()
    place = row_path(other.result).as_posix()
    before = {path: board.hf_hub_download(BOARD, path, repo_type="dataset") for path in files_of(board)}
    before = {path: Path(file).read_bytes() for path, file in before.items()}
    number = propose(hub, rows(sent, tmp_path))
    look(Depth(recompute=True))

    def push(request):
        bob = HfApi(endpoint=hub.url, token=BOB)
        more = [CommitOperationAdd("results/bob/late/row.json", b"{}"), CommitOperationAdd(place, b"[]")]
        bob.create_commit(BOARD, more, commit_message="More", repo_type="dataset", revision=f"refs/pr/{request}")
        mine = [CommitOperationAdd("README.md", b"mine")]  # somebody else's change of main stays
        board.create_commit(BOARD, mine, commit_message="Mine", repo_type="dataset")

    in_between(monkeypatch, push)
    (decision,) = act()
    assert decision.done == ("commented", "4 files taken back")
    assert "was changed at the moment of merging" in decision.problem
    assert files_of(board) == {*before, "README.md"}
    after = {path: board.hf_hub_download(BOARD, path, repo_type="dataset", force_download=True) for path in before}
    assert {path: Path(file).read_bytes() for path, file in after.items()} == before
    assert status_of(board, number) == "merged"
    assert act() == []
    assert (reports / "finished" / f"pull-{number}.json").exists()


@pytest.mark.usefixtures("here")
def test_two_who_act_on_reports_at_once_merge_once_and_write_records_once(
    board, look, act, hub, tmp_path, row, monkeypatch, weights_of, model_folder, reports
):
    propose(hub, rows(modelled(row, weights_at=weights_of(model_folder)), tmp_path))
    look(Depth(recompute=True))
    shutil.copytree(reports, tmp_path / "elsewhere")
    others = []

    def other_one(_request):
        others.extend(
            decide(BOARD, tmp_path / "elsewhere", post=True, merges=True, token=ALICE, endpoint=hub.url, sleep=abs)
        )

    in_between(monkeypatch, other_one)
    (decision,) = act()
    assert [(each.done, each.problem) for each in others] == [(("merged", "records written"), "")]
    assert decision.problem == ""
    titles = [commit.title for commit in board.list_repo_commits(BOARD, repo_type="dataset")]
    assert titles == ["Records of verification of #1", "Rows (#1)", "initial commit"]
    assert len(comments_on(board, 1)) == 1


def test_two_who_act_on_the_same_folder_of_reports_are_one_after_the_other(look, act, hub, tmp_path, row, board):
    propose(hub, rows(row, tmp_path))
    look()
    with folder_lock(tmp_path / "reports"), pytest.raises(PdefmError, match="another pdefm is writing to"):
        act()
    assert status_of(board, 1) == "open"


def test_a_request_that_is_closed_at_the_last_moment_is_not_merged(
    board, look, act, hub, tmp_path, row, monkeypatch, reports
):
    number = propose(hub, rows(row, tmp_path))
    look()
    bob = HfApi(endpoint=hub.url, token=BOB)
    in_between(
        monkeypatch,
        lambda request: bob.change_discussion_status(BOARD, request, new_status="closed", repo_type="dataset"),
    )
    (decision,) = act()
    assert decision.done == ("commented",)
    assert "only an open pull request can be merged" in decision.problem
    assert (files_of(board), status_of(board, number)) == (set(), "closed")
    assert act()[0].problem == ""  # nothing is left to do for it
    assert (reports / "finished" / f"pull-{number}.json").exists()


def test_a_request_that_is_closed_before_anybody_acts_is_left_alone(board, look, act, hub, tmp_path, row):
    number = propose(hub, rows(row, tmp_path))
    look()
    HfApi(endpoint=hub.url, token=BOB).change_discussion_status(BOARD, number, new_status="closed", repo_type="dataset")
    (decision,) = act()
    assert (decision.done, decision.problem) == ((), "")
    assert (files_of(board), comments_on(board, number), act()) == (set(), [], [])


def test_a_request_that_moves_on_during_its_verification_is_reported_at_the_commit_that_was_verified(
    board, look, act, hub, tmp_path, row
):
    number = propose(hub, rows(row, tmp_path))
    verified = board.list_repo_commits(BOARD, repo_type="dataset", revision=f"refs/pr/{number}")[0].commit_id

    def slow(order, _bounds):
        bob = HfApi(endpoint=hub.url, token=BOB)
        more = rows(improved(modelled(row, model_id="bob/better")), tmp_path)
        bob.create_commit(BOARD, more, commit_message="More", repo_type="dataset", revision=f"refs/pr/{number}")
        return answer(order)

    (report,) = look(apart=slow).reports
    assert (report.commit, report.verdict, len(report.rows)) == (verified, "passed", 1)
    assert "was verified: review it again" in act()[0].problem
    assert (files_of(board), status_of(board, number)) == (set(), "open")


@pytest.mark.usefixtures("here")
def test_a_request_that_somebody_merged_at_another_commit_is_left_to_him(board, look, act, hub, tmp_path, row):
    number = propose(hub, rows(row, tmp_path))
    look()
    more = [CommitOperationAdd("results/bob/late/row.json", b"{}")]
    HfApi(endpoint=hub.url, token=BOB).create_commit(
        BOARD, more, commit_message="More", repo_type="dataset", revision=f"refs/pr/{number}"
    )
    board.merge_pull_request(BOARD, number, repo_type="dataset")
    there = files_of(board)
    for _ in range(2):  # until somebody has looked at it
        (decision,) = act()
        assert decision.done == ()
        assert "was verified: look at what was merged" in decision.problem
    assert files_of(board) == there


def test_a_verdict_is_posted_once_a_commit_and_nobody_else_can_have_posted_it(board, look, act, hub, tmp_path, row):
    number = propose(hub, rows(changed(row, protocol_version=2), tmp_path))
    (report,) = look().reports
    bob = HfApi(endpoint=hub.url, token=BOB)
    bob.comment_discussion(BOARD, number, headline(report).replace("refused", "passed"), repo_type="dataset")
    bob.comment_discussion(BOARD, number, comment_of(report), repo_type="dataset")
    for done in (("commented",), ()):
        assert act()[0].done == done
    assert [who for who, _ in comments_on(board, number)] == ["bob", "bob", "alice"]


def test_a_conflicting_request_is_not_merged(board, look, act, hub, tmp_path, row):
    propose(hub, rows(row, tmp_path))
    look()
    path = row_path(row.result).as_posix()
    board.create_commit(BOARD, [CommitOperationAdd(path, b"{}")], commit_message="Mine", repo_type="dataset")
    (decision,) = act()
    assert decision.done == ("commented",)
    assert "its author has to send it anew" in decision.problem
    assert status_of(board, 1) == "open"


def test_text_of_a_submission_stays_text_in_reports_and_comments(board, look, act, hub, tmp_path, row, reports):
    hostile = "```\n<script>alert(1)</script> @alice ![x](https://example.org/x.png) \u202e"
    fences = "````` <img src=x onerror=alert(1)> [link](javascript:alert(1)) @alice"
    number = propose(hub, in_json(row, tmp_path, lambda text: text.replace('"lite"', json.dumps(hostile))))
    pushed(hub, _stored(row, tmp_path) | {f"results/{fences}.json": b""})
    look()
    act()
    for request in (number, number + 1):
        ((_, said),) = comments_on(board, request)
        first, empty, opening, *block, closing = said.split("\n")
        assert re.fullmatch("Review of commit [0-9a-f]{40}: refused", first)
        assert (empty, opening) == ("", closing + "text")
        assert set(closing) == {"`"}
        assert not any(closing in each for each in block)
        assert "\u202e" not in said
    assert "alert(1)" in said
    assert "\u202e" not in (reports / f"pull-{number}.txt").read_text()


def test_a_report_on_the_same_commit_and_of_the_same_depth_is_not_made_again(board, look, hub, tmp_path, row, reports):
    propose(hub, rows(row, tmp_path))
    assert look().verified == {1}
    assert look().verified == frozenset()
    assert look(again=True).verified == {1}
    assert look(Depth(recompute=True, shots=frozenset({0}))).verified == {1}
    assert look(Depth(recompute=True, shots=frozenset({0}))).verified == frozenset()
    (reports / "pull-1.txt").write_text("what it says")
    assert look(Depth(recompute=True, shots=frozenset({0}))).verified == {1}
    board.change_discussion_status(BOARD, 1, new_status="closed", repo_type="dataset")
    assert look().reports == ()


TAMPERED = {
    "another verdict": lambda path: path.write_text(path.read_text().replace('"passed": false', '"passed": true')),
    "half of it": lambda path: path.write_text(path.read_text()[:200]),
    "another text": lambda path: path.with_suffix(".txt").write_text("passed"),
    "no text": lambda path: path.with_suffix(".txt").unlink(),
    "a link": lambda path: (shutil.move(path, path.parents[1] / "r"), path.symlink_to(path.parents[1] / "r")),
    "another request": lambda path: [
        shutil.copy(each, each.with_name(each.name.replace("1", "2"))) for each in (path, path.with_suffix(".txt"))
    ],
    "something else": lambda path: path.with_name("run.sh").write_text("true"),
    "too large": lambda path: path.write_bytes(b" " * (2**24 + 1)),
    "deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_reports_that_are_not_as_they_were_written_are_not_acted_upon(
    kind, board, look, act, hub, tmp_path, row, reports
):
    propose(hub, rows(changed(row, protocol_version=2), tmp_path))
    look()
    TAMPERED[kind](reports / "pull-1.json")
    hub.forget_requests()
    with pytest.raises(PdefmError, match=r"pull-|no report of review"):
        act()
    assert hub.requests == []
    assert (files_of(board), comments_on(board, 1)) == (set(), [])


def test_a_report_whose_row_lies_elsewhere_is_none(board, look, hub, tmp_path, row, reports):
    """Its seal is right, as whoever knows how it is made can make one: the record would be written there."""
    from pdebench_fm.leaderboard import reports as module

    propose(hub, rows(row, tmp_path))
    look()
    sealed = json.loads((reports / "pull-1.json").read_text())
    sealed["report"]["rows"][0]["row"] = "results/../../up/row.json"
    sealed["sha256"] = module._seal(sealed["report"])
    (reports / "pull-1.json").write_text(json.dumps(sealed))
    with pytest.raises(PdefmError, match="should be the place of a row"):
        read_report(reports, 1, BOARD)
    assert len(files_of(board)) == 0


def test_one_requests_trouble_stops_no_other(board, look, act, hub, tmp_path, row):
    for name in ("one", "two", "three"):
        propose(hub, rows(improved(modelled(row, model_id=f"bob/{name}")), tmp_path))

    def apart(order, _bounds):
        if order.request == 1:
            raise TryAgainError("503")
        return answer(order)

    found = look(apart=apart)
    assert (found.trouble, found.verified) == ({1: "503"}, {2, 3})
    board.change_discussion_status(BOARD, 2, new_status="closed", repo_type="dataset")
    assert [(each.report.request, each.done) for each in act()] == [(2, ()), (3, ("commented", "merged"))]
    assert status_of(board, 1) == "open"


@pytest.mark.usefixtures("board")
def test_ten_thousand_requests_are_paged_and_as_many_verified_as_were_asked_for(look, hub, monkeypatch, tmp_path, row):
    from hub_server import pulls
    from hub_server.store import Discussion, now

    monkeypatch.setattr(pulls, "_PAGE", 1000)
    propose(hub, rows(row, tmp_path))
    repo = hub.context.store.get("datasets", *BOARD.split("/"))
    state = repo.state
    (first,), head = state.discussions, state.refs["refs/pr/1"]
    more = [Discussion(n, "Rows", "mallory", now(), "open", True, first.base) for n in range(2, 10_001)]
    refs = state.refs | {f"refs/pr/{each.num}": head for each in more}
    repo.update(discussions=(*more[:1], first, *more[1:]), refs=refs)
    looked = []

    def apart(order, _bounds):
        looked.append(order.request)
        raise TryAgainError("503")

    found = look(at_most=3, apart=apart)
    assert looked == list(found.trouble) == [1, 2, 3]
    assert found.left == 9997
    assert len(hub.requests_to("/discussions?", "GET")) == 10


def test_everybodys_oldest_request_comes_first():
    requests = [OpenRequest(n, who, "0" * 40) for n, who in ((1, "m"), (2, "m"), (3, "m"), (4, "bob"), (5, "m"))]
    assert [each.number for each in in_turn(requests)] == [1, 4, 2, 3, 5]


def test_a_process_for_strangers_files_is_given_no_secret(tmp_path):
    given = {**dict.fromkeys(SECRETS, "secret"), "PATH": "/bin", "PDEFM_PLUGINS": "mine.py", "HF_HOME": "/home/alice"}
    found = scrubbed(given, tmp_path, "http://127.0.0.1:1")
    assert "secret" not in found.values()
    assert (found["PATH"], found["HF_ENDPOINT"]) == ("/bin", "http://127.0.0.1:1")
    assert "PDEFM_PLUGINS" not in found
    for name in ("HOME", "HF_HOME", "TMPDIR", "PDEFM_CACHE"):
        assert Path(found[name]).is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [(Bounds(seconds=0.05), "it took longer than 0.05 s"), (Bounds(memory=2**26), "memory|its process ended with")],
    ids=["time", "memory"],
)
def test_a_verification_that_takes_too_much_is_a_verdict_and_never_merged(
    bounds, words, board, hub, tmp_path, row, reports, act
):
    number = propose(hub, rows(row, tmp_path))
    (report,) = review.review(BOARD, reports, None, Extent(bounds=bounds), endpoint=hub.url).reports
    assert report.verdict == "not verified", text_of(report)
    assert re.search(words, report.failure)
    (decision,) = act()
    assert decision.done == ("commented",)
    assert comments_on(board, number)[0][1].startswith(f"Review of commit {report.commit}: could not be verified\n")
    assert (files_of(board), status_of(board, number)) == (set(), "open")


def test_a_mistake_of_ours_is_no_verdict_on_the_request(board, look, hub, tmp_path, row, monkeypatch):
    from pdebench_fm.leaderboard import apart

    propose(hub, rows(row, tmp_path))
    for error, words in ((ValueError("oops"), "ValueError: oops"), (MemoryError(), "takes more memory")):

        def fails(*_, **__):
            raise error  # noqa: B023 (called at once)

        monkeypatch.setattr(apart, "verify_request", fails)
        (report,) = look(again=True).reports
        assert (report.verdict, words in report.failure) == ("not verified", True)
    assert files_of(board) == set()


@pytest.mark.parametrize("path", ["/discussions/1", "/resolve/"], ids=["request", "files"])
def test_trouble_of_the_hub_says_nothing_of_a_request(path, hub, board, tmp_path, row, monkeypatch):
    propose(hub, rows(row, tmp_path))
    order = _order(board, hub, tmp_path)
    # the client itself waits as long as it is asked to, before it tries a file again
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda _seconds: None))
    hub.fail_next(path_contains=path, status=503, times=1000, retry_after=1000)
    with pytest.raises(TryAgainError, match="503"):
        answer(order)


def _order(api, hub, tmp_path):
    from pdebench_fm.leaderboard.reports import Asked

    commit = api.repo_info(BOARD, repo_type="dataset", revision="refs/pr/1").sha
    return Order(
        leaderboard=BOARD,
        request=1,
        commit=commit,
        asked=Asked(),
        private_seed=None,
        main=str(tmp_path),
        claims=(),
        endpoint=hub.url,
        memory=2**34,
        report="",
    )


def test_what_is_no_leaderboard_or_no_reports_is_said(tmp_path, monkeypatch, capsys, hub, board, here):  # noqa: ARG001
    monkeypatch.chdir(tmp_path)
    for words, code, said in (
        (["leaderboard", "--out", "r"], 2, "leaderboard is no repository on the Hub: give ORG/REPO"),
        (["pde-lab/none", "--out", "r"], 1, "the Hub has no pde-lab/none"),
        ([BOARD, "--out", "r", "--post"], 2, "no folder of reports at r: review first"),
        ([BOARD, "--out", "r", "--merge", "--again"], 2, "act on reports, and verify nothing"),
        ([BOARD, "--out", "r", "--private-seed", "0"], 2, "a private seed is any whole number but 0"),
        ([BOARD, "--out", "r", "--shots", "-8"], 2, "numbers of shots are 0 or more"),
        ([BOARD, "--out", "r", "--at-most", "0"], 2, "--at-most"),
    ):
        assert main(["leaderboard", "review", *words]) == code
        assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
    assert main(["leaderboard", "build", "--from", "pde-lab/none", "--out", "site"]) == 2
    assert "the Hub has no dataset pde-lab/none" in capsys.readouterr().err
    assert main(["leaderboard", "review", BOARD, "--out", "r"]) == 0  # there are no requests
    assert main(["leaderboard", "review", BOARD, "--out", "r", "--post", "--merge"]) == 0


def test_a_report_says_what_was_found(board, look, hub, tmp_path, row, reports):  # noqa: ARG001
    propose(hub, rows(row, tmp_path))
    (report,) = look(Depth(recompute=True)).reports
    text = (reports / "pull-1.txt").read_text()
    assert text == text_of(report)
    assert text.startswith(f"{BOARD}#1\nReview of commit {report.commit}: passed\n")
    assert "not run: it does not say where its weights are" in text
    assert read_report(reports, 1, BOARD) == report
    assert place_of(reports, 1).exists()


def test_the_cron_script_has_the_token_in_its_second_half_alone(board, hub, tmp_path, row):
    propose(hub, rows(row, tmp_path))
    propose(hub, [CommitOperationAdd("README.md", b"mine")])
    script = ROOT / "scripts" / "review_leaderboard.sh"
    subprocess.run(["bash", "-n", script], check=True)
    (tmp_path / "token").write_text(ALICE + "\n")
    (tmp_path / "home" / "huggingface").mkdir(parents=True)
    (tmp_path / "home" / "huggingface" / "token").write_text(ALICE)  # as `hf auth login` keeps it
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pdefm").write_text('#!/bin/sh\nexec python -m pdebench_fm "$@"\n')
    (tmp_path / "bin" / "pdefm").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home" / "huggingface"),
        "HF_TOKEN": ALICE,
        "PDEFM_REVIEW_TOKEN_FILE": str(tmp_path / "token"),
    }
    hub.forget_requests()
    done = subprocess.run(
        ["bash", script, BOARD, tmp_path / "reports"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (status_of(board, 1), status_of(board, 2)) == ("merged", "open")
    users = [request.user for request in hub.requests]
    reading = [i for i, request in enumerate(hub.requests) if "/resolve/" in request.path]
    assert reading
    assert set(users[: max(reading) + 1]) == {None}
    assert "alice" in users[max(reading) :]


def test_the_workflow_has_the_token_in_its_second_job_alone():
    text = (ROOT / ".github" / "workflows" / "leaderboard-review.yml").read_text()
    workflow = yaml.safe_load(text)
    verify, acting = workflow["jobs"]["verify"], workflow["jobs"]["decide"]
    assert (workflow["permissions"], acting["needs"]) == ({}, "verify")
    for job in (verify, acting):
        assert job["permissions"] == {"contents": "read"}
    said = json.dumps([{name: part for name, part in workflow.items() if name != "jobs"}, verify]).lower()
    for word in ("${{ secrets", "hf_token", "environment", "write", "inherit"):
        assert word not in said
    assert "secrets.LEADERBOARD_TOKEN" in json.dumps(acting)
    steps = {name: [each.get("run", "") for each in job["steps"]] for name, job in workflow["jobs"].items()}
    assert not any("--post" in each or "--merge" in each for each in steps["verify"])
    commands = [each for each in steps["decide"] if "pdefm" in each]
    assert len(commands) == 1
    assert "--post --merge" in commands[0]
    assert [step["env"] for step in acting["steps"] if "env" in step] == [
        {"HF_TOKEN": "${{ secrets.LEADERBOARD_TOKEN }}"}
    ]
    handed = [each["with"] for job in (verify, acting) for each in job["steps"] if "artifact" in each.get("uses", "")]
    assert [(each["name"], each["path"]) for each in handed] == [("reports", "reports")] * 2
