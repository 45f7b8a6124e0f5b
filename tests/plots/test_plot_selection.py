"""Which results a picture shows, what it leaves out, and what is refused before anything is written."""

import re
import sys
from datetime import UTC, datetime

import pytest
from factories import DIGEST, make_dataset, make_evaluation, make_model, make_result, make_run

from pdebench_fm.cli import main
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.physics import SampleKey
from pdebench_fm.plots.draw import draw
from pdebench_fm.plots.scores import read_scores
from pdebench_fm.plots.selection import Selection
from pdebench_fm.results.result import write_result


@pytest.fixture
def keep(tmp_path):
    """Write results into one folder; returns the folder."""

    def write(*results):
        folder = tmp_path / "results"
        for result in results:
            write_result(result, folder / f"{len(list(folder.glob('*')))}.json")
        return folder

    return write


def shown(scores):
    return [(score.name, score.task.name, score.start, score.shots) for score in scores.entries]


def test_runs_with_failed_seeds_are_left_out_with_a_note(keep):
    failures = tuple(
        {"start": "scratch", "shots": shots, "seed": seed, "reason": "NaN"}
        for shots, seed in ((8, 3), (32, 0), (32, 1))
    )
    folder = keep(make_result(runs=[make_run(), make_run(start="scratch")], failures=failures))
    scores = read_scores([folder], Selection())
    assert shown(scores) == [("fno-poisson-1m", "poisson/in-domain", "pretrained", 8)]
    assert scores.notes == (
        "fno-poisson-1m on poisson/in-domain, scratch, 8 shots: left out, 1 seed failed (NaN)",
        "fno-poisson-1m on poisson/in-domain, scratch, 32 shots: left out, 2 seeds failed (NaN)",
    )
    with pytest.raises(UsageError, match=r"nothing to draw: 1 left out, the first: fno-poisson-1m .* 1 seed failed"):
        read_scores([folder], Selection(shots=(8,), start="scratch"))


def test_tracks_are_never_mixed(keep, tmp_path):
    folder = keep(make_result(), make_result(track="full"))
    with pytest.raises(UsageError, match=r"several tracks, full and lite, .* choose one with --track"):
        draw([folder], "shots", tmp_path / "a.png")
    assert read_scores([folder], Selection(track="full")).about.startswith("Full track: 4096 test samples")
    with pytest.raises(UsageError, match="no results of the full track"):
        read_scores([folder / "0.json"], Selection(track="full"))


def test_a_score_on_rows_that_were_trained_on_is_no_fair_one(keep):
    seen = TrainingManifest(trained=(stream_of(SampleKey("poisson", "in-domain", "test"), range(100), 64),))
    about = read_scores([keep(make_result(model=make_model("leaky", training=seen)))], Selection()).about
    assert about.endswith(
        "No fair score: leaky on poisson/in-domain (100 of its 512 test rows were trained on or looked at)"
    )
    assert "fair" not in read_scores([keep(make_result())], Selection(models=("fno-poisson-1m",))).about


@pytest.mark.parametrize("order", [1, -1])
def test_results_of_one_model_in_several_files_are_drawn_as_one(tmp_path, order):
    parts = [
        [make_run((0.2,), shots=0), make_run((0.1, 0.12))],
        [make_run((0.1, 0.12, 0.14))],
        [make_run((0.05,), shots=32), make_run((0.3,), start="scratch")],
    ]
    for i, runs in enumerate(parts):
        on_cpu = i < 2  # what a GPU scored is in the picture too
        make_evaluation(runs=runs, date=datetime(2026, 1, 5 + order * i, tzinfo=UTC), deterministic=on_cpu).write(
            tmp_path / f"{i}" / "r.json"
        )
    whole = make_evaluation(runs=[parts[0][0], parts[1][0], *parts[2]]).result
    scores = read_scores([tmp_path], Selection())
    assert {(score.start, score.shots): score.summary for score in scores.entries} == {
        (run.start, run.shots): run.summary for run in whole.runs
    }
    assert scores.notes == ()


