"""Cards: metadata that the Hub and stock tools read, numbers that are measured, pictures that are there."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import yaml
from datasets import load_dataset, load_dataset_builder
from huggingface_hub import DatasetCard
from payloads import PAYLOADS, structure_of

from pdebench_fm.data import card, statistics
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.card import dataset_card, write_dataset_card
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.data.statistics import RegimeMeter, measure, read_statistics, was_redrawn
from pdebench_fm.errors import PdefmError
from pdebench_fm.extensions.plugins import load_plugins
from pdebench_fm.physics import Range, SampleKey, sample
from pdebench_fm.physics.sampling import Draws, Samples


@pytest.fixture
def readme(make_build):
    return (make_build() / "README.md").read_text()


def part_of(samples, rows):
    draws = samples.draws
    names = ("indices", "attempts", "weights", "sparsity", "parameter", "latents", "coefficients")
    taken = Draws(draws.key, **{name: getattr(draws, name)[rows] for name in names})
    return Samples(taken, samples.source[rows], samples.solution[rows])


def test_the_hubs_own_library_reads_the_metadata(readme):
    data = DatasetCard(readme).data
    assert data.license == "cc-by-4.0"
    assert data.task_categories == ["other"]
    assert data.size_categories == ["n<1K"]
    assert "partial-differential-equations" in data.tags
    configs = data.to_dict()["configs"]
    assert {config["config_name"]: config.get("default", False) for config in configs} == {
        "mild": False,
        "medium": True,
    }
    assert {info["config_name"] for info in data.to_dict()["dataset_info"]} == {"mild", "medium"}
    assert yaml.safe_load(readme.split("---\n")[1]) == data.to_dict()


def test_stock_datasets_takes_default_features_and_sizes_from_the_card(make_build, tmp_path):
    folder = make_build()
    builder = load_dataset_builder(str(folder), cache_dir=str(tmp_path))
    assert builder.config.name == "medium"
    assert builder.info.features["solution"].shape == (64, 64)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 24,
        "validation": 8,
        "test": 8,
    }
    assert builder.info.download_size == sum(path.stat().st_size for path in (folder / "medium").iterdir())
    promised = builder.info.dataset_size
    builder.download_and_prepare()
    assert builder.info.dataset_size == pytest.approx(promised, rel=0.06)  # but for Arrow's offsets and bitmaps
    stream = load_dataset(str(folder), "mild", split="test", streaming=True)
    assert sum(1 for _ in stream) == 8


def test_statistics_are_those_of_the_rows(make_build):
    folder = make_build("helmholtz", ("pretrain",))
    found = read_statistics(folder).regimes[0]
    rows = sample(SampleKey("helmholtz", "pretrain", "test"), range(8), 64)
    assert (found.regime, found.split, found.rows) == ("pretrain", "test", 8)
    for stored, field in ((found.source, rows.source), (found.solution, rows.solution)):
        values = field.astype(np.float64)
        assert stored.mean == pytest.approx(values.mean())
        assert stored.standard_deviation == pytest.approx(values.std())
        assert stored.rms == pytest.approx(np.sqrt((values**2).mean()))
        assert (stored.minimum, stored.maximum) == (field.min(), field.max())
    omega = rows.draws.parameter
    assert found.parameter.mean == pytest.approx(omega.mean())
    assert found.parameter.counts == tuple(np.sum(omega == value) for value in range(1, 11))
    assert found.redrawn == np.mean(rows.draws.attempts > 0) > 0


@pytest.mark.parametrize("regime", ["pretrain", "in-domain"])
def test_rows_that_were_drawn_again_are_told_from_their_weights(regime):
    rows = sample(SampleKey("helmholtz", regime, "validation"), range(200), 64)
    np.testing.assert_array_equal(was_redrawn(rows), rows.draws.attempts > 0)


def test_statistics_do_not_depend_on_blocks(make_build):
    split = read_manifest(make_build() / "manifest.json").find("mild", "train")
    rows = sample(SampleKey("helmholtz", "mild", "train"), range(24), 64)
    whole, pieces = RegimeMeter(rows.draws.key), RegimeMeter(rows.draws.key)
    whole.add(rows)
    for piece in (slice(0, 1), slice(1, 20), slice(20, 24)):
        pieces.add(part_of(rows, piece))
    assert statistics.first_difference(whole.result(split), pieces.result(split)) is None


def test_the_card_prints_what_was_measured_and_shows_pictures_that_are_there(make_build, readme):
    folder = make_build()
    for item in read_statistics(folder).regimes:
        line = next(line for line in readme.splitlines() if line.startswith(f"| `{item.regime}` | test | 8 | solution"))
        assert f" {item.solution.rms:.3g} " in line
        assert f" {item.solution.maximum:.3g} " in line
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", readme)
    assert pictures == ["figures/regimes.png", "figures/parameters.png"]
    for picture in pictures:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
        assert (folder / picture).stat().st_size < 300_000


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "poisson",
            ["−∇·(K ∇u) = f", "diag(1, e)", "| `in-domain` | U(1, 2.5) |", "| `pretrain` (default) | U(1, 5) |"],
        ),
        ("advection-diffusion-ood", ["v·∇u = f", "λ (cos φ, sin φ)", "| `hard` | U(2, 5) | ", "none, far"]),
        (
            "helmholtz-ood",
            [
                "− ω u = f",
                "exceeds\n  2 in absolute value",
                "| `mild` | integers 5–15, given &#124;u&#124; ≤ 2 (none refused of 4096) | ",
                "rows drawn again",
            ],
        ),
    ],
)
def test_the_card_says_what_a_user_must_know(make_build, name, words):
    regimes = {"poisson": ("pretrain", "in-domain"), "advection-diffusion-ood": ("hard",)}.get(name, ("mild", "medium"))
    text = (make_build(name, regimes) / "README.md").read_text()
    for expected in (
        *words,
        f'load_dataset("pdebench-fm/{name}"',
        "streaming=True",
        'revision="v1.0.0"',
        f"pdefm data verify pdebench-fm/{name} --revision v1.0.0",
        "eprint        = {2306.00258}",
        "Gholami, Amir",
    ):
        assert expected in text
    assert not re.search(r"\n\n\n", text)
    assert "{{" not in text


def test_tables_have_as_many_cells_in_every_line(make_build, readme):
    texts = [readme, (make_build("poisson", ("pretrain", "in-domain")) / "README.md").read_text()]
    for text in texts:
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            lines = table.splitlines()
            assert len(lines) > 2
            assert set(lines[1]) <= set("|-")
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_the_python_in_the_card_runs(readme, make_build, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    folder, names = make_build(), {}
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        local = block.replace('"pdebench-fm/helmholtz-ood"', repr(str(folder))).replace(', revision="v1.0.0"', "")
        exec(local, names)  # noqa: S102
    made = names["rows"].solution
    assert made.shape == (8, 64, 64)
    np.testing.assert_array_equal(names["row"]["solution"], made[0])
    np.testing.assert_array_equal(next(iter(names["stream"]))["solution"], made[0])


def test_without_its_folder_a_card_has_neither_numbers_nor_pictures(make_build):
    manifest = read_manifest(make_build() / "manifest.json")
    text = dataset_card(manifest, "someone")
    assert "figures/" not in text
    assert "## Statistics" not in text
    assert 'load_dataset("someone/helmholtz-ood", "medium", split="test"' in text
    assert "figures/regimes.png" in dataset_card(manifest, "someone", make_build())


def test_only_what_is_new_is_measured_and_drawn(tmp_path, monkeypatch):
    def plan(*regimes):
        return BuildPlan(DATASETS["helmholtz-ood"], regimes, {"train": 8, "validation": 0, "test": 4}, 64)

    read = []
    original = statistics.read_blocks
    monkeypatch.setattr(
        statistics, "read_blocks", lambda path, *rest: read.append(path.parent.name) or original(path, *rest)
    )
    drawn = []
    original_draw = card._draw
    monkeypatch.setattr(card, "_draw", lambda *arguments: drawn.append(1) or original_draw(*arguments))
    folder = build(plan("mild"), tmp_path)
    first = (folder / "statistics.json").read_bytes()
    assert (read, len(drawn)) == (["mild"], 1)
    assert build(plan("mild"), tmp_path) == folder
    assert (read, len(drawn)) == (["mild"], 1)
    build(plan("hard"), tmp_path)
    assert (read, len(drawn)) == (["mild", "hard"], 2)
    assert [item.regime for item in read_statistics(folder).regimes] == ["mild", "hard"]
    assert json.loads(first)["regimes"][0] == json.loads((folder / "statistics.json").read_text())["regimes"][0]
    (folder / "figures" / "regimes.png").unlink()
    (folder / "statistics.json").write_text("{")
    build(plan("hard"), tmp_path)
    assert (read, len(drawn)) == (["mild", "hard", "mild", "hard"], 3)
    assert (folder / "figures" / "regimes.png").exists()


def test_a_regime_without_test_rows_is_measured_by_another_split(tmp_path):
    plan = BuildPlan(DATASETS["poisson-ood"], ("hard",), {"train": 4, "validation": 0, "test": 0}, 64)
    found = read_statistics(build(plan, tmp_path)).regimes[0]
    assert (found.split, found.rows) == ("train", 4)


def test_a_shard_that_cannot_be_measured_is_named(make_build, tmp_path):
    folder = shutil.copytree(make_build(), tmp_path / "dataset")
    manifest = read_manifest(folder / "manifest.json")
    (folder / "statistics.json").unlink()
    (folder / "mild" / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(PdefmError, match=r"cannot measure .*mild/test-00000-of-00001\.parquet"):
        write_dataset_card(manifest, folder)


def test_measuring_again_gives_the_same_bytes(make_build):
    folder = make_build()
    manifest = read_manifest(folder / "manifest.json")
    assert measure(manifest, folder) == read_statistics(folder)


DRUM_WORDS = ("title", "equation", "parameter_symbol", "parameter_name", "terms", "paper_name")


@pytest.mark.parametrize("sampling", [True, False], ids=["sampling", "latents"])
def test_words_of_a_plug_in_are_shown_and_do_nothing(plugin, make_build, registry, sampling):
    plugin()
    load_plugins()
    manifest = read_manifest(make_build() / "manifest.json")
    splits = tuple(split.model_copy(update={"regime": "near"}) for split in manifest.splits[:3])
    manifest = manifest.model_copy(update={"dataset": "drum", "splits": splits})
    plain = registry["drum"]

    def tags(word):
        said = {"sampling": word} if sampling else {"latents": {word: Range(1, 2)}}
        registry["drum"] = dataclasses.replace(plain, **dict.fromkeys(DRUM_WORDS, word), **said)
        return structure_of(dataset_card(manifest, "someone"))[0]

    harmless = tags("word")
    assert len(harmless) > 100
    for payload in PAYLOADS:
        assert tags(f"word {payload}") == harmless, payload
