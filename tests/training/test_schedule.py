"""The learning rate's way up, along and down."""

import pytest

from pdebench_fm.training.schedule import warmup_cosine


def factors(**settings):
    return [warmup_cosine(step, 100, 10, **settings) for step in range(100)]


def test_it_rises_in_a_line_and_falls_in_half_a_cosine():
    found = factors()
    assert found[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert found[10] == 1.0
    assert found[55] == pytest.approx(0.5)
    assert 0 < found[99] < 1e-3


def test_with_a_share_it_stays_at_the_peak_until_then():
    found = factors(decay_share=0.4)
    assert found[:10] == factors()[:10]
    assert found[10:61] == [1.0] * 51
    assert found[80] == pytest.approx(0.5)
    assert 0 < found[99] < 2e-3


def test_a_share_that_would_begin_in_the_warm_up_begins_after_it():
    assert factors(decay_share=0.95) == factors()
