"""Submitting and loading rows: all or nothing, no collisions, nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from factories import make_dataset, make_model, make_result, make_run, put_on, write_made
from watching import is_running, wait_until

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard import store
from pdebench_fm.leaderboard.store import Entry, load, row_path
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.result import read_result
from pdebench_fm.results.samples import samples_path

pytestmark = pytest.mark.usefixtures("bare_names_are_shipped")


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_submitted_result_becomes_a_row(tmp_path, write):
    result = make_result("helmholtz-ood/medium", model="fno-helmholtz-1m")
    [row] = put_on([write(result)], tmp_path / "board")
    assert row.parent == tmp_path / "board" / "results" / "pdebench-fm" / "fno-helmholtz-1m"
    assert row.name.startswith("helmholtz-ood--medium-lite-")
    assert read_result(row) == result
    assert load(tmp_path / "board") == [Entry(row.relative_to(tmp_path / "board"), "pdebench-fm", result)]


def test_a_hub_model_belongs_to_its_own_organisation(tmp_path, write):
    [row] = put_on([write(make_result(model="acme/solver"))], tmp_path / "board", "somebody-else")
    assert row.parts[-3:-1] == ("acme", "solver")


def test_folders_are_searched_to_the_bottom(tmp_path):
    for i, task in enumerate(("poisson/in-domain", "poisson-ood/mild", "poisson-ood/hard")):
        write_made(make_result(task), tmp_path / "runs" / ("deeper/" * i) / "result.json")
    assert len(put_on([tmp_path / "runs"], tmp_path / "board")) == 3


@pytest.mark.parametrize(
    "other",
    [
        make_result(model=make_model(revision="v1.1.0")),
        make_result(model=make_model(weights_sha256="ab" * 32)),
        make_result(dataset=make_dataset(version="1.1.0")),
        make_result(method="v2", protocol_version=2),
        make_result(protocol_version=2),
        make_result(track="full"),
        make_result("poisson-ood/mild"),
    ],
)
def test_results_of_different_things_never_collide(tmp_path, write, other):
    put_on([write(make_result(), other)], tmp_path / "board")
    assert {entry.result.model_dump_json() for entry in load(tmp_path / "board")} == {
        make_result().model_dump_json(),
        other.model_dump_json(),
    }


def test_submitting_again_changes_nothing(tmp_path, write):
    folder = write(make_result())
    [row] = put_on([folder], tmp_path / "board")
    before = row.stat()
    assert put_on([folder, folder], tmp_path / "board") == [row]
    assert row.stat().st_mtime_ns == before.st_mtime_ns
    assert row.stat().st_ino == before.st_ino


def test_a_row_gets_the_cells_that_it_lacks(tmp_path, write):
    [row] = put_on([write(make_result(runs=[make_run((0.2,), shots=0)]))], tmp_path / "board")
    more = make_result(runs=[make_run((0.1, 0.11)), make_run((0.5,), start="scratch")])
    assert put_on([write(more, folder="more")], tmp_path / "board") == [row]
    settings = [(run.start, run.shots, run.seeds) for run in read_evaluation(row).runs]
    assert settings == [("pretrained", 0, (0,)), ("pretrained", 8, (0, 1)), ("scratch", 8, (0,))]


def test_other_scores_for_a_row_are_refused_unless_asked_for(tmp_path, write):
    [row] = put_on([write(make_result())], tmp_path / "board")
    changed = write(make_result(runs=[make_run((0.2,), shots=0), make_run((0.1, 0.12, 0.12))]), folder="again")
    with pytest.raises(UsageError, match=r"fno-poisson-1m at v1\.0\.0 on poisson/in-domain \(lite\) is on .* seed 1\)"):
        put_on([changed], tmp_path / "board")
    assert read_result(row) == make_result()
    assert put_on([changed], tmp_path / "board", replace=True) == [row]
    assert [cell.metrics.relative_l2_mean for cell in read_evaluation(row).result.cells] == [0.2, 0.1, 0.12, 0.12]


def test_two_results_with_other_scores_for_one_row_are_refused(tmp_path, write):
    folder = write(make_result(), make_result(runs=[make_run((0.5,))]))
    with pytest.raises(UsageError, match=r"01\.json and another file submitted with it"):
        put_on([folder], tmp_path / "board", replace=True)
    assert not (tmp_path / "board").exists()


def test_results_without_their_per_sample_scores_are_refused(tmp_path, write):
    folder = write(make_result())
    samples_path(folder / "00.json").unlink()
    with pytest.raises(UsageError, match=r"no per-sample scores at .*00\.samples\.parquet"):
        put_on([folder], tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_one_bad_file_means_nothing_is_written(tmp_path, write):
    folder = write(make_result(), make_result("poisson-ood/mild"))
    (folder / "zz.json").write_text("{}")
    with pytest.raises(PdefmError, match=r"zz\.json is not a valid result"):
        put_on([folder], tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_an_unknown_task_is_refused_with_the_nearest_one(tmp_path, write):
    folder = write(make_result("helmholz/in-domain"))
    with pytest.raises(UsageError, match=r"00\.json: unknown task 'helmholz/in-domain': did you mean 'helmholtz/in"):
        put_on([folder], tmp_path / "board")


@pytest.mark.parametrize(
    "model_id", ["../up", "a/b/c", "/rooted", "./here", "org/", "org/..", "org/a b", "org/a--b", ".hidden", "org/é"]
)
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, write, model_id):
    with pytest.raises(UsageError, match="cannot be a folder on the leaderboard"):
        put_on([write(make_result(model=model_id))], tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_weights_that_nobody_can_name_are_refused(tmp_path, write):
    path = write(make_result(model=make_model("unsaved", revision=None, weights_sha256=None)))
    with pytest.raises(UsageError, match="never saved"):
        put_on([path], tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_a_pretraining_distribution_is_not_ranked(tmp_path, write):
    with pytest.raises(UsageError, match="pretraining distribution"):
        put_on([write(make_result("poisson/pretrain"))], tmp_path / "board")


def test_the_papers_recipe_is_not_ranked(tmp_path, write):
    with pytest.raises(UsageError, match=r"00\.json: its models were adapted by the recipe 'paper'"):
        put_on([write(make_result(method="paper"))], tmp_path / "board")
    result = make_result(method="paper")
    write_made(result, tmp_path / row_path(result))
    with pytest.raises(PdefmError, match="ranks what looks at the support set alone"):
        load(tmp_path)


def test_nothing_to_submit_is_the_callers_mistake(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no result files"):
        put_on([tmp_path / "empty"], tmp_path / "board")
    with pytest.raises(UsageError, match="nothing to submit"):
        put_on([], tmp_path / "board")
    with pytest.raises(UsageError, match="no result file at"):
        put_on([tmp_path / "gone.json"], tmp_path / "board")


def fail_on_write(monkeypatch, number):
    """Make the given write of a result file (1, 2, ...) fail as on a full disk."""
    written = []
    fsync = os.fsync

    def limited(descriptor):
        written.append(descriptor)
        if len(written) == number:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", limited)


def test_a_disk_that_fills_up_leaves_no_part_of_a_submission(tmp_path, write, monkeypatch):
    folder = write(make_result(), make_result("poisson-ood/mild"), make_result(model="acme/solver"))
    (tmp_path / "kept").mkdir()
    fail_on_write(monkeypatch, 5)
    with pytest.raises(PdefmError, match="No space left"):
        put_on([folder], tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_failed_replacement_puts_the_old_rows_back(tmp_path, write, monkeypatch):
    results = [make_result(), make_result("poisson-ood/mild")]
    rows = put_on([write(*results)], tmp_path / "board")
    others = [make_result(task, runs=[make_run((0.3,), shots=0)]) for task in ("poisson/in-domain", "poisson-ood/mild")]
    folder = write(*others, folder="again")
    fail_on_write(monkeypatch, 4)
    with pytest.raises(PdefmError, match="No space left"):
        put_on([folder], tmp_path / "board", replace=True)
    assert [read_result(row) for row in rows] == results
    assert files_of(tmp_path / "board") == sorted([*rows, *map(samples_path, rows)])


@pytest.mark.parametrize("place", ["results", "results/pdebench-fm", "results/pdebench-fm/fno-poisson-1m"])
def test_nothing_is_written_through_a_link_among_the_rows(tmp_path, write, place):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "board" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PdefmError, match=f"{link.name} is a link to a folder, which is not followed"):
        put_on([write(make_result())], tmp_path / "board")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_empty_folder_is_an_empty_leaderboard_and_no_folder_is_a_mistake(tmp_path):
    assert load(tmp_path) == []
    with pytest.raises(UsageError, match="no leaderboard folder"):
        load(tmp_path / "gone")


def test_a_row_in_a_place_that_its_content_denies_is_refused(tmp_path):
    path = row_path(make_result(model="acme/solver"))
    write_made(make_result(model="acme/solver"), tmp_path / "results" / "pdebench-fm" / "solver" / path.name)
    with pytest.raises(PdefmError, match=r"is misplaced: .*results/acme/solver"):
        load(tmp_path)


def test_a_row_of_an_unknown_task_is_refused(tmp_path):
    result = make_result("burgers/in-domain")
    write_made(result, tmp_path / row_path(result))
    with pytest.raises(PdefmError, match="unknown task"):
        load(tmp_path)


def test_rows_share_what_they_have_alike_and_are_what_they_were(root):
    entries = load(root)
    assert len(entries) > 3
    for entry in entries:
        alone = read_result(root / entry.path)
        assert entry.result == alone
        assert entry.result.model_dump_json(exclude_unset=True) == alone.model_dump_json(exclude_unset=True)
    cells = [cell for entry in entries for cell in entry.result.cells]
    for alike in (
        [cell.environment for cell in cells],
        [cell.model_fields_set for cell in cells],
        [cell.metrics.model_fields_set for cell in cells],
        [run.summary.model_fields_set for entry in entries for run in entry.result.runs],
    ):
        assert len(set(map(id, alike))) == 1


def test_several_processes_read_what_one_does(root, monkeypatch):
    damaged = next((root / "results").rglob("*full*.json"))
    damaged.write_text("{")
    readings = []
    for many in (2000, 1):
        monkeypatch.setattr(store, "_MANY", many)
        skipped: list[store.Skipped] = []
        readings.append((load(root, skipped.append), skipped))
    (entries, skipped), (again, skipped_again) = readings
    assert len(entries) == 4
    assert len(skipped) == 1
    assert skipped_again == skipped
    for one, other in zip(entries, again, strict=True):
        assert one == other
        assert one.scores.keys() == other.scores.keys()
        for setting, scores in one.scores.items():
            np.testing.assert_array_equal(scores.samples, other.scores[setting].samples)
            np.testing.assert_array_equal(scores.seeds, other.scores[setting].seeds)
            assert scores.interaction == other.scores[setting].interaction


def test_a_reader_that_is_ended_is_told_in_a_line(root, monkeypatch):
    monkeypatch.setattr(store, "_MANY", 1)
    monkeypatch.setattr(store, "_read", ends)
    with pytest.raises(PdefmError, match=r"a process that read rows of .* was ended: was there enough memory"):
        load(root)


READS_FOR_LONG = """
import os
import time
from pathlib import Path
from pdebench_fm.leaderboard import store


def slow(root, path):
    (root / f"{os.getpid()}").touch()
    time.sleep(0.2)
    return None, []


store._MANY, store._read = 1, slow
list(store._each_read(Path.cwd(), [Path(str(number)) for number in range(3000)]))
"""


def test_readers_end_with_the_process_that_was_killed(tmp_path):
    reading = subprocess.Popen([sys.executable, "-c", READS_FOR_LONG], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(tmp_path.iterdir()), 60)
        assert reading.poll() is None
    finally:
        reading.kill()
        reading.wait()
    wait_until(lambda: not any(is_running(int(file.name)) for file in tmp_path.iterdir()), 30)


def ends(*_):
    os._exit(9)