CONTRADICTIONS = {
    "another score": ({}, r"is newer and has another score for pretrained, 0 shots, seed 0"),
    "other support sets": ({"dataset": make_dataset(train_rows=16)}, "is newer and differs in train"),
    "another version of the data": ({"dataset": make_dataset(version="1.1.0")}, "is newer and differs in dataset"),
    "another score on a GPU": (
        {"deterministic": False},
        r"is newer and has another score for pretrained, 0 shots, seed 0",
    ),
}


@pytest.mark.parametrize("how", CONTRADICTIONS)
def test_of_two_results_of_a_model_that_contradict_each_other_the_newer_is_drawn_and_that_is_said(tmp_path, how):
    changes, words = CONTRADICTIONS[how]
    newer = make_evaluation(runs=[make_run((0.3,), shots=0)], date=datetime(2026, 3, 1, tzinfo=UTC), **changes)
    newer.write(tmp_path / "newer.json")
    make_evaluation().write(tmp_path / "older.json")
    scores = read_scores([tmp_path], Selection(shots=(0,)))
    assert [score.summary.mean for score in scores.entries] == [0.3]
    (note,) = scores.notes
    assert re.fullmatch(rf"fno-poisson-1m on poisson/in-domain: .*older\.json left out, .*newer\.json {words}", note)


def test_results_without_their_samples_cannot_be_merged_and_that_is_said(keep):
    newer = make_result(runs=[make_run((0.3,), shots=32)], date=datetime(2026, 3, 1, tzinfo=UTC))
    scores = read_scores([keep(newer, make_result())], Selection())
    assert [score.shots for score in scores.entries] == [32]
    (note,) = scores.notes
    assert "1.json left out" in note
    assert "they cannot be merged: no per-sample scores at" in note


def test_two_copies_of_one_result_are_one(keep):
    scores = read_scores([keep(make_result(), make_result())], Selection())
    assert [score.shots for score in scores.entries] == [0, 8]
    assert scores.notes == ()


def test_what_was_scored_on_other_rows_or_by_an_older_protocol_is_left_out_with_a_note(keep):
    folder = keep(
        make_result(model="a", protocol_version=2),
        make_result(model="b", protocol_version=2),
        make_result(model="c", protocol_version=2, dataset=make_dataset(recipe_digest=DIGEST)),
        make_result(model="d"),
    )
    scores = read_scores([folder], Selection(shots=(0,)))
    assert scores.names == ["a", "b"]
    assert scores.notes == (
        "d on poisson/in-domain: left out, of protocol v1, not v2",
        "c on poisson/in-domain: left out, scored on other test rows than other results",
    )


def test_the_standard_rows_are_drawn_however_many_results_have_others(keep):
    others = [make_result(model=model, dataset=make_dataset(recipe_digest=DIGEST)) for model in ("a", "b", "c")]
    assert read_scores([keep(make_result(model="d"), *others)], Selection(shots=(0,))).names == ["d"]


def test_models_of_one_name_are_told_apart(keep):
    models = [
        make_model("a", weights_sha256=digit * 64, revision=revision)
        for digit, revision in (("1", None), ("2", None), ("3", "v2"))
    ]
    folder = keep(*(make_result(model=model) for model in models), make_result(model="b", method="paper"))
    assert read_scores([folder], Selection()).names == [
        "a@local (11111111)",
        "a@local (22222222)",
        "a@v2",
        "b, method paper",
    ]


