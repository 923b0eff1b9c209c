"""The evidence that may be looked at after every seed agrees with plain loops, and keeps its promises."""

import itertools
import math
import warnings

import numpy as np
import pytest

from analysis.statistics.sequential import DECISIVE, FIRST_LOOK, e_value, family_e, growth, prospects, shares, wealth

EFFECTS = (0.8, 2.0)  # standard deviations, for which the bettor is prepared
LAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t with 3 degrees": lambda rng, shape: rng.standard_t(3, shape),
    "exponential": lambda rng, shape: rng.standard_exponential(shape),
}


def plain_loop(differences, delta=0.0, directions=(1, -1)):
    """Compute the definition, bet by bet."""
    total = 0.0
    for mu, direction in itertools.product(EFFECTS, directions):
        money, sizes = 1.0, []
        for d in differences:
            if math.isnan(d):
                continue
            sizes.append(abs(d - delta))
            rms = math.sqrt(sum(size**2 for size in sizes) / len(sizes))
            sigma = rms / math.sqrt(1 + mu**2)
            stake = math.tanh(mu * sizes[-1] / sigma) if sigma else 0.0
            money *= 1 + stake * direction * (1 if d > delta else -1 if d < delta else 0)
        total += money
    return total / (len(EFFECTS) * len(directions))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_a_plain_loop(seed):
    d = np.random.default_rng(seed).normal(0.5, 1, 9)
    d[seed] = (math.nan, 0.0, 3.0)[seed % 3]
    assert e_value(d) == e_value(-d) == pytest.approx(plain_loop(d))
    assert e_value(d, delta=0.4, side="above") == pytest.approx(plain_loop(d, 0.4, (1,)))
    assert e_value(d, delta=0.4, side="below") == pytest.approx(plain_loop(d, 0.4, (-1,)))


def test_the_e_values_of_one_seed_and_of_two_by_hand():
    # One seed: its size is the root mean square, so the stakes are tanh(mu sqrt(1 + mu^2)), and up and down cancel.
    assert e_value([0.7]) == pytest.approx(1)
    stakes = [math.tanh(mu * math.sqrt(1 + mu**2)) for mu in EFFECTS]
    assert e_value([0.7], side="above") == pytest.approx(1 + sum(stakes) / len(EFFECTS))
    assert e_value([-0.7], side="above") == pytest.approx(1 - sum(stakes) / len(EFFECTS))
    # Two equal differences: both directions are bet on again with the same stakes.
    assert e_value([0.7, 0.7]) == pytest.approx(sum(1 + stake**2 for stake in stakes) / len(EFFECTS))
    assert e_value([]) == 1.0
    assert e_value([0.0, math.nan]) == 1.0


def test_wealth_is_by_seed_and_stays_where_one_is_missing():
    d = np.array([[1.0, 2.0, math.nan, 0.5], [math.nan, 1.0, 2.0, 0.5]])
    found = wealth(d)
    assert found[0, 2] == found[0, 1]
    assert found[1, 0] == 1.0
    assert found[0, 3] == found[1, 3] == pytest.approx(e_value([1.0, 2.0, 0.5]))


def test_mean_wealth_is_one_whatever_the_sizes_are():
    """Over all patterns of signs the mean wealth after every seed is exactly 1, which makes it a fair game."""
    sizes = np.array([0.3, 2.0, 0.1, 1.0, 5.0, 0.7])
    signs = np.array(list(itertools.product((1, -1), repeat=6)))
    for side in ("both", "above", "below"):
        assert wealth(signs * sizes, side=side).mean(axis=0) == pytest.approx(np.ones(6))


def closed_testing(e, weights):
    """Return the smallest weighted mean over all sets that hold the comparison."""
    indices = range(len(e))
    sets = [s for size in range(1, len(e) + 1) for s in itertools.combinations(indices, size)]
    means = {s: sum(e[i] * weights[i] for i in s) / sum(weights[i] for i in s) for s in sets}
    return [min(mean for s, mean in means.items() if m in s) for m in indices]


