"""Verdicts: what an interval on either side of a bound, or around it, comes to."""

import math

import pytest
from pydantic import TypeAdapter
from studies_rows import key, row

from pdebench_fm.errors import PdefmError
from pdebench_fm.studies.claims import Claim, questions_of
from pdebench_fm.studies.runs import read_runs, runs_text, write_runs
from pdebench_fm.studies.table import table_of
from pdebench_fm.studies.verdicts import number, verdict_of, verdicts_in_brief, verdicts_table

OF, TO = key(8), key(8, "scratch")
SAID = {
    "says": "It helps.",
    "measure": "ratio",
    "of": {"model": "m", "task": "poisson-ood/medium", "shots": 8},
    "to": {"model": "m", "task": "poisson-ood/medium", "shots": 8, "start": "scratch"},
}


def verdict(of, to, spread=1.05, changes=None, **said):
    claim = TypeAdapter(Claim).validate_python(SAID | said)
    (question,) = questions_of("helps", claim, "lite", {OF, TO}, ValueError)
    rows = [row(OF, of, spread, **(changes or {})), row(TO, to, spread)]
    return verdict_of(question, table_of(rows))


@pytest.mark.parametrize(
    ("of", "spread", "bounds", "decision"),
    [
        (0.5, 1.05, {"below": 1}, "holds"),
        (1.5, 1.05, {"below": 1}, "doesn't hold at this scale"),
        (0.98, 1.05, {"below": 1}, "can't be told"),
        (0.5, 3.0, {"below": 1}, "can't be told"),
        (1.5, 1.05, {"above": 1}, "holds"),
        (0.5, 1.05, {"above": 1}, "doesn't hold at this scale"),
        (3.0, 1.05, {"above": 1, "paper": 10}, "holds with"),
        (20.0, 1.05, {"above": 1, "paper": 10}, "holds"),
        (10.0, 1.05, {"above": 1, "paper": 10}, "holds"),
        (0.5, 1.05, {"below": 1, "paper": 0.1}, "holds with"),
        (0.05, 1.05, {"below": 1, "paper": 0.1}, "holds"),
        (3.0, 1.05, {}, "measured"),
    ],
)
def test_a_verdict_follows_from_interval_and_bound(of, spread, bounds, decision):
    found = verdict(of, 1.0, spread, **bounds)
    assert found.decision == decision
    assert found.value == pytest.approx(of)
    assert found.low < of < found.high
    assert found.in_short == (f"holds with {of:.3g}" if decision == "holds with" else decision)


def test_what_the_paper_finds_may_be_within_the_interval():
    assert "can't be told" in verdict(10.0, 1.0, above=1, paper=10).because
    assert "and as far as" in verdict(20.0, 1.0, above=1, paper=10).because


def test_missing_runs_are_named_and_nothing_is_told():
    claim = TypeAdapter(Claim).validate_python(SAID | {"below": 1})
    (question,) = questions_of("helps", claim, "lite", {OF, TO}, ValueError)
    found = verdict_of(question, table_of([row(OF, 0.1)]))
    assert (found.decision, found.value, found.low) == ("can't be told", None, None)
    assert "no score of m on poisson-ood/medium (lite), scratch, 8 shots" in found.because


@pytest.mark.parametrize(
    ("of", "sizes", "words"),
    [
        ({"against": "parameters"}, (1000, None), "of b it is not known how many parameters it has"),
        ({"against": "parameters"}, (1000, 1000), "its models all have 1,000 parameters"),
        ({"against": "steps"}, (None, 1000), "of a it is not known how many steps it was pretrained for"),
        ({"against": "steps"}, (20, 20), "its models all have 20 steps"),
    ],
)
def test_an_exponent_needs_sizes_that_are_known_and_differ(of, sizes, words):
    said = {"says": "s", "measure": "slope", "models": ["a", "b"], "of": {"task": "poisson-ood/medium"}, "below": 0}
    keys = [key(model=model) for model in "ab"]
    (question,) = questions_of("c", TypeAdapter(Claim).validate_python(said | of), "lite", set(keys), ValueError)
    name = {"parameters": "parameters", "steps": "pretraining_steps"}[of["against"]]
    found = verdict_of(question, table_of([row(k, 0.1, **{name: size}) for k, size in zip(keys, sizes, strict=True)]))
    assert (found.decision, found.value) == ("can't be told", None)
    assert words in found.because


