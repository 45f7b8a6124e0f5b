"""The law of a parameter whose samples may be refused: measured, and stated wherever the range is."""

from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from pdebench_fm.cli import main
from pdebench_fm.cli.console import console
from pdebench_fm.data.acceptance import law_in_words, law_table, measure_law, stated_law
from pdebench_fm.data.catalogue import DATASETS, SPLIT_SIZES
from pdebench_fm.data.statistics import read_statistics
from pdebench_fm.physics import ORIGINS, REGIMES, SYSTEMS, SampleKey, draw, realise
from pdebench_fm.physics.sampling import _attempt

ROOT = Path(__file__).parents[2]
CONDITIONAL = [name for name, system in SYSTEMS.items() if system.solution_bound is not None]


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("system", CONDITIONAL)
def test_the_stated_law_is_that_of_the_published_test_rows(system, regime):
    key = SampleKey(system, regime, "test")
    law = stated_law(key.definition, regime)
    assert law == measure_law(key, SPLIT_SIZES["test"])
    assert sum(law.counts) == SPLIT_SIZES["test"]
    assert len(law.labels) == len(law.counts)


def test_the_law_is_counted_from_the_draws():
    key = SampleKey("helmholtz", "in-domain", "validation")
    law, draws = measure_law(key, 600), draw(key, range(600))
    for value, count in zip(law.labels, law.counts, strict=True):
        assert count == np.sum(draws.parameter == float(value))
    assert law.accepted == np.mean(draws.attempts == 0)


def test_shares_are_in_proportion_to_how_often_a_uniform_draw_is_accepted():
    """Bayes' rule, P(ω | accepted) ∝ P(accepted | ω), on first attempts of other rows: another way to the same law."""
    key = SampleKey("helmholtz", "in-domain", "train")
    first = realise(_attempt(key, np.arange(2000), 0))
    accepted = np.abs(first.solution).max(axis=(1, 2)) <= 2.0
    omega = first.draws.parameter
    acceptance = np.array([accepted[omega == value].mean() for value in range(1, 6)])
    law = stated_law(SYSTEMS["helmholtz"], "in-domain")
    np.testing.assert_allclose(law.shares, acceptance / acceptance.sum(), atol=0.03)
    assert law.accepted == pytest.approx(accepted.mean(), abs=0.03)
    assert acceptance[1] < 0.02  # ω = 2 is next to the resonance of |k|² = 5


def test_a_system_that_accepts_everything_has_no_law_to_state():
    for name in set(SYSTEMS) - set(CONDITIONAL):
        system = SYSTEMS[name]
        assert system.condition == law_table(system, list(system.regimes)) == ""
        assert all(law_in_words(system, regime) == str(system.regimes[regime]) for regime in system.regimes)


def test_another_system_with_a_bound_states_what_its_build_measured(make_build, registry):
    measured = read_statistics(make_build("helmholtz", ("pretrain", "in-domain"))).regimes
    far = replace(SYSTEMS["helmholtz"], name="far", solution_bound=1.5)
    registry["far"], ORIGINS["far"] = far, "far.py"
    assert law_in_words(far, "pretrain") == "integers 1–10, given |u| ≤ 1.5"
    assert law_table(far, ["pretrain"]) == ""
    law = stated_law(far, "pretrain", measured)
    assert law.counts == measured[0].parameter.counts
    assert "not uniform" in law_in_words(far, "pretrain", measured)
    assert f"| `pretrain` | {sum(law.counts)} | {law} |" in law_table(far, ["pretrain"], measured)


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if dataset.system_name in CONDITIONAL])
def test_the_card_carries_the_measured_table(make_build, name):
    dataset = DATASETS[name]
    regimes = dataset.regimes[:2]
    card = (make_build(name, regimes) / "README.md").read_text()
    assert law_table(dataset.system, regimes) in card
    assert "given |u| ≤ 2" in unescape(card)


def test_the_guide_carries_the_measured_table_of_every_regime():
    guide = (ROOT / "docs" / "concepts" / "datasets.md").read_text()
    for name in CONDITIONAL:
        assert law_table(SYSTEMS[name], list(REGIMES)) in guide


def test_the_list_of_datasets_states_the_law(capsys, monkeypatch):
    monkeypatch.setattr(console, "width", 160)
    assert main(["data", "list"]) == 0
    printed = capsys.readouterr().out
    assert "ω integers 1–5, given |u| ≤ 2 (not uniform)" in printed
    assert "ω integers 16–20, given |u| ≤ 2 (none refused of 4096)" in printed
    assert "e ∈ U(1, 2.5)" in printed
