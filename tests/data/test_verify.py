"""Verification: a good build passes, and whatever is wrong with a stored dataset is found and named."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from altered import rehash, rewrite
from hub_server import run_client
from hypothesis import given
from hypothesis import strategies as st

from pdebench_fm.cli import main
from pdebench_fm.data.benchmark import benchmark_file
from pdebench_fm.data.manifest import Shard, Split, read_manifest
from pdebench_fm.data.verification import checks
from pdebench_fm.data.verification.verify import Check, sampled_rows, verify
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.physics import SampleKey, Samples, relative_residual, sample

TRAIN = "medium/train-00000-of-00001.parquet"
TEST = "medium/test-00000-of-00001.parquet"


def failures(folder, **options):
    """The details of the checks that fail, by name."""
    return {check.name: check.detail for check in verify(str(folder), **options).failures}


@pytest.mark.parametrize(
    ("name", "regimes"),
    [
        ("poisson", ("pretrain", "in-domain")),
        ("advection-diffusion-ood", ("hard",)),
        ("helmholtz-ood", ("mild", "medium")),
    ],
)
def test_a_good_build_passes_every_check(make_build, name, regimes):
    seen, rows = [], []
    folder = make_build(name, regimes)
    report = verify(str(folder), on_check=seen.append, on_rows=lambda done, total: rows.append((done, total)))
    assert report.passed, report.failures
    assert tuple(seen) == report.checks
    total = 40 * len(regimes)
    assert rows[-1] == (total, total)
    names = [check.name for check in report.checks]
    assert len(set(names)) == len(names)
    assert ("ratio Ψ" in names) == name.startswith("advection")


@pytest.mark.parametrize("position", [0.0, 0.01, 0.3, 0.5, 0.8, 0.97, 0.9995])
def test_one_flipped_byte_is_found_and_its_shard_is_named(built, position):
    content = bytearray((built / TRAIN).read_bytes())
    content[int(position * len(content))] ^= 0x10
    (built / TRAIN).write_bytes(content)
    wrong = failures(built)
    assert wrong["SHA-256"].startswith(f"{TRAIN} has SHA-256 ")
    assert "; " not in wrong["SHA-256"]
    assert not any(TEST in detail for detail in wrong.values())


@pytest.mark.parametrize("kept", [0, 3, 1000, -1])
def test_a_truncated_shard_is_a_failed_check_and_no_traceback(built, kept):
    content = (built / TRAIN).read_bytes()[:kept]
    (built / TRAIN).write_bytes(content)
    wrong = failures(built)
    assert f"{TRAIN} has {len(content)} bytes" in wrong["size"]
    assert wrong["readable shards"].startswith(f"{TRAIN}: ")
    assert TRAIN in wrong["content digest"]
    assert "recipe digest" not in wrong
    assert "rows" not in wrong


def test_a_missing_shard_is_named(built):
    (built / TEST).unlink()
    wrong = failures(built)
    assert wrong["missing shards"] == f"{TEST} is missing"
    assert TEST in wrong["readable shards"]


def test_extra_files_are_named_but_not_hidden_ones_nor_the_cards(built):
    (built / "medium" / "extra.parquet").write_bytes(b"PAR1")
    (built / "notes.txt").write_text("")
    (built / ".gitattributes").write_text("")
    wrong = failures(built)
    assert set(wrong) == {"extra files"}
    assert wrong["extra files"] == "medium/extra.parquet is not in the manifest; notes.txt is not in the manifest"


def test_a_changed_value_in_a_file_with_the_right_hash_is_found_in_its_row_and_column(built):
    def change(columns):
        columns["solution"][5, 10, 20] += 1e-4

    rewrite(built, TRAIN, change)
    wrong = failures(built)
    assert set(wrong) == {"fields remade", "residual", "content digest"}
    assert wrong["fields remade"].startswith(f"{TRAIN} row 5, column solution: ")
    assert wrong["residual"].startswith(f"{TRAIN} row 5, column solution: ")
    assert wrong["content digest"].startswith("medium/train has ")


def test_a_rewritten_shard_with_the_same_values_has_the_same_content(built):
    rewrite(built, TRAIN, lambda _: None)
    assert not failures(built)


@pytest.mark.parametrize("column", ["source", "solution", "coefficients", "weights"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_found(built, column, value):
    def change(columns):
        columns[column][3].reshape(-1)[1] = value

    rewrite(built, TEST, change)
    assert failures(built, sample=0)["finite values"] == f"{TEST} row 3, column {column}: 1 values are NaN or infinite"


def test_swapped_rows_are_found(built):
    def swap(columns):
        for values in columns.values():
            values[[2, 6]] = values[[6, 2]]

    rewrite(built, TRAIN, swap)
    wrong = failures(built, sample=0)
    assert "row 2, column index: is off by 4" in wrong["index"]
    assert "row 6, column index: is off by 4" in wrong["index"]
    assert {"draws", "content digest"} <= set(wrong)
    assert "shared rows" not in wrong


def test_rows_swapped_below_a_right_index_are_found(built):
    def swap(columns):
        for name in set(columns) - {"index", "sparsity"}:
            columns[name][[2, 6]] = columns[name][[6, 2]]

    rewrite(built, TRAIN, swap)
    wrong = failures(built)
    assert {"draws", "content digest"} <= set(wrong)
    assert "index" not in wrong
    assert "fields remade" not in wrong
    assert f"{TRAIN} row 2, column weights" in wrong["draws"]


def test_wrong_rows_in_the_manifest_are_found(built):
    manifest = built / "manifest.json"
    document = json.loads(manifest.read_text())
    split = next(s for s in document["splits"] if (s["regime"], s["split"]) == ("medium", "train"))
    split["rows"] = split["shards"][0]["rows"] = 23
    manifest.write_text(json.dumps(document))
    wrong = failures(built)
    assert wrong["rows"] == f"{TRAIN} has 24 rows, not 23"
    split["shards"][0]["rows"] = 24
    manifest.write_text(json.dumps(document))
    assert failures(built) == {"manifest": "medium/train has 23 rows, its shards 24"}


@pytest.mark.parametrize(
    ("change", "what"),
    [("path", "is '../secret.parquet', not"), ("regime", "has no regime 'easy'"), ("twice", "listed twice")],
)
def test_a_manifest_that_makes_no_sense_is_one_failed_check(built, change, what):
    manifest = built / "manifest.json"
    document = json.loads(manifest.read_text())
    if change == "path":
        document["splits"][0]["shards"][0]["path"] = "../secret.parquet"
    elif change == "regime":
        document["splits"][0]["regime"] = "easy"
    else:
        document["splits"].append(document["splits"][0])
    manifest.write_text(json.dumps(document))
    wrong = failures(built)
    assert set(wrong) == {"manifest"}
    assert what in wrong["manifest"]


@pytest.mark.parametrize("digest", ["recipe_digest", "content_digest"])
def test_a_wrong_digest_in_the_manifest_is_found(built, digest):
    manifest = built / "manifest.json"
    document = json.loads(manifest.read_text())
    document["splits"][1][digest] = "0" * 64
    manifest.write_text(json.dumps(document))
    split = document["splits"][1]
    wrong = failures(built, sample=0)
    assert set(wrong) == {digest.replace("_", " ")}
    assert wrong[digest.replace("_", " ")].startswith(f"{split['regime']}/{split['split']} has ")


def test_a_version_that_the_rows_were_not_drawn_with_is_found(built):
    manifest = built / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": "1.0.0"', '"version": "2.0.0"'))
    assert {"draws", "recipe digest"} <= set(failures(built, sample=0))


@pytest.mark.parametrize(
    ("column", "value", "check", "what"),
    [
        ("parameter", 20.0, "parameter range", "lies 5 outside 11–15"),
        ("parameter", 12.5, "parameter range", "is not an integer"),
        ("sparsity", 0.2, "sparsity", "differs by 0.6"),
        ("solution", 0.25, "constant fields", "has the same value at every point"),
    ],
)
def test_a_value_that_cannot_be_is_found_without_remaking_fields(built, column, value, check, what):
    def change(columns):
        columns[column][7] = value

    rewrite(built, TEST, change)
    assert what in failures(built, sample=0)[check]
    assert f"{TEST} row 7, column {column}: " in failures(built, sample=0)[check]


@pytest.mark.parametrize(("column", "factor"), [("solution", 1.001), ("solution", 1e3), ("source", 1.2)])
def test_a_field_of_the_wrong_size_is_outlying_in_every_row_not_just_the_sample(built, column, factor):
    def change(columns):
        columns[column][4] *= factor

    rewrite(built, TRAIN, change)
    assert f"{TRAIN} row 4, column " in failures(built, sample=0)["outlying fields"]


def test_a_row_shared_between_splits_is_found(built):
    train = pq.read_table(built / TRAIN).slice(3, 1).to_pydict()

    def change(columns):
        for name in set(columns) - {"index"}:
            columns[name][2] = np.array(train[name][0])

    rewrite(built, TEST, change)
    wrong = failures(built, sample=0)
    assert wrong["shared rows"] == f"{TEST} row 2 has the weights and coefficients of {TRAIN} row 3"


def test_a_ratio_that_the_solution_does_not_have_is_found(make_build, tmp_path):
    folder = shutil.copytree(make_build("advection-diffusion-ood", ("hard",)), tmp_path / "dataset")
    path = "hard/train-00000-of-00001.parquet"

    def change(columns):
        columns["parameter"][1] *= 1.0001

    rewrite(folder, path, change)
    wrong = failures(folder)
    assert wrong["ratio Ψ"].startswith(f"{path} row 1, column parameter: ")
    assert f"{path} row 1, column parameter: " in wrong["draws"]


def test_another_schema_is_named(built):
    table = pq.read_table(built / TRAIN)
    pq.write_table(table.drop_columns("sparsity"), built / TRAIN)
    rehash(built, TRAIN)
    assert failures(built)["readable shards"] == f"{TRAIN}: it has no column 'sparsity'"
    pq.write_table(table.append_column("label", table.column("sparsity")), built / TRAIN)
    rehash(built, TRAIN)
    assert "'label'" in failures(built)["readable shards"]


def test_numbers_of_the_card_that_the_rows_do_not_have_are_found(built):
    path = built / "statistics.json"
    document = json.loads(path.read_text())
    document["regimes"][1]["solution"]["maximum"] += 1e-3
    path.write_text(json.dumps(document))
    assert failures(built, sample=0)["statistics"].startswith("statistics.json, medium: solution maximum is ")
    path.write_text("{")
    assert "is damaged" in failures(built, sample=0)["statistics"]


def test_the_first_problems_are_described_and_the_others_counted(built):
    def change(columns):
        columns["sparsity"][:] = 0.5

    rewrite(built, TRAIN, change)
    detail = failures(built, sample=0)["sparsity"]
    assert detail.count(TRAIN) == 3
    assert detail.endswith("; and 21 more")


def test_the_sample_is_chosen_by_its_seed(built):
    def change(columns):
        columns["solution"][9, 0, 0] += 1e-4

    rewrite(built, TRAIN, change)
    found = ["fields remade" in failures(built, sample=12, seed=seed) for seed in (0, 0, 1, 2, 3)]
    assert found[0] == found[1]
    assert set(found) == {True, False}


@given(
    rows=st.lists(st.integers(1, 9), min_size=1, max_size=6), sample=st.integers(0, 40), seed=st.integers(0, 2**32 - 1)
)
def test_every_shard_has_a_row_in_the_sample(rows, sample, seed):
    nothing = "0" * 64
    shards = tuple(Shard(path=f"{i}", rows=count, bytes=1, sha256=nothing) for i, count in enumerate(rows))
    split = Split(
        regime="mild", split="test", rows=sum(rows), recipe_digest=nothing, content_digest=nothing, shards=shards
    )
    chosen = sampled_rows(split, sample, np.random.default_rng(seed)).tolist()
    assert chosen == sorted(set(chosen))
    ends = np.cumsum(rows)
    of_shards = {int(np.searchsorted(ends, row, side="right")) for row in chosen}
    assert of_shards == (set(range(len(rows))) if sample else set())
    assert len(chosen) == (min(max(sample, len(rows)), sum(rows)) if sample else 0)


def with_card(folder, change):
    """Change the metadata of a dataset's card."""
    path = folder / "README.md"
    _, metadata, text = path.read_text().split("---\n", 2)
    data = yaml.safe_load(metadata)
    change(data)
    path.write_text(f"---\n{yaml.safe_dump(data)}---\n{text}")


