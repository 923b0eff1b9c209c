"""One self-contained page about a study: tables, plots, configuration, provenance and what failed.

    python analysis/report.py ablation_cifar100 --out report.html

The command reads MLflow, and takes seconds and one request per run for the curves. The page loads nothing from
elsewhere, so it can be sent by mail.
"""

import argparse
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException

from analysis import command
from analysis.ablation_table import StudyTable, study_table, write_study_table
from analysis.figures.captioned import save
from analysis.figures.forest import plot_effects, plot_forest, plot_ranks
from analysis.figures.lambdas import load_histograms, plot_lambda
from analysis.figures.plots import plot_cost, plot_curves, plot_gains, plot_wealth
from analysis.records.runs import CONFIG, FACTOR, Plan, configuration, load_curves, load_plan, provenance
from analysis.statistics.effects import effects_by_table
from analysis.statistics.outlook import decide as decide
from analysis.statistics.outlook import outlook as outlook
from analysis.statistics.over_tables import over_tables
from analysis.statistics.racing import race as race  # a launch finds all three here, besides report()
from analysis.statistics.tables import LevelTable
from analysis.words.cells import estimate_cells, power_cells
from analysis.words.conclusions import Summary, answer, claims, of_arms, of_study, verdict, verdicts
from analysis.words.method import ALONE, power_heading
from analysis.words.page import image, png, write_page
from analysis.words.rendering import html_grid, html_list, html_tables, paragraph
from mixlab.errors import root_cause
from mixlab.messages import counted
from mixlab.spec.trial import State

FIGURES = {  # heading, and what is shown
    "forest": ("Over the tables", "The gain of every arm in every table, here and in general"),
    "gains": ("Gains", "The gain of every arm over the baseline, with its interval"),
    "ranks": ("Ranks over the tables", "The mean rank of every arm"),
    "effects": ("Effects", "Main effects and interactions with their intervals"),
    "wealth": ("Evidence by seed", "The wealth of every comparison by the number of seeds"),
    "cost": ("Cost", "What every arm reaches in its time"),
    "lambda": ("Lambda", "Learned and drawn lambda by epoch"),
}
MOST_CURVES = 500  # runs whose curves are read, a request each


@dataclass(frozen=True)
class StudyReport:
    """All results of a study, as a launch prints and attaches them."""

    text: str  # the tables and their remarks, for a terminal
    tables: list[pd.DataFrame]  # as from ablation_table, one for each combination of factor levels
    verdicts: list[dict[str, Any]]  # one a comparison: table, arm, against, verdict, gain, and p or e
    files: list[Path]  # the tables and figures to attach to the study's run, without the page
    page: Path
    summary: Summary  # metrics and Markdown of the study's run
    arm_summaries: dict[str, Summary]  # the same by cell, such as "cutmix · + lam"


def report(tracking_uri: str, study: str, plan: Mapping[str, Any], out: Path) -> StudyReport:
    """Write the tables, figures and page of a study's plan into a folder, and return what they say.

    Figures that an earlier plan left there, and this one does not have, are deleted.

    There is no table where no run has finished or MLflow does not answer: ``ValueError``, in one sentence.
    """
    try:
        table = write_study_table(tracking_uri, study, out, dict(plan))
        page, *figures = write_report(tracking_uri, study, out / "report.html", dict(plan), table)
    except MlflowException as error:
        raise ValueError(f"cannot read MLflow: {root_cause(error)}") from error
    files = [*table.files, *figures]
    of_earlier_plans = {out / f"{name}.{ending}" for name in FIGURES for ending in ("png", "pdf", "tex")} - set(files)
    for file in of_earlier_plans:
        file.unlink(missing_ok=True)
    return StudyReport(
        text=table.text,
        tables=[level.table for level in table.levels],
        verdicts=verdicts(table.levels),
        files=files,
        page=page,
        summary=of_study(table.levels),
        arm_summaries=of_arms(table.levels),
    )


