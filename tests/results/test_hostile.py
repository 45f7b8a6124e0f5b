"""Results that would break whatever is made of them are refused where they enter, and what is at the bounds is not."""

import json
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import make_evaluation, make_model, make_result, make_run, put_on, write_made

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.site import build_site
from pdebench_fm.plots.draw import draw
from pdebench_fm.results.compare import compare
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.result import ModelRecord, read_result, result_text
from pdebench_fm.results.samples import samples_digest, samples_path

pytestmark = pytest.mark.usefixtures("bare_names_are_shipped")


def document(**changes):
    return json.loads(result_text(make_result(runs=[make_run((0.1, 0.11, 0.12))]))) | changes


def at(place, value):
    """A valid result in which one place holds another value."""
    made = document()
    *way, last = place
    inner = made
    for step in way:
        inner = inner[step]
    inner[last] = value
    return json.dumps(made)


def text_with(old, new):
    text = json.dumps(document())
    assert old in text
    return text.replace(old, new, 1)


FAILURE = {
    "start": "scratch",
    "shots": 8,
    "seed": 0,
    "reason": "no",
    "environment": document()["cells"][0]["environment"],
    "date": "2026-01-31T12:00:00Z",
}
SCORE = ("cells", 0, "metrics", "relative_h1_mean")

