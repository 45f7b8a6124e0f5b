"""Verification: true rows pass, and every false or altered one is refused with its reason; records bind to digests."""

import json
import re
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from factories import make_result, make_run
from falsified import changed, improved, modelled, put, with_scores

from pdebench_fm.cli import main
from pdebench_fm.cli.console import console
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation import scoring
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.leaderboard import recompute, verification
from pdebench_fm.leaderboard.checks import check_pinned, check_standard
from pdebench_fm.leaderboard.recompute import gap_between
from pdebench_fm.leaderboard.records import (
    BADGES,
    SAMPLING_LIMIT,
    Rerun,
    badge_of,
    private_of,
    read_record,
    record_path,
    write_record,
)
from pdebench_fm.leaderboard.site import build_site
from pdebench_fm.leaderboard.store import load
from pdebench_fm.leaderboard.submission import Submitter, named
from pdebench_fm.leaderboard.verification import Depth, verify
from pdebench_fm.models import load_model
from pdebench_fm.models.baselines import ExactSolver
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.sources import source_in
from pdebench_fm.protocol.methods import OWN_METHODS
from pdebench_fm.protocol.task import EvaluationTask, load_task
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.samples import by_cell, samples_path

TASK = "poisson-ood/hard"
WEIGHTS = "acme/solver@" + "0123456789" * 4


@pytest.fixture(scope="module")
def scored(model_folder):
    """A small model of `acme`, zero-shot on the standard rows of a task."""
    found = evaluate(load_model(model_folder), TASK, track="lite", device="cpu")
    return named(found, Submitter("acme", "acme/solver", weights_at=WEIGHTS))


@pytest.fixture(scope="module")
def shipped():
    """A baseline of the package."""
    return evaluate("zero", TASK, track="lite", device="cpu")


@pytest.fixture
def weights(model_folder, monkeypatch):
    """Let the Hub have the small model where the row says that it is."""

    def on_hub(name, commit, token):
        assert (f"{name}@{commit}", token) == (WEIGHTS, False)
        return source_in(model_folder, name, commit)

    monkeypatch.setattr(recompute, "source_on_hub", on_hub)


def board_of(tmp_path, *evaluations):
    for evaluation in evaluations:
        put(evaluation, tmp_path / "board" / row_path(evaluation.result))
    return tmp_path / "board"


def refusal(path, **options):
    """What is wrong with the only row that something is wrong with."""
    (row,) = verify([str(path)], **options).refused
    return row.refusal


