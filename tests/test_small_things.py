"""What people expect of a library: lists of names, readable objects, data frames, rows that a loader takes."""

import sys

import numpy as np
import pytest
import torch
from factories import make_evaluation, make_model, make_result, make_run
from torch.utils.data import DataLoader

import pdebench_fm as pf
from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.stored import open_split
from pdebench_fm.errors import UsageError
from pdebench_fm.models import BASELINES, zoo_names


def test_tasks_are_listed_as_the_twelve_then_those_of_plugins(plugin):
    assert pf.list_tasks() == list(TASKS)
    assert set(pf.list_tasks(pretraining=True)) - set(TASKS) == {
        f"{name}/pretrain" for name in ("poisson", "advection-diffusion", "helmholtz")
    }
    plugin()
    assert pf.list_tasks()[: len(TASKS)] == list(TASKS)
    assert set(pf.list_tasks()) - set(TASKS) == {"drum/near", "drum/far-2"}
    assert all(pf.load_task(name).name == name for name in pf.list_tasks())


def test_models_are_listed_by_what_loads_them(tmp_path, monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import _cache_manager

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", str(tmp_path))
    names = pf.list_models()
    assert names == [*zoo_names(), *BASELINES]
    assert "fno-mixed-256m" not in names  # a recipe: nothing to load
    assert pf.load_model("fno-poisson-64k").source.model_id in names


def test_a_task_is_shown_in_a_line_and_as_a_table():
    task = pf.load_task("helmholtz-ood/hard")
    assert "\n" not in repr(task)
    for text in (repr(task), task._repr_html_()):
        assert all(part in text for part in ("helmholtz-ood/hard", "16–20", "4,096 test", "32,768 train", "128×128"))


def test_a_model_is_shown_in_a_line_and_as_a_table(model_folder):
    model = pf.load_model("fno-mixed-64k")
    assert "\n" not in repr(model)
    for text in (repr(model), model._repr_html_()):
        assert all(part in text for part in ("mixed", "67.3 k", "width 16", "4 modes", "loaded from fno-mixed-64k"))
    assert "spectral" in repr(model.network).lower()
    assert str(model_folder) in repr(pf.load_model(model_folder))


def test_a_result_is_shown_in_a_line_and_as_a_table():
    evaluation = make_evaluation(
        model="a<b>", runs=[make_run((0.2,), shots=0), make_run(), make_run((0.3, 0.4), "scratch", 8)]
    )
    result = evaluation.result
    line = (
        "Result(a<b> on poisson/in-domain, lite: zero-shot 0.200 (0.190–0.211); pretrained, 8 shots 0.110 (0.089–0.136)"
    )
    assert repr(result).startswith(line)
    assert repr(evaluation) == f"Evaluation({result!r})"
    html = evaluation._repr_html_()
    assert html == result._repr_html_()
    assert "a&lt;b&gt; on poisson/in-domain" in html
    assert html.count("<tr>") == 4
    assert "<td>scratch, 8 shots</td><td>2</td>" in html
    assert ", symmetric: " in repr(make_result(method="symmetric"))


def test_a_data_frame_has_a_row_for_each_run():
    evaluation = make_evaluation(runs=[make_run((0.2,), shots=0), make_run(), make_run((0.3, 0.4), "scratch", 8)])
    frame = evaluation.to_pandas()
    assert frame.equals(evaluation.result.to_pandas())
    assert list(frame["start"]) == ["pretrained", "pretrained", "scratch"]
    assert list(frame["shots"]) == [0, 8, 8]
    assert list(frame["seeds"]) == [1, 3, 2]
    assert list(frame["mean"]) == [run.summary.mean for run in evaluation.runs]
    assert list(frame["interval_high"]) == [run.summary.interval_high for run in evaluation.runs]
    assert set(frame["task"]) == {"poisson/in-domain"}
    assert set(frame["model"]) == {"fno-poisson-1m"}


def test_a_result_without_scores_is_an_empty_frame_with_the_same_columns():
    failure = {"start": "pretrained", "shots": 0, "seed": 0, "reason": "not finite"}
    frame = make_result(runs=[], failures=[failure]).to_pandas()
    assert len(frame) == 0
    assert list(frame.columns) == list(make_result().to_pandas().columns)


def test_without_pandas_its_lack_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="to_pandas needs pandas: pip install pandas"):
        make_result(model=make_model()).to_pandas()


def assert_map_style(rows):
    """Hold rows to `batch`, one by one, from the end, and through a loader in any order."""
    assert isinstance(rows, torch.utils.data.Dataset)
    assert len(rows) == rows.size
    all_rows = rows.batch(range(rows.size))
    for index in (0, 2, -1):
        row = rows[index]
        assert set(row) == {"source", "coefficients", "solution"}
        for name, value in row.items():
            assert torch.equal(value, getattr(all_rows, name)[index])
    for index in (rows.size, -rows.size - 1):
        with pytest.raises(IndexError):
            rows[index]
    for index in (slice(0, 2), 1.0, True, "0", None, [0]):
        with pytest.raises(TypeError, match="a row is asked for by its number"):
            rows[index]
    for index in (np.int64(1), torch.tensor(1)):
        assert torch.equal(rows[index]["source"], all_rows.source[1])
    order = [3, 0, 2, 1]
    (batch,) = DataLoader(rows, batch_size=4, sampler=order)
    for name, value in batch.items():
        assert torch.equal(value, getattr(all_rows, name)[order])
    assert len(list(rows)) == rows.size


def test_rows_that_are_made_are_a_map_style_dataset(small_task):
    assert_map_style(small_task().test)


@pytest.mark.parametrize("name", [None, 5, ["poisson/in-domain"]])
def test_what_is_no_name_is_told_in_a_line(name):
    with pytest.raises(UsageError, match="a task is given by its name"):
        pf.load_task(name)
    with pytest.raises(UsageError, match="a model is given by a name"):
        pf.load_model(name)
    with pytest.raises(UsageError, match="a model's name is text"):
        pf.evaluate(lambda source, _: source, "poisson/in-domain", name=name or b"mine")


def test_all_test_rows_of_a_task_can_be_asked_for_by_index():
    task = pf.load_task("poisson-ood/hard")
    assert len(task.test) == 4096
    assert torch.equal(task.test[4095]["source"], task.test[-1]["source"])


def test_rows_that_are_read_are_a_map_style_dataset(tmp_path):
    from pdebench_fm.data.build import BuildPlan, build
    from pdebench_fm.data.catalogue import DATASETS

    folder = build(
        BuildPlan(DATASETS["poisson-ood"], ("hard",), {"train": 8, "validation": 4, "test": 5}, 64), tmp_path
    )
    assert_map_style(open_split(str(folder), DATASETS["poisson-ood"], "hard", "test"))
