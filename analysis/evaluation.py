"""The steps that all commands which evaluate networks share: reading runs, measuring, tables, points and the end."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from analysis import command
from analysis.figures.captioned import save_with_points
from analysis.networks import evaluate
from analysis.networks.checkpoint import Checkpoint, CheckpointError, fetch
from analysis.networks.evaluate import Measure, Result
from analysis.networks.ray_tasks import in_ray
from analysis.records.published import published_of_runs
from analysis.records.runs import FACTOR, METRIC, Plan, done, name_of_run
from analysis.statistics.tables import LevelTable, level_tables
from analysis.words.captions import evaluated_text, provenance_text
from analysis.words.rendering import grid, terminal_tables, wrap
from analysis.words.table_files import write_tables
from mixlab.messages import counted
from mixlab.spec.metric import Metric
from mixlab.tracking import store
from trainables.config import Config, parse

EXIT_CODES = (
    "Exit codes: 0 done; 1 some network could not be evaluated, the first ten of which are named, the Ray cluster "
    "was lost, or a disk is full; 2 bad input, which one sentence explains; 130 interrupted."
)
MOST_NAMED = 10  # networks that could not be evaluated


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
        words = "test images, evenly spaced (default: %(default)s)"
        add("--images", type=command.count, default=images, metavar="N", help=words)
    if pick:
        add("--seed", type=int, metavar="N", help="show the networks of this seed (default: the first that finished)")
        add("--pick", metavar="N,N", help="show these images, by their positions in the test set")
    command.add_data_root(options)
    where = "evaluate the networks as Ray tasks: local, auto or HOST:PORT (default: none, in this process)"
    add("--address", default="none", help=where)
    return options


@dataclass(frozen=True)
class Evaluation:
    """A study whose networks are evaluated by one command."""

    options: argparse.Namespace  # as :func:`parser` reads them
    plan: Plan
    runs: pd.DataFrame  # one row per planned cell
    found: dict[str, Result] = field(default_factory=dict)  # by run id, as are the configurations
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # a sentence for each run without a result
    files: list[Path] = field(default_factory=list)  # those that were written

    @classmethod
    def read(cls, options: argparse.Namespace) -> Self:
        """Read the study that the options name; errors as for ``read_study``."""
        return cls(options, *command.read_study(options))

    @property
    def results(self) -> dict[str, Result]:
        """Return the results by run id; raise ``NothingEvaluated`` where there is none."""
        if not self.found:
            raise command.NothingEvaluated
        return self.found

    def images(self, what: str = "test image") -> str:
        """Return of how many images the results are: ``1000 test images``, or ``998 or 1000`` where they differ."""
        counts = {result.get("images", self.options.images) for result in self.results.values()}
        return counted(" or ".join(map(str, sorted(counts))), what)

    def configurations(self, runs: pd.DataFrame) -> dict[str, Config]:
        """Return the configurations of those of some runs that have a result, by run id; errors as for `results`."""
        return {run_id: parse(self.configs[run_id]) for run_id in runs["run_id"] if run_id in self.results}

    def by_dataset(self, stem: str, runs: pd.DataFrame) -> Iterator[tuple[str, Config, pd.DataFrame]]:
        """Yield for each data set the stem of its figure's file, a configuration that reads it, and its evaluated runs.

        The stem is the given one, to which the data set's name is added where there are several.
        """
        configs = self.configurations(runs)
        names = runs["run_id"].map({run_id: config.folder or config.dataset for run_id, config in configs.items()})
        for name, part in runs.groupby(names, sort=False):
            yield stem if names.nunique() == 1 else f"{stem}_{name}", configs[part["run_id"].iloc[0]], part

    def measure(
        self, measure: Measure, protocol: Mapping[str, Any], runs: pd.DataFrame | None = None, of: int | None = None
    ) -> None:
        """Evaluate the networks of all runs that are done, or of some, here or as Ray tasks.

        What was measured before is read from ``evaluations.json``, which is extended after every network. Standard
        error says which networks could not be evaluated.

        Args:
            measure: a module's function, so that it can travel to a Ray task.
            protocol: everything that determines a result besides the checkpoint and the images, as JSON can hold it. If
                the numbers of its ``kind`` change, its ``version`` must be raised.
            runs: some rows of ``runs``.
            of: the number of networks that several calls evaluate, of which this is one.

        Raises:
            ValueError: no run is done.
            BadInput: no such store, no cluster answers at the address, or the earlier results cannot be read.
            DataError: the data set is missing or broken.
        """
        options = self.options
        rows = done(self.runs if runs is None else runs).to_dict("records")
        if not rows:
            raise ValueError("the study has no run that is done: there is nothing to evaluate")
        names = {row["run_id"]: f"{name_of_run(row)} (run {row['run_id']})" for row in rows}
        protocol = {**protocol, "images": options.images}
        cache = options.out / "evaluations.json"
        cached, keys = evaluate.read_results(cache), dict[str, str]()  # results by key, and keys by run id
        told, every = len(self.problems), of or len(rows)
        left = self._left(names, protocol, cached, keys)
        outcomes = self._outcomes(left, measure, protocol, options.images, options.data_root.absolute())
        progress = tqdm(outcomes, "evaluating", every, initial=len(self.found), disable=None, leave=False)
        try:
            for run_id, outcome in progress:
                if isinstance(outcome, str):
                    self.problems.append(f"{names[run_id]}: {outcome}")
                    continue
                self.found[run_id] = cached[keys[run_id]] = {**outcome, "code": evaluate.code()}
                evaluate.write_results(cache, cached)
                if progress.disable:  # no terminal but a log, in which a bar would be one endless line
                    print(self._so_far(every), file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{self._so_far(every)}, kept in {cache}" if cached else "") from None
        problems = self.problems[told:]
        shown = problems[:MOST_NAMED]
        if len(problems) > MOST_NAMED:
            shown.append(counted(len(problems) - MOST_NAMED, "more network"))
        for problem in shown:
            print(f"{options.file}: not evaluated: {problem}", file=sys.stderr)

    def _left(
        self, names: Mapping[str, str], protocol: Mapping[str, Any], cached: Mapping[str, Result], keys: dict[str, str]
    ) -> Iterator[tuple[str, Checkpoint]]:
        """Yield the checkpoints that have no result yet, one at a time, so that the memory holds few of them."""
        client = store.connect(self.options.tracking_uri, make=False)
        for run_id, name in names.items():
            try:
                checkpoint = fetch(client, run_id)
            except CheckpointError as error:
                self.problems.append(f"{name}: {error}")
                continue
            keys[run_id], self.configs[run_id] = evaluate.result_key(checkpoint, protocol), checkpoint.config
            if keys[run_id] in cached:
                self.found[run_id] = cached[keys[run_id]]
            else:
                yield run_id, checkpoint

    def _so_far(self, every: int) -> str:
        return f"evaluated {len(self.found)} of {counted(every, 'network')}"

    def _outcomes(
        self, checkpoints: Iterable[tuple[str, Checkpoint]], *arguments: Any
    ) -> Iterator[tuple[str, Result | str]]:
        """Return what ``evaluate.evaluate`` makes of each checkpoint, here or as Ray tasks, by run id."""
        if self.options.address == "none":
            return ((run_id, evaluate.evaluate(checkpoint, *arguments)) for run_id, checkpoint in checkpoints)
        return in_ray(checkpoints, self.options.address, evaluate.evaluate, *arguments)

    def tables(self, metric: Metric, key: str, *, compare: bool = True) -> list[LevelTable]:
        """Return the tables of one number of the results, with the published numbers that it reproduces.

        The metric is what the number is, and ``key`` its key in the results; a result that lacks it has no value.
        Nothing published is compared unless it measures the same thing.
        """
        values = {run_id: result.get(key) for run_id, result in self.results.items()}
        measured = self.runs.assign(**{METRIC + metric.name: self.runs["run_id"].map(values).astype(float)})
        published = published_of_runs(measured, self.plan["factors"], metric.name) if compare else None
        return level_tables(measured, self.plan, metric, published or None)

    def points(self, of: Callable[[Result], Iterable[Mapping[str, Any]]]) -> pd.DataFrame:
        """Return a row per run and point: ``factor.NAME``, ``arm``, ``seed``, and what ``of`` returns for a result."""
        named = [*(FACTOR + factor for factor in self.plan["factors"]), "arm", "seed"]
        rows = [
            {**{name: run[name] for name in named}, **point}
            for run in self.runs.to_dict("records")
            for point in of(self.results.get(run["run_id"], {}))
        ]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=named)

    def provenance(self, *levels: LevelTable, one_seed: bool = False) -> str:
        """Return the provenance of tables, and the code that evaluated the networks if another trained them."""
        return f"{provenance_text(*levels, one_seed=one_seed)} {self._evaluated()}".strip()

    def _evaluated(self) -> str:
        # What an earlier version of this command evaluated has no code.
        codes = {tuple(result["code"]) for result in self.results.values() if "code" in result}
        trained = set(done(self.runs)[["commit", "patch"]].itertuples(index=False, name=None))
        return "" if codes <= trained else evaluated_text(codes)

    def write_tables(
        self,
        tables: Iterable[Sequence[LevelTable]],
        *how: str,
        stem: str = "table",
        summary: pd.DataFrame | None = None,
    ) -> str:
        """Write the tables, and ``how`` the networks were evaluated; return them, or their ``summary``, as text."""
        study, every, how = self.options.study, list(tables), (*how, *filter(None, [self._evaluated()]))
        self.files.extend(write_tables(study, self.options.out / stem, *every, how=how, summary=summary))
        shown = [study, *map(terminal_tables, every)] if summary is None else [grid(summary)]
        return "\n\n".join([*shown, *map(wrap, how)])

    def draw(
        self,
        stem: str,
        plot: Callable[..., Figure],
        points: pd.DataFrame,
        levels: Sequence[LevelTable],
        caption: str,
        **options: Any,
    ) -> None:
        """Write the figure of some points, to whose caption the provenance of the tables is added, and the points."""
        figure = plot(self.options.study, points, levels, f"{caption} {self.provenance(*levels)}", **options)
        self.files.extend(save_with_points(figure, points, self.options.out / stem))

    def finish(self, text: str) -> int:
        """Print what was found and where it is written; return the exit code, 1 where a network has no result."""
        command.finish(self.files, text)
        return 1 if self.problems else 0
