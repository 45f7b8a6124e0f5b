"""Stored rows are handed out only if they are the rows that their dataset, regime, split and place say they are."""

import dataclasses
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from altered import redigest, rehash, rewrite, update_manifest
from described import ALICE
from hub_server import run_client

from pdebench_fm.cli import main
from pdebench_fm.data import stored
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.data.rows import ShardWriter
from pdebench_fm.data.stored import open_split
from pdebench_fm.data.verification.before_use import AlteredRowsError
from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.models import load_model
from pdebench_fm.physics import SampleKey, sample
from pdebench_fm.protocol.task import load_task

TASK = "helmholtz-ood/medium"
TEST = "medium/test-00000-of-00001.parquet"
TRAIN = "medium/train-00000-of-00001.parquet"
COLUMNS = ("index", "source", "solution", "coefficients", "parameter", "sparsity", "weights")


def rows_of(folder, split="test"):
    return open_split(str(folder), DATASETS["helmholtz-ood"], "medium", split)


def forge(folder, path, change):
    """Change a shard and everything that the manifest says of it."""
    rewrite(folder, path, change)
    redigest(folder, "medium", path.split("/")[1].split("-")[0])


def refusal(rows, indices):
    """What reading these rows is refused with, in one line."""
    with pytest.raises(AlteredRowsError) as caught:
        rows.batch(indices)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_true_rows_are_those_of_their_recipes(built):
    rows = rows_of(built)
    made = sample(SampleKey("helmholtz", "medium", "test"), range(8), 64)
    batch = rows.batch([5, 0, 5])
    for stored_field, field in ((batch.source, made.source), (batch.solution, made.solution)):
        np.testing.assert_array_equal(stored_field.numpy(), field[[5, 0, 5]])
    np.testing.assert_array_equal(batch.coefficients.numpy(), made.draws.coefficients[[5, 0, 5]])
    assert rows.content_digest == read_manifest(built / "manifest.json").find("medium", "test").content_digest


def test_solutions_times_a_factor_are_refused_though_the_manifest_was_made_to_match(built):
    forge(built, TEST, lambda columns: columns["solution"].__imul__(1.05))
    rows = rows_of(built)
    wrong = refusal(rows, range(8))
    assert f"{TEST} row 0, column solution: differs from the field of its weights and coefficients by 0.05" in wrong
    assert "(and 7 more)" in wrong


def reverse(columns):
    for values in columns.values():
        values[:] = values[::-1].copy()


def reverse_below_the_index(columns):
    for name in set(columns) - {"index", "sparsity"}:
        columns[name][:] = columns[name][::-1].copy()


@pytest.mark.parametrize(
    ("change", "what"),
    [(reverse, "row 0, column index: is off by 7"), (reverse_below_the_index, "row 0, column weights")],
)
def test_reversed_rows_are_refused_though_the_manifest_was_made_to_match(built, change, what):
    forge(built, TEST, change)
    assert f"{TEST} {what}" in refusal(rows_of(built), [3])


@pytest.mark.parametrize("path", [TEST, TRAIN])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("honest", [True, False], ids=["true-manifest", "forged-manifest"])
def test_one_altered_value_anywhere_is_named_with_shard_row_and_column(built, path, column, honest):
    random = np.random.default_rng([COLUMNS.index(column), path == TEST, honest])
    row = int(random.integers(8 if path == TEST else 24))

    def change(columns):
        values = columns[column].reshape(len(columns[column]), -1)
        values[row, random.integers(values.shape[1])] += 1 if column == "index" else 1e-3

    if honest:
        before = (built / "manifest.json").read_text()
        rewrite(built, path, change)
        (built / "manifest.json").write_text(before)
    else:
        forge(built, path, change)
    rows = rows_of(built, path.split("/")[1].split("-")[0])
    assert f"{path} row {row}, column {column}: " in refusal(rows, [row])
    if honest or column not in ("source", "solution"):  # known before the first row, whichever it is
        other = rows_of(built, path.split("/")[1].split("-")[0])
        assert f"{path} row {row}, column {column}: " in refusal(other, [(row + 1) % 8])
        with pytest.raises(AlteredRowsError):
            _ = other.content_digest