def test_results_of_one_method_are_chosen_among_several(keep, tmp_path, capsys):
    own = {"method": "symmetric", "division": "open", "method_fingerprint": DIGEST}
    folder = keep(make_result(), make_result(**own), make_result("poisson-ood/hard"))
    assert read_scores([folder], Selection(methods=("v1",))).names == ["fno-poisson-1m"]
    chosen = read_scores([folder], Selection(methods=("symmetric",), tasks=("poisson",)))
    assert chosen.names == ["fno-poisson-1m, method symmetric"]
    words = ["--kind", "shots", "--task", "poisson-ood/hard", "--method", "symmetric", "--out", str(tmp_path / "a.png")]
    assert main(["plot", str(folder), *words]) == 2
    assert "no results of poisson-ood/hard by symmetric in" in capsys.readouterr().err


def test_tasks_stand_in_the_catalogues_order_and_names_of_datasets_stand_for_all_their_regimes(keep):
    tasks = ["helmholtz-ood/mild", "poisson-ood/hard", "poisson/pretrain", "poisson-ood/mild", "poisson/in-domain"]
    folder = keep(*(make_result(task) for task in tasks))
    order = ["poisson/pretrain", "poisson/in-domain", "poisson-ood/mild", "poisson-ood/hard", "helmholtz-ood/mild"]
    assert [task.name for task in read_scores([folder], Selection()).tasks] == order
    assert [task.name for task in read_scores([folder], Selection(tasks=("poisson-ood",))).tasks] == order[2:4]


def test_errors_of_zero_and_models_without_parameters_are_left_out_with_a_note(keep, tmp_path):
    solver = make_model("solver", parameters=None, weights_sha256=None, family=None, size=None)
    folder = keep(make_result(model=solver, runs=[make_run((0.0,), shots=0), make_run()]), make_result())
    drawn = draw([folder], "sizes", tmp_path / "a.png")
    assert drawn.notes == (
        "solver on poisson/in-domain, pretrained, 0 shots: left out, its error is 0",
        "solver: left out, it has no parameters",
    )
    with pytest.raises(UsageError, match="no model here has parameters"):
        draw([folder], "sizes", tmp_path / "b.png", Selection(models=("solver",)))


