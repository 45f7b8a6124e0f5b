"""Golden scores: every weight file in the package still gives the scores in its card, and a kept result its own."""

from functools import lru_cache
from pathlib import Path

import pytest
import torch

from pdebench_fm.data.batches import every_nth_point
from pdebench_fm.data.catalogue import FAMILIES
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.evaluation.scoring import score_samples
from pdebench_fm.models import load_model, zoo_names
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.loading import zoo_directory
from pdebench_fm.protocol.task import load_task
from pdebench_fm.results.result import read_result
from pdebench_fm.results.samples import summarise
from pdebench_fm.zoo.stated_scores import stated_scores

RESULTS = Path(__file__).parents[2] / "leaderboard" / "results"


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
    stated = [entry for entry in stated_scores(zoo_directory() / name) if entry.shots == 0]
    assert len(stated) >= 13  # the twelve tasks and the family's own pretraining distributions
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


def test_adapting_again_gives_a_kept_few_shot_score():
    (path,) = (RESULTS / "pdebench-fm" / "fno-mixed-64k").glob("poisson-ood--medium-lite-*.json")
    kept = next(run for run in read_result(path).runs if (run.start, run.shots) == ("pretrained", 32))
    result = evaluate(
        load_model("fno-mixed-64k"), load_task("poisson-ood/medium"), 32, track="lite", seeds=1, scratch=False
    )
    # not to the last digit: 200 steps amplify what another processor rounds differently
    expected = kept.seeds[0].metrics.relative_l2_mean
    assert result.runs[0].seeds[0].metrics.relative_l2_mean == pytest.approx(expected, rel=0.01)
