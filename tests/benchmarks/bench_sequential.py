"""Counts how often seeds that stop when a question is decided decide wrongly, and how many seeds they take.

    python tests/benchmarks/bench_sequential.py [--studies 1000] [--races 2000]

Prints the tables of docs/statistics.md about ``--until decided``: one comparison that is looked at after every seed up
to 60, by the law of its noise and its effect; studies of several tables and arms of which none is real; and twelve arms
of which three are real, against fixed plans.
"""

import numpy as np
from bench_error_rates import LAWS, STUDIES, percent, study
from numpy.typing import NDArray
from recording import arguments, show

from analysis.statistics.power import seeds_for
from analysis.statistics.sequential import DECISIVE, family_wealth, wealth
from analysis.statistics.significance import ALPHA, family_p
from analysis.statistics.verdicts import WIN, WORSE, sequential_verdicts

LOOKS = 60  # seeds
EFFECTS = (2.0, 1.5, 1.0, 0.7)  # in standard deviations of a paired difference
ARMS, REAL, EFFECT = 12, 3, 1.5
BUDGET = 20  # seeds of a study without an effect


def main() -> None:
    options = arguments(__doc__, studies=1000, races=2000).parse_args()
    print_one_comparison(options.studies)
    print_families(options.studies)
    print_race(options.races)


def print_one_comparison(count: int) -> None:
    rng, rows = np.random.default_rng(1), []
    for name, draw in LAWS.items():
        noise = (draw(rng, (count, LOOKS)) - draw(rng, (count, LOOKS))) / 2**0.5
        wrong = (wealth(noise) >= DECISIVE).any(axis=1).mean()
        medians = []
        for effect in EFFECTS:
            reached = wealth(noise + effect) >= DECISIVE
            first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, LOOKS + 1)
            medians.append(f"{np.median(first):.0f}")
        rows.append([name, percent(wrong), *medians])
    rows.append(["fixed plan (t test, 80 % power)", "5 %", *(seeds_for(effect) for effect in EFFECTS)])
    title = f"One comparison, looked at after every seed up to {LOOKS}, {count} studies a line: median seeds"
    show(title, ["noise", "false decisions", *(f"{effect} sd" for effect in EFFECTS)], rows)


def print_families(count: int) -> None:
    rows = []
    for tables, arms_of_table in STUDIES:
        of = np.repeat(np.arange(tables), arms_of_table).tolist()
        shares_wrong = []
        for law in LAWS.values():
            rng, wrong = np.random.default_rng(2), 0
            for _ in range(count):
                d = study(rng, law, tables, arms_of_table, BUDGET).reshape(-1, BUDGET)
                wrong += bool((family_wealth(d, tables=of) >= DECISIVE).any())
            shares_wrong.append(percent(wrong / count))
        rows.append([f"{tables} x {arms_of_table}", *shares_wrong])
    title = f"Studies without an effect that claim anything, looked at after every seed up to {BUDGET}, {count} a line"
    show(title, ["tables x arms", *LAWS], rows)


def print_race(count: int) -> None:
    rows = []
    for seeds in range(11, 16):
        rng = np.random.default_rng(seeds)
        found = np.array([family_p(arms(rng, seeds)) < ALPHA for _ in range(count)])
        rows.append([f"fixed, {seeds} seeds", seeds * (ARMS + 1), *shares(found)])
    for budget in (20, 25, 30, 35):
        rng = np.random.default_rng(budget)
        races = [race(arms(rng, budget), budget) for _ in range(count)]
        found = np.array([won for won, _ in races])
        rows.append([f"until decided, at most {budget}", f"{np.mean([runs for _, runs in races]):.0f}", *shares(found)])
    title = f"{ARMS} arms, {REAL} of them real by {EFFECT} sd of a paired difference, {count} studies a line"
    show(title, ["plan", "runs", "a real arm is found", "all are found", "a null arm is claimed"], rows)


def arms(rng: np.random.Generator, seeds: int) -> NDArray[np.float64]:
    """Return the paired differences (M, S) of arms that share a baseline, the first of them real."""
    runs = rng.normal(0, 0.5**0.5, (ARMS + 1, seeds))
    d = runs[1:] - runs[0]
    d[:REAL] += EFFECT
    return d


def race(d: NDArray[np.float64], budget: int) -> tuple[list[bool], int]:
    """Return what is claimed and how many runs it took, those of the baseline included."""
    verdicts, looks = sequential_verdicts(d, budget)
    return [verdict in (WIN, WORSE) for verdict in verdicts], int(looks.sum() + looks.max())


def shares(found: NDArray[np.bool_]) -> list[str]:
    real, null = found[:, :REAL], found[:, REAL:]
    return [f"{100 * share:.0f} %" for share in (real.mean(), real.all(axis=1).mean(), null.any(axis=1).mean())]


if __name__ == "__main__":
    main()
