"""How often seeds that stop when a question is decided decide wrongly, and how many seeds they take.

    python tests/benchmarks/bench_sequential.py [--studies 2000] [--races 200]

Prints the tables of docs/statistics.md about ``--until decided``: one comparison that is looked at after every seed up
to 60, by the law of its noise and its effect; and twelve arms of which three are real, against fixed plans.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from analysis.statistics.power import seeds_for
from analysis.statistics.sequential import DECISIVE, wealth
from analysis.statistics.significance import ALPHA, family_p
from analysis.statistics.verdicts import WIN, WORSE, sequential_verdicts

LOOKS = 60  # seeds
EFFECTS = (2.0, 1.5, 1.0, 0.7)  # in standard deviations of a paired difference
ARMS, REAL, EFFECT = 12, 3, 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--races", type=int, default=200)
    options = parser.parse_args()
    print_one_comparison(options.studies)
    print_race(options.races)


def print_one_comparison(count: int) -> None:
    rng, rows = np.random.default_rng(1), []
    laws = {
        "normal": rng.standard_normal,
        "t (3 degrees)": lambda shape: rng.standard_t(3, shape) / 3**0.5,
        "exponential": rng.standard_exponential,
    }
    for name, law in laws.items():
        noise = (law((count, LOOKS)) - law((count, LOOKS))) / 2**0.5
        wrong = (wealth(noise) >= DECISIVE).any(axis=1).mean()
        medians = []
        for effect in EFFECTS:
            reached = wealth(noise + effect) >= DECISIVE
            first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, LOOKS + 1)
            medians.append(f"{np.median(first):.0f}")
        rows.append([name, f"{100 * wrong:.1f} %", *medians])
    rows.append(["fixed plan (t test, 80 % power)", "5 %", *(seeds_for(effect) for effect in EFFECTS)])
    print(f"One comparison, looked at after every seed up to {LOOKS}, {count} studies a line: median seeds\n")
    print(tabulate(rows, ["noise", "false decisions", *(f"{effect} sd" for effect in EFFECTS)], "pipe"))
    print()


def print_race(count: int) -> None:
    rows = []
    for seeds in (8, 9, 10, 11, 12, 13, 14):
        rng = np.random.default_rng(seeds)
        found = np.array([family_p(arms(rng, seeds)) < ALPHA for _ in range(count)])
        rows.append([f"fixed, {seeds} seeds", seeds * (ARMS + 1), *shares(found)])
    for budget in (20, 30):
        rng = np.random.default_rng(budget)
        races = [race(arms(rng, budget), budget) for _ in range(count)]
        found = np.array([won for won, _ in races])
        rows.append([f"until decided, at most {budget}", f"{np.mean([runs for _, runs in races]):.0f}", *shares(found)])
    print(f"{ARMS} arms, {REAL} of them real by {EFFECT} sd of a paired difference, {count} studies a line\n")
    print(tabulate(rows, ["plan", "runs", "a real arm is found", "all are found", "a null arm is claimed"], "pipe"))


def arms(rng: np.random.Generator, seeds: int) -> NDArray[np.float64]:
    """Return the paired differences (M, S) of arms that share a baseline, the first of them real."""
    runs = rng.normal(0, 0.5**0.5, (ARMS + 1, seeds))
    d = runs[1:] - runs[0]
    d[:REAL] += EFFECT
    return d


def race(d: NDArray[np.float64], budget: int) -> tuple[list[bool], int]:
    """Return what is claimed and how many runs it took, those of the baseline included."""
    verdicts, seen = sequential_verdicts(d, budget)
    looked = np.isfinite(seen)
    return [verdict in (WIN, WORSE) for verdict in verdicts], int(looked.sum() + looked.any(axis=0).sum())


def shares(found: NDArray[np.bool_]) -> list[str]:
    real, null = found[:, :REAL], found[:, REAL:]
    return [f"{100 * share:.0f} %" for share in (real.mean(), real.all(axis=1).mean(), null.any(axis=1).mean())]


if __name__ == "__main__":
    main()
