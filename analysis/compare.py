"""Compares two studies, or two plans of one: their configurations, and their results.

    python analysis/compare.py ablation_cifar100 ablation_cub
    python analysis/compare.py ablation_cifar100@1a2b ablation_cifar100@3c4d

A gain is B minus A, paired by seed, of every cell (an arm with one level of each factor) that both have.
"""

import argparse
import json
from functools import partial
from typing import Any

import pandas as pd
from tabulate import tabulate

from analysis import command
from analysis.records.runs import load_plan, load_runs, metric_of
from analysis.statistics.comparison import Comparison, compare
from analysis.statistics.significance import ALPHA, FEWEST_PAIRS
from analysis.words.captions import count_text
from analysis.words.cells import interval_text, number_text, p_text
from mixlab.spec.metric import Metric


def comparison_text(found: Comparison, metric: str, declared: Metric, *, sequential: bool = False) -> str:
    """Return a comparison for a terminal; arguments as for :func:`analysis.statistics.comparison.compare`."""
    digits = declared.digits
    blocks = [
        _block("Configuration of the cells that both have", found.configuration, "It is the same in every key."),
        _block("How the numbers were obtained", found.provenance, "Code, data, hardware and versions are the same."),
    ]
    if found.gains.empty:
        blocks.append("No cell can be compared: the two have no arm with the same levels in common.")
    else:
        gains = found.gains
        value, difference = partial(number_text, digits=digits), partial(number_text, digits=digits, sign="+")
        ends = zip(gains["gain_low"], gains["gain_high"], strict=True)
        shown = pd.DataFrame(
            {
                **{"cell": gains.index, "pairs": gains["pairs"].astype(str)},
                **{"A": gains["A"].map(value), "B": gains["B"].map(value), "gain": gains["gain"].map(difference)},
                "95 % interval": [interval_text(low, high, digits) for low, high in ends],
                **{"p": gains["p"].map(p_text), "p (family)": gains["p_family"].map(p_text)},
                **{"sd paired": gains["sd_paired"].map(value), "sd unpaired": gains["sd_unpaired"].map(value)},
            }
        )
        blocks.append(f"{metric}: B minus A, paired by seed\n\n{_grid(shown)}")
        blocks.append(
            f"{_conclusion(gains, sequential)} Sd paired is that of a difference between runs of one seed, sd unpaired "
            "what it would be between runs of different seeds: where they are alike, pairing by seed is worth nothing."
        )
    for side, cells in zip(("A", "B"), found.only, strict=True):
        if cells:
            blocks.append(f"Only in {side}: {', '.join(cells)}.")
    if found.same:
        blocks.append(f"Runs that both share, and that are not counted: {found.same}.")
    return "\n\n".join(blocks)


def _conclusion(gains: pd.DataFrame, sequential: bool) -> str:
    """Return how many cells differ, or why nobody can say."""
    if sequential:
        return "Seeds were added until a comparison was decided, so no p holds."
    pairs, compared = int(gains["pairs"].max()), int((gains["pairs"] > 0).sum())
    if not compared:
        return "No cell has a seed in common that is not of a shared run, so nothing is compared."
    which = f"{count_text(compared, 'cell')}{' with pairs' if compared < len(gains) else ''}"
    told = f"{int(gains['differs'].sum())} differ (p (family) < {ALPHA})"
    if pairs < FEWEST_PAIRS:
        told = f"with {count_text(pairs, 'pair')} none can be told apart, at least {FEWEST_PAIRS} would be needed"
    return f"p (family) is corrected for the {which}; {told}."


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON can hold it: a list of records for each table, null where there is no number."""
    tables = {
        "configuration": found.configuration,
        "provenance": found.provenance,
        "gains": found.gains.reset_index(names="cell"),
    }
    records = {name: json.loads(table.to_json(orient="records", double_precision=15)) for name, table in tables.items()}
    return {**records, "only": dict(zip(("A", "B"), found.only, strict=True)), "shared_runs": found.same}


def _block(title: str, table: pd.DataFrame, empty: str) -> str:
    return f"{title}\n\n{_grid(table) if len(table) else empty}"


def _grid(table: pd.DataFrame) -> str:
    return str(tabulate(table.astype(str), headers="keys", showindex=False, disable_numparse=True))


def show(options: argparse.Namespace) -> int:
    """Print the comparison."""
    runs, plans = [], []
    for name in (options.a, options.b):
        study, _, plan_hash = name.partition("@")
        plans.append(load_plan(options.tracking_uri, study, plan_hash or None))
        runs.append(load_runs(options.tracking_uri, study, plans[-1]))
    metric = options.metric or plans[0]["metric"]
    sequential = any(plan.get("sequential") for plan in plans)
    found = compare(runs[0], runs[1], metric, sequential=sequential)
    said = comparison_text(found, metric, metric_of(plans[0], metric), sequential=sequential)
    text = f"A: {options.a}\nB: {options.b}\n\n{said}"
    if options.json:
        text = json.dumps({"A": options.a, "B": options.b, "metric": metric, **as_json(found)}, indent=2)
    return command.finish([], text)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = command.parser("compare.py", "Compare two studies, or two plans of one.")
    parser.add_argument("a", metavar="A", help="name of a study, or STUDY@HASH for an earlier plan of it")
    parser.add_argument("b", metavar="B", help="the study or plan to compare it with")
    parser.add_argument("--metric", metavar="NAME", help="compare this metric (default: that of the plan of A)")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON instead")
    return command.run(show, parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
