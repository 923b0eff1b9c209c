"""The conclusions of a study, which claim no more than the study's family of comparisons allows.

MLflow shows those of the study, and of each arm, above the seeds' runs: as numbers, and as a sentence.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.records.runs import CONFIG, FACTOR, configuration
from analysis.statistics.significance import ALPHA
from analysis.statistics.tables import LevelTable
from analysis.statistics.verdicts import DIFFERS, EQUAL, GIVEN_UP, NO_BETTER, NO_WORSE, TOO_FEW, UNDECIDED, WIN, WORSE
from analysis.words.captions import capitalised, listed, span_text
from analysis.words.cells import cells, metric_rule, number_text
from analysis.words.method import ALONE
from analysis.words.notes import NOT_YET
from analysis.words.rendering import escape_markdown, markdown_tables
from mixlab.messages import counted
from mixlab.spec.trial import cell_name

# verdict: what one comparison is, and what several are, in the order of the sentence
WORDS = {
    WIN: ("is a gain", "are gains"),
    WORSE: ("is a loss", "are losses"),
    DIFFERS: ("differs", "differ"),
    EQUAL: ("is equal", "are equal"),
    NO_WORSE: ("is no worse", "are no worse"),
    NO_BETTER: ("is no better", "are no better"),
    UNDECIDED: ("is not decided", "are not decided"),
    GIVEN_UP: ("was given up", "were given up"),
    TOO_FEW: ("has too few seeds", "have too few seeds"),
}
WITHIN_DELTA = (EQUAL, NO_WORSE, NO_BETTER)
NUMBERS = ("gain", "gain_low", "gain_high", "p", "p_family", "e", "e_family")  # the numbers of a verdict
OF_ARM = ("sd", "gain", "gain_low", "gain_high", "p_family", "e_family", "n")  # columns of the table
EVIDENCE = ("p (family)", "e (family)")  # columns of the cells, of which a table has one


class Compared(NamedTuple):
    """An arm that was compared with another, and its row of the table."""

    level: LevelTable
    arm: str
    row: pd.Series


def answer(levels: Sequence[LevelTable]) -> str:
    """Return what a study says of all its comparisons together, with the numbers of seeds and the largest gain."""
    rows = _compared(levels)
    planned = sum(len(level.table) - 1 for level in levels)
    if not planned:
        return ALONE
    if not rows:
        return "Nothing was compared: no arm has a seed in common with what it is compared with."
    missing = planned - len(rows)
    have = "has" if missing == 1 else "have"
    left_out = f" {counted(missing, 'further comparison')} {have} no seed in common." if missing else ""
    by_verdict = {verdict: [each for each in rows if each.row["verdict"] == verdict] for verdict in WORDS}
    said = listed([_part(verdict, mine) for verdict, mine in by_verdict.items() if mine])
    rest = left_out + (f" {NOT_YET}" if _unfinished(levels) else "")
    seeds = counted(span_text(int(each.row["pairs"]) for each in rows), "seed")
    if len(rows) == 1:
        one = "One comparison" if missing else "The one comparison"
        return f"{one}, paired over {seeds}, {said.removeprefix('1 ')}.{rest}"
    family = levels[0].family
    together = "in each table" if family.scope == "table" and family.tables > 1 else "together"
    held = f"paired over {seeds} and held {together} to an error rate of {100 * ALPHA:g} %"
    if any(by_verdict[verdict] for verdict in WITHIN_DELTA):  # tests of their own
        held += f", with another {100 * ALPHA:g} % for either bound of delta"
    return f"Of {len(rows)} comparisons, {held}, {said}.{rest}"


def _compared(levels: Sequence[LevelTable]) -> list[Compared]:
    return [
        Compared(level, str(arm), row)
        for level in levels
        for arm, row in level.table.iterrows()
        if row["verdict"] in WORDS  # that of the baseline is empty
    ]


def _unfinished(levels: Sequence[LevelTable]) -> bool:
    return any(level.family.unfinished for level in levels)


def _part(verdict: str, rows: Sequence[Compared]) -> str:
    """Return how many comparisons have a verdict, such as ``2 are gains (the largest: ...)``."""
    several = len(rows) > 1
    text = f"{len(rows)} {WORDS[verdict][several]}"
    if verdict in WITHIN_DELTA:
        text += f" within {rows[0].level.family.delta:g}"
    if verdict in (WIN, WORSE):
        largest = max(rows, key=lambda each: abs(each.row["gain"]))
        text += f" ({'the largest: ' if several else ''}{_named(*largest)})"
    return text


def _named(level: LevelTable, arm: str, row: pd.Series) -> str:
    unit = "points" if level.declared.unit == "%" else level.declared.unit
    number, low, high = gain_texts(level, row)
    gain = f"{number} {unit}".rstrip()
    where = f"{level.name}: " if level.levels else ""
    return f"{where}{arm}{level.role(arm)} over {level.reference(arm)}, {gain}, 95 % interval {low} to {high}"


def gain_texts(level: LevelTable, row: pd.Series) -> list[str]:
    """Return a gain and the ends of its interval, as the table shows them."""
    return [number_text(row[name], level.declared.digits, "+") for name in ("gain", "gain_low", "gain_high")]


def claims(levels: Sequence[LevelTable]) -> list[str]:
    """Return a line for every gain that is a win."""
    lines = []
    for level in levels:
        shown, where = cells(level).to_dict("index"), f"{level.name}, " if level.levels else ""
        for arm, row in level.table[level.table["win"]].iterrows():
            text = shown[arm]
            gain, low, high = gain_texts(level, row)
            interval = f"95 % interval {low} to {high}, {evidence(text)}"
            lines.append(f"{where}{text['arm']}{over(text)}: {gain} ({interval})")
    return lines


def verdict(levels: Sequence[LevelTable]) -> str:
    """Return a sentence on how many gains can be claimed."""
    compared = sum(level.comparisons for level in levels)
    wins = sum(int(level.table["win"].sum()) for level in levels)
    if not compared:
        return "No gain can be claimed: nothing was compared."
    so_far = " so far" if _unfinished(levels) else ""
    if not wins:
        which = "the one comparison is not" if compared == 1 else f"none of the {compared} comparisons is"
        return f"No gain can be claimed{so_far}: {which} a win."
    return f"Gains claimed{so_far}, {wins} of {counted(compared, 'comparison')}:"


def verdicts(levels: Sequence[LevelTable]) -> list[dict[str, Any]]:
    """Return the verdict on every comparison, as JSON can hold it.

    Each has ``table`` (the level of each factor), ``arm``, ``against``, ``verdict``, ``pairs``, and those of
    ``NUMBERS`` that its table has, null where there is no number.
    """
    return [
        {
            "table": dict(level.levels),
            "arm": str(arm),
            "against": level.reference(str(arm)),
            "verdict": row["verdict"],
            "pairs": int(row["pairs"]),
            **{name: None if pd.isna(row[name]) else float(row[name]) for name in NUMBERS if name in row},
        }
        for level in levels
        for arm, row in level.table.iterrows()
        if arm != level.baseline
    ]


def over(text: Mapping[Hashable, str]) -> str:
    """Return the arm that a gain is over, such as `` over + lam``; nothing where it is the baseline for all arms."""
    return f" over {text['against']}" if text.get("against") else ""


def evidence(text: Mapping[Hashable, str]) -> str:
    """Return what decides a comparison, such as ``p (family) 0.0312``."""
    return ", ".join(f"{name} {text[name]}" for name in EVIDENCE if name in text)


class Summary(NamedTuple):
    """The metrics and the text of one run."""

    metrics: dict[str, float]
    text: str  # Markdown


def of_study(levels: Sequence[LevelTable]) -> Summary:
    """Return the summary of a study's run: how many gains were tested, how many are wins, and the tables."""
    finished = sum(int(level.table["n"].sum()) for level in levels)
    compared = sum(level.comparisons for level in levels)
    claimed = claims(levels)
    metrics: dict[str, float] = {"wins": len(claimed), "comparisons": compared, "runs": finished}
    lines = [verdict(levels), *(f"- {escape_markdown(claim)}" for claim in claimed)]
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
            digits = dict.fromkeys(values, level.declared.digits) | {"p_family": 4, "e_family": 2}
            known = {name: float(value) for name, value in values.items() if not math.isnan(value)}
            metrics = {name: round(value, digits[name]) or value for name, value in known.items()}
            found[cell] = Summary(metrics, _sentences(level, str(arm), text, differing))
    return found


def _sentences(level: LevelTable, arm: str, text: dict[Hashable, str], differing: pd.DataFrame) -> str:
    """Return the row of an arm in words, and the values that its study varies."""
    said = f"{text['verdict']}{' so far' if level.family.unfinished else ''}" if arm != level.baseline else "baseline"
    first = f"{said}: {text['mean ± sd']} over {counted(text['n'], 'seed')}"  # MLflow's list shows 50 letters
    if level.table.loc[arm, "n"] == 0:
        first = f"no value: n = {text['n']}"
    elif level.table.loc[arm, "pairs"]:
        first += f"; gain {text['gain']}{over(text)}, 95 % interval {text['95 % interval']}, {evidence(text)}"
    mine = differing[differing["arm"] == arm]
    for factor, value in level.levels.items():
        mine = mine[mine[FACTOR + factor] == str(value)]
    settings = [
        f"- `{str(key).removeprefix(FACTOR).removeprefix(CONFIG)} = {' or '.join(mine[key].unique())}`"
        for key in differing
        if key != "arm" and len(mine)
    ]
    return "\n\n".join(
        [escape_markdown(f"{first}."), f"{capitalised(metric_rule(level))}.", "\n".join(settings)]
    ).strip()
