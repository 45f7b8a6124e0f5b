"""What a newcomer types first: lists, cards, names that are nearly right, other programs' JSON, Tab."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from described import make_pretrained, results_of
from factories import make_result, make_run, with_samples

from pdebench_fm.cli import completion, main
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS, TASKS
from pdebench_fm.models import BASELINES, zoo_names
from pdebench_fm.models.loading import zoo_folder
from pdebench_fm.zoo.stated_scores import error_in_words, stated_scores


def said(words, capsys, code=0):
    assert main([str(word) for word in words]) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_the_tasks_are_listed_with_their_laws(capsys, plugin):
    text = said(["tasks"], capsys)
    assert all(task in text for task in TASKS)
    assert "pretrain/" not in text
    assert "about half" in text
    plugin()
    assert "drum/near" in said(["tasks"], capsys)


def test_the_zoo_lists_baselines_and_shows_them(capsys):
    text = said(["zoo", "list"], capsys)
    assert all(name in text for name in BASELINES)
    assert "the exact spectral solution" in said(["zoo", "show", "oracle"], capsys)


def test_the_zoo_is_listed_by_what_the_cards_state_on_a_task(capsys):
    stated = {name: stated_scores(zoo_folder(name)) for name in zoo_names()}
    of_task = {
        name: {score.shots: score for score in scores if score.task == "helmholtz-ood/medium"}
        for name, scores in stated.items()
    }
    text = said(["zoo", "list", "--task", "helmholtz-ood/medium"], capsys)
    assert "(lite)" in text
    lines = {line.split()[1]: line for line in text.splitlines() if line.startswith("│")}
    assert lines.keys() == of_task.keys()
    with_shots = sorted((name for name in of_task if 32 in of_task[name]), key=lambda name: of_task[name][32].error)
    without = sorted(of_task.keys() - set(with_shots), key=lambda name: of_task[name][0].error)
    assert list(lines) == [*with_shots, *without]
    for name, scores in of_task.items():
        assert f" {error_in_words(scores[0])} " in lines[name]
        shown = lines[name].split("│")[3].strip()
        if 32 in scores:
            assert shown == error_in_words(scores[32])
        else:
            assert shown == "—"
    assert "did you mean 'helmholtz-ood/medium'" in said(["zoo", "list", "--task", "helmholtz/medium"], capsys, 2)


def test_what_a_card_says_of_tasks_is_not_said_twice(model_with_card, capsys):
    once = said(["zoo", "show", model_with_card], capsys)
    assert once.count("test rows seen: none") == 1
    card = model_with_card / "README.md"
    card.write_text(card.read_text().replace("* test rows seen: none", "* test rows seen: all"))
    other = said(["zoo", "show", model_with_card], capsys)
    assert "test rows seen: all" in other
    assert "test rows seen: none" in other


def test_a_folders_card_is_shown(model_with_card, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (model_with_card, "./fno-mixed-tiny", "fno-mixed-tiny"):
        text = said(["zoo", "show", words], capsys)
        assert "Computed from what it was trained on" in text
        assert "helmholtz-ood/hard" in text
    (model_with_card / "README.md").unlink()
    assert "has no card: there is no README.md in" in said(["zoo", "show", model_with_card], capsys, 1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["eval", "--model", "fno-mixed-256m", "--task", "all"], "fno-mixed-256m is a recipe only"),
        (["eval", "--model", "fno-helmholtz-16m", "--task", "all"], "--family helmholtz --size 16m"),
        (["eval", "--model", "fno-helmholtz-256m", "--task", "all"], "here are fno-helmholtz-1m, fno-helmholtz-64k"),
        (["zoo", "show", "fno-helmholtz-16m"], "fno-helmholtz-16m is a size that does not come with the package"),
        (["zoo", "publish", "fno-helmholtz-16m", "--namespace", "o", "--version", "1.0.0"], "does not come with the"),
        (["eval", "--model", "fno-mixed-16x", "--task", "all"], "unknown model 'fno-mixed-16x': did you mean"),
        (["eval", "--model", "unet2", "--task", "all"], "did you mean the file 'unet2.py'?"),
        (["eval", "--model", "unet2:make", "--task", "all"], "did you mean the file 'unet2.py:make'?"),
        (["eval", "--model", "zero", "--task", "all", "--adaptation", "unet2"], "did you mean the file 'unet2.py'?"),
        (["eval", "--model", "unet3", "--task", "all"], "did you mean 'unet'"),
        (["eval", "--model", "zero", "--task", "burgers/mild"], "is known if PDEFM_PLUGINS=FILE.py names the file"),
        (["eval", "--model", "zero", "--task", "burgers"], "is known if PDEFM_PLUGINS=FILE.py names the file"),
        (["data", "build", "burgers", "--out", "x"], "is known if PDEFM_PLUGINS=FILE.py names the file"),
        (["pretrain", "--family", "burgers", "--size", "64k", "--steps", "1", "--out", "x"], "PDEFM_PLUGINS=FILE.py"),
        (["eval", "--model", "zero", "--task", "all", "--smoke", "--json"], "--json is for scores"),
    ],
)
def test_names_that_are_nearly_right_are_told_what_would_be(words, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unet2.py").write_text("")
    assert text in said(words, capsys, 2)


def test_a_wrong_regime_of_a_known_dataset_says_nothing_of_plugins(capsys):
    text = said(["eval", "--model", "zero", "--task", "poisson-ood/milt"], capsys, 2)
    assert "did you mean 'poisson-ood/mild'" in text
    assert "PLUGINS" not in text


def test_json_is_all_that_is_on_stdout(tmp_path, capsys):
    words = ["eval", "--model", "zero,oracle", "--task", "poisson", "--track", "lite", "--device", "cpu", "--json"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["overall"] == []
    assert [(each["model"], each["task"]) for each in content["results"]] == [
        ("zero", "poisson/in-domain"),
        ("oracle", "poisson/in-domain"),
    ]
    for each in content["results"]:
        stored = json.loads(Path(each["file"]).read_text())
        assert stored["model"]["model_id"] == each["model"]
        assert [run["summary"] for run in stored["runs"]] == [run["summary"] for run in each["runs"]]
    assert content["results"][0]["runs"][0]["summary"]["mean"] == 1.0


def test_a_card_is_made_of_the_models_own_results_and_the_others_are_named(tmp_path, capsys):
    folder = make_pretrained(tmp_path / "fno-mixed-tiny")
    for i, evaluation in enumerate(results_of(folder)):
        evaluation.write(tmp_path / "results" / f"{i}.json")
    other = make_result(model="other", runs=[make_run((0.2,), shots=0)])
    with_samples(other).write(tmp_path / "results" / "deeper" / "other.json")
    text = said(["zoo", "card", folder, tmp_path / "results"], capsys)
    assert "note: left out: 1 result of other, which has other weights" in text
    assert {score.task for score in stated_scores(folder)} >= set(TASKS)
    shutil.rmtree(tmp_path / "results")
    with_samples(other).write(tmp_path / "results" / "other.json")
    assert "none of the 1 results is of the weights in" in said(
        ["zoo", "card", folder, tmp_path / "results"], capsys, 2
    )


def test_reading_rows_makes_no_noise_of_its_own(tmp_path):
    folder = build(
        BuildPlan(DATASETS["poisson"], ("in-domain",), {"train": 4, "validation": 4, "test": 4}, 64), tmp_path
    )
    words = ["eval", "--model", "zero", "--task", "poisson", "--track", "lite", "--data", folder, "--device", "cpu"]
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_PROGRESS_BARS"}
    environment |= {"HF_HOME": str(tmp_path / "home"), "PDEFM_CACHE": str(tmp_path / "cells")}
    done = subprocess.run(
        [sys.executable, "-m", "pdebench_fm", *map(str, words), "--out", str(tmp_path / "results")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_tab_offers_tasks_and_models_also_after_a_comma():
    assert completion.tasks("poisson-ood/m") == ["poisson-ood/mild", "poisson-ood/medium"]
    assert completion.tasks("all,helmholtz-ood/h") == ["all,helmholtz-ood/hard"]
    assert completion.models("fno-mixed") == ["fno-mixed-16m", "fno-mixed-1m", "fno-mixed-64k"]
    assert completion.models("zero,o") == ["zero,oracle"]
    assert "fno-mixed-256m" in completion.zoo_models("fno-mixed")
    assert completion.study_words("fig") == ["fig2", "fig3", "fig4", "fig5"]
    assert completion.study_words("a") == ["anchor", "all"]
    assert completion.pictures("s") == ["shots", "sizes"]
    assert completion.starts("s") == ["scratch"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pdefm ev", "eval"),
        ("pdefm eval --task helmholtz-ood/h", "helmholtz-ood/hard"),
        ("pdefm zoo show fno-p", "fno-poisson-1m"),
    ],
)
def test_a_shell_is_offered_what_completes_a_line(line, offered):
    words = line.split()
    environment = os.environ | {
        "_PDEFM_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pdebench_fm"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert offered in done.stdout.split(), (done.stdout, done.stderr)
