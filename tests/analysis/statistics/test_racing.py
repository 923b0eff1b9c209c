"""The rule of a race by hand, and what it promises, on simulated searches."""

import math

import numpy as np
import pytest

from analysis.statistics.racing import opponents, race
from analysis.statistics.sequential import DECISIVE, wealth
from tests.benchmarks.bench_racing import noise, run

NAN = math.nan


def test_nobody_is_out_while_none_has_all_seeds_or_one_has_them_itself():
    assert race({0: [50.0], 1: [90.0, 90.0]}, 0, 3, True) == ""
    assert race({0: [90.0] * 3, 1: [50.0] * 3}, 1, 3, True) == ""


def test_out_of_reach_by_hand():
    # With three seeds the leader has a mean of 80, and no seed has given more than 82.
    leader = [78.0, 80.0, 82.0]
    assert race({0: leader, 1: [76.0]}, 1, 3, True) == ""  # (76 + 2 * 82) / 3 is just 80
    assert race({0: leader, 1: [75.9]}, 1, 3, True) == (
        "out of reach: even 2 more seeds as good as the best so far, 82, would leave its mean behind 80 of trial 0"
    )
    assert race({0: leader, 1: [77.0, 80.9]}, 1, 3, True).startswith("out of reach: even 1 more seed as good")
    # A better seed of any other trial makes room for hope; so does one of its own.
    assert race({0: leader, 1: [75.9], 2: [84.0]}, 1, 3, True) == ""
    assert race({0: leader, 1: [70.0, 85.1]}, 1, 3, True) == ""
    # Neither a worse one that has all seeds, nor one that has none yet, changes anything.
    assert race({0: leader, 1: [75.9], 2: [70.0] * 3, 3: []}, 1, 3, True) == race({0: leader, 1: [75.9]}, 1, 3, True)


@pytest.mark.parametrize("results", [[76.0], [75.9], [77.0, 80.9]])
def test_a_loss_is_the_same_upside_down(results):
    up = race({0: [78.0, 80.0, 82.0], 1: results}, 1, 3, True)
    down = race({0: [-78.0, -80.0, -82.0], 1: [-value for value in results]}, 1, 3, False)
    assert down == up.replace("so far, 82", "so far, -82").replace("behind 80", "behind -80")


def test_the_opponent_is_the_best_by_the_seeds_before_among_those_that_began_earlier():
    good = {0: [1.0, 5.0, 0.0, 9.0], 1: [3.0, 4.0], 2: [2.0, 2.0, 2.0, 2.0], 3: [9.0, 9.0, 9.0, 9.0]}
    # Seed 2: 1 led with 3. Seed 3: of 0 and 2, which have it, 0 led with 6 to 4. Seed 4: 0 still, with 6 to 6, first.
    assert opponents(good, 2)[:2] == pytest.approx([NAN, 4.0], nan_ok=True)
    assert opponents(good, 3) == pytest.approx([NAN, 4.0, 0.0, 9.0], nan_ok=True)
    assert opponents(good, 0) == pytest.approx([NAN] * 4, nan_ok=True)


def test_a_configuration_that_always_loses_by_a_little_is_decided_against():
    leader = [80.0] * 19 + [99.0]
    values = {0: leader, 1: [79.99] * 5}
    assert race(values, 1, 20, True) == ""  # four bets make 2^4 at the most
    values[1].append(79.99)
    assert race(values, 1, 20, True) == "decided against: e 24.7 after 6 seeds"
    values[1][3] = 80.5
    assert race(values, 1, 20, True) == ""


def test_the_best_is_rarely_decided_against_though_the_leader_is_the_luckiest_of_many():
    """Eleven configurations are just as good as the last, and its opponents are the leaders among them."""
    rng, against = np.random.default_rng(5), []
    for _ in range(300):
        good = dict(enumerate((rng.standard_normal((12, 20)) + rng.standard_normal(20)).tolist()))
        against.append(np.array(good[11]) - opponents(good, 11))
    wrong = (wealth(against, side="below") >= DECISIVE).any(axis=1)
    assert wrong.mean() <= 0.05


def test_the_winner_is_that_of_all_seeds_at_half_of_the_runs():
    rng, same, runs = np.random.default_rng(6), 0, 0
    for _ in range(12):
        quality = -8 * (rng.uniform(-1, 1, (30, 2)) ** 2).sum(axis=1)
        results = quality[:, None] + noise(rng, 30, 6)
        winner, values, _ = run(results, race)
        same += winner == results.mean(axis=1).argmax()
        runs += sum(map(len, values.values()))
    assert same >= 11
    assert runs <= 0.5 * 12 * 30 * 6
