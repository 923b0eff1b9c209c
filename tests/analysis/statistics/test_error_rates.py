"""Do the statistics keep their promises? Simulated studies have a known truth.

``tests/benchmarks/bench_error_rates.py`` asks the same of many more studies.
"""

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.significance import family_p, holm, mean_interval, sign_flip_p
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


def null_study(rng, tables, arms, seeds):
    """Return paired differences (M, S) of arms that do nothing, with one baseline for the arms of a table."""
    runs = rng.exponential(0.3, (tables, arms + 1, seeds))
    return (runs[:, 1:] - runs[:, :1]).reshape(-1, seeds)


@pytest.mark.parametrize(("tables", "arms", "seeds"), [(1, 4, 6), (12, 1, 8), (2, 4, 8)])
def test_at_most_one_study_of_twenty_claims_anything_without_cause(tables, arms, seeds):
    rng = np.random.default_rng(tables + arms + seeds)
    studies = 400
    claims = sum(family_p(null_study(rng, tables, arms, seeds)).min() < 0.05 for _ in range(studies))
    assert claims <= 0.05 * studies + 2 * (0.05 * 0.95 * studies) ** 0.5


def test_holm_of_every_table_by_itself_would_claim_in_one_study_of_five():
    """This shows that the test above can fail."""
    rng = np.random.default_rng(108)
    studies, claims = 200, 0
    for _ in range(studies):
        by_table = null_study(rng, 12, 1, 8).reshape(12, 1, 8)
        claims += any(holm([sign_flip_p(row) for row in table]).min() < 0.05 for table in by_table)
    assert claims > 0.2 * studies


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
