"""The runs of a study as a table: the planned cells, joined with what MLflow holds.

Every planned cell is a row. A cell without a run is a row with the status ``pending``, so that a table made from these
rows can say what it lacks.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixlab.errors import BadInput
from mixlab.spec.metric import Metric, find
from mixlab.spec.trial import State, cell_name
from mixlab.tracking import artifacts, names, store
from mixlab.tracking.stored_runs import INFINITE, StoredRun, experiment_id, search_runs

Plan = dict[str, Any]

PREFERENCE = (State.DONE, State.RUNNING, State.INTERRUPTED, State.FAILED)
IDENTITY = (
    *("key", "arm", "seed", "status", "error", "commit"),
    *("dirty", "patch", "data", "hardware", "versions", "epochs", "run_id"),
)
VERSIONS = ("python", "torch", "cuda", "cudnn", "driver", "libraries")  # the words of a run that are versions
UNKNOWN_DIGITS = 4  # the decimals of a metric that nobody declared
OTHER_LEVEL = {  # the other level that may have a plan of this name, and what that means
    "study": ("search", "it is a search, whose winners have not been trained yet"),
    "search": ("study", "it is a study, which searches nothing"),
}
FACTOR, CONFIG, METRIC = names.FACTOR, names.CONFIG, names.METRIC


def load_plan(tracking_uri: str, study: str, plan_hash: str | None = None, level: str = "study") -> Plan:
    """Return the plan of a study: its arms, factors, baseline, metric and trials.

    Args:
        tracking_uri: where MLflow keeps its runs, e.g. ``sqlite:///mlflow.db``.
        study: the name of the study, which is the name of the MLflow experiment.
        plan_hash: the plan to load, or the first characters of its hash; by default the one used last.
        level: ``search`` loads the plan of a search instead, which has keys of its own.

    Raises:
        BadInput: no such tracking store, study or plan. The sentence names the nearest study, or the existing plans.
    """
    client = store.connect(tracking_uri, make=False)
    with store.reading(client):
        plans = search_runs(client, experiment_id(client, study), {names.LEVEL: level})
        if not plans:
            other, why = OTHER_LEVEL[level]
            if not search_runs(client, experiment_id(client, study), {names.LEVEL: other}):
                why = "nothing was started yet"
            raise BadInput(f"{level} {study!r} has no plan in {tracking_uri}: {why}")
        # A relaunch continues the run of its plan, so the start alone does not show the latest.
        plans.sort(key=lambda run: max(run.start_time, run.end_time or 0))
        wanted = [run for run in plans if run.tags.get(names.PLAN, "").startswith(plan_hash or "")]
        if not wanted:
            known = ", ".join(dict.fromkeys(run.tags.get(names.PLAN, "?") for run in reversed(plans)))
            raise BadInput(f"{level} {study!r} has no plan {plan_hash!r}; its plans, latest first: {known}")
        run_id = wanted[-1].run_id
        plan = artifacts.read_plan(client, run_id)
    if plan is None:
        raise BadInput(f"the plan of {level} {study!r} (run {run_id}) lacks its file")
    kind, mark, file = str(plan.get("storage", "")).partition(":///")
    if mark:  # the trials of a search are in a file, by an absolute path
        plan["storage"] = f"{kind}{mark}{artifacts.moved(client, run_id, Path(file))}"
    return plan


def load_runs(tracking_uri: str, study: str, plan: Plan | None = None) -> pd.DataFrame:
    """Return one row per planned cell, in the order of the plan.

    Arguments are as for ``load_plan``, by which the ``plan`` is loaded if it is not given.

    Returns:
        Columns ``key``, ``arm``, ``seed``, ``status`` (a ``State`` in words: done, failed, running, interrupted or
        pending), ``error`` (first line), ``commit``, ``dirty``, ``patch`` (digest of the uncommitted changes), ``data``
        (fingerprint), ``hardware``, ``versions``, ``epochs`` and ``run_id``; one ``factor.NAME`` a factor, one
        ``metric.NAME`` a metric, and one ``config.KEY`` a configuration key, as text. The metrics of a run that is not
        done are NaN: the last value of half a training is not a result.

    Raises:
        BadInput: no such tracking store or study.
    """
    plan = plan if plan is not None else load_plan(tracking_uri, study)
    client = store.connect(tracking_uri, make=False)
    with store.reading(client):
        every = search_runs(client, experiment_id(client, study), {names.LEVEL: "seed"})
    # The last run of a key counts: a finished one before a running and a failed one, then the later start.
    in_order = sorted(every, key=lambda run: (PREFERENCE.index(run.state), -run.start_time), reverse=True)
    runs = {run.tags.get(names.KEY, ""): run for run in in_order}
    found = [run for trial in plan["trials"] if (run := runs.get(trial["key"]))]
    metrics = sorted({METRIC + name for run in found for name in run.metrics})
    params = sorted({CONFIG + name for run in found for name in run.params})
    rows = [_row(trial, runs.get(trial["key"])) for trial in plan["trials"]]
    columns = [*IDENTITY, *(FACTOR + name for name in plan["factors"]), *metrics, *params]
    frame = pd.DataFrame(rows, columns=columns)
    frame[params] = frame[params].fillna("")
    return frame.astype({"seed": int, "epochs": "Int64", **dict.fromkeys(metrics, float)})


def load_curves(tracking_uri: str, runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the ``value`` of a metric by ``epoch``, for the rows of :func:`load_runs` that have a run.

    It takes one request per run; if an epoch was logged twice (a resumed trial), the later value counts.
    """
    client = store.connect(tracking_uri, make=False)
    begun = runs[runs["run_id"] != ""]
    curves: list[dict[int, float]] = []  # the value of each epoch, a run
    for run_id in begun["run_id"]:
        history = store.patiently(partial(client.get_metric_history, run_id, metric))
        in_time = sorted(history, key=lambda point: point.timestamp)
        curves.append({point.step: INFINITE.get(point.value, point.value) for point in in_time})
    rows = np.repeat(np.arange(len(begun)), [len(curve) for curve in curves])
    points = [point for curve in curves for point in curve.items()]
    return begun.iloc[rows].reset_index(drop=True).join(pd.DataFrame(points, columns=["epoch", "value"]))


