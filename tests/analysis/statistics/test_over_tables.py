"""Answers over all tables of a study, here and in general, by hand."""

import itertools
import math

import numpy as np
import pytest

from analysis.statistics.over_tables import here, in_general, over_tables
from analysis.statistics.significance import mean_interval, sign_flip_p
from tests.analysis.planned import lose, tables_of


def test_here_flips_all_tables_of_a_seed_together():
    d = np.random.default_rng(0).normal(0.5, 1, (3, 7))
    patterns = np.array(list(itertools.product((1, -1), repeat=7)))
    means = (patterns[:, None, :] * d).mean(axis=(1, 2))
    found = here(d)
    assert found.p == pytest.approx((np.abs(means) >= abs(d.mean()) - 1e-12).mean())
    assert found[:3] == pytest.approx(mean_interval(d.mean(axis=0)))
    assert found.n == 7


def test_in_general_flips_tables():
    d = np.random.default_rng(1).normal(0.5, 1, (6, 4))
    found = in_general(d)
    assert found.p == sign_flip_p(d.mean(axis=1))
    assert found[:3] == pytest.approx(mean_interval(d.mean(axis=1)))
    assert found.n == 6


def test_the_effect_and_the_p_here_and_in_general_by_hand():
    # Seeds' means 2, 3, 4: effect 3, p 2/8. Tables' means 1 and 5: both signs agree in 2 of 4 patterns.
    d = [[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]
    assert here(d)[0::3] == pytest.approx((3, 0.25))
    assert in_general(d)[0::3] == pytest.approx((3, 0.5))


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
