"""Adds the runs of one MLflow store to another, each once, for work done where the other could not be reached.

    mixlab merge OTHER.db                                         into sqlite:///mlflow.db
    mixlab merge OTHER.db --tracking-uri http://HEAD:5000         into a server

A run that both have is left as it is, unless it is finished only in the other store, or is of a study that has more
seeds there; then it replaces ours. Of a search that both have finished, ours stays, whatever its budget: its trials are
in Optuna's storage, which is not merged. The same command, repeated, adds nothing. A second merge into a database waits
for the first; start those into a server one after another.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput, root_cause
from mixlab.messages import counted
from mixlab.spec.trial import State
from mixlab.tracking import artifacts, names
from mixlab.tracking.experiment import history, log, offer, open_experiment
from mixlab.tracking.store import connect
from mixlab.tracking.stored_runs import StoredRun, search_runs
from mixlab.uris import sqlite_file, sqlite_uri


def main(argv: Sequence[str] | None = None) -> int:
    """Merge, say what was added, and return the exit code; raise ``BadInput`` for a store that cannot be opened."""
    given = parser().parse_args(argv)
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for each run
    try:
        other = given.other if ":" in given.other else sqlite_uri(given.other)
        file = sqlite_file(other)
        if not given.other or (file is not None and not os.path.isfile(file)):
            raise BadInput(f"no MLflow database at {given.other!r}, which would be merged")
        source, target = connect(other, make=False, option="OTHER"), connect(given.tracking_uri)
        added = merge(source, target)
    except (MlflowException, OSError) as error:
        print(f"error: a store went away ({root_cause(error)}): the same command goes on", file=sys.stderr)
        return 1
    for study, (count, differing) in added.items():
        disagree = f"; the stores disagree on the numbers of {counted(differing, 'run')}, of which ours stay"
        print(f"{study}: {counted(count, 'run')} added{disagree if differing else ''}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    about = "Add the runs of another MLflow store, each once."
    codes = "Exit codes: 0 done; 1 a store went away; 2 bad input, which one sentence explains; 130 interrupted."
    options = argparse.ArgumentParser(prog="mixlab merge", description=about, epilog=codes)
    options.add_argument("other", metavar="OTHER", help="a database file, or the URI of a store")
    to = "add to this store (default: %(default)s)"
    options.add_argument("--tracking-uri", metavar="URI", default="sqlite:///mlflow.db", help=to)
    return options


def merge(source: MlflowClient, target: MlflowClient) -> dict[str, tuple[int, int]]:
    """Add every run that ``target`` lacks, with all its content.

    Return by study how many trials were added, and how many both stores have finished with other numbers.
    """
    added = {}
    file = sqlite_file(target.tracking_uri)
    # Another merge would copy the same runs, and delete this one's unfinished copies.
    with FileLock(file.with_name(f".{file.name}.merge.lock")) if file else nullcontext():
        for experiment in source.search_experiments():
            levels = (search_runs(source, experiment.experiment_id, {names.LEVEL: level}) for level in names.IDENTITY)
            if any(levels):  # and not somebody else's runs alone
                to = open_experiment(target, experiment.name)
                added[experiment.name] = _merge_experiment(source, target, experiment, to)
    return added


def _merge_experiment(source: MlflowClient, target: MlflowClient, experiment: Experiment, to: str) -> tuple[int, int]:
    offer(target, to, {name: tag for name, tag in experiment.tags.items() if not name.startswith(names.DRIVER)})
    for unfinished in search_runs(target, to, {names.LEVEL: names.COPYING}, params=False):  # from an earlier merge
        target.delete_run(unfinished.run_id)
    counterpart: dict[str, str] = {}  # from runs of the source to runs of the target
    replacing: set[str] = set()  # runs of studies that have replaced another: their arms do so, too
    plans = artifacts.plans(source, experiment.name)
    declared = tuple(metric["name"] for _, plan in plans for metric in plan.get("metrics", ()))
    added = differing = 0
    for level in names.IDENTITY:
        is_trial = level in ("seed", "trial")
        ours = {_identity(run): run for run in search_runs(target, to, {names.LEVEL: level})}
        for run in search_runs(source, experiment.experiment_id, {names.LEVEL: level}):
            known = ours.get(_identity(run))
            of_replacing = run.tags.get(names.PARENT) in replacing
            if known is not None and not (of_replacing or _further(source, run, target, known)):
                counterpart[run.run_id] = known.run_id
                if is_trial and {run.state, known.state} == {State.DONE}:
                    differing += _numbers(run, declared) != _numbers(known, declared)
                continue
            copy = _copy(source, target, run, to, counterpart)
            counterpart[run.run_id] = copy
            added += is_trial
            if known is None:
                continue
            for child in search_runs(target, to, {names.PARENT: known.run_id}):
                log(target, child.run_id, tags={names.PARENT: copy})
            target.delete_run(known.run_id)
            if level == "study":
                replacing.add(run.run_id)
    return added, differing


def _numbers(run: StoredRun, declared: tuple[str, ...]) -> dict[str, str]:
    """Return the values of the declared metrics by any rule, as text; others, such as times, differ anyway."""
    return {name: str(value) for name, value in run.metrics.items() if name.startswith(declared)}


def _further(source: MlflowClient, run: StoredRun, target: MlflowClient, known: StoredRun) -> bool:
    """Return whether a run of the source is further than the target's: finished, or with more trials in its plan."""
    if {run.state, known.state} != {State.DONE}:
        return run.state is State.DONE
    if run.tags[names.LEVEL] != "study":
        return False
    ours, theirs = artifacts.plan_of(target, known.run_id), artifacts.plan_of(source, run.run_id)
    return len(theirs.get("trials", [])) > len(ours.get("trials", []))


def _copy(
    source: MlflowClient, target: MlflowClient, run: StoredRun, experiment: str, counterpart: Mapping[str, str]
) -> str:
    tags = {name: value for name, value in run.tags.items() if name != names.PARENT} | {names.LEVEL: names.COPYING}
    if (parent := counterpart.get(run.tags.get(names.PARENT, ""))) is not None:  # it may have been deleted
        tags[names.PARENT] = parent
    made = target.create_run(experiment, start_time=run.start_time, tags=tags).info.run_id
    log(target, made, history(source, run.run_id, run.metrics), run.params)
    with TemporaryDirectory() as folder:
        for name in artifacts.listed(source, run.run_id):
            file = artifacts.fetch(source, run.run_id, name, Path(folder))
            if file is not None:
                artifacts.put(target, made, file)
    target.set_terminated(made, names.STATUS[run.state], run.end_time)
    log(target, made, tags={names.LEVEL: run.tags[names.LEVEL]})  # last: nothing finds a copy that is not whole
    return str(made)


def _identity(run: StoredRun) -> tuple[str, ...]:
    return tuple(run.tags.get(tag, "") for tag in names.IDENTITY[run.tags[names.LEVEL]])


if __name__ == "__main__":
    sys.exit(main())
