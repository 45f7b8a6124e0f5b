"""`pdefm leaderboard rank`: what it prints, for people and for machines, and what it refuses."""

import json

import pytest
from factories import make_model, make_result, make_run, put_on, write_made

from pdebench_fm.cli import main
from pdebench_fm.cli.console import console
from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.physics import SampleKey

POISSON = ["poisson/in-domain", "poisson-ood/mild", "poisson-ood/medium", "poisson-ood/hard"]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Two models on all tasks, one of them twice under another name, and one on Poisson's tasks alone."""
    folder = tmp_path_factory.mktemp("board")
    made = {
        "acme/good": ((0.1, 0.101, 0.099), list(TASKS)),
        "acme/bad": ((0.5, 0.505, 0.495), list(TASKS)),
        "other/good": ((0.1, 0.101, 0.099), list(TASKS)),
        "acme/few": ((0.01, 0.0101, 0.0099), POISSON),
    }
    for model, (errors, tasks) in made.items():
        for task in tasks:
            result = make_result(task, make_model(model), [make_run(errors), make_run(errors[:1], shots=0)])
            write_made(result, folder / "submitted" / model / f"{task.replace('/', '--')}.json")
    put_on([folder / "submitted"], folder / "leaderboard")
    return folder / "leaderboard"


def lines_of(output, word):
    return [line for line in output.splitlines() if word in line]


def test_the_table_shows_ranks_with_ties_and_what_is_missing(board, capsys, monkeypatch):
    monkeypatch.setattr(console, "width", 160)
    assert main(["leaderboard", "rank", str(board), "--shots", "8"]) == 0
    output = capsys.readouterr().out
    assert "Ranking (overall): 8 shots, lite track, closed division (v1), protocol v1" in " ".join(output.split())
    good, other, bad, few = (lines_of(output, name)[0] for name in ("acme/good", "other/good", "acme/bad", "acme/few"))
    assert "= 1" in good
    assert "= 1" in other
    assert " 3 " in bad
    assert "0.500" in bad
    assert "0.30" in bad  # digits
    names = ", ".join(list(TASKS)[4:7])
    assert few == f"not ranked: acme/few (pretrained): {names} and 5 more: not scored"


def test_what_one_name_stands_for_twice_is_told_apart(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console, "width", 200)
    trained = TrainingManifest(trained=(stream_of(SampleKey("poisson", "pretrain", "train"), range(9), 64),))
    models = [make_model("acme/twice", training=training) for training in (None, trained)]
    models.append(make_model("acme/once", training=trained))
    for i, model in enumerate(models):
        write_made(make_result(POISSON[0], model, [make_run((0.1,), shots=0)]), tmp_path / f"{i}.json")
        put_on([tmp_path / f"{i}.json"], tmp_path / "board")
    assert main(["leaderboard", "rank", str(tmp_path / "board"), "--task", POISSON[0]]) == 0
    output = capsys.readouterr().out
    for words in ("acme/twice (manifest none)", f"acme/twice (manifest {trained.digest[:12]})", "acme/once  "):
        assert len(lines_of(output, words)) == 1


def test_where_nobody_has_all_tasks_no_empty_table_is_shown(tmp_path, capsys):
    write_made(make_result("poisson/in-domain", "acme/few", [make_run((0.1,), shots=0)]), tmp_path / "few.json")
    put_on([tmp_path / "few.json"], tmp_path / "board")
    assert main(["leaderboard", "rank", str(tmp_path / "board")]) == 0
    captured = capsys.readouterr()
    first, second = captured.out.splitlines()
    assert first.endswith("no model has all 12 tasks")
    assert second.startswith("not ranked: acme/few (pretrained): ")
    assert "--task TASK ranks on one alone" in captured.err
    assert main(["leaderboard", "rank", str(tmp_path / "board"), "--task", "poisson/in-domain"]) == 0
    captured = capsys.readouterr()
    assert len(lines_of(captured.out, "acme/")) == 1
    assert "not ranked" not in captured.out
    assert not captured.err
    assert main(["leaderboard", "rank", str(tmp_path / "board"), "--task", "poisson-ood/mild"]) == 2
    assert "it has no scores on poisson-ood/mild" in capsys.readouterr().err


