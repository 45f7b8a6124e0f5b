"""The leaderboard's tables: what stands in one column, and what is never compared."""

from datetime import UTC, datetime

import pytest
from factories import DIGEST, make_dataset, make_model, make_result, make_run, with_samples

from pdebench_fm.data.catalogue import SPLIT_SIZES, TASKS
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.leaderboard import board as board_module
from pdebench_fm.leaderboard.board import STANDARD_RESOLUTION, make_boards
from pdebench_fm.leaderboard.ranking import rankings
from pdebench_fm.leaderboard.run_scores import scores_of
from pdebench_fm.leaderboard.store import Entry, row_path
from pdebench_fm.physics import SampleKey
from pdebench_fm.protocol.pinned_digests import PINNED_DIGESTS
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS
from pdebench_fm.protocol.tracks import TRACKS


def boards_of(*results):
    return make_boards([Entry(row_path(result), row_path(result).parts[1], result) for result in results])


def entry_of(result):
    place = row_path(result)
    return Entry(place, place.parts[1], result, scores=scores_of(with_samples(result)))


def zero_shot(error, model="fno-poisson-1m", task="poisson/in-domain", **changes):
    return make_result(task, model, [make_run((error,), shots=0)], **changes)


def test_no_results_make_no_board():
    assert boards_of() == []


def test_tracks_and_protocols_are_boards_of_their_own(monkeypatch):
    monkeypatch.setattr(board_module, "PROTOCOL_VERSION", 2)
    boards = boards_of(zero_shot(0.1), zero_shot(0.2, track="full"), zero_shot(0.3, protocol_version=2))
    assert [(board.track, board.protocol_version) for board in boards] == [("lite", 2), ("full", 1), ("lite", 1)]
    assert all(len(board.rows) == 1 for board in boards)


def test_a_protocol_that_a_row_makes_up_comes_last_and_is_not_ranked():
    task = "poisson/in-domain"
    results = zero_shot(0.1), zero_shot(0.3, protocol_version=9)
    assert [board.protocol_version for board in boards_of(*results)] == [1, 9]
    first, last = rankings(list(map(entry_of, results)), [task])
    assert len(first.standings) == 1
    assert last.standings == ()
    assert [missing.reason for each in last.unranked for missing in each.missing] == [
        "protocol 9 is not known to this version of the package"
    ]


def test_columns_follow_the_catalogue():
    [board] = boards_of(*(zero_shot(0.1, task=task) for task in sorted(TASKS)))
    assert [column.task for column in board.columns] == list(TASKS)
    assert board.columns[-1].parameter == "ω 16–20, given |u| ≤ 2"


def test_a_row_is_one_setting_of_one_revision_over_all_tasks():
    runs = [make_run((0.2,), shots=0), make_run((0.1,)), make_run((0.9,), start="scratch")]
    [board] = boards_of(
        make_result("poisson/in-domain", runs=runs),
        make_result("poisson-ood/hard", runs=runs[:1]),
        zero_shot(0.3, make_model(revision="v2.0.0")),
    )
    seen = [(row.result.model.revision, row.start, row.shots, [bool(c) for c in row.cells]) for row in board.rows]
    assert seen == [
        ("v1.0.0", "pretrained", 0, [True, True]),
        ("v2.0.0", "pretrained", 0, [True, False]),
        ("v1.0.0", "pretrained", 8, [True, False]),
        ("v1.0.0", "scratch", 8, [True, False]),
    ]


def test_divisions_and_methods_have_tables_of_their_own_where_nothing_was_adapted_too():
    runs = [make_run((0.1,), shots=0), make_run((0.01,))]
    of_method = {
        method: make_result(model="acme/a", method=method, runs=runs, method_fingerprint=fingerprint)
        for method, fingerprint in (("symmetric", DIGEST), ("mine:adapt", None))
    }
    closed = make_result(runs=[make_run((0.2,), shots=0), make_run((0.5,))])
    full = zero_shot(0.3, method="symmetric", method_fingerprint=DIGEST, track="full")
    boards = boards_of(*of_method.values(), closed, full)
    assert [(board.track, board.division, board.method) for board in boards] == [
        ("lite", "closed", "v1"),
        ("lite", "open", "mine:adapt"),
        ("full", "open", "symmetric"),
        ("lite", "open", "symmetric"),
    ]
    assert {row.name for row in boards[0].rows} == {"fno-poisson-1m"}
    assert {row.name for row in boards[3].rows} == {"a"}