def mapped(paths, regime="medium", split="test"):
    """A change of a card's metadata: this split is these files."""

    def change(data):
        [config] = [config for config in data["configs"] if config["config_name"] == regime]
        [files] = [files for files in config["data_files"] if files["split"] == split]
        files["path"] = paths

    return change


def without_a_split(data):
    del data["configs"][0]["data_files"][2]


def with_a_split(data):
    data["configs"][0]["data_files"].append({"split": "more", "path": "medium/test-*.parquet"})


def another_default(data):
    for config in data["configs"]:
        config["default"] = config["config_name"] == "mild"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (mapped("medium/train-*.parquet"), f"README.md maps medium/test to {TRAIN}, not its shards"),
        (mapped("medium/*.parquet"), "README.md maps medium/test to medium/t"),
        (mapped("mild/test-*.parquet"), "maps medium/test to mild/test-00000-of-00001.parquet, not its shards"),
        (mapped([TEST, TEST]), "maps medium/test to 2 files, not its 1 shards"),
        (mapped("medium/nothing-*.parquet"), "maps medium/test to 'medium/nothing-*.parquet', which is no file"),
        (mapped("https://example.org/test.parquet"), "maps medium/test to 'https://example.org/test.parquet', outside"),
        (mapped("../other/test.parquet"), "maps medium/test to '../other/test.parquet', outside"),
        (mapped("/etc/hosts"), "maps medium/test to '/etc/hosts', outside"),
        (without_a_split, "README.md maps medium/test to no files"),
        (with_a_split, "README.md has a split medium/more that the manifest does not"),
        (another_default, "the default configuration of helmholtz-ood is medium"),
        (lambda data: data["configs"].pop(), "README.md has no configuration 'mild'"),
        (lambda data: data.pop("configs"), "README.md has no configuration 'mild'"),
        (lambda data: data["configs"][0].update(data_dir="mild"), "README.md sets 'data_dir' of medium"),
        (lambda data: data["configs"][0].update(config_name="new"), "a configuration 'new' that the manifest does not"),
    ],
)
def test_a_card_that_gives_users_other_files_than_the_manifest_is_found(built, change, what):
    with_card(built, change)
    wrong = failures(built, sample=0)
    assert set(wrong) == {"configurations"}
    assert what in wrong["configurations"]