def test_true_rows_pass_and_text_and_json_say_so(tmp_path, scored, shipped, capsys):
    board = board_of(tmp_path, scored, shipped)
    assert main(["leaderboard", "verify", str(board)]) == 0
    assert capsys.readouterr().out.count("passed") == 2
    assert main(["leaderboard", "verify", "--json", str(board / row_path(scored.result))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert [each["check"] for each in found["rows"][0]["findings"]] == [
        "content",
        "name and place",
        "can be ranked",
        "pinned",
        "standard rows",
        "samples",
    ]
    assert not (board / "verified").exists()


@pytest.mark.parametrize("width", [40, 80])
def test_nothing_breaks_a_path_or_a_reason_in_a_narrow_terminal(width, tmp_path, scored, capsys, monkeypatch):
    monkeypatch.setattr(console, "_width", width)
    monkeypatch.chdir(tmp_path)
    false = changed(scored, protocol_version=2)
    board_of(tmp_path, scored, false)
    assert main(["leaderboard", "verify", "board"]) == 1
    lines = capsys.readouterr().out.splitlines()
    passed = lines.index(f"passed {row_path(scored.result).as_posix()}")
    refused = lines.index(f"REFUSED {row_path(false.result).as_posix()}")
    assert lines[passed + 1] == "    content, name and place, can be ranked, pinned, standard rows, samples"
    assert lines[refused + 1] == "    pinned: protocol 2 is not known here: this package has 1"


def _alone_in_json(path):
    text = path.read_text()
    score = read_evaluation(path).result.cells[0].metrics.relative_l2_mean
    path.write_text(text.replace(repr(score), repr(0.9 * score)))


def _alone_in_parquet(path, scored):
    put(improved(scored), path.with_name("other.json"))
    samples_path(path.with_name("other.json")).rename(samples_path(path))
    path.with_name("other.json").unlink()


def _of_another_model(path, shipped):
    put(shipped, path.with_name("other.json"))
    samples_path(path.with_name("other.json")).rename(samples_path(path))
    path.with_name("other.json").unlink()


ALTERED = {
    "a score improved in the JSON alone": (lambda path, *_: _alone_in_json(path), "content: .*is not a valid result"),
    "in the Parquet alone": (lambda path, scored, _: _alone_in_parquet(path, scored), "content: .*does not hold the"),
    "samples of another model": (lambda path, _, shipped: _of_another_model(path, shipped), "content: .*does not hold"),
    "no samples": (lambda path, *_: samples_path(path).unlink(), "content: no per-sample scores"),
    "no JSON": (lambda path, *_: path.write_text("{" * 9), "content: .*is not a valid result: not JSON"),
    "deep JSON": (lambda path, *_: path.write_text("[" * 100_000), "content: .*is not a valid result"),
    "a link": (
        lambda path, *_: (shutil.move(path, path.with_suffix(".x")), path.symlink_to(path.with_suffix(".x"))),
        "content: .*is a link",
    ),
}


@pytest.mark.parametrize("kind", ALTERED)
def test_an_altered_file_is_refused(kind, tmp_path, scored, shipped, capsys):
    change, words = ALTERED[kind]
    board = board_of(tmp_path, scored)
    (path,) = board.rglob("*.json")
    change(path, scored, shipped)
    assert re.match(words, refusal(board, depth=Depth(recompute=True)))
    assert main(["leaderboard", "verify", str(board)]) == 1
    assert "1 of 1 rows are refused; the first: results/acme/solver/" in capsys.readouterr().err
    assert not (board / "verified").exists()


def _swap(values, one=0, other=1):
    values = values.copy()
    values[[one, other]] = values[[other, one]]
    return values


FALSE = {
    "bands that don't add up": (
        lambda e: with_scores(e, lambda name, values: 0.5 * values if name == "band_high" else values),
        "samples: the bands of row 0 do not add up to its error",
    ),
    "an error below its bands": (
        lambda e: with_scores(e, lambda name, values: 0.9 * values if name == "relative_l2" else values),
        "samples: the bands of row 0",
    ),
    "parameters of other rows": (
        lambda e: with_scores(e, lambda name, values: _swap(values) if name == "parameter" else values),
        "samples: the parameter of row 0 is",
    ),
    "other rows": (
        lambda e: changed(e, dataset=e.result.dataset.model_copy(update={"recipe_digest": "ab" * 32})),
        r"standard rows: it was scored on other rows \(abababababab…\)",
    ),
    "private rows": (
        lambda e: changed(
            e, dataset=e.result.dataset.model_copy(update={"recipe_digest": "ab" * 32, "sampling_seed": 7})
        ),
        "standard rows: it was scored on other rows",
    ),
    "another protocol": (lambda e: changed(e, protocol_version=2), "pinned: protocol 2 is not known here"),
    "another resolution": (lambda e: changed(e, resolution=32), "pinned: resolution is 32"),
    "validation rows": (
        lambda e: changed(e, method="paper", division="unranked"),
        "can be ranked: its models were adapted by the recipe 'paper'",
    ),
    "a revision that can be moved": (lambda e: modelled(e, revision="v1.0.0"), r"pinned: its revision 'v1\.0\.0' can"),
    "the package's name": (
        lambda e: modelled(e, model_id="fno-mixed-64k", revision="package"),
        "name and place: fno-mixed-64k is under the name of pdebench-fm and is no model of this package",
    ),
    "the project's organisation": (
        lambda e: modelled(e, model_id="pdebench-fm/fno-mixed-1m"),
        "name and place: pdebench-fm/fno-mixed-1m is under the name of pdebench-fm",
    ),
}


@pytest.mark.parametrize("kind", FALSE)
def test_a_false_row_is_refused_by_cheap_checks(kind, tmp_path, scored):
    change, words = FALSE[kind]
    assert re.match(words, refusal(board_of(tmp_path, change(scored))))


@pytest.mark.parametrize("seeds", [(5,), (0, 2), (1, 2, 3), (0, 1, 2**53 - 1)])
def test_seeds_that_were_chosen_among_many_are_refused(seeds):
    """Nor does a verifier then run all the seeds below an enormous one."""
    made = make_result(runs=[make_run((0.1,) * len(seeds))])
    check_standard(made)
    (run,) = made.runs
    with pytest.raises(PdefmError, match=r"the seeds of pretrained, 8 shots are .* without a gap"):
        check_standard(made.model_copy(update={"runs": (run.model_copy(update={"seeds": seeds}),)}))


def test_support_sets_of_another_train_split_are_refused():
    made = make_result(runs=[make_run((0.1,), shots=8)])
    other = made.model_copy(update={"dataset": made.dataset.model_copy(update={"train_rows": 100})})
    with pytest.raises(PdefmError, match="its support sets are from a train split of 100 rows: the standard one has"):
        check_standard(other)


def test_seeds_that_failed_leave_no_gap():
    failed = {"start": "pretrained", "shots": 8, "seed": 1, "reason": "diverged"}
    check_standard(make_result(runs=[make_run((0.1,))], failures=[failed]))
    with pytest.raises(PdefmError, match="are 0, 2:"):
        check_standard(make_result(runs=[make_run((0.1,))], failures=[failed | {"seed": 2}]))


def test_a_date_to_come_and_a_recipe_that_is_not_known_are_refused():
    with pytest.raises(PdefmError, match="it is dated 9999-12-31, which is still to come"):
        check_pinned(make_result(date=datetime(9999, 12, 31, tzinfo=UTC)))
    with pytest.raises(PdefmError, match="the recipe 'v7' is not known here: this package has 'v1'"):
        check_pinned(make_result(method="v7"))


def test_a_row_elsewhere_than_its_content_says_is_refused(tmp_path, scored):
    board = board_of(tmp_path, scored)
    (path,) = board.rglob("*.json")
    (board / "results" / "bob").mkdir()
    shutil.move(path.parent, board / "results" / "bob" / "solver")
    assert "is misplaced: by its content it belongs at results/acme/solver/" in refusal(board)


def test_names_that_differ_in_case_alone_and_scores_of_other_weights_are_refused(tmp_path, scored):
    board = board_of(tmp_path, scored, modelled(scored, model_id="acme/Solver"))
    assert "differ in upper and lower case alone" in refusal(board)
    shutil.rmtree(board)
    board = board_of(tmp_path, scored, modelled(scored, model_id="bob/mine", weights_sha256="ab" * 32))
    assert "are, to the last digit, those of results/acme/solver" in refusal(board)


def test_of_two_rows_with_the_same_scores_the_copy_is_refused_whatever_its_name(tmp_path, shipped):
    def verdicts(*evaluations):
        found = verify([str(board_of(tmp_path, *evaluations))])
        shutil.rmtree(tmp_path / "board")
        return {row.row.split("/")[1]: row.refusal for row in found.rows}

    ours = evaluate("fno-mixed-64k", TASK, track="lite", device="cpu")
    copy = modelled(ours, model_id="a-copy/solver", revision=None, weights_sha256="ab" * 32)
    found = verdicts(ours, copy)
    assert found["pdebench-fm"] == ""
    assert re.search("those of results/pdebench-fm/fno-mixed-64k/.*, which has other weights$", found["a-copy"])

    nameless = modelled(shipped, model_id="a-copy/solver", revision=None, fingerprint=None)  # a function
    found = verdicts(shipped, nameless)
    assert found["pdebench-fm"] == ""
    assert found["a-copy"].endswith("which is another model")
    other = modelled(nameless, model_id="b-copy/solver")
    found = verdicts(nameless, other)
    assert found["a-copy"] == ""
    assert found["b-copy"].endswith("which is another model")


@pytest.mark.parametrize("version", ["1.9.0", "0.9.0", "2.0.0", "1.1.0"])
def test_data_that_this_package_does_not_make_are_refused(version):
    made = make_result()
    stated = made.model_copy(update={"dataset": made.dataset.model_copy(update={"version": version})})
    with pytest.raises(PdefmError, match=rf"data of version {version} are not known here: this package makes 1\.0\.x"):
        check_pinned(stated)


def test_new_cards_for_the_same_data_make_no_other_rows():
    made = make_result()
    check_pinned(made.model_copy(update={"dataset": made.dataset.model_copy(update={"version": "1.0.7"})}))


def test_a_row_is_reproduced_and_badges_follow_from_the_record_alone(tmp_path, scored, shipped, weights):  # noqa: ARG001
    board = board_of(tmp_path, scored, shipped)
    found = verify([str(board)], Depth(recompute=True))
    assert not found.refused
    assert sorted(found.records) == sorted(board / record_path(row_path(e.result)) for e in (scored, shipped))
    row, result = row_path(scored.result), scored.result
    record = read_record(board, row)
    (rerun,) = record.reruns
    assert (rerun.difference, rerun.mean) == (0.0, pytest.approx(result.cells[0].metrics.relative_l2_mean, rel=1e-12))
    assert badge_of(result, result.runs[0], record) == "reproduced"
    assert badge_of(result, result.runs[0], None) == "self-reported"
    better = improved(scored).result
    assert badge_of(better, better.runs[0], record) == "self-reported"  # other scores have no record
    other = modelled(scored, fingerprint="ab" * 32).result
    assert badge_of(other, other.runs[0], record) == "self-reported"
    site = build_site(board, tmp_path / "site").parent
    made = json.loads((site / "leaderboard.json").read_text())
    assert [BADGES[badge] for badge in made["scores"]["badge"]] == ["reproduced", "reproduced"]
    told = {"pretrained, 0 shots: reproduced", "Code", "not stated", "Weights at", WEIGHTS}
    assert told <= set(made["facts"]["strings"])
    (board / record_path(row)).write_text(record.model_dump_json().replace("acme/solver", "acme/other"))
    with pytest.raises(PdefmError, match="is misplaced: it is the record of results/acme/other"):
        read_record(board, row)
    notes = []
    assert len(load(board, notes.append)) == 2  # records are no rows, and a damaged one costs a badge alone
    assert [note.path for note in notes] == [record_path(row)]
    assert [entry.record is None for entry in load(board, notes.append)] == [True, False]


@pytest.mark.parametrize("falsified", [improved, lambda e: modelled(e, weights_sha256="ab" * 32, fingerprint=None)])
def test_scores_that_the_weights_do_not_give_are_refused_and_leave_no_record(falsified, tmp_path, scored, weights):  # noqa: ARG001
    board = board_of(tmp_path, falsified(scored))
    assert not verify([str(board)]).refused  # nothing tells without running it
    words = refusal(board, depth=Depth(recompute=True))
    assert words.startswith("recomputed: ")
    assert "instead of" in words or "has other weights (SHA-256)" in words
    assert not (board / "verified").exists()


def test_code_that_is_not_this_packages_is_never_run(tmp_path, scored, weights):  # noqa: ARG001
    for changes, words in (
        ({"weights_sha256": None, "tensors_sha256": "ab" * 32}, "none of this package's architectures"),
        ({"weights_at": None}, "does not say where its weights are"),
    ):
        board = board_of(tmp_path, modelled(scored, **changes))
        (row,) = verify([str(board)], Depth(recompute=True)).rows
        assert not row.refusal
        assert words in row.note
        shutil.rmtree(board)


def test_fresh_rows_confirm_an_honest_model(tmp_path, scored, weights):  # noqa: ARG001
    board = board_of(tmp_path, scored)
    assert not verify([str(board)], Depth(private_seed=20_261_125)).refused
    row, result = row_path(scored.result), scored.result
    record = read_record(board, row)
    assert badge_of(result, result.runs[0], record) == "reproduced on a private split"
    score = private_of(result, result.runs[0], record)
    assert score.recipe_digest == load_task(TASK, seed=20_261_125).recipe_digest("lite")
    assert score.rows == 512
    assert "20261125" not in (board / record_path(row)).read_text()


def test_rows_are_made_once_and_models_adapted_once_for_the_scores_of_evaluations_on_either(
    tmp_path,
    model_folder,
    shipped,
    weights,  # noqa: ARG001
    monkeypatch,
):
    monkeypatch.setitem(OWN_METHODS, "symmetric", OWN_METHODS["symmetric"].shortened(3))
    model, options = (
        load_model(model_folder),
        {"track": "lite", "seeds": 2, "scratch": False, "adaptation": "symmetric"},
    )
    own = named(evaluate(model, TASK, 8, **options), Submitter("acme", "acme/solver", weights_at=WEIGHTS))
    public, fresh = load_task(TASK), load_task(TASK, seed=5)
    due = evaluate(model, EvaluationTask(public.task, public.train, fresh.test), 8, **options)
    board = board_of(tmp_path, own, shipped)
    adapted, made, told = [], [], []
    adapt, make = scoring.adapted, EvaluationTask.test_batch
    monkeypatch.setattr(scoring, "adapted", lambda cell, *rest: (adapted.append(cell.shots), adapt(cell, *rest))[1])
    monkeypatch.setattr(
        EvaluationTask, "test_batch", lambda task, track: (made.append(task.test.key.seed), make(task, track))[1]
    )
    found = verify([str(board)], Depth(private_seed=5), on_row=lambda row, what: told.append((row, what)))
    assert found.refused == ()
    assert sorted(adapted) == [0, 8, 8]
    assert sorted(made) == [0, 5]
    rows = {row.row: row for row in found.rows}
    place = row_path(own.result).as_posix()
    assert [rerun.difference for rerun in rows[place].reruns] == [0.0, 0.0]
    assert [score.private_mean for score in rows[place].private] == [pytest.approx(due.runs[0].summary.mean, rel=1e-12)]
    words = [what for row, what in told if row == place]
    assert words[0] == ""
    assert words[1].startswith("pretrained, 8 shots, seed 0, 1 of 2")
    assert words[-1] == "pretrained, 8 shots, seed 1, 2 of 2, step 9 of 9"


def test_a_model_that_knows_the_public_rows_is_named(tmp_path, monkeypatch, capsys):
    """It solves what it has seen exactly, up to a tenth, and does otherwise what the honest one does not: nothing."""
    known = load_task(TASK).test_batch("lite").coefficients.numpy().tobytes()
    exact = ExactSolver()

    def memorised(source, coefficients):
        seen = torch.tensor([row.numpy().tobytes() in known for row in coefficients])
        return torch.where(seen[:, None, None], 0.9 * exact(source, coefficients), torch.zeros_like(source))

    candidate = candidate_of(memorised, "acme/solver", fingerprint="ab" * 32)
    monkeypatch.setattr(verification, "open_submitted", lambda _result: candidate)
    board = board_of(tmp_path, evaluate(candidate, TASK, track="lite"))
    assert main(["leaderboard", "verify", str(board), "--private-seed", "5"]) == 1
    assert (
        "private split: pretrained, 0 shots: contamination: it does worse on rows that nobody has seen: 1 instead "
        in (capsys.readouterr().err)
    )
    (entry,) = load(board)
    record = read_record(board, entry.path)
    assert private_of(entry.result, entry.result.runs[0], record).agreement == "contamination"
    assert badge_of(entry.result, entry.result.runs[0], record) == "reproduced"


def test_adapted_models_are_run_again_on_the_same_support_sets(tmp_path, model_folder, weights, quick_recipes):  # noqa: ARG001
    found = evaluate(load_model(model_folder), TASK, (0, 8), track="lite", device="cpu", seeds=1)
    scored = named(found, Submitter("acme", "acme/solver", weights_at=WEIGHTS))
    board = board_of(tmp_path, scored)
    (row,) = verify([str(board)], Depth(private_seed=5)).rows
    assert not row.refusal
    assert {(each.start, each.shots): each.difference for each in row.reruns} == {
        ("pretrained", 0): 0.0,
        ("pretrained", 8): 0.0,
        ("scratch", 8): 0.0,
    }
    assert [badge.partition(": ")[2] for badge in row.badges] == ["reproduced on a private split"] * 3


def on_another_device(evaluation, device, factors):
    """The evaluation with its errors times the factor of their seed, as if computed on a device."""
    seeds = iter([seed for _start, _shots, seed in by_cell(evaluation.samples)])
    factor = 1.0

    def scaled(name, values):
        nonlocal factor
        if name == "parameter":  # the first column of a cell
            factor = factors[next(seeds)]
            return values
        return factor * values

    found = with_scores(evaluation, scaled)
    there = found.result.cells[0].environment.model_copy(update={"device": device})
    return changed(found, cells=tuple(cell.model_copy(update={"environment": there}) for cell in found.result.cells))


@pytest.mark.parametrize(
    ("device", "factors", "refused"),
    [
        ("cpu", (0.9,), "seed 0: .* and may be 0.05"),
        ("NVIDIA H100 80GB HBM3", (0.9,), None),
        ("NVIDIA H100 80GB HBM3", (0.9, 1.1), None),
        ("NVIDIA H100 80GB HBM3", (0.9, 0.9), "2 seeds together: .* and may be 0.05"),
        ("NVIDIA A100", (0.8,), "seed 0: .* and may be 0.15"),
    ],
)
def test_an_adaptation_on_a_gpu_may_be_further_off_on_a_cpu(
    device,
    factors,
    refused,
    tmp_path,
    model_folder,
    weights,  # noqa: ARG001
    quick_recipes,  # noqa: ARG001
):
    found = evaluate(load_model(model_folder), TASK, 8, track="lite", device="cpu", seeds=len(factors))
    found = on_another_device(found, device, factors)
    scored = named(found, Submitter("acme", "acme/solver", weights_at=WEIGHTS))
    (row,) = verify([str(board_of(tmp_path, scored))], Depth(recompute=True)).rows
    if refused is None:
        assert not row.refusal
        assert all(each.other_device and 0.05 < each.difference < 0.15 for each in row.reruns)
    else:
        assert re.search(refused, row.refusal)


@pytest.mark.parametrize(
    ("there", "here", "allowed"),
    [
        ((0.0284, 0.0320, 0.0384), (0.0310, 0.0340, 0.0404), None),  # seeds differ by more than the devices
        ((0.0300, 0.0301, 0.0302), (0.0320, 0.0321, 0.0322), "0.05"),
        ((0.0284, 0.0320, 0.0384), (0.0350, 0.0351, 0.0352), "0.05"),  # a claim of unlike seeds widens nothing
        ((0.0300, 0.0301, 0.0302), (0.0270, 0.0273, 0.0276), "0.05"),
        ((0.0300, 0.0301), (0.0325, 0.0330), "0.05"),
        ((0.0280, 0.0320), (0.0300, 0.0340), None),
    ],
)
def test_the_seeds_of_another_device_may_be_off_together_as_far_as_new_seeds_would_be(there, here, allowed):
    result = make_result(runs=[make_run(there, "scratch", 32)])
    reruns = [
        Rerun(
            start="scratch",
            shots=32,
            seed=cell.seed,
            samples_sha256=cell.samples_sha256,
            mean=mean,
            difference=min(abs(mean / cell.metrics.relative_l2_mean - 1.0), 0.149),
            package_version="0.1.0",
            date=datetime.now(UTC),
            other_device=True,
        )
        for cell, mean in zip(result.cells, here, strict=True)
    ]
    found = verification._disagreeing(result, reruns)
    assert not found if allowed is None else f"{len(there)} seeds together" in found and f"may be {allowed}" in found


def test_records_grow_and_the_newer_of_two_is_kept(tmp_path, scored, weights):  # noqa: ARG001
    board = board_of(tmp_path, scored)
    verify([str(board)], Depth(private_seed=5))
    row = row_path(scored.result)
    before = read_record(board, row)
    verify([str(board)], Depth(recompute=True))
    after = read_record(board, row)
    assert after.private == before.private
    assert after.reruns[0].date > before.reruns[0].date
    write_record(board, before)
    assert read_record(board, row) == after


def test_honest_models_are_seldom_accused_and_a_leak_is_found():
    """10,000 honest pairs of splits with skewed errors, and as many of which the public one is 30 % too good."""
    random = np.random.default_rng(7)
    verdicts = {"agrees": 0, "contamination": 0, "disagrees": 0}
    found = 0
    for _ in range(10_000):
        public, private = random.lognormal(-2.0, 0.8, (2, 512))
        for errors, leaked in ((public, False), (0.7 * public, True)):
            gap, error = gap_between(errors, private)
            inside = abs(gap) <= SAMPLING_LIMIT * error
            if leaked:
                found += gap > 0 and not inside
            else:
                verdicts["agrees" if inside else "contamination" if gap > 0 else "disagrees"] += 1
    assert verdicts["contamination"] + verdicts["disagrees"] <= 5  # 0.6 in expectation, were the errors normal
    assert found > 9_700


def test_equal_scores_and_no_errors_at_all_have_no_gap():
    assert gap_between(np.ones(8), np.ones(8))[0] == 0.0
    assert gap_between(np.zeros(8), np.zeros(8))[0] == 0.0
    assert gap_between(np.zeros(8), np.full(8, 0.1))[0] > 0.0


def test_what_cannot_be_verified_is_a_mistake(tmp_path):
    for words, message in (
        ([], "nothing to verify"),
        ([str(tmp_path)], "no result files"),
    ):
        with pytest.raises(UsageError, match=message):
            verify(words)
    with pytest.raises(UsageError, match="any whole number but 0"):
        Depth(private_seed=0)
    assert refusal(tmp_path / "gone.json").startswith("content: no result file at")
    with pytest.raises(UsageError, match="say what models are run with"):
        Depth(shots=frozenset({8}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["acme/board"], "no file or folder 'acme/board', and a pull request is ORG/REPO#NUMBER"),
        (["acme/board#0"], "no file or folder"),
        (["acme/board#-1"], "no file or folder"),
        (["acme/board#1", "acme/board#2"], "acme/board#1 is a pull request, which is verified alone"),
        (["gone.json", "acme/board#2"], "acme/board#2 is a pull request, which is verified alone"),
    ],
)
def test_what_is_neither_a_file_nor_a_pull_request_alone_is_wrong_usage(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["leaderboard", "verify", *words]) == 2
    assert message in capsys.readouterr().err
