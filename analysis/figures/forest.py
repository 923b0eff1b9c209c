"""An arm's gain in every table and over all, the effects of a factorial design, and the ranks of many arms.

"Here" is the mean gain over these tables, and "in general" that over the tables as a sample of all tables; the two
questions and their tests are those of ``analysis.statistics.over_tables``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.captioned import TEXT, titled
from analysis.figures.drawing import BASELINE_COLOUR, colours_of, names_in_lines, names_of
from analysis.figures.estimates import LINE, Estimate, cut_text, draw_estimates, limits_of, row_names
from analysis.figures.letters import in_letters
from analysis.figures.naming import in_lines
from analysis.statistics.effects import effects_by_table
from analysis.statistics.over_tables import Ranking, over_tables, ranking_of
from analysis.statistics.tables import LevelTable
from analysis.words.captions import capitalised, provenance_text, unit
from analysis.words.cells import metric_rule, p_text
from analysis.words.method import correction_text, earlier_looks, sign_flip_text
from mixlab.messages import counted

ROW = 0.27  # inches, the height of an estimate
NAMES = 34  # letters of a line of a row's name
MOST_ARMS = 12  # the most arms in one figure
EFFECT_COLOUR = "#0072B2"
NO_P = "Seeds were added until each comparison was decided, so no p holds here."
NAME = 0.24  # inches, the height of a name on the line of ranks
GROUP = 0.5  # names, between two bars
ABOVE = 2.2  # names, from the top to the line
MOST_NUMBERS = 12  # on the line of ranks
Panels = Sequence[tuple[str, Sequence[Estimate]]]  # title and rows


def plot_forest(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw one panel per arm: its gain in every table, then here and in general; None if no two tables share an arm."""
    answers = over_tables(levels)
    if answers.empty:
        return None
    arms = list(dict.fromkeys(arm for arm, _ in answers.index))
    colours, names = colours_of(levels[0]), names_of(levels[0])
    fixed = levels[0].family.budget is None
    panels = [
        (
            f"{names[arm]} against {names[levels[0].reference(arm)]}",
            [*_of_tables(levels, arm, colours[arm]), *_of_answers(answers, arm, fixed)],
        )
        for arm in arms[:MOST_ARMS]
    ]
    left_out = f" Only the first {MOST_ARMS} of {len(arms)} arms are shown." if len(arms) > MOST_ARMS else ""
    if alone := [name for arm, name in names.items() if arm not in (*arms, levels[0].baseline)]:
        left_out += f" Not shown, as no two tables have a gain of it: {', '.join(alone)}."
    every = [row for _, rows in panels for row in rows]
    printed = any(np.isfinite(row.published) for row in every)
    gain = "gain" if levels[0].declared.higher_is_better else "difference"
    test = [NO_P]
    if fixed:
        p = f"p: {sign_flip_text(int(answers['n'].max()))} of that line alone."
        test = [p, earlier_looks(levels[0].family)] if answers["able"].any() else []
    published = "Hollow: the difference of the published numbers." if printed else ""
    caption = (
        f"{capitalised(metric_rule(*levels))}. Diamond and bar: mean {gain} of a table, paired by seed, with its 95 % "
        f"interval.{cut_text(every)} Here: the mean over these tables, whose interval is over the seeds that all have. "
        "In general: the tables as a sample, whose interval is over tables; it can claim something from 6 tables on. "
    )
    caption += " ".join(filter(None, [*test, published, left_out.strip(), provenance_text(*levels)]))
    return _draw(study, panels, f"{gain}, {unit(levels[0].declared)}", caption)


def plot_effects(study: str, levels: Sequence[LevelTable], design: Mapping[str, Any] | None) -> Figure | None:
    """Draw one panel per table: main effects and interactions of the plan's factorial design.

    A table without an arm of the design has no panel. It is None without a design, or where no table has a panel.
    """
    found = effects_by_table(levels, design)
    if not found:
        return None
    shown = [level for level in levels if level.name in found]
    family = levels[0].family
    fixed = family.budget is None
    panels = [(name, _of_effects(effects, fixed)) for name, effects in found.items()]
    every = [row for _, rows in panels for row in rows]
    corrected = f"p (family): corrected for all effects of a table by {correction_text(family.seeds)}."
    test = f"{corrected} {earlier_looks(family)}".rstrip() if fixed else NO_P
    key = f"Bar: t interval over the seeds' contrasts, 95 %, each effect by itself.{cut_text(every)} {test}"
    if not any(np.isfinite(row.low) for row in every):
        key = "One seed, so neither intervals nor p."
    caption = (
        "Effects of the factorial design: what a term adds on average over all combinations of the others, and by how "
        f"much that changes with another term (×). Every run serves every effect. {key} {provenance_text(*shown)}"
    )
    return _draw(study, panels, f"effect, {unit(levels[0].declared)}", caption)


def _of_effects(effects: pd.DataFrame, fixed: bool) -> list[Estimate]:
    rows = []
    for effect, (estimate, low, high, _, p) in effects.iterrows():
        note = f"p (family) {p_text(p)}" if fixed and np.isfinite(low) else ""
        rows.append(Estimate(str(effect), estimate, low, high, EFFECT_COLOUR, note))
    return rows


def _of_tables(levels: Sequence[LevelTable], arm: str, colour: str) -> list[Estimate]:
    rows = []
    for level in levels:
        if arm in level.table.index:
            by_arm = level.table.to_dict("index")
            found, printed = by_arm[arm], float("nan")
            if "published" in level.table:
                printed = float(found["published"] - by_arm[level.reference(arm)]["published"])
            ends = found["gain_low"], found["gain_high"]
            rows.append(Estimate(level.name, found["gain"], *ends, colour, published=printed))
    return rows


