"""Compares two studies, or two plans of one: their configurations, and their results.

    python analysis/compare.py ablation_cifar100 ablation_cub
    python analysis/compare.py ablation_cifar100@1a2b ablation_cifar100@3c4d

A gain is B minus A, paired by seed, of every cell (an arm with one level of each factor) that both have: those are
comparable.
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from analysis import command
from analysis.records.runs import CONFIG, FACTOR, all_over, done, load_plan, load_runs, metric_of
from analysis.statistics.pairs import aligned, finite_values, metric_column
from analysis.statistics.significance import ALPHA, FEWEST_PAIRS, family_p, mean_and_sd, mean_interval, sign_flip_p
from analysis.words.cells import interval_text, number_text, p_text
from analysis.words.rendering import grid
from mixlab.messages import counted
from mixlab.spec.metric import Metric
from mixlab.spec.trial import cell_name

HOW = ("commit", "patch", "data", "hardware", "versions")  # how the numbers were obtained
SIDES = ("A", "B")


class Comparison(NamedTuple):
    """The differences between study A and study B."""

    configuration: pd.DataFrame  # columns key, A, B, cells: the number of comparable cells that differ in that key
    provenance: pd.DataFrame  # columns what, A, B: only the differences
    gains: pd.DataFrame  # index cell; B minus A, paired by seed
    only: tuple[list[str], list[str]]  # cells that only A has, and only B
    same: int  # runs that both plans share
    unfinished: list[str]  # the sides, of a fixed number of seeds, of which not every compared cell is over


def compare(a: pd.DataFrame, b: pd.DataFrame, metric: str, *, sequential: bool = False) -> Comparison:
    """Compare a number of the runs of two studies, each with one row per planned cell.

    If seeds were added to either until its comparisons were decided, ``sequential``, no p holds, and each is NaN.

    Returns:
        The differences. The gains have the columns ``pairs``, ``A`` and ``B`` (means), ``gain``, ``gain_low``,
        ``gain_high``, ``p``, ``sd_paired`` and ``sd_unpaired`` (of a difference, as it is and as it would be between
        runs of different seeds), ``p_family`` (over the comparable cells) and ``differs``. Runs that both share are not
        counted in them.

    Raises:
        ValueError: a study lacks the metric, or has two runs of a cell and seed because the other lacks its factor.
    """
    for side, runs in zip(SIDES, (a, b), strict=True):
        if metric_column(runs, metric) not in runs:
            raise ValueError(f"no run of {side} logged the metric {metric!r}")
    factors = [name for name in map(str, a) if name.startswith(FACTOR) and name in b]
    shared = set(done(a)["run_id"]) & set(done(b)["run_id"]) - {""}
    cells_a, cells_b = _cells(a, factors, "A"), _cells(b, factors, "B")
    both = [cell for cell in cells_a if cell in cells_b]
    values_of = partial(_values, metric=metric, shared=shared)
    pairs = {cell: (values_of(cells_a[cell]), values_of(cells_b[cell])) for cell in both}
    sides = zip(SIDES, (cells_a, cells_b), strict=True)
    unfinished = [side for side, cells in sides if not (sequential or all(all_over(cells[cell]) for cell in both))]
    return Comparison(
        configuration=_configurations(cells_a, cells_b, both),
        provenance=_provenance(done(a), done(b)),
        gains=_gains(pairs, sequential),
        only=([cell for cell in cells_a if cell not in both], [cell for cell in cells_b if cell not in both]),
        same=len(shared),
        unfinished=unfinished,
    )


def _cells(runs: pd.DataFrame, factors: list[str], side: str) -> dict[str, pd.DataFrame]:
    """Return the rows of every cell by its name, such as ``cutmix · + lam``."""
    found = {}
    for (*levels, arm), rows in runs.groupby([*factors, "arm"], sort=False):
        name = cell_name(map(str, levels), str(arm))
        if rows["seed"].duplicated().any():
            raise ValueError(f"{side} has several runs of {name!r} and one seed: it has a factor that the other lacks")
        found[name] = rows
    return found


def _values(rows: pd.DataFrame, metric: str, shared: set[str]) -> pd.Series:
    """Return the metric by seed, where it is finite, of the runs that are done and not shared."""
    mine = done(rows)
    return finite_values(mine[~mine["run_id"].isin(shared)].set_index("seed"), metric).dropna()


def _gains(pairs: Mapping[str, tuple[pd.Series, pd.Series]], sequential: bool) -> pd.DataFrame:
    """Return the row of every cell, from the seeds that both sides have; ``p_family`` and ``differs`` are over all."""
    rows, differences = {}, []
    for cell, sides in pairs.items():
        difference = (sides[1] - sides[0]).dropna()
        first, second = (side[difference.index] for side in sides)
        rows[cell] = {
            "pairs": len(difference),
            "A": first.mean(),
            "B": second.mean(),
            **dict(zip(("gain", "gain_low", "gain_high"), mean_interval(difference), strict=True)),
            "p": math.nan if sequential else sign_flip_p(difference),
            "sd_paired": mean_and_sd(difference)[1],
            "sd_unpaired": math.hypot(mean_and_sd(first)[1], mean_and_sd(second)[1]),
        }
        differences.append(difference)
    gains = pd.DataFrame.from_dict(rows, orient="index")
    if rows:
        gains["p_family"] = math.nan if sequential else family_p(aligned(differences))
        gains["differs"] = gains["p_family"] < ALPHA
    return gains


def _configurations(a: dict[str, pd.DataFrame], b: dict[str, pd.DataFrame], cells: list[str]) -> pd.DataFrame:
    """Return the keys in which comparable cells differ, with the values of either side."""
    found: dict[str, list[tuple[str, str]]] = {}
    for cell in cells:
        first, second = _configuration(a[cell]), _configuration(b[cell])
        for key in dict.fromkeys([*first, *second]) if first and second else ():
            pair = first.get(key, ""), second.get(key, "")
            if pair[0] != pair[1]:
                found.setdefault(key, []).append(pair)
    rows = [(key, *map(_words, zip(*pairs, strict=True)), len(pairs)) for key, pairs in found.items()]
    return pd.DataFrame(rows, columns=["key", *SIDES, "cells"])


def _configuration(rows: pd.DataFrame) -> dict[str, str]:
    """Return the configuration of a cell, without the seed, as text; empty if the cell has no run yet."""
    started = rows[rows["run_id"] != ""]
    keys = [key for key in map(str, started) if key.startswith(CONFIG) and key != f"{CONFIG}seed"]
    return {key.removeprefix(CONFIG): str(started[key].iloc[0]) for key in keys} if len(started) else {}


def _provenance(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return how the numbers of the runs were obtained, where that differs."""
    how = [{"what": what, "A": _words(a[what]), "B": _words(b[what])} for what in HOW]
    return pd.DataFrame([row for row in how if row["A"] != row["B"]], columns=["what", *SIDES])


