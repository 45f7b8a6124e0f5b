"""How much of a law lies in other ranges: exact at none and all, and what counting says in between."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdebench_fm.physics import Range, lies_in, overlap

ENDS = st.integers(-12, 12)


def ranges(integer):
    return st.tuples(ENDS, ENDS).filter(lambda ends: integer or ends[0] < ends[1]).map(sorted)


@given(ranges(True), st.lists(st.tuples(ranges(True), st.booleans()), max_size=4))
def test_integers_are_counted(ends, others):
    own = set(range(ends[0], ends[1] + 1))
    inside = {i for i in own if any(low <= i <= high for (low, high), _ in others)}
    found = overlap(Range(*ends, integer=True), [Range(*other, integer=kind) for other, kind in others])
    assert found == pytest.approx(len(inside) / len(own))
    assert (found == 0.0, found == 1.0) == (not inside, inside == own)


@given(ranges(False), st.lists(ranges(False), max_size=4), st.sampled_from([1, 3, 7, 10]))
def test_lengths_are_those_of_the_union(ends, others, part):
    """Ends are multiples of 1/part, between which a range holds all of an interval or nothing."""
    cells = range(ends[0], ends[1])
    inside = [i for i in cells if any(low <= i < high for low, high in others)]
    found = overlap(Range(ends[0] / part, ends[1] / part), [Range(low / part, high / part) for low, high in others])
    assert found == pytest.approx(float(Fraction(len(inside), len(cells))))
    assert (found == 0.0, found == 1.0) == (not inside, len(inside) == len(cells))


def test_ranges_that_meet_in_an_end_have_nothing_in_common():
    assert overlap(Range(5, 10), [Range(1, 5), Range(10, 20)]) == 0.0


def test_some_integers_are_nothing_of_a_continuous_range_and_all_of_it_holds_them():
    assert overlap(Range(1, 5), [Range(1, 5, integer=True)]) == 0.0
    assert overlap(Range(1, 5, integer=True), [Range(0.5, 5.5)]) == 1.0
    assert overlap(Range(1, 5, integer=True), [Range(1.5, 4.5)]) == 3 / 5


def test_a_single_value_is_in_a_range_or_not():
    assert [overlap(Range(2, 2), [Range(low, 3)]) for low in (1, 2, 2.5)] == [1.0, 1.0, 0.0]


def test_what_is_not_quite_all_is_never_all():
    assert overlap(Range(0, 1), [Range(0, 0.5), Range(np.nextafter(0.5, 1), 1)]) < 1.0
    assert overlap(Range(0, 1e12), [Range(0, 1e-300)]) > 0.0


def test_values_that_rows_store_are_inside_the_range_that_they_were_drawn_from():
    """0.4 is stored as 0.4000000059604645, above the range's end."""
    stored = np.array([0.2, 0.4, 0.41, 0.19], dtype=np.float32).astype(np.float64)
    np.testing.assert_array_equal(lies_in(stored, [Range(0.2, 0.4)]), [True, True, False, False])
    np.testing.assert_array_equal(lies_in(np.array([1.0, 1.5, 3.0]), [Range(1, 2, integer=True)]), [True, False, False])
    assert not lies_in(stored, []).any()
