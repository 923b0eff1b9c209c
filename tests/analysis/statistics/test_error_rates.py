"""Do the statistics keep their promises? Simulated studies whose truth is known."""

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.significance import holm, is_win, mean_interval, sign_flip_p
from analysis.statistics.tables import ablation_table

DRAWS = 2000


@pytest.mark.parametrize("n", range(3, 11))
def test_intervals_cover_the_true_gain(n):
    rng = np.random.default_rng(n)
    seed_effect = rng.normal(0, 2, (DRAWS, n))  # what the pairing removes
    arm = 78.5 + seed_effect + rng.normal(0, 0.4, (DRAWS, n))
    baseline = 78.0 + seed_effect + rng.normal(0, 0.3, (DRAWS, n))
    intervals = np.array([mean_interval(row) for row in arm - baseline])
    covered = (intervals[:, 1] <= 0.5) & (intervals[:, 2] >= 0.5)
    assert 0.93 <= covered.mean() <= 0.97


@pytest.mark.parametrize("n", [6, 8, 10])
def test_a_gain_is_claimed_in_at_most_one_table_of_twenty_without_any(n):
    """Five arms that do nothing, beside a baseline they share; a claim is false whichever arm it is made of."""
    rng = np.random.default_rng(100 + n)
    tables, arms = 1000, 5
    claims = 0
    for _ in range(tables):
        runs = rng.normal(78, 0.3, (arms + 1, n))
        differences = runs[1:] - runs[0]
        corrected = holm([sign_flip_p(row) for row in differences])
        claims += any(itertools.starmap(is_win, zip(corrected, differences.mean(axis=1), strict=True)))
    assert claims <= 0.05 * tables


def test_without_correction_the_same_data_would_give_too_many_claims():
    """Shows that the test above can fail: the uncorrected p claims a gain in more than one table of twenty."""
    rng = np.random.default_rng(108)
    tables, arms, n = 500, 5, 8
    claims = 0
    for _ in range(tables):
        runs = rng.normal(78, 0.3, (arms + 1, n))
        differences = runs[1:] - runs[0]
        claims += any(sign_flip_p(row) < 0.05 and row.mean() > 0 for row in differences)
    assert claims > 0.05 * tables


def test_the_table_claims_no_gain_without_one_and_finds_a_large_one():
    rng = np.random.default_rng(7)
    rows = []
    for arm in ("baseline", "a", "b", "c", "d", "large"):
        for seed in range(10):
            rows.append({"arm": arm, "seed": seed, "top1": rng.normal(78 + (arm == "large"), 0.2)})
    table = ablation_table(pd.DataFrame(rows), "top1", "baseline")
    assert list(table.index[table["win"]]) == ["large"]


def test_exact_p_is_uniform_enough_under_no_difference():
    rng = np.random.default_rng(11)
    p = np.array([sign_flip_p(row) for row in rng.normal(0, 1, (DRAWS, 8))])
    for alpha in (0.05, 0.1, 0.25, 0.5):
        attainable = np.floor(alpha * 2**7) / 2**7
        assert (p <= alpha).mean() == pytest.approx(attainable, abs=0.025)