def test_methods_of_one_name_have_tables_of_their_own_that_say_which():
    versions = {f"{i}" * 64: 0.1 * i for i in (1, 2)} | {None: 0.3}
    results = [zero_shot(mean, method="mine:adapt", method_fingerprint=version) for version, mean in versions.items()]
    boards = boards_of(*results, zero_shot(0.3, method="mine:other", method_fingerprint=DIGEST))
    assert {board.method: [row.cells[0].summary.mean for row in board.rows] for board in boards} == {
        "mine:adapt (11111111)": [0.1],
        "mine:adapt (22222222)": [0.2],
        "mine:adapt (unknown)": [0.3],
        "mine:other": [0.3],
    }


def test_results_of_methods_that_cannot_be_known_again_are_rows_of_their_own():
    of_two_tasks = [
        make_result(task, method="mine:adapt", runs=[make_run((mean,), shots=8)])
        for task, mean in (("poisson/in-domain", 0.1), ("poisson-ood/hard", 0.2))
    ]
    [board] = boards_of(*of_two_tasks)
    means = [[cell and cell.summary.mean for cell in row.cells] for row in board.rows]
    assert sorted(means, key=str) == [[0.1, None], [None, 0.2]]


def columns_of(*results):
    [board] = boards_of(*results)
    return [(column.task, column.major, column.version_state) for column in board.columns]


def test_a_major_dataset_version_has_a_column_of_its_own(monkeypatch):
    task = "poisson/in-domain"
    old, new = make_dataset(version="1.2.0"), make_dataset(version="2.0.0")
    monkeypatch.setitem(PINNED_DIGESTS, 2, PINNED_DIGESTS[1])
    assert columns_of(zero_shot(0.1, dataset=old), zero_shot(0.2, "acme/a", dataset=new)) == [
        (task, 2, "current"),
        (task, 1, "superseded"),
    ]


@pytest.mark.parametrize("version", ["2.0.0", "999999999.0.0"])
def test_a_dataset_version_that_a_row_makes_up_supersedes_nothing(version):
    task = "poisson/in-domain"
    made_up = zero_shot(0.2, "acme/a", dataset=make_dataset(version=version))
    major = int(version.partition(".")[0])
    [board] = boards_of(zero_shot(0.1), made_up)
    assert [(column.major, column.version_state) for column in board.columns] == [(major, "unknown"), (1, "current")]
    remarks = {row.name: [cell and cell.remark for cell in row.cells] for row in board.rows}
    assert remarks["fno-poisson-1m"] == [None, ""]
    assert "other test rows" in remarks["a"][0]  # nothing is known of such a version's rows
    [ranking] = rankings([entry_of(zero_shot(0.1)), entry_of(made_up)], [task])
    assert [standing.row.name for standing in ranking.standings] == ["fno-poisson-1m"]
    # where nobody was scored on standard rows, the newest version that is named is shown
    assert columns_of(made_up) == [(task, major, "current")]


def test_which_version_is_current_does_not_follow_from_what_a_row_says_of_its_model(monkeypatch):
    """One that was trained on the newest version's rows is not ranked, and that version is the newest all the same."""
    monkeypatch.setitem(PINNED_DIGESTS, 2, PINNED_DIGESTS[1])
    key = SampleKey("poisson", "in-domain", "test", "2.0.0")
    trained = make_model("acme/seen", training=TrainingManifest(trained=(stream_of(key, range(9), 64),)))
    results = zero_shot(0.1), zero_shot(0.2, trained, dataset=make_dataset(version="2.0.0"))
    assert [state for _, _, state in columns_of(*results)] == ["current", "superseded"]


def test_of_minor_dataset_versions_the_newest_is_shown():
    versions = ("1.9.0", "1.10.0", "1.2.0")
    results = [zero_shot(0.1 * i, dataset=make_dataset(version=version)) for i, version in enumerate(versions, 1)]
    [board] = boards_of(*results)
    [row] = board.rows
    assert row.cells[0].entry.result.dataset.version == "1.10.0"


def test_the_standard_rows_are_those_of_the_protocol():
    for name, track in TRACKS.items():
        assert STANDARD_RESOLUTION[name] == track.resolution
        assert STANDARD_TEST_ROWS[name] == (track.test_rows or SPLIT_SIZES["test"])


def test_results_off_the_standard_rows_are_marked():
    [board] = boards_of(
        zero_shot(0.01, "acme/few", test_rows=16),
        zero_shot(0.02, "acme/coarse", resolution=32),
        zero_shot(0.03, "acme/private", dataset=make_dataset(recipe_digest="ab" * 32)),
        zero_shot(0.2),
        zero_shot(0.3, "acme/a"),
    )
    remarks = {row.name: row.cells[0].remark for row in board.rows}
    assert remarks["few"] == "16 test rows instead of 512"
    assert remarks["coarse"] == "resolution 32 instead of 64"
    assert "other test rows" in remarks["private"]
    assert remarks["fno-poisson-1m"] == remarks["a"] == ""