HOSTILE = {
    "a count of 400 digits": (lambda: text_with('"parameters": 1060000', f'"parameters": 1{"0" * 400}'), "parameters"),
    "a count of 9000 digits": (lambda: text_with('"parameters": 1060000', f'"parameters": {"9" * 9000}'), "number"),
    "a count above all floats' whole numbers": (lambda: at(("model", "parameters"), 2**53), "parameters"),
    "shots above 64 bits": (lambda: at(("cells", 0, "shots"), 2**64), "shots"),
    "a protocol of 300 digits": (lambda: at(("protocol_version",), 10**300), "protocol_version"),
    "threads of 300 digits": (lambda: at(("cells", 0, "environment", "threads"), 10**300), "threads"),
    "a version of 5000 digits": (lambda: at(("dataset", "version"), f"1.{'2' * 5000}.0"), "version"),
    "a schema of 5000 digits": (lambda: at(("schema_version",), f"{'2' * 5000}.0"), "schema_version"),
    "a score whose sums overflow": (lambda: at(SCORE, 1e308), "relative_h1_mean: should be 0, or from 1e-100"),
    "a score that is no normal number": (lambda: at(SCORE, 5e-324), "relative_h1_mean: should be 0, or from 1e-100"),
    "a score above all floats": (lambda: text_with('"seconds": 12.5', '"seconds": 1e999'), "finite"),
    "seconds for ever": (lambda: at(("cells", 0, "seconds"), 1e300), "seconds"),
    "an end of an interval that overflows": (lambda: at(("runs", 0, "summary", "interval_high"), 1e308), "interval_h"),
    "a key twice": (lambda: text_with('"task":', '"task": "poisson-ood/hard", "task":'), "holds 'task' twice"),
    "a key twice, far inside": (lambda: text_with('"device":', '"device": "x", "device":'), "holds 'device' twice"),
    "NaN": (lambda: at(SCORE, math.nan), "finite"),
    "infinity": (lambda: at(SCORE, math.inf), "finite"),
    "minus infinity": (lambda: at(SCORE, -math.inf), "finite"),
    "too many cells": (lambda: at(("cells",), document()["cells"] * 400), "cells: should have at most 1000"),
    "too many failures": (
        lambda: at(("failures",), [FAILURE | {"seed": i} for i in range(10_000)]),
        "failures: should have at most 1000",
    ),
    "a hundred thousand failures": (
        lambda: at(("failures",), [FAILURE | {"seed": i} for i in range(100_000)]),
        "is too large",
    ),
    "50 MB of spaces": (lambda: json.dumps(document()) + " " * 50_000_000, "is too large"),
    "too many libraries": (
        lambda: at(("cells", 0, "environment", "libraries"), {str(i): "1" for i in range(10_000)}),
        "libraries",
    ),
    "nested without end": (lambda: text_with('"family": "poisson"', f'"family": {"[" * 10_000}'), "recursion"),
    "a name that colours a terminal": (lambda: at(("model", "model_id"), "a\x1b[31mb"), r"not 'a\x1b[31mb'"),
    "a name of two lines": (lambda: at(("model", "model_id"), "a\nb"), "control characters"),
    "a name that turns around": (lambda: at(("model", "model_id"), "a\u202egpj.exe"), r"not 'a\u202egpj.exe'"),
    "a name in pieces": (lambda: at(("model", "model_id"), "re\u0301sume\u0301"), "normal form NFC"),
    "a library that beeps": (lambda: at(("cells", 0, "environment", "libraries"), {"a\x07": "1"}), "control"),
    "a name of half a character": (lambda: text_with('"v1.0.0"', '"\\ud800"'), ""),
    "an unknown key of a megabyte": (lambda: at(("\x1b" * 1_000_000,), 1), "is not a field of result schema"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_result_is_refused_and_page_and_plot_go_on_without_it(kind, tmp_path):
    make, words = HOSTILE[kind]
    good, bad = tmp_path / "in" / "good.json", tmp_path / "in" / "bad.json"
    write_made(make_result(), good)
    samples_path(bad).write_bytes(samples_path(good).read_bytes())
    bad.write_text(make(), encoding="utf-8")
    with pytest.raises(PdefmError, match=r"bad\.json") as refused:
        read_result(bad)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 1000
    with pytest.raises(PdefmError, match=r"bad\.json"):
        put_on([bad], tmp_path / "board")
    assert not (tmp_path / "board").exists()
    (row,) = put_on([good], tmp_path / "board")
    row.with_name("bad.json").write_bytes(bad.read_bytes())
    notes = []
    site = build_site(tmp_path / "board", tmp_path / "site", notes.append).parent
    assert "fno-poisson-1m" in (site / "leaderboard.json").read_text()
    assert len(notes) == 1
    drawing = draw([tmp_path / "in"], "shots", tmp_path / "picture.svg")
    assert len(drawing.notes) == 1
    ET.parse(tmp_path / "picture.svg")  # noqa: S314 (which was written here)


@pytest.mark.parametrize("error", [1e-80, 1e-30, 3.0, 1e30, 1e80])
def test_scores_within_the_bounds_can_be_compared_ranked_and_drawn(error, tmp_path):
    runs = [
        make_run((error,), shots=0),
        *(make_run((error, 1.1 * error, 2 * error), start) for start in ("scratch", "pretrained")),
    ]
    small = make_model("small", weights_sha256="ab" * 32, fingerprint="ab" * 32)
    write_made(make_result(runs=runs), tmp_path / "in" / "one.json")
    write_made(
        make_result(model=small, runs=[make_run((1.0,), shots=0), make_run((0.5,))]), tmp_path / "in" / "two.json"
    )
    rows = put_on([tmp_path / "in"], tmp_path / "board")
    build_site(tmp_path / "board", tmp_path / "site")
    for difference in compare(*rows).differences:
        assert all(map(math.isfinite, (difference.low, difference.high)))
        assert difference.low < difference.mean < difference.high
    for kind, suffix in (("shots", "svg"), ("sizes", "svg"), ("regimes", "html")):
        draw([tmp_path / "in"], kind, tmp_path / f"{kind}.{suffix}")


@pytest.mark.parametrize("name", ["x.json", "x.JSON", "x.samples.parquet", "con", "aux.1", "x.git", "org/nul"])
def test_a_model_named_like_something_else_is_refused(name, tmp_path):
    write_made(make_result(model=name), tmp_path / "in.json")
    with pytest.raises(UsageError, match="programs take it for something else"):
        put_on([tmp_path / "in.json"], tmp_path / "board")
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize("names", [("acme/solver", "acme/Solver"), ("acme/solver", "Acme/other")])
def test_names_that_differ_by_case_alone_are_refused(names, tmp_path):
    for i, name in enumerate(names):
        write_made(make_result(model=name), tmp_path / "in" / f"{i}.json")
    with pytest.raises(UsageError, match="differ in upper and lower case alone"):
        put_on([tmp_path / "in"], tmp_path / "board")
    assert not (tmp_path / "board").exists()
    put_on([tmp_path / "in" / "0.json"], tmp_path / "board")
    with pytest.raises(UsageError, match="differ in upper and lower case alone"):
        put_on([tmp_path / "in" / "1.json"], tmp_path / "board")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("relative_l2", 1e308, "relative_l2 should be 0, or from 1e-90 to 1e\\+90"),
        ("residual", 5e-324, "residual should be"),
        ("band_low", -1.0, "band_low should be"),
        ("max_error", math.nan, "max_error should be"),
        ("max_error", math.inf, "max_error should be"),
        ("parameter", math.nan, "a parameter is not finite"),
        ("index", 77, "not those of a test split from 0 to 511"),
    ],
)
def test_per_sample_scores_that_cannot_be_are_refused(column, value, words, tmp_path):
    made = make_evaluation(runs=[make_run((0.2,), shots=0)])
    values = made.samples.column(column).to_numpy().copy()
    values[3] = value
    place = made.samples.schema.get_field_index(column)
    samples = made.samples.set_column(place, column, pa.array(values))
    made.write(tmp_path / "x.json")
    pq.write_table(samples, tmp_path / "x.samples.parquet")
    (cell,) = json.loads((tmp_path / "x.json").read_text())["cells"]
    text = (tmp_path / "x.json").read_text()
    (tmp_path / "x.json").write_text(text.replace(cell["samples_sha256"], samples_digest(samples.sort_by("index"))))
    with pytest.raises(PdefmError, match=words):
        read_evaluation(tmp_path / "x.json")


