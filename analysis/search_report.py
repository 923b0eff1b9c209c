"""One self-contained page about a search: winners, their confirmation, maps, importance, and warnings.

    python analysis/search_report.py search_zeta_alpha --out search.html

The command reads MLflow and Optuna's storage, and takes some seconds per arm, mostly for the intervals of importance.
The page loads nothing from elsewhere. Its figures are also written into a folder beside it, here ``search``: for an arm
``cutmix``, ``cutmix-history.png``, ``.pdf`` and ``.tex``, and so ``map``, ``slices``, ``parallel`` and ``importance``.
"""

import argparse
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
from matplotlib.figure import Figure

from analysis import command
from analysis.figures.captioned import save
from analysis.figures.search_plots import numeric, plot_history, plot_importance, plot_map, plot_parallel, plot_slices
from analysis.records.runs import load_plan, load_runs, metric_of
from analysis.records.search_trials import SearchRecord, Tuned, load_search
from analysis.statistics.importance import EVALUATOR, PER_PARAMETER, Landscape, landscape
from analysis.statistics.search_findings import cautions, claims, explained
from analysis.statistics.significance import ALPHA
from analysis.statistics.tables import LevelTable, level_tables
from analysis.words import page
from analysis.words.captions import capitalised, label_text
from analysis.words.cells import cells
from analysis.words.races import race_sentence, race_table
from analysis.words.rendering import grid, html_grid, html_list, html_tables, labels, paragraph, wrap
from mixlab.errors import BadInput
from mixlab.messages import counted
from mixlab.spec.space import short
from mixlab.spec.trial import cell_name


@dataclass(frozen=True)
class SearchReport:
    """The content of the page about a search, before it is drawn."""

    search: SearchRecord
    confirmed: list[LevelTable]  # none while no winner has been trained again
    winners: pd.DataFrame  # text cells, one row per arm
    landscapes: dict[str, Landscape]
    claims: list[str]
    cautions: list[str]

    @property
    def text(self) -> str:
        """Return the report for a terminal."""
        lines = [race_sentence(arm, len(self.search.plan["search_seeds"])) for arm in self.search.raced]
        lines += [f"Claim: {claim}" for claim in self.claims] or ["No claim: nothing is shown to be beyond chance."]
        lines += [f"Beware: {caution}" for caution in self.cautions]
        return "\n".join([grid(self.winners), "", *map(wrap, lines)])


def report(tracking_uri: str, search: str, storage: str | None = None, plan_hash: str | None = None) -> SearchReport:
    """Read a search and judge it; arguments and errors as for :func:`analysis.records.search_trials.load_search`."""
    record = load_search(tracking_uri, search, storage, plan_hash)
    confirmed = _confirmed(tracking_uri, record)
    landscapes = {arm.name: landscape(arm) for arm in record.arms}
    beware = cautions(record, confirmed)
    found = claims(record, landscapes, confirmed)
    return SearchReport(record, confirmed, winners(record, confirmed), landscapes, found, beware)


def winners(search: SearchRecord, confirmed: Sequence[LevelTable]) -> pd.DataFrame:
    """Return as text cells the best configuration of each arm, its value in the search, and that on fresh seeds."""
    fresh = f"{confirmed[0].metric if confirmed else 'confirmed'} on fresh seeds"
    found = {
        cell_name(level.levels.values(), str(arm)): f"{mean} (n = {n})"
        for level in confirmed
        for arm, mean, n in zip(level.table.index, cells(level)["mean ± sd"], level.table["n"], strict=True)
        if n
    }
    rows = []
    for arm in search.arms:
        best = arm.best
        row = {"arm": arm.shown}
        row |= {name: short(best.params.get(name, "–")) if best else "–" for name in search.plan["space"]}
        row[f"{search.plan['objective']} in the search"] = short(best.value) if best else "–"
        row[fresh] = found.get(arm.name, "not yet")
        rows.append({**row, "trials": arm.ends})
    return pd.DataFrame(rows)


def write_page(found: SearchReport, out: Path) -> list[Path]:
    """Write the page, and its figures into a folder beside it that has its name; return the files."""
    arms = found.search.arms
    stems = [out.with_suffix("") / label for label in labels([arm.name for arm in arms])]
    shown = [_arm(arm, found, stem) for arm, stem in zip(arms, stems, strict=True)]
    sections = [
        ("What can be claimed", html_list(found.claims) or "<p>Nothing: nothing is shown to be beyond chance.</p>"),
        ("Beware", html_list(found.cautions) or "<p>Nothing in particular.</p>"),
        ("Winners", _setting(found.search) + html_grid(found.winners)),
        ("Confirmation", html_tables(found.confirmed) if found.confirmed else "<p>None yet.</p>"),
        *((arm.shown, text) for arm, (text, _) in zip(arms, shown, strict=True)),
    ]
    written = page.write_page(out, f"{found.search.plan['search']} · {found.search.plan['preset']}", sections)
    return [written, *(file for _, files in shown for file in files)]


