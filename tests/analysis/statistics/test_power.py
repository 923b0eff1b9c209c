"""How many seeds a gain takes, by the textbook and by an independent computation."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import power
from analysis.statistics.power import seeds_needed
from analysis.statistics.significance import EXACT_UP_TO, FEWEST_PAIRS

UNIT = np.array([-1.0, 1.0, -1.0, 1.0]) * 0.75**0.5  # of mean 0 and standard deviation 1


@pytest.mark.parametrize(("effect", "textbook"), [(0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_needed_agrees_with_the_textbook(effect, textbook):
    # Cohen (1988): pairs for 80 % power of the two-sided paired t test at 0.05.
    assert seeds_needed(UNIT + effect) == textbook


@pytest.mark.parametrize(("effect", "comparisons"), [(1.0, 12), (1.5, 4), (2.0, 40), (4.0, 200)])
def test_few_seeds_agree_with_the_power_of_scipy_s_noncentral_t(effect, comparisons):
    def power(seeds):
        critical = stats.t.ppf(1 - 0.05 / comparisons / 2, seeds - 1)
        return stats.nct.sf(critical, seeds - 1, effect * seeds**0.5)

    found = seeds_needed(UNIT - effect, comparisons)
    assert found == next(seeds for seeds in range(6, 100) if power(seeds) >= 0.8) > 6


def test_seeds_needed_edges():
    assert seeds_needed([1.0, 1.0, 1.0], comparisons=4) == FEWEST_PAIRS  # no spread: what the test needs at all
    for nothing in ([-1.0, 1.0], [0.0, 0.0, 0.0], [1000.0, -999.9]):
        assert seeds_needed(nothing) is None
    large = seeds_needed(UNIT + 0.0125)
    assert large == pytest.approx((1.95996 + 0.84162) ** 2 / 0.0125**2, rel=1e-3)  # by the normal law: 50,233
    assert seeds_needed([0.1, 0.9, 0.2]) > seeds_needed([0.4, 1.2, 0.5])
    assert seeds_needed([0.5, 1.5], comparisons=9) >= seeds_needed([0.5, 1.5], comparisons=1)
    with pytest.raises(ValueError, match="at least 2 differences, got 1"):
        seeds_needed([1.0])


def test_simulated_patterns_are_drawn_from_all_that_there_are():
    signs = power._simulated(1, 1, EXACT_UP_TO).signs
    assert (signs[0] == 1).all()
    assert len(np.unique(signs, axis=0)) == len(signs) == power.PATTERNS
    assert np.abs(signs[:, 1:].mean(axis=0)).max() < 0.1  # 3 standard errors
