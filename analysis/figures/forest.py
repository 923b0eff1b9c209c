"""Estimates with their intervals, one below the other: an arm's gain in every table and over all, and the effects of a
factorial design.

"Here" is the mean gain over these tables, and "in general" that over the tables as a sample of all tables; the two
questions and their tests are those of ``analysis.statistics.over_tables``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import BASELINE_COLOUR, arm_colours, plain, titled
from analysis.statistics.effects import design_runs, factorial_effects
from analysis.statistics.over_tables import over_tables
from analysis.statistics.tables import LevelTable
from analysis.words.captions import provenance_text, unit
from analysis.words.cells import metric_rule, p_text

ROW = 0.27  # inches, the height of an estimate
PANEL_WIDTH = 4.2  # inches, without the names of the rows
LETTER = 0.075  # inches, the width of a letter of a name
MOST_ARMS = 12  # the most arms in one figure
EFFECT_COLOUR = "#0072B2"
ALONE = "p: exact sign-flip test of that line alone."
OF_EFFECTS = "p: exact sign-flip test, corrected for all effects of a table."
NO_P = "Seeds were added until each comparison was decided, so no p holds here."


class Row(NamedTuple):
    """One line of a panel."""

    name: str
    estimate: float
    low: float
    high: float
    said: str = ""  # the text at the right of the interval
    published: float = float("nan")  # the paper's difference
    summary: bool = False


def plot_forest(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw one panel per arm: its gain in every table, then here and in general; None if no two tables share an arm."""
    answers = over_tables(levels)
    arms = list(dict.fromkeys(arm for arm, _ in answers.index)) if len(answers) else []
    if not arms:
        return None
    colours = arm_colours(list(levels[0].table.index), levels[0].baseline)
    fixed = levels[0].family.budget is None
    rows = {arm: [*_of_tables(levels, arm), *_of_answers(answers, arm, fixed)] for arm in arms[:MOST_ARMS]}
    titles = {arm: f"{plain(arm)} against {plain(levels[0].reference(arm))}" for arm in rows}
    left_out = f" Of {len(arms)} arms the first {MOST_ARMS}." if len(arms) > MOST_ARMS else ""
    printed = any(np.isfinite(row.published) for found in rows.values() for row in found)
    rule = metric_rule(*levels)
    caption = (
        f"{rule[0].upper()}{rule[1:]}. Diamond and bar: mean gain of a table, paired by seed, with its 95 % interval. "
        "Here: the mean over these tables, whose interval is over seeds. In general: the tables as a sample of tables, "
        "whose interval is over tables; it can claim something from 6 tables on. "
        f"{ALONE if fixed else NO_P}{' Hollow: the difference of the published numbers.' if printed else ''}{left_out} "
        f"{provenance_text(*levels)}"
    )
    return _draw(study, rows, titles, colours, f"gain, {unit(levels[0].declared)}", caption)


def plot_effects(study: str, levels: Sequence[LevelTable], design: Mapping[str, Any] | None) -> Figure | None:
    """Draw one panel per table: the main effects and interactions of its factorial design; None without a design.

    Args:
        design: the design in its plan.
    """
    if design is None:
        return None
    fixed = levels[0].family.budget is None

    def p_of(p: float) -> str:
        return f"p (family) {p_text(p)}" if fixed else ""

    rows = {}
    for level in levels:
        effects = factorial_effects(design_runs(level.runs, design), level.metric, design["terms"])
        rows[level.name] = [
            Row(str(name), row["estimate"], row["low"], row["high"], p_of(row["p_family"]))
            for name, row in effects.iterrows()
        ]
    caption = (
        "Effects of the factorial design: what a term adds on average over all combinations of the others, and by how "
        "much that changes with another term (×). Every run serves every effect. Bar: 95 % interval over the seeds' "
        f"contrasts. {OF_EFFECTS if fixed else NO_P} "
        f"{provenance_text(*levels)}"
    )
    titles = {name: plain(name, 60) for name in rows}
    return _draw(
        study, rows, titles, dict.fromkeys(rows, EFFECT_COLOUR), f"effect, {unit(levels[0].declared)}", caption
    )


