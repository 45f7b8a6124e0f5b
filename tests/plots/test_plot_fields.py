"""Pictures of fields: the samples that the scores say, remade, with the predictions of the model that was scored."""

import base64
import json
import re

import numpy as np
import pytest
import torch

from pdebench_fm.cli import main
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.models import load_model
from pdebench_fm.physics import SampleKey, sample
from pdebench_fm.plots import sample_fields
from pdebench_fm.plots.draw import draw
from pdebench_fm.plots.interactive import fields_page
from pdebench_fm.plots.sample_fields import chosen_samples, fields_picture
from pdebench_fm.plots.selection import Selection
from pdebench_fm.plots.static import draw_fields
from pdebench_fm.results.result import read_result, write_result
from pdebench_fm.results.samples import SCHEMA, read_samples, samples_digest, samples_path, write_samples

TASK = "poisson-ood/medium"


@pytest.fixture(autouse=True)
def _rows_are_few(small_task, monkeypatch):
    monkeypatch.setattr(sample_fields, "load_task", lambda name, version: small_task(name))  # noqa: ARG005


@pytest.fixture(scope="module")
def zoo_result(tmp_path_factory, small_task):
    """A zero-shot result of a model that came with the package, on 16 rows, with its per-sample scores."""
    (evaluation,) = evaluate_suite([load_model("fno-mixed-64k")], [small_task(TASK)], 0, track="lite")
    path = tmp_path_factory.mktemp("results") / "zero.json"
    evaluation.write(path)
    return path


@pytest.fixture
def own_result(tmp_path, model, small_task, quick_recipes):  # noqa: ARG001 (the recipes are quick)
    """A result of a model from a folder, at 0 and 4 shots from both starts."""
    (evaluation,) = evaluate_suite([model], [small_task(TASK)], [0, 4], track="lite", seeds=2)
    evaluation.write(tmp_path / "own.json")
    return tmp_path / "own.json"


def rows(indices):
    return sample(SampleKey("poisson", "medium", "test"), indices, 64)


def page_figures(page):
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(data[1])["figures"]


def relative_error(prediction, solution):
    prediction, solution = np.asarray(prediction, np.float64), np.asarray(solution, np.float64)
    return np.linalg.norm(prediction - solution) / np.linalg.norm(solution)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([3.0, 1.0, 2.0], (1, 2, 0)), ([4.0, 1.0, 3.0, 2.0], (1, 3, 0)), ([5.0, 5.0], (0, 0, 1)), ([7.0], (0, 0, 0))],
)
def test_the_best_median_and_worst_are_found(scores, expected):
    chosen = chosen_samples(np.array(scores))
    assert chosen == dict(zip(("best", "median", "worst"), expected, strict=True))


def test_zero_shot_fields_are_those_of_the_scored_rows_and_model(zoo_result):
    picture = fields_picture([zoo_result], Selection())
    scores = np.array(read_samples(samples_path(zoo_result)).column("relative_l2"))
    ordered = np.sort(scores)
    assert [shown.error for shown in picture.samples] == pytest.approx([ordered[0], ordered[7], ordered[15]], rel=1e-5)
    model = load_model("fno-mixed-64k")
    for shown in picture.samples:
        truth = rows([shown.index])
        source, solution, prediction, error = (field.values for field in shown.fields)
        np.testing.assert_allclose(source, truth.source[0], atol=2e-6)
        np.testing.assert_allclose(solution, truth.solution[0], atol=2e-6 * np.abs(solution).max())
        with torch.no_grad():
            again = model(torch.from_numpy(truth.source), torch.from_numpy(truth.draws.coefficients))[0].numpy()
        np.testing.assert_allclose(prediction, again, atol=1e-4 * np.abs(again).max())
        np.testing.assert_array_equal(error, prediction - solution)
        assert relative_error(prediction, solution) == pytest.approx(scores[shown.index], rel=1e-4)
        assert f"test row {shown.index}, e = {truth.draws.parameter[0]:.3g}, relative ℓ² error" in shown.label
    assert picture.notes == ()
    assert "zero-shot" in picture.caption


def test_both_renderers_show_the_fields_on_common_scales(zoo_result):
    picture = fields_picture([zoo_result], Selection())
    images = [axes.images[0] for axes in draw_fields(picture).axes if axes.images]
    figures = page_figures(fields_page(picture))
    fields = [field for shown in picture.samples for field in shown.fields]
    assert len(images) == len(figures) == len(fields) == 12
    for field, image, figure in zip(fields, images, figures, strict=True):
        np.testing.assert_array_equal(image.get_array(), field.values)
        assert image.origin == "lower"
        trace = figure["data"][0]
        values = np.frombuffer(base64.b64decode(trace["z"]["bdata"]), trace["z"]["dtype"]).reshape(64, 64)
        np.testing.assert_array_equal(values, field.values)
        assert (trace["zmin"], trace["zmax"]) == pytest.approx(image.get_clim())
    for shown in picture.samples:
        source, solution, prediction, error = shown.fields
        assert solution.limits == prediction.limits
        for field in (solution, error):
            assert field.limits[0] == -field.limits[1] < 0
        assert source.limits == (source.values.min(), source.values.max())


