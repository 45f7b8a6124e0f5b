"""Running studies: a folder follows from its tables, nothing is computed twice, nothing is half-written."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdebench_fm.cli import main
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation import run as running
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.plots.chart import Chart
from pdebench_fm.studies import reproduce as module
from pdebench_fm.studies.drawn import read_fields, read_histogram
from pdebench_fm.studies.figures import figure_of
from pdebench_fm.studies.reproduce import (
    FIGURE_NAMES,
    Watching,
    read_table,
    read_verdicts,
    redraw,
    reproduce,
    study_text,
)
from pdebench_fm.studies.runs import read_runs
from pdebench_fm.studies.study import load_study, shipped_studies
from pdebench_fm.studies.verdicts import verdict_of

ROOT = Path(__file__).parents[2]
ZERO_SHOT = """\
study: tiny
title: A study without training
question: Does it run?
source: a test
track: n16-rows8
models:
  tiny: {open: MODEL}
evaluations:
  main: {models: [tiny], tasks: [poisson-ood/medium, helmholtz/in-domain], shots: [0]}
picture: {kind: regimes, title: Tiny}
"""
FILES = {"study.yaml", "data.csv", "rows.csv", "histogram.csv", *FIGURE_NAMES, "verdicts.json", "verdicts.md"}


@pytest.fixture(autouse=True)
def _quick(request):
    """Let all adaptations be quick, but those of the one study that is run as a user runs it."""
    if "fig3" not in request.node.name:
        request.getfixturevalue("quick_recipes")


@pytest.fixture
def counted(monkeypatch):
    """How many cells were computed."""
    numbers = []
    original = running.LocalRunner.run

    def run(self, cells, *told):
        for finished in original(self, cells, *told):
            numbers.append(finished[0])
            yield finished

    monkeypatch.setattr(running.LocalRunner, "run", run)
    return numbers


def written(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def approximately(number):
    return None if number is None else pytest.approx(number, rel=1e-9)  # another machine may round otherwise


def check_that_all_follows_from_the_tables(study, folder):
    """Recompute each verdict, and every number of the figure, from the CSV files alone."""
    assert (folder / "study.yaml").read_text() == study_text(study)
    table = read_table(folder)
    verdicts = read_verdicts(folder)
    for question, said in zip(study.questions, verdicts.verdicts, strict=True):
        found = verdict_of(question, table)
        numbers = {name: getattr(found, name) for name in ("value", "low", "high")}
        assert numbers == {name: approximately(getattr(said, name)) for name in numbers}
        assert found == said.model_copy(update=numbers)
    bins = read_histogram(folder / "histogram.csv") if study.file.picture.histogram else []
    fields = read_fields(folder / "fields.csv") if study.file.fields else []
    figure = figure_of(study, table, fields, bins)
    if not isinstance(figure, Chart):
        return figure
    with (folder / "data.csv").open() as file:
        errors = {round(float(line["error"]), 12) for line in csv.DictReader(file)}
    text = (folder / "figure.svg").read_text()
    for panel_row in figure.rows:
        for panel in panel_row:
            assert panel.title in text
            for series in panel.series:
                assert series.label in text
                drawn = {round(point.error, 12) for point in series.every_point}
                if panel.y.label == "relative ℓ² error":
                    assert drawn <= errors
    return figure


def test_a_study_writes_what_it_comes_to_and_all_of_it_follows_from_the_tables(
    tiny,
    places,
    tmp_path,
):
    verdicts = reproduce(tiny, tmp_path / "out", places)
    folder = tmp_path / "out" / "tiny"
    assert {path.name for path in folder.iterdir()} == FILES
    assert {path.name for path in folder.parent.iterdir()} == {"tiny"}
    rows = read_runs(folder / "data.csv")
    assert len(rows) == 2 * (1 + 2 * 2)  # two tasks; zero-shot, and two starts with two numbers of shots
    assert {row.seeds for row in rows if row.shots} == {2}
    figure = check_that_all_follows_from_the_tables(tiny, folder)
    assert len(figure.rows) == 2
    points = [p.error for panel in figure.rows[1] for series in panel.series for p in series.every_point]
    assert sorted(points) == sorted(row.error for row in rows)
    assert len(verdicts.verdicts) == 5
    assert "tiny.yaml" not in (folder / "study.yaml").read_text()


def test_what_was_computed_is_never_computed_again(tiny, places, tmp_path, counted):
    reproduce(tiny, tmp_path / "out", places)
    first = written(tmp_path / "out" / "tiny")
    assert len(counted) == 2 * (1 + 2 * 2 * 2)
    reproduce(tiny, tmp_path / "out", places)
    assert len(counted) == 18
    assert written(tmp_path / "out" / "tiny") == first


def test_an_interrupted_study_leaves_nothing_and_goes_on_with_what_is_missing(
    tiny,
    places,
    tmp_path,
    counted,
):
    def stop(state):
        if state.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(tiny, tmp_path / "out", places, Watching(progress=stop))
    assert list((tmp_path / "out").iterdir()) == []
    assert len(counted) == 7
    reproduce(tiny, tmp_path / "out", places)
    assert len(counted) == 18
    assert {path.name for path in (tmp_path / "out" / "tiny").iterdir()} == FILES


@pytest.mark.parametrize("step", ["_draw", "_judged", "study_text"])
def test_a_study_that_fails_at_its_end_leaves_the_folder_as_it_was(
    tiny,
    places,
    tmp_path,
    monkeypatch,
    step,
):
    reproduce(tiny, tmp_path / "out", places)
    before = written(tmp_path / "out" / "tiny")

    def fail(*_):
        raise PdefmError("the disk is full")

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(PdefmError, match="disk"):
        reproduce(tiny, tmp_path / "out", places)
    assert written(tmp_path / "out" / "tiny") == before
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tiny"}


def test_redrawing_computes_nothing_and_gives_the_same_bytes(
    tiny,
    places,
    tmp_path,
    monkeypatch,
):
    reproduce(tiny, tmp_path / "out", places)
    folder = tmp_path / "out" / "tiny"
    before = written(folder)
    for name in (*FIGURE_NAMES, "verdicts.md"):
        (folder / name).unlink()
    monkeypatch.setattr(module, "evaluate_suite", None)
    redraw(tiny, tmp_path / "out")
    assert written(folder) == before


def test_what_was_not_run_or_was_edited_is_not_redrawn(tiny, places, tmp_path):
    with pytest.raises(UsageError, match="holds no study to redraw"):
        redraw(tiny, tmp_path / "out")
    reproduce(tiny, tmp_path / "out", places)
    for name in ("data.csv", "rows.csv"):
        table = tmp_path / "out" / "tiny" / name
        whole = table.read_text()
        table.write_text(whole.replace("helmholtz", "poisson"))
        with pytest.raises(PdefmError, match=rf"{name} is not the table that verdicts\.json was made from"):
            redraw(tiny, tmp_path / "out")
        table.unlink()
        with pytest.raises(PdefmError, match=rf"{name} is not the table that verdicts\.json was made from"):
            redraw(tiny, tmp_path / "out")
        table.write_text(whole)


def test_a_damaged_folder_is_told_in_a_line(tiny_file, places, tmp_path):
    alone = tiny_file(("[0, 4, 8]", "[0]"), ("    scratch: true\n", ""))
    alone.write_text(alone.read_text().partition("claims:")[0])
    study = load_study(alone, "smoke")
    reproduce(study, tmp_path / "out", places)
    damages = {
        "histogram.csv": {
            "has nothing of helmholtz/in-domain": lambda text: text.replace("helmholtz/in-domain", "helmholtz/nowhere"),
            "has nothing of": lambda text: text.splitlines()[0] + "\n",
            "inf is no finite number": lambda text: text + "poisson-ood/medium,this task,1.0,2.0,inf\n",
        },
        "study.yaml": {"cannot read": lambda _: "[" * 5000, "cannot read .*month": lambda _: "study: 2001-99-99"},
    }
    for name, changes in damages.items():
        path = tmp_path / "out" / "tiny" / name
        whole = path.read_text()
        for words, change in changes.items():
            path.write_text(change(whole))
            with pytest.raises(PdefmError, match=words) as refused:
                redraw(study, tmp_path / "out")
            assert "\n" not in str(refused.value)
        path.write_text(whole)
    redraw(study, tmp_path / "out")


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "reproduction").iterdir()))
def test_what_is_committed_follows_from_the_committed_tables(name):
    folder = ROOT / "reproduction" / name
    check_that_all_follows_from_the_tables(load_study(shipped_studies()[name], read_verdicts(folder).scale), folder)


def test_nothing_else_is_lost_with_a_study_that_is_run_again(tiny_file, places, tmp_path):
    study = load_study(tiny_file(text=ZERO_SHOT), "smoke")
    out = tmp_path / "out"
    reproduce(study, out, places)
    whole = written(out / "tiny")
    for inside in (out / "tiny", out / "tiny" / "deep" / "er"):
        with pytest.raises(UsageError, match="tiny is the folder of a study, and --out that of the studies' folders"):
            reproduce(study, inside, places)
    (out / "tiny" / ".DS_Store").write_text("")
    (out / "tiny" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"tiny holds notes\.txt beside the study, which would be lost"):
        reproduce(study, out, places)
    redraw(study, out)
    assert (out / "tiny" / "notes.txt").read_text() == "mine"
    (out / "tiny" / "notes.txt").unlink()
    reproduce(study, out, places)
    assert written(out / "tiny") == whole


def test_a_file_is_no_folder_of_studies(tiny_file, places, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="file is a file: --out takes the folder of the studies' folders"):
        reproduce(load_study(tiny_file(text=ZERO_SHOT), "smoke"), tmp_path / "file", places)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": 0}, "workers must be at least 1"),
        ({"workers": 2, "scheduler": "tcp://localhost:1"}, "choose either workers"),
        ({"device": "cpu,cpu"}, "several devices must be different"),
    ],
)
def test_processes_that_cannot_be_are_told_before_anything_is_trained(tiny_file, places, tmp_path, changes, words):
    pretrained = ("{open: MODEL}", "{pretrain: {family: poisson, size: 64k, steps: 2, resolution: 16}}")
    study = load_study(tiny_file(pretrained, text=ZERO_SHOT), "smoke")
    with pytest.raises(UsageError, match=words):
        reproduce(study, tmp_path / "out", replace(places, **changes))
    assert not places.pretrained.exists()
    assert not (tmp_path / "out").exists()


def test_a_studys_folder_may_be_a_link(tiny_file, places, tmp_path):
    study = load_study(tiny_file(text=ZERO_SHOT), "smoke")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "out" / "tiny"
    link.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for _ in range(2):
        reproduce(study, tmp_path / "out", places)
    redraw(study, tmp_path / "out")
    assert link.is_symlink()
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == FILES - {"histogram.csv"}
    assert list((tmp_path / "out").iterdir()) == [link]


@pytest.mark.parametrize(
    ("old", "new"),
    [("  tiny:", "  other:"), ("n16-rows8", "n16-rows9"), ("medium, helmholtz/in-domain", "medium")],
)
def test_tables_of_runs_that_the_study_no_longer_has_are_not_redrawn(tiny_file, places, tmp_path, old, new):
    reproduce(load_study(tiny_file(text=ZERO_SHOT), "smoke"), tmp_path / "out", places)
    changed = [(old, new)] + ([("models: [tiny]", "models: [other]")] if "tiny" in old else [])
    study = load_study(tiny_file(*changed, text=ZERO_SHOT), "smoke")
    before = written(tmp_path / "out" / "tiny")
    with pytest.raises(PdefmError, match=r"data\.csv has tiny on .*, which the study does not run: run the study"):
        redraw(study, tmp_path / "out")
    assert written(tmp_path / "out" / "tiny") == before


def test_what_two_evaluations_share_is_one_run_and_is_left_out_once(tiny_file, places, tmp_path, write):
    failing = write(
        "def build():\n    def solve(source, coefficients):\n        raise ValueError('no')\n    return solve\n"
    )
    more = "  more: {models: [fails, tiny], tasks: [poisson-ood/medium], shots: [0], seeds: 1}\npicture:"
    study = load_study(
        tiny_file(
            ("models:\n", f"models:\n  fails: {{open: '{failing}'}}\n"),
            ("models: [tiny]", "models: [tiny, fails]"),
            ("picture:", more),
            text=ZERO_SHOT,
        ),
        "smoke",
    )
    verdicts = reproduce(study, tmp_path / "out", places)
    assert [line.partition(" (")[0] for line in verdicts.left_out] == [
        "fails on poisson-ood/medium",
        "fails on helmholtz/in-domain",
    ]
    table = read_table(tmp_path / "out" / "tiny")
    assert [row.model for row in table.values()] == ["tiny", "tiny"]
    assert set(table.by_row) == set(table)


def test_the_folder_of_another_study_or_scale_is_refused(tiny, places, tmp_path, counted):
    folder = tmp_path / "out" / "tiny"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text("scale: cpu\nstudy: tiny\n")
    with pytest.raises(UsageError, match="holds the scale 'cpu', not 'smoke': choose another --out"):
        reproduce(tiny, tmp_path / "out", places)
    (folder / "study.yaml").write_text("scale: smoke\nstudy: other\n")
    with pytest.raises(UsageError, match="holds the study 'other', not 'tiny'"):
        reproduce(tiny, tmp_path / "out", places)
    (folder / "study.yaml").rename(folder / "mine.txt")
    with pytest.raises(UsageError, match="holds something else than a study"):
        reproduce(tiny, tmp_path / "out", places)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert not counted


def test_redrawing_takes_over_what_a_study_says_now(tiny_file, places, tmp_path, monkeypatch):
    reproduce(load_study(tiny_file(text=ZERO_SHOT), "smoke"), tmp_path / "out", places)
    said = (
        ("A study without training", "Said otherwise"),
        ("{open: MODEL}", "{open: MODEL, label: My model}"),
        ("shots: [0]", "shots: [0], method: v1, seeds: 3"),  # as they are by default
        ("[poisson-ood/medium, helmholtz/in-domain]", "[helmholtz/in-domain, poisson-ood/medium]"),
    )
    study = load_study(tiny_file(*said, text=ZERO_SHOT), "smoke")
    before = written(tmp_path / "out" / "tiny")
    with monkeypatch.context() as patched:
        patched.setattr(module, "figure_of", lambda *_: (_ for _ in ()).throw(PdefmError("cannot be drawn")))
        with pytest.raises(PdefmError, match="cannot be drawn"):
            redraw(study, tmp_path / "out")
    assert written(tmp_path / "out" / "tiny") == before
    redraw(study, tmp_path / "out")
    after = written(tmp_path / "out" / "tiny")
    assert after["study.yaml"].decode() == study_text(study)
    assert after["verdicts.md"].startswith(b"# Said otherwise")
    assert b"My model" in after["figure.svg"]
    assert after["data.csv"] == before["data.csv"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("track: n16-rows8", "track: n16-rows9", "other runs, or seeds,"),
        ("track: n16-rows8", "track: n16-rows8\nseeds: 2", "other runs, or seeds,"),
        ("- 0\n", "- 0\n    - 8\n", "other runs, or seeds,"),
        ("open: ", "open: ./other", "another model tiny"),
        ("track: n16-rows8", "track: n16-rows8\nplugins: [mine.py]", "other plug-ins"),
        ("track: n16-rows8", "track: n16-rows8\nresolution: 32", "other fields"),
    ],
)
def test_what_a_study_would_compute_otherwise_now_is_not_redrawn(tiny_file, places, tmp_path, old, new, words):
    study = load_study(tiny_file(text=ZERO_SHOT), "smoke")
    reproduce(study, tmp_path / "out", places)
    path = tmp_path / "out" / "tiny" / "study.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    before = written(tmp_path / "out" / "tiny")
    with pytest.raises(PdefmError, match=rf"study\.yaml is of {words} than the study has now: run it again"):
        redraw(study, tmp_path / "out")
    assert written(tmp_path / "out" / "tiny") == before
    path.write_text("study: tiny\nscale: smoke\n")
    with pytest.raises(PdefmError, match=r"study\.yaml does not hold a study: "):
        redraw(study, tmp_path / "out")


def test_runs_that_fail_are_left_out_and_told(tiny_file, places, tmp_path, write):
    model = write(
        "import torch\n\n\ndef build():\n    def solve(source, coefficients):\n"
        "        if coefficients[:, 5].any():\n            raise ValueError('no Helmholtz')\n"
        "        return source\n    return solve\n"
    )
    study = load_study(
        tiny_file(
            ("{open: MODEL}", f"{{open: '{model}'}}"),
            ("shots: [0, 4, 8]", "shots: [0, 4]"),
            ("    scratch: true", "    scratch: true"),
        ),
        "smoke",
    )
    verdicts = reproduce(study, tmp_path / "out", places)
    assert any("zero-shot: " in line and "Helmholtz" in line for line in verdicts.left_out)
    assert {verdict.decision for verdict in verdicts.verdicts} == {"can't be told"}
    redraw(study, tmp_path / "out")
    assert read_verdicts(tmp_path / "out" / "tiny").left_out == verdicts.left_out


def test_fields_are_drawn_from_their_table(tmp_path, places):
    study = load_study(shipped_studies()["fig2"], "smoke")
    reproduce(study, tmp_path / "out", places)
    folder = tmp_path / "out" / "fig2"
    picture = check_that_all_follows_from_the_tables(study, folder)
    assert [len(sample.fields) for sample in picture.samples] == [4, 4, 4, 4]
    sources = picture.samples[0].fields
    assert [field.title for field in sources] == [f"sparsity = {level}" for level in (0.2, 0.4, 0.6, 0.8)]
    active = [float((field.values > field.values.min() + 0.1).mean()) for field in sources]
    assert active == sorted(active, reverse=True)  # the sparser, the less of it
    assert all(np.isfinite(field.values).all() for sample in picture.samples for field in sample.fields)


SMOKE = ["fig3", "beyond-resolution", "beyond-length", "beyond-source-shift"]


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("name", SMOKE)
def test_the_smoke_scale_runs_from_the_command_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "cache"))
    assert main(["reproduce", name, "--scale", "smoke", "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert "no scientific meaning" in told.err
    study = load_study(shipped_studies()[name], "smoke")
    check_that_all_follows_from_the_tables(study, tmp_path / "out" / name)
    verdicts = json.loads((tmp_path / "out" / name / "verdicts.json").read_text())
    assert verdicts["scale"] == "smoke"
    assert all(v["value"] is not None and math.isfinite(v["value"]) for v in verdicts["verdicts"])


@pytest.mark.parametrize("name", sorted(set(shipped_studies()) - set(SMOKE)))
def test_a_dry_run_computes_nothing_and_tells_the_cost(name, tmp_path, monkeypatch, capsys, counted):
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", name, "--dry-run"]) == 0
    assert "What a study takes as a whole" in capsys.readouterr().out
    assert not counted
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fig33"], "did you mean 'fig3'"),
        (["fig3", "--redraw", "--dry-run"], "choose either"),
        (["fig3", "--redraw"], "holds no study to redraw"),
        (["beyond", "--redraw"], "holds none of these studies"),
        (["nowhere.yaml"], "no study at nowhere.yaml"),
    ],
)
def test_mistakes_are_one_line(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_computes_a_study_as_one_process_does(tiny_file, places, tmp_path, cluster):
    study = load_study(tiny_file(text=ZERO_SHOT), "smoke")
    reproduce(study, tmp_path / "here", places)
    elsewhere = replace(places, cache=CellCache(tmp_path / "cache-of-the-cluster"), scheduler=cluster)
    reproduce(study, tmp_path / "there", elsewhere)
    here, there = (
        [row.model_copy(update={"seconds": 0.0}) for row in read_runs(tmp_path / place / "tiny" / "data.csv")]
        for place in ("here", "there")
    )
    assert there == here
    assert len(list((tmp_path / "cache-of-the-cluster").rglob("*.json"))) == len(here) == 2
