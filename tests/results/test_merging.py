"""Results that merge: nothing that was written is lost, and what doesn't belong together never comes together."""

import itertools
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from factories import DATE, DIGEST, make_dataset, make_environment, make_evaluation, make_model, make_run

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.results import evaluation as evaluation_module
from pdebench_fm.results import merging
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.merging import fingerprint, may_merge
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.samples import read_samples, samples_path, write_samples

FAILED = {"start": "pretrained", "shots": 8, "seed": 1, "reason": "not enough memory"}


def keys(evaluation):
    return [cell.key for cell in evaluation.result.cells]


def error_of(evaluation, key):
    (cell,) = [cell for cell in evaluation.result.cells if cell.key == key]
    return cell.metrics.relative_l2_mean


PARTS = {
    "zero and eight": [make_run((0.2,), shots=0), make_run((0.1, 0.11, 0.12))],
    "zero": [make_run((0.2,), shots=0)],
    "one seed": [make_run((0.1,))],
    "more shots": [make_run((0.05, 0.06), shots=32)],
    "scratch": [make_run((0.5,), start="scratch")],
}


@pytest.mark.parametrize("order", [*itertools.permutations(["zero and eight", "zero", "one seed"]), list(PARTS)])
def test_a_file_is_the_union_of_all_that_was_written_to_it(tmp_path, order):
    path = tmp_path / "result.json"
    for part in order:
        assert make_evaluation(runs=PARTS[part]).write(path) == path
    found = read_evaluation(path)
    expected = sorted(
        {cell.key for part in order for cell in make_evaluation(runs=PARTS[part]).result.cells},
        key=lambda key: (key[1], key[0], key[2]),
    )
    assert keys(found) == expected
    assert found.samples.num_rows == 512 * len(expected)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["result.json", "result.samples.parquet"]


