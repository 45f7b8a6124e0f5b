"""Golden scores: every weight file in the package still gives the scores in its card."""

import pytest

from pdebench_fm.data.batches import Batch
from pdebench_fm.data.catalogue import FAMILIES
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.evaluation.metrics import summarise
from pdebench_fm.evaluation.model_card import stated_scores
from pdebench_fm.evaluation.scoring import score_samples
from pdebench_fm.evaluation.task import load_task
from pdebench_fm.models import load_model, zoo_names
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.zoo import zoo_directory


def test_the_box_holds_the_quickstarts_model():
    assert "fno-mixed-64k" in zoo_names()


@pytest.mark.parametrize("name", zoo_names())
def test_weights_give_the_zero_shot_scores_of_their_card(name):
    model = load_model(name)
    stated = [entry for entry in stated_scores(zoo_directory() / name) if entry.shots == 0]
    assert len(stated) >= 13  # the twelve tasks and the family's own pretraining distributions
    for entry in stated:
        measured = evaluate(model, load_task(entry.task), 0, track=entry.track).runs[0].summary.mean
        assert measured == pytest.approx(entry.error, rel=1e-4), entry.task


@pytest.mark.parametrize("name", zoo_names())
def test_weights_trained_at_64_score_the_same_at_128(name):
    model = load_model(name)
    for system in FAMILIES[model.config.family]:
        task = load_task(f"{system}/pretrain")
        fine = task.test.batch(range(48))
        coarse = Batch(
            fine.source[:, ::2, ::2].contiguous(), fine.coefficients, fine.solution[:, ::2, ::2].contiguous()
        )
        symbol = task.task.dataset.system.symbol
        at_64, at_128 = (
            summarise(score_samples(candidate_of(model), batch, symbol)).relative_l2_mean for batch in (coarse, fine)
        )
        assert at_128 == pytest.approx(at_64, rel=0.03)
