"""The training manifest: what one can state, what is refused and in which words, and how it is read from a file."""

import json

import pytest

from pdebench_fm.data.training_manifest import (
    Stream,
    TrainingManifest,
    in_words,
    read_manifest,
    required_manifest,
    write_manifest,
)
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.physics import Range

STREAM = {
    "system": "poisson",
    "regime": "pretrain",
    "split": "train",
    "data_version": "1.0.0",
    "seed": 0,
    "start": 0,
    "stop": 1000,
    "resolution": 64,
}
OWN = {"low": 1.0, "high": 20.0}


def written(folder, *streams, **others):
    path = folder / "training.json"
    path.write_text(json.dumps({"manifest": {"trained": list(streams)}, **others}))
    return path


def test_a_manifest_is_the_same_after_writing_and_reading(tmp_path):
    manifest = TrainingManifest(
        trained=(Stream(**STREAM), Stream(**STREAM | {"regime": "mine", "parameter_range": OWN, "seed": -3})),
        looked_at=(Stream(**STREAM | {"split": "validation"}),),
    )
    write_manifest(manifest, tmp_path / "training.json")
    assert read_manifest(tmp_path / "training.json") == manifest
    assert manifest.digest == read_manifest(tmp_path / "training.json").digest


@pytest.mark.parametrize(
    "text",
    [
        '{"manifest": {"trained": [STREAM]}, "manifest": {"trained": []}}',
        '{"manifest": {"trained": [STREAM], "trained": []}}',
        '{"manifest": {"trained": [STREAM]}}'.replace("STREAM", json.dumps(STREAM)[:-1] + ', "stop": 1}'),
    ],
    ids=["manifest", "trained", "stop"],
)
def test_what_is_stated_twice_is_refused(text, tmp_path):
    path = tmp_path / "training.json"
    path.write_text(text.replace("STREAM", json.dumps(STREAM)))
    with pytest.raises(
        PdefmError, match=r"holds no training manifest: '(manifest|trained|stop)' is there twice in one"
    ):
        read_manifest(path)


@pytest.mark.parametrize("key", ["trained", "looked_at"])
def test_streams_beside_the_manifest_are_not_passed_over(key, tmp_path):
    path = tmp_path / "training.json"
    path.write_text(json.dumps({key: [STREAM]}))
    with pytest.raises(PdefmError, match=f"holds no training manifest: '{key}' belongs inside an object 'manifest'"):
        read_manifest(path)


def test_a_systems_name_with_a_letter_too_few_is_suggested():
    with pytest.raises(ValueError, match=r"poison/pretrain is no regime of the benchmark \(did you mean 'poisson'\?\)"):
        Stream(**STREAM | {"system": "poison"})


@pytest.mark.parametrize(("name", "kind"), [("poisson-ood", "a dataset"), ("mixed", "a family of models")])
def test_names_that_no_system_can_have_are_refused_with_any_range(name, kind):
    for stated in ({}, {"parameter_range": OWN}):
        with pytest.raises(ValueError, match=f"system is '{name}', the name of {kind}: name a system, such as poisson"):
            Stream(**STREAM | {"system": name, "regime": "hard"} | stated)


def test_the_order_of_streams_makes_no_difference():
    streams = [Stream(**STREAM | {"start": start}) for start in (0, 7, 3)]
    one, other = (TrainingManifest(trained=tuple(some)) for some in (streams, streams[::-1]))
    assert one == other
    assert one.digest == other.digest
    assert one.digest != TrainingManifest(looked_at=tuple(streams)).digest