def test_the_union_is_what_one_evaluation_would_have_been(tmp_path):
    whole = make_evaluation(runs=[*PARTS["zero and eight"], *PARTS["more shots"]])
    for part in ("more shots", "zero and eight"):
        make_evaluation(runs=PARTS[part]).write(tmp_path / "parts.json")
    whole.write(tmp_path / "whole.json")
    assert (tmp_path / "parts.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert read_evaluation(tmp_path / "parts.json").samples.equals(whole.samples)


def test_a_cell_that_is_there_stays_with_its_own_provenance(tmp_path):
    path = tmp_path / "result.json"
    make_evaluation(runs=[make_run((0.1,))], environment=make_environment(device="first"), seconds=1.0).write(path)
    later = {"environment": make_environment(device="second"), "seconds": 2.0, "date": DATE + timedelta(days=1)}
    make_evaluation(runs=[make_run((0.3, 0.2))], **later).write(path)
    found = read_evaluation(path)
    assert [error_of(found, ("pretrained", 8, seed)) for seed in (0, 1)] == [0.1, 0.2]
    assert [(cell.environment.device, cell.seconds) for cell in found.result.cells] == [("first", 1.0), ("second", 2.0)]
    assert found.runs[0].summary.mean == pytest.approx(0.15)


def test_a_score_takes_the_place_of_a_failure_and_a_failure_never_that_of_a_score(tmp_path):
    path = tmp_path / "result.json"
    failed = make_evaluation(runs=[make_run((0.1,))], failures=[FAILED])
    failed.write(path)
    scored = make_evaluation(runs=[make_run((0.1, 0.12))])
    scored.write(path)
    failed.write(path)
    found = read_evaluation(path)
    assert keys(found) == [("pretrained", 8, 0), ("pretrained", 8, 1)]
    assert found.failures == ()


def test_of_two_failures_the_newer_is_kept(tmp_path):
    for day in (1, 2, 0):
        failure = {**FAILED, "reason": f"day {day}", "date": DATE + timedelta(days=day)}
        make_evaluation(runs=[make_run((0.1,))], failures=[failure]).write(tmp_path / "result.json")
    assert [failure.reason for failure in read_evaluation(tmp_path / "result.json").failures] == ["day 2"]


OTHERS = {
    "weights": {"model": make_model(weights_sha256="cd" * 32)},
    "an edited file": {"model": make_model(fingerprint="cd" * 32)},
    "a name": {"model": make_model("other")},
    "a revision": {"model": make_model(revision="v2.0.0")},
    "a data version": {"dataset": make_dataset(version="1.1.0")},
    "private rows": {"dataset": make_dataset(recipe_digest=DIGEST)},
    "stored rows": {"dataset": make_dataset(origin="rows", content_digest=DIGEST)},
    "fewer rows": {"test_rows": 16},
    "a smaller train split": {"dataset": make_dataset(train_rows=64)},
    "another train split": {"dataset": make_dataset(train_content_digest=DIGEST)},
    "a protocol": {"protocol_version": 2},
    "a method": {"method": "paper"},
    "an open method": {"method": "mine:adapt", "method_fingerprint": DIGEST},
    "an edited method": {"method": "mine:adapt", "method_fingerprint": "cd" * 32},
    "an unknown method": {"method": "mine:adapt"},
    "determinism": {"deterministic": False},
    "a track": {"track": "full"},
    "a resolution": {"resolution": 32},
    "a task": {"task": "poisson-ood/mild"},
    "unknown": {"model": make_model(fingerprint=None)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_of_one_identity_goes_to_a_path_of_its_own(tmp_path, what):
    first, other = make_evaluation(), make_evaluation(**OTHERS[what])
    assert not may_merge(first.result, other.result)
    assert row_path(first.result) != row_path(other.result)
    path = tmp_path / "result.json"
    first.write(path)
    before = path.read_bytes(), samples_path(path).read_bytes()
    elsewhere = other.write(path)
    assert elsewhere == tmp_path / f"result-{fingerprint(other.result)}.json"
    assert (path.read_bytes(), samples_path(path).read_bytes()) == before
    assert read_evaluation(elsewhere).result == other.result
    assert other.write(path) == elsewhere  # and is merged there


def test_no_two_of_the_others_share_a_path():
    paths = {row_path(make_evaluation(**changes).result) for changes in OTHERS.values()}
    assert len(paths) == len(OTHERS)


def test_where_rows_were_read_is_no_part_of_what_they_are():
    here, there = (
        make_evaluation(dataset=make_dataset(origin="rows", content_digest=DIGEST, location=place))
        for place in ("folder", "org/data")
    )
    assert may_merge(here.result, there.result)


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        ("v1", ""),
        ("symmetric", "-symmetric"),
        ("l2-sp", "-l2-sp"),
        ("paper", "-paper"),
        ("mine:adapt", "-mine-adapt"),
        ("../..\\mine: a|dapt?.", "-mine-a-dapt"),
        ("x" * 300, "-" + "x" * 40),
        ("\u4f60\u597d", ""),
    ],
)
def test_a_files_name_tells_the_method_outside_of_the_closed_division(method, shown):
    result = make_evaluation(method=method).result
    assert row_path(result).name == f"poisson--in-domain-lite{shown}-{fingerprint(result)}.json"


def test_methods_that_cannot_be_known_again_are_told_apart_by_their_scores():
    first, other = (make_evaluation(method="mine:adapt", runs=[make_run((error,))]) for error in (0.1, 0.2))
    assert not may_merge(first.result, other.result)
    assert may_merge(first.result, make_evaluation(method="mine:adapt", runs=[make_run((0.1,))]).result)


def test_models_that_cannot_be_known_again_are_told_apart_by_their_scores(tmp_path):
    unknown = make_model(fingerprint=None)
    first, other = (make_evaluation(model=unknown, runs=[make_run((error,), shots=0)]) for error in (0.1, 0.2))
    assert row_path(first.result) != row_path(other.result)
    more = make_evaluation(model=unknown, runs=[make_run((0.1,), shots=0), make_run((0.05,))])
    assert not may_merge(first.result, more.result)
    again = make_evaluation(model=unknown, runs=[make_run((0.1,), shots=0)], date=DATE + timedelta(days=1))
    assert row_path(first.result) == row_path(again.result)
    assert first.write(tmp_path / "result.json") == again.write(tmp_path / "result.json")


@pytest.mark.parametrize("damage", ["json", "samples", "no samples"])
def test_damaged_files_are_left_alone_and_nothing_new_is_lost(tmp_path, damage, caplog):
    path = tmp_path / "result.json"
    make_evaluation(runs=PARTS["zero"]).write(path)
    if damage == "no samples":
        samples_path(path).unlink()
    else:
        broken = path if damage == "json" else samples_path(path)
        broken.write_bytes(broken.read_bytes()[:100])
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    new = make_evaluation(runs=PARTS["one seed"])
    elsewhere = new.write(path)
    assert elsewhere != path
    assert read_evaluation(elsewhere).result == new.result
    assert all(each.read_bytes() == content for each, content in before.items())
    assert "it is left as it is" in caplog.text


def test_several_that_write_one_file_at_once_lose_nothing(tmp_path, monkeypatch):
    path, read = tmp_path / "result.json", evaluation_module.read_evaluation

    def slowly(place):
        found = read(place)
        time.sleep(0.02)  # in which the others would write what this one then overwrites
        return found

    monkeypatch.setattr(evaluation_module, "read_evaluation", slowly)
    parts = [make_evaluation(runs=[make_run((0.1,), shots=shots)], test_rows=16) for shots in range(1, 7)]
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda part: part.write(path), parts)) == {path}
    assert [run.shots for run in read(path).runs] == [1, 2, 3, 4, 5, 6]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["result.json", "result.samples.parquet"]