def test_a_single_seed_is_told():
    assert "of one seed" in verdict(0.5, 1.0, changes={"covers": "samples", "seeds": 1}, below=1).because
    assert "of one seed" not in verdict(0.5, 1.0, below=1).because


def test_a_gain_that_is_never_reached_has_no_upper_end():
    curve = [key(shots, "scratch") for shots in (8, 32)]
    claim = TypeAdapter(Claim).validate_python(
        {
            "says": "s",
            "measure": "gain",
            "of": {"model": "m", "task": "poisson-ood/medium", "shots": 8},
            "curve": {"model": "m", "task": "poisson-ood/medium", "start": "scratch"},
            "above": 1,
            "paper": 10,
        }
    )
    (question,) = questions_of("saves", claim, "lite", {OF, *curve}, ValueError)
    rows = [row(OF, 0.01), *(row(each, 0.5 - 0.001 * each.shots) for each in curve)]
    found = verdict_of(question, table_of(rows))
    assert (found.decision, found.relation, found.high) == ("holds", ">", None)
    assert found.value == pytest.approx(4.0)
    assert "more than 4 (4 to no end)" in found.because
    assert "whether as far as the paper's 10 can't be told" in found.because


def test_in_brief_each_statement_has_its_outcomes_and_how_far_its_measure_goes():
    cases = [
        verdict(of, 1.0, below=1).model_copy(update={"claim": f"helps ({k} shots)"})
        for k, of in ((8, 0.5), (32, 0.25), (128, 1.5))
    ]
    alone = verdict(3.0, 1.0, above=1, says="It hurts.")
    untold = alone.model_copy(update={"says": "Who knows?", "relation": ">"})
    assert verdicts_in_brief(
        [*cases, alone, *3 * [untold], cases[0], untold.model_copy(update={"says": "It helps."})]
    ) == (
        "* It helps. **2 × holds, 1 × doesn't hold at this scale**; ratio of two errors: 0.25 to 1.5; "
        "it doesn't for 128 shots.\n"
        f"* It hurts. **holds; {alone.because}**.\n"
        "* Who knows? **3 × holds**; ratio of two errors: more than 3.\n"
        "* It helps. **2 × holds**; ratio of two errors: 0.5, more than 3.\n"
    )
    among = [*cases, untold.model_copy(update={"says": "It helps."})]
    assert verdicts_in_brief(among).endswith(
        "; ratio of two errors: 0.25 to 1.5, and in 1 beyond the runs or not known; it doesn't for 128 shots.\n"
    )


def test_a_statement_that_several_verdicts_share_is_said_once():
    lines = verdicts_table(
        [verdict(0.5, 1.0, below=1).model_copy(update={"claim": f"helps ({k} shots)"}) for k in (8, 32)]
    ).splitlines()
    assert [line for line in lines if "It helps" in line] == ["| **It helps.** | | |"]
    assert [line.split(" | ")[0] for line in lines[3:]] == ["| 8 shots", "| 32 shots"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.01234, "0.0123"),
        (12345.0, "12,345"),
        (1e-5, "1.00e-05"),
        (1.7e100, "1.70e+100"),
        (math.inf, "no end"),
    ],
)
def test_numbers_are_read_with_three_digits(value, words):
    assert number(value) == words


def test_a_table_is_the_same_after_writing_and_reading_to_the_last_digit(tmp_path):
    rows = [row(OF, 1 / 3, parameters=None, family=None), row(TO, 2 / 7, pretraining_steps=None)]
    write_runs(rows, tmp_path / "data.csv")
    assert read_runs(tmp_path / "data.csv") == rows


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("model,model_id", "model,id", "does not hold runs of a study"),
        ("pretrained,8", "pretrained,eight", "line 2: shots"),
        ("lite", "lite,more", "line 2"),
        ("0.5,", "nan,", "line 2: "),
        ("64,512,", "64,1,", "line 2: test_rows: "),
        ("\n", "\r", "line 1: new-line character"),
        ("model,", "\ufeffmodel,", r"its columns are '\\ufeffmodel,"),
    ],
)
def test_a_damaged_table_is_told_with_its_line(tmp_path, old, new, words):
    path = tmp_path / "data.csv"
    text = runs_text([row(OF, 0.5), row(TO, 0.7)])
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PdefmError, match=words):
        read_runs(path)


def test_a_run_that_is_there_twice_is_refused(tmp_path):
    write_runs([row(OF, 0.5), row(OF, 0.7)], tmp_path / "data.csv")
    with pytest.raises(PdefmError, match=r"line 3: .* is there twice"):
        read_runs(tmp_path / "data.csv")