def test_rows_in_any_order_are_the_same_scores(tmp_path):
    made = make_evaluation(runs=[make_run((0.2,), shots=0), make_run(), make_run((0.3, 0.4), "scratch", 128)])
    made.write(tmp_path / "x.json")
    mixed = made.samples.take(np.random.default_rng(0).permutation(made.samples.num_rows))
    pq.write_table(mixed, tmp_path / "x.samples.parquet")
    assert read_evaluation(tmp_path / "x.json") == made == Evaluation(made.result, made.samples)


def test_what_this_package_says_itself_is_made_so_that_it_can_be_shown(tmp_path):
    failure = {"start": "scratch", "shots": 8, "seed": 0, "reason": "\x1b[31mno\u202e\r\n" + "\x00" * 290}
    result = make_result(model="mode\u0301l\x07", failures=[failure])
    assert result.model.model_id == "mod\xe9l\\x07"
    assert result.failures[0].reason.startswith(r"\x1b[31mno\u202e\r\n\x00")
    write_made(result, tmp_path / "x.json")
    assert read_result(tmp_path / "x.json") == result


def test_a_model_id_is_kept_as_it_is_in_every_script():
    for name in ("模型", "مدل", "mod\xe9l", "Ψ-net", "a b"):
        assert (
            ModelRecord(model_id=name, revision=None, weights_sha256=None, fingerprint=None, parameters=1).model_id
            == name
        )


def test_pictures_of_extreme_names_are_whole(tmp_path, recwarn):
    write_made(make_result(model="模型 <b>&'\" $x_1$ \\"), tmp_path / "in" / "x.json")
    for suffix in ("svg", "png", "html"):
        draw([tmp_path / "in"], "shots", tmp_path / f"x.{suffix}")
    ET.parse(tmp_path / "x.svg")  # noqa: S314 (which was written here)
    assert not [str(warning.message) for warning in recwarn if "Glyph" in str(warning.message)]
    assert not re.search("<b>&'", (tmp_path / "x.html").read_text())
