"""Tables of scores on the terminal: each with its interval, what that covers, and rows that are not standard."""

import io
import re

import pytest
from factories import make_model, make_result, make_run
from rich.console import Console

from pdebench_fm.cli.evaluation_display import single_table, suite_table
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.physics import SampleKey


def printed(table):
    buffer = io.StringIO()
    Console(file=buffer, width=200).print(table)
    return " ".join(buffer.getvalue().split())


@pytest.mark.parametrize("show", [single_table, lambda result: suite_table([result, result])])
def test_scores_are_shown_with_their_intervals(show):
    text = printed(show(make_result()))
    assert "0.200 (0.190–0.211)" in text
    assert "0.110 (0.0889–0.136)" in text
    assert "in brackets: 95 % intervals, for new test samples and new seeds" in text
    assert "*" not in text
    assert "standard rows" not in text


def test_no_number_is_cut_in_a_narrow_terminal():
    buffer = io.StringIO()
    runs = [make_run((0.2,), shots=0), make_run(), make_run(shots=32), make_run(shots=32, start="scratch")]
    results = [make_result(model=name, runs=runs) for name in ("fno-mixed-64k", "fno-poisson-64k")]
    Console(file=buffer, width=80).print(suite_table(results))
    assert "…" not in buffer.getvalue()


def test_zero_shot_scores_alone_say_nothing_of_seeds():
    text = printed(single_table(make_result(runs=[make_run((0.2,), shots=0)])))
    assert "95 % intervals, for new test samples" in text
    assert "new seeds" not in text


@pytest.mark.parametrize("show", [single_table, lambda result: suite_table([result, result])])
def test_an_interval_that_knows_of_one_seed_alone_says_so(show):
    text = printed(show(make_result(runs=[make_run((0.2,), shots=0), make_run((0.1,))])))
    assert "0.200 (0.190–0.211)" in text  # nothing in a zero-shot score is random
    assert "0.100* (0.0948–0.105)" in text
    assert "*: one seed, so its interval is for new test samples alone" in text


def test_rows_that_are_not_the_tracks_standard_ones_are_named():
    few = make_result(track="full", test_rows=64, runs=[make_run()])
    words = "not the full track's standard rows: 64 test rows instead of 4096"
    assert words in printed(single_table(few))
    assert f"{words} (poisson/in-domain)" in printed(
        suite_table([few, make_result("poisson-ood/mild", track="full", runs=[make_run()])])
    )


def test_a_method_that_is_not_the_protocols_is_named_with_its_division():
    assert "relative ℓ² error, method “paper”, unranked division" in printed(single_table(make_result(method="paper")))


def streams(*regimes, split="train"):
    keys = (SampleKey("poisson", regime, split) for regime in regimes)
    return TrainingManifest(trained=tuple(stream_of(key, range(100), 64) for key in keys))


def test_what_a_model_knew_of_a_regime_is_said_where_it_was_not_unseen():
    known = make_model(training=streams("pretrain"))
    assert "regime seen in training" in printed(single_table(make_result("poisson/in-domain", known)))
    assert "50% of the test rows in the range trained on" in printed(
        single_table(make_result("poisson-ood/mild", known))
    )
    unseen = make_result("poisson-ood/hard", known)
    for table in (single_table(unseen), suite_table([unseen, unseen])):
        assert not re.search(r"in training|trained ?on|not stated", printed(table))
    text = printed(suite_table([make_result(task, known) for task in ("poisson/in-domain", "poisson-ood/mild")]))
    assert "poisson/in-domain │ fno-poisson-1m │ all │" in text
    assert "poisson-ood/mild │ fno-poisson-1m │ 50 % │" in text
    assert "trained on: the test rows whose parameter lies in a range that the model was trained on" in text


def test_test_rows_that_a_model_was_trained_on_are_counted():
    seen = make_result("poisson-ood/mild", make_model(training=streams("mild", split="test")))
    for table in (single_table(seen), suite_table([seen, seen])):
        assert "fno-poisson-1m on poisson-ood/mild: 100 of its 512 test rows were seen in training" in printed(table)


def test_an_unstated_training_is_said_once():
    unknown = make_result()
    assert printed(suite_table([unknown, unknown])).count("not stated (--manifest): fno-poisson-1m") == 1