MISTAKES = {
    "an unknown kind": (["--kind", "shot"], "did you mean 'shots'"),
    "an unknown suffix": (["--out", "a.jpg"], "must end in one of .png, .svg, .pdf, .html"),
    "an unknown model": (["--model", "fno-poison-1m"], "did you mean 'fno-poisson-1m'"),
    "an unknown method": (["--method", "symetric"], "unknown method 'symetric': valid names: v1"),
    "an unknown task": (["--task", "poisson-odd"], "did you mean 'poisson-ood'"),
    "a task without results": (["--task", "poisson-ood"], "no results of poisson-ood in"),
    "an unknown track": (["--track", "ful"], "did you mean 'full'"),
    "an unknown start": (["--start", "scrach"], "did you mean 'scratch'"),
    "shots that none has": (
        ["--shots", "7"],
        "no run has that start and number of shots: there are zero-shot, pretrained with 8 shots",
    ),
    "shots that are none": (["--shots", "few"], "whole numbers"),
    "a reference for a chart": (["--reference", "x"], "is for pictures of fields"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line_and_nothing_is_written(keep, tmp_path, monkeypatch, capsys, mistake):
    folder = keep(make_result())
    monkeypatch.chdir(tmp_path)
    words, expected = MISTAKES[mistake]
    assert main(["plot", str(folder), "--kind", "shots", "--out", "a.png", *words]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_folders_and_files_without_results_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no result files"):
        draw([tmp_path], "shots", tmp_path / "a.png")
    with pytest.raises(UsageError, match="no result file at"):
        draw([tmp_path / "no.json"], "shots", tmp_path / "a.png")
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PdefmError, match=r"bad\.json is not a valid result"):
        draw([tmp_path], "shots", tmp_path / "a.png")


def test_a_page_without_plotly_is_refused_before_results_are_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    monkeypatch.delitem(sys.modules, "pdebench_fm.plots.interactive", raising=False)
    with pytest.raises(UsageError, match=r"needs Plotly: pip install 'pdebench-fm\[plots\]'"):
        draw([tmp_path], "shots", tmp_path / "a.html")


def test_the_command_says_what_it_drew_and_what_it_left_out(keep, tmp_path, capsys):
    failure = {"start": "scratch", "shots": 8, "seed": 0, "reason": "a [b] reason"}
    out = tmp_path / "sub" / "a.svg"
    assert main(["plot", str(keep(make_result(failures=(failure,)))), "--kind", "shots", "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert (
        "note: fno-poisson-1m on poisson/in-domain, scratch, 8 shots: left out, 1 seed failed (a [b] reason)"
        in output.err
    )
    assert f"drew {out}" in output.out
    assert out.read_bytes().startswith(b"<?xml")


def test_of_many_files_a_bad_one_is_named_and_left_out(keep, tmp_path, capsys):
    folder = keep(make_result()).parent
    (folder / "bad\x1b[31m.json").write_text("{}")
    (folder / "gone.json").symlink_to(folder / "away")
    assert main(["plot", str(folder), "--kind", "shots", "--out", str(tmp_path / "a.svg")]) == 0
    notes = sorted(capsys.readouterr().err.splitlines())
    assert len(notes) == 2
    assert rf"{folder}/bad\x1b[31m.json is not a valid result" in notes[0]
    assert f"no result file at {folder}/gone.json" in notes[1]
    assert (
        main(["plot", str(folder / "none.json"), str(folder), "--kind", "shots", "--out", str(tmp_path / "b.svg")]) == 2
    )
    assert f"no result file at {folder / 'none.json'}" in capsys.readouterr().err


def test_a_result_of_a_task_that_nobody_knows_is_left_out(keep, tmp_path):
    folder = keep(make_result()).parent
    write_result(make_result("burgers/in-domain"), folder / "burgers.json")
    drawing = draw([folder], "shots", tmp_path / "a.svg")
    assert len(drawing.notes) == 1
    assert "burgers.json: its task burgers/in-domain is not known here" in drawing.notes[0]
    assert "PDEFM_PLUGINS=FILE.py" in drawing.notes[0]
    assert "did you mean" not in drawing.notes[0]
    with pytest.raises(UsageError, match="its task burgers/in-domain is not known here"):
        draw([folder / "burgers.json"], "shots", tmp_path / "b.svg")


def test_more_lines_than_a_picture_can_have_are_refused(keep, tmp_path):
    folder = keep(make_result()).parent
    for i in range(301):
        write_result(make_result(model=f"m{i}", runs=[make_run((0.1,))]), folder / f"m{i}.json")
    with pytest.raises(UsageError, match="302 lines are too many for one picture"):
        draw([folder], "shots", tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()


def test_models_that_differ_in_their_fingerprint_alone_are_told_apart(keep):
    same = {"weights_sha256": None, "revision": None}
    models = [make_model("mine", fingerprint=digit * 64, **same) for digit in "12"]
    folder = keep(*(make_result(model=model) for model in models), make_result(model=make_model("other", **same)))
    assert read_scores([folder], Selection()).names == ["mine [11111111]", "mine [22222222]", "other"]


def test_shots_that_were_asked_for_and_are_not_there_are_named(keep):
    predictor = make_model("zero", parameters=None)
    folder = keep(
        make_result(model="a", runs=[make_run((0.2,), shots=0), make_run(), make_run(shots=32)]),
        make_result(model="b", runs=[make_run((0.2,), shots=0), make_run()]),
        make_result(model=predictor, runs=[make_run((1.0,), shots=0)]),
    )
    notes = read_scores([folder], Selection(shots=(0, 8, 32, 128))).notes
    assert notes == ("32 shots: missing for b on poisson/in-domain", "128 shots: no result has them")
    assert read_scores([folder], Selection()).notes == ()
    assert read_scores([folder], Selection(shots=(8,), models=("a",))).notes == ()