@pytest.mark.parametrize("seed", range(5))
def test_closed_testing_agrees_with_every_set(seed):
    rng = np.random.default_rng(seed)
    e, weights = rng.lognormal(1, 2, seed + 2), rng.lognormal(0, 2, seed + 2)
    assert family_e(e) == pytest.approx(closed_testing(e, np.ones(len(e))))
    assert family_e(e, weights) == pytest.approx(closed_testing(e, weights))


def test_what_stands_out_gets_a_larger_share_whatever_its_sign():
    # With the reference, most are 0 in every seed, and so is the median; the mean squares are 1, 4, 0, 0 and 0, twice.
    nan = math.nan
    d = np.array([[1.0, -1, 1, 1, 9], [2, nan, -2, 2, 0], [nan, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert shares(d) == pytest.approx([0.4**3, 1.6**3, 1, 1, 1])  # in terms of 2.5, the median of 1 and 4
    assert shares(d) == pytest.approx(shares(d * [1e-3, -1e-3, 1e-3, -1e-3, 1]))
    assert shares(d + 5, delta=5) == pytest.approx(shares(d))
    assert shares(np.zeros((2, 4))) == pytest.approx([1, 1])


def test_the_distance_from_the_median_counts_as_much_as_the_difference():
    # The median of 0, 1, 2 and 6 is 1.5: the sums of squares are 1 + 0.25, 4 + 0.25 and 36 + 20.25.
    d = np.array([[1.0], [-2], [6]]) * [[1, -1, 1, -1]] * [[1], [-1], [1]]
    assert shares(d) == pytest.approx([(1.25 / 4.25) ** 3, 1, 8**3])


def test_shares_are_those_of_each_table():
    d = np.random.default_rng(11).normal(size=(7, 4))
    parts = [shares(d[:3]), shares(d[3:6]), [1.0]]  # one comparison alone cannot stand out
    assert shares(d, tables=("a", "a", "a", "b", "b", "b", "c")) == pytest.approx(np.concatenate(parts))


def test_the_shared_out_wealth_is_a_fair_game_under_joint_flips():
    """Over all patterns of signs, each flipping whole seeds, its mean stays 1 from the first look on."""
    d = np.random.default_rng(3).normal(0, 1, (3, 6)) * [[1], [2], [0.5]]
    weights = shares(d)
    means = []
    for signs in itertools.product((1, -1), repeat=6):
        assert shares(d * signs) == pytest.approx(weights)
        means.append(weights @ wealth(d * signs)[:, 3:] / weights.sum())
    assert np.mean(means, axis=0) == pytest.approx(np.ones(3))


def test_closed_testing_by_hand():
    # 100 with 1 and 4: alone 100, with 1 it is 50.5, with both 35. 4: 2.5 with 1. 1: alone.
    assert family_e([100.0, 1.0, 4.0]) == pytest.approx([35, 1, 2.5])
    assert family_e([]).shape == (0,)


@pytest.mark.parametrize("law", LAWS)
def test_no_difference_is_rarely_decided_though_one_looks_after_every_seed(law):
    rng = np.random.default_rng(7)
    d = LAWS[law](rng, (2000, 60)) - LAWS[law](rng, (2000, 60))
    assert (wealth(d) >= DECISIVE).any(axis=1).mean() <= 0.05


@pytest.mark.parametrize(("effect", "median"), [(2.0, 6), (1.0, 12)])
def test_seeds_to_a_decision(effect, median):
    found = wealth(np.random.default_rng(8).normal(effect, 1, (1000, 60))) >= DECISIVE
    assert abs(np.median(found.argmax(axis=1) + 1) - median) <= 1


def test_growth_is_the_logarithm_of_two_for_a_certain_effect_and_nothing_without_one():
    assert growth(0.0) == growth(math.nan) == 0.0
    assert growth(math.inf) == pytest.approx(math.log(2), abs=1e-6)
    rng = np.random.default_rng(10)
    d = rng.normal(1.0, 1, 200_000)
    assert growth(1.0) == pytest.approx(np.log1p(np.tanh(np.abs(d)) * np.sign(d)).mean(), abs=0.01)


def test_what_no_budget_would_decide_has_no_prospects():
    real, null = np.full(6, 1.0) + 0.1 * np.arange(6), np.array([1.0, -1.0, 0.5, -0.5, 0.2, -0.2])
    begun = np.array([1.0, -1.0, 0.5, math.nan, math.nan, math.nan])
    assert prospects(np.vstack((real, null, begun)), 20).tolist() == [True, False, True]
    assert prospects(null[None], 1000).tolist() == [True]  # the budget is large
    later = np.vstack((np.append(real, 1.0), np.append(null, math.nan)))
    assert prospects(later, 20).tolist() == [True, False]  # the second stays given up
    with warnings.catch_warnings(action="error"):  # of a wealth that is infinite, or 0
        many = np.ones((1, 1200))
        assert [prospects(many, 1300, side=side).tolist() for side in ("above", "below")] == [[True], [False]]


def hopeful_by_a_loop(d, budget, tables, turn=0):
    """Compute the definition, comparison by comparison, from the seeds that each has had."""
    rows = [[value for value in row if not math.isnan(value)] for row in d.tolist()]
    found = []
    for row, mine, table in zip(d.tolist(), rows, tables, strict=True):
        last = max(seed for seed, value in enumerate(row) if not math.isnan(value))
        now = np.array([e_value(other[: last + 1], side={1: "above", -1: "below", 0: "both"}[turn]) for other in d])
        others = [rows[m] for m in range(len(d)) if tables[m] == table]
        squares = sum((value - np.mean(other)) ** 2 for other in others for value in other)
        common = math.sqrt(squares / sum(len(other) - 1 for other in others))
        mean = turn * np.mean(mine) if turn else abs(np.mean(mine))
        effect = mean / min(common, np.std(mine, ddof=1)) + 1 / math.sqrt(len(mine))
        now[len(found)] *= math.exp((budget - len(mine)) * growth(effect))
        found.append(bool(family_e(now, shares(d, tables))[len(found)] >= DECISIVE))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_prospects_agree_with_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    d = rng.normal(rng.uniform(-1, 1, (6, 1)), rng.uniform(0.2, 2, (6, 1)), (6, 8))
    d[1, 5:] = d[2, 6:] = d[4, 2:4] = math.nan
    tables = ("a", "b", "a", "a", "b", "b")
    for budget in (9, 14, 16, 20, 54):
        assert prospects(d, budget, tables).tolist() == hopeful_by_a_loop(d, budget, tables)
        above = prospects(d + 0.3, budget, tables, delta=0.3, side="above")
        assert above.tolist() == hopeful_by_a_loop(d, budget, tables, 1)
        assert prospects(d, budget, tables, side="below").tolist() == hopeful_by_a_loop(d, budget, tables, -1)


def test_equal_differences_are_certain_or_nothing():
    # Each seed doubles the wealth of 1, which is asked to reach 20; half is bet on either direction.
    d = np.array([[0.5] * 4, [-0.5] * 4, [0.0] * 4])
    assert [prospects(row[None], 5).tolist() for row in d] == [[False]] * 3
    assert [prospects(row[None], 6).tolist() for row in d] == [[True], [True], [False]]
    assert prospects(d[2:], 100_000).tolist() == [False]


def test_without_any_run_there_are_prospects_until_the_first_look():
    def found(*first):
        return prospects(np.array([[*first, *[math.nan] * (FIRST_LOOK - len(first))]]), 20).tolist()

    assert found() == [False]  # all of its runs have failed
    assert found(0.0) == [True]
    assert prospects(np.full((1, FIRST_LOOK - 1), math.nan), 20).tolist() == [True]


def test_a_quiet_table_gives_hope_to_a_noisy_comparison():
    noisy = np.array([[2.0, -1.5, 2.5, -1.0]])
    assert prospects(noisy, 23).tolist() == [False]
    table = np.vstack((noisy, noisy / 9, -noisy / 9, noisy / 8))
    assert prospects(table, 23)[0]
    failed = np.full((3, 4), math.nan)  # tells nothing of the noise
    assert prospects(np.vstack((table, failed)), 20)[:4].tolist() == prospects(table, 20).tolist()
