"""No test depends on the unit of its numbers, not even where their squares do not fit into a float."""

import numpy as np
import pytest

from analysis.statistics.power import seeds_needed
from analysis.statistics.sequential import family_wealth, prospects, shares, wealth
from analysis.statistics.significance import family_p, mean_and_sd, mean_interval, scaled, sign_flip_p
from analysis.statistics.verdicts import sequential_verdicts

UNITS = (2.0**-900, 2.0**-40, 2.0**40, 2.0**900)  # powers of two, so that every bit must stay
RNG = np.random.default_rng(0)
D = RNG.normal(0.8, 1.0, (4, 8))
D[1, 6:] = np.nan


def test_the_largest_is_between_a_half_and_one_and_the_rest_stays_in_proportion():
    found, exponents = scaled([[3.0, -12.0, np.nan], [0.0, 0.0, 0.0], [1e-320, np.inf, 2e-320]])
    assert exponents.tolist() == [[4], [0], [-1062]]
    assert found[0, :2].tolist() == [3 / 16, -12 / 16]
    assert (found[1] == 0).all()
    assert np.isinf(found[2, 1])
    assert found[2, 2] == pytest.approx(2 * found[2, 0], rel=1e-3)  # of which few bits are left
    assert scaled(np.empty((0, 3)))[0].shape == (0, 3)


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_changes_no_bit_of_a_p_or_of_a_decision(unit):
    assert family_p(D * unit).tolist() == family_p(D).tolist()
    assert family_p(D * unit, one_sided=True).tolist() == family_p(D, one_sided=True).tolist()
    assert sign_flip_p(D[0] * unit) == sign_flip_p(D[0])
    assert seeds_needed(D[0] * unit) == seeds_needed(D[0])
    assert wealth(D * unit).tolist() == wealth(D).tolist()
    assert shares(D * unit).tolist() == shares(D).tolist()
    assert prospects(D * unit, 12).tolist() == prospects(D, 12).tolist()
    assert sequential_verdicts(D * unit, 10)[0] == sequential_verdicts(D, 10)[0]
    assert mean_interval(D[0] * unit) == tuple(unit * end for end in mean_interval(D[0]))
    assert mean_and_sd(D[0] * unit) == (unit * D[0].mean(), unit * D[0].std(ddof=1))


def test_one_huge_value_makes_no_win_and_hides_none():
    """A loss that has all but diverged: the p of its comparison was 0, and a table called it a win."""
    diverging = np.array([1.0, 1.1, 0.9, 1e200, 1.2, 1.0])
    real = np.array([1.0, 1.1, 0.9, 1.3, 1.2, 1.0])
    assert sign_flip_p(diverging) == family_p([diverging])[0]
    assert family_p([diverging])[0] > 0.05
    assert family_p([real, diverging])[0] == family_p([real])[0] == 2 / 2**6
    assert np.isfinite(mean_interval(diverging)).all()
    later = np.column_stack((np.tile(real, (2, 3)), [[1e200], [1.0]]))
    before, after = family_wealth(later)[:, -2:].T
    assert after[0] == pytest.approx(before[0])  # nothing is bet on what cannot be measured
    assert after[1] > before[1]