def test_after_shots_the_model_is_adapted_again_as_it_was(own_result, model_folder):
    scores = read_samples(samples_path(own_result)).to_pandas().query("shots == 4 and seed == 0")
    for start in ("pretrained", "scratch"):
        picture = fields_picture([own_result], Selection(shots=(4,), start=start), str(model_folder))
        own = scores[scores["start"] == start]["relative_l2"].to_numpy()
        for shown in picture.samples:
            assert relative_error(shown.fields[2].values, shown.fields[1].values) == pytest.approx(
                own[shown.index], rel=1e-4
            )
        assert "4 shots, seed 0, method v1, 6 steps" in picture.notes[0]
        assert ("trained again from scratch" if start == "scratch" else "adapted again") in picture.notes[0]


def test_without_a_choice_the_fewest_shots_are_shown(own_result, model_folder):
    assert "zero-shot" in fields_picture([own_result], Selection(), str(model_folder)).caption
    caption = fields_picture([own_result], Selection(shots=(4,)), str(model_folder)).caption
    assert "pretrained, 4 shots, seed 0" in caption


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_the_same_result_gives_the_same_bytes(zoo_result, tmp_path, suffix):
    for name in ("one", "two"):
        draw([zoo_result], "fields", tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_a_model_that_cannot_be_found_is_asked_for(own_result, tmp_path, capsys):
    assert main(["plot", str(own_result), "--kind", "fields", "--out", str(tmp_path / "a.png")]) == 2
    message = capsys.readouterr().err
    assert "does not say where fno-tiny is to be found: name its folder" in message
    assert "--reference" in message
    assert not (tmp_path / "a.png").exists()


def test_another_model_than_the_scored_one_is_refused(own_result, zoo_result, tmp_path):
    with pytest.raises(PdefmError, match="fno-mixed-64k is not the model that was scored"):
        fields_picture([own_result], Selection(), "fno-mixed-64k")
    result = read_result(zoo_result)
    table = read_samples(samples_path(zoo_result))
    backwards = table.column("relative_l2").to_numpy()[::-1]
    forged = table.set_column(SCHEMA.get_field_index("relative_l2"), "relative_l2", [backwards])
    (cell,) = result.cells
    bound = cell.model_copy(update={"samples_sha256": samples_digest(forged)})
    write_result(result.model_copy(update={"cells": (bound,)}), tmp_path / "forged.json")
    write_samples(forged, samples_path(tmp_path / "forged.json"))
    with pytest.raises(PdefmError, match=r"does not predict what .* scored"):
        fields_picture([tmp_path / "forged.json"], Selection())


def test_results_that_cannot_be_drawn_are_refused(zoo_result, own_result, tmp_path):
    with pytest.raises(UsageError, match="fields are those of one result, and there are 2"):
        fields_picture([zoo_result, own_result], Selection())
    with pytest.raises(UsageError, match=r"no run with that start .* pretrained with 0"):
        fields_picture([zoo_result], Selection(shots=(8,)))
    result = read_result(zoo_result)
    write_result(result, tmp_path / "lonely.json")
    with pytest.raises(UsageError, match=r"no per-sample scores at .*lonely\.samples\.parquet"):
        fields_picture([tmp_path / "lonely.json"], Selection())
    other = result.dataset.model_copy(update={"recipe_digest": "0" * 64})
    write_result(result.model_copy(update={"dataset": other}), tmp_path / "lonely.json")
    samples_path(tmp_path / "lonely.json").write_bytes(samples_path(zoo_result).read_bytes())
    with pytest.raises(PdefmError, match="cannot be made again: their recipe digest"):
        fields_picture([tmp_path / "lonely.json"], Selection())


def test_adapted_on_rows_that_are_not_at_hand_is_refused(own_result, tmp_path, model_folder):
    result = read_result(own_result)
    read = result.dataset.model_copy(update={"origin": "rows", "content_digest": "0" * 64, "location": "my-build"})
    write_result(result.model_copy(update={"dataset": read}), tmp_path / "read.json")
    samples_path(tmp_path / "read.json").write_bytes(samples_path(own_result).read_bytes())
    with pytest.raises(UsageError, match="adapted on rows of my-build"):
        fields_picture([tmp_path / "read.json"], Selection(shots=(4,)), str(model_folder))
    assert fields_picture([tmp_path / "read.json"], Selection(), str(model_folder)).samples
