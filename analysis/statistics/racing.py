"""The rule of a race: a configuration of a search gets more seeds only while it may still be the best of its arm.

Letters: K seeds of the search, in their order; every configuration begins with the first.

Races of configurations are due to Maron and Moore (1994); the race of Birattari, Stützle, Paquete and Varrentrapp, "A
racing algorithm for configuring metaheuristics" (GECCO 2002), tests ranks by Friedman's test, which allows for one
look. The test here is the wealth of :mod:`analysis.statistics.sequential`, which may be looked at after every seed.
"""

import statistics
from collections.abc import Mapping, Sequence

from analysis.statistics.sequential import DECISIVE, e_value
from mixlab.messages import counted


def race(values: Mapping[int, Sequence[float]], number: int, seeds: int, higher_is_better: bool) -> str:
    """Return why a configuration gets no more seeds, as a clause; empty while it may still be the best.

    It is *out of reach* when its mean over all K seeds would stay below that of a configuration that has them, even if
    every seed left were as good as the best that any seed of the arm has given. That does not end a race early but
    saves what cannot matter any more: without a new record, the winner is the one that all seeds of all configurations
    would have chosen.

    It is *decided against* when the wealth of a bettor against it reaches 20. He bets on every seed but the first that
    it is worse than the one that was best by the seeds before. No choice of an opponent that does not look at the seed
    itself makes the sign of a difference unfair to the best configuration: as long as what is proposed does not depend
    on the results, it is decided against with a probability of at most 1 in 20, however many others there are.

    Args:
        values: the results with the first seeds, by the number of the configuration, for all configurations of the arm.
        number: the number of the configuration that asks, which has had a seed or more.
        seeds: K.
        higher_is_better: the direction of the results.
    """
    sign = 1 if higher_is_better else -1
    good = {each: [sign * value for value in results] for each, results in values.items()}
    mine, left = good[number], seeds - len(good[number])
    whole = {each: statistics.fmean(results) for each, results in good.items() if len(results) == seeds}
    if left == 0 or not whole:
        return ""
    leader = max(whole, key=lambda each: whole[each])
    record = max(max(results) for results in good.values() if results)
    if (sum(mine) + left * record) / seeds < whole[leader]:
        further = f"{counted(left, 'more seed')} as good as the best so far, {sign * record:.4g},"
        return f"out of reach: even {further} would leave its mean behind {sign * whole[leader]:.4g} of trial {leader}"
    e = e_value([result - best for result, best in zip(mine, opponents(good, number), strict=True)], side="below")
    return f"decided against: e {e:.3g} after {counted(len(mine), 'seed')}" if e >= DECISIVE else ""


def opponents(good: Mapping[int, Sequence[float]], number: int) -> list[float]:
    """Return for each seed of a configuration the result of the one that was best by the seeds before.

    Only those count that began before it and have had the seed; NaN where there is none, and for the first seed. The
    arguments are those of :func:`race`, with higher results better.
    """
    found = [float("nan")]
    for seed in range(1, len(good[number])):
        others = [results for each, results in good.items() if each < number and len(results) > seed]
        best = max(others, key=lambda results: sum(results[:seed]), default=None)
        found.append(best[seed] if best is not None else float("nan"))
    return found
