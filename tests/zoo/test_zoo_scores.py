"""Golden scores: every weight file in the package still gives the scores in its card, and a kept result its own."""

from functools import lru_cache

import pytest
import torch

from pdebench_fm.data.batches import every_nth_point
from pdebench_fm.data.catalogue import FAMILIES
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.scoring import score_samples
from pdebench_fm.models import load_model, zoo_names
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.loading import IN_PACKAGE, zoo_folder
from pdebench_fm.protocol.task import load_task
from pdebench_fm.results.samples import summarise
from pdebench_fm.zoo.stated_scores import stated_scores


@lru_cache
def rows_of(task, track):
    """A task's rows, made once for all models."""
    return HeldTask(load_task(task), track, torch.device("cpu"))


def score(model, batch, task):
    return summarise(score_samples(candidate_of(model), batch, task.task.dataset.system.symbol)).relative_l2_mean


def test_the_box_holds_the_quickstarts_model():
    assert "fno-mixed-64k" in zoo_names()


@pytest.mark.parametrize("name", zoo_names())
def test_weights_give_the_zero_shot_scores_of_their_card(name):
    model = load_model(name)
    stated = [entry for entry in stated_scores(zoo_folder(name)) if entry.shots == 0]
    assert len(stated) >= 13  # the twelve tasks and the family's own pretraining distributions
    if model.config.size not in IN_PACKAGE:  # fewer of a large one, which takes ten times as long
        stated = [entry for entry in stated if entry.task.endswith(("/pretrain", "/medium"))]
    for entry in stated:
        rows = rows_of(entry.task, entry.track)
        assert score(model, rows.test(), rows.task) == pytest.approx(entry.error, rel=1e-4), entry.task


@pytest.mark.parametrize("name", zoo_names())
def test_weights_trained_at_64_score_the_same_at_128(name):
    model = load_model(name)
    for system in FAMILIES[model.config.family]:
        task = load_task(f"{system}/pretrain")
        fine = task.test.batch(range(48))
        at_64, at_128 = (score(model, batch, task) for batch in (every_nth_point(fine, 2), fine))
        assert at_128 == pytest.approx(at_64, rel=0.03)


def test_adapting_again_gives_the_few_shot_score_of_the_card():
    (stated,) = [
        entry
        for entry in stated_scores(zoo_folder("fno-mixed-64k"))
        if (entry.task, entry.shots) == ("poisson-ood/medium", 32)
    ]
    model, task = load_model("fno-mixed-64k"), load_task(stated.task)
    found = evaluate(model, task, 32, track=stated.track, seeds=3, scratch=False)
    # not to the last digit: 200 steps amplify what another processor rounds differently
    assert found.runs[0].summary.mean == pytest.approx(stated.error, rel=0.01)
