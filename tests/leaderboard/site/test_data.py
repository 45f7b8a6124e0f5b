"""The site's data: what its tables hold, as JSON, as scripts and as CSV."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from factories import make_environment, make_evaluation, make_model, make_run

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.leaderboard import site
from pdebench_fm.leaderboard.records import BADGES, PrivateScore, Rerun, VerificationRecord, identity_digest
from pdebench_fm.leaderboard.run_scores import scores_of
from pdebench_fm.leaderboard.site.addresses import model_address, task_address
from pdebench_fm.leaderboard.site.data import csv_page, data_pages, document
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.store import Entry, row_path
from pdebench_fm.physics import SampleKey
from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.runs import contamination_by, runs_of
from pdebench_fm.results.samples import CellScores, samples_digest, samples_of, samples_table, summarise

ATTACK = '</script><script>alert(1)</script>\u2028<img src=x onerror="alert(2)">\u202e'
RANKED = [name for name, task in TASKS.items() if task.regime.name != "pretrain"]


def entry_of(evaluation, record=None):
    path = row_path(evaluation.result)
    return Entry(path, path.parts[1], evaluation.result, record, scores_of(evaluation))


def document_of(*evaluations, linked=()):
    return document(Material([entry_of(evaluation) for evaluation in evaluations]), linked)


def table(columns):
    """A table of columns as a list of rows."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def facts_of(made, place):
    facts = made["facts"]
    words = [facts["strings"][each] for each in facts["results"][place]]
    return dict(zip(words[::2], words[1::2], strict=True))


def varied(model, level, task="poisson/in-domain", spread=0.3, key=0):
    """A zero-shot evaluation whose errors vary from sample to sample, alike for all models."""
    rows, common = 512, np.random.default_rng(5).lognormal(sigma=0.5, size=512)
    made = make_evaluation(task, model, [make_run((level,), shots=0)])
    errors = level * common * np.random.default_rng(key).lognormal(sigma=spread, size=rows)
    parameters = samples_of(made.samples, ("pretrained", 0, 0)).column("parameter").to_pylist()
    samples = samples_table([CellScores("pretrained", 0, 0, parameters, dict.fromkeys(METRIC_NAMES, errors))])
    (cell,) = made.result.cells
    digest = samples_digest(samples_of(samples, cell.key))
    cells = (
        cell.model_copy(update={"metrics": summarise(dict.fromkeys(METRIC_NAMES, errors)), "samples_sha256": digest}),
    )
    dataset = made.result.dataset
    changes = {"cells": cells, "runs": runs_of(cells, samples, dataset)}
    changes["contamination"] = contamination_by(made.result.model, dataset, rows, samples)
    return Evaluation(made.result.model_copy(update=changes), samples)


def test_every_score_is_there_once_with_what_it_belongs_to():
    runs = [make_run((0.2,), shots=0), make_run((0.1, 0.11, 0.12)), make_run((0.9, 1.0), start="scratch")]
    made = document_of(make_evaluation(runs=runs), make_evaluation("poisson-ood/hard", runs=runs[:1], track="full"))
    assert [(board["track"], board["division"]) for board in table(made["boards"])] == [
        ("full", "closed"),
        ("lite", "closed"),
    ]
    rows, tasks, scores = (table(made[name]) for name in ("rows", "tasks", "scores"))
    seen = [
        (rows[s["row"]]["board"], tasks[s["task"]]["task"], rows[s["row"]]["start"], rows[s["row"]]["shots"], s["mean"])
        for s in scores
    ]
    assert seen == [
        (0, "poisson-ood/hard", "pretrained", 0, 0.2),
        (1, "poisson/in-domain", "pretrained", 0, 0.2),
        (1, "poisson/in-domain", "pretrained", 8, 0.11),
        (1, "poisson/in-domain", "scratch", 8, 0.95),
    ]
    assert [score["one_seed"] for score in scores] == [False] * 4
    assert scores[2]["deviation"] == pytest.approx(0.01)
    assert scores[2]["low"] < 0.11 < scores[2]["high"]
    assert scores[2]["digits"] == pytest.approx(-np.log10(0.11), abs=1e-5)
    assert len(made["metrics"]["relative_h1_mean"]) == 4
    assert made["metrics"]["relative_h1_mean"][2] == pytest.approx(1.3 * 0.11)


def test_a_score_of_one_seed_is_told():
    assert document_of(make_evaluation(runs=[make_run((0.1,), shots=8)]))["scores"]["one_seed"] == [True]


def test_the_lowest_error_is_best_only_where_that_is_significant():
    def best(*levels, keys=(1, 2, 3)):
        models = [make_model(f"acme/m{i}", weights_sha256=f"{i}" * 64) for i in range(len(levels))]
        made = document_of(*(varied(m, level, key=key) for m, level, key in zip(models, levels, keys, strict=False)))
        models, rows = table(made["models"]), table(made["rows"])
        return {models[rows[s["row"]]["model"]]["name"] for s in table(made["scores"]) if s["best"]}

    assert best(0.1, 0.2, 0.3) == {"m0"}
    assert best(0.1, 0.1005, 0.3) == set()  # the first two can't be told apart
    assert best(0.1) == set()  # alone, it is better than nobody