def _of_answers(answers: pd.DataFrame, arm: str, fixed: bool) -> list[Estimate]:
    found = []
    by_answer = answers.to_dict("index")
    for question in ("here", "in general"):
        answer = by_answer[arm, question]
        note = f"n = {int(answer['n'])}"
        if fixed:
            note = f"p {p_text(answer['p'])}" if answer["able"] else f"{note}, too few to claim"
        found.append(Estimate(question, answer["effect"], answer["low"], answer["high"], note=note, summary=True))
    return found


def _draw(study: str, panels: Panels, label: str, caption: str) -> Figure:
    """Draw the panels one below the other, all on one scale."""
    every = [row for _, rows in panels for row in rows]
    names = [name.split("\n") for name in row_names(every, NAMES).values()]
    row = ROW + LINE * (max(map(len, names)) - 1)
    titles = in_lines([title for title, _ in panels], 60)
    heights = [row * len(rows) + 0.45 + LINE * titles[title].count("\n") for title, rows in panels]
    with titled(study, caption, (TEXT, sum(heights) + 0.5)) as (figure, upper):
        axes = upper.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for axis, (title, rows) in zip(axes, panels, strict=True):
            draw_estimates(axis, rows, limits_of(every), NAMES)
            axis.set_title(titles[title])
        axes[-1].set_xlabel(in_letters(label))
        return figure


def plot_ranks(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw the mean rank of every arm, and a bar below those that do not differ; None with few arms or one table."""
    found = ranking_of(levels)
    if found is None:
        return None
    colours, names = colours_of(levels[0]), names_in_lines(levels[0], 24)
    row = NAME + LINE * max(names[str(arm)].count("\n") for arm in found.ranks.index)
    bars = 1 + GROUP * len(found.groups())  # rows
    caption = _ranks_caption(found, levels)
    height = row * ((len(found.ranks) + 1) // 2 + bars + ABOVE) + 0.73
    with titled(study, caption, (TEXT, height)) as (figure, upper):
        _draw_ranks(upper.subplots(), found, colours, names, bars)
        return figure


def _draw_ranks(axis: Axes, found: Ranking, colours: dict[str, str], names: dict[str, str], bars: float) -> None:
    """Draw the ranks on a line, the best at the left, and the names in two columns below: y is in rows."""
    count = len(found.ranks)
    half = (count + 1) // 2
    edges = 1 - 0.03 * (count - 1), count + 0.03 * (count - 1)
    axis.set_xlim(*edges)
    axis.set_ylim(bars + half + 0.2, -ABOVE)
    axis.axis("off")
    axis.plot([1, count], [0, 0], color=BASELINE_COLOUR, linewidth=1.2)
    for rank in range(1, count + 1):
        axis.plot([rank, rank], [0, -0.25], color=BASELINE_COLOUR, linewidth=1.2)
    for rank in range(1, count + 1, math.ceil(count / MOST_NUMBERS)):
        axis.text(rank, -0.4, str(rank), ha="center", va="bottom", fontsize=8)
    end = min(1 + found.difference, count)
    axis.plot([1, end], [-1.5, -1.5], color="black", linewidth=1.5, marker="|", markersize=7)
    cut = "" if found.able else ", longer than the axis"
    axis.text((1 + end) / 2, -1.6, f"critical difference {found.difference:.2f}{cut}", ha="center", va="bottom", size=8)
    for index, (arm, rank) in enumerate(found.ranks.items()):
        left = index < half
        row = bars + (index if left else count - 1 - index)
        edge = edges[0] if left else edges[1]
        colour, name = colours[str(arm)], names[str(arm)]
        axis.plot([rank, rank, edge], [0, row, row], color=colour, linewidth=1)
        # Beyond the axes, whose width the layout then fits to the names.
        align, outwards = ("right", -1) if left else ("left", 1)
        for text, points in ((f"{rank:.2f}", 3), (name, 8 + 5.6 * len(f"{found.ranks.max():.2f}"))):
            place = outwards * points, 0
            axis.annotate(text, (edge, row), place, textcoords="offset points", ha=align, va="center", fontsize=8)
    for index, group in enumerate(found.groups()):
        y = 0.5 + GROUP * index
        ends = [found.ranks[group[0]] - 0.04, found.ranks[group[-1]] + 0.04]
        axis.plot(ends, [y, y], color="black", linewidth=3.5, solid_capstyle="round", zorder=4)


def _ranks_caption(found: Ranking, levels: Sequence[LevelTable]) -> str:
    few = f" So few tables cannot tell any two of {len(found.ranks)} arms apart, however they rank."
    not_ranked = [
        name if arm in levels[0].controls else f"{name} (no value)"
        for arm, name in names_of(levels[0]).items()
        if arm not in found.ranks
    ]
    left_out = f" Not ranked: {', '.join(not_ranked)}." if not_ranked else ""
    if found.tables < len(levels):
        left_out += f" Of the {len(levels)} tables of the study, the others lack the value of an arm."
    return (
        f"{capitalised(metric_rule(*levels))}: mean rank over n = {counted(found.tables, 'table')}, of which each "
        "is one number for every arm, its mean over seeds; 1 is the best. Arms that one bar joins differ by less than "
        "the critical difference (Nemenyi, 5 % over all pairs; Demšar 2006)."
        f"{left_out}{'' if found.able else few} Friedman's test that all are alike "
        f"(Iman and Davenport): p {p_text(found.p)}. {provenance_text(*levels)}"
    )
