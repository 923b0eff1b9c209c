"""The steps that all commands which evaluate networks share: reading runs, measuring, tables, points and the end."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd
from torch import Tensor

from analysis import command
from analysis.networks import evaluate
from analysis.networks.class_names import class_names
from analysis.networks.evaluate import Evaluated, Measure, Result, evaluate_runs
from analysis.records.published import published_of_runs
from analysis.records.runs import FACTOR, METRIC, Plan
from analysis.statistics.tables import LevelTable, level_tables
from analysis.words.cells import tidy
from analysis.words.rendering import escape_markdown, markdown_tables, terminal_tables
from mixlab.spec.metric import Metric
from trainables.config import Config

EXIT_CODES = (
    "Exit codes: 0 done; 1 some network could not be evaluated, which is named, or the Ray cluster was lost; 2 bad "
    "input, which one sentence explains; 130 interrupted."
)


def parser(file: str, description: str, *, images: int | None = 1000, pick: bool = False) -> argparse.ArgumentParser:
    """Return the options of a command that evaluates the networks of a study; see :func:`analysis.command.parser`.

    Args:
        images: the default number of test images; None for a command that reads images of its own.
        pick: the command shows single images, of the networks of one seed.
    """
    options = command.study_parser(file, description, out=True)
    options.set_defaults(file=file)
    options.epilog = EXIT_CODES
    add = options.add_argument
    if images is None:
        options.set_defaults(images=0)
    else:
        add("--images", type=int, default=images, metavar="N", help="test images, evenly spaced (default: %(default)s)")
    if pick:
        add("--seed", type=int, metavar="N", help="show the networks of this seed (default: the first that finished)")
        add("--pick", metavar="N,N", help="show these images, by their positions in the test set")
    command.add_data_root(options)
    where = "evaluate the networks as Ray tasks: local, auto or HOST:PORT (default: none, in this process)"
    add("--address", default="none", help=where)
    return options


def require_at_least_one(options: argparse.Namespace, *names: str) -> None:
    """Raise ``ValueError`` for an option that counts something and is below 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")


def choose_images(options: argparse.Namespace) -> int:
    """Let ``--pick``, which must be positions in the test set, replace ``--images``; return the number of images."""
    if options.pick is None:
        return int(options.images)
    parts = [part.strip() for part in options.pick.split(",")]
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"--pick must be positions in the test set such as 3,17,42, got {options.pick!r}")
    options.images = [int(part) for part in parts]
    return len(parts)


@dataclass(frozen=True)
class Evaluation:
    """A study whose networks are evaluated by one command."""

    options: argparse.Namespace  # of :func:`parser`
    plan: Plan
    runs: pd.DataFrame  # one row per planned cell
    found: Evaluated  # the measurements so far; :meth:`measure` adds to them

    @classmethod
    def read(cls, options: argparse.Namespace) -> Self:
        """Read the study that the options name; errors as for :func:`analysis.command.read_study`."""
        return cls(options, *command.read_study(options), Evaluated())

    @property
    def results(self) -> dict[str, Result]:
        """Return the results by run id; raise ``NothingEvaluated`` where there is none."""
        if not self.found.results:
            raise command.NothingEvaluated
        return self.found.results

    @property
    def config(self) -> Config:
        """Return the configuration of one of the networks that have a result; errors as for :attr:`results`."""
        if self.found.config is None:
            raise command.NothingEvaluated
        return self.found.config

    def only(self, kept: Sequence[bool]) -> Self:
        """Return the study with only some of its planned cells, one flag for each row of ``runs``."""
        runs = self.runs[list(kept)]
        trials = [trial for trial in self.plan["trials"] if trial["key"] in set(runs["key"])]
        return replace(self, plan={**self.plan, "trials": trials}, runs=runs)

    def measure(self, measure: Measure, protocol: Mapping[str, Any], runs: pd.DataFrame | None = None) -> None:
        """Evaluate the networks of all runs or of some, and say on standard error which could not be evaluated.

        Errors are those of :func:`analysis.networks.evaluate.evaluate_runs`.
        """
        options = self.options
        found = evaluate_runs(
            options.tracking_uri,
            self.runs if runs is None else runs,
            measure,
            protocol,
            images=options.images,
            data_root=options.data_root,
            cache=options.out / "evaluations.json",
            address=options.address,
        )
        for problem in found.problems:
            print(f"{options.file}: not evaluated: {problem}", file=sys.stderr)
        self.found.results.update(found.results)
        self.found.problems.extend(found.problems)
        self.found.config = self.found.config or found.config

    def tables(self, metric: Metric, key: str, *, compare: bool = True) -> list[LevelTable]:
        """Return the tables of one number of the results, with the published numbers that it reproduces.

        The metric is what the number is, and ``key`` its key in the results; a result that lacks it has no value.
        Nothing published is compared unless it measures the same thing.
        """
        values = {run_id: result.get(key) for run_id, result in self.results.items()}
        measured = self.runs.assign(**{METRIC + metric.name: self.runs["run_id"].map(values).astype(float)})
        published = published_of_runs(measured, self.plan["factors"], metric.name) if compare else None
        return level_tables(measured, self.plan, metric, published or None)

    def shown(self) -> tuple[Tensor, Tensor, list[str]]:
        """Return the images (N, C, H, W) in [0, 1] and their labels (N,), on the CPU, and the names of all classes."""
        return shown_images(self.config, self.options.images, self.options.data_root)

    def points(self, of: Callable[[Result], Iterable[Mapping[str, Any]]]) -> pd.DataFrame:
        """Return a row per run and point: ``factor.NAME``, ``arm``, ``seed``, and what ``of`` returns for a result."""
        named = [*(FACTOR + factor for factor in self.plan["factors"]), "arm", "seed"]
        rows = [
            {**{name: run[name] for name in named}, **point}
            for run in self.runs.to_dict("records")
            for point in of(self.results.get(run["run_id"], {}))
        ]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=named)

    def write_tables(
        self, tables: Iterable[Sequence[LevelTable]], how: str, stem: str = "table"
    ) -> tuple[str, list[Path]]:
        """Write the tables of each number, and how the networks were evaluated, as ``stem.md`` and ``stem.csv``.

        Return the same for a terminal, and the two files.
        """
        study, out, tables = self.options.study, self.options.out, list(tables)
        pages = [f"# {escape_markdown(study)}", how, *map(markdown_tables, tables)]
        page, table = out / f"{stem}.md", out / f"{stem}.csv"
        page.write_text("\n\n".join(pages) + "\n", encoding="utf-8")
        pd.concat([tidy(levels) for levels in tables]).to_csv(table, index=False)
        return "\n\n".join([study, *map(terminal_tables, tables), how]), [page, table]

    def finish(self, text: str, files: Iterable[Path]) -> int:
        """Print what was found and where it is written; return the exit code, 1 where a network has no result."""
        command.finish(files, text)
        return 1 if self.found.problems else 0


def shown_images(config: Config, images: int | list[int], data_root: Path) -> tuple[Tensor, Tensor, list[str]]:
    """Return test images (N, C, H, W) in [0, 1] and labels (N,), on the CPU, and the names of all classes.

    Arguments and errors are those of :func:`analysis.networks.evaluate.open_images`.
    """
    found, labels = evaluate.all_of(evaluate.open_images(config, images, data_root), config)
    return found.cpu(), labels.cpu(), class_names(config, evaluate.take_images(config, images, data_root))
