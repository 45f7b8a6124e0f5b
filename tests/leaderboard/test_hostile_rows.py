"""What strangers send with a row, through `verify`: refused with its reason, and no record is left."""

import json
import re
import shutil
import struct

import pyarrow as pa
import pytest
from falsified import put

from pdebench_fm.data.training_manifest import TrainingManifest
from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.leaderboard import recompute
from pdebench_fm.leaderboard.records import badge_of, read_record
from pdebench_fm.leaderboard.submission import Submitter, named
from pdebench_fm.leaderboard.verification import Depth, verify
from pdebench_fm.models import load_model
from pdebench_fm.models.sources import source_in
from pdebench_fm.protocol.methods import OWN_METHODS
from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.results.contamination import contamination_of
from pdebench_fm.results.evaluation import Evaluation
from pdebench_fm.results.paths import row_path
from pdebench_fm.results.result import read_result
from pdebench_fm.results.samples import samples_digest, summarise

TASK = "poisson-ood/hard"
WEIGHTS = "acme/solver@" + "0123456789" * 4


@pytest.fixture(scope="module")
def scored(model_folder):
    found = evaluate(load_model(model_folder), TASK, track="lite", device="cpu")
    return named(found, Submitter("acme", "acme/solver", weights_at=WEIGHTS))


@pytest.fixture
def held(model_folder, tmp_path, monkeypatch):
    """The folder of the model that the Hub has, which a test may spoil."""
    folder = shutil.copytree(model_folder, tmp_path / "held")

    def on_hub(name, commit, token):
        assert (f"{name}@{commit}", token) == (WEIGHTS, False)
        return source_in(folder, name, commit)

    monkeypatch.setattr(recompute, "source_on_hub", on_hub)
    return folder


def board_of(tmp_path, evaluation):
    return put(evaluation, tmp_path / "board" / row_path(evaluation.result))


def at(place, value):
    """Put a value, as it stands in JSON, at a place of a result's text."""

    def change(text):
        found = re.search(rf'"{place}": [^,\n]+', text)
        return text[: found.start()] + f'"{place}": {value}' + text[found.end() :]

    return change


JSON = {
    "a key twice": (
        lambda text: text.replace('"task":', '"task": "poisson-ood/mild", "task":', 1),
        "holds 'task' twice",
    ),
    "NaN": (at("relative_l2_mean", "NaN"), "relative_l2_mean"),
    "infinity": (at("relative_l2_mean", "Infinity"), "relative_l2_mean"),
    "minus infinity": (at("relative_l2_mean", "-Infinity"), "relative_l2_mean"),
    "a number above all floats": (at("relative_l2_mean", "1e999"), "relative_l2_mean"),
    "a negative score": (at("relative_l2_mean", "-0.1"), "relative_l2_mean"),
    "a count of 9,000 digits": (at("parameters", "9" * 9000), "is not a valid result"),
    "a count above all floats' whole numbers": (at("parameters", str(2**53)), "parameters"),
    "nested without end": (at("family", "[" * 50_000), "is not a valid result"),
    "a graph in another folder": (at("graph", '{"file": "../../x.onnx", "sha256": "' + "ab" * 32 + '"}'), "graph.file"),
    "a graph at a whole path": (at("graph", '{"file": "/etc/x.onnx", "sha256": "' + "ab" * 32 + '"}'), "graph.file"),
    "a graph of another kind": (at("graph", '{"file": "x.pkl", "sha256": "' + "ab" * 32 + '"}'), "graph.file"),
}


@pytest.mark.parametrize("kind", JSON)
def test_a_hostile_result_is_refused(kind, tmp_path, scored):
    change, words = JSON[kind]
    path = board_of(tmp_path, scored)
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    (row,) = verify([str(tmp_path / "board")], Depth(recompute=True)).rows
    assert row.refusal.startswith("content: ")
    assert words in row.refusal
    assert len(row.refusal) < 600
    assert not (tmp_path / "board" / "verified").exists()


def _leaves(content, place=()):
    """The place of each text in JSON."""
    if isinstance(content, str):
        yield place
    elif isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _leaves(value, (*place, key))


