"""Measures how long the table of a study of many runs takes.

    python tests/benchmarks/bench_table.py [--runs 10000] [--folder DIR]

Fills an MLflow SQLite store by SQL (through the client it would take half an hour), then times the table, the files and
what of it is reading. Expected: 10,000 runs in less than 20 seconds on two cores.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.tracking import MlflowClient
from recording import record

from analysis.ablation_table import study_table, write_study_table
from analysis.records.runs import load_runs
from analysis.report import write_report

STUDY = "bench"
ARMS = ("baseline", "+ lam", "+ l_s", "+ l_u", "+ l_su")
MIXERS = ("cutmix", "saliencymix")
PARAMS = {f"key.{number}": "0.1" for number in range(50)}
METRICS = ("train_loss", "train_seconds", "test_top1", "test_top5", "lam", "lam_std", "lam_shift")
METRICS += ("regulariser", "regulariser_gradient", "peak_memory_mib")
ENDS = ("test_top1_last", "test_top1_median10", "test_top1_best")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="keep the store there (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        begin = time.perf_counter()
        fill(folder, uri, options.runs)
        print(f"filled {options.runs} runs in {time.perf_counter() - begin:.1f} s")
        begin = time.perf_counter()
        runs = load_runs(uri, STUDY)
        print(f"read {len(runs)} runs in {time.perf_counter() - begin:.1f} s")
        begin = time.perf_counter()
        study_table(uri, STUDY)
        spent = time.perf_counter() - begin
        record(f"the table of {len(runs)} runs", [spent], "s")
        print(f"table in {spent:.1f} s")
        begin = time.perf_counter()
        result = write_study_table(uri, STUDY, folder / "out")
        print(f"table and files in {time.perf_counter() - begin:.1f} s")
        begin = time.perf_counter()
        write_report(uri, STUDY, folder / "out" / "report.html")
        spent = time.perf_counter() - begin
        record(f"the page of {len(runs)} runs", [spent], "s")
        print(f"page in {spent:.1f} s")
        print(result.text)


def fill(folder: Path, uri: str, count: int) -> None:
    """Write a study of ``count`` runs, each with the data of a run of SUMix: 52 params, 13 metrics and 11 tags."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment(STUDY, artifact_location=(folder / "artifacts").as_uri())
    seeds = count // (len(ARMS) * len(MIXERS))
    trials = [
        {"key": uuid.uuid4().hex[:12], "arm": arm, "levels": {"mixer": mixer}, "seed": seed}
        for mixer in MIXERS
        for arm in ARMS
        for seed in range(seeds)
    ]
    plan = {"study": STUDY, "preset": "paper", "factors": ["mixer"], "arms": list(ARMS), "baseline": "baseline"}
    head = client.create_run(experiment, tags={"mixlab.level": "study", "mixlab.plan": "0"})
    client.log_dict(head.info.run_id, {**plan, "metric": "test_top1_median10", "trials": trials}, "plan.json")
    with sqlite3.connect(folder / "mlflow.db") as store:
        template = _row(store, "runs", head.info.run_id)
        rng = np.random.default_rng(0)
        for trial in trials:
            _insert_run(store, template, trial, 70 + ARMS.index(trial["arm"]) * 0.05 + float(rng.normal(0, 0.3)))


def _insert_run(store: sqlite3.Connection, template: dict[str, Any], trial: dict[str, Any], value: float) -> None:
    run = uuid.uuid4().hex
    _insert(store, "runs", {**template, "run_uuid": run, "status": "FINISHED", "end_time": template["start_time"] + 1})
    tags = {"mixlab.level": "seed", "mixlab.key": trial["key"], "mixlab.study": STUDY, "mixlab.arm": trial["arm"]}
    tags |= {"mixlab.seed": str(trial["seed"]), "mixlab.commit": "0" * 40, "mixlab.dirty": "false", "mixlab.data": "1"}
    tags |= {"mixlab.constraints": "0" * 12, "mlflow.parentRunId": "0" * 32}
    tags["mlflow.runName"] = f"{trial['levels']['mixer']} · {trial['arm']} · seed {trial['seed']}"
    for key, text in tags.items():
        _insert(store, "tags", {"key": key, "value": text, "run_uuid": run})
    for key, text in {**PARAMS, "epochs": "200", "mixer": trial["levels"]["mixer"]}.items():
        _insert(store, "params", {"key": key, "value": text, "run_uuid": run})
    for key in (*METRICS, *ENDS):
        values = {"key": key, "value": value, "timestamp": 0, "step": 200, "is_nan": 0, "run_uuid": run}
        _insert(store, "latest_metrics", values)


def _row(store: sqlite3.Connection, table: str, run: str) -> dict[str, Any]:
    cursor = store.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run,))
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


def _insert(store: sqlite3.Connection, table: str, values: dict[str, Any]) -> None:
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    store.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


if __name__ == "__main__":
    main()