def test_a_card_that_reverses_the_shards_is_found(built_in_shards):
    shards = [shard.path for shard in read_manifest(built_in_shards / "manifest.json").find("medium", "train").shards]
    with_card(built_in_shards, mapped(shards, split="train"))
    assert not failures(built_in_shards, sample=0)
    with_card(built_in_shards, mapped(shards[::-1], split="train"))
    [wrong] = failures(built_in_shards, sample=0).values()
    assert wrong == f"README.md maps medium/train to its shards in another order, {shards[-1]} first"


def test_a_card_that_is_missing_or_no_yaml_is_found(built):
    (built / "README.md").write_text("---\nconfigs: [\n---\n")
    assert "README.md cannot be read" in failures(built, sample=0)["configurations"]
    (built / "README.md").unlink()
    assert failures(built, sample=0) == {"configurations": "README.md is missing"}


def test_a_folder_whose_name_is_a_pattern_is_verified(built, tmp_path):
    folder = shutil.move(built, tmp_path / "r[lr=1e-3]*")
    assert verify(str(folder), sample=1).passed


def test_a_row_of_every_shard_is_remade_however_small_the_sample(built_in_shards):
    manifest = read_manifest(built_in_shards / "manifest.json")
    shards = manifest.find("medium", "train").shards
    assert len(shards) == 3

    def change(columns):
        columns["solution"][:, 0, 0] += 1e-4

    rewrite(built_in_shards, shards[1].path, change)
    assert f"{shards[1].path} row" in failures(built_in_shards, sample=1)["fields remade"]


