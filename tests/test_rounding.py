"""Numbers for people: to three digits, or to the place of their spread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdebench_fm.rounding import short, with_spread


@pytest.mark.parametrize(
    ("values", "half_width", "texts"),
    [
        ((0.827,), 0.0119, ("0.827",)),  # the examples of the Particle Data Group: 0.827 ± 0.119 is 0.83 ± 0.12
        ((0.827,), 0.119, ("0.83",)),
        ((0.827,), 0.367, ("0.83",)),  # one digit of the spread, but never fewer than two of a number
        ((123.456,), 0.0354, ("123.46",)),
        ((123.456,), 0.0355, ("123.46",)),
        ((12.3456,), 0.0356, ("12.35",)),
        ((12.3456,), 0.0121, ("12.346",)),
        ((0.2, 0.1895, 0.2108), 0.01065, ("0.200", "0.190", "0.211")),
        ((0.5, 0.01, 3.0), 1.495, ("0.500", "0.010", "3.000")),
        ((1.0, 1.0, 1.0), 0.0, ("1.00", "1.00", "1.00")),
        ((7.68e-08, 7.42e-08, 7.95e-08), 2.65e-09, ("7.68e-08", "7.42e-08", "7.95e-08")),
        ((0.0, 0.0, 0.1), 0.05, ("0", "0", "0.10")),
        ((1234567.0,), 0.1, ("1234600",)),  # five digits at most
    ],
)
def test_numbers_are_rounded_to_the_place_of_their_spread(values, half_width, texts):
    assert with_spread(*values, half_width=half_width) == texts


def test_a_difference_may_be_rounded_to_0():
    assert with_spread(0.0213, 1e-7, 0.0425, half_width=0.0212, near_zero=True) == ("0.021", "0", "0.043")


@given(
    st.floats(1e-12, 1e6),
    st.floats(1e-3, 0.9),
)
def test_what_is_shown_is_within_half_its_last_place_of_the_value(mean, share):
    low, high = mean * (1 - share), mean * (1 + share)
    half = (high - low) / 2
    for value, text in zip((mean, low, high), with_spread(mean, low, high, half_width=half), strict=True):
        assert abs(float(text) - value) <= 0.06 * max(half, 1e-4 * high) * 10


@given(st.floats(1e-12, 1e6))
def test_three_digits_are_shown_of_a_number_alone(value):
    assert float(short(value)) == pytest.approx(value, rel=5.1e-3)
