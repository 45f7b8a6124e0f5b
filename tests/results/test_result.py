"""The result file: what it accepts, what it refuses and in which words, and that nothing is lost on the way."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from factories import DATE, DIGEST, make_dataset, make_environment, make_model, make_result, make_run
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.result import (
    Result,
    read_result,
    result_schema,
    result_text,
    write_result,
)

METRICS = ("cells", 0, "metrics")
ABSENT = object()
FAILED = {
    "start": "pretrained",
    "shots": 32,
    "seed": 1,
    "reason": "the prediction is not finite",
    "environment": make_environment().model_dump(),
    "date": "2026-01-31T12:00:00Z",
}
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


@settings(deadline=None)  # a result is made of all its samples
@given(st.lists(st.just(0.0) | st.floats(min_value=1e-80, max_value=1e80), min_size=1, max_size=4))
def test_scores_keep_their_last_digit(errors):
    result = make_result(runs=[make_run(errors)], test_rows=16)
    read = Result.model_validate_json(result_text(result), strict=True)
    assert [cell.metrics.relative_l2_mean for cell in read.cells] == errors
    assert read == result


def test_the_file_is_canonical(tmp_path):
    environment = make_environment(libraries={"torch": "2.5.1", "numpy": "2.1.0"})
    text = result_text(make_result(environment=environment))
    assert text == result_text(make_result())
    assert text.endswith("}\n")
    assert list(json.loads(text)) == list(Result.model_fields)
    write_result(make_result(), tmp_path / "result.json")
    assert (tmp_path / "result.json").read_bytes() == text.encode()


@pytest.mark.parametrize("method", ["closed", "Open", "unranked", "V1", "v0", "v01"])
def test_no_method_of_ones_own_passes_for_a_division(method):
    with pytest.raises(ValueError, match=r"method is .*, which would be taken for a division"):
        make_result(method=method)


def test_cells_are_in_one_order_however_they_were_put_together():
    made = [make_run(start=start, shots=n) for start, n in (("scratch", 32), ("pretrained", 32), ("scratch", 8))]
    runs = [*made, make_run((0.2,), shots=0)]
    assert result_text(make_result(runs=runs)) == result_text(make_result(runs=runs[::-1]))
    assert [(run.start, run.shots) for run in make_result(runs=runs).runs] == [
        ("pretrained", 0),
        ("scratch", 8),
        ("pretrained", 32),
        ("scratch", 32),
    ]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((*METRICS, "relative_l2_mean"), float("nan"), r"metrics\.relative_l2_mean: should be a finite number"),
        ((*METRICS, "residual_mean"), float("inf"), r"metrics\.residual_mean: should be a finite number"),
        ((*METRICS, "max_error_mean"), -0.5, r"metrics\.max_error_mean: .* greater than or equal to 0, not -0\.5"),
        ((*METRICS, "band_low_mean"), "0.1", r"band_low_mean: should be a valid number, not '0\.1'"),
        ((*METRICS, "band_mid_mean"), True, "band_mid_mean: should be a valid number, not True"),
        ((*METRICS, "relative_h1_mean"), ABSENT, r"cells\[0\]\.metrics\.relative_h1_mean is missing"),
        ((*METRICS, "relative_l2_median"), 9.0, "median is above relative_l2_p95"),
        (("surprise",), 1, "surprise is not a field of result schema 2.0"),
        (("schema_version",), "1.1", r"schema_version: should be '2\.0', not '1\.1'"),
        (("schema_version",), "one", r"schema_version: should be '2\.0', not 'one'"),
        (("schema_version",), ABSENT, "schema_version is missing"),
        (("protocol_version",), ABSENT, "protocol_version is missing"),
        (("protocol_version",), 0, "protocol_version: should be greater than or equal to 1"),
        (("track",), "medium", "track: unknown track 'medium'"),
        (("track",), "n100-rows512", "track: .*points a side must be 16"),
        (("track",), "n128-rows512", "not those of n128-rows512"),
        (("task",), "poisson/mild", "task is 'poisson/mild', but the dataset record says 'poisson/in-domain'"),
        (("test_rows",), 513, "test_rows is 513, but"),
        (("test_rows",), 1, "test_rows: should be greater than or equal to 2"),
        (("division",), "open", "division is 'open', but 'v1' is 'closed'"),
        (("method",), "paper", "division is 'closed', but 'paper' is 'unranked'"),
        (("method",), "mine", "division is 'closed', but 'mine' is 'open'"),
        (
            ("method_fingerprint",),
            DIGEST,
            "method_fingerprint should be null for 'v1', which the protocol's version tells",
        ),
        (("deterministic",), None, "deterministic: should be a valid boolean, not None"),
        (("cells", 0, "date"), "yesterday", "date: should be a valid datetime"),
        (("cells", 0, "date"), "2026-01-31T12:00:00", "date: should have timezone info"),
        (("cells", 0, "date"), "2026-01-31T12:00:00+02:00", "date: should be in UTC"),
        (("cells", 0, "seconds"), float("nan"), "seconds: should be a finite number"),
        (("cells", 0, "samples_sha256"), ABSENT, r"cells\[0\]\.samples_sha256 is missing"),
        (("cells", 0, "environment", "libraries", "numpy"), 2, "libraries.numpy: should be a valid string, not 2"),
        (("cells", 0, "environment", "threads"), 0, "threads: should be greater than or equal to 1, not 0"),
        (("cells", 0, "start"), "scratch", r"cells\[0\]: shots should be above 0"),
        (("cells", 0, "seed"), 1, r"cells\[0\]: seed should be 0, not 1: a zero-shot score has no other"),
        (("cells", 2, "seed"), 0, "should be distinct, but pretrained, 8 shots, seed 0 is there twice"),
        (("cells", 2, "seed"), -1, r"cells\[2\]\.seed: should be greater than or equal to 0"),
        (("cells",), [], "cells is empty, and no failure says why"),
        (("failures",), [FAILED, FAILED], "should be distinct, but pretrained, 32 shots, seed 1 is there twice"),
        (("failures",), [{**FAILED, "shots": 8}], "distinct, but pretrained, 8 shots, seed 1 is there twice"),
        (("failures",), [{**FAILED, "reason": ""}], r"failures\[0\]\.reason: should have at least 1 character"),
        (("runs", 0, "seeds"), [], r"runs\[0\]\.seeds: should have at least 1 item"),
        (
            ("runs", 1, "seeds"),
            [0, 1],
            r"seeds of pretrained, 8 shots are \[0, 1\], but those of the cells are",
        ),
        (("runs", 1, "shots"), 0, "runs should be those of the cells, pretrained with 0 shots and pretrained with 8"),
        (("runs",), [], "runs should be those of the cells, .* not none"),
        (("runs", 0, "summary", "mean"), 0.25, "mean 0.25 is outside"),
        (("runs", 1, "summary", "mean"), 0.1101, r"summary\.mean of .* is 0\.1101, but the cells give 0\.11"),
        (("runs", 1, "summary", "standard_deviation"), 0.5, r"summary\.standard_deviation of .* is 0\.5, but"),
        (("runs", 1, "summary", "digits"), 1.5, r"summary\.digits of .* is 1\.5, but the cells give 0\.958"),
        (("runs", 0, "summary", "standard_deviation"), 0.0, r"is 0\.0, but the cells give None"),
        (("runs", 0, "summary", "covers"), "seeds and samples", "but the cells give 'samples'"),
        (("model", "weights_sha256"), "abc", "model.weights_sha256: should be 64 lower-case hexadecimal digits"),
        (("model", "fingerprint"), "abc", "model.fingerprint: should be 64 lower-case hexadecimal digits"),
        (("model", "model_id"), "", "model_id: should have at least 1 character"),
        (("dataset", "version"), "1.0", "dataset.version: should be a semantic version"),
        (("dataset", "version"), "1.0.0\n", "dataset.version: should be a semantic version"),
        (("dataset", "origin"), "rows", "dataset: content_digest is missing"),
    ],
)
def test_a_bad_field_is_named_in_one_line(tmp_path, place, value, words):
    path = write_changed(tmp_path, place, value)
    with pytest.raises(PdefmError, match=words) as caught:
        read_result(path)
    assert str(caught.value).startswith(f"{path} is not a valid result: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["2.1", "2.10", "3.0"])
def test_a_file_of_a_newer_package_is_named_so_before_anything_else(tmp_path, version):
    path = write_changed(tmp_path, ("schema_version",), version)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({"a_new_field": 1, **document, "runs": "elsewhere"}))
    with pytest.raises(PdefmError, match=rf"written by a newer package: its result schema is {version}, .* upgrade"):
        read_result(path)


def test_a_result_may_consist_of_failures_alone(tmp_path):
    document = json.loads(result_text(make_result()))
    path = tmp_path / "failed.json"
    path.write_text(json.dumps({**document, "cells": [], "runs": [], "failures": [FAILED]}))
    result = read_result(path)
    assert (result.runs, result.failures[0].seed, result.date) == ((), 1, DATE)


def test_seeds_that_failed_are_known_by_run():
    failures = [{**FAILED, "shots": 8, "seed": seed} for seed in (4, 5)]
    result = make_result(failures=failures)
    assert [result.failed_seeds(run) for run in result.runs] == [(), (4, 5)]


def test_the_exported_schema_is_up_to_date():
    exported = ROOT / "leaderboard" / "schema" / "result-v2.json"
    assert exported.read_text(encoding="utf-8") == result_schema(), "run python scripts/export_schema.py"
    schema = json.loads(exported.read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(json.loads(result_text(make_result())))
    assert schema["properties"]["schema_version"]["const"] == "2.0"
    assert schema["$defs"]["ModelRecord"]["properties"]["weights_sha256"]["anyOf"][0]["pattern"] == "^[0-9a-f]{64}$"


def test_every_result_that_is_kept_here_can_be_read_with_its_samples():
    for path in sorted((ROOT / "leaderboard" / "results").rglob("*.json")):
        result = read_evaluation(path).result
        assert path.name.startswith(f"{result.task.replace('/', '--')}-{result.track}-")


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


@pytest.mark.parametrize(("factor", "accepted"), [(1 + 1e-12, True), (1 + 1e-8, False)])
def test_a_summary_may_differ_from_the_cells_by_rounding_alone(tmp_path, factor, accepted):
    path = write_changed(tmp_path, ("runs", 1, "summary", "mean"), 0.11 * factor)
    if accepted:
        assert read_result(path).runs[1].summary.mean == pytest.approx(0.11)
    else:
        with pytest.raises(PdefmError, match="the cells give"):
            read_result(path)


def test_a_result_tells_what_its_cells_were_computed_with_the_newest_first():
    cells = make_result(runs=[make_run()]).cells
    changed = [
        cell.model_copy(update={"environment": make_environment(device=device), "date": DATE + timedelta(days=day)})
        for cell, device, day in zip(cells, ("a", "b", "a"), (0, 2, 1), strict=True)
    ]
    result = make_result(runs=[make_run()]).model_copy(update={"cells": tuple(changed)})
    assert [environment.device for environment in result.environments] == ["b", "a"]
    assert (result.date, result.seconds) == (DATE + timedelta(days=2), 37.5)


def test_results_cannot_be_changed_after_they_were_checked():
    with pytest.raises(ValidationError, match="frozen"):
        make_result().track = "full"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_result(make_result(), path)
    before = path.read_text()

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(PdefmError, match=r"cannot write .*result\.json: No space left on device"):
        write_result(make_result(seconds=99.0), path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
