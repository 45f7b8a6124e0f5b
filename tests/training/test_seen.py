"""The manifest of a pretraining says what was really drawn: every row that a run makes is watched."""

from collections import defaultdict

import numpy as np
import pytest

from pdebench_fm.data import batches
from pdebench_fm.data.batches import Mixture
from pdebench_fm.models.loading import zoo_folder, zoo_names
from pdebench_fm.physics import Range, SampleKey, System, register_system
from pdebench_fm.training.checkpoint import read_checkpoint
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.pretrain import Pretraining
from pdebench_fm.training.record import TrainingRecord, read_training_record
from pdebench_fm.training.run import pretrain


@pytest.fixture
def drawn(monkeypatch):
    """Every row that is made, by stream and resolution."""
    rows = defaultdict(set)
    make, draw = Mixture.batch, batches.sample
    at = []

    def batch(self, start, count):
        at.append(self.resolution)
        try:
            return make(self, start, count)
        finally:
            at.pop()

    def sample(key, indices, resolution):
        rows[key, at[-1]] |= {int(i) for i in indices}
        return draw(key, indices, resolution)

    monkeypatch.setattr(Mixture, "batch", batch)
    monkeypatch.setattr(batches, "sample", sample)
    return rows


def stated(streams):
    rows = defaultdict(set)
    for stream in streams:
        rows[stream.key, stream.resolution] |= set(range(stream.start, stream.stop))
    return rows


CONFIGS = {
    "unequal shares, coarse first, and the turn in the middle of a round": PretrainConfig(
        family="mixed", size="64k", shares=(1, 3, 2), steps=9, batch_size=5, coarse_share=0.5
    ),
    "one grid": PretrainConfig(family="mixed", size="64k", steps=4, batch_size=4),
    "more rows than scales are measured on": PretrainConfig(
        family="poisson", size="64k", steps=11, batch_size=100, coarse_share=0.99, coarse_resolution=16
    ),
    "a coarse grid that is none": PretrainConfig(
        family="helmholtz", size="64k", steps=4, batch_size=4, coarse_share=0.5, coarse_resolution=64
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_manifest_states_what_was_drawn_and_nothing_else(drawn, tmp_path, name):
    folder = pretrain(CONFIGS[name], tmp_path, validate_every=3)
    manifest = read_training_record(folder).manifest
    everything = stated(manifest.trained + manifest.looked_at)
    # scales are measured at the training resolution on rows that are trained on, maybe on a coarser grid
    made, wanted = (
        {key: set().union(*(found[place] for place in found if place[0] == key)) for key, _ in found}
        for found in (drawn, everything)
    )
    assert made == wanted
    assert {key.split for key, _ in stated(manifest.trained)} == {"train"}
    assert {key.split for key, _ in stated(manifest.looked_at)} == {"validation"}


@pytest.mark.parametrize("name", CONFIGS)
def test_each_row_is_stated_at_the_resolution_that_it_was_trained_on(drawn, name):
    config = CONFIGS[name]
    run = Pretraining(config)
    drawn.clear()  # of the scales
    for _ in range(config.steps):
        run.advance()
    trained = stated(run.manifest.trained)
    if config.steps * config.batch_size < 1024:
        for key in config.mixture("train").keys:  # those of the scales alone are stated on the fine grid
            trained[key, config.resolution] &= drawn[key, config.resolution]
    assert {place: rows for place, rows in trained.items() if rows} == {p: rows for p, rows in drawn.items() if rows}


def test_a_run_in_pieces_states_all_of_them(tmp_path, monkeypatch):
    config = CONFIGS["unequal shares, coarse first, and the turn in the middle of a round"]
    whole = pretrain(config, tmp_path / "whole")

    advance = Pretraining.advance

    def interrupted(self, **_):
        if self.step == 4:
            raise KeyboardInterrupt
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, tmp_path / "pieces", validate_every=2)
    half = Pretraining.resume(read_checkpoint(tmp_path / "pieces" / "checkpoint.safetensors")).manifest
    pieces = pretrain(config, tmp_path / "pieces", validate_every=2)
    manifests = [read_training_record(folder).manifest for folder in (whole, pieces)]
    assert manifests[0] == manifests[1]
    assert half != manifests[0]


def test_processes_that_share_batches_see_what_one_does():
    """The rows of a batch are those at its positions, whoever makes them."""
    mixture = Mixture(
        (SampleKey("poisson", "pretrain", "train"), SampleKey("helmholtz", "pretrain", "train")), 64, (3, 2)
    )
    for start in range(0, 24, 6):
        whole = mixture.rows(start, start + 6)
        parts = [mixture.rows(start + 3 * rank, start + 3 * rank + 3) for rank in range(2)]
        for key in mixture.keys:
            assert list(whole[key]) == [i for part in parts for i in part[key]]


@pytest.mark.usefixtures("registry")
def test_a_system_of_ones_own_is_stated_with_its_range(tmp_path):
    def coefficients(values):
        return np.stack([values.parameter, *[np.zeros_like(values.parameter)] * 5], axis=-1)

    register_system(
        System(
            name="heat",
            title="Heat",
            equation="−κ Δu = f",
            parameter_symbol="κ",
            parameter_name="conductivity",
            regimes={"pretrain": Range(0.02, 0.08)},
            coefficients=coefficients,
            symbol=lambda k, c: 39.5 * c[:, 0][:, None, None] * (k.kx**2 + k.ky**2),
            coefficient_names=("κ",),
        )
    )
    config = PretrainConfig(family="heat", size="64k", steps=2, batch_size=2)
    manifest = read_training_record(pretrain(config, tmp_path)).manifest
    assert {stream.span for stream in manifest.trained + manifest.looked_at} == {Range(0.02, 0.08)}
    assert manifest.trained[0].parameter_range is not None


def test_a_record_of_other_rows_than_its_configuration_draws_is_refused(tmp_path):
    record = read_training_record(pretrain(CONFIGS["one grid"], tmp_path))
    document = record.model_dump()
    document["manifest"]["trained"] = document["manifest"]["trained"][1:]
    with pytest.raises(ValueError, match="states other rows than a run of this configuration trains on"):
        TrainingRecord.model_validate(document)


@pytest.mark.parametrize("name", zoo_names())
def test_shipped_weights_state_what_their_configuration_draws(name):
    record = read_training_record(zoo_folder(name))
    assert record.manifest == record.drawn_by_configuration()
    assert sum(stream.stop - stream.start for stream in record.manifest.trained) == record.samples
