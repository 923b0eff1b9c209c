"""The conclusions that a plan can reach before it is trained, and the comparisons that need no more seeds."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.records.runs import Plan, at_levels, done, metric_of
from analysis.statistics.pairs import aligned, differences_of, logged_metrics, values_by_arm
from analysis.statistics.power import POWER, detectable_effect, seeds_to_find_one_sd
from analysis.statistics.sequential import DECISIVE, fewest_to_claim
from analysis.statistics.sequential_power import budget_to_find_one_sd, detectable_until_decided
from analysis.statistics.significance import ALPHA, FEWEST_PAIRS, RESAMPLES, mean_and_sd, smallest_p
from analysis.statistics.verdicts import DECIDED, UNDECIDED, sequential_verdicts, without_pairs
from mixlab.messages import counted
from mixlab.spec.metric import decimals

FIRST_KEYS = ("dataset", "folder", "backbone", "epochs")  # the keys by which a reader recognises a configuration
RECIPE = ("train_images", "batch_size", "optimiser", "lr", "schedule", "weight_decay", "mixer", "mixer.alpha")
OTHER_KEYS = 8  # the number of keys that are shown of a configuration without any of RECIPE
FEWEST_TO_TELL = 3  # pairs of a comparison that tell the spread of its differences
MOST_SIMULATED = 200  # comparisons; with more, the seeds for a gain are not simulated at the start of a command

Cell = tuple[tuple[Any, ...], str]  # (level of each factor, ...) and arm


@dataclass(frozen=True)
class Size:
    """The numbers of a plan on which its power and its cost rest."""

    tables: int
    arms: int  # without the baseline
    seeds: int
    cells: int  # without those for which a search found no winner
    family_tables: int  # tables whose comparisons share an error rate
    comparisons: int  # comparisons in the largest family

    def runs(self, seeds: int) -> str:
        """Return the number of runs that so many seeds take, in words."""
        return counted(seeds * self.cells, "run")


def outlook(plan: Plan, results: Mapping[str, float] | None = None) -> list[str]:
    """Return sentences that say what a study can conclude, before the rest of it is trained.

    Args:
        plan: it has, or lacks, the configuration that its trials share (``config``).
        results: the plan's metric of its trials that are done, by key. They tell the spread of the differences.
    """
    size = _size(plan)
    lines = [*_configuration(plan), _size_text(plan, size)]
    if not size.arms:
        return [*lines, "There is nothing to compare: the baseline is the only arm."]
    if sequential := plan.get("sequential"):
        lines += _until_decided(size, sequential["budget"], plan, results or {})
    else:
        lines += _with_fixed_seeds(size, plan, results or {})
    if 1 < size.tables < FEWEST_PAIRS:
        lines.append(
            f"What it finds holds for these {size.tables} tables; to claim that an arm helps in general takes "
            f"{FEWEST_PAIRS} tables."
        )
    return lines


def _size(plan: Plan) -> Size:
    cells = {(tuple(trial["levels"].values()), trial["arm"]) for trial in plan["trials"]}
    tables = Counter(levels for levels, _ in cells)
    compared = Counter(levels for levels, arm in cells if arm != plan["baseline"])
    by_table = plan.get("family") == "table"
    return Size(
        tables=len(tables),
        arms=len({arm for _, arm in cells} - {plan["baseline"]}),
        seeds=len({trial["seed"] for trial in plan["trials"]}),
        cells=len(cells),
        family_tables=1 if by_table else len(tables),
        comparisons=max(compared.values(), default=0) if by_table else compared.total(),
    )


def _until_decided(size: Size, budget: int, plan: Plan, results: Mapping[str, float]) -> list[str]:
    rule = (
        f"Seeds are added until every comparison is decided, at most {budget} ({size.runs(budget)}); one may look "
        "after every seed."
    )
    if budget < fewest_to_claim():
        return [rule, f"The study cannot claim anything: even a certain effect takes {fewest_to_claim()} seeds."]
    if size.comparisons > MOST_SIMULATED:
        return [rule]
    effect = detectable_until_decided(size.family_tables, size.arms, budget)
    power = _found(effect, f"e of {DECISIVE:.0f}", size, plan, results)
    wanted = budget_to_find_one_sd(size.family_tables, size.arms)
    more = f"To find a gain of 1 sd of a paired difference may take {wanted} seeds ({size.runs(wanted)})."
    return [rule, power, more] if wanted > budget else [rule, power]


def _with_fixed_seeds(size: Size, plan: Plan, results: Mapping[str, float]) -> list[str]:
    seeds = counted(size.seeds, "seed")
    if size.seeds < FEWEST_PAIRS:
        answer = (
            f"The study cannot claim anything, however large the gains: with {seeds} the smallest possible p is "
            f"{smallest_p(size.seeds):.3g}. With {FEWEST_PAIRS} seeds it could ({size.runs(FEWEST_PAIRS)})."
        )
    else:
        effect = detectable_effect(size.family_tables, size.arms, size.seeds)
        smallest = max(smallest_p(size.seeds), 1 / (RESAMPLES + 1))  # many seeds have more patterns than are drawn
        answer = (
            f"The smallest possible p is {smallest:.2g}, so {seeds} can decide. "
            f"{_found(effect, f'p < {ALPHA}', size, plan, results)}"
        )
    if size.comparisons > MOST_SIMULATED:
        return [answer]
    wanted = seeds_to_find_one_sd(size.family_tables, size.arms)
    more = f"To find a gain of 1 sd of a paired difference would take {wanted} seeds ({size.runs(wanted)})."
    return [answer, more] if wanted > size.seeds else [answer]


def _found(effect: float, decisive: str, size: Size, plan: Plan, results: Mapping[str, float]) -> str:
    """Return which gain would be found, by what is ``decisive``; in its unit too where results tell the spread."""
    return (
        f"A gain of {effect:.1f} sd of a paired difference would be found with {POWER * 100:.0f} % power ({decisive} "
        f"over {counted(size.comparisons, 'comparison')}){_in_its_unit(plan, effect, results)}."
    )


def decide(plan: Plan, runs: pd.DataFrame) -> dict[Cell, str]:
    """Return the verdict of every comparison so far, for a launch that adds seeds until all are decided.

    It is, by (level of each factor, ...) and arm, one of :data:`analysis.statistics.verdicts.DECIDED`, what the table
    says of a comparison that is given up without a pair, or "not decided" for one that needs more seeds. The same runs
    give the same verdicts, and a decision stands.
    """
    factors, metric = list(plan["factors"]), plan["metric"]
    cells = [(tuple(trial["levels"][name] for name in factors), trial["arm"]) for trial in plan["trials"]]
    verdicts = {cell: UNDECIDED for cell in dict.fromkeys(cells) if cell[1] != plan["baseline"]}
    if metric not in logged_metrics(done(runs)):
        return verdicts
    tables = list(dict.fromkeys(levels for levels, _ in cells))
    against = plan.get("against") or {}
    values: dict[Cell, pd.Series] = {}
    differences: dict[Cell, pd.Series] = {}
    for levels in tables:
        mine = at_levels(runs, dict(zip(factors, levels, strict=True)))
        by_arm = values_by_arm(mine, metric, [plan["baseline"], *against.values()])
        values |= {(levels, arm): row for arm, row in by_arm.items()}
        paired = differences_of(by_arm, plan["baseline"], against)
        differences |= {(levels, arm): row for arm, row in paired.items()}
    families = [[levels] for levels in tables] if plan.get("family") == "table" else [tables]
    for family in families:
        compared = [cell for cell in differences if cell[0] in family]
        found, _ = sequential_verdicts(
            aligned(differences[cell] for cell in compared),
            plan["sequential"]["budget"],
            tables=[levels for levels, _ in compared],
            delta=plan.get("delta"),
            higher_is_better=metric_of(plan, metric).higher_is_better,
        )
        verdicts |= {
            cell: said if len(differences[cell]) else without_pairs(len(values[cell]))
            for cell, said in zip(compared, found, strict=True)
            if said in DECIDED
        }
    return verdicts


def _configuration(plan: Plan) -> list[str]:
    """Return the settings that all runs share, with data set, network and epochs first; nothing if they are unknown."""
    config = {key: value for key, value in (plan.get("config") or {}).items() if value is not None}
    if not config:
        return []
    first = {key: str(config[key]) for key in FIRST_KEYS if key in config}
    if "epochs" in first:
        first["epochs"] = counted(config["epochs"], "epoch")
    others = [key for key in config if key not in FIRST_KEYS]
    recipe = [f"{key} {config[key]}" for key in [key for key in RECIPE if key in others] or others[:OTHER_KEYS]]
    lines = [f"Every run: {', '.join(first.values())}."] if first else []
    lines += [f"Recipe: {', '.join(recipe)}."] if recipe else []
    for factor in plan["factors"]:
        levels = dict.fromkeys(trial["levels"][factor] for trial in plan["trials"])
        lines.append(f"Tables: {factor} = {', '.join(map(str, levels))}.")
    return lines


def _in_its_unit(plan: Plan, effect: float, results: Mapping[str, float]) -> str:
    """Return how much an effect, in standard deviations, is at the spread of the differences so far; empty without."""
    found: dict[tuple[Any, ...], dict[int, float]] = {}
    for trial in plan["trials"]:
        if math.isfinite(value := results.get(trial["key"], math.nan)):
            found.setdefault((trial["arm"], *trial["levels"].values()), {})[trial["seed"]] = value
    spreads = []
    for (arm, *levels), values in found.items():
        reference = (plan.get("against") or {}).get(arm, plan["baseline"])
        theirs = found.get((reference, *levels), {})
        differences = [value - theirs[seed] for seed, value in values.items() if seed in theirs]
        if arm != plan["baseline"] and len(differences) >= FEWEST_TO_TELL:
            spreads.append(mean_and_sd(differences)[1])
    if not any(spreads):
        return ""
    metric, spread = metric_of(plan, plan["metric"]), statistics.median(spreads)
    unit = "points" if metric.unit == "%" else metric.unit
    gain = f"{decimals(effect * spread, metric.digits)} {unit}".rstrip()
    return f": {gain} at the sd so far, {decimals(spread, metric.digits)}"


def _size_text(plan: Plan, size: Size) -> str:
    """Return e.g. ``2 tables, 3 arms, 6 seeds: 36 runs, 4 comparisons (one family).``"""
    counts = {"table": size.tables, "arm": size.arms + 1, "seed": size.seeds}
    runs, compared = len(plan["trials"]), size.cells - size.tables
    family = "one family" if plan.get("family", "study") == "study" else "every table a family of its own"
    return (
        f"{', '.join(counted(count, what) for what, count in counts.items())}: {counted(runs, 'run')}, "
        f"{counted(compared, 'comparison')}{f' ({family})' if compared > 1 else ''}."
    )