def _of_tables(levels: Sequence[LevelTable], arm: str) -> list[Row]:
    rows = []
    for level in levels:
        if arm not in level.table.index:
            continue
        rows_of = level.table.to_dict("index")
        found = rows_of[arm]
        printed = float("nan")
        if "published" in level.table:
            printed = float(found["published"] - rows_of[level.reference(arm)]["published"])
        rows.append(Row(level.name, found["gain"], found["gain_low"], found["gain_high"], "", printed))
    return rows


def _of_answers(answers: pd.DataFrame, arm: str, fixed: bool) -> list[Row]:
    found = []
    for question in ("here", "in general"):
        answer = answers.to_dict("index")[arm, question]
        said = f"p {p_text(answer['p'])}" if answer["able"] else f"n = {int(answer['n'])}, too few to claim"
        said = said if fixed else f"n = {int(answer['n'])}"
        found.append(Row(question, answer["effect"], answer["low"], answer["high"], said, summary=True))
    return found


def _draw(
    study: str, panels: dict[str, list[Row]], titles: dict[str, str], colours: dict[str, str], label: str, caption: str
) -> Figure:
    """Draw the panels one below the other, all on one scale."""
    names = max(len(plain(row.name, 44)) for rows in panels.values() for row in rows) * LETTER
    heights = [ROW * len(rows) + 0.45 for rows in panels.values()]
    limits = _limits([row for rows in panels.values() for row in rows])
    width = PANEL_WIDTH + names + 1.6
    lines = int(len(caption) / (width / 0.062)) + 2
    with titled(study, caption, (width, sum(heights) + 0.7 + 0.16 * lines)) as (figure, upper):
        axes = upper.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for axis, (key, rows) in zip(axes, panels.items(), strict=True):
            axis.set_xlim(*limits)
            _draw_rows(axis, rows, colours[key])
            axis.set_title(titles[key], fontsize=9)
        axes[-1].set_xlabel(label)
        return figure


def _draw_rows(axis: Axes, rows: Sequence[Row], colour: str) -> None:
    axis.axvline(0, color=BASELINE_COLOUR, linewidth=1, zorder=1)
    low, high = axis.get_xlim()
    for y, row in enumerate(rows):
        shade = "black" if row.summary else colour
        if np.isfinite(row.low):
            axis.plot([row.low, row.high], [y, y], color=shade, linewidth=2.6 if row.summary else 2, clip_on=True)
            for edge, arrow, beyond in ((low, "<", row.low < low), (high, ">", row.high > high)):
                if beyond:
                    axis.plot(edge + (high - low) * (0.012 if arrow == "<" else -0.012), y, arrow, color=shade, ms=6)
        if np.isfinite(row.estimate):
            axis.plot(row.estimate, y, "D", color=shade, markersize=6.5 if row.summary else 5, mec="white", zorder=4)
        else:
            axis.text(0, y, "  no value", va="center", color="#777777", fontsize=8)
        if np.isfinite(row.published):
            axis.plot(row.published, y, "D", mfc="white", mec=shade, markersize=8, zorder=3)
        axis.text(1.01, y, row.said, transform=axis.get_yaxis_transform(), va="center", fontsize=7.5)
    if rows[-1].summary:
        axis.axhline(len(rows) - 2.5, color="#bbbbbb", linewidth=0.8)
    axis.set_yticks(range(len(rows)), [plain(row.name, 44) for row in rows], fontsize=8)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Return ends of the axis that show every mark, and at most the marks' range of an interval on either side."""
    marks = [value for row in rows for value in (row.estimate, row.published) if np.isfinite(value)] + [0.0]
    ends = [value for row in rows for value in (row.low, row.high) if np.isfinite(value)] + [0.0]
    reach = max(max(marks) - min(marks), 1e-6)
    low, high = max(min(marks) - reach, min(marks + ends)), min(max(marks) + reach, max(marks + ends))
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad
