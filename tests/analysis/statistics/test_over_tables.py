"""Answers over all tables of a study, here and in general, by hand."""

import math

import numpy as np
import pytest

from analysis.statistics.over_tables import here, in_general, over_tables
from tests.analysis.planned import lose, tables_of


def test_the_answers_here_and_in_general_by_hand():
    d = [[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]
    # The means of the seeds are 2, 3 and 4: the sd is 1, and 2 of 8 patterns reach their sum.
    assert here(d) == pytest.approx((3, 3 - 2.484138, 3 + 2.484138, 2 / 8, 3))  # 4.302653 x 1 / sqrt(3)
    # The means of the tables are 1 and 5: the sd is sqrt(8), and 2 of 4 patterns reach their sum.
    assert in_general(d) == pytest.approx((3, 3 - 25.412409, 3 + 25.412409, 2 / 4, 2))  # 12.706205 x sqrt(8 / 2)


def test_what_is_missing_is_not_counted():
    d = np.array([[1.0, math.nan, 3.0], [2.0, 5.0, 6.0], [math.nan] * 3])
    assert here(d[:2]).n == 2
    assert here(d[:2]).effect == pytest.approx((1.5 + 4.5) / 2)
    assert in_general(d).n == 2
    assert in_general(d).effect == pytest.approx((2 + 13 / 3) / 2)
    assert math.isnan(here(d).p)
    assert math.isnan(in_general(d[2:]).effect)


def test_a_study_answers_for_its_tables_and_in_general():
    arms = ("plain", "+ a")
    two = tables_of(lambda arm, seed: 70.0 + seed + (arm == "+ a"), arms, 6, {"mixer": ("cutmix", "mixup")})
    table = over_tables(two)
    assert list(table.index) == [("+ a", "here"), ("+ a", "in general")]
    assert table["effect"].tolist() == [1, 1]
    assert table["p"].tolist() == [2 / 2**6, 0.5]
    assert table["able"].tolist() == [True, False]
    assert over_tables(tables_of({(arm, 0): 70.0 for arm in arms}, arms, 6)).empty


def test_a_table_in_which_an_arm_has_no_pair_is_none_of_its_tables():
    arms, factors = ("plain", "+ a"), {"mixer": ("cutmix", "mixup", "fmix")}
    levels = tables_of(
        lambda arm, _: 70.0 + (arm == "+ a"), arms, 6, factors, lambda runs: lose(runs, "+ a", mixer="fmix")
    )
    table = over_tables(levels)
    assert table["n"].tolist() == [6, 2]
    assert table["effect"].tolist() == [1, 1]
