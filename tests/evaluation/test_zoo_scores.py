"""Golden scores: every weight file in the package still gives the scores in its card."""

import pytest
from huggingface_hub import ModelCard

from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.evaluation.task import load_task
from pdebench_fm.models import load_model, zoo_names
from pdebench_fm.models.zoo import zoo_directory


def zero_shot_scores(name):
    card = ModelCard.load(zoo_directory() / name / "README.md")
    return {
        entry.dataset_name: (entry.dataset_args["track"], entry.metric_value)
        for entry in card.data.eval_results
        if entry.metric_args["shots"] == 0
    }


def test_the_box_holds_the_quickstarts_model():
    assert "fno-mixed-64k" in zoo_names()


@pytest.mark.parametrize("name", zoo_names())
def test_weights_give_the_zero_shot_scores_of_their_card(name):
    model = load_model(name)
    stated = zero_shot_scores(name)
    assert len(stated) >= 13  # the twelve tasks and the family's own pretraining distributions
    for task, (track, score) in stated.items():
        measured = evaluate(model, load_task(task), 0, track=track).runs[0].summary.mean
        assert measured == pytest.approx(score, rel=1e-4), task