def test_a_value_that_is_no_number_is_refused(built):
    forge(built, TEST, lambda columns: columns["solution"].__setitem__((2, 5, 5), np.nan))
    assert f"{TEST} row 2, column solution" in refusal(rows_of(built), range(8))


def flip_the_last_bit(columns):
    field = columns["solution"].astype(np.float32)
    field.view(np.int32)[4, 20, 20] ^= 1
    columns["solution"][:] = field


def test_a_flipped_last_bit_is_below_the_tolerance_but_not_below_the_hashes(built):
    before = (built / "manifest.json").read_text()
    rewrite(built, TEST, flip_the_last_bit)
    (built / "manifest.json").write_text(before)
    wrong = refusal(rows_of(built), [0])
    assert f"{TEST} has SHA-256 " in wrong
    assert "content digest" in wrong


def test_a_change_below_the_tolerance_has_another_content_digest_if_the_manifest_admits_it(built):
    published = rows_of(built).content_digest
    forge(built, TEST, flip_the_last_bit)
    changed = rows_of(built)
    changed.batch(range(8))
    assert changed.content_digest != published


def test_a_shard_of_the_same_values_in_other_bytes_is_refused_by_its_hash(built):
    before = (built / "manifest.json").read_text()
    rewrite(built, TEST, lambda _: None)
    (built / "manifest.json").write_text(before)
    wrong = refusal(rows_of(built), [0])
    assert f"{TEST} has SHA-256 " in wrong
    assert "row " not in wrong


@pytest.mark.parametrize(
    ("field", "what"),
    [("recipe_digest", "recipe digest of the manifest"), ("content_digest", "content digest of the manifest")],
)
def test_a_digest_that_the_rows_do_not_have_is_refused(built, field, what):
    update_manifest(built, lambda item: item.model_copy(update={field: "0" * 64} if hasattr(item, field) else {}))
    assert what in refusal(rows_of(built), [0])


def test_what_is_hashed_is_what_is_read_and_not_only_the_files(built, monkeypatch):
    read = stored._read

    def stale(*arguments):
        table = read(*arguments)
        one, other = table.slice(0, 1), table.slice(1)
        return pa.concat_tables([other, one])  # as a cache of other rows would give

    monkeypatch.setattr(stored, "_read", stale)
    assert f"{TEST} row 0, column index" in refusal(rows_of(built), [0])


def test_the_shard_that_holds_an_altered_row_is_named(built_in_shards):
    shards = [shard.path for shard in read_manifest(built_in_shards / "manifest.json").find("medium", "train").shards]
    forge(built_in_shards, shards[1], lambda columns: columns["source"].__setitem__((3, 7, 7), 0.123))
    rows = rows_of(built_in_shards, "train")
    rows.batch([0, 10, 12, 23])
    assert f"{shards[1]} row 3, column source" in refusal(rows, [0, 11])
    forge(built_in_shards, shards[2], lambda columns: columns["weights"].__setitem__((7, 11, 11), 0.5))
    assert f"{shards[2]} row 7, column weights" in refusal(rows_of(built_in_shards, "train"), [0])


def test_a_manifest_of_impossible_paths_is_refused_before_anything_is_read(built):
    change = {"path": "../secret.parquet"}
    update_manifest(built, lambda item: item.model_copy(update=change if getattr(item, "path", "") == TEST else {}))
    with pytest.raises(PdefmError, match=r"makes no sense: .*'\.\./secret\.parquet'"):
        rows_of(built)


