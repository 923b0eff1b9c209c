"""Every function agrees with a case worked by hand, and with an independent computation."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.significance import (
    EXACT_UP_TO,
    holm,
    mean_interval,
    probability_of_beating,
    sign_flip_p,
)


def test_interval_by_hand():
    # mean 2, sd 1, n 3: half width 4.302653 x 1 / sqrt(3)
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2, 2 - 2.484138, 2 + 2.484138), abs=1e-6)
    assert mean_interval([1.0, 3.0]) == pytest.approx((2, 2 - 12.706205, 2 + 12.706205), abs=1e-6)


def test_interval_of_one_of_none_and_of_equal_differences():
    assert mean_interval([1.5]).mean == 1.5
    assert np.isnan(mean_interval([1.5])[1:]).all()
    assert np.isnan(mean_interval([])).all()
    for few in ([0.0, 0.0], [-0.5, -0.5], [70.3 - 70, 71.3 - 71, 72.3 - 72]):  # equal but for rounding
        assert np.isnan(mean_interval(few)[1:]).all()
    assert mean_interval([50.0, 50.001]).low < 50 < mean_interval([50.0, 50.001]).high
    assert mean_interval([0.5] * 6) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0, 2.0, 3.0], 2 / 8),  # only +++ and --- reach 6
        ([-1e-7, -2e-7, -3e-7], 2 / 8),
        ([1.0, 2.0, -3.0], 8 / 8),  # the sum is 0: every pattern is as far
        ([1.0, 2.0, 4.0, -1.0], 6 / 16),  # sum 6: |sum| is 8 for 2 patterns and 6 for 4
        ([0.5, 0.5, 0.5, 0.5], 2 / 16),
        ([0.0, 0.0, 0.0], 1.0),
        ([0.0, 1.0], 1.0),  # flipping the zero changes nothing: both signs of 1 are as far
        ([0.7], 1.0),
        ([1, 1, 1, -1], 10 / 16),  # the sum is 2
        ([0.1, 0.1, 0.1, -0.1], 10 / 16),  # sums that differ in the last bit
        ([1.0, 1e-6], 2 / 4),  # and those that differ by more
    ],
)
def test_sign_flip_by_hand(differences, expected):
    assert sign_flip_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 7, 10])
def test_sign_flip_agrees_with_scipy(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=2**n)
    assert sign_flip_p(d) == pytest.approx(theirs.pvalue)


def test_sign_flip_with_many_pairs_is_close_to_the_t_test_and_repeatable():
    d = np.random.default_rng(3).normal(0.35, 1, EXACT_UP_TO + 15)
    assert sign_flip_p(d) == sign_flip_p(d)
    assert sign_flip_p(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)
    assert sign_flip_p(np.full(14, 2.0)) == 2 / 2**14
    assert sign_flip_p(np.full(30, 2.0)) == 1 / 10_000


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.06 (never falling)
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])  # twice 0.6 is above 1
    assert holm([0.04]) == pytest.approx([0.04])


def test_holm_leaves_out_what_was_not_compared():
    assert holm([math.nan, 0.01, 0.04]) == pytest.approx([math.nan, 0.02, 0.04], nan_ok=True)
    assert np.isnan(holm([math.nan])).all()


def test_probability_of_beating():
    assert probability_of_beating([2, 3], [1, 2]) == pytest.approx(3.5 / 4)  # one tie of four pairs
    assert probability_of_beating([1, 2], [1, 2]) == 0.5
    assert math.isnan(probability_of_beating([], [1]))
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    assert probability_of_beating(x, y) == pytest.approx(stats.mannwhitneyu(x, y).statistic / 81)


@pytest.mark.parametrize("differences", [[], [1.0, 2.0, math.inf], [1.0, 2.0, -math.inf], [1.0, 2.0, math.nan]])
def test_no_pair_and_a_difference_that_is_not_finite_have_no_p(differences):
    assert math.isnan(sign_flip_p(differences))
