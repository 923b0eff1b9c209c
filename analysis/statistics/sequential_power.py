"""The power of a plan whose seeds are added until every comparison is decided.

Letters: N simulated studies, T tables, A arms besides the baseline, M = T A comparisons, S seeds, L first seeds.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.power import POWER, fewest, smallest_effect
from analysis.statistics.sequential import DECISIVE, FIRST_LOOK, fewest_to_claim, growth, wealth, weights_of_tables

STUDIES = (50, 400)  # the least and the greatest number of studies that are simulated
SEEDS = 20_000  # of the real comparison, in all studies together; where they would be more, the studies are fewer
OF_NULL = FIRST_LOOK + 1  # the seeds after which an arm without an effect is usually given up


@cache
def detectable_until_decided(tables: int, arms: int, budget: int) -> float:
    """Return the gain that at most so many seeds find with 80 % power, in standard deviations of a paired difference.

    The family has so many tables, of so many arms besides the baseline. One arm is real and gets seeds until it is
    decided or given up; all others are null and have five seeds. The noise is normal, with a shared baseline in each
    table. The answer is from a simulation with a fixed seed and good to about 7 %, with more than 50 seeds to 15 %.
    """
    studies = _simulated(tables, arms, budget)
    return smallest_effect(lambda effect: _power(effect, studies) >= POWER)


@cache
def budget_to_find_one_sd(tables: int, arms: int) -> int:
    """Return the smallest budget that finds an effect of 1 sd, simulated as :func:`detectable_until_decided`."""
    return fewest(fewest_to_claim(), lambda budget: _power(1.0, _simulated(tables, arms, budget)) >= POWER)


class _Studies(NamedTuple):
    """The differences of N studies in which no arm does anything; the effect is added to the first comparison."""

    first: NDArray[np.float64]  # (N, T, A, L)
    later: NDArray[np.float64]  # (N, S - L) of the first comparison


def _simulated(tables: int, arms: int, budget: int) -> _Studies:
    rng, studies = np.random.default_rng(0), int(np.clip(SEEDS // budget, *STUDIES))
    runs = rng.normal(0, 0.5**0.5, (studies, tables, arms + 1, OF_NULL))
    return _Studies(runs[:, :, 1:] - runs[:, :, :1], rng.normal(0, 1, (studies, budget - OF_NULL)))


def _power(effect: float, studies: _Studies) -> float:
    """Return the share of simulated studies in which the real comparison is a win.

    It is decided and given up as in :func:`analysis.statistics.verdicts.sequential_verdicts`.
    """
    first = studies.first.copy()
    first[:, 0, 0] += effect
    real = np.concatenate((first[:, 0, 0], studies.later + effect), axis=1)  # (N, S)
    number = np.arange(1, real.shape[1] + 1)  # of seeds after each
    asked = np.log(_asked_for(first))[:, np.minimum(number, OF_NULL) - 1]
    reached = np.log(wealth(real))
    means = real.cumsum(axis=1) / number
    hopes = growth(np.abs(means) / _spread(first, real) + number**-0.5)
    going_on = reached + (number[-1] - number) * hopes >= asked
    going_on[:, : FIRST_LOOK - 1] = True
    won = (reached >= asked) & (number >= FIRST_LOOK)
    until = np.logical_and.accumulate(going_on | won, axis=1)
    return float(((won & until).any(axis=1) & (means[:, -1] > 0)).mean())


def _asked_for(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the wealth (N, L) that the first comparison of each study needs after every seed."""
    studies, _, _, seeds = first.shape
    share = weights_of_tables(first[..., :FIRST_LOOK]).reshape(studies, -1, 1)  # (N, M, 1)
    e = wealth(first.reshape(-1, seeds)).reshape(studies, -1, seeds)[:, 1:]
    order = np.argsort(e, axis=1)
    shares = np.take_along_axis(np.broadcast_to(share[:, 1:], e.shape), order, axis=1)
    smaller = np.take_along_axis(e, order, axis=1) * shares
    needed = DECISIVE * (share[:, :1] + shares.cumsum(axis=1)) - smaller.cumsum(axis=1)  # with the k smallest others
    return np.maximum(DECISIVE, (needed / share[:, :1]).max(axis=1, initial=0.0))


def _spread(first: NDArray[np.float64], real: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation (N, S) of the real comparison, or of its table if that is smaller."""

    def squares(d: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.cumsum(d**2, axis=-1) - np.cumsum(d, axis=-1) ** 2 / np.arange(1, d.shape[-1] + 1)

    number = np.arange(1, real.shape[1] + 1)
    known = np.minimum(number, OF_NULL)
    mine, others = squares(real), squares(first[:, 0, 1:])[..., known - 1].sum(axis=1)
    degrees = number - 1 + (first.shape[2] - 1) * (known - 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # one seed has no spread
        return np.sqrt(np.fmin(mine / (number - 1), (mine + others) / degrees))