def _words(values: Iterable[object]) -> str:
    return " or ".join(dict.fromkeys(str(value) or "not set" for value in values))


def comparison_text(found: Comparison, metric: str, declared: Metric, *, sequential: bool = False) -> str:
    """Return a comparison for a terminal; arguments as for :func:`compare`."""
    digits, gains = declared.digits, found.gains
    blocks = [
        _block("Configuration of the cells that both have", found.configuration, "It is the same in every key."),
        _block("How the numbers were obtained", found.provenance, "Code, data, hardware and versions are the same."),
    ]
    if gains.empty:
        blocks.append("No cell can be compared: the two have no arm with the same levels in common.")
    else:
        value, difference = partial(number_text, digits=digits), partial(number_text, digits=digits, sign="+")
        ends = zip(gains["gain_low"], gains["gain_high"], strict=True)
        shown = pd.DataFrame(
            {
                "cell": gains.index,
                "pairs": gains["pairs"].astype(str),
                "A": gains["A"].map(value),
                "B": gains["B"].map(value),
                "gain": gains["gain"].map(difference),
                "95 % interval": [interval_text(low, high, digits) for low, high in ends],
                "p": gains["p"].map(p_text),
                "p (family)": gains["p_family"].map(p_text),
                "sd paired": gains["sd_paired"].map(value),
                "sd unpaired": gains["sd_unpaired"].map(value),
            }
        )
        blocks.append(f"{metric}: B minus A, paired by seed\n\n{grid(shown)}")
        blocks.append(_conclusion(gains, sequential))
        if gains["sd_paired"].notna().any():
            blocks[-1] += (
                " Sd paired is that of a difference between runs of one seed, sd unpaired what it would be between runs"
                " of different seeds: where they are alike, pairing by seed is worth nothing."
            )
    if found.unfinished:
        blocks.append(f"Not every seed of {' and '.join(found.unfinished)} is done yet: p holds once all are.")
    for side, cells in zip(SIDES, found.only, strict=True):
        if cells:
            blocks.append(f"Only in {side}: {', '.join(cells)}.")
    if found.same:
        blocks.append(f"Runs that both share, and that are not counted: {found.same}.")
    return "\n\n".join(blocks)


