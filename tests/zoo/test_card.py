"""Model cards: every score in them, to the last digit, and nothing about weights that they do not describe."""

import dataclasses
import json
import re
import shutil
import time
import unicodedata

import pytest
from described import errors_on, intervals_of, make_pretrained, make_record, mean_on, results_of
from factories import make_dataset, make_evaluation, make_run
from huggingface_hub import ModelCard
from payloads import PAYLOADS, structure_of
from pydantic import ValidationError

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import sha256_of
from pdebench_fm.models import DiffusionNormaliser, NeuralOperator, open_candidate, zoo_names
from pdebench_fm.models.loading import zoo_folder
from pdebench_fm.own_models import own_models
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.zoo import evidence
from pdebench_fm.zoo.card import ModelDescription, describe, model_card, write_model_card
from pdebench_fm.zoo.stated_scores import StatedScore, stated_scores


@pytest.fixture
def folder(tmp_path):
    return make_pretrained(tmp_path / "fno-mixed-tiny")


def text_of(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_card_keeps_every_score_to_its_last_digit(folder):
    evaluations = results_of(folder)
    write_model_card(folder, evaluations)
    scores = {(score.task, score.shots): score for score in stated_scores(folder)}
    assert len(scores) == 3 + 12 * 2
    assert {key: score.interval for key, score in scores.items()} == intervals_of(evaluations)
    for (task, shots), score in scores.items():
        assert score.error == mean_on(task, shots)
        assert (score.seeds, score.track, score.protocol) == (len(errors_on(task, shots)), "lite", 1)


def test_the_hubs_client_reads_the_scores_from_the_metadata(folder):
    write_model_card(folder, results_of(folder))
    data = ModelCard.load(folder / "README.md").data
    assert (data.model_name, data.library_name, data.license) == ("fno-mixed-tiny", "pdebench_fm", "apache-2.0")
    (entry,) = [
        entry
        for entry in data.eval_results
        if (entry.dataset_name, entry.metric_args["shots"]) == ("helmholtz-ood/hard", 32)
    ]
    assert (entry.dataset_type, entry.dataset_config, entry.dataset_split) == (
        "pdebench-fm/helmholtz-ood",
        "hard",
        "test",
    )
    assert (entry.metric_type, entry.metric_value) == ("relative_l2", mean_on("helmholtz-ood/hard", 32))


def test_the_table_shows_errors_with_95_percent_intervals(folder):
    evaluations = results_of(folder)
    text = text_of(write_model_card(folder, evaluations).parent)
    assert "In brackets: 95 % intervals" in text
    assert "after shots the mean over 3 seeds" in text
    cell = r"(\S+) \((\S+)–(\S+)\)"
    intervals = intervals_of(evaluations)
    for task in TASKS:
        (row,) = re.findall(rf"^\| `{task}` \| {cell} \| {cell} \|$", text, re.MULTILINE)
        for shots, shown in ((0, row[:3]), (32, row[3:])):
            low, high = intervals[task, shots]
            due = (mean_on(task, shots), low, high)
            assert [float(number) for number in shown] == pytest.approx(due, abs=0.06 * (high - low))


def test_a_score_whose_interval_is_not_known_stands_alone(folder):
    model = describe(folder, results_of(folder))
    scores = tuple(score.model_copy(update={"interval": None}) for score in model.scores)
    text = model_card(dataclasses.replace(model, scores=scores))
    assert "In brackets" not in text
    for task in TASKS:
        (row,) = re.findall(rf"^\| `{task}` \| ([0-9.]+) \| ([0-9.]+) \|$", text, re.MULTILINE)
        assert [float(cell) for cell in row] == pytest.approx([errors_on(task, 0)[0], mean_on(task, 32)], rel=6e-3)


def test_a_card_is_rendered_again_from_its_folder_alone(folder):
    write_model_card(folder, results_of(folder))
    before = text_of(folder)
    write_model_card(folder)
    assert text_of(folder) == before
    on_hub = model_card(describe(folder), "org/fno-mixed-tiny", "v1.2.0")
    assert 'pf.load_model("org/fno-mixed-tiny", revision="v1.2.0")' in on_hub
    assert "pdefm eval --model org/fno-mixed-tiny@v1.2.0 --task" in on_hub
    assert 'pf.load_model("fno-mixed-tiny")' in before


@pytest.fixture
def own_elsewhere(tmp_path, monkeypatch):
    """A package without models of its own."""
    monkeypatch.setattr("pdebench_fm.own_models.PLACE", tmp_path / "own.json")


@pytest.mark.parametrize("name", zoo_names())
def test_cards_in_the_package_are_what_is_rendered_now(name):
    assert text_of(zoo_folder(name)) == model_card(describe(zoo_folder(name)))


def test_the_packages_own_models_are_known_by_their_digests():
    known = {}
    for name in zoo_names():
        model = open_candidate(name)
        known[model.weights_sha256] = (name, model.fingerprint)
    kept = {weights: (own.name, own.fingerprint) for weights, own in own_models().items() if own.scores is not None}
    assert kept == known


@pytest.mark.usefixtures("own_elsewhere")
def test_scores_of_weights_that_were_replaced_are_forgotten(tmp_path):
    for seed in (1, 2):
        folder = make_pretrained(tmp_path / "fno-mixed-tiny", seed=seed)
        write_model_card(folder, results_of(folder))
        evidence.pin_shipped(folder, sha256_of(folder / "model.safetensors"))
    assert set(own_models()) == {sha256_of(folder / "model.safetensors")}


def test_a_card_says_how_the_model_was_trained(folder):
    description = describe(folder, results_of(folder))
    text = model_card(description)
    for words in (
        "6,000 fresh samples",
        "data version 1.0.0",
        "peak learning rate 0.01",
        "1,500 steps",
        "cpu (x86_64)",
    ):
        assert words in text
    assert "| compute | 1.50 hours, 3.00 thread-hours; energy was not measured |" in text
    on_gpus = make_record(device="NVIDIA H100", threads=8, processes=4)
    text = model_card(ModelDescription(description.config, on_gpus, "0" * 64, description.scores))
    assert "| hardware | 4 × NVIDIA H100, 8 threads each |" in text
    assert "6.00 device-hours" in text


def test_a_card_says_which_rows_were_seen_and_what_that_means_for_the_tasks(folder):
    text = model_card(describe(folder, results_of(folder)))
    for words in (
        "| rows trained on | rows 0–1,999 of advection-diffusion/pretrain, train, data 1.0.0, at 64×64; rows ",
        "| rows looked at, not trained on | rows 0–63 of advection-diffusion/pretrain, validation, data 1.0.0, ",
        "\n* regime overlapping: poisson-ood/mild, advection-diffusion-ood/mild, helmholtz-ood/mild\n",
        "\n* test rows seen: none\n",
    ):
        assert words in text
    unknown = make_record(manifest=None)
    description = describe(folder, results_of(folder))
    text = model_card(ModelDescription(description.config, unknown, "0" * 64, description.scores))
    assert "rows trained on" not in text
    assert "regime" not in text.partition("## Scores")[2].partition("## Limits")[0]


def test_a_card_says_what_is_built_in_and_by_which_rows_settings_were_chosen(folder):
    description = describe(folder, results_of(folder))
    settings = {
        "normaliser": "diffusion-normalised",
        "frame": "lattice",
        "velocity_share": 0.5,
        "omega_share": 2.0,
        "weight_decay": 0.1,
        "decay_share": 0.25,
    }
    config = description.training.config.model_copy(update=settings)
    errors = {"poisson": 0.04321, "helmholtz": 1.25}
    training = description.training.model_copy(update={"config": config, "selection_errors": errors})
    scales = DiffusionNormaliser(coefficient_scales=(1.0,) * 6, velocity_share=0.5, omega_share=2.0)
    network = description.config.model_copy(update={"normaliser": scales, "frame": "lattice"})
    text = model_card(ModelDescription(network, training, "0" * 64, description.scores))
    where = "inside the range of `medium`, in rows that no task scores"
    for words in (
        "each coefficient's term, relative to the size of the operator (below), is divided by its root\n",
        "divided by s = 4π² √det K + 0.5 · 2π‖v‖ + 2 · ω,",
        "| coordinates | frame `lattice`: each problem is seen mirrored",
        "AdamW with weight decay 0.1, peak learning rate",
        "cosine to zero over the last 25% of the steps,",
        f"(e ∈ U(5, 7), ω ∈ 11–13: {where}): poisson 0.0432, helmholtz 1.25 |",
    ):
        assert words in text
    assert "other settings" not in text
    plain = model_card(description)
    assert "each coefficient is divided by its root mean square" in plain
    absent = ("relative to", "AdamW", "built in", "chosen by", "coordinates |", "over the last")
    assert not any(words in plain for words in absent)


def test_settings_that_the_card_has_no_words_for_are_listed_by_name(folder):
    class LaterConfig(PretrainConfig):
        fine_resolution: int | None = None
        fine_fraction: float = 0.25

    description = describe(folder, results_of(folder))
    config = LaterConfig(family="mixed", size="tiny", steps=3, fine_resolution=128)
    later = description.training.model_copy(update={"config": config})
    text = model_card(ModelDescription(description.config, later, "0" * 64, description.scores))
    assert "| other settings | `fine_resolution` 128, `fine_fraction` 0.25 |" in text
    assert "other settings" not in model_card(description)


def test_a_model_of_one_system_says_which_it_never_saw(tmp_path):
    folder = make_pretrained(tmp_path / "fno-poisson-tiny", "poisson")
    text = model_card(describe(folder, results_of(folder, "poisson")))
    assert "never saw advection-diffusion or helmholtz problems" in text
    assert "resonate" not in text  # a limit of models that were trained on Helmholtz problems


def test_missing_scores_are_named(folder):
    results = results_of(folder, tasks=[task for task in TASKS if task != "poisson-ood/hard"])
    with pytest.raises(UsageError, match=r"missing for a model card, on poisson-ood/hard: .* --shots 0,32"):
        describe(folder, results)
    with pytest.raises(UsageError, match=r"on poisson/in-domain, poisson-ood/mild, poisson-ood/medium and 9 more"):
        describe(folder, results_of(folder, shots=(0,)))
    with pytest.raises(UsageError, match="on helmholtz/pretrain:"):
        describe(folder, [result for result in results_of(folder) if result.result.task != "helmholtz/pretrain"])


@pytest.mark.usefixtures("own_elsewhere")
def test_the_packages_own_cards_may_be_zero_shot_alone(folder):
    results = results_of(folder, shots=(0,))
    description = describe(folder, results, (0,))
    assert len(description.scores) == 3 + 12
    (folder / "README.md").write_text(model_card(description), encoding="utf-8")
    with pytest.raises(PdefmError, match="nothing vouches"):
        describe(folder)
    evidence.pin_shipped(folder, description.weights_sha256)
    assert describe(folder).scores == description.scores
    assert "| task | zero-shot |\n|---|---|\n| `poisson/in-domain` |" in model_card(describe(folder))
    with pytest.raises(UsageError, match=r"on poisson-ood/hard: .* --shots 0` on"):
        describe(folder, [result for result in results if result.result.task != "poisson-ood/hard"])


def test_scores_of_two_tracks_are_not_mixed(folder):
    *results, last = results_of(folder)
    other = make_evaluation(
        last.result.task, last.result.model, [make_run((0.1,), shots=0), make_run(shots=32)], track="full"
    )
    with pytest.raises(UsageError, match="one track"):
        describe(folder, [*results, other])


def test_results_of_other_weights_make_no_card(folder, tmp_path):
    other = make_pretrained(tmp_path / "other", seed=5)
    with pytest.raises(UsageError, match="result on poisson/pretrain is of other weights than"):
        write_model_card(folder, results_of(other))


def test_a_card_does_not_speak_for_new_weights(folder):
    write_model_card(folder, results_of(folder))
    model = NeuralOperator.from_pretrained(folder)
    model.network.project.bias.data += 1
    model.save_pretrained(folder)
    with pytest.raises(PdefmError, match="states the scores of other weights"):
        stated_scores(folder)


def test_a_card_without_scores_says_how_to_get_some(folder):
    (folder / "README.md").write_text("# A model\n")
    with pytest.raises(PdefmError, match=r"states no scores: `pdefm zoo card"):
        stated_scores(folder)
    (folder / "README.md").unlink()
    with pytest.raises(PdefmError, match=r"has no README\.md"):
        stated_scores(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("track: lite", "trak: lite"),
        ("shots: 32", "shots: many"),
        ("track: lite", "track: long"),
        ("---\n", "---\n: ["),
    ],
)
def test_a_damaged_card_is_one_clear_error(folder, old, new):
    write_model_card(folder, results_of(folder))
    (folder / "README.md").write_text(text_of(folder).replace(old, new, 1))
    with pytest.raises(PdefmError, match="damaged or of something else"):
        stated_scores(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": (0.5, 0.01)},
        {"interval": (0.5, 0.6)},
        {"interval": (0.0, 1e308)},
        {"interval": (True, True)},
        {"error": 1e308},
        {"error": 0.0},
        {"error": "0.1"},
        {"error": True, "interval": None},
        {"error": float("nan")},
    ],
    ids=str,
)
def test_an_impossible_score_is_no_score(changes):
    fair = {
        "task": "poisson-ood/medium",
        "track": "lite",
        "shots": 0,
        "error": 0.1,
        "interval": (0.09, 0.11),
        "seeds": 3,
        "data_version": "1.0.0",
        "protocol": 1,
    }
    assert StatedScore.model_validate(fair).error == 0.1
    with pytest.raises(ValidationError, match=r"error|interval"):
        StatedScore.model_validate(fair | changes)


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    """What a card says of a model, with harmless words."""
    folder = make_pretrained(tmp_path_factory.mktemp("described") / "fno-mixed-tiny")
    return describe(folder, results_of(folder))


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("field", ["device", "torch_version", "package_version"])
def test_words_of_a_training_record_are_shown_and_do_nothing(description, field, payload):
    tags = structure_of(model_card(description))[0]
    spoiled = dataclasses.replace(description, training=make_record(**{field: f"word {payload}"}))
    text = model_card(spoiled)
    assert structure_of(text)[0] == tags
    assert ModelCard(text).data.to_dict() == ModelCard(model_card(description)).data.to_dict()
    assert not {letter for letter in text if unicodedata.category(letter).startswith("C")} - {"\n"}


