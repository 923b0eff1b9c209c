"""One error rate holds for a whole study: step-down max-T against a plain loop, by hand, and at its limits.

``tests/benchmarks/bench_error_rates.py`` counts the errors of many more simulated studies than the last test.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.significance import EXACT_UP_TO, family_p, sign_flip_p, sign_patterns


def t_of(differences):
    known = [d for d in differences if not math.isnan(d)]
    n, mean = len(known), sum(known) / len(known)
    spread = math.sqrt(sum((d - mean) ** 2 for d in known) / (n - 1)) if n > 1 else 0.0
    if spread < 1e-9 * abs(mean) or n == 1:
        return math.copysign(math.inf, mean) if mean else 0.0
    return mean / (spread / math.sqrt(n)) if spread else 0.0


def plain_loop(differences, one_sided=False):
    """Compute the definition, pattern by pattern and comparison by comparison."""
    comparisons, seeds = len(differences), len(differences[0])

    def statistics(pattern):
        ts = [t_of([sign * d for sign, d in zip(pattern, row, strict=True)]) for row in differences]
        return ts if one_sided else [abs(t) for t in ts]

    observed = statistics([1] * seeds)
    order = sorted(range(comparisons), key=lambda m: -observed[m])
    reached = [0] * comparisons
    for pattern in itertools.product((1, -1), repeat=seeds):
        flipped = statistics(pattern)
        for k, m in enumerate(order):
            largest = max(flipped[other] for other in order[k:])
            slack = 1e-9 * abs(observed[m]) if math.isfinite(observed[m]) else 0.0
            reached[m] += largest >= observed[m] - slack
    p, so_far = [0.0] * comparisons, 0.0
    for m in order:
        so_far = max(so_far, reached[m] / 2**seeds)
        p[m] = so_far
    return p


def random_study(seed):
    """Return up to four comparisons with one baseline: some real, one of equal differences, one with missing seeds."""
    rng = np.random.default_rng(seed)
    arms, seeds = int(rng.integers(1, 5)), int(rng.integers(6, 9))
    runs = rng.normal(0, 1, (arms + 1, seeds)) + rng.integers(0, 3, (arms + 1, 1))
    d = runs[1:] - runs[0]
    if seed % 3 == 0:
        d[-1] = 0.5
    if seed % 2:
        d[0, : seeds - 6] = math.nan
    return d


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_a_plain_loop(seed, one_sided):
    d = random_study(seed)
    assert family_p(d, one_sided=one_sided) == pytest.approx(plain_loop(d.tolist(), one_sided))


def test_the_patterns_of_signs_that_reach_a_statistic_by_hand():
    # The first is infinite in the data and in its opposite; the second is infinite where the last sign is flipped, and
    # in the opposite of that: 4 of 64 patterns reach infinity. The second has a sum of 4: it is reached by 2 patterns
    # of the sum 6 and 12 of the sum 4.
    assert family_p([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, -1]]) == pytest.approx([4 / 64, 14 / 64])


def test_a_certain_gain_is_reached_by_the_data_alone_or_by_its_opposite_too():
    assert family_p([[0.7]]).tolist() == [1]
    for seeds in (6, 14):
        gains = np.full((13, seeds), 2.0)  # more comparisons than there are seeds
        assert family_p(gains).tolist() == [2 / 2**seeds] * 13
        assert family_p(gains, one_sided=True).tolist() == [1 / 2**seeds] * 13
    for seeds in (15, 30):  # drawn
        assert len(sign_patterns(seeds)) == 10_000
    for one_sided in (False, True):
        assert family_p(np.full((2, 30), 2.0), one_sided=one_sided).tolist() == [1 / 10_000] * 2


def test_patterns_are_gone_through_in_parts(monkeypatch):
    d = random_study(7)
    whole = family_p(d)
    monkeypatch.setattr("analysis.statistics.significance.CHUNK", 3 * len(d))  # three patterns at once
    assert family_p(d).tolist() == whole.tolist()


@pytest.mark.parametrize("comparisons", [1, 10, 1000])
def test_six_seeds_can_decide_any_study_and_five_none(comparisons):
    gains = np.tile(1 + 1e-3 * np.arange(6), (comparisons, 1))
    assert family_p(gains) == pytest.approx(np.full(comparisons, 2 / 2**6))
    assert family_p(gains[:, :5]).min() >= 2 / 2**5 > 0.05


def test_comparisons_of_few_pairs_never_decide_and_do_not_hinder_the_others():
    d = np.full((5, EXACT_UP_TO + 1), math.nan)  # of so many seeds patterns would be drawn
    d[2:, :8] = np.random.default_rng(5).normal(2, 1, (3, 8))
    d[0, :2], d[1, 10:] = (1.0, 1.1), 1.0
    together = family_p(d)
    assert (together[:2] > 0.05).all()
    assert together[2:].tolist() == family_p(d[2:, :8]).tolist()
    assert family_p([[1.0, 2.0]], one_sided=True).tolist() == [1 / 4]


def test_what_cannot_be_compared_has_no_p():
    d = np.vstack((np.full(6, math.nan), np.arange(1.0, 7.0)))
    assert np.isnan(family_p(d)[0])
    assert family_p(d)[1] == 2 / 2**6
    assert family_p(np.zeros((2, 6))) == pytest.approx([1, 1])
    assert family_p(np.empty((0, 6))).shape == (0,)
    assert np.isnan(family_p(np.empty((2, 0)))).all()
    with pytest.raises(ValueError, match=r"must be \(comparisons, seeds\), got the shape \(6,\)"):
        family_p(np.ones(6))


def test_many_seeds_are_drawn_alike_every_time_and_close_to_the_exact_p():
    d = np.random.default_rng(6).normal([[0.0], [0.4], [0.8]], 1, (3, 15))
    assert family_p(d).tolist() == [0.4453, 0.1702, 0.0008]
    exact = stats.permutation_test((d[1],), np.mean, permutation_type="samples", n_resamples=2**15).pvalue
    assert family_p(d[1:2])[0] == pytest.approx(exact, abs=0.015)  # 3 standard errors of 10,000 draws


@pytest.mark.parametrize("seeds", [6, 13, 14, 15, 21])
def test_a_correction_never_lowers_a_p(seeds):
    for d in np.random.default_rng(seeds).normal(0.3, 1, (20, 3, seeds)):
        alone = [sign_flip_p(row) for row in d]
        assert (family_p(d) >= alone).all()
        assert [family_p(row[None])[0] for row in d] == alone


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