def _conclusion(gains: pd.DataFrame, sequential: bool) -> str:
    """Return how many cells differ, or why nobody can say."""
    pairs, compared = int(gains["pairs"].max()), int((gains["pairs"] > 0).sum())
    if not compared:
        return "No cell has a seed in common that is not of a shared run, so nothing is compared."
    if sequential:
        stopped = "Seeds were added until a comparison was decided, so no p holds"
        return f"{stopped}; the interval takes the seeds for a number fixed beforehand."
    which = f"{counted(compared, 'cell')}{' with pairs' if compared < len(gains) else ''}"
    differ = int(gains["differs"].sum())
    answer = f"{differ} {'differs' if differ == 1 else 'differ'} (p (family) < {ALPHA})"
    if pairs < FEWEST_PAIRS:
        answer = f"with {counted(pairs, 'pair')} none can be told apart, at least {FEWEST_PAIRS} would be needed"
    return f"p (family) is corrected for the {which}; {answer}."


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON can hold it: a list of records for each table, null where there is no number."""
    gains = found.gains.reset_index(names="cell")
    tables = {"configuration": found.configuration, "provenance": found.provenance, "gains": gains}
    records = {name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in tables.items()}
    only = dict(zip(SIDES, found.only, strict=True))
    return {**records, "only": only, "shared_runs": found.same, "unfinished": found.unfinished}


def _block(title: str, table: pd.DataFrame, empty: str) -> str:
    return f"{title}\n\n{grid(table, words=True) if len(table) else empty}"


def _work(options: argparse.Namespace) -> int:
    runs, plans = [], []
    for name in (options.a, options.b):
        study, _, plan_hash = name.partition("@")
        plans.append(load_plan(options.tracking_uri, study, plan_hash or None))
        runs.append(load_runs(options.tracking_uri, study, plans[-1]))
    metric = options.metric or plans[0]["metric"]
    sequential = any(plan.get("sequential") for plan in plans)
    found = compare(runs[0], runs[1], metric, sequential=sequential)
    comparison = comparison_text(found, metric, metric_of(plans[0], metric), sequential=sequential)
    text = f"A: {options.a}\nB: {options.b}\n\n{comparison}"
    if options.json:
        text = json.dumps({"A": options.a, "B": options.b, "metric": metric, **as_json(found)}, indent=2)
    return command.finish([], text)


parser = command.parser("compare.py", "Compare two studies, or two plans of one.")
parser.add_argument("a", metavar="A", help="name of a study, or STUDY@HASH for an earlier plan of it")
parser.add_argument("b", metavar="B", help="the study or plan to compare it with")
parser.add_argument("--metric", metavar="NAME", help="compare this metric (default: that of the plan of A)")
parser.add_argument("--json", action="store_true", help="print the comparison as JSON instead")
main = command.main(__name__, _work, parser)