def done(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs that are done."""
    return runs[runs["status"] == State.DONE.value]


def all_over(runs: pd.DataFrame) -> bool:
    """Return whether no planned run waits or runs."""
    return all(State(status).over for status in runs["status"].unique())


def at_levels(runs: pd.DataFrame, levels: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of one table: those with this level of each factor."""
    return runs[(runs[[FACTOR + name for name in levels]] == list(levels.values())).all(axis=1)]


def setting(runs: pd.DataFrame, name: str) -> pd.Series:
    """Return a setting of every run as text, empty for a run that has logged none."""
    return runs.get(f"{CONFIG}{name}", pd.Series("", runs.index))


def of_one_seed(runs: pd.DataFrame, seed: int | None) -> pd.DataFrame:
    """Return the runs of a seed, by default of the least; raise ``ValueError`` for one that none of them has."""
    seeds = sorted(int(known) for known in runs["seed"].unique())
    if seed is not None and seed not in seeds:
        raise ValueError(f"--seed {seed} has no such run that is done; done: {', '.join(map(str, seeds))}")
    return runs[runs["seed"] == (seeds[0] if seed is None else seed)]


def of_arms(runs: pd.DataFrame, plan: Plan, arms: Sequence[str]) -> pd.DataFrame:
    """Return the runs of some arms that are done; raise ``ValueError`` for one that the study does not have."""
    for arm in arms:
        if arm not in plan["arms"]:
            raise ValueError(f"--arms {arm!r} is not an arm; the arms are: {', '.join(plan['arms'])}")
    return done(runs)[done(runs)["arm"].isin(arms)]


def cell_of_run(run: Mapping[Any, Any], plan: Plan) -> str:
    """Return the levels and the arm of a row of :func:`load_runs`, such as ``cutmix · + lam``."""
    return cell_name((run[FACTOR + factor] for factor in plan["factors"]), run["arm"])


def name_of_run(row: Mapping[Any, Any]) -> str:
    """Return a row of :func:`load_runs` in words, e.g. ``cutmix, '+ lam', seed 0``; a study has no two of one name."""
    levels = [str(value) for name, value in row.items() if str(name).startswith(FACTOR)]
    return ", ".join([*levels, repr(row["arm"]), f"seed {row['seed']}"])


def begun(runs: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Return the runs without those of seeds not asked for yet, but with the first run of an arm that has no other."""
    waiting = runs["status"] == State.PENDING.value
    only = waiting & ~runs.duplicated([*factors, "arm"])
    begun = waiting.groupby([runs[name] for name in [*factors, "arm"]]).transform("all")
    return runs[~waiting | (only & begun)]


def _row(trial: dict[str, Any], run: StoredRun | None) -> dict[str, Any]:
    """Return the cells of one row, by column."""
    tags: Mapping[str, str] = run.tags if run else {}
    config: Mapping[str, str] = run.params if run else {}
    dirty = "true" in tags.get(names.DIRTY, "")
    status = run.state if run else State.PENDING
    values = run.metrics if run and status is State.DONE else {}
    return {
        "key": trial["key"],
        "arm": trial["arm"],
        "seed": trial["seed"],
        "status": status.value,
        "error": tags.get(names.ERROR, "") if status is State.FAILED else "",
        "commit": tags.get(names.COMMIT, ""),
        "dirty": dirty,
        "patch": tags.get(names.PATCH, "unknown" if dirty else "none"),
        "data": tags.get(names.DATA, ""),
        "hardware": tags.get(names.HARDWARE, ""),
        "versions": ", ".join(f"{name} {tags[names.WORD + name]}" for name in VERSIONS if names.WORD + name in tags),
        "epochs": int(config["epochs"]) if config.get("epochs", "").isdigit() else math.nan,
        "run_id": run.run_id if run else "",
        **{FACTOR + name: level for name, level in trial.get("levels", {}).items()},
        **{METRIC + name: value for name, value in values.items()},
        **{CONFIG + name: value for name, value in config.items()},
    }


def metric_of(plan: Mapping[str, Any], name: str) -> Metric:
    """Return the metric behind a logged name such as ``test_top1_median10``, as the plan of a study declares it.

    A name that the trainable did not declare is a metric without unit and direction: it can be shown, but no gain in
    it is a win.
    """
    declared = [Metric(**{**fields, "rules": tuple(fields["rules"])}) for fields in plan.get("metrics", ())]
    return find(declared, name) or Metric(name, digits=UNKNOWN_DIGITS)


def rule_of(metric: Metric, name: str) -> str:
    """Return the rule in a logged name, such as ``median10``; empty where the name is the metric's own."""
    return "" if name == metric.name else name.removeprefix(f"{metric.name}_")


def configuration(runs: pd.DataFrame, factors: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the settings that all runs share, ``key`` and ``value``, and those in which the cells differ.

    The latter have the columns ``factor.NAME``, ``arm``, and ``config.KEY`` for every key that differs. All is text.
    """
    started = runs[runs["run_id"] != ""]
    columns = [name for name in map(str, runs) if name.startswith(CONFIG) and name != f"{CONFIG}seed"]
    shared = [name for name in columns if started[name].nunique() == 1]
    pairs = [(name.removeprefix(CONFIG), started[name].iloc[0]) for name in shared]
    differing = [name for name in columns if name not in shared and name.removeprefix(CONFIG) not in factors]
    cells = started[[*(FACTOR + name for name in factors), "arm", *differing]].drop_duplicates().astype(str)
    return pd.DataFrame(pairs, columns=["key", "value"]), cells


def provenance(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the number of ``runs`` from each commit, with or without changes, data, hardware and versions."""
    started = runs[runs["run_id"] != ""]
    origin = ["commit", "dirty", "data", "hardware", "versions"]
    counts = started.groupby(origin, sort=False).size().reset_index(name="runs")
    counts["dirty"] = counts["dirty"].map({True: "yes", False: "no"}).mask(counts["commit"] == "unknown", "unknown")
    return counts.rename(columns={"dirty": "uncommitted changes"}).astype(str)
