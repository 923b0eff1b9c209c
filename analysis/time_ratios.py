"""Tabulates the training time of each arm as a multiple of its baseline's, as in Table 2 of K-image mixing.

    python analysis/time_ratios.py kimage_table2
    python analysis/time_ratios.py kimage_table2 --out times.csv

It reads the seconds that the runs logged, of training alone. Runs on different hardware, or side by side on one GPU,
cannot be compared: the first is said, the second nobody can see afterwards. Exit codes: 0 done; 2 bad input, in one
sentence.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from analysis import command
from analysis.records.published import published_of_runs
from analysis.records.runs import FACTOR, METRIC, Plan, done, load_plan, load_runs

SECONDS = METRIC + "train_seconds_total"


def time_ratios(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the training time of every arm at every combination of factor levels.

    Args:
        runs: one row per planned cell (:func:`analysis.records.runs.load_runs`).
        plan: the plan of the study.

    Returns:
        One column a factor, ``arm``, ``runs``, ``seconds`` (the mean), ``ratio`` (over the baseline's mean; NaN where
        no baseline is done), ``paper`` (NaN where nobody printed it) and ``hardware``.

    Raises:
        ValueError: no run that is done logged its training time.
    """
    finished = done(runs)
    if SECONDS not in finished or finished[SECONDS].isna().all():
        raise ValueError("no run that is done logged its training time")
    factors = [FACTOR + name for name in plan["factors"]]
    printed = {cell: number.value for cell, number in published_of_runs(runs, plan["factors"], "time_ratio").items()}
    grouped = finished.groupby([*factors, "arm"], sort=False)
    table = grouped.agg(runs=(SECONDS, "count"), seconds=(SECONDS, "mean"), hardware=("hardware", _one_after_another))
    table = table.reset_index()
    baseline = table[table["arm"] == plan["baseline"]]
    over = {tuple(row[factor] for factor in factors): row["seconds"] for row in baseline.to_dict("records")}
    rows = [tuple(row[factor] for factor in factors) for row in table.to_dict("records")]
    table["ratio"] = [
        seconds / over.get(levels, float("nan")) for levels, seconds in zip(rows, table["seconds"], strict=True)
    ]
    table["paper"] = [printed.get((*levels, arm), float("nan")) for levels, arm in zip(rows, table["arm"], strict=True)]
    order = [*factors, "arm", "runs", "seconds", "ratio", "paper", "hardware"]
    return table[order].rename(columns=lambda name: str(name).removeprefix(FACTOR))


def _one_after_another(hardware: pd.Series) -> str:
    return "; ".join(sorted(set(hardware)))


def show(options: argparse.Namespace) -> int:
    """Print the table, and write it if asked to.

    Raises:
        BadInput: unknown store, study or plan.
        ValueError: no run that is done logged its training time.
    """
    plan = load_plan(options.tracking_uri, options.study, options.plan)
    table = time_ratios(load_runs(options.tracking_uri, options.study, plan), plan)
    digits = ["g"] * (len(table.columns) - 5) + ["g", ".1f", ".2f", ".2f", "g"]
    print(tabulate(table.astype(object), headers="keys", showindex=False, floatfmt=digits))
    if table["hardware"].nunique() > 1 or table["hardware"].str.contains(";").any():
        print("\nThe runs are of different hardware: their times cannot be compared.")
    if options.out is not None:
        table.to_csv(options.out, index=False)
        print(options.out)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit code."""
    options = command.parser("time_ratios.py", "What each arm of a study costs.", example="kimage_table2")
    options.add_argument("--out", type=Path, metavar="FILE", help="also write the table as CSV")
    return command.run("time_ratios.py", show, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
