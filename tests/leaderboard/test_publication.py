"""A leaderboard's repository: made in one commit, given what it lacks, and what others put there is left alone."""

import pytest
from described import ALICE
from factories import make_result, put_on, write_made

from pdebench_fm.cli import main
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.fetching import leaderboard_at
from pdebench_fm.leaderboard.publication import CARD, SCHEMA, publish_board
from pdebench_fm.leaderboard.store import load

BOARD = "pde-lab/leaderboard"
TROUBLE = [{"status": 503}, {"status": 429, "retry_after": 30}, {"drop": "before"}, {"drop": "after"}]


@pytest.fixture
def rows(tmp_path):
    """A folder with one row."""
    write_made(make_result(model="acme/solver"), tmp_path / "submitted.json")
    put_on([tmp_path / "submitted.json"], tmp_path / "board")
    return tmp_path / "board"


@pytest.fixture
def send(hub, rows):
    def send(root=rows, to=BOARD, **options):
        return publish_board(root, to, token=ALICE, endpoint=hub.url, sleep=lambda _seconds: None, **options)

    return send


def files_of(api):
    return set(api.list_repo_files(BOARD, repo_type="dataset")) - {".gitattributes"}


def commits_of(api):
    return len(api.list_repo_commits(BOARD, repo_type="dataset"))


def test_it_holds_the_rows_a_card_and_the_schema_and_again_is_a_success(send, api, rows):
    done = send()
    (row,) = load(rows)
    here = {row.path.as_posix(), row.path.with_suffix(".samples.parquet").as_posix(), CARD, SCHEMA}
    assert files_of(api) == here == set(done.sent)
    before = commits_of(api)
    again = send()
    assert (again.sent, again.kept, again.commit) == ((), (), done.commit)
    assert commits_of(api) == before


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(send, api):
    told = send(dry_run=True)
    assert not api.repo_exists(BOARD, repo_type="dataset")
    assert (told.commit, set(told.sent)) == (None, set(send().sent))


def test_what_is_there_stays_as_it_is(send, api, rows):
    send()
    (row,) = load(rows)
    place = row.path.as_posix()
    for path, content in (
        (place, b"extended"),
        ("results/bob/net/row.json", b"{}"),
        ("verified/bob/net/row.json", b"{}"),
    ):
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=BOARD, repo_type="dataset")
    before = files_of(api)
    done = send()
    assert (done.sent, done.kept) == ((), (place,))
    assert files_of(api) == before


def test_an_outdated_card_is_renewed(send, api):
    send()
    api.upload_file(path_or_fileobj=b"---\n---\nold", path_in_repo=CARD, repo_id=BOARD, repo_type="dataset")
    assert send().sent == (CARD,)


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
def test_trouble_at_any_call_ends_in_one_commit(send, api, hub, trouble):
    for path in ("/repos/create", "/revision/main", "/commit/"):
        hub.fail_next(path_contains=path, **trouble)
    send()
    assert hub.faults.pending == 0
    assert commits_of(api) == 2  # the Hub's own, and ours


def test_something_else_is_left_alone(send, api):
    api.create_repo(BOARD, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"a", path_in_repo="data.csv", repo_id=BOARD, repo_type="dataset")
    with pytest.raises(PdefmError, match="holds something else than a leaderboard"):
        send()


def test_rows_that_are_none_are_not_sent(send, rows, api):
    (rows / "results" / "acme" / "solver" / "other.json").write_text("{}")
    with pytest.raises(PdefmError):
        send()
    assert not api.repo_exists(BOARD, repo_type="dataset")
    with pytest.raises(UsageError, match="no leaderboard folder"):
        send(rows / "missing")


def test_where_no_board_is_named_it_is_the_folder_here_else_the_packages_rows(tmp_path, monkeypatch, rows, capsys):
    monkeypatch.chdir(tmp_path)
    with leaderboard_at(None) as folder:
        assert {entry.organisation for entry in load(folder)} == {"pdebench-fm"}
    assert main(["leaderboard", "rank", "--shots", "0", "--json"]) == 0
    assert "fno-mixed-64k" in capsys.readouterr().out
    rows.rename(tmp_path / "leaderboard")
    with leaderboard_at(None) as folder:
        assert {entry.organisation for entry in load(folder)} == {"acme"}