WRITER = """
import sys, time
from pathlib import Path
from factories import make_evaluation, make_run
from pdebench_fm.results.paths import row_path
folder, number = Path(sys.argv[1]), int(sys.argv[2])
parts = [make_evaluation(model=model, runs=[make_run((0.1,), shots=1 + number + 2 * i)], test_rows=16)
         for i in range(4) for model in ("one", "two")]
(folder / f"ready-{number}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.001)
for part in parts:
    part.write(folder / row_path(part.result))
"""


def test_two_processes_that_write_into_one_folder_of_results_lose_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(number)], env=environment) for number in (0, 1)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    for model in ("one", "two"):
        path = tmp_path / row_path(make_evaluation(model=model, test_rows=16).result)
        assert [run.shots for run in read_evaluation(path).runs] == list(range(1, 9))
        assert sorted(each.name for each in path.parent.iterdir()) == [path.name, samples_path(path).name]


@pytest.mark.parametrize("stop", [1, 2])
def test_stopped_anywhere_a_readable_pair_is_left_and_the_same_writing_goes_on(tmp_path, monkeypatch, stop):
    path = tmp_path / "result.json"
    make_evaluation(runs=PARTS["zero"]).write(path)
    written = []
    fsync = os.fsync

    def stopped(descriptor):
        written.append(descriptor)
        if len(written) == stop:
            raise KeyboardInterrupt
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", stopped)
        with pytest.raises(KeyboardInterrupt):
            make_evaluation(runs=PARTS["one seed"]).write(path)
    assert keys(read_evaluation(path)) == [("pretrained", 0, 0)]
    make_evaluation(runs=PARTS["more shots"]).write(path)
    assert keys(read_evaluation(path)) == [("pretrained", 0, 0), ("pretrained", 32, 0), ("pretrained", 32, 1)]
    assert read_samples(samples_path(path)).num_rows == 3 * 512


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (
            ("cells", 0, "metrics", "residual_mean"),
            0.5,
            r"residual_mean of pretrained, 0 shots, seed 0 is 0\.5, not 1\.3",
        ),
        (
            ("cells", 1, "metrics", "relative_l2_p95"),
            0.5,
            r"relative_l2_p95 of pretrained, 8 shots, seed 0 is 0\.5, not",
        ),
        (("runs", 0, "summary", "interval_low"), 0.1999, r"interval_low of pretrained, 0 shots is 0\.1999, not 0\.18"),
        (
            ("runs", 1, "summary", "interval_high"),
            0.1101,
            r"interval_high of pretrained, 8 shots is 0\.1101, not 0\.13",
        ),
        (
            ("runs", 0, "by_parameter", 1, "mean"),
            0.3,
            "by_parameter of pretrained, 0 shots is not what the samples give",
        ),
        (("runs", 0, "by_parameter", 1, "rows"), 3, "by_parameter of pretrained, 0 shots is not what the samples give"),
        (("runs", 0, "by_parameter"), [], "by_parameter of pretrained, 0 shots is not what the samples give"),
    ],
)
def test_derived_values_are_computed_anew_from_the_samples(tmp_path, place, value, words):
    path = tmp_path / "result.json"
    make_evaluation("helmholtz/in-domain").write(path)
    document = json.loads(path.read_text())
    *way, last = place
    inner = document
    for step in way:
        inner = inner[step]
    inner[last] = value
    path.write_text(json.dumps(document))
    with pytest.raises(PdefmError, match=words):
        read_evaluation(path)


