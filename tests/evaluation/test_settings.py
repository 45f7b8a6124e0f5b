"""Settings: what may be said of shots, seeds and the rest, and that they reach a result however they are said."""

import numpy as np
import pytest
import torch

import pdebench_fm as pf
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.settings import RunSettings, settings_of
from pdebench_fm.protocol.methods import PROTOCOL_METHOD


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (8, (8,)),
        (np.int64(8), (8,)),
        (np.uint8(8), (8,)),
        (np.array(8), (8,)),
        (torch.tensor(8), (8,)),
        ([32, 0, 8, 8], (0, 8, 32)),
        ({0, 8}, (0, 8)),
        (range(1, 4), (1, 2, 3)),
        (np.array([0, 8]), (0, 8)),
        (torch.tensor([8, 0]), (0, 8)),
        ((number for number in (0, np.int32(8))), (0, 8)),
    ],
)
def test_shots_are_whole_numbers_in_any_form(said, meant):
    shots = settings_of(said).shots
    assert shots == meant
    assert all(type(number) is int for number in shots)


@pytest.mark.parametrize(
    "said", [True, 1.0, "8", b"8", None, np.float64(8), np.bool_(True), torch.tensor(1.0), torch.tensor(True)]
)
def test_what_is_no_whole_number_is_no_number_of_shots_seeds_or_threads(said):
    for shots in (said, [0, said]):
        with pytest.raises(UsageError, match="shots must be a whole number"):
            settings_of(shots)
    for name in ("seeds", "threads"):
        with pytest.raises(UsageError, match=f"{name} must be a whole number"):
            settings_of(**{name: said})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"shots": []}, "one number of shots"),
        ({"seeds": 0}, "seeds must be at least 1, not 0"),
        ({"scratch": "no"}, "scratch must be True or False, not 'no'"),
        ({"scratch": 1}, "scratch must be"),
        ({"deterministic": "auto"}, "deterministic must be True or False or None"),
        ({"track": "ful"}, "did you mean 'full'"),
        ({"track": None}, "track must be a name, not None"),
        ({"recipe": "papr"}, "did you mean 'paper'"),
        ({"recipe": 1}, "recipe must be a name, not 1"),
        ({"adaptation": "symetric"}, "unknown adaptation 'symetric': did you mean 'symmetric'"),
        ({"adaptation": 3}, "a name, path/to/file.py:function or a function, not of type int"),
        ({"adaptation": "nowhere.py:adapt"}, "no file nowhere.py: an adaptation of your own is given as"),
        ({"adaptation": "symmetric", "recipe": "v1"}, "either a recipe or an adaptation"),
        ({"trak": "lite"}, "unknown setting 'trak': did you mean 'track'"),
    ],
)
def test_settings_that_cannot_be_are_usage_errors(said, message):
    with pytest.raises(UsageError, match=message):
        settings_of(said.pop("shots", 0), **said)


def test_what_is_not_said_is_the_protocols():
    assert settings_of() == RunSettings((0,), "full", 3, True, PROTOCOL_METHOD, None, 1)


def test_models_and_tasks_may_be_names(small_task):
    named = pf.evaluate("zero", "poisson-ood/medium", shots=np.int64(0), track="lite", device="cpu")
    assert named.result.model.model_id == "zero"
    assert named.runs[0].summary.mean == pytest.approx(1.0)
    assert pf.evaluate(pf.load_model("zero"), "poisson-ood/medium", track="lite").runs[0].summary.mean == 1.0
    (alone,) = pf.evaluate_suite("zero", "poisson-ood/medium", track="lite", device="cpu")
    assert alone.result.model.model_id == "zero"
    with pytest.raises(UsageError, match="is 3 tasks: name one, such as poisson-ood/mild, or use evaluate_suite"):
        pf.evaluate("zero", "poisson-ood")
    with pytest.raises(UsageError, match="shots must be a whole number"):
        pf.evaluate("zero", small_task(), shots=True)
