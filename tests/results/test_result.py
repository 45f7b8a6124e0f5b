"""The result file: what it accepts, what it refuses and in which words, and that nothing is lost on the way."""

import json
import os
import statistics
from pathlib import Path

import pytest
from factories import make_dataset, make_environment, make_metrics, make_model, make_result, make_run
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.results.result import (
    Result,
    SeedScores,
    Summary,
    read_result,
    result_schema,
    result_text,
    write_result,
)

METRICS = ("runs", 0, "seeds", 0, "metrics")
ABSENT = object()
FAILED = {"start": "pretrained", "shots": 32, "seed": 1, "reason": "the prediction is not finite"}
ROOT = Path(__file__).parents[2]


def write_changed(folder: Path, place: tuple, value) -> Path:
    """Write a valid result file in which one place holds another value (or is absent)."""
    document = json.loads(result_text(make_result()))
    *way, last = place
    inner = document
    for step in way:
        inner = inner[step]
    if value is ABSENT:
        del inner[last]
    else:
        inner[last] = value
    path = folder / "changed.json"
    path.write_text(json.dumps(document))
    return path


def test_a_result_is_the_same_after_writing_and_reading(tmp_path):
    result = make_result(
        "helmholtz-ood/hard",
        model=make_model("org/name", revision=None, weights_sha256=None, parameters=None),
        dataset=make_dataset(
            "helmholtz-ood/hard", origin="rows", content_digest="ab" * 32, location="org/data", revision="v1.0.0"
        ),
        runs=(make_run((0.3,), shots=0), make_run((0.2, 0.4)), make_run((0.5, 0.7), start="scratch")),
    )
    write_result(result, tmp_path / "new" / "result.json")
    assert read_result(tmp_path / "new" / "result.json") == result


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=4))
def test_scores_keep_their_last_digit(errors):
    read = Result.model_validate_json(result_text(make_result(runs=[make_run(errors)])), strict=True)
    assert [scores.metrics.relative_l2_mean for scores in read.runs[0].seeds] == errors


def test_the_file_is_canonical(tmp_path):
    environment = make_environment(libraries={"torch": "2.5.1", "numpy": "2.1.0"})
    text = result_text(make_result(environment=environment))
    assert text == result_text(make_result())
    assert text.endswith("}\n")
    assert list(json.loads(text)) == list(Result.model_fields)
    write_result(make_result(), tmp_path / "result.json")
    assert (tmp_path / "result.json").read_bytes() == text.encode()


def test_a_list_is_accepted_where_the_object_holds_a_tuple():
    assert make_result(runs=[make_run()]).runs == (make_run(),)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((*METRICS, "relative_l2_mean"), float("nan"), r"metrics\.relative_l2_mean: should be a finite number"),
        ((*METRICS, "residual_mean"), float("inf"), r"metrics\.residual_mean: should be a finite number"),
        ((*METRICS, "max_error_mean"), -0.5, r"metrics\.max_error_mean: .* greater than or equal to 0, not -0\.5"),
        ((*METRICS, "band_low_mean"), "0.1", r"band_low_mean: should be a valid number, not '0\.1'"),
        ((*METRICS, "band_mid_mean"), True, "band_mid_mean: should be a valid number, not True"),
        ((*METRICS, "relative_h1_mean"), ABSENT, r"runs\[0\]\.seeds\[0\]\.metrics\.relative_h1_mean is missing"),
        ((*METRICS, "relative_l2_median"), 9.0, "median is above relative_l2_p95"),
        (("surprise",), 1, "surprise is not a field of result schema 1.1"),
        (("schema_version",), "0.9", r"schema_version: should be '1\.0' or '1\.1', not '0\.9'"),
        (("schema_version",), "one", r"schema_version: should be '1\.0' or '1\.1', not 'one'"),
        (("schema_version",), ABSENT, "schema_version is missing"),
        (("protocol_version",), ABSENT, "protocol_version is missing"),
        (("protocol_version",), 0, "protocol_version: should be greater than or equal to 1"),
        (("track",), "medium", "track: should be 'full' or 'lite', not 'medium'"),
        (("task",), "poisson/mild", "task is 'poisson/mild', but the dataset record says 'poisson/in-domain'"),
        (("test_rows",), 513, "test_rows is 513, but"),
        (("date",), "yesterday", "date: should be a valid datetime"),
        (("date",), "2026-01-31T12:00:00", "date: should have timezone info"),
        (("date",), "2026-01-31T12:00:00+02:00", "date: should be in UTC"),
        (("wall_seconds",), float("nan"), "wall_seconds: should be a finite number"),
        (("runs",), [], "runs is empty, and no failure says why"),
        (("failures",), [FAILED, FAILED], "failures should be distinct .* unlike pretrained, 32 shots, seed 1"),
        (("failures",), [{**FAILED, "shots": 8}], "without scores, unlike pretrained, 8 shots, seed 1"),
        (("failures",), [{**FAILED, "reason": ""}], r"failures\[0\]\.reason: should have at least 1 character"),
        (("runs", 0, "seeds"), [], r"runs\[0\]\.seeds: should have at least 1 item"),
        (("runs", 1, "shots"), 0, "runs should be distinct, but pretrained with 0 shots is there twice"),
        (("runs", 0, "start"), "scratch", r"runs\[0\]: shots should be above 0"),
        (("runs", 0, "seeds", 0, "seed"), 1, r"runs\[0\]: seeds should be distinct, but 1 is there twice"),
        (("runs", 0, "summary", "mean"), 0.25, "mean 0.25 is outside"),
        (("runs", 1, "summary", "mean"), 0.1101, r"summary\.mean is 0\.1101, but the seeds give 0\.11"),
        (("runs", 1, "summary", "standard_deviation"), 0.5, r"summary\.standard_deviation is 0\.5, but"),
        (("model", "weights_sha256"), "abc", "model.weights_sha256: should be 64 lower-case hexadecimal digits"),
        (("model", "model_id"), "", "model_id: should have at least 1 character"),
        (("dataset", "version"), "1.0", "dataset.version: should be a semantic version"),
        (("dataset", "version"), "1.0.0\n", "dataset.version: should be a semantic version"),
        (("dataset", "origin"), "rows", "dataset: content_digest is missing"),
        (("environment", "libraries", "numpy"), 2, "environment.libraries.numpy: should be a valid string, not 2"),
        (("environment", "threads"), 0, "environment.threads: should be greater than or equal to 1, not 0"),
    ],
)
def test_a_bad_field_is_named_in_one_line(tmp_path, place, value, words):
    path = write_changed(tmp_path, place, value)
    with pytest.raises(PdefmError, match=words) as caught:
        read_result(path)
    assert str(caught.value).startswith(f"{path} is not a valid result: ")
    assert "\n" not in str(caught.value)