def _setting(search: SearchRecord) -> str:
    plan = search.plan
    early = "none stopped early" if plan["scheduler"] == "none" else f"stopped early by {plan['scheduler']}"
    how = f"{counted(plan['per_arm'], 'trial')} per arm by {plan['sampler']}, {early}"
    where = ""  # older plans do not say
    if "held_out" in plan:
        confirmed_on = " on the data that it is also confirmed on, as nothing is held out"
        where = " on held-out data" if plan["held_out"] else confirmed_on
    tuning = ", ".join(f"{key}={value}" for key, value in plan.get("tuning", {}).items())
    return paragraph(
        f"As last started: {how}, to {plan['direction']} {plan['objective']}{where}{tuning and f', with {tuning}'}. "
        "A winner's value in the search is the best of many and so too good; compare the confirmed ones, which are "
        "those of the points that had won when the search last ended. A trial that was stopped early cannot win, and "
        "its value is only ever compared with others after the same epoch."
    )


def _arm(arm: Tuned, found: SearchReport, stem: Path) -> tuple[str, list[Path]]:
    """Return what the page says of an arm, and the files of its figures, whose names begin with that of ``stem``."""
    seen, p = found.landscapes[arm.name], explained(found.landscapes)[arm.name]
    parts, files = [], []
    if arm in found.search.raced:
        words = paragraph(race_sentence(arm, len(found.search.plan["search_seeds"])))
        parts.append(f"<h3>Race</h3>{words}{html_grid(race_table(arm))}")
    for name, (heading, figure) in _figures(arm, found, claimed=p < ALPHA).items():
        parts.append(f"<h3>{html.escape(heading)}</h3>")
        if name == "importance":
            parts.append(paragraph(importance_text(seen, p)))
        if figure is not None:
            picture = page.png(figure)
            parts.append(page.image(picture, f"{heading}, {arm.name}"))
            files += save(figure, stem.with_name(f"{stem.name}-{name}"), picture)
    return "\n".join(parts), files


def _figures(arm: Tuned, found: SearchReport, *, claimed: bool) -> dict[str, tuple[str, Figure | None]]:
    """Return the heading of each figure of an arm, and the figure; a single parameter has all importance."""
    plan, seen = found.search.plan, found.landscapes[arm.name]
    objective = label_text(metric_of(plan, plan["objective"])) or plan["objective"]
    figures: dict[str, tuple[str, Figure | None]] = {"history": ("Optimisation history", plot_history(arm, objective))}
    # The most important parameters come first; where nothing is known of them, they keep their order.
    axes = sorted(numeric(arm), key=lambda name: [*seen.importance.index, name].index(name))
    if len(axes) > 1:
        figures["map"] = f"Map of {axes[0]} and {axes[1]}", plot_map(arm, axes[0], axes[1], objective)
    if len(arm.complete) > 1:
        figures["slices"] = "Slices", plot_slices(arm, objective)
        if arm.varied(arm.complete):
            figures["parallel"] = "Parallel coordinates", plot_parallel(arm, objective)
    importance = plot_importance(arm, seen, claimed=claimed) if len(seen.importance) > 1 else None
    figures["importance"] = f"Importance ({EVALUATOR})", importance
    return figures


def importance_text(seen: Landscape, corrected: float) -> str:
    """Return what an arm's parameters explain, and whether that is claimed: by its p ``corrected`` for all arms."""
    left = f" Parameters under a condition are left out: {', '.join(seen.left_out)}." if seen.left_out else ""
    if not len(seen.importance):
        alike = len(seen.of.values) >= PER_PARAMETER and len(set(seen.of.values)) == 1
        return f"{'All trials have the same value' if alike else 'Too few trials to say anything'}.{left}"
    values = "; ".join(
        f"{name} {row['importance']:.2f} (95 % interval {row['low']:.2f} to {row['high']:.2f}, jackknife)"
        for name, row in seen.importance.iterrows()
    )
    shares = f"{capitalised(seen.of.when)}: {values}."
    if math.isnan(seen.p):
        return f"{shares} Too few to test whether the parameters matter at all.{left}"
    nothing = " So nothing is claimed: shares are given out even where there is only noise."
    verdict = "" if corrected < ALPHA else nothing
    p = f"{seen.p:.3f}{f', {corrected:.3f} corrected for all arms' if corrected > seen.p else ''}"
    return f"{shares} That the parameters explain nothing has p = {p} (permutation).{verdict}{left}"


def _confirmed(tracking_uri: str, search: SearchRecord) -> list[LevelTable]:
    """Return the tables of the confirmation runs, none while nothing of it is finished."""
    try:
        plan = load_plan(tracking_uri, search.plan["search"], search.plan["confirmation"])
        return level_tables(load_runs(tracking_uri, search.plan["search"], plan), plan)
    except (BadInput, ValueError):  # it has not begun, or nothing of it is finished
        return []


def _work(options: argparse.Namespace) -> int:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it speaks of every resample
    out = options.out or Path(f"{options.search}.html")
    found = report(options.tracking_uri, options.search, options.optuna_storage, options.plan)
    write_page(found, out)
    return command.finish([out, out.with_suffix("")], found.text)


about = "Write one self-contained page about a search."
parser = command.study_parser("search_report.py", about, what="search", example="search_zeta_alpha")
parser.add_argument("--optuna-storage", metavar="URL", help="database of the trials (default: that of the plan)")
parser.add_argument("--out", type=command.new_file, metavar="FILE", help="page to write (default: SEARCH.html)")
main = command.main(__name__, _work, parser)