@pytest.mark.parametrize("other", ["mild/test-*.parquet", "medium/train-*.parquet", "medium/nothing.parquet"])
def test_a_card_that_maps_test_to_other_files_does_not_mislead_us(built, other):
    path, rows = built / "README.md", rows_of(built).batch(range(8))
    path.write_text(path.read_text().replace("medium/test-*.parquet", other))
    assert torch.equal(rows_of(built).batch(range(8)).solution, rows.solution)


def test_another_build_of_the_same_name_is_not_read_from_the_cache_of_the_first(built, make_build):
    private = make_build(seed=7)
    assert private.name == built.name
    first, second = rows_of(built), rows_of(private)
    assert not torch.equal(first.batch([0]).solution, second.batch([0]).solution)
    assert first.content_digest != second.content_digest


def test_a_missing_or_truncated_shard_is_named(built):
    (built / TRAIN).write_bytes((built / TRAIN).read_bytes()[:-100])
    assert f"{TRAIN} has SHA-256" in refusal(rows_of(built, "train"), [0])
    (built / TEST).unlink()
    assert f"{TEST} is missing" in refusal(rows_of(built), [0])


def test_other_columns_and_other_numbers_of_rows_are_refused(built):
    table = pq.read_table(built / TEST)
    pq.write_table(table.drop_columns("sparsity"), built / TEST)
    rehash(built, TEST)
    assert "it has no column 'sparsity'" in refusal(rows_of(built), [0])
    pq.write_table(table.slice(0, 7), built / TEST)
    rehash(built, TEST)
    assert "it has 7 rows, the manifest says 8" in refusal(rows_of(built), [0])


def zeros(folder, rows):
    """Put a shard of so many rows of zeros into a build, of which a compressor leaves next to nothing."""
    fields = np.zeros((rows, 64, 64), np.float32)
    made = sample(SampleKey("helmholtz", "medium", "test"), range(rows), 64)
    with ShardWriter(folder / TEST, 64) as writer:
        writer.write(dataclasses.replace(made, source=fields, solution=fields))
    rehash(folder, TEST)


def state_rows(folder, rows):
    """Let the manifest say that the test split has so many rows."""
    held = read_manifest(folder / "manifest.json").find("medium", "test")
    shard = held.shards[0]

    def change(item):
        return (
            item.model_copy(update={"rows": rows}) if item == shard or getattr(item, "shards", ()) == held_now else item
        )

    held_now = (shard.model_copy(update={"rows": rows}),)
    update_manifest(folder, change)


@pytest.mark.parametrize("stated", [8, 512])
def test_a_shard_that_unfolds_to_more_than_it_should_is_refused_before_it_does(built, monkeypatch, stated, capsys):
    zeros(built, 512)
    state_rows(built, stated)

    def unfold(*_, **__):
        raise AssertionError("the shard was read")

    monkeypatch.setattr("datasets.load_dataset", unfold)
    why = "would unfold to 17.1 MB, more than real fields do"
    assert why in refusal(rows_of(built), [0])
    assert main(["data", "verify", str(built), "--sample", "0"]) == 1
    assert why in capsys.readouterr().err  # in one line; the table breaks it