def test_files_of_the_older_minor_version_are_read_as_the_newest(tmp_path):
    document = json.loads(result_text(make_result()))
    for field in ("failures", "deterministic"):
        del document[field]
    document["schema_version"] = "1.0"
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document))
    assert read_result(path) == make_result()
    path.write_text(json.dumps({**document, "failures": []}))
    with pytest.raises(PdefmError, match=r"failures is not a field of result schema 1\.0"):
        read_result(path)


@pytest.mark.parametrize("version", ["1.2", "1.10", "2.0"])
def test_a_file_of_a_newer_package_is_named_so_before_anything_else(tmp_path, version):
    path = write_changed(tmp_path, ("schema_version",), version)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({"a_new_field": 1, **document, "runs": "elsewhere"}))
    with pytest.raises(PdefmError, match=rf"written by a newer package: its result schema is {version}, .* upgrade"):
        read_result(path)


def test_a_result_may_consist_of_failures_alone(tmp_path):
    document = json.loads(result_text(make_result()))
    path = tmp_path / "failed.json"
    path.write_text(json.dumps({**document, "runs": [], "failures": [FAILED]}))
    result = read_result(path)
    assert (result.runs, result.failures[0].seed) == ((), 1)


def test_seeds_that_failed_are_known_by_run():
    failures = [{**FAILED, "shots": 8, "seed": seed} for seed in (4, 5)]
    result = make_result(failures=failures)
    assert [result.failed_seeds(run) for run in result.runs] == [(), (4, 5)]


def test_the_exported_schema_is_up_to_date():
    exported = ROOT / "leaderboard" / "schema" / "result-v1.json"
    assert exported.read_text(encoding="utf-8") == result_schema(), "run python scripts/export_schema.py"
    schema = json.loads(exported.read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(json.loads(result_text(make_result())))
    assert schema["properties"]["schema_version"]["enum"] == ["1.0", "1.1"]
    assert schema["$defs"]["ModelRecord"]["properties"]["weights_sha256"]["anyOf"][0]["pattern"] == "^[0-9a-f]{64}$"


def test_every_result_that_is_kept_here_can_be_read():
    paths = sorted((ROOT / "leaderboard" / "results").rglob("*.json"))
    assert len(paths) >= 12
    assert {read_result(path).schema_version for path in paths} == {"1.1"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\ufeff{}", "[" * 10_000])
def test_what_is_not_a_json_object_is_refused(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PdefmError, match=r"bad\.json is not a valid result: "):
        read_result(path)


def test_what_is_not_text_is_refused(tmp_path):
    path = tmp_path / "bad.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PdefmError, match="not UTF-8 text"):
        read_result(path)


def test_a_missing_file_is_the_callers_mistake(tmp_path):
    with pytest.raises(UsageError, match=r"no result file at .*gone\.json"):
        read_result(tmp_path / "gone.json")


def test_a_summary_may_differ_from_the_seeds_by_rounding_alone():
    errors = (0.1, 0.2, 0.4)
    exact = statistics.fmean(errors)

    def run(factor):
        deviation = statistics.stdev(errors)
        return make_run(
            errors,
            summary=Summary(mean=exact * factor, standard_deviation=deviation, interval_low=0.1, interval_high=0.4),
        )

    assert run(1 + 1e-12).summary.mean == pytest.approx(exact)
    with pytest.raises(ValidationError, match="the seeds give"):
        run(1 + 1e-8)


def test_results_cannot_be_changed_after_they_were_checked():
    with pytest.raises(ValidationError, match="frozen"):
        make_result().track = "full"


def test_a_seed_is_never_negative():
    with pytest.raises(ValidationError, match="seed"):
        SeedScores(seed=-1, metrics=make_metrics(0.1))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_result(make_result(), path)
    before = path.read_text()

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(PdefmError, match=r"cannot write .*result\.json: No space left on device"):
        write_result(make_result(wall_seconds=99.0), path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
