"""A run that was trained again is compared by its text with the value of a trial."""

import pytest

from analysis.records.runs import CONFIG
from analysis.statistics.confirmed_points import _differs


@pytest.mark.parametrize(
    ("logged", "value", "differs"),
    [
        ("0.25", 0.3, True),
        ("1", 1.0, False),  # an int where a float was
        ("1e3", "1e3", False),  # a word that reads as a number
        ("(1, 2)", [1, 2], False),
        ("[1, 2]", (1, 2), False),
        ("", 0.3, False),  # of a run that has logged none
    ],
)
def test_the_value_that_a_run_logged_is_another_than_the_trial_s(logged, value, differs):
    assert _differs({f"{CONFIG}zeta": logged}, "zeta", value) == differs