def write_report(tracking_uri: str, study: str, out: Path, plan: Plan, table: StudyTable | None = None) -> list[Path]:
    """Write the page; return its file, and after it those of its figures.

    Args:
        out: the file; its folder is created if missing.
        plan: the plan whose cells are wanted.
        table: the tables of that plan, where they have been written already; their pictures are put into the page. The
            others, ``curves.png``, ``.pdf`` and ``.tex``, and, where the study has them, ``forest``, ``effects``,
            ``wealth``, ``cost`` and ``lambda``, are then written beside the page too.

    Raises:
        ValueError: unknown store or study, or no finished run; nothing is written then.
    """
    written = {file.stem: file.read_bytes() for file in table.files if file.suffix == ".png"} if table else {}
    levels = table.levels if table else study_table(tracking_uri, study, plan).levels
    runs = pd.concat([level.runs for level in levels])
    curves = load_curves(tracking_uri, _first_seeds(runs), levels[0].declared.name)
    histograms = load_histograms(tracking_uri, levels)
    figures = {
        "forest": plot_forest(study, levels),
        "effects": plot_effects(study, levels, plan.get("design")),
        "wealth": plot_wealth(study, levels) if levels[0].family.budget is not None else None,
        "curves": plot_curves(study, curves, levels),
        "cost": plot_cost(study, levels),
        "lambda": plot_lambda(study, histograms, levels) if histograms else None,
    }
    if "gains" not in written:
        figures |= {"gains": plot_gains(study, levels), "ranks": plot_ranks(study, levels)}
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    pictures = written | {name: png(figure) for name, figure in drawn.items()}
    grids = {
        "forest": html_grid(estimate_cells(over_tables(levels), levels[0])),
        "effects": _effects(levels, plan.get("design")),
    }
    factors = list(plan["factors"])
    sections = [
        ("Answer", summary(levels)),
        *_shown(pictures, "forest", "gains", below=grids),
        ("Results", html_tables(levels)),
        *_shown(pictures, "ranks", "effects", "wealth", below=grids),
        ("Training", _note(curves, runs) + image(pictures["curves"], f"{levels[0].declared.label} by epoch")),
        *_shown(pictures, "cost", "lambda"),
        ("What the plan could conclude", "\n".join(map(paragraph, outlook(plan)))),
        ("How many seeds it would take", _power(levels)),
        ("Configuration", _configuration(runs, factors)),
        ("Where the runs come from", html_grid(provenance(runs), words=True)),
        ("What failed", _failures(runs, factors)),
    ]
    files = [write_page(out, study, sections)]
    if table is not None:
        for name, figure in drawn.items():
            files += save(figure, out.with_name(name), pictures[name])
    return files


def _shown(pictures: Mapping[str, bytes], *names: str, below: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Return a section for each of these figures that the study has, with the HTML that is ``below`` it."""
    found = []
    for name in names:
        if name in pictures:
            heading, alternative = FIGURES[name]
            found.append((heading, image(pictures[name], alternative) + (below or {}).get(name, "")))
    return found


def _effects(levels: Sequence[LevelTable], design: Mapping[str, Any] | None) -> str:
    parts = []
    for name, effects in effects_by_table(levels, design).items():
        parts += [f"<h3>{html.escape(name)}</h3>"] if name else []
        parts.append(html_grid(estimate_cells(effects, levels[0])))
    return "\n".join(parts)


def summary(levels: Sequence[LevelTable]) -> str:
    """Return the answer of the study, and the claims of all tables as a list."""
    said, claimed = f'<div class="answer">{paragraph(answer(levels))}</div>', html_list(claims(levels))
    return said + (f"\n{paragraph(verdict(levels))}\n{claimed}" if claimed else "")


def _configuration(runs: pd.DataFrame, factors: Sequence[str]) -> str:
    shared, cells = configuration(runs, factors)
    cells.columns = [str(name).removeprefix(FACTOR).removeprefix(CONFIG) for name in cells.columns]
    tables = {"Each arm": cells if len(cells) > 1 else cells[:0], "Every run": shared}
    shown = [f"<h3>{heading}</h3>\n{html_grid(table, words=True)}" for heading, table in tables.items() if len(table)]
    return "\n".join(shown) or "<p>The runs have no settings.</p>"


def _failures(runs: pd.DataFrame, factors: Sequence[str]) -> str:
    failed = runs.loc[runs["status"] == State.FAILED.value, [*(FACTOR + f for f in factors), "arm", "seed", "error"]]
    if failed.empty:
        return "<p>Nothing.</p>"
    return html_grid(failed.set_axis([*factors, "arm", "seed", "error"], axis=1).astype(str), words=True)


def _power(levels: Sequence[LevelTable]) -> str:
    if all(len(level.table) == 1 for level in levels):
        return f"<p>{ALONE}</p>"
    parts = [paragraph(f"{power_heading(*levels)}.")]
    for level in levels:
        parts += [f"<h3>{html.escape(level.name)}</h3>"] if level.levels else []
        parts.append(html_grid(power_cells(level)) if len(level.table) > 1 else f"<p>{ALONE}</p>")
    return "\n".join(parts)


def _first_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return all runs, or those of the first seeds where reading each run's curve would take minutes."""
    seeds = sorted(runs["seed"].unique())
    most = max(1, MOST_CURVES * len(seeds) // max(1, len(runs)))
    return runs[runs["seed"].isin(seeds[:most])]


def _note(curves: pd.DataFrame, runs: pd.DataFrame) -> str:
    drawn, all_seeds = curves["seed"].nunique(), runs["seed"].nunique()
    shown = counted(drawn, "seed").removeprefix("1 ")
    return f"<p>The first {shown} of {all_seeds}.</p>" if 0 < drawn < all_seeds else ""


def _work(options: argparse.Namespace) -> int:
    plan = load_plan(options.tracking_uri, options.study, options.plan)
    out = options.out or Path(f"{options.study}.html")
    return command.finish(write_report(options.tracking_uri, options.study, out, plan))


parser = command.study_parser("report.py", "Write one self-contained page about a study.")
parser.add_argument("--out", type=command.new_file, metavar="FILE", help="page to write (default: STUDY.html)")
main = command.main(__name__, _work, parser)