def test_a_task_that_no_model_can_be_ranked_on_is_told(tmp_path, capsys):
    write_made(make_result("poisson/in-domain", "acme/few", [make_run((0.1,), shots=8)]), tmp_path / "few.json")
    put_on([tmp_path / "few.json"], tmp_path / "board")
    assert main(["leaderboard", "rank", str(tmp_path / "board"), "--task", "poisson/in-domain"]) == 0
    captured = capsys.readouterr()
    assert "no model can be ranked" in captured.out
    assert "adapted with one seed" in captured.out
    assert not captured.err


def test_the_json_has_every_number(board, capsys):
    assert main(["leaderboard", "rank", str(board), "--json"]) == 0
    rankings = json.loads(capsys.readouterr().out)
    assert [(ranking["shots"], ranking["scope"]) for ranking in rankings] == [(0, "overall"), (8, "overall")]
    first, second, third = rankings[1]["standings"]
    assert [(each["model"], each["rank"], each["tied"]) for each in (first, second, third)] == [
        ("good", 1, True),
        ("good", 1, True),
        ("bad", 3, False),
    ]
    assert third["error"] == pytest.approx(0.5)
    assert third["interval"][0] < 0.5 < third["interval"][1]
    assert third["errors"] == pytest.approx(dict.fromkeys(TASKS, 0.5))
    [few] = rankings[1]["unranked"]
    assert (few["model"], len(few["missing"])) == ("few", 8)


def test_a_system_is_ranked_by_its_four_tasks(board, capsys):
    assert main(["leaderboard", "rank", str(board), "--shots", "8", "--system", "poisson", "--json"]) == 0
    [ranking] = json.loads(capsys.readouterr().out)
    assert (ranking["scope"], ranking["tasks"], ranking["unranked"]) == ("poisson", POISSON, [])
    assert [(each["model"], each["rank"]) for each in ranking["standings"]] == [
        ("few", 1),
        ("good", 2),
        ("good", 2),
        ("bad", 4),
    ]


def test_a_task_is_ranked_alone(board, capsys):
    assert main(["leaderboard", "rank", str(board), "--shots", "8", "--task", "poisson-ood/mild", "--json"]) == 0
    [ranking] = json.loads(capsys.readouterr().out)
    assert (ranking["scope"], ranking["tasks"]) == ("poisson-ood/mild", ["poisson-ood/mild"])
    assert [(each["model"], each["rank"]) for each in ranking["standings"]] == [
        ("few", 1),
        ("good", 2),
        ("good", 2),
        ("bad", 4),
    ]


def test_on_a_narrow_terminal_no_name_is_broken(board, capsys, monkeypatch):
    monkeypatch.setattr(console, "width", 80)
    long = "fno-advection-diffusion-64k"
    task = "poisson/in-domain"
    write_made(make_result(task, make_model(f"acme/{long}"), [make_run((0.1,), shots=0)]), board.parent / "long.json")
    put_on([board.parent / "long.json"], board.parent / "narrow")
    assert main(["leaderboard", "rank", str(board.parent / "narrow"), "--task", task]) == 0
    assert long in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shots", "32"], "it has scores of 0 shots, lite track, closed division (v1); 8 shots"),
        (["--track", "full"], "nothing to rank"),
        (["--track", "lit"], "did you mean 'lite'"),
        (["--division", "opn"], "did you mean 'open'"),
        (["--system", "poison"], "did you mean 'poisson'"),
        (["--task", "poisson-ood/milt"], "did you mean 'poisson-ood/mild'"),
        (["--task", "poisson-ood/mild", "--system", "poisson"], "--system and --task are two things to rank over"),
    ],
)
def test_what_is_not_there_is_one_line(board, options, words, capsys):
    assert main(["leaderboard", "rank", str(board), *options]) == 2
    stderr = capsys.readouterr().err
    assert words in stderr
    assert stderr.count("\n") == 1


def test_a_folder_without_scores_and_a_file_that_is_no_row_are_told(board, tmp_path, capsys):
    assert main(["leaderboard", "rank", str(tmp_path)]) == 2
    assert "it has no scores" in capsys.readouterr().err
    stray = board / "results" / "acme" / "good" / "stray.json"
    stray.write_text("{}")
    try:
        assert main(["leaderboard", "rank", str(board), "--shots", "8", "--json"]) == 0
    finally:
        stray.unlink()
    captured = capsys.readouterr()
    assert captured.err.startswith("note: left out: ")
    assert len(json.loads(captured.out)[0]["standings"]) == 3