def test_a_row_with_longer_fields_than_its_resolutions_is_refused(built):
    table = pq.read_table(built / TEST)
    long = pa.array([[[0.0] * 64] * 64 * 100] * 8, pa.list_(pa.list_(pa.float32())))
    pq.write_table(pa.table({name: table.column(name) for name in table.column_names} | {"source": long}), built / TEST)
    rehash(built, TEST)
    assert "column 'source' has 3276800 values, not 32768" in refusal(rows_of(built), [0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 10**6}, "resolution: Input should be less"),
        ({"seed": [[]]}, "seed"),
        ({"x": "y" * 2**25}, "large"),
    ],
    ids=["resolution", "kind", "size"],
)
def test_a_manifest_that_asks_for_too_much_is_refused(built, change, message):
    content = json.loads((built / "manifest.json").read_text())
    (built / "manifest.json").write_text(json.dumps(content | change))
    with pytest.raises(PdefmError, match=message):
        rows_of(built)
    content["splits"][0]["rows"] = 10**12
    (built / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(PdefmError, match=r"splits\.0\.rows: Input should be less than or equal to 10000000"):
        rows_of(built)


def test_of_a_split_that_is_not_asked_for_nothing_is_read(built, model):
    (built / TRAIN).unlink()
    evaluate(model, load_task(TASK, str(built)), 0, track="lite")


@pytest.mark.parametrize("path", [TEST, TRAIN])
def test_nothing_is_scored_or_kept_of_altered_rows(built, path, model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "cells"))
    forge(built, path, lambda columns: columns["solution"].__imul__(1.05))
    shots = 4 if path == TRAIN else 0
    with pytest.raises(AlteredRowsError, match=f"{path} row"):
        evaluate(load_model(model_folder), load_task(TASK, str(built)), shots, track="lite", seeds=1, scratch=False)
    command = ["eval", "--model", str(model_folder), "--task", TASK, "--shots", str(shots), "--track", "lite"]
    assert main([*command, "--data", str(built), "--out", str(tmp_path / "out")]) == 1
    assert f"{path} row" in capsys.readouterr().err
    assert not list(tmp_path.glob("cells/**/*.json"))
    assert not list(tmp_path.glob("out/**/*.json"))


def test_a_cached_score_of_true_rows_is_not_given_for_altered_ones(built, model, tmp_path, monkeypatch):
    monkeypatch.setenv("PDEFM_CACHE", str(tmp_path / "cells"))
    evaluate(model, load_task(TASK, str(built)), 0, track="lite")
    before = (built / "manifest.json").read_text()
    rewrite(built, TEST, lambda columns: columns["solution"].__imul__(1.05))
    (built / "manifest.json").write_text(before)
    with pytest.raises(AlteredRowsError, match=f"{TEST} row 0, column solution"):
        evaluate(model, load_task(TASK, str(built)), 0, track="lite")


READ = """
import json, sys
from pdebench_fm.errors import PdefmError
from pdebench_fm.protocol.task import load_task
seen = []
for location in sys.argv[1:]:
    task = load_task("helmholtz-ood/medium", data=location)
    try:
        seen.append(float(task.test_batch("lite").solution.double().sum()))
    except PdefmError as error:
        seen.append(str(error))
print(json.dumps(seen))
"""


def test_altered_rows_are_refused_from_the_hub_too(hub, api, built, tmp_path):
    def truthful(path, change):
        def alter(folder):
            before = (folder / "manifest.json").read_text()
            rewrite(folder, path, change)
            (folder / "manifest.json").write_text(before)

        return alter

    alterations = {
        "true": lambda _: None,
        "scaled": lambda folder: forge(folder, TEST, lambda columns: columns["solution"].__imul__(1.05)),
        "reversed": lambda folder: forge(folder, TEST, reverse),
        "flipped": truthful(TEST, flip_the_last_bit),
    }
    for name, alter in alterations.items():
        folder = shutil.copytree(built, tmp_path / name)
        alter(folder)
        api.create_repo(f"alice/{name}", repo_type="dataset")
        api.upload_folder(
            repo_id=f"alice/{name}", repo_type="dataset", folder_path=folder, ignore_patterns=[".build/**"]
        )
    names = [f"alice/{name}" for name in alterations]
    true, scaled, backwards, flipped = run_client(READ, hub, tmp_path / "home", *names, token=ALICE)
    assert true == pytest.approx(float(rows_of(built).batch(range(8)).solution.double().sum()))
    assert f"medium/test of alice/scaled are not as they were built: {TEST} row 0, column solution" in scaled
    assert f"{TEST} row 0, column index: is off by 7" in backwards
    # written anew it is larger than the manifest says, so that it is not even downloaded
    assert f"{TEST} has " in flipped
    assert "and should have at most" in flipped
