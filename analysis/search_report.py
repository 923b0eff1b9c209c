"""One self-contained page about a search: winners, their confirmation, maps, importance, and warnings.

    python analysis/search_report.py search_zeta_alpha --out search.html

The command reads MLflow and Optuna's storage, and takes some seconds per arm, mostly for the intervals of importance.
The page loads nothing from elsewhere.
"""

import argparse
import html
import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis import command
from analysis.figures.search_plots import numeric, plot_history, plot_importance, plot_map, plot_parallel, plot_slices
from analysis.records.runs import load_plan, load_runs, metric_of
from analysis.records.search_trials import SearchRecord, Tuned, load_search
from analysis.statistics import search_findings
from analysis.statistics.confirmed_points import other_points
from analysis.statistics.search_findings import EVALUATOR, PER_PARAMETER, Landscape, explained
from analysis.statistics.significance import ALPHA
from analysis.statistics.tables import LevelTable, level_tables
from analysis.words import page
from analysis.words.captions import capitalised, label_text
from analysis.words.cells import cells
from analysis.words.rendering import grid, html_grid, html_list, html_tables, paragraph
from mixlab.errors import BadInput
from mixlab.messages import counted
from mixlab.spec.search import RACE, TWIN
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
        lines = [grid(self.winners), ""]
        lines += [race_sentence(arm, len(self.search.plan["search_seeds"])) for arm in self.search.raced]
        lines += [f"Claim: {claim}" for claim in self.claims] or ["No claim: nothing here is beyond chance."]
        return "\n".join([*lines, *(f"Beware: {caution}" for caution in self.cautions)])


def report(tracking_uri: str, search: str, storage: str | None = None, plan_hash: str | None = None) -> SearchReport:
    """Read a search and judge it; arguments and errors as for :func:`analysis.records.search_trials.load_search`."""
    record = load_search(tracking_uri, search, storage, plan_hash)
    confirmed = _confirmed(tracking_uri, record)
    landscapes = {arm.name: search_findings.landscape(arm) for arm in record.arms}
    others = other_points(record, confirmed)
    beware = [_of_another(arm, point) for arm, point in others.items()] + search_findings.cautions(record, confirmed)
    found = search_findings.claims(record, landscapes, confirmed)
    return SearchReport(record, confirmed, winners(record, confirmed, others), landscapes, found, beware)


def winners(search: SearchRecord, confirmed: Sequence[LevelTable], others: Collection[str]) -> pd.DataFrame:
    """Return as text cells the best configuration of each arm, its value in the search, and that on fresh seeds.

    The value on fresh seeds of the arms ``others`` is that of another configuration.
    """
    fresh = f"{confirmed[0].metric if confirmed else 'confirmed'} on fresh seeds"
    found = {
        cell_name(level.levels.values(), str(arm)): f"{mean} (n = {n})"
        for level in confirmed
        for arm, mean, n in zip(level.table.index, cells(level)["mean ± sd"], level.table["n"], strict=True)
        if n
    }
    found = {name: f"{text}, of another point" if name in others else text for name, text in found.items()}
    rows = []
    for arm in search.arms:
        best = arm.best
        row = {"arm": arm.shown}
        row |= {name: short(best.params.get(name, "–")) if best else "–" for name in search.plan["space"]}
        row[f"{search.plan['objective']} in the search"] = short(best.value) if best else "–"
        row[fresh] = found.get(arm.name, "not yet")
        rows.append({**row, "trials": arm.ends})
    return pd.DataFrame(rows)


def _of_another(arm: str, point: Mapping[str, Any]) -> str:
    """Return the warning about an arm whose confirmed ``point`` is not its best trial."""
    values = ", ".join(f"{key} = {short(value)}" for key, value in point.items())
    return f"{arm}: what was confirmed is not its best trial here, but {values}: another search's, or an earlier best."


def write_page(found: SearchReport, out: Path) -> Path:
    """Write the page and return its file."""
    sections = [
        ("What can be claimed", html_list(found.claims) or "<p>Nothing: no difference here is beyond chance.</p>"),
        ("Beware", html_list(found.cautions) or "<p>Nothing in particular.</p>"),
        ("Winners", _setting(found.search) + html_grid(found.winners)),
        ("Confirmation", html_tables(found.confirmed) if found.confirmed else "<p>None yet.</p>"),
        *((arm.shown, _arm(arm, found)) for arm in found.search.arms),
    ]
    return page.write_page(out, f"{found.search.plan['search']} · {found.search.plan['preset']}", sections)


def _setting(search: SearchRecord) -> str:
    plan = search.plan
    early = "none stopped early" if plan["scheduler"] == "none" else f"stopped early by {plan['scheduler']}"
    how = f"{counted(plan['per_arm'], 'trial')} per arm by {plan['sampler']}, {early}"
    where = ""  # older plans do not say
    if "held_out" in plan:
        confirmed_on = " on the data that it is also confirmed on, as nothing is held out"
        where = " on held-out data" if plan["held_out"] else confirmed_on
    return paragraph(
        f"{how}, to {plan['direction']} {plan['objective']}{where}. "
        "A winner's value in the search is the best of many and so too good; compare the confirmed ones. A trial that "
        "was stopped early cannot win, and its value is only ever compared with others after the same epoch."
    )


