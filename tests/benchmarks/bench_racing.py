"""Measures what a race between the configurations of a search costs, and how often it loses the best.

    python tests/benchmarks/bench_racing.py [--searches 100]

Prints the table of docs/searches.md: an arm of 30 configurations, whose true results fall off from the optimum of a
square by eight standard deviations of a run at each side; a seed moves all configurations by half of one. A race is
compared with all seeds for every configuration, and with Optuna's WilcoxonPruner (p below 0.1, its default). The last
column is of eleven others that are just as good as the one that is asked: how often it is decided against.
"""

import argparse
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import WilcoxonPruner
from optuna.trial import TrialState, create_trial
from tabulate import tabulate

from analysis.statistics.racing import race

COUNT, EQUAL = 30, 12
SEEDS = (4, 6, 10, 20)
Rule = Callable[[Mapping[int, Sequence[float]], int, int, bool], str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=100)
    count = parser.parse_args().searches
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rules: dict[str, Rule] = {"all seeds": lambda *_: "", "race": race, "WilcoxonPruner": wilcoxon}
    rows = [[1, "all seeds", *_line(rules["all seeds"], 1, count)]]
    for seeds, (name, rule) in itertools.product(SEEDS, rules.items()):
        rows.append([seeds, name, *_line(rule, seeds, count)])
    print(f"Arms of {COUNT} configurations, {count} a line\n")
    heads = ("seeds a configuration", "below the optimum", "same winner", "an equal is decided against")
    print(tabulate(rows, ["seeds", "rule", *heads], "pipe"))


def _line(rule: Rule, seeds: int, count: int) -> list[str]:
    rng, found = np.random.default_rng(seeds), []
    for _ in range(count):
        quality = -8 * (rng.uniform(-1, 1, (COUNT, 2)) ** 2).sum(axis=1)
        results = quality[:, None] + noise(rng, COUNT, seeds)
        winner, values, _ = run(results, rule)
        runs = sum(map(len, values.values())) / COUNT
        found.append((runs, quality.max() - quality[winner], winner == results.mean(axis=1).argmax()))
    against = ["decided against" in run(noise(rng, EQUAL, seeds), rule)[2].get(EQUAL - 1, "") for _ in range(count)]
    runs, regret, same = np.mean(found, axis=0)
    return [f"{runs:.1f}", f"{regret:.2f} sd", f"{100 * same:.0f} %", f"{100 * np.mean(against):.0f} %"]


def noise(rng: np.random.Generator, count: int, seeds: int) -> NDArray[np.float64]:
    """Return the noise (N, K) of N configurations, of which K seeds move all alike."""
    return rng.standard_normal((count, seeds)) + rng.standard_normal(seeds) / 2


def run(results: NDArray[np.float64], rule: Rule) -> tuple[int, dict[int, list[float]], dict[int, str]]:
    """Return the winner of a race through results (N, K), what every configuration got, and why no more."""
    values: dict[int, list[float]] = {}
    out: dict[int, str] = {}
    seeds = results.shape[1]
    for number, row in enumerate(results.tolist()):
        values[number] = []
        for value in row:
            values[number].append(value)
            if reason := rule(values, number, seeds, True):
                out[number] = reason
                break
    whole = {number: float(np.mean(found)) for number, found in values.items() if len(found) == seeds}
    return max(whole, key=lambda number: whole[number]), values, out


def wilcoxon(values: Mapping[int, Sequence[float]], number: int, seeds: int, higher_is_better: bool) -> str:
    """Ask Optuna's pruner, with seeds as steps."""
    if len(values[number]) == seeds:
        return ""
    study = optuna.create_study(direction="maximize", pruner=WilcoxonPruner())
    best = max((each for each in values.values() if len(each) == seeds), key=np.mean, default=None)
    if best is not None:
        steps = dict(enumerate(best))
        study.add_trial(create_trial(state=TrialState.COMPLETE, value=float(np.mean(best)), intermediate_values=steps))
    trial = study.ask()
    for step, value in enumerate(values[number]):
        trial.report(value, step)
    return "decided against" if trial.should_prune() else ""


if __name__ == "__main__":
    main()
