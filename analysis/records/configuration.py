"""The configuration of the runs of a study, and their provenance."""

from collections.abc import Sequence

import pandas as pd

from analysis.records.runs import CONFIG, FACTOR


def configuration(runs: pd.DataFrame, factors: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the settings that all runs share, ``key`` and ``value``, and those in which the cells differ.

    The latter have the columns ``factor.NAME``, ``arm``, and ``config.KEY`` for every key that differs. All is text.
    """
    started = runs[runs["run_id"] != ""]
    columns = [name for name in map(str, runs) if name.startswith(CONFIG) and name != f"{CONFIG}seed"]
    shared = [name for name in columns if started[name].nunique() == 1]
    pairs = [(name.removeprefix(CONFIG), started[name].iloc[0]) for name in shared]
    differing = [name for name in columns if name not in shared and name.removeprefix(CONFIG) not in factors]
    cells = started[[*(FACTOR + name for name in factors), "arm", *differing]].drop_duplicates().astype(str)
    return pd.DataFrame(pairs, columns=["key", "value"]), cells


def provenance(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the number of ``runs`` from each ``commit``, ``uncommitted changes``, ``data`` and ``hardware``."""
    started = runs[runs["run_id"] != ""]
    counts = started.groupby(["commit", "dirty", "data", "hardware"], sort=False).size().reset_index(name="runs")
    counts["dirty"] = counts["dirty"].map({True: "yes", False: "no"})
    return counts.rename(columns={"dirty": "uncommitted changes"}).astype(str)