def test_a_folder_of_several_datasets_is_verified_whole(make_build, built):
    shutil.copytree(make_build("advection-diffusion-ood", ("hard",)), built.parent / "advection-diffusion-ood")
    report = verify(str(built.parent), sample=2)
    assert report.passed
    assert {"helmholtz-ood: residual", "advection-diffusion-ood: ratio Ψ"} <= {check.name for check in report.checks}


def test_what_cannot_be_verified_is_an_error_and_not_a_report(built, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PdefmError, match=r"no manifest\.json"):
        verify(str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="revisions"):
        verify(str(built), revision="v1.0.0")
    with pytest.raises(UsageError, match="-1 rows"):
        verify(str(built), sample=-1)
    (built / "manifest.json").write_text("{}")
    with pytest.raises(PdefmError, match="not a valid manifest"):
        verify(str(built))


def test_the_residual_limit_is_near_what_rounding_gives_and_below_what_an_error_gives():
    rows = sample(SampleKey("poisson", "hard", "train"), range(16), 64)
    limit = checks.residual_limit(rows.draws.key.definition, rows)
    coefficients = rows.draws.coefficients.astype(float)
    symbol = rows.draws.key.definition.symbol
    found = relative_residual(rows.source.astype(float), rows.solution.astype(float), coefficients, symbol)
    assert (found < 0.6 * limit).all()
    assert (found > 0.2 * limit).all()
    rounded = rows.solution.astype(np.float16).astype(np.float32)
    worse = relative_residual(rows.source.astype(float), rounded.astype(float), coefficients, symbol)
    assert (worse > checks.residual_limit(rows.draws.key.definition, Samples(rows.draws, rows.source, rounded))).all()