def _arm(arm: Tuned, found: SearchReport) -> str:
    plan, axes = found.search.plan, numeric(arm)
    objective = label_text(metric_of(plan, plan["objective"])) or plan["objective"]
    figures = {"Optimisation history": plot_history(arm, objective)}
    if len(axes) > 1:
        figures[f"Map of {axes[0]} and {axes[1]}"] = plot_map(arm, axes[0], axes[1], objective)
    if len(arm.complete) > 1:
        figures["Slices"] = plot_slices(arm, objective)
        if arm.varied(arm.complete):
            figures["Parallel coordinates"] = plot_parallel(arm, objective)
    parts = []
    if arm in found.search.raced:
        words = paragraph(race_sentence(arm, len(found.search.plan["search_seeds"])))
        parts.append(f"<h3>Race</h3>{words}{html_grid(race_table(arm))}")
    for name, figure in figures.items():
        parts.append(f"<h3>{html.escape(name)}</h3>{page.image(page.png(figure), f'{name}, {arm.name}')}")
    seen = found.landscapes[arm.name]
    p = explained(found.landscapes)[arm.name]
    parts.append(f"<h3>Importance ({EVALUATOR})</h3>{paragraph(importance_text(seen, p))}")
    if len(seen.importance) > 1:  # a single parameter has all that there is
        parts.append(page.image(page.png(plot_importance(arm, seen, claimed=p < ALPHA)), f"Importance, {arm.name}"))
    return "\n".join(parts)


def importance_text(seen: Landscape, corrected: float) -> str:
    """Return what an arm's parameters explain, and whether that is claimed: by its p ``corrected`` for all arms."""
    left = f" Parameters under a condition are left out: {', '.join(seen.left_out)}." if seen.left_out else ""
    if not len(seen.importance):
        alike = len(seen.of.values) >= PER_PARAMETER and len(set(seen.of.values)) == 1
        return f"{'All trials have the same value' if alike else 'Too few trials to say anything'}.{left}"
    values = "; ".join(
        f"{name} {row['importance']:.2f} (95 % interval {row['low']:.2f} to {row['high']:.2f}, trials resampled)"
        for name, row in seen.importance.iterrows()
    )
    shares = f"{capitalised(seen.of.when)}: {values}."
    if math.isnan(seen.p):
        return f"{shares} Too few to test whether the parameters matter at all.{left}"
    nothing = " So nothing is claimed: shares are given out even where there is only noise."
    verdict = "" if corrected < ALPHA else nothing
    p = f"{seen.p:.3f}{f', {corrected:.3f} corrected for all arms' if corrected > seen.p else ''}"
    return f"{shares} That the parameters explain nothing has p = {p} (permutation).{verdict}{left}"


def race_table(arm: Tuned) -> pd.DataFrame:
    """Return one row of text a trial, in their order: its number, seeds, mean over them, and why it got no more."""
    rows = [
        [str(trial.number), str(len(values)), f"{statistics.fmean(values):.4g}" if values else "–", _why(arm, trial)]
        for trial in arm.trials()
        for values in [_values(trial)]
    ]
    return pd.DataFrame(rows, columns=["trial", "seeds", "mean", "why no more"])


def race_sentence(arm: Tuned, seeds: int) -> str:
    """Return what the race of an arm has cost, each trial having at most so many seeds, and how its trials ended."""
    trials = arm.trials()
    spent = sum(len(_values(trial)) for trial in trials)
    ends = Counter(_why(arm, trial).partition(":")[0] for trial in trials)
    words = ", ".join(f"{count} {end}" for end, count in ends.items())
    whole = f"{seeds * len(trials)} seeds were trained for {counted(len(trials), 'trial')}"
    return f"{arm.name}: {spent} of {whole}: {words}."


def _values(trial: FrozenTrial) -> list[float]:
    return list(trial.user_attrs.get(RACE, {}).get("values", []))


def _why(arm: Tuned, trial: FrozenTrial) -> str:
    best, out = arm.best, str(trial.user_attrs.get(RACE, {}).get("out", ""))
    if best is not None and trial.number == best.number:
        return "won"
    if TWIN in trial.user_attrs:
        return "took the result of an earlier trial just like it"
    stopped = out or "stopped early in its first seed"
    ends = {TrialState.COMPLETE: "had all seeds", TrialState.PRUNED: stopped, TrialState.FAIL: "failed"}
    return ends.get(trial.state, "not over")


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
    return command.finish([write_page(found, out)], found.text)


about = "Write one self-contained page about a search."
parser = command.study_parser("search_report.py", about, what="search", example="search_zeta_alpha")
parser.add_argument("--optuna-storage", metavar="URL", help="database of the trials (default: that of the plan)")
parser.add_argument("--out", type=command.new_file, metavar="FILE", help="page to write (default: SEARCH.html)")
main = command.main(_work, parser)

if __name__ == "__main__":
    raise SystemExit(main())