def test_what_a_word_says_can_still_be_read(description):
    spoiled = dataclasses.replace(description, training=make_record(device="<b>NVIDIA</b> H100 [80|96] _x_ x86_64"))
    assert "<b>NVIDIA</b> H100 [80|96] _x_ x86_64, 2 threads" in structure_of(model_card(spoiled))[1]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("field", ["size", "family", "data_version"])
def test_names_in_a_training_record_are_names(folder, field, payload):
    record = json.loads((folder / "training.json").read_text())
    record["config"][field] = payload
    (folder / "training.json").write_text(json.dumps(record))
    with pytest.raises(PdefmError) as caught:
        describe(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_a_result_on_a_task_of_another_name_is_no_part_of_a_card(folder):
    results = results_of(folder)
    other = make_evaluation("<script>/x", results[0].result.model, [make_run((0.1,), shots=0)])
    write_model_card(folder, [*results, other])
    assert "script" not in text_of(folder)
    assert not list((folder / "results").glob("*script*"))


def test_a_card_with_other_scores_than_its_results_is_made_anew_from_these(folder):
    write_model_card(folder, results_of(folder))
    before = text_of(folder)
    (folder / "README.md").write_text(re.sub(r"value: 0\.\d+", "value: 0.001", before))
    write_model_card(folder)
    assert text_of(folder) == before


def test_without_results_nothing_vouches_for_a_card(folder, tmp_path):
    write_model_card(folder, results_of(folder))
    shutil.rmtree(folder / "results")
    with pytest.raises(PdefmError, match=r"nothing vouches for the scores in .*README\.md.*`pdefm zoo card"):
        describe(folder)
    ours = shutil.copytree(zoo_folder("fno-mixed-64k"), tmp_path / "ours")
    scores = describe(ours).scores
    (ours / "README.md").write_text(text_of(ours).replace(f"value: {scores[0].error}", "value: 0.001"))
    with pytest.raises(PdefmError, match="nothing vouches"):
        describe(ours)


def test_results_are_held_to_their_per_sample_scores(folder):
    write_model_card(folder, results_of(folder))
    path = folder / "results" / "poisson-ood--hard-lite.json"
    path.write_text(re.sub(r'"relative_l2_mean": 0\.\d+', '"relative_l2_mean": 0.0001', path.read_text()))
    with pytest.raises(PdefmError, match=r"poisson-ood--hard-lite\.json is not a valid result"):
        describe(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "mine"}, "on poisson-ood/hard is by the method 'mine'"),
        ({"dataset": make_dataset("poisson-ood/hard", recipe_digest="0" * 64)}, "other test rows than the standard"),
    ],
)
def test_a_card_states_scores_of_the_protocol_alone(folder, changes, message):
    results = [made for made in results_of(folder) if made.result.task != "poisson-ood/hard"]
    runs = [make_run((0.1,), shots=0), make_run(shots=32)]
    other = make_evaluation("poisson-ood/hard", results[0].result.model, runs, **changes)
    with pytest.raises(UsageError, match=message):
        describe(folder, [*results, other])


def bomb():
    lines = ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    return "---\n" + "\n".join(lines) + "\n---\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(), "YAML aliases"),
        ("---\nx: " + "[" * 5000 + "]" * 5000 + "\n---\n", "nested more than 32 levels"),
        ("---\nx: " + "y" * 300_000 + "\n---\n", "too large"),
        ("---\nmodel-index: 7\n---\n", "states no scores"),
        ("---\n- a\n- b\n---\n", "damaged or of something else"),
    ],
    ids=["aliases", "depth", "size", "kind", "list"],
)
def test_hostile_metadata_is_one_line_at_once(folder, text, message):
    (folder / "README.md").write_text(text)
    start = time.monotonic()
    with pytest.raises(PdefmError, match=message) as caught:
        stated_scores(folder)
    assert time.monotonic() - start < 5
    assert "\n" not in str(caught.value)
