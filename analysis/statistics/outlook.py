"""The conclusions that a plan can reach before it is trained, and the comparisons that need no more seeds."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.records.runs import FACTOR, Plan, done, metric_of
from analysis.statistics.pairs import aligned, logged_metrics, paired_differences
from analysis.statistics.power import POWER, detectable_effect, seeds_to_find_one_sd
from analysis.statistics.sequential import fewest_to_claim
from analysis.statistics.significance import ALPHA, FEWEST_PAIRS, RESAMPLES, mean_and_sd, smallest_p
from analysis.statistics.verdicts import DECIDED, UNDECIDED, sequential_verdicts
from analysis.words.captions import count_text
from mixlab.spec.metric import decimals

FIRST_KEYS = ("dataset", "backbone", "epochs")  # the keys by which a reader recognises a configuration
RECIPE = ("train_images", "batch_size", "optimiser", "lr", "schedule", "weight_decay", "mixer", "mixer.alpha")
OTHER_KEYS = 8  # the number of keys that are shown of a configuration without any of RECIPE
FEWEST_TO_TELL = 3  # pairs of a comparison that tell the spread of its differences
MOST_SIMULATED = 200  # comparisons; with more, the seeds for a gain are not simulated at the start of a command


def outlook(plan: Plan, results: Mapping[str, float] | None = None) -> list[str]:
    """Return sentences that say what a study can conclude, before the rest of it is trained.

    Args:
        plan: it has, or lacks, the configuration that its trials share (``config``).
        results: the plan's metric of its trials that are done, by key. They tell the spread of the differences.
    """
    tables = len({tuple(trial["levels"].values()) for trial in plan["trials"]})
    arms = len(plan["arms"]) - 1
    seeds = len({trial["seed"] for trial in plan["trials"]})
    family_tables = 1 if plan.get("family") == "table" else tables
    comparisons = family_tables * arms
    lines = [*_configuration(plan), _size(plan, tables, arms, seeds)]
    if arms == 0:
        return [*lines, "There is nothing to compare: the baseline is the only arm."]
    per_seed = tables * len(plan["arms"])
    sequential = plan.get("sequential") or {}
    if sequential:
        lines.append(
            f"Seeds are added until every comparison is decided, at most {sequential['budget']} "
            f"({count_text(sequential['budget'] * per_seed, 'run')}); one may look after every seed."
        )
        if sequential["budget"] < fewest_to_claim():
            lines.append(f"The study cannot claim anything: even a certain effect takes {fewest_to_claim()} seeds.")
    elif seeds < FEWEST_PAIRS:
        lines.append(
            f"The study cannot claim anything, however large the gains: with {count_text(seeds, 'seed')} the "
            f"smallest possible p is {smallest_p(seeds):.3g}. With {FEWEST_PAIRS} seeds it could "
            f"({count_text(FEWEST_PAIRS * per_seed, 'run')})."
        )
    else:
        effect = detectable_effect(family_tables, arms, seeds)
        smallest = max(smallest_p(seeds), 1 / (RESAMPLES + 1))  # many seeds have more patterns than are drawn
        lines.append(
            f"The smallest possible p is {smallest:.2g}, so {count_text(seeds, 'seed')} can decide. A gain of "
            f"{effect:.1f} sd of a paired difference would be found with {POWER * 100:.0f} % power (p < {ALPHA} over "
            f"{count_text(comparisons, 'comparison')}){_in_its_unit(plan, effect, results or {})}."
        )
    if not sequential and comparisons <= MOST_SIMULATED:
        wanted = seeds_to_find_one_sd(family_tables, arms)
        if wanted > seeds:
            runs = count_text(wanted * per_seed, "run")
            lines.append(f"To find a gain of 1 sd of a paired difference would take {wanted} seeds ({runs}).")
    if 1 < tables < FEWEST_PAIRS:
        lines.append(
            f"What it finds holds for these {tables} tables; to claim that an arm helps in general takes "
            f"{FEWEST_PAIRS} tables."
        )
    return lines


def decide(plan: Plan, runs: pd.DataFrame) -> dict[tuple[tuple[Any, ...], str], str]:
    """Return the verdict of every comparison so far, for a launch that adds seeds until all are decided.

    It is, by (level of each factor, ...) and arm, one of :data:`analysis.statistics.verdicts.DECIDED`, or "not decided"
    for a comparison that needs more seeds. The same runs give the same verdicts, and a decision stands.
    """
    factors, metric = list(plan["factors"]), plan["metric"]
    cells = [(tuple(trial["levels"][name] for name in factors), trial["arm"]) for trial in plan["trials"]]
    verdicts = {cell: UNDECIDED for cell in dict.fromkeys(cells) if cell[1] != plan["baseline"]}
    if metric not in logged_metrics(done(runs)):
        return verdicts
    differences: dict[tuple[Any, ...], dict[str, pd.Series]] = {}
    for levels in dict.fromkeys(levels for levels, _ in cells):
        mine = runs[(runs[[FACTOR + name for name in factors]] == list(levels)).all(axis=1)]
        differences[levels] = paired_differences(mine, metric, plan["baseline"], plan.get("against"))
    families = [[levels] for levels in differences] if plan.get("family") == "table" else [list(differences)]
    for family in families:
        rows = {(levels, arm): row for levels in family for arm, row in differences[levels].items()}
        found, _ = sequential_verdicts(
            aligned(rows.values()),
            plan["sequential"]["budget"],
            tables=[levels for levels, _ in rows],
            delta=plan.get("delta"),
            higher_is_better=metric_of(plan, metric).higher_is_better,
        )
        verdicts |= {cell: said for cell, said in zip(rows, found, strict=True) if said in DECIDED}
    return verdicts


def _configuration(plan: Plan) -> list[str]:
    """Return the settings that all runs share, with data set, network and epochs first; nothing if they are unknown."""
    config = plan.get("config") or {}
    known = {key: config[key] for key in FIRST_KEYS if config.get(key) is not None}
    first = [count_text(value, "epoch") if key == "epochs" else str(value) for key, value in known.items()]
    others = [key for key, value in config.items() if key not in FIRST_KEYS and value is not None]
    shown = [key for key in RECIPE if key in others] or others[:OTHER_KEYS]
    rest = [f"{key} {config[key]}" for key in shown]
    if not first and not rest:
        return []
    varied = {name: list(dict.fromkeys(trial["levels"][name] for trial in plan["trials"])) for name in plan["factors"]}
    lines = [f"Every run: {', '.join(first)}." if first else ""]
    lines += [f"Recipe: {', '.join(rest)}."] if rest else []
    lines += [f"Tables: {name} = {', '.join(map(str, levels))}." for name, levels in varied.items()]
    return [line for line in lines if line]


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
    return f": {gain} at the sd of the runs so far, {decimals(spread, metric.digits)}"


def _size(plan: Plan, tables: int, arms: int, seeds: int) -> str:
    family = "one family" if plan.get("family", "study") == "study" else "every table a family of its own"
    size = ", ".join(count_text(*part) for part in ((tables, "table"), (arms + 1, "arm"), (seeds, "seed")))
    runs, comparisons = count_text(len(plan["trials"]), "run"), count_text(tables * arms, "comparison")
    return f"{size}: {runs}, {comparisons}" + (f" ({family})." if tables * arms > 1 else ".")
