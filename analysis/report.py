"""One self-contained page about a study: tables, plots, configuration, provenance and what failed.

    python analysis/report.py ablation_cifar100 --out report.html

Reads what MLflow holds, takes seconds and a request a run for the curves. Exit codes: 0 done; 2 bad input, in one
sentence. The page loads nothing from elsewhere, so it can be sent by mail.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import command
from analysis.ablation_table import study_table
from analysis.captions import power_heading
from analysis.cells import p_text, power_cells
from analysis.lambdas import load_histograms, plot_lambda
from analysis.page import image, page
from analysis.plots import plot_curves, plot_gains
from analysis.rendering import html_grid, html_tables
from analysis.runs import Plan, load_curves, load_plan
from analysis.tables import LevelTable

MOST_CURVES = 500  # runs whose curves are read, a request each


def write_report(
    tracking_uri: str, study: str, out: Path, plan: Plan | None = None, levels: Sequence[LevelTable] | None = None
) -> Path:
    """Write the page; returns its file.

    Args:
        tracking_uri: where MLflow keeps its runs, e.g. ``sqlite:///mlflow.db``.
        study: name of the study.
        out: the file; its folder is made if it is not there.
        plan: the plan whose cells are wanted; by default the one used last.
        levels: the tables of that plan, where they have been made already.

    Raises:
        ValueError: unknown store or study, or no finished run; nothing is written then.
    """
    plan = plan if plan is not None else load_plan(tracking_uri, study)
    if levels is None:
        levels = study_table(tracking_uri, study, plan).levels
    runs = pd.concat([level.runs for level in levels])
    curves = load_curves(tracking_uri, _first_seeds(runs))
    sections = [
        ("Summary", summary(levels)),
        ("Results", html_tables(levels)),
        ("Gains", image(plot_gains(study, levels), "The gain of every arm over the baseline, with its interval")),
        ("Training", _note(curves, runs) + image(plot_curves(study, curves, levels), "Top-1 accuracy by epoch")),
        *_lambda(tracking_uri, study, levels),
        ("How many seeds it would take", _power(levels)),
        ("Configuration", _configuration(runs, list(plan["factors"]))),
        ("Where the runs come from", html_grid(provenance(runs), words=True)),
        ("What failed", _failures(runs, list(plan["factors"]))),
    ]
    title = html.escape(study)
    body = "\n".join(f"<section>\n<h2>{name}</h2>\n{content}\n</section>" for name, content in sections)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(title, f"<h1>{title}</h1>\n{body}"), encoding="utf-8")
    return out


def summary(levels: Sequence[LevelTable]) -> str:
    """The claims of all tables, as a list; and that there is none where there is none."""
    claims = [
        f"{f'{level.name}, ' if level.levels else ''}{arm}: {row['gain']:+.2f} (95 % interval "
        f"{row['gain_low']:+.2f} to {row['gain_high']:+.2f}, p after Holm's correction {p_text(row['p_holm'])})"
        for level in levels
        for arm, row in level.table[level.table["win"]].iterrows()
    ]
    compared = sum(level.comparisons for level in levels)
    if not claims:
        return f"<p>No gain can be claimed: none of the {compared} comparisons is significant.</p>"
    items = "\n".join(f"<li>{html.escape(claim)}</li>" for claim in claims)
    return f"<p>Gains claimed, {len(claims)} of {compared} comparisons:</p>\n<ul>\n{items}\n</ul>"


def configuration(runs: pd.DataFrame, factors: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What every run shares, and what makes the cells differ.

    Returns:
        Columns ``key``, ``value``; and columns of the factors, ``arm``, and one per key that differs. All text.
    """
    started = runs[runs["run_id"] != ""]
    columns = [name for name in map(str, runs) if name.startswith("config.") and name != "config.seed"]
    shared = [name for name in columns if started[name].nunique() == 1]
    pairs = [(name.removeprefix("config."), started[name].iloc[0]) for name in shared]
    differing = [name for name in columns if name not in shared and name.removeprefix("config.") not in factors]
    cells = started[[*factors, "arm", *differing]].drop_duplicates().astype(str)
    cells.columns = pd.Index([str(name).removeprefix("config.") for name in cells.columns])
    return pd.DataFrame(pairs, columns=["key", "value"]), cells


def provenance(runs: pd.DataFrame) -> pd.DataFrame:
    """How many runs come from which code and data: ``commit``, ``uncommitted changes``, ``data``, ``runs``."""
    started = runs[runs["run_id"] != ""]
    counts = started.groupby(["commit", "dirty", "data"], sort=False).size().reset_index(name="runs")
    counts["dirty"] = counts["dirty"].map({True: "yes", False: "no"})
    return counts.rename(columns={"dirty": "uncommitted changes"}).astype(str)


def _configuration(runs: pd.DataFrame, factors: Sequence[str]) -> str:
    shared, cells = configuration(runs, factors)
    return (
        f"<h3>Of each arm</h3>\n{html_grid(cells, words=True)}\n<h3>Of every run</h3>\n{html_grid(shared, words=True)}"
    )


def _failures(runs: pd.DataFrame, factors: Sequence[str]) -> str:
    failed = runs[runs["status"] == "failed"]
    if failed.empty:
        return "<p>Nothing.</p>"
    return html_grid(failed[[*factors, "arm", "seed", "error"]].astype(str), words=True)


def _power(levels: Sequence[LevelTable]) -> str:
    parts = [f"<p>{html.escape(power_heading(levels[0]))}.</p>"]
    for level in levels:
        parts += [f"<h3>{html.escape(level.name)}</h3>"] if level.levels else []
        parts.append(html_grid(power_cells(level)))
    return "\n".join(parts)


def _first_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """All runs, or those of the first seeds where reading each run's curve would take minutes."""
    seeds = sorted(runs["seed"].unique())
    most = max(1, MOST_CURVES * len(seeds) // max(1, len(runs)))
    return runs[runs["seed"].isin(seeds[:most])]


def _note(curves: pd.DataFrame, runs: pd.DataFrame) -> str:
    drawn, all_seeds = curves["seed"].nunique(), runs["seed"].nunique()
    return f"<p>The first {drawn} of {all_seeds} seeds.</p>" if 0 < drawn < all_seeds else ""


def _lambda(tracking_uri: str, study: str, levels: Sequence[LevelTable]) -> list[tuple[str, str]]:
    """The section about lambda, where SUMix learned it."""
    histograms = load_histograms(tracking_uri, levels)
    if not histograms:
        return []
    return [("Lambda", image(plot_lambda(study, histograms, levels), "Learned and drawn lambda by epoch"))]


def show(options: argparse.Namespace) -> int:
    """Write the page and print where.

    Raises:
        ValueError: unknown store, study or plan, or no finished run.
    """
    plan = load_plan(options.tracking_uri, options.study, options.plan)
    out = options.out or Path(f"{options.study}.html")
    print(write_report(options.tracking_uri, options.study, out, plan))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = command.parser("report.py", "One self-contained page about a study.")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: STUDY.html)")
    return command.run("report.py", show, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
