"""Labels in a result follow from the manifest in it: computed anew when it is read, and refused if they are others."""

import json

import pytest
from factories import make_dataset, make_evaluation, make_model, make_run

from pdebench_fm.data.catalogue import find_task
from pdebench_fm.data.training_manifest import Stream, TrainingManifest, stream_of
from pdebench_fm.errors import PdefmError
from pdebench_fm.physics import SampleKey
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.merging import fingerprint, may_merge
from pdebench_fm.results.remarks import regime_remark
from pdebench_fm.results.remarks import test_rows_remark as seen_remark
from pdebench_fm.results.result import read_result

PRETRAINED = TrainingManifest(
    trained=(stream_of(SampleKey("poisson", "pretrain", "train"), range(1000), 64),),
    looked_at=(stream_of(SampleKey("poisson", "selection", "validation"), range(128), 64),),
)
CHEATED = TrainingManifest(trained=(stream_of(SampleKey("poisson", "mild", "test"), range(100, 200), 64),))
ROW = {
    "system": "poisson",
    "split": "train",
    "data_version": "1.0.0",
    "seed": 0,
    "start": 0,
    "stop": 9,
    "resolution": 64,
}


def made(task="poisson-ood/mild", training=PRETRAINED, **changes):
    return make_evaluation(task, make_model(training=training), **changes)


def written(folder, evaluation, change=lambda _: None):
    path = evaluation.write(folder / "result.json")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("task", "label"),
    [
        ("poisson/in-domain", ("seen", 1.0, 0.0, 0)),
        # rows of the tests' results are spread evenly: e is 2.5 + 5 i / 512
        ("poisson-ood/mild", ("overlapping", 257 / 512, 205 / 512, 0)),
        ("poisson-ood/medium", ("unseen", 1 / 512, 205 / 512, 0)),
        ("poisson-ood/hard", ("unseen", 0.0, 0.0, 0)),
        ("helmholtz/in-domain", ("unseen", 0.0, 0.0, 0)),
    ],
)
def test_labels_are_those_of_manifest_task_and_rows(task, label):
    assert tuple(made(task).result.contamination.model_dump().values()) == label


def test_without_manifest_nothing_is_known():
    assert set(made(training=None).result.contamination.model_dump().values()) == {"unknown", None}


@pytest.mark.parametrize("label", ["unseen", "seen", "unknown"])
def test_a_claimed_label_is_refused_by_the_file_alone(tmp_path, label):
    path = written(tmp_path, made(), lambda document: document["contamination"].update(regime=label))
    words = f"contamination.regime is '{label}', but the training manifest gives 'overlapping'"
    with pytest.raises(PdefmError, match=words):
        read_result(path)


@pytest.mark.parametrize("seen", [0, 99, None])
def test_test_rows_that_were_seen_cannot_be_kept_quiet(tmp_path, seen):
    path = written(
        tmp_path, made(training=CHEATED), lambda document: document["contamination"].update(test_rows_seen=seen)
    )
    with pytest.raises(PdefmError, match=f"test_rows_seen is {seen}, but the training manifest gives 100"):
        read_result(path)


@pytest.mark.parametrize("field", ["trained_share", "looked_at_share"])
def test_a_claimed_share_is_refused_by_the_samples(tmp_path, field):
    path = written(tmp_path, made(), lambda document: document["contamination"].update({field: 0.01}))
    read_result(path)
    with pytest.raises(PdefmError, match=rf"contamination\.{field} is 0\.01, but manifest and samples give"):
        read_evaluation(path)


def test_a_share_that_nothing_gives_is_refused_by_the_file_alone(tmp_path):
    path = written(tmp_path, made(training=None), lambda document: document["contamination"].update(trained_share=0.0))
    with pytest.raises(PdefmError, match=r"contamination\.trained_share should be null"):
        read_result(path)
    path = written(tmp_path, made(), lambda document: document["contamination"].update(looked_at_share=None))
    with pytest.raises(PdefmError, match=r"contamination\.looked_at_share is missing"):
        read_result(path)