def test_ranks_need_all_tasks_and_what_is_missing_is_named():
    whole = [varied(make_model("acme/whole"), 0.1, task) for task in RANKED]
    part = [varied(make_model("acme/part", weights_sha256="1" * 64), 0.05, task) for task in RANKED[:5]]
    made = document_of(*whole, *part)
    rankings = {ranking["scope"]: ranking for ranking in made["rankings"]}
    assert list(rankings) == ["overall", "poisson", "advection-diffusion", "helmholtz"]

    def names(places):
        return [made["models"]["name"][made["rows"]["model"][place]] for place in places]

    overall = rankings["overall"]
    assert names(overall["standings"]["row"]) == ["whole"]
    means = [score["mean"] for score in table(made["scores"]) if names([score["row"]]) == ["whole"]]
    assert overall["standings"]["error"] == [pytest.approx(np.exp(np.mean(np.log(means))), rel=1e-5)]
    assert names(overall["unranked"]["row"]) == ["part"]
    ((*missing,),) = overall["unranked"]["missing"]
    assert [made["names"][task] for task, _ in missing] == RANKED[5:]
    assert {made["reasons"][reason] for _, reason in missing} == {"not scored"}
    assert names(rankings["poisson"]["standings"]["row"]) == ["part", "whole"]
    assert rankings["poisson"]["standings"]["rank"] == [1, 2]


def test_badges_and_private_scores_come_from_the_records():
    evaluation = make_evaluation(runs=[make_run((0.2,), shots=0), make_run((0.1, 0.12))])
    result, when = evaluation.result, datetime(2026, 2, 1, tzinfo=UTC)
    reruns = tuple(
        Rerun(
            **{name: getattr(cell, name) for name in ("start", "shots", "seed", "samples_sha256")},
            mean=cell.metrics.relative_l2_mean,
            difference=0.0,
            package_version="1",
            date=when,
        )
        for cell in result.cells
    )
    (cell,) = result.cells_of(result.runs[0])
    private = PrivateScore(
        start=cell.start,
        shots=0,
        samples_sha256=(cell.samples_sha256,),
        rows=512,
        gap=0.5,
        recipe_digest="ab" * 32,
        public_mean=0.2,
        private_mean=0.33,
        standard_error=0.05,
        package_version="1",
        date=when,
    )
    record = VerificationRecord(
        row=row_path(result).as_posix(), identity_sha256=identity_digest(result), reruns=reruns, private=(private,)
    )
    scores = table(document(Material([entry_of(evaluation, record)]))["scores"])
    assert [(score["badge"], score["private"], score["agreement"]) for score in scores] == [
        (BADGES.index("reproduced"), 0.33, "contamination"),
        (BADGES.index("reproduced"), None, None),
    ]


def test_what_a_model_was_trained_on_is_told_of_each_score():
    keys = (SampleKey("poisson", "pretrain", "train"), SampleKey("poisson", "mild", "test"))
    pretrained = TrainingManifest(trained=(stream_of(keys[0], range(100), 64),))
    chosen = TrainingManifest(trained=pretrained.trained, looked_at=(stream_of(keys[1], range(30), 64),))
    made = document_of(
        *(
            make_evaluation("poisson-ood/mild", make_model(name, training=training), [make_run((0.1,), shots=0)])
            for name, training in (("a-stated", pretrained), ("b-chosen", chosen), ("c-silent", None))
        )
    )
    scores = table(made["scores"])
    assert [score["knowledge"] for score in scores] == ["overlapping", "overlapping", "unknown"]
    assert [score["rows_seen"] for score in scores] == [0, 30, None]
    remarks = [made["remarks"][score["remark"]] for score in scores]
    assert remarks == ["", "30 of its 512 test rows were trained on or looked at", ""]
    range_words = "50% of the test rows in the range trained on"
    chosen_words = "100% of the test rows in a range that settings were chosen on"
    assert [facts_of(made, score["result"])["Pretraining"] for score in scores] == [
        f"{range_words}; no test row seen",
        f"{range_words}; {chosen_words}; 30 of its 512 test rows were trained on or looked at",
        "training not stated",
    ]


def test_every_score_leads_to_its_provenance():
    evaluation = make_evaluation(environment=make_environment(device="NVIDIA X"), runs=[make_run((0.1, 0.3))])
    made, result = document_of(evaluation), evaluation.result
    facts = facts_of(made, made["scores"]["result"][0])
    assert facts["Recipe digest"] == result.dataset.recipe_digest
    assert facts["Computed with"] == "NVIDIA X, 2 threads, package 0.1.0, Python 3.11.9, numpy 2.1.0, torch 2.5.1"
    assert facts["Dataset version"] == "1.0.0"
    assert facts["File"] == row_path(result).as_posix()
    assert facts["Verification"] == "pretrained, 8 shots: self-reported"
    strings = [made["facts"]["strings"][place] for place in made["facts"]["models"][0]]
    assert strings[strings.index("Weights SHA-256") + 1] == result.model.weights_sha256
    score = table(made["scores"])[0]
    assert (score["low"] < 0.1, score["high"] > 0.3) == (True, True)  # two seeds that are so far apart say little