def test_the_benchmarks_ranges_are_known_and_others_are_stated():
    assert Stream(**STREAM).span == Range(1.0, 5.0)
    assert Stream(**STREAM | {"parameter_range": {"low": 1, "high": 5}}).span == Range(1.0, 5.0)
    assert Stream(**STREAM | {"regime": "mine", "parameter_range": OWN}).span == Range(1.0, 20.0)
    assert Stream(**STREAM | {"system": "drum", "regime": "near", "parameter_range": OWN}).span == Range(1.0, 20.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"system": "Poisson<b>"}, r"trained\.0\.system"),
        ({"regime": "../up"}, r"trained\.0\.regime"),
        ({"split": "holdout"}, r"trained\.0\.split"),
        ({"data_version": "1.0"}, r"trained\.0\.data_version"),
        ({"seed": 2**53}, r"trained\.0\.seed"),
        ({"seed": "0"}, r"trained\.0\.seed"),
        ({"start": -1}, r"trained\.0\.start"),
        ({"start": 1000}, "stop should be above start, but rows 1000 to 1000 are none"),
        ({"stop": 10**12 + 1}, r"trained\.0\.stop"),
        ({"stop": 10.5}, r"trained\.0\.stop"),
        ({"resolution": 0}, r"trained\.0\.resolution"),
        ({"resolution": 10**6}, r"trained\.0\.resolution"),
        ({"regime": "mine"}, "parameter_range is missing: poisson/mine is no regime of the benchmark"),
        ({"parameter_range": OWN}, r"parameter_range is U\(1, 20\), but that of poisson/pretrain is U\(1, 5\)"),
        ({"regime": "mine", "parameter_range": {"low": 2, "high": 1}}, "low should not be above high"),
        ({"regime": "mine", "parameter_range": {"low": 1.5, "high": 2, "integer": True}}, "whole numbers as ends"),
        ({"regime": "mine", "parameter_range": {"low": 1, "high": 1e13}}, r"parameter_range\.high"),
        ({"comment": "all of it"}, "comment: Extra inputs are not permitted"),
    ],
)
def test_what_no_stream_can_be_is_refused_where_it_stands(tmp_path, change, words):
    path = written(tmp_path, STREAM | change)
    with pytest.raises(PdefmError, match=words) as error:
        read_manifest(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_the_same_rows_twice_are_a_mistake(tmp_path):
    with pytest.raises(PdefmError, match="rows 0 to 1000 of poisson/pretrain are there twice"):
        read_manifest(written(tmp_path, STREAM, STREAM | {"start": 5}, STREAM))


@pytest.mark.parametrize("part", ["trained", "looked_at"])
def test_a_regime_of_ones_own_has_one_range(part, tmp_path):
    own = STREAM | {"regime": "mine", "parameter_range": OWN}
    other = own | {"start": 1000, "stop": 2000, "parameter_range": OWN | {"high": 30.0}}
    path = tmp_path / "training.json"
    for streams in (own, other), (other, own):
        manifest = {"trained": [streams[0]]}
        manifest[part] = [*manifest.get(part, []), streams[1]]
        path.write_text(json.dumps({"manifest": manifest}))
        with pytest.raises(PdefmError, match=r"poisson/mine has two ranges, .*: a regime has one"):
            read_manifest(path)
        manifest[part][-1] = streams[1] | {"data_version": "2.0.0"}  # in which it may be another
        path.write_text(json.dumps({"manifest": manifest}))
        assert read_manifest(path) is not None


@pytest.mark.parametrize("number", [256, 257])
def test_the_number_of_streams_has_a_limit(tmp_path, number):
    path = written(tmp_path, *(STREAM | {"start": start} for start in range(number)))
    if number == 256:
        assert len(read_manifest(path).trained) == number
        return
    with pytest.raises(PdefmError, match="at most 256 items"):
        read_manifest(path)


def test_without_file_or_key_nothing_is_known(tmp_path):
    assert read_manifest(tmp_path / "training.json") is None
    path = written(tmp_path)
    path.write_text('{"hours": 2}')
    assert read_manifest(path) is None
    assert read_manifest(written(tmp_path, hours=2, config={"family": "x"})) == TrainingManifest()


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"manifest": []}', b'{"manifest": {"trained": NaN}}'])
def test_a_damaged_file_is_one_clear_line(tmp_path, content):
    path = tmp_path / "training.json"
    path.write_bytes(content)
    with pytest.raises(PdefmError, match="holds no training manifest") as error:
        read_manifest(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_far_too_large_is_not_read(tmp_path):
    path = tmp_path / "training.json"
    path.write_bytes(b" " * 2_000_000)
    with pytest.raises(PdefmError, match=r"2\.0 MB"):
        read_manifest(path)


def test_a_file_that_a_user_names_has_to_state_a_manifest(tmp_path):
    with pytest.raises(UsageError, match="no training manifest at"):
        required_manifest(tmp_path / "training.json")
    path = written(tmp_path)
    path.write_text("{}")
    with pytest.raises(UsageError, match="states no training manifest: it has no key 'manifest'"):
        required_manifest(path)


def test_streams_are_said_in_words():
    own = Stream(**STREAM | {"regime": "mine", "parameter_range": OWN, "seed": 4, "start": 10})
    assert in_words([Stream(**STREAM), own]) == (
        "rows 0–999 of poisson/pretrain, train, data 1.0.0, at 64×64; "
        "rows 10–999 of poisson/mine (U(1, 20)), train, data 1.0.0, sampling seed 4, at 64×64"
    )
