"""Counts how often a study claims something where there is nothing, and how often it finds what is there.

    python tests/benchmarks/bench_error_rates.py [--studies 2000] [--only errors|power|tables|time]

Prints the tables of docs/statistics.md, whose figures are from this command: the share of null studies that claim
anything, by the family of the study and by what it replaced (Holm's correction of every table by itself); the power;
and the time of the largest family. Two minutes for 2,000 studies a line on one core.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from recording import arguments, show
from scipy import stats

from analysis.statistics.over_tables import here, in_general
from analysis.statistics.significance import ALPHA, family_p, holm, sign_flip_p

STUDIES = ((1, 4), (12, 1), (2, 4), (12, 4))  # tables, arms
SEEDS = (6, 8, 10)
Law = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
LAWS: dict[str, Law] = {  # how one run varies, with a standard deviation of 1
    "normal": lambda rng, shape: rng.normal(0, 1, shape),
    "t (3 degrees)": lambda rng, shape: rng.standard_t(3, shape) / 3**0.5,
    "exponential": lambda rng, shape: rng.exponential(1, shape),
    "negative exponential": lambda rng, shape: -rng.exponential(1, shape),
}
# Tables, arms, seeds, gain of one arm in standard deviations of a run.
POWER = ((2, 4, 8, 2.0), (1, 4, 6, 2.5), (1, 4, 8, 2.5))


def main() -> None:
    parser = arguments(__doc__, studies=2000, power_studies=1000)
    parser.add_argument("--only", choices=("errors", "power", "tables", "time"), help="one table alone")
    given = parser.parse_args()
    tables = {
        "errors": lambda: print_errors(given.studies),
        "power": lambda: print_power(given.power_studies),
        "tables": lambda: print_tables(given.power_studies),
        "time": print_time,
    }
    for name, table in tables.items():
        if given.only in (None, name):
            table()


def study(
    rng: np.random.Generator, law: Law, tables: int, arms: int, seeds: int, gain: float = 0.0
) -> NDArray[np.float64]:
    """Return the paired differences (T, A, S) of a study; the first arm of the first table gains."""
    runs = law(rng, (tables, arms + 1, seeds))  # the arms of a table share its baseline
    runs[0, 1] += gain
    return runs[:, 1:] - runs[:, :1]


def family_of_the_study(d: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p of every comparison (T A,) as a win is decided."""
    return family_p(d.reshape(-1, d.shape[-1]))


def holm_by_table(d: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p of every comparison (T A,) corrected table by table."""
    return np.concatenate([holm([sign_flip_p(row) for row in table]) for table in d])


def claims(test: Callable[[NDArray[np.float64]], NDArray[np.float64]], studies: list[NDArray[np.float64]]) -> float:
    """Return the share of studies that claim anything: a gain, or a loss."""
    return float(np.mean([(test(d) < ALPHA).any() for d in studies]))


def print_errors(count: int) -> None:
    rows, worst = [], 0.0
    for tables, arms in STUDIES:
        for seeds in SEEDS:
            by_law = {}
            for number, (name, law) in enumerate(LAWS.items()):
                rng = np.random.default_rng([tables, arms, seeds, number])
                by_law[name] = [study(rng, law, tables, arms, seeds) for _ in range(count)]
            shares = [claims(family_of_the_study, studies) for studies in by_law.values()]
            before = [claims(holm_by_table, studies[:400]) for studies in by_law.values()]
            worst = max(worst, *shares)
            rows.append([f"{tables} x {arms}", seeds, *map(percent, shares), span(before)])
    title = f"Null studies that claim anything, of {count} (Holm: of 400, over the four laws); most {percent(worst)}"
    show(title, ["tables x arms", "seeds", *LAWS, "Holm by table"], rows)


def print_power(count: int) -> None:
    rows = []
    for tables, arms, seeds, gain in POWER:
        rng = np.random.default_rng([tables, arms, seeds])
        studies = [study(rng, LAWS["normal"], tables, arms, seeds, gain) for _ in range(count)]
        found = np.mean([family_of_the_study(d)[0] < ALPHA for d in studies])
        over = np.mean([holm([sign_flip_p(row) for row in d.reshape(-1, seeds)])[0] < ALPHA for d in studies])
        rows.append([f"{tables} x {arms}", seeds, f"{gain} sd", percent(found), percent(over)])
    title = f"One real arm that is found, of {count} studies; its gain in sd of a run"
    show(title, ["tables x arms", "seeds", "gain", "family", "Holm over the study"], rows)


def print_tables(count: int) -> None:
    tests: dict[str, Callable[[NDArray[np.float64]], float]] = {
        "in general": lambda d: in_general(d).p,
        "here": lambda d: here(d).p,
        # A t test, whose p is close to that of flipping every pair by itself, which takes longer.
        "every pair by itself": lambda d: float(stats.ttest_1samp(d.ravel(), 0).pvalue),
    }
    rows = []
    for tables, seeds, spread in ((6, 6, 0.0), (6, 6, 0.5), (12, 6, 0.0), (12, 6, 0.5)):
        rng = np.random.default_rng([tables, seeds, int(10 * spread)])
        noise = rng.normal(0, 1, (count, tables, seeds)) + rng.normal(0, spread, (count, tables, 1))
        shares = [np.mean([test(d) < ALPHA for d in noise]) for test in tests.values()]
        rows.append([tables, seeds, f"{spread} sd", *map(percent, shares)])
    title = f"An arm that helps on average over tables in nothing, of {count} studies: claims that it helps or harms"
    show(title, ["tables", "seeds", "the tables differ by", *tests], rows)


def print_time() -> None:
    d = np.random.default_rng(0).normal(0, 1, (10_000, 10))
    begin = time.perf_counter()
    family_p(d)
    print(f"10,000 comparisons x 10 seeds: {time.perf_counter() - begin:.1f} s")


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def span(shares: list[float]) -> str:
    return f"{100 * min(shares):.0f}-{100 * max(shares):.0f} %"


if __name__ == "__main__":
    main()
