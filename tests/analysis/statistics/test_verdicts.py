"""The verdicts on comparisons, from the differences alone."""

import math

import numpy as np
import pytest

from analysis.statistics.significance import family_p
from analysis.statistics.verdicts import fixed_verdicts, sequential_verdicts


@pytest.mark.parametrize("odd", [1.1, -1.1])
def test_a_bound_asks_for_one_side_only(odd):
    """One bound is 1 in five seeds and -0.1 in the last: 2 of 64 patterns reach its sum, and 4 would on two sides."""
    differences = np.array([[0.0, 0, 0, 0, 0, odd]])
    assert fixed_verdicts(differences, family_p(differences), delta=1.0) == ["equal within delta"]


def test_the_seeds_that_a_comparison_lacks_are_no_gain():
    gains = np.array([[0.01] * 7 + [math.nan] * 3])
    assert fixed_verdicts(gains, family_p(gains)) == ["win"]
    assert fixed_verdicts(-gains, family_p(gains)) == ["worse"]
    assert fixed_verdicts(gains, np.array([0.05])) == ["not decided"]


@pytest.mark.parametrize(
    ("higher", "sign", "said"),
    [
        (True, 1, "no worse than delta"),
        (True, -1, "no better than delta"),
        (False, 1, "no better than delta"),
        (None, 1, "not decided"),
        (None, -1, "not decided"),
    ],
)
def test_seeds_until_decided_find_nothing_worse_without_a_direction(higher, sign, said):
    differences = sign * np.array([[1.5, -0.5] * 4])  # above -1.2 in every seed, and not below 1.2; or the other way
    ((verdict,), (looks,)) = sequential_verdicts(differences, 60, delta=1.2, higher_is_better=higher)
    assert verdict == said
    assert looks == (5 if said == "no better than delta" else 8)  # the others may still win


def test_each_bound_weighs_the_comparisons_by_their_distance_from_it():
    """The second lies at one bound, where it has no evidence: it must not hold up the first, which is far from both."""
    wobble = 0.01 * (-1.0) ** np.arange(8)
    for sign in (1, -1):
        said, _ = sequential_verdicts(np.array([wobble, sign * (1 + wobble)]), 60, delta=1.0, higher_is_better=None)
        assert said == ["equal within delta", "differs"]


@pytest.mark.parametrize("seed", range(8, 12))
def test_the_unit_of_a_table_changes_no_verdict(seed):
    rng, tables = np.random.default_rng(seed), tuple("abaabb")
    d = rng.normal(rng.uniform(-1, 1, (6, 1)), 1, (6, 12))
    other = d * np.where(np.array(tables) == "b", 9.0, 1.0)[:, None]
    assert sequential_verdicts(other, 16, tables=tables)[0] == sequential_verdicts(d, 16, tables=tables)[0]


def test_what_is_decided_stays_so_and_is_not_looked_at_again():
    nan = math.nan
    win, lost, open_, late = [2.0] * 12, [1.0, -1.0] * 6, [1.0, 2.0, -1.0] * 4, [nan, nan, nan, *[2.0] * 9]
    found, looks = sequential_verdicts(np.array([win, lost, open_, late]), 30)
    assert found == ["win", "given up", "not decided", "win"]
    assert looks.tolist() == [7, 4, 12, 10]
    win[7:], lost[4:] = [-9.0] * 5, [9.0] * 8
    again, after = sequential_verdicts(np.array([win, lost, open_, late]), 30)
    assert again == found
    assert after.tolist() == looks.tolist()
    few = sequential_verdicts(np.full((1, 12), 2.0), 3)  # the budget was lowered since
    assert (few[0], few[1].tolist()) == (["not decided"], [3])
    bound = np.array([[1.5, -0.5] * 4 + [-2.0] * 3])  # whose evidence is small again after the last three
    assert sequential_verdicts(bound, 60, delta=1.2)[0] == ["no worse than delta"]


@pytest.mark.parametrize("higher", [True, None])
def test_what_may_still_lie_within_delta_is_not_given_up(higher):
    """Nothing will ever tell the differences from 0, but from 1 and from -1 they are told in a few more seeds."""
    wobble = 0.1 * (-1.0) ** np.arange(8)

    def said(seeds, delta, d=wobble):
        ((verdict,), _) = sequential_verdicts(d[None, :seeds], 20, delta=delta, higher_is_better=higher)
        return verdict

    assert [said(4, None), said(4, 1.0), said(8, 1.0)] == ["given up", "not decided", "equal within delta"]
    assert said(8, 0.01) == "given up"
    # In 8 seeds, a test of either bound on two sides would not decide it.
    assert sequential_verdicts(10 * wobble[None, :4], 8, delta=1.0, higher_is_better=higher)[0] == ["not decided"]


@pytest.mark.parametrize("sign", [1, -1])
def test_one_bound_that_may_be_decided_is_enough_where_a_direction_makes_it_an_answer(sign):
    """The mean, 0.3, lies on one bound, and a standard error from the other."""
    d = sign * np.array([[1.3, -0.7] * 2])
    for higher, said in ((True, "not decided"), (False, "not decided"), (None, "given up")):
        assert sequential_verdicts(d, 16, delta=0.3, higher_is_better=higher)[0] == [said]
        assert sequential_verdicts(d, 16, higher_is_better=higher)[0] == ["given up"]


@pytest.mark.slow
def test_twelve_arms_of_which_three_are_real_take_half_of_the_runs_of_a_fixed_plan_of_the_same_power():
    """The real ones gain 1.5 sd of a paired difference, which 14 seeds, 182 runs with the baseline's, find in 98 %."""
    rng, runs, found, fixed = np.random.default_rng(1), 0, 0, 0
    for _ in range(60):
        results = rng.normal(0, 0.5**0.5, (13, 30))
        results[1:4] += 1.5
        d = results[1:] - results[0]
        verdicts, looks = sequential_verdicts(d, 30)
        runs += looks.sum() + looks.max()
        found += sum(verdict == "win" for verdict in verdicts[:3])
        fixed += (family_p(d[:3, :14]) < 0.05).sum()
    assert runs <= 60 * 182 / 2
    assert found >= fixed - 0.03 * 180
