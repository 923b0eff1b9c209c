"""A table as text cells, and the sentences under it, which every rendering shows."""

import math
import re
from collections.abc import Iterable, Sequence
from functools import partial

import pandas as pd

from analysis.records.runs import FACTOR, done
from analysis.statistics.pairs import finite_values
from analysis.statistics.tables import LOST, OVER_BASELINE, LevelTable
from analysis.words.captions import capitalised, metric_text, provenance_text
from analysis.words.method import pairing_text, power_table, power_text, too_few_seeds
from analysis.words.notes import notes
from mixlab.spec.metric import decimals

DASH = "–"
NAMES = ("", "arm", "against", "verdict")  # columns of words, even where an arm is called "1e3"
NUMBER = re.compile(r"[\[<]? ?[+-]?\.?\d")  # how a cell of numbers begins
TOO_GOOD = "The column 'best' is the best epoch, chosen on the same data and so too good."


def cells(level: LevelTable) -> pd.DataFrame:
    """Return the table as text: one row per arm, and the columns that a reader sees."""
    table, digits = level.table, level.declared.digits
    number, difference = partial(number_text, digits=digits), partial(number_text, digits=digits, sign="+")
    shown = pd.DataFrame(index=table.index)
    shown["arm"] = _named(level, table.index)
    shown["n"] = [_n_text(row) for _, row in table.iterrows()]
    shown["mean ± sd"] = [_mean_text(row, digits) for _, row in table.iterrows()]
    for metric in level.extra:
        means = finite_values(level.runs, metric).groupby(level.runs["arm"]).mean().reindex(table.index)
        shown[metric.removeprefix(f"{level.declared.name}_")] = means.map(number)
    if level.against:
        shown["against"] = _references(level)
    shown["gain"] = table["gain"].map(difference)
    shown["95 % interval"] = _interval_texts(table, ("gain_low", "gain_high"), digits)
    if "e" in table:
        shown["e"] = table["e"].map(partial(number_text, digits=2))
        shown["e (family)"] = table["e_family"].map(partial(number_text, digits=2))
    else:
        shown["p"] = table["p"].map(p_text)
        shown["p (family)"] = table["p_family"].map(p_text)
    if level.against:
        gain, *ends = OVER_BASELINE
        over = table[gain].map(difference) + " " + _interval_texts(table, ends, digits)
        shown[f"over {level.baseline}"] = over.str.removesuffix(f" {DASH}")  # without an interval
    if "published" in table:
        shown["paper"] = table["published"].map(number)
        shown["ours − paper"] = table["difference"].map(difference)
        shown["paper in our interval"] = [DASH if pd.isna(yes) else "yes" if yes else "no" for yes in table["inside"]]
    shown["verdict"] = table["verdict"]
    return shown


def columns_of_words(shown: pd.DataFrame) -> list[bool]:
    """Return which columns of text cells hold words, which are aligned to the left, as numbers are to the right."""
    found = []
    for name, column in shown.items():
        filled = [str(cell) for cell in column if cell not in ("", DASH)]
        found.append(name in NAMES or (filled != [] and not any(map(NUMBER.match, filled))))
    return found


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
        lines.append(TOO_GOOD)
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
    return pd.concat(parts)


def paper_cells(levels: Sequence[LevelTable]) -> pd.DataFrame:
    """Return the means as papers print them, as text: one row per combination of factor levels, one column per arm."""
    means = {level.name or "all": cells(level).set_index("arm")["mean ± sd"] for level in levels}
    rows = [{"": name, **mean.to_dict()} for name, mean in means.items()]
    return pd.DataFrame(rows).fillna(DASH)


def power_cells(level: LevelTable) -> pd.DataFrame:
    """Return the plan of :func:`analysis.words.method.power_table` as text cells."""
    plan, digits = power_table(level), level.declared.digits
    beats = level.table["p_beats"]
    shown = pd.DataFrame({"arm": _named(level, plan.index)}, index=plan.index)
    shown["seeds so far"] = [str(count) for count in plan["pairs"]]
    shown["gain"] = [number_text(value, digits, "+") for value in plan["gain"]]
    shown["sd of the differences"] = [number_text(value, digits) for value in plan["sd"]]
    shown[f"P(beats {'its reference' if level.against else 'baseline'})"] = [
        number_text(beats[arm], 2) if plan["pairs"][arm] > 1 else DASH for arm in plan.index
    ]
    shown["seeds needed"] = plan["answer"]
    return shown


def estimate_cells(estimates: pd.DataFrame, level: LevelTable) -> pd.DataFrame:
    """Return estimates as text cells: their names, the value, its interval, and n and p where there are such columns.

    The names are the index of ``estimates``; the first three columns are the value and the ends of its interval. Where
    seeds were added until a comparison was decided, no p holds, and none is shown.
    """
    value, low, high = map(str, estimates.columns[:3])
    digits = level.declared.digits
    shown = estimates.index.to_frame().astype(str)
    shown[value] = [number_text(number, digits, "+") for number in estimates[value]]
    shown["95 % interval"] = _interval_texts(estimates, (low, high), digits)
    if "n" in estimates:
        shown["n"] = estimates["n"].map(str)
    if level.family.budget is None:
        for name, title in {"p": "p", "p_family": "p (family)"}.items():
            if name in estimates:
                shown[title] = estimates[name].map(p_text)
    return shown


def _named(level: LevelTable, arms: Iterable[str]) -> list[str]:
    """Return the names of arms, with the role of each."""
    return [f"{arm}{level.role(arm)}" for arm in arms]


def _references(level: LevelTable) -> list[str]:
    """Return what every arm of a table is compared with, empty for the baseline."""
    return ["" if arm == level.baseline else level.reference(str(arm)) for arm in level.table.index]


def _interval_texts(table: pd.DataFrame, ends: Sequence[str], digits: int) -> pd.Series:
    """Return the interval of every arm, of which two columns are the ends."""
    pairs = zip(*(table[name] for name in ends), strict=True)
    return pd.Series([interval_text(low, high, digits) for low, high in pairs], table.index)


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
