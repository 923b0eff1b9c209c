"""The results of a study and of each arm, in numbers and a sentence, which MLflow shows above the seeds' runs."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import pandas as pd

from analysis.records.runs import CONFIG, FACTOR, configuration
from analysis.statistics.tables import LevelTable
from analysis.words.captions import capitalised, count_text
from analysis.words.cells import cells, metric_rule
from analysis.words.conclusions import claims, evidence, over, verdict
from analysis.words.rendering import escape_markdown, markdown_tables
from mixlab.spec.trial import cell_name

OF_ARM = ("sd", "gain", "gain_low", "gain_high", "p_family", "e_family", "n")  # columns of the table


class Summary(NamedTuple):
    """The metrics and the text of one run."""

    metrics: dict[str, float]
    text: str  # Markdown


def of_study(levels: Sequence[LevelTable]) -> Summary:
    """Return the summary of a study's run: how many gains were tested, how many are wins, and the tables."""
    finished = sum(int(level.table["n"].sum()) for level in levels)
    compared = sum(level.comparisons for level in levels)
    metrics = {"wins": float(len(claims(levels))), "comparisons": float(compared), "runs": float(finished)}
    lines = [verdict(levels), *(f"- {escape_markdown(claim)}" for claim in claims(levels))]
    return Summary(metrics, "\n".join(lines) + f"\n\n{markdown_tables(levels)}\n")


def of_arms(levels: Sequence[LevelTable]) -> dict[str, Summary]:
    """Return the summary of every cell's run, such as ``cutmix · + lam``: its row of the table and its configuration.

    The mean has the name of the metric, so that it appears in one column with the values of the seeds. A number has the
    decimals of the table, and all of its own where these would be zero.
    """
    runs = pd.concat([level.runs for level in levels])
    _, differing = configuration(runs, list(levels[0].levels))
    found = {}
    for level in levels:
        shown = cells(level)
        for (arm, row), text in zip(level.table.iterrows(), shown.to_dict("records"), strict=True):
            cell = cell_name(level.levels.values(), str(arm))
            values = {level.metric: row["mean"], **{name: row[name] for name in OF_ARM if name in row}}
            digits = {name: 4 if name == "p_family" else level.declared.digits for name in values}
            known = {name: float(value) for name, value in values.items() if not math.isnan(value)}
            metrics = {name: round(value, digits[name]) or value for name, value in known.items()}
            found[cell] = Summary(metrics, _sentences(level, str(arm), text, differing))
    return found


def _sentences(level: LevelTable, arm: str, text: dict[Hashable, str], differing: pd.DataFrame) -> str:
    """Return the row of an arm in words, and the values that its study varies."""
    said = "baseline" if arm == level.baseline else text["verdict"]  # first, because MLflow's list shows 50 letters
    mean = f"{text['mean ± sd']} over {count_text(text['n'], 'seed')}"
    gain = f"; gain {text['gain']}{over(text)}, 95 % interval {text['95 % interval']}, {evidence(text)}"
    first = f"{said}: {mean}{gain if arm != level.baseline else ''}."
    mine = differing[differing["arm"] == arm]
    for factor, value in level.levels.items():
        mine = mine[mine[FACTOR + factor] == str(value)]
    settings = [
        f"- `{str(key).removeprefix(FACTOR).removeprefix(CONFIG)} = {' or '.join(mine[key].unique())}`"
        for key in differing
        if key != "arm" and len(mine)
    ]
    return "\n\n".join([escape_markdown(first), f"{capitalised(metric_rule(level))}.", "\n".join(settings)]).strip()
