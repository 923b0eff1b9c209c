"""The table of a study, made from what MLflow holds.

    python analysis/ablation_table.py ablation_cifar100                print it
    python analysis/ablation_table.py ablation_cifar100 --out tables   and write its files and plots

It takes seconds, less than 20 for 10,000 runs.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis import command
from analysis.records.published import Published, published_of_runs
from analysis.records.runs import METRIC, Plan, load_plan, load_runs, metric_of
from analysis.statistics.pairs import metric_column, require_logged
from analysis.statistics.tables import LevelTable, level_tables
from mixlab.spec import json_form

OTHER_RULES = ("last", "best")
RATIO = "_ratio"  # ends the name of a column of ratios


@dataclass(frozen=True)
class StudyTable:
    """The tables of a study: text for a terminal, the files written, and one table per combination of factor levels."""

    text: str
    files: list[Path] = field(default_factory=list)
    levels: list[LevelTable] = field(default_factory=list)


def study_table(
    tracking_uri: str,
    study: str,
    plan: Plan,
    *,
    metric: str | None = None,
    extra: Sequence[str] = (),
    ratios: Sequence[str] = (),
    power: bool = False,
    wide: bool = False,
) -> StudyTable:
    """Read the runs of a study and compare its arms, next to the numbers that papers print for them; write nothing.

    Args:
        tracking_uri: where MLflow keeps its runs, e.g. ``sqlite:///mlflow.db``.
        plan: the plan whose cells are wanted.
        metric: another metric than the plan's.
        extra: metrics to show besides, as means.
        ratios: metrics to show besides, as multiples of the baseline's.
        power: also say in the text how many seeds would show each difference.
        wide: begin the text with the means alone, one row per combination of factor levels and one column per arm.

    Raises:
        ValueError: unknown store, study or metric, no finished run, or a baseline that is not an arm.
    """
    from analysis.words.rendering import terminal_text

    runs = load_runs(tracking_uri, study, plan)
    declared = metric_of(plan, metric or plan["metric"])
    levels = level_tables(runs, plan, metric, published_of_runs(runs, plan["factors"], declared.name) or None)
    for name in (*extra, *ratios):
        require_logged(runs, name)
    printed = {name: published_of_runs(runs, plan["factors"], name + RATIO) for name in ratios}
    levels = [with_ratios(replace(level, extra=extra), printed) for level in levels]
    return StudyTable(terminal_text(study, levels, power=power, wide=wide), levels=levels)


def with_ratios(level: LevelTable, printed: Mapping[str, Published]) -> LevelTable:
    """Return the table that also shows a ratio for each metric of ``printed``, such as K-image mixing's of time.

    ``metric.NAME_ratio`` is the run's value divided by that of the baseline's run of the same seed, whichever arm it is
    compared with; NaN where one is missing, or the divisor is zero. Where ratios were published, one more column has
    those.
    """
    runs, names = level.runs, [*level.extra]
    for metric, numbers in printed.items():
        column = metric_column(runs, metric)
        divisors = runs["seed"].map(runs[runs["arm"] == level.baseline].set_index("seed")[column])
        ratio = runs[column].div(divisors).where(divisors != 0)
        name = f"{METRIC if column.startswith(METRIC) else ''}{metric}{RATIO}"
        runs = runs.assign(**{name: ratio})
        names.append(metric + RATIO)
        if numbers:
            found = [numbers.get((*level.levels.values(), arm)) for arm in runs["arm"]]
            runs = runs.assign(**{f"{name}, paper": [number.value if number else math.nan for number in found]})
            names.append(f"{metric}{RATIO}, paper")
    return replace(level, runs=runs, extra=names)


def write_study_table(tracking_uri: str, study: str, out: Path, plan: Plan, **options: Any) -> StudyTable:
    """Write the tables of a study, ``table.md``, ``.csv``, ``.tex`` and ``.html``, and its gains as a figure.

    The figure is ``gains.png``, ``.pdf`` and ``.tex``; with one arm there is none. With five arms or more over two
    tables or more, there is ``ranks.png``, ``.pdf`` and ``.tex`` too. The folder ``out`` is made if it is missing, and
    files of the same names are replaced. All else is as for :func:`study_table`, the errors too, with which nothing is
    written.
    """
    from analysis.figures.captioned import save
    from analysis.figures.forest import plot_ranks
    from analysis.figures.plots import plot_gains
    from analysis.words.rendering import html_page
    from analysis.words.table_files import write_tables

    result = study_table(tracking_uri, study, plan, **options)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    files = [*write_tables(study, out / "table", result.levels), out / "table.html"]
    files[-1].write_text(html_page(study, result.levels), encoding="utf-8")
    for name, plot in {"gains": plot_gains, "ranks": plot_ranks}.items():
        figure = plot(study, result.levels)
        files += save(figure, out / name) if figure is not None else []
    return replace(result, files=files)


def by_other_rules(plan: Plan) -> tuple[str, ...]:
    """Return the names of the plan's metric by the rules last and best; ``ValueError`` if it lacks them."""
    declared = metric_of(plan, plan["metric"])
    if not set(OTHER_RULES) <= set(declared.rules):
        raise ValueError(f"--show-last-best needs a metric with the rules last and best, which {declared.name!r} lacks")
    return tuple(f"{declared.name}_{rule}" for rule in OTHER_RULES)


def _work(options: argparse.Namespace) -> int:
    from analysis.words.conclusions import verdicts

    plan = load_plan(options.tracking_uri, options.study, options.plan)
    extra = by_other_rules(plan) if options.show_last_best else ()
    kinds = {name: getattr(options, name) for name in ("metric", "ratios", "power", "wide")} | {"extra": extra}
    if options.out is None:
        result = study_table(options.tracking_uri, options.study, plan, **kinds)
    else:
        result = write_study_table(options.tracking_uri, options.study, options.out, plan, **kinds)
    if options.json:
        paths = {"files": list(map(str, result.files))}
        text = json_form.dumps({"plan": plan, "verdicts": verdicts(result.levels), "paths": paths}, indent=2)
        return command.finish([], text)
    return command.finish(result.files, result.text)


parser = command.study_parser("ablation_table.py", "Print the tables of a study, from what MLflow holds.")
add = parser.add_argument
add("--metric", type=command.given, metavar="NAME", help="compare this metric (default: that of the plan)")
add("--out", type=command.new_folder, metavar="DIR", help="also write the tables, and the figures of gains and ranks")
add("--show-last-best", action="store_true", help="also show the values of the last and the best epoch")
ratios = "also show these metrics, such as step_seconds, as multiples of the baseline's"
add("--ratios", type=command.names, default=[], metavar="METRIC,...", help=ratios)
add("--power", action="store_true", help="also say how many seeds would show each difference")
add("--json", action="store_true", help="print plan, verdicts and files as JSON instead")
add("--wide", action="store_true", help="begin with the means alone, one column per arm, as papers print them")
main = command.main(__name__, _work, parser)