def test_gains_compare_pretrained_with_scratch():
    runs = [
        make_run((0.2,), shots=0),
        make_run((0.11,), shots=8),
        make_run((0.05,), shots=32),
        make_run((0.9,), start="scratch", shots=8),
        make_run((0.1,), start="scratch", shots=32),
    ]
    gains = {gain["shots"]: gain for gain in table(document_of(make_evaluation(runs=runs))["gains"])}
    assert gains[8]["needed"] == pytest.approx(30.1, rel=0.01)  # log-log between 0.9 at 8 shots and 0.1 at 32
    assert [gains[shots]["relation"] for shots in (0, 8, 32)] == ["=", "=", ">"]
    assert (gains[8]["pretrained"], gains[8]["scratch"]) == (0.11, 0.9)


def test_tables_lead_to_the_pages_that_there_are():
    pages = {task_address("poisson/in-domain"), model_address("acme", "acme/solver")}
    results = [make_evaluation(model="acme/solver"), make_evaluation("poisson-ood/hard", "acme/other")]
    made = document_of(*results, linked=pages)
    assert dict(zip(made["tasks"]["task"], made["tasks"]["page"], strict=True)) == {
        "poisson/in-domain": "tasks/poisson--in-domain.html",
        "poisson-ood/hard": None,
    }
    assert sorted(map(str, made["models"]["page"])) == ["None", "models/acme/solver.html"]


@pytest.mark.parametrize(
    "name", ["Solver", "solver..html", "..", "con", "a b", "ſolver", "sol\u202ever", "a" * 300, "SOLVER", "solver."]
)
def test_names_that_are_not_plain_get_addresses_of_their_own(name):
    address = model_address("acme", f"acme/{name}")
    assert re.fullmatch(r"models/acme/[a-z0-9-]*~[0-9a-f]{32}\.html", str(address))
    assert model_address("acme", "acme/solver") == PurePosixPath("models/acme/solver.html")


def test_the_scripts_and_the_json_are_one_document():
    made = document_of(make_evaluation(), make_evaluation("poisson-ood/hard", "acme/solver"))
    whole, data, details = data_pages(made)
    parts = {}
    for script in (data, details):
        name, words = re.fullmatch(r"\(window\.pdefm \?\?= \{\}\)\.(\w+) = (.*);\n", script.content).groups()
        assert re.fullmatch(rf"data/{name}-[0-9a-f]{{16}}\.js", str(script.path))
        parts |= json.loads(words)
    assert parts == json.loads(whole.content) == made


def test_what_a_submitter_wrote_ends_no_script():
    hostile = make_evaluation(
        model=make_model("acme/solver", revision=ATTACK, family=ATTACK),
        method=ATTACK,
        environment=make_environment(device=ATTACK, libraries={ATTACK: ATTACK}),
    )
    made = document_of(hostile)
    for script in data_pages(made)[1:]:
        assert script.content.isascii()
        assert "<" not in script.content
    assert ATTACK not in json.dumps(made, ensure_ascii=False)  # line separators and turned text are written out
    assert r"\u2028<img" in facts_of(made, 0)["Computed with"]


def test_a_cell_of_the_csv_is_no_formula_and_numbers_stay_numbers():
    made_of = {
        "=1+1": "'=1+1",
        "+1": "'+1",
        "-1": "'-1",
        "@sum": "'@sum",
        " =1": "' =1",
        "\uff1d1": "'\uff1d1",
        "\uff0b1": "'\uff0b1",
        "\uff0d1": "'\uff0d1",
        "\uff201": "'\uff201",
        "a;=1": "a;'=1",
        "a; @b;c": "a;' @b;c",
        "plain": "plain",
        "v1-a=b@c": "v1-a=b@c",
    }
    formulas = list(made_of)
    evaluations = [
        make_evaluation(
            model=make_model(f"acme/m{i}", revision=formula, weights_sha256=f"{i:02}" * 32),
            runs=[make_run((1.5,), shots=0)],
        )
        for i, formula in enumerate(formulas)
    ]
    made = document_of(*evaluations)
    rows = list(csv.DictReader(io.StringIO(csv_page(made).content)))
    assert sorted(row["revision"] for row in rows) == sorted(made_of.values())
    assert {float(row["relative_l2_mean"]) for row in rows} == {1.5}
    assert all(float(row["digits"]) < 0 for row in rows)
    assert {(row["badge"], row["task"], row["shots"], row["seeds"]) for row in rows} == {
        ("self-reported", "poisson/in-domain", "0", "0")
    }
    assert [row["file"] for row in rows] == sorted(row_path(e.result).as_posix() for e in evaluations)


def test_an_empty_leaderboard_has_data_too():
    made = document_of()
    assert made["scores"]["mean"] == made["rankings"] == []
    assert csv_page(made).content.count("\n") == 1


def test_the_page_names_the_badges_as_records_do():
    script = (Path(site.__file__).parents[1] / "templates" / "core.js").read_text()
    assert json.loads(script.partition("const badges = ")[2].partition(";")[0]) == list(BADGES)
