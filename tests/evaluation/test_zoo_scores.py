"""Golden scores: every weight file in the package still gives the scores in its card."""

import pytest

from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.evaluation.model_card import stated_scores
from pdebench_fm.evaluation.task import load_task
from pdebench_fm.models import load_model, zoo_names
from pdebench_fm.models.zoo import zoo_directory


def test_the_box_holds_the_quickstarts_model():
    assert "fno-mixed-64k" in zoo_names()


@pytest.mark.parametrize("name", zoo_names())
def test_weights_give_the_zero_shot_scores_of_their_card(name):
    model = load_model(name)
    stated = [score for score in stated_scores(zoo_directory() / name) if score.shots == 0]
    assert len(stated) >= 13  # the twelve tasks and the family's own pretraining distributions
    for score in stated:
        measured = evaluate(model, load_task(score.task), 0, track=score.track).runs[0].summary.mean
        assert measured == pytest.approx(score.error, rel=1e-4), score.task
