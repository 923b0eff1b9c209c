"""The runs of a study as a table: what was planned, joined with what MLflow holds.

Every planned cell is a row. A cell without a run is a row whose status is ``missing``, so that a table made from these
rows can say what it lacks.
"""

from __future__ import annotations

import difflib
import gc
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

Plan = dict[str, Any]

PLAN_KEYS = ("study", "factors", "arms", "baseline", "metric", "trials")
# MLflow's status to ours. A killed run was interrupted: the next start of the study goes on with it.
STATUS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "running", "RUNNING": "running", "SCHEDULED": "running"}
PREFERENCE = ("finished", "running", "failed")
RUNS_PER_PAGE = 5000


def load_plan(tracking_uri: str, study: str, plan_hash: str | None = None, level: str = "study") -> Plan:
    """The plan of a study: its arms, factors, baseline, metric and trials.

    Args:
        tracking_uri: where MLflow keeps its runs, e.g. ``sqlite:///mlflow.db``.
        study: name of the study, which is the name of the MLflow experiment.
        plan_hash: the plan to load, or the first characters of its hash; by default the one used last.
        level: ``search`` for the plan of a search instead, which has keys of its own.

    Raises:
        ValueError: no such tracking store, study or plan. The sentence names the nearest study, or the plans there are.
    """
    client = open_client(tracking_uri)
    experiment = _experiment_id(client, study)
    plans = list(_search(client, experiment, f"tags.`mixlab.level` = '{level}'"))
    if not plans:
        raise ValueError(f"{level} {study!r} has no plan in {tracking_uri}: nothing was started yet")
    plans.sort(key=_last_touched)
    wanted = [run for run in plans if run.data.tags.get("mixlab.plan", "").startswith(plan_hash or "")]
    if not wanted:
        known = ", ".join(dict.fromkeys(run.data.tags.get("mixlab.plan", "?") for run in reversed(plans)))
        raise ValueError(f"{level} {study!r} has no plan {plan_hash!r}; its plans, latest first: {known}")
    return _read_plan(client, wanted[-1], study, PLAN_KEYS if level == "study" else ())


def load_runs(tracking_uri: str, study: str, plan: Plan | None = None) -> pd.DataFrame:
    """One row a planned cell, in the order of the plan.

    Args:
        tracking_uri: where MLflow keeps its runs.
        study: name of the study.
        plan: the plan whose cells are wanted; by default the one used last (:func:`load_plan`).

    Returns:
        Columns ``key``, ``arm``, ``seed``, one per factor, ``status`` (finished, failed, running, missing), ``error``
        (first line), ``commit``, ``dirty``, ``data`` (fingerprint), ``epochs``, ``run_id``, one per metric, and one per
        parameter named ``config.<parameter>``, as text. The metrics of a run that did not finish are NaN: the last
        value of half a training is not a result. ``running`` includes what was interrupted and can be continued.

    Raises:
        ValueError: no such tracking store or study.
    """
    plan = plan if plan is not None else load_plan(tracking_uri, study)
    client = open_client(tracking_uri)
    runs = _best_run_by_key(_search(client, _experiment_id(client, study), "tags.`mixlab.level` = 'seed'"))
    found = [run for trial in plan["trials"] if (run := runs.get(trial["key"]))]
    metrics = sorted({name for run in found for name in run.data.metrics})
    params = sorted({name for run in found for name in run.data.params})
    rows = [_row(trial, runs.get(trial["key"]), metrics, params) for trial in plan["trials"]]
    identity = [
        "key",
        "arm",
        "seed",
        *plan["factors"],
        "status",
        "error",
        "commit",
        "dirty",
        "data",
        "hardware",
        "epochs",
        "run_id",
    ]
    columns = list(dict.fromkeys([*identity, *metrics, *(f"config.{name}" for name in params)]))
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"seed": int, "epochs": "Int64", **dict.fromkeys(metrics, float)})


