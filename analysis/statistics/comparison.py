"""Compares two studies, or two plans of one, cell by cell: their configurations, and their results.

A cell is an arm with one level of every factor. Two cells are comparable if both studies have them.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.records.runs import CONFIG, FACTOR, done
from analysis.statistics.pairs import aligned, finite_values, metric_column
from analysis.statistics.significance import ALPHA, family_p, mean_and_sd, mean_interval, sign_flip_p
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
    only = [cell for cell in cells_a if cell not in both], [cell for cell in cells_b if cell not in both]
    rows, differences = {}, []
    for cell in both:
        first, second = (_values(mine[cell], metric, shared) for mine in (cells_a, cells_b))
        d = (second - first).dropna()
        interval = mean_interval(d)
        spreads = [mean_and_sd(side[d.index])[1] for side in (first, second)]
        rows[cell] = {
            **{"pairs": len(d), "A": first[d.index].mean(), "B": second[d.index].mean()},
            **{"gain": interval.mean, "gain_low": interval.low, "gain_high": interval.high},
            "p": math.nan if sequential else sign_flip_p(d),
            **{"sd_paired": mean_and_sd(d)[1], "sd_unpaired": math.hypot(*spreads)},
        }
        differences.append(d)
    gains = pd.DataFrame.from_dict(rows, orient="index")
    if rows:
        p_family = np.full(len(gains), math.nan) if sequential else family_p(aligned(differences))
        gains = gains.assign(p_family=p_family, differs=p_family < ALPHA)
    how = [{"what": what, "A": _words(done(a)[what]), "B": _words(done(b)[what])} for what in HOW]
    provenance = pd.DataFrame([row for row in how if row["A"] != row["B"]], columns=["what", *SIDES])
    return Comparison(_configurations(cells_a, cells_b, both), provenance, gains, only, len(shared))


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


def _configurations(a: dict[str, pd.DataFrame], b: dict[str, pd.DataFrame], cells: list[str]) -> pd.DataFrame:
    """Return the keys in which comparable cells differ, with the values of either side."""
    found: dict[str, list[tuple[str, str]]] = {}
    for cell in cells:
        first, second = (side[cell][side[cell]["run_id"] != ""] for side in (a, b))
        if first.empty or second.empty:
            continue
        for key in map(str, dict.fromkeys([*first, *second])):
            mine, theirs = (str(side[key].iloc[0]) if key in side else "" for side in (first, second))
            if key.startswith(CONFIG) and mine != theirs and key != f"{CONFIG}seed":
                found.setdefault(key.removeprefix(CONFIG), []).append((mine, theirs))
    rows = [(key, *map(_words, zip(*pairs, strict=True)), len(pairs)) for key, pairs in found.items()]
    return pd.DataFrame(rows, columns=["key", *SIDES, "cells"])


def _words(values: Iterable[object]) -> str:
    return " or ".join(dict.fromkeys(str(value) or "not set" for value in values))