@pytest.mark.parametrize("column", ["relative_l2", "parameter", "band_low"])
def test_one_altered_sample_is_noticed(tmp_path, column):
    path = tmp_path / "result.json"
    make_evaluation().write(path)
    table = read_samples(samples_path(path))
    values = table.column(column).to_numpy().copy()
    values[700] = values[700] * (1 + 1e-15) + 1e-300
    altered = table.set_column(table.schema.get_field_index(column), table.schema.field(column), [values])
    write_samples(altered, samples_path(path))
    with pytest.raises(PdefmError, match=r"does not hold the scores of result\.json \(pretrained, 8 shots, seed 0\)"):
        read_evaluation(path)


def test_without_samples_there_is_no_evaluation(tmp_path):
    make_evaluation().write(tmp_path / "result.json")
    samples_path(tmp_path / "result.json").unlink()
    with pytest.raises(UsageError, match="no per-sample scores"):
        read_evaluation(tmp_path / "result.json")


def test_the_score_by_omega_is_the_mean_over_the_rows_that_have_it():
    evaluation = make_evaluation("helmholtz/in-domain", runs=[make_run((0.1, 0.3))])
    frame = evaluation.samples.to_pandas()
    (run,) = evaluation.runs
    assert [each.parameter for each in run.by_parameter] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert sum(each.rows for each in run.by_parameter) == 512
    for each in run.by_parameter:
        rows = frame[frame["parameter"] == each.parameter]
        assert (each.rows, each.mean) == (len(rows) / 2, pytest.approx(rows["relative_l2"].mean()))
    assert make_evaluation("poisson/in-domain").runs[0].by_parameter == ()


def test_what_a_result_cannot_hold_goes_beside_it_and_nothing_is_lost(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(merging, "MOST_CELLS", 3)
    path = tmp_path / "result.json"
    assert make_evaluation(runs=[make_run((0.1, 0.2, 0.3))]).write(path) == path
    new = make_evaluation(runs=[make_run((0.1,), shots=32)])
    beside = new.write(path)
    assert beside != path
    assert (
        "result.json is full: two results of fno-poisson-1m on poisson/in-domain have 4 scores together" in caplog.text
    )
    assert keys(read_evaluation(path)) == [("pretrained", 8, seed) for seed in range(3)]
    assert keys(read_evaluation(beside)) == [("pretrained", 32, 0)]


@pytest.mark.parametrize("task", ["poisson/in-domain", "poisson-ood/hard", "advection-diffusion-ood/mild"])
def test_scores_by_parameter_are_refused_for_a_parameter_that_is_continuous(tmp_path, task):
    path = tmp_path / "result.json"
    make_evaluation(task).write(path)
    document = json.loads(path.read_text())
    document["runs"][0]["by_parameter"] = [{"parameter": 1.0, "rows": 512, "mean": 0.2}]
    path.write_text(json.dumps(document))
    with pytest.raises(PdefmError, match="by_parameter of pretrained, 0 shots is not what the samples give"):
        read_evaluation(path)


@pytest.mark.parametrize(("mean", "fits"), [(0.2, True), (0.3, False)])
def test_scores_by_parameter_of_a_system_that_is_not_here_are_held_to_the_samples(tmp_path, mean, fits):
    path = tmp_path / "result.json"
    made = make_evaluation("burgers/near")  # whose made parameters are all 0
    made.write(path)
    assert read_evaluation(path).result == made.result
    document = json.loads(path.read_text())
    for run in document["runs"]:
        error = mean if run["shots"] == 0 else run["summary"]["mean"]
        run["by_parameter"] = [{"parameter": 0.0, "rows": 512, "mean": error}]
    path.write_text(json.dumps(document))
    if fits:
        assert read_evaluation(path).runs[0].by_parameter[0].mean == 0.2
    else:
        with pytest.raises(PdefmError, match="by_parameter of pretrained, 0 shots is not what the samples give"):
            read_evaluation(path)
