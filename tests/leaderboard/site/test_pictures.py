"""Pictures of the site: drawn from the package's own weights, once, and of nobody else's model."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from factories import put_on
from PIL import Image

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.leaderboard.site import build_site, pictures
from pdebench_fm.leaderboard.site.pictures import chosen_entries, make_pictures, why_none
from pdebench_fm.leaderboard.store import load
from pdebench_fm.plots import sample_fields
from pdebench_fm.results.evaluation import read_evaluation

SHIPPED = "fno-poisson-64k"
TASK = "poisson-ood/mild"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The leaderboard's folder, with the zero-shot scores of a model of the package and of a yardstick."""
    folder = tmp_path_factory.mktemp("official")
    for name in (SHIPPED, "zero"):
        evaluate(name, TASK, track="lite", device="cpu").write(folder / f"{name}.json")
    put_on([folder / f"{name}.json" for name in (SHIPPED, "zero")], folder / "board")
    return folder / "board"


@pytest.fixture
def only_fields(monkeypatch):
    """Draw no rows of tasks, which takes long and is tested by itself."""
    monkeypatch.setattr(pictures, "SHOWN_ROWS", ())


def entries_of(board, name):
    return [entry for entry in load(board) if entry.result.model.model_id == name]


@pytest.mark.usefixtures("only_fields")
def test_a_model_of_the_package_has_its_best_median_and_worst_sample(board, tmp_path):
    drawn, notes = [], []
    made = make_pictures(board, load(board), tmp_path, drawn.append, notes.append)
    assert (drawn, notes) == ([f"{SHIPPED} on {TASK}"], [])
    (picture,) = made.of_model["pdebench-fm", SHIPPED]
    (entry,) = entries_of(board, SHIPPED)
    errors = np.sort(read_evaluation(board / entry.path).samples.column("relative_l2").to_numpy())
    for rank, error in (("best", errors[0]), ("median", errors[255]), ("worst", errors[-1])):
        assert f"{rank} (test row " in picture.alt
        assert f"error {error:.3g})" in picture.alt
    (file,) = made.files
    assert Image.open(io.BytesIO(file.content)).size == (picture.width, picture.height)
    assert len(file.content) < 200_000
    assert made.missing["pdebench-fm", "zero"] == "No pictures: it has no weights."


@pytest.mark.usefixtures("only_fields")
def test_a_picture_is_drawn_once_and_again_when_what_it_shows_has_changed(board, tmp_path, monkeypatch):
    site, drawn = tmp_path / "site", []
    build_site(board, site, pictures=True, on_draw=drawn.append)
    (path,) = (site / "pictures").iterdir()
    content = path.read_bytes()
    build_site(board, site, pictures=True, on_draw=drawn.append)
    assert len(drawn) == 1
    path.write_bytes(content[:-100])  # damaged
    build_site(board, site, pictures=True, on_draw=drawn.append)
    assert len(drawn) == 2
    assert path.read_bytes() == content  # the same, drawn again
    monkeypatch.setattr(pictures, "_VERSION", 2)
    build_site(board, site, pictures=True, on_draw=drawn.append)
    assert len(drawn) == 3
    (renamed,) = (site / "pictures").iterdir()
    assert renamed != path
    build_site(board, site)
    assert not (site / "pictures").exists()
    assert "built without pictures" in (site / "models/pdebench-fm" / f"{SHIPPED}.html").read_text()


@pytest.mark.usefixtures("only_fields")
def test_scores_that_are_not_the_models_give_no_picture_and_a_note(board, tmp_path, monkeypatch):
    copied = shutil.copytree(board, tmp_path / "board")
    monkeypatch.setattr(sample_fields, "fields_picture", lambda *_: pytest.fail("drawn all the same"))
    (entry,) = entries_of(copied, SHIPPED)
    (copied / entry.path).with_suffix(".samples.parquet").unlink()
    notes = []
    made = make_pictures(copied, [entry], tmp_path / "site", on_note=notes.append)
    assert made.of_model["pdebench-fm", SHIPPED] == []
    assert made.missing["pdebench-fm", SHIPPED].startswith(f"No picture of {TASK}: ")
    assert notes[0].startswith(f"no picture of {SHIPPED} on {TASK}: ")


def test_nothing_is_drawn_of_weights_that_are_elsewhere(board):
    (entry,) = entries_of(board, SHIPPED)
    model = entry.result.model
    for changes in ({"weights_sha256": "0" * 64}, {"fingerprint": "0" * 64}, {"model_id": f"acme/{SHIPPED}"}):
        other = replace(entry, result=entry.result.model_copy(update={"model": model.model_copy(update=changes)}))
        assert why_none([other]).startswith("No pictures: the weights are elsewhere")
        assert chosen_entries([other]) == []
    assert why_none([entry]) == ""
    assert chosen_entries([entry]) == [entry]


def test_of_several_tasks_and_tracks_one_for_each_system_is_drawn(board):
    (entry,) = entries_of(board, SHIPPED)

    def other(task, track):
        changed = entry.result.model_copy(update={"task": task, "track": track})
        return replace(entry, result=changed, path=entry.path.with_name(f"{task.replace('/', '--')}-{track}.json"))

    found = [
        other(task, track) for task in ("poisson-ood/hard", TASK, "helmholtz-ood/hard") for track in ("full", "lite")
    ]
    (chosen,) = chosen_entries(found)  # the model was pretrained on Poisson alone
    assert (chosen.result.task, chosen.result.track) == ("poisson-ood/hard", "lite")


def test_rows_of_a_task_are_drawn_with_what_they_are(board, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "SHOWN_ROWS", (1,))
    monkeypatch.setattr(pictures, "TASKS", {TASK: TASKS[TASK]})
    made = make_pictures(board, [], tmp_path)
    (picture,) = made.of_task[TASK]
    (file,) = made.files
    assert picture.path == file.path
    assert picture.caption.startswith("Test row 1: e = ")
    assert "sparsity 0.4" in picture.caption
    assert Image.open(io.BytesIO(file.content)).size == (picture.width, picture.height) == (792, 444)