def test_many_results_on_other_rows_do_not_make_them_standard():
    others = [zero_shot(0.01, f"acme/m{i}", dataset=make_dataset(recipe_digest="ab" * 32)) for i in range(5)]
    [board] = boards_of(*others, zero_shot(0.2))
    assert [row.name for row in board.rows if not row.cells[0].remark] == ["fno-poisson-1m"]
    marked = [row.name for row in board.rows if "other test rows than the standard ones" in row.cells[0].remark]
    assert sorted(marked) == [f"m{i}" for i in range(5)]


def test_a_rows_date_is_that_of_its_newest_score():
    [board] = boards_of(
        zero_shot(0.1, date=datetime(2026, 2, 3, tzinfo=UTC)),
        zero_shot(0.1, task="poisson-ood/hard", date=datetime(2026, 1, 3, tzinfo=UTC)),
    )
    assert [row.date for row in board.rows] == ["2026-02-03"]


def failure(shots, seed=1, start="pretrained"):
    return {"start": start, "shots": shots, "seed": seed, "reason": "the model returned NaN"}


def test_a_run_with_failed_seeds_has_no_row_and_the_others_of_its_result_have():
    runs = [make_run((0.2,), shots=0), make_run((0.1,), shots=8), make_run((0.05, 0.06), shots=32)]
    [board] = boards_of(make_result(runs=runs, failures=[failure(8), failure(128)]))
    assert {row.shots for row in board.rows} == {0, 32}


def test_a_result_of_failures_alone_makes_no_column():
    failed = make_result("poisson-ood/hard", runs=[make_run((0.1,))], failures=[failure(8)])
    assert boards_of(failed) == []
    [board] = boards_of(failed, zero_shot(0.1))
    assert [column.task for column in board.columns] == ["poisson/in-domain"]


def trained_on(*keys):
    return TrainingManifest(trained=tuple(stream_of(SampleKey(*key), range(100), 64) for key in keys))


def test_a_row_says_what_was_known_of_its_regimes_and_from_scratch_nothing_was():
    model = make_model(training=trained_on(("poisson", "pretrain", "train")))
    runs = [make_run((0.1,), shots=0), make_run(start="scratch")]
    tasks = ("poisson/in-domain", "poisson-ood/mild", "poisson-ood/medium", "poisson-ood/hard")
    (board,) = boards_of(*(make_result(task, model, runs) for task in tasks))
    pretrained, scratch = board.rows
    assert [cell.knowledge for cell in pretrained.cells] == ["seen", "overlapping", "unseen", "unseen"]
    assert {cell.knowledge for cell in scratch.cells} == {"unseen"}
    (board,) = boards_of(make_result(tasks[0], make_model(training=None)))
    assert {row.cells[0].knowledge for row in board.rows} == {"unknown"}


def test_a_model_that_was_trained_on_test_rows_is_marked_but_from_scratch():
    cheated = make_model("cheat", training=trained_on(("poisson", "in-domain", "test")))
    runs = [make_run((0.001,), shots=0), make_run((0.002,), start="scratch", shots=8)]
    (board,) = boards_of(zero_shot(0.1), make_result("poisson/in-domain", cheated, runs))
    marked = {(row.name, row.start): row.cells[0] for row in board.rows}
    assert marked["cheat", "pretrained"].remark == "100 of its 512 test rows were trained on or looked at"
    assert marked["fno-poisson-1m", "pretrained"].remark == marked["cheat", "scratch"].remark == ""


def test_one_model_with_two_manifests_is_two_rows():
    stated = make_model(training=trained_on(("poisson", "pretrain", "train")))
    (board,) = boards_of(zero_shot(0.1), make_result("poisson-ood/hard", stated, [make_run((0.1,), shots=0)]))
    assert len(board.rows) == 2


def test_scores_on_the_standard_rows_are_shown_before_newer_ones_on_others():
    others = zero_shot(0.01, test_rows=16, date=datetime(2026, 6, 1, tzinfo=UTC), dataset=make_dataset(version="1.5.0"))
    [board] = boards_of(zero_shot(0.2), others)
    [row] = board.rows
    assert (row.cells[0].summary.mean, row.cells[0].remark) == (0.2, "")


def test_modules_whose_tensors_differ_are_rows_of_their_own():
    modules = [make_model("acme/m", weights_sha256=None, tensors_sha256=digit * 64) for digit in "ab"]
    [board] = boards_of(zero_shot(0.1, modules[0]), zero_shot(0.2, modules[1], task="poisson-ood/hard"))
    assert [[bool(cell) for cell in row.cells] for row in board.rows] == [[True, False], [False, True]]
