"""Builds: the Hub's own layout, digests that depend on nothing but the data, and going on after any interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from killing import killed_at

from pdebench_fm.data import build as building
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.digest import recipe_digest
from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.physics import SampleKey, sample

ROWS = {"train": 40, "validation": 8, "test": 12}


def plan_for(name="helmholtz-ood", regimes=("medium",), rows=None, **options):
    return BuildPlan(DATASETS[name], regimes, rows or ROWS, 64, **options)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(plan_for(), tmp_path_factory.mktemp("build"))


def digests(folder):
    return [
        (s.regime, s.split, s.recipe_digest, s.content_digest) for s in read_manifest(folder / "manifest.json").splits
    ]


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and ".build" not in p.parts)


def test_layout_is_the_hubs_own(built):
    assert {
        "README.md",
        "manifest.json",
        "medium/test-00000-of-00001.parquet",
        "medium/train-00000-of-00001.parquet",
        "medium/validation-00000-of-00001.parquet",
    } <= set(files_in(built))
    assert not [name for name in files_in(built) if name.startswith(("mild", "hard"))]


def test_stock_load_dataset_gives_the_sampled_rows(built, tmp_path):
    rows = load_dataset(str(built), "medium", split="test", cache_dir=str(tmp_path)).with_format("numpy")
    expected = sample(SampleKey("helmholtz", "medium", "test"), range(12), 64)
    assert rows.features["source"].shape == (64, 64)
    for i in (0, 5, 11):
        row = rows[i]
        assert row["index"] == i
        np.testing.assert_array_equal(row["source"], expected.source[i])
        np.testing.assert_array_equal(row["solution"], expected.solution[i])
        np.testing.assert_array_equal(row["coefficients"], expected.draws.coefficients[i])
        np.testing.assert_array_equal(row["weights"], expected.draws.weights[i])
        assert row["parameter"] == expected.draws.parameter[i]


def test_the_default_configuration_and_streaming_work(built, tmp_path):
    stream = load_dataset(str(built), split="validation", streaming=True)
    first = next(iter(stream))
    assert np.asarray(first["solution"]).shape == (64, 64)
    assert len(load_dataset(str(built), cache_dir=str(tmp_path))["train"]) == 40


def test_the_recipe_digest_is_that_of_the_sampling_function(built):
    split = read_manifest(built / "manifest.json").find("medium", "test")
    assert split.recipe_digest == recipe_digest(SampleKey("helmholtz", "medium", "test"), 12)


def test_digests_depend_neither_on_shards_nor_on_blocks(built, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_SHARD_VALUES", 7 * 64 * 64)
    monkeypatch.setattr(building, "block_rows", lambda _: 3)
    sharded = build(plan_for(), tmp_path)
    assert len(list((sharded / "medium").glob("train-*-of-00006.parquet"))) == 6
    assert digests(sharded) == digests(built)


def test_a_build_killed_at_any_moment_ends_with_the_same_digests(built, tmp_path):
    script = (
        "import sys, pathlib\n"
        "from pdebench_fm.data import build as b\n"
        "from pdebench_fm.data.catalogue import DATASETS\n"
        "b._SHARD_VALUES = 4 * 64 * 64\n"
        f"plan = b.BuildPlan(DATASETS['helmholtz-ood'], ('medium',), {ROWS!r}, 64)\n"
        "b.build(plan, pathlib.Path(sys.argv[1]), on_shard=lambda shard: print(shard.path, flush=True))\n"
    )
    killed = 0
    for pieces in (1, 3, 7):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(pieces):
            process.stdout.readline()
        time.sleep(0.005 * pieces)
        os.kill(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed == 3
    folder = tmp_path / "helmholtz-ood"
    assert not (folder / "manifest.json").exists()
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)
    assert digests(folder) == digests(built)
    assert not [name for name in files_in(folder) if name.endswith(".part")]


def test_running_again_makes_nothing_again_and_repairs_a_truncated_shard(built, tmp_path, monkeypatch):
    folder = build(plan_for(), tmp_path)
    made = []
    real = building.build_shard
    monkeypatch.setattr(building, "build_shard", lambda plan, out: made.append(plan.path) or real(plan, out))
    build(plan_for(), tmp_path)
    assert made == []
    shard = folder / "medium" / "train-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1000])
    build(plan_for(), tmp_path)
    assert made == ["medium/train-00000-of-00001.parquet"]
    assert digests(folder) == digests(built)


def test_regimes_can_be_added_to_a_build(tmp_path):
    rows = {"train": 8, "validation": 4, "test": 4}
    build(plan_for("poisson-ood", ("hard",), rows), tmp_path)
    folder = build(plan_for("poisson-ood", ("mild",), rows), tmp_path)
    assert [(s.regime, s.split) for s in read_manifest(folder / "manifest.json").splits] == [
        (regime, split) for regime in ("mild", "hard") for split in ("train", "validation", "test")
    ]
    assert "config_name: mild" in (folder / "README.md").read_text()
    assert "config_name: hard" in (folder / "README.md").read_text()


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    folder = tmp_path / "helmholtz-ood"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="already holds something"):
        build(plan_for(), tmp_path)
    assert files_in(folder) == ["thesis.tex"]


@pytest.mark.parametrize("change", [{"rows": {"train": 9}}, {"version": "2.0.0"}, {"seed": 3}])
def test_a_build_of_something_else_is_refused(built, change):
    with pytest.raises(UsageError, match="choose another folder"):
        build(plan_for(**change), built.parent)


def test_a_full_disk_is_one_clear_error_and_running_again_goes_on(built, tmp_path, monkeypatch):
    class FullDisk(building.ShardWriter):
        def write(self, samples):  # noqa: ARG002
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(building, "ShardWriter", FullDisk)
        with pytest.raises(PdefmError, match="No space left on device"):
            build(plan_for(), tmp_path)
    assert not list((tmp_path / "helmholtz-ood").rglob("*.parquet"))
    assert digests(build(plan_for(), tmp_path)) == digests(built)


@pytest.mark.parametrize("resolution", [0, 32, 100, 96])
def test_a_resolution_that_does_not_resolve_the_sources_is_refused(resolution):
    with pytest.raises(UsageError, match="64, 128, 256, 512"):
        BuildPlan(DATASETS["poisson"], ("pretrain",), ROWS, resolution)


def test_a_manifest_of_a_newer_schema_says_to_upgrade(built, tmp_path):
    document = json.loads((built / "manifest.json").read_text())
    document["manifest_version"] = 2
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(PdefmError, match="upgrade"):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(("resolution", "rows"), [(64, 2048), (128, 512), (256, 128), (512, 32)])
def test_shards_are_of_the_size_of_512_rows_at_128(resolution, rows):
    plan = BuildPlan(DATASETS["poisson"], ("pretrain",), {"train": 4 * rows, "test": rows + 2}, resolution)
    assert [shard.stop - shard.start for shard in plan.shards] == [rows] * 4 + [rows // 2 + 1] * 2


@pytest.mark.parametrize(("resolution", "rows"), [(64, 300), (256, 40)])
def test_a_shard_is_one_row_group_however_many_blocks_it_is_made_of(resolution, rows, tmp_path):
    plan = BuildPlan(DATASETS["poisson"], ("pretrain",), {"test": rows}, resolution)
    shard = build(plan, tmp_path) / "pretrain" / "test-00000-of-00001.parquet"
    metadata = pq.ParquetFile(shard).metadata
    assert (metadata.num_row_groups, metadata.row_group(0).num_rows) == (1, rows)
    assert pq.read_table(shard)["index"].to_pylist() == list(range(rows))


SMALL = {"train": 8, "validation": 4, "test": 4}


def test_a_build_killed_at_any_of_its_writes_is_gone_on_with(tmp_path):
    plan = plan_for(rows={"test": 2})
    expected = digests(build(plan, tmp_path / "undisturbed"))
    for writes in (*range(8), 12, 16, 20):
        out = tmp_path / str(writes)
        out.mkdir()
        assert killed_at(writes, out, lambda out=out: build(plan, out))
        assert digests(build(plan, out)) == expected
        assert not list(out.rglob(".pdefm*"))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flipped(content, place):
    """Return a text with one character changed to another one of its kind, which no parser notices."""
    found = chr(content[place])
    return content[:place] + (b"1" if found != "1" else b"2") + content[place + 1 :]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (".build/medium--test-00000-of-00001.parquet.json", b'"content_hashes":'),
        (".build/medium--test-00000-of-00001.parquet.json", b'"recipe_hashes":'),
        (".build/medium--test-00000-of-00001.parquet.json", b'"sha256":'),
        (".build/card.json", b'"statistics.json":'),
        ("statistics.json", b'"maximum":'),
        ("manifest.json", b'"recipe_digest":'),
    ],
)
def test_a_changed_digit_in_what_a_build_remembers_is_never_gone_on_with(tmp_path, name, key):
    folder = build(plan_for(rows=SMALL), tmp_path)
    expected = contents(folder)
    damaged = expected[Path(name)]
    place = next(i for i in range(damaged.index(key) + len(key), len(damaged)) if chr(damaged[i]) in "0123456789abcdef")
    (folder / name).write_bytes(flipped(damaged, place))
    build(plan_for(rows=SMALL), tmp_path)
    assert contents(folder) == expected


@pytest.mark.parametrize("name", ["figures/regimes.png", "statistics.json", "manifest.json", "README.md"])
def test_a_truncated_file_of_a_build_is_made_again(tmp_path, name):
    folder = build(plan_for(rows=SMALL), tmp_path)
    expected = contents(folder)
    (folder / name).write_bytes(expected[Path(name)][:100])
    build(plan_for(rows=SMALL), tmp_path)
    assert contents(folder) == expected


def test_a_changed_digit_in_the_state_of_a_build_is_one_clear_error(tmp_path):
    state = build(plan_for(rows=SMALL), tmp_path) / ".build" / "state.json"
    state.write_bytes(state.read_bytes().replace(b'"train": 8', b'"train": 9'))
    with pytest.raises(PdefmError, match=rf"{state} is damaged"):
        build(plan_for(rows=SMALL), tmp_path)


def test_a_damaged_regime_of_before_is_named_and_stays_listed(tmp_path):
    folder = build(plan_for("poisson-ood", ("hard",), SMALL), tmp_path)
    expected = read_manifest(folder / "manifest.json")
    shard = folder / "hard" / "test-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(PdefmError, match=rf"{folder / 'hard'} was built before and is damaged: build that regime"):
        build(plan_for("poisson-ood", ("mild",), SMALL), tmp_path)
    assert read_manifest(folder / "manifest.json") == expected
    build(plan_for("poisson-ood", ("hard",), SMALL), tmp_path)
    build(plan_for("poisson-ood", ("mild",), SMALL), tmp_path)
    assert len(read_manifest(folder / "manifest.json").splits) == 6


def test_a_second_build_in_one_folder_is_refused_while_the_first_goes_on(tmp_path):
    def build_another(_):
        with pytest.raises(PdefmError, match="another pdefm is writing to"):
            build(plan_for("poisson-ood", ("mild",), SMALL), tmp_path)

    folder = build(plan_for("poisson-ood", ("hard",), SMALL), tmp_path, on_shard=build_another)
    assert {split.regime for split in read_manifest(folder / "manifest.json").splits} == {"hard"}
