"""The simulated power of seeds until decided, by the rule itself."""

import math

import numpy as np
import pytest

from analysis.statistics import sequential_power
from analysis.statistics.sequential import DECISIVE, family_e, fewest_to_claim, shares, wealth
from analysis.statistics.sequential_power import OF_NULL, budget_to_find_one_sd, detectable_until_decided
from analysis.statistics.verdicts import WIN, sequential_verdicts


def test_a_single_comparison_is_decided_and_given_up_by_the_rule_itself():
    studies = sequential_power._simulated(tables=1, arms=1, budget=15)
    some = sequential_power._Studies(studies.first[:30], studies.later[:30])
    rows = np.concatenate((some.first[:, 0, 0], some.later), axis=1)
    verdicts = [sequential_verdicts(row[np.newaxis] + 0.9, 15)[0] for row in rows]
    assert sequential_power._power(0.9, some) == sum(verdict == [WIN] for verdict in verdicts) / 30
    assert {verdict for (verdict,) in verdicts} >= {WIN, "given up"}


def test_the_wealth_that_is_asked_for_just_decides():
    first = sequential_power._simulated(tables=2, arms=3, budget=8).first[:20] + 0.3
    asked = sequential_power._asked_for(first)
    for study, needed in zip(first.reshape(20, 6, OF_NULL), asked, strict=True):
        weights = shares(study, tables=[0, 0, 0, 1, 1, 1])
        e = wealth(study)
        for seed in range(OF_NULL):
            assert family_e([needed[seed], *e[1:, seed]], weights)[0] == pytest.approx(DECISIVE)


@pytest.mark.slow
def test_the_gain_is_found_with_80_percent_power():
    effect, rng, found = detectable_until_decided(2, 3, 10), np.random.default_rng(1), 0
    for _ in range(100):
        runs = rng.normal(0, 0.5**0.5, (2, 4, 10))
        d = (runs[:, 1:] - runs[:, :1]).reshape(6, 10)
        d[0] += effect
        found += sequential_verdicts(d, 10, tables=[0, 0, 0, 1, 1, 1])[0][0] == WIN
    assert found / 100 == pytest.approx(0.8, abs=0.12)  # three standard errors


def test_more_seeds_find_less_and_the_budget_for_one_sd_finds_it():
    certain = detectable_until_decided(1, 2, fewest_to_claim())
    assert math.inf > certain > detectable_until_decided(1, 2, 20) > 0.5
    assert detectable_until_decided(4, 2, 20) > detectable_until_decided(1, 2, 20)
    budget = budget_to_find_one_sd(1, 2)
    assert detectable_until_decided(1, 2, budget) <= 1.01
    assert budget > 20
