"""Lengths of time in words and from words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.durations import seconds_in, spoken


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "1.5 min"), (5400, "1.5 h"), (359_820, "100 h")]
)
def test_times_in_words(seconds, words):
    assert spoken(seconds) == words


@given(st.integers(1, 10**6), st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_a_number_with_its_unit(number, unit):
    letter, seconds = unit
    assert seconds_in(f"{number}{letter}") == number * seconds
    assert seconds_in(f" {number}.5{letter} ") == pytest.approx((number + 0.5) * seconds)


@pytest.mark.parametrize("text", ["", "9", "m", "0m", "0.0s", "-3m", "9 m", "9d", "1e3s", "nanh", "9m9s", "٣m"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="expected a number above 0 with its unit"):
        seconds_in(text)