def test_many_problems_are_listed_short():
    check = Check.of("name", ["a", "b", "c", "d"], "fine")
    assert (check.passed, check.detail) == (False, "a; b; c; and 1 more")
    assert Check.of("name", [], "fine") == Check("name", passed=True, detail="fine")


def test_the_command_prints_a_table_and_fails_with_the_first_problem_in_one_line(built, capsys):
    assert main(["data", "verify", str(built), "--sample", "2"]) == 0
    assert "residual" in capsys.readouterr().out
    (built / TRAIN).unlink()
    assert main(["data", "verify", str(built), "--sample", "2"]) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert printed.err.count("\n") == 1
    assert f"missing shards: {TRAIN} is missing" in printed.err


def test_a_dataset_on_the_hub_is_verified_at_a_revision(hub, built, tmp_path):
    script = f"""
import json, sys
from pathlib import Path
from huggingface_hub import HfApi
from pdebench_fm.data.verification.verify import verify
from pdebench_fm.errors import PdefmError
api, folder, kind = HfApi(), Path(sys.argv[1]), {{"repo_id": "alice/helmholtz-ood", "repo_type": "dataset"}}
api.create_repo(**kind)
api.upload_folder(folder_path=folder, ignore_patterns=[".build/**"], **kind)
api.create_tag(tag="v1.0.0", **kind)
content = bytearray((folder / {TEST!r}).read_bytes())
content[len(content) // 2] ^= 1
api.upload_file(path_or_fileobj=bytes(content), path_in_repo={TEST!r}, **kind)
tagged = verify("alice/helmholtz-ood", revision="v1.0.0", sample=2)
newest = verify("alice/helmholtz-ood@main", sample=2)
try:
    verify("alice/nothing")
except PdefmError as error:
    refusal = str(error)
print(json.dumps([tagged.passed, {{check.name: check.detail for check in newest.failures}}, refusal]))
"""
    passed, wrong, refusal = run_client(script, hub, tmp_path / "home", str(built), token="hf_alice", timeout=120)  # noqa: S106
    assert passed
    assert wrong["SHA-256"].startswith(f"{TEST} has SHA-256")
    assert "alice/nothing" in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (lambda content: content, True),
        (lambda content: content.replace(b"split: test", b"split: train"), False),
        (lambda content: content + b"  - {id: easy, config: mild, split: test}\n", False),
        (lambda _: b"", False),
        (lambda _: b"x" * 10_000_000, False),
    ],
    ids=["as published", "another split", "another task", "empty", "huge"],
)
def test_a_benchmark_registration_that_is_not_the_manifests_is_found(built, change, passes):
    path = built / "eval.yaml"
    path.write_bytes(change(benchmark_file(read_manifest(built / "manifest.json"))))
    assert ("benchmark registration" not in failures(built, sample=0)) == passes