def test_standard_rows_are_of_sampling_seed_0_so_that_none_of_them_is_called_another(tmp_path):
    def disguise(document):
        document["dataset"]["sampling_seed"] = 5
        document["contamination"]["test_rows_seen"] = 0

    with pytest.raises(PdefmError, match=r"sampling_seed is 5, but the rows .* are those of sampling seed 0"):
        read_result(written(tmp_path, made(training=CHEATED), disguise))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"regime": "mild"}, "contamination.regime is 'overlapping', but the training manifest gives 'seen'"),
        ({"regime": "mine"}, "parameter_range is missing"),
        ({"regime": "pretrain", "parameter_range": {"low": 1, "high": 2, "integer": False}}, "leave it out"),
        ({"regime": "pretrain", "stop": 10**15}, "model.training.trained"),
        ({"regime": "pretrain\u202e"}, "model.training.trained"),
    ],
)
def test_another_manifest_is_another_label_or_none(tmp_path, change, words):
    def altered(document):
        document["model"]["training"]["trained"] = [ROW | change]

    with pytest.raises(PdefmError, match=words):
        read_result(written(tmp_path, made(), altered))


def test_the_range_of_a_benchmarks_task_is_not_up_to_a_file(tmp_path):
    def moved(document):
        document["dataset"]["parameter_range"] = {"low": 50, "high": 60, "integer": False}
        document["contamination"]["regime"] = "unseen"

    with pytest.raises(
        PdefmError, match=r"parameter_range is U\(50, 60\), but that of poisson/mild is U\(2\.5, 7\.5\)"
    ):
        read_result(written(tmp_path, made(), moved))


def test_a_task_of_ones_own_is_labelled_wherever_its_file_is_read(tmp_path, plugin, registry):
    plugin()
    find_task("drum/near")  # which loads it
    dataset = make_dataset("drum/near")
    assert dataset.parameter_range.span == registry["drum"].regimes["near"]  # U(0.5, 3)
    stream = {"system": "drum", "regime": "far-2", "parameter_range": {"low": 2.0, "high": 6.0}}
    training = TrainingManifest(trained=(Stream(**ROW | stream),))
    evaluation = make_evaluation("drum/near", make_model(training=training), dataset=dataset)
    path = written(tmp_path, evaluation)
    registry.pop("drum")
    found = read_evaluation(path).result.contamination
    assert found.regime == "overlapping"
    assert found.trained_share == pytest.approx(1 / 2.5, abs=0.01)


def test_a_union_has_the_labels_of_its_rows():
    failure = {"start": "pretrained", "shots": 8, "seed": 0, "reason": "no"}
    nothing, something = made(runs=(), failures=(failure,)), made(runs=[make_run((0.2,), shots=0)])
    assert nothing.result.contamination.trained_share is None
    union = nothing.merged_with(something).result
    assert union.contamination == something.result.contamination
    assert union.failures


def test_what_a_model_was_trained_on_is_part_of_what_it_is():
    known, unknown = made().result, made(training=None).result
    assert not may_merge(known, unknown)
    assert fingerprint(known) != fingerprint(made(training=CHEATED).result)
    assert fingerprint(known) == fingerprint(made(runs=[make_run((0.2,), shots=0)]).result)


def test_what_is_said_of_it():
    assert regime_remark(made().result) == "50% of the test rows in the range trained on"
    assert regime_remark(made("poisson/in-domain").result) == "regime seen in training"
    assert regime_remark(made("poisson-ood/hard").result) == "regime not seen in training"
    assert regime_remark(made(training=None).result) == "training not stated"
    assert seen_remark(made().result) == ""
    assert seen_remark(made(training=CHEATED).result) == "100 of its 512 test rows were trained on or looked at"
