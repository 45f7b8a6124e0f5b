"""What a manifest means for a task: the regime by its law, test rows by their stream; held to independent draws."""

import numpy as np
import pytest

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.training_manifest import Stream, TrainingManifest, stream_of
from pdebench_fm.physics import Range, SampleKey, draw
from pdebench_fm.protocol.contamination import (
    ScoredRows,
    knowledge_in_words,
    knowledge_of,
    seen_test_rows,
    share_inside,
)

SYSTEMS = ("poisson", "advection-diffusion", "helmholtz")
# Design, the table of regimes: how much of each is in `pretrain`.
EXPECTED = {
    "in-domain": ("seen", 1.0),
    "mild": ("overlapping", 0.5),
    "medium": ("unseen", 0.0),
    "hard": ("unseen", 0.0),
}


def trained_on(*streams):
    return TrainingManifest(trained=streams)


def rows_of(system, regime="pretrain", split="train", start=0, stop=1000, version="1.0.0", seed=0):
    return stream_of(SampleKey(system, regime, split, version, seed), range(start, stop), 64)


PRETRAINED = trained_on(*map(rows_of, SYSTEMS))


def knowledge(manifest, task):
    system = TASKS[task].dataset.system
    return knowledge_of(manifest, system.name, system.regimes[TASKS[task].regime.name])


@pytest.mark.parametrize("task", TASKS)
def test_regimes_are_known_as_the_design_says(task):
    label, share = EXPECTED[TASKS[task].regime.name]
    assert knowledge(PRETRAINED, task) == label
    key = TASKS[task].dataset.key(TASKS[task].regime.name, "test")
    parameters = draw(key, range(512)).parameter.astype(np.float64)
    found = share_inside(PRETRAINED.trained, key.system, parameters)
    assert found == pytest.approx(share, abs=0.07 if label == "overlapping" else 0.0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_mild_regime_overlaps_by_about_half_of_its_rows(system):
    parameters = draw(SampleKey(system, "mild", "test"), range(512)).parameter
    # Design: e in U(1, 5), Ψ in U(0.2, 1), ω in 1 … 10
    ends = {"poisson": (1, 5), "advection-diffusion": (0.2, 1), "helmholtz": (1, 10)}[system]
    counted = sum(ends[0] <= value <= ends[1] for value in parameters.tolist()) / 512
    assert share_inside(PRETRAINED.trained, system, parameters.astype(np.float64)) == counted
    assert 0.43 < counted < 0.57


def test_what_was_trained_on_is_added_up():
    both = trained_on(rows_of("poisson"), rows_of("poisson", "medium"))
    assert knowledge(both, "poisson-ood/mild") == "seen"
    assert knowledge(both, "poisson-ood/medium") == "seen"
    assert knowledge(trained_on(rows_of("poisson", "medium")), "poisson-ood/mild") == "overlapping"


def test_another_equation_is_another_regime():
    alone = trained_on(rows_of("poisson"))
    assert knowledge(alone, "poisson/in-domain") == "seen"
    assert {knowledge(alone, task) for task in TASKS if not task.startswith("poisson")} == {"unseen"}


def test_a_model_without_manifest_is_unknown_and_one_that_saw_nothing_is_not():
    rows = ScoredRows(SampleKey("poisson", "medium", "test"), Range(5, 10), 512)
    assert {knowledge(None, task) for task in TASKS} == {"unknown"}
    assert {knowledge(TrainingManifest(), task) for task in TASKS} == {"unseen"}
    assert (seen_test_rows(None, rows), seen_test_rows(TrainingManifest(), rows)) == (None, 0)


@pytest.mark.parametrize(
    "other",
    [{"version": "2.0.0"}, {"seed": 7}, {"split": "test"}, {"split": "validation"}, {"start": 40_000, "stop": 40_001}],
)
def test_other_rows_of_a_regime_are_the_same_regime(other):
    assert knowledge(trained_on(rows_of("helmholtz", "medium", **other)), "helmholtz-ood/medium") == "seen"


def test_rows_that_were_looked_at_are_no_training_but_are_seen():
    chosen = TrainingManifest(
        looked_at=(rows_of("poisson", "selection", "validation"), rows_of("poisson", "hard", "test"))
    )
    assert {knowledge(chosen, task) for task in TASKS} == {"unseen"}
    rows = ScoredRows(SampleKey("poisson", "hard", "test"), Range(10, 20), 512)
    assert seen_test_rows(chosen, rows) == 512


@pytest.mark.parametrize(
    ("stream", "seen"),
    [
        ({}, 512),
        ({"start": 500, "stop": 600}, 12),
        ({"start": 512}, 0),
        ({"version": "1.7.3"}, 512),  # the same bits
        ({"version": "2.0.0"}, 0),
        ({"seed": 1}, 0),
        ({"split": "train"}, 0),
        ({"regime": "hard"}, 0),
        ({"system": "helmholtz"}, 0),
    ],
)
def test_test_rows_are_known_by_their_stream_and_index(stream, seen):
    values = {"system": "poisson", "regime": "medium", "split": "test"} | stream
    rows = ScoredRows(SampleKey("poisson", "medium", "test"), Range(5, 10), 512)
    assert seen_test_rows(trained_on(rows_of(**values)), rows) == seen


def test_a_test_row_that_was_seen_twice_counts_once():
    streams = [rows_of("poisson", "medium", "test", start, start + 100) for start in (0, 50, 480)]
    rows = ScoredRows(SampleKey("poisson", "medium", "test"), Range(5, 10), 512)
    assert seen_test_rows(trained_on(*streams), rows) == 150 + 32


def test_the_private_rows_of_a_verifier_are_not_those_that_are_published():
    published = trained_on(rows_of("poisson", "medium", "test"))
    private = ScoredRows(SampleKey("poisson", "medium", "test", seed=123), Range(5, 10), 512)
    assert seen_test_rows(published, private) == 0


def test_a_regime_of_ones_own_counts_by_its_range():
    own = {"low": 1.0, "high": 20.0}
    values = {"system": "poisson", "regime": "mine", "split": "train", "data_version": "1.0.0", "start": 0, "stop": 9}
    wide = trained_on(Stream(**values, resolution=64, parameter_range=own))
    assert {knowledge(wide, f"poisson-ood/{regime}") for regime in ("mild", "medium", "hard")} == {"seen"}


def test_words_name_every_task_once_and_the_test_rows():
    lines = knowledge_in_words(trained_on(rows_of("poisson"), rows_of("helmholtz", "hard", "test", 0, 9)))
    assert lines[0] == "regime seen: poisson/in-domain, helmholtz-ood/hard"
    assert lines[1] == "regime overlapping: poisson-ood/mild"
    assert lines[2].startswith("regime unseen: poisson-ood/medium, ")
    assert sum(line.count("/") for line in lines[:3]) == len(TASKS)
    assert lines[3] == "test rows seen: 9 of helmholtz-ood/hard"
    assert knowledge_in_words(PRETRAINED)[-1] == "test rows seen: none"


def test_words_name_the_tasks_of_which_values_were_looked_at_and_not_trained_on():
    chosen = (rows_of("poisson", "pretrain", "validation", 0, 9), rows_of("poisson", "selection", "validation", 0, 9))
    lines = knowledge_in_words(TrainingManifest(trained=(rows_of("poisson"),), looked_at=chosen))
    assert lines[-2] == "settings chosen on values of: poisson-ood/mild, poisson-ood/medium"
