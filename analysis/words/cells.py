"""A table as text cells, and the sentences under it, which every rendering shows."""

import math
from collections.abc import Sequence

import pandas as pd

from analysis.records.runs import FACTOR, done
from analysis.statistics.pairs import finite_values
from analysis.statistics.tables import LOST, OVER_BASELINE, LevelTable
from analysis.words.captions import capitalised, metric_text, notes, provenance_text
from analysis.words.method import pairing_text, power_table, power_text, too_few_seeds
from mixlab.spec.metric import decimals

DASH = "–"
LEFT_ALIGNED = ("", "arm", "against", "verdict")
CHOSEN_ON_TEST = "The column 'best' is the best epoch, chosen on the test set and so too high."


def cells(level: LevelTable) -> pd.DataFrame:
    """Return the table as text: one row per arm, and the columns that a reader sees."""
    table, digits = level.table, level.declared.digits
    names = [f"{arm} (control)" if arm in level.controls else str(arm) for arm in table.index]
    shown = pd.DataFrame({"arm": names}, index=table.index)
    shown["n"] = [_n_text(row) for _, row in table.iterrows()]
    shown["mean ± sd"] = [_mean_text(row, digits) for _, row in table.iterrows()]
    for metric in level.extra:
        means = finite_values(level.runs, metric).groupby(level.runs["arm"]).mean().reindex(table.index)
        shown[metric.removeprefix(f"{level.declared.name}_")] = [number_text(value, digits) for value in means]
    shown["gain"] = [number_text(value, digits, "+") for value in table["gain"]]
    intervals = zip(table["gain_low"], table["gain_high"], strict=True)
    shown["95 % interval"] = [interval_text(low, high, digits) for low, high in intervals]
    if level.against:
        shown.insert(list(shown).index("gain"), "against", _references(level))
    if "e" in table:
        shown["e"] = [number_text(value, 2) for value in table["e"]]
        shown["e (family)"] = [number_text(value, 2) for value in table["e_family"]]
    else:
        shown["p"] = [p_text(value) for value in table["p"]]
        shown["p (family)"] = [p_text(value) for value in table["p_family"]]
    if level.against:
        ends = zip(*(table[name] for name in OVER_BASELINE), strict=True)
        over = [f"{number_text(gain, digits, '+')} {interval_text(low, high, digits)}" for gain, low, high in ends]
        shown[f"over {level.baseline}"] = [text.removesuffix(f" {DASH}") for text in over]
    if "published" in table:
        shown["paper"] = [number_text(value, digits) for value in table["published"]]
        shown["ours − paper"] = [number_text(value, digits, "+") for value in table["difference"]]
        shown["paper in our interval"] = [DASH if pd.isna(yes) else "yes" if yes else "no" for yes in table["inside"]]
    shown["verdict"] = table["verdict"]
    return shown


def heading(level: LevelTable) -> str:
    """Return the level and the metric with its rule."""
    rule = metric_rule(level)
    return f"{level.name}: {rule}" if level.levels else capitalised(rule)


def metric_rule(*levels: LevelTable) -> str:
    """Return the metric with its rule, e.g. ``top-1 accuracy on the test set, %, median of the last 10 epochs``."""
    runs = pd.concat([level.runs for level in levels])
    epochs = done(runs)["epochs"].dropna()
    return metric_text(levels[0].declared, levels[0].metric, [int(count) for count in epochs])


def remarks(level: LevelTable) -> list[str]:
    """Return the sentences under a table: provenance, unevenness, the worth of pairing, and that of more seeds."""
    few = too_few_seeds(level)
    lines = [line for line in (provenance_text(level), *notes(level), pairing_text(level), few) if line]
    if few and level.table["pairs"].max() > 1:
        lines.append(power_text(level))
    if any(metric.endswith("_best") for metric in level.extra):
        lines.append(CHOSEN_ON_TEST)
    return lines


def tidy(levels: Sequence[LevelTable]) -> pd.DataFrame:
    """Return all tables as one frame: factors, arm, every column of the table, metric, its rule and provenance.

    Where an arm is compared with another than the baseline, ``against`` is what each gain is over.
    """
    parts = []
    for level in levels:
        part = level.table.reset_index()
        if level.against:
            part.insert(list(part).index("gain"), "against", _references(level))
        for position, (factor, value) in enumerate(level.levels.items()):
            part.insert(position, FACTOR + factor, value)
        parts.append(part.assign(metric=level.metric, rule=metric_rule(level), provenance=provenance_text(level)))
    return pd.concat(parts, ignore_index=True)


def paper_cells(levels: Sequence[LevelTable]) -> pd.DataFrame:
    """Return the means as papers print them, as text: one row per combination of factor levels, one column per arm."""
    rows = [
        {"": level.name or "all", **dict(zip(shown["arm"], shown["mean ± sd"], strict=True))}
        for level in levels
        for shown in [cells(level)]
    ]
    return pd.DataFrame(rows).fillna(DASH)


def power_cells(level: LevelTable) -> pd.DataFrame:
    """Return the plan of :func:`analysis.words.method.power_table` as text cells."""
    plan, digits = power_table(level), level.declared.digits
    beats = level.table["p_beats"]
    shown = pd.DataFrame({"arm": [str(arm) for arm in plan.index]}, index=plan.index)
    shown["seeds so far"] = [str(count) for count in plan["pairs"]]
    shown["gain"] = [number_text(value, digits, "+") for value in plan["gain"]]
    shown["sd of the differences"] = [number_text(value, digits) for value in plan["sd"]]
    shown[f"P(beats {'its reference' if level.against else 'baseline'})"] = [
        number_text(beats[arm], 2) if plan["pairs"][arm] > 1 else DASH for arm in plan.index
    ]
    shown["seeds needed"] = plan["answer"]
    return shown


def _references(level: LevelTable) -> list[str]:
    """Return what every arm of a table is compared with, empty for the baseline."""
    return ["" if arm == level.baseline else level.reference(str(arm)) for arm in level.table.index]


def _n_text(row: pd.Series) -> str:
    lost = [f"{int(row[status])} {status}" for status in LOST if row[status]]
    return f"{int(row['n'])} ({', '.join(lost)})" if lost else str(int(row["n"]))


def _mean_text(row: pd.Series, digits: int) -> str:
    if row["n"] == 0:
        return next((status for status in LOST if row[status]), DASH)
    return f"{decimals(row['mean'], digits)} ± {number_text(row['sd'], digits)}"


def number_text(value: float, digits: int, sign: str = "") -> str:
    """Return what :func:`mixlab.spec.metric.decimals` does, and a dash for NaN."""
    return DASH if math.isnan(value) else decimals(value, digits, sign)


def interval_text(low: float, high: float, digits: int) -> str:
    """Return the ends of a difference's interval, such as ``[-0.12, +0.50]``, and a dash where there is none."""
    return DASH if math.isnan(low) else f"[{decimals(low, digits, '+')}, {decimals(high, digits, '+')}]"


def p_text(value: float) -> str:
    """Return a p with four decimals, and never a zero."""
    return DASH if math.isnan(value) else "< 0.0001" if value < 0.0001 else f"{value:.4f}"