def test_no_text_of_a_row_can_turn_a_line_around_or_break_it(tmp_path, scored):
    """Whatever field it is in: such a row is no result, so nothing of it gets anywhere."""
    path = board_of(tmp_path, scored)
    content = json.loads(path.read_text())
    content["model"] |= {"family": "x", "size": "x", "code_url": "https://x.org/", "weights_at": WEIGHTS}
    content["dataset"] |= {"location": "x", "revision": "x"}
    places = list(_leaves(content))
    assert len(places) > 30
    for place in places:
        for mark in ("\u202e", "\u2066", "\x1b[2J", "\n", "\u2028"):
            altered = json.loads(json.dumps(content))
            *parents, last = place
            owner = altered
            for each in parents:
                owner = owner[each]
            owner[last] += mark
            path.write_text(json.dumps(altered, ensure_ascii=False))
            with pytest.raises(PdefmError) as refused:
                read_result(path)
            assert mark not in str(refused.value), place


def configured(**changes):
    def spoil(folder):
        content = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(content | changes))

    return spoil


def with_header(change):
    """Write the weights' header anew, as `change` makes it of the old one, before the same data."""

    def spoil(folder):
        path = folder / "model.safetensors"
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        text = json.dumps(change(header)).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return spoil


def of_one(**changes):
    """Change what the header says of its first tensor, by its entry."""

    def change(header):
        name = min(header, key=lambda each: header[each]["data_offsets"][0])
        return header | {name: header[name] | {key: make(header[name]) for key, make in changes.items()}}

    return with_header(change)


def overlapping(header):
    first, second = [name for name in header if name.endswith("weight")][:2]
    return header | {second: header[second] | {"data_offsets": header[first]["data_offsets"]}}


def gap(header):
    """The last tensor begins, and ends, a little later than it could."""
    last = max(header, key=lambda each: header[each]["data_offsets"][0])
    begin, end = header[last]["data_offsets"]
    return header | {last: header[last] | {"data_offsets": [begin + 4, end + 4]}}


def long_header(folder):
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 3 * 2**30) + b"{")
        file.truncate(4 * 2**30)


def longer_than_the_file(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 10**6) + b"{}")


def pickled(folder):
    (folder / "model.safetensors").write_bytes(
        b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00cposix\nsystem\nX\x02\x00\x00\x00idR."
    )


