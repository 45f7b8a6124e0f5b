"""Tables of scores on the terminal: each with its interval, what that covers, and rows that are not standard."""

import io
import re

import pytest
from factories import make_model, make_result, make_run
from rich.console import Console

from pdebench_fm.cli import evaluation_display
from pdebench_fm.cli.evaluation_display import EvaluationDisplay, overall_errors, single_table, suite_table
from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.evaluation.progress import SuiteProgress
from pdebench_fm.physics import SampleKey
from pdebench_fm.results.remarks import looked_at_remark


def printed(table):
    buffer = io.StringIO()
    Console(file=buffer, width=200).print(table)
    return " ".join(buffer.getvalue().split())


@pytest.mark.parametrize("show", [single_table, lambda result: suite_table([result, result])])
def test_scores_are_shown_with_their_intervals(show):
    text = printed(show(make_result()))
    assert "0.200 (0.190–0.211)" in text
    assert "0.110 (0.089–0.136)" in text
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
    assert "0.100* (0.095–0.105)" in text
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


def test_where_a_models_settings_were_chosen_is_said_of_what_it_was_not_trained_on():
    key = SampleKey("poisson", "mild", "validation")
    chosen = TrainingManifest(trained=streams("in-domain").trained, looked_at=(stream_of(key, range(9), 64),))
    results = [make_result(task, make_model(training=chosen)) for task in ("poisson-ood/mild", "poisson-ood/hard")]
    remark = looked_at_remark(results[0])
    assert re.fullmatch(r"\d+% of the test rows in a range that settings were chosen on", remark)
    assert remark in printed(single_table(results[0]))
    assert not looked_at_remark(results[1])
    share = remark.split(" ")[0]
    assert f"a range that settings were chosen on: {share} of poisson-ood/mild" in printed(suite_table(results))


def test_test_rows_that_a_model_was_trained_on_are_counted():
    seen = make_result("poisson-ood/mild", make_model(training=streams("mild", split="test")))
    for table in (single_table(seen), suite_table([seen, seen])):
        assert "fno-poisson-1m on poisson-ood/mild: 100 of its 512 test rows were trained on or looked at" in printed(
            table
        )


def test_an_unstated_training_is_said_once():
    unknown = make_result()
    assert printed(suite_table([unknown, unknown])).count("not stated (--manifest): fno-poisson-1m") == 1


BOTH = [make_run((0.1,), shots=8), make_run((0.2,), "scratch", 8)]
ZERO = make_model("zero", parameters=None, weights_sha256=None, family=None, size=None)


def test_the_column_against_scratch_is_explained_where_it_is_and_only_there():
    text = printed(single_table(make_result(runs=BOTH)))
    assert "0.500×" in text
    assert "against scratch: the error as a multiple of that of training from scratch on the same samples" in text
    alone = printed(single_table(make_result(runs=BOTH[:1])))
    assert "scratch" not in alone
    assert "pretrained" in alone
    assert "pretrained" not in printed(single_table(make_result(runs=BOTH[1:])))


def test_a_model_that_only_predicts_is_not_called_pretrained():
    text = printed(single_table(make_result(model=ZERO, runs=[make_run((1.0,), shots=0)])))
    assert "as it is" in text
    assert "pretrained" not in text


@pytest.mark.parametrize("show", [single_table, lambda result: suite_table([result, result])])
def test_a_score_of_1_or_more_says_what_an_error_of_1_is(show):
    words = "an error of 1 is that of predicting zero"
    assert words in printed(show(make_result(runs=[make_run((1.25,), shots=0)])))
    assert words in printed(show(make_result(runs=[make_run((1.0,), shots=0)])))
    assert words not in printed(show(make_result(runs=[make_run((0.99,), shots=0)])))


def on_all_tasks(model="m", without=(), error=lambda i: 0.01 * (i + 1)):
    return [
        make_result(task, model, [make_run((error(i),), shots=0), make_run((0.5 * error(i),), shots=8)])
        for i, task in enumerate(TASKS)
        if task not in without
    ]


def test_all_twelve_tasks_give_one_overall_line_the_geometric_mean():
    results = on_all_tasks() + on_all_tasks("half", without=["poisson-ood/hard"])
    product = 1.0
    for i in range(12):
        product *= 0.01 * (i + 1)
    (found,) = overall_errors(results)
    assert found == (
        "m",
        {
            ("pretrained", 0): pytest.approx(product ** (1 / 12)),
            ("pretrained", 8): pytest.approx(0.5 * product ** (1 / 12)),
        },
    )
    text = printed(suite_table(results))
    assert text.count("overall:") == 1
    assert f"overall │ m │ {product ** (1 / 12):.3g}" in text
    assert "overall │ half" not in text
    assert "overall" not in printed(suite_table(on_all_tasks(without=["poisson-ood/hard"])))


def test_a_task_that_is_there_twice_or_whose_seeds_failed_makes_no_overall_score():
    results = on_all_tasks()
    assert overall_errors([*results, results[0]]) == []
    failed = make_result(
        results[0].task,
        "m",
        [make_run((0.1,), shots=8)],
        failures=[{"start": "pretrained", "shots": 8, "seed": 1, "reason": "not finite"}],
    )
    assert overall_errors([failed, *results[1:]]) == []


def test_a_perfect_task_makes_the_geometric_mean_0():
    (found,) = overall_errors(on_all_tasks(error=lambda i: 0.0 if i == 3 else 0.1))
    assert found[1]["pretrained", 0] == 0.0


@pytest.mark.parametrize(("seconds", "said"), [(19.0, ""), (300.0, "about 5 min for 7 runs, by the pace of the first")])
def test_how_long_it_will_take_is_said_if_it_is_long(seconds, said, monkeypatch):
    lines = []
    monkeypatch.setattr(evaluation_display, "say", lambda *parts, **_: lines.append("".join(parts)))
    with EvaluationDisplay() as display:
        display.show(SuiteProgress(1, 8, estimate=seconds))
    assert bool(lines) == bool(said)
    assert all(line.startswith(said) for line in lines)