def load_curves(tracking_uri: str, runs: pd.DataFrame, metric: str = "test_top1") -> pd.DataFrame:
    """A metric by epoch, for the rows of :func:`load_runs` that have a run: columns of ``runs``, ``epoch``, ``value``.

    One request a run; of an epoch logged twice (a resumed trial) the later value counts.
    """
    client = open_client(tracking_uri)
    parts = []
    for row in runs[runs["run_id"] != ""].to_dict("records"):
        history = client.get_metric_history(row["run_id"], metric)
        by_epoch = {point.step: point.value for point in sorted(history, key=lambda point: point.timestamp)}
        parts.append(pd.DataFrame({**row, "epoch": list(by_epoch), "value": list(by_epoch.values())}))
    columns = [*runs.columns, "epoch", "value"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def open_client(tracking_uri: str) -> MlflowClient:
    """A client of an existing tracking store.

    Raises:
        ValueError: there is no such store. MLflow itself would create an empty one.
    """
    # A progress bar for one small file would be drawn through the table that follows.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    file = tracking_uri.removeprefix("sqlite:///")
    if file != tracking_uri and not Path(file).is_file():
        raise ValueError(f"no MLflow database at {file!r}: run the study first, or name another with --tracking-uri")
    try:
        return MlflowClient(tracking_uri=tracking_uri)
    except MlflowException as error:
        raise ValueError(f"cannot read MLflow at {tracking_uri!r}: {str(error).splitlines()[0]}") from error


def _experiment_id(client: MlflowClient, study: str) -> str:
    try:
        experiment = client.get_experiment_by_name(study)
        if experiment is not None:
            return str(experiment.experiment_id)
        names = [known.name for known in client.search_experiments() if known.name != "Default"]
    except MlflowException as error:
        raise ValueError(f"cannot read MLflow: {str(error).splitlines()[0]}") from error
    if not names:
        raise ValueError(f"there is no study {study!r}: MLflow holds none")
    nearest = difflib.get_close_matches(study, names, n=1, cutoff=0.0)[0]
    raise ValueError(f"there is no study {study!r}; the nearest is {nearest!r}")


def _search(client: MlflowClient, experiment: str, condition: str) -> Iterator[Run]:
    token = None
    while True:
        with _collector_paused():
            page = client.search_runs([experiment], condition, max_results=RUNS_PER_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without the garbage collector, which takes more than half of the time in which MLflow builds a page of runs."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _last_touched(run: Run) -> int:
    """Milliseconds: a relaunch continues the run of its plan, so the start alone does not tell which is current."""
    return max(run.info.start_time, run.info.end_time or 0)


def _read_plan(client: MlflowClient, run: Run, study: str, needed: Sequence[str]) -> Plan:
    try:
        with TemporaryDirectory() as folder:  # by the client: what else reads artifacts asks MLflow's default server
            plan = json.loads(Path(client.download_artifacts(run.info.run_id, "plan.json", folder)).read_text())
    except (MlflowException, OSError, json.JSONDecodeError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ValueError(f"cannot read the plan of study {study!r} (run {run.info.run_id}): {first_line}") from error
    lacking = [key for key in needed if key not in plan]
    if lacking:
        raise ValueError(f"the plan of study {study!r} (run {run.info.run_id}) lacks {', '.join(lacking)}")
    return dict(plan)


def _best_run_by_key(runs: Iterator[Run]) -> dict[str, Run]:
    """Of several runs of one cell, a finished one counts before a running and a failed one, then the later start."""

    def rank(run: Run) -> tuple[int, int]:
        return -PREFERENCE.index(STATUS[run.info.status]), run.info.start_time

    best: dict[str, Run] = {}
    for run in runs:
        key = run.data.tags.get("mixlab.key", "")
        if key not in best or rank(run) > rank(best[key]):
            best[key] = run
    return best


def _row(trial: dict[str, Any], run: Run | None, metrics: list[str], params: list[str]) -> dict[str, Any]:
    tags: dict[str, str] = run.data.tags if run else {}
    config: dict[str, str] = run.data.params if run else {}
    status = STATUS[run.info.status] if run else "missing"
    values = run.data.metrics if run and status == "finished" else {}
    return {
        "key": trial["key"],
        "arm": trial["arm"],
        "seed": trial["seed"],
        "status": status,
        "error": tags.get("mixlab.error", "") if status == "failed" else "",
        "commit": tags.get("mixlab.commit", ""),
        "dirty": tags.get("mixlab.dirty") == "true",
        "data": tags.get("mixlab.data", ""),
        "hardware": tags.get("mixlab.hardware", ""),
        "epochs": int(config["epochs"]) if config.get("epochs", "").isdigit() else None,
        "run_id": run.info.run_id if run else "",
        **{name: values.get(name, math.nan) for name in metrics},
        **{f"config.{name}": config.get(name, "") for name in params},
        **trial.get("levels", {}),
    }
