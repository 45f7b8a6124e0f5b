"""Submissions: killed at any moment, all of their rows are there or none, for whoever reads or writes next."""

import os
from pathlib import Path

import pytest
from factories import make_result, make_run, put_on
from killing import killed_at

from pdebench_fm.errors import PdefmError
from pdebench_fm.leaderboard import staging
from pdebench_fm.leaderboard.staging import submission, undisturbed
from pdebench_fm.leaderboard.store import load

pytestmark = pytest.mark.usefixtures("bare_names_are_shipped")

TASKS = ("poisson/in-domain", "poisson-ood/mild", "poisson-ood/hard", "helmholtz-ood/hard")


@pytest.fixture
def sent(write):
    return write(*map(make_result, TASKS))


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def load_of(sent, board):
    put_on(sent, board)
    return load(board)


@pytest.mark.parametrize("replacing", [False, True])
def test_a_submission_killed_at_any_write_is_there_whole_or_not_at_all(tmp_path, sent, write, replacing):
    others = [make_run((0.3,), shots=0), make_run((0.2, 0.21, 0.22))]
    before = write(*(make_result(task, runs=others) for task in TASKS), folder="before")
    old = {True: load_of([before], tmp_path / "old"), False: []}[replacing]
    undisturbed_board = tmp_path / "undisturbed"
    put_on([sent], undisturbed_board)
    whole, counts = load(undisturbed_board), set()
    for writes in (*range(1, 130, 3), 10_000):
        board = tmp_path / f"board-{writes}"
        if replacing:
            put_on([before], board)
        killed = killed_at(writes, board, lambda board=board: put_on([sent], board, replace=True))
        found = load(board)
        assert found in (old, whole)
        counts.add((killed, found == whole))
        put_on([sent], board, replace=True)
        assert load(board) == whole
        assert files_of(board) == files_of(undisturbed_board)
    assert counts == {(True, False), (True, True), (False, True)}


def test_a_reader_sees_all_of_a_submission_that_comes_while_it_reads(tmp_path, sent):
    board = tmp_path / "board"
    board.mkdir()
    readings = []

    def read():
        found = files_of(board)
        if not readings:
            put_on([sent], board)
        readings.append(found)
        return found

    assert undisturbed(board, read) == readings[1] == files_of(board)
    assert [len(found) for found in readings] == [0, 2 * len(TASKS)]  # each with its per-sample scores


def test_a_reader_of_rows_that_never_keep_still_is_told_so(tmp_path):
    (tmp_path / "results").mkdir()
    numbers = iter(range(1000))

    def read():
        (tmp_path / "results" / str(next(numbers))).touch()

    with pytest.raises(PdefmError, match="others keep writing to"):
        undisturbed(tmp_path, read)


def test_an_error_of_rows_that_keep_still_is_the_readers(tmp_path):
    def read():
        raise PdefmError("broken row")

    with pytest.raises(PdefmError, match="broken row"):
        undisturbed(tmp_path, read)


def test_a_place_that_cannot_be_made_leaves_nothing(tmp_path):
    (tmp_path / "b").touch()
    with pytest.raises(PdefmError, match="cannot write to"), submission(tmp_path) as staged:  # noqa: PT012
        for folder in (staged / "a", staged / "b" / "c"):
            folder.mkdir(parents=True)
            (folder / "row").touch()
    assert os.listdir(tmp_path) == ["b"]  # noqa: PTH208


def test_a_link_in_place_of_a_submission_moves_nobodys_files(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.json").touch()
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / staging._ACCEPTED).symlink_to(tmp_path / "mine")
    with pytest.raises(PdefmError, match="is a link"):
        load(tmp_path / "board")
    assert (tmp_path / "mine" / "thesis.json").exists()