def zipped(folder):
    (folder / "model.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))


def half(header):
    return {
        name: entry | {"dtype": "F16", "data_offsets": [offset // 2 for offset in entry["data_offsets"]]}
        for name, entry in header.items()
    }


FILES = {
    "a million channels": (configured(width=10**6), "'width': Input should be less than or equal to 4096"),
    "a million layers": (configured(layers=10**6), "'layers': Input should be less than or equal to 64"),
    "more than fits": (configured(width=4096, modes=1024, layers=64), "parameters: should be at most 4,000,000,000"),
    "large": (configured(width=512, modes=16), "does not fit its config.json: tensor"),
    "another shape": (of_one(shape=lambda entry: [1, *entry["shape"]]), "does not fit its config.json: tensor"),
    "a shape above all numbers": (of_one(shape=lambda _: [2**40, 2**40]), "not a complete safetensors file"),
    "a shape of other size": (of_one(shape=lambda entry: [2, *entry["shape"]]), "not a complete safetensors file"),
    "overlapping offsets": (with_header(overlapping), "not a complete safetensors file"),
    "a gap between offsets": (with_header(gap), "not a complete safetensors file"),
    "offsets backwards": (
        of_one(data_offsets=lambda entry: entry["data_offsets"][::-1]),
        "not a complete safetensors file",
    ),
    "offsets beyond the file": (
        of_one(data_offsets=lambda entry: [offset + 2**62 for offset in entry["data_offsets"]]),
        "not a complete safetensors file",
    ),
    "an unknown dtype": (of_one(dtype=lambda _: "F33"), "not a complete safetensors file"),
    "half precision": (with_header(half), "not a complete safetensors file"),
    "a long header": (long_header, "its header has 3.2 GB, of at most 1.0 MB"),
    "a header longer than the file": (longer_than_the_file, "has no safetensors header"),
    "a pickle renamed": (pickled, "has no safetensors header; only safetensors weights are loaded"),
    "a zip of pickles renamed": (zipped, "has no safetensors header; only safetensors weights are loaded"),
}


@pytest.mark.parametrize("kind", FILES)
def test_hostile_weights_are_refused_before_they_are_read(kind, tmp_path, scored, held, monkeypatch):
    spoil, words = FILES[kind]
    spoil(held)
    monkeypatch.setattr("pdebench_fm.models.operator.read_weights", lambda *_: pytest.fail("they were read"))
    board_of(tmp_path, scored)
    (row,) = verify([str(tmp_path / "board")], Depth(recompute=True)).rows
    assert row.refusal.startswith("recomputed: ")
    assert words in row.refusal
    assert len(row.refusal) < 600
    assert not (tmp_path / "board" / "verified").exists()


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("name", ["relative_h1", "residual", "max_error", "band_low"])
def test_other_metrics_than_the_score_are_those_of_the_model_too(name, tmp_path, scored):
    columns = {each: scored.samples.column(each).to_numpy() for each in (name, "relative_l2", "band_mid", "band_high")}
    if name == "band_low":  # all of the error there: the squares of the bands still add up
        changed = {name: columns["relative_l2"]} | dict.fromkeys(("band_mid", "band_high"), 0.0 * columns[name])
    else:
        changed = {name: 0.5 * columns[name]}
    samples = scored.samples
    for column, values in changed.items():
        samples = samples.set_column(samples.schema.get_field_index(column), column, pa.array(values))
    errors = {each: samples.column(each).to_numpy() for each in METRIC_NAMES}
    cell = scored.result.cells[0]
    cell = cell.model_copy(update={"metrics": summarise(errors), "samples_sha256": samples_digest(samples)})
    result = scored.result.model_copy(update={"cells": (cell,)})
    board_of(tmp_path, Evaluation(result, samples))
    (row,) = verify([str(tmp_path / "board")]).rows
    assert not row.refusal
    (row,) = verify([str(tmp_path / "board")], Depth(recompute=True)).rows
    first = "band_mid" if name == "band_low" else name
    assert re.search(rf"^recomputed: .*its mean {first} is \S+, and \S+ when it is run again$", row.refusal)


def test_a_model_of_this_package_states_the_rows_that_it_was_trained_on(tmp_path):
    found = evaluate("fno-mixed-64k", "poisson/in-domain", track="lite", device="cpu")
    assert found.result.contamination.regime == "seen"
    forged = found.result.model.model_copy(update={"training": TrainingManifest()})
    rows = found.result.dataset.scored_rows(found.result.test_rows)
    labels = contamination_of(forged.training, rows, found.samples.column("parameter").to_numpy())
    changed = found.result.model_copy(update={"model": forged, "contamination": labels})
    board_of(tmp_path, Evaluation(changed, found.samples))
    (row,) = verify([str(tmp_path / "board")]).rows
    assert row.refusal == "pinned: it states other training rows than those that fno-mixed-64k was trained on"


@pytest.mark.parametrize("method", OWN_METHODS)
def test_models_adapted_by_the_packages_own_methods_are_adapted_again(method, tmp_path, held, monkeypatch):
    monkeypatch.setitem(OWN_METHODS, method, OWN_METHODS[method].shortened(3))
    found = evaluate(load_model(held), TASK, 8, track="lite", device="cpu", seeds=1, scratch=False, adaptation=method)
    scored = named(found, Submitter("acme", "acme/solver", weights_at=WEIGHTS))
    path = board_of(tmp_path, scored)
    (row,) = verify([str(tmp_path / "board")], Depth(recompute=True)).rows
    assert not row.refusal
    assert [(each.difference, each.adaptation) for each in row.reruns] == [(0.0, "verified")]
    record = read_record(tmp_path / "board", path.relative_to(tmp_path / "board"))
    assert badge_of(scored.result, scored.result.runs[0], record) == "reproduced"
    monkeypatch.setitem(OWN_METHODS, method, OWN_METHODS[method].shortened(2))  # another method of that name
    (row,) = verify([str(tmp_path / "board")], Depth(recompute=True)).rows
    assert f"can be ranked: its method '{method}' is this package's, whose fingerprint is" in row.refusal
