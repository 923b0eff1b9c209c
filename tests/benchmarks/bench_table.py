"""Measures how long the table, the page and the relaunch of a study of many finished runs take.

    python tests/benchmarks/bench_table.py [--runs 10000] [--folder DIR]

Fills an MLflow SQLite store by SQL (through the client it would take half an hour), then times the table, the files,
what of it is reading, and the same command once more, which finds nothing left to train. Expected of 10,000 runs on two
cores: the table in 10 seconds, the relaunch in 20, the page in 30.
"""

import sqlite3
import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from recording import arguments, record, seconds_of

from analysis.ablation_table import study_table, write_study_table
from analysis.records.runs import load_plan, load_runs
from analysis.report import write_report
from mixlab import Arm, Metric, Options, Study, run
from mixlab.spec.complete import complete
from mixlab.spec.study_plan import study_plan
from mixlab.spec.trial import Trial

STUDY = "bench"
ARMS = ("baseline", "+ lam", "+ l_s", "+ l_u", "+ l_su")
MIXERS = ("cutmix", "saliencymix")
PARAMS = {f"key.{number}": "0.1" for number in range(50)}
METRICS = ("train_loss", "train_seconds", "test_top1", "test_top5", "lam", "lam_std", "lam_shift")
METRICS += ("regulariser", "regulariser_gradient", "peak_memory_mib")
RULES = ("median10", "last", "best")
ENDS = tuple(f"test_top1_{rule}" for rule in RULES)


class Finished:
    """A trainable whose every run is in the store."""

    metrics = (Metric("test_top1", "%", higher_is_better=True, rules=RULES),)

    def __call__(self, settings: Any, seed: int, report: Any, **_: Any) -> None:
        raise AssertionError(f"seed {seed} is trained again")


def study_of(count: int) -> Study:
    return Study(
        name=STUDY,
        base={**PARAMS, "epochs": "200"},
        factors={"mixer": MIXERS},
        arms=tuple(Arm(name, {"arm": name}) for name in ARMS),
        seeds=range(count // (len(ARMS) * len(MIXERS))),
    )


def main() -> None:
    parser = arguments(__doc__, runs=10_000)
    parser.add_argument("--folder", type=Path, help="keep the store there (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        print(f"filled {given.runs} runs in {seconds_of(lambda: fill(folder, uri, given.runs)):.1f} s")
        frames: list[pd.DataFrame] = []
        spent = seconds_of(lambda: frames.append(load_runs(uri, STUDY)))
        count = len(frames[0])
        print(f"read {count} runs in {spent:.1f} s")
        plan = load_plan(uri, STUDY)
        options = Options(tracking_uri=uri, storage=str(folder / "results"), quiet=True)
        results: list[Any] = []
        for what, recorded, work in (
            ("table", True, lambda: study_table(uri, STUDY, plan)),
            ("table and files", False, lambda: results.append(write_study_table(uri, STUDY, folder / "out", plan))),
            ("page", True, lambda: write_report(uri, STUDY, folder / "out" / "report.html", plan)),
            ("relaunch", True, lambda: results.append(run(study_of(given.runs), Finished(), options))),
        ):
            spent = seconds_of(work)
            if recorded:
                record(f"the {what} of {count} runs", [spent], "s")
            print(f"{what} in {spent:.1f} s")
        table, relaunch = results
        assert relaunch.exit_code == 0
        print(table.text)


def fill(folder: Path, uri: str, count: int) -> None:
    """Write a study of ``count`` runs, each with the data of a run of SUMix: 52 params, 13 metrics and 11 tags."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment(STUDY, artifact_location=(folder / "artifacts").as_uri())
    study, train = study_of(count), complete(Finished())
    trials = study.trials(train)
    head = client.create_run(experiment, tags={"mixlab.level": "study", "mixlab.plan": "0"})
    client.log_dict(head.info.run_id, study_plan(study, trials, "paper", train), "plan.json")
    parent = client.create_run(experiment, tags={"mixlab.level": "arm"}).info.run_id
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in ("runs", "tags", "params", "latest_metrics")}
    with sqlite3.connect(folder / "mlflow.db") as store:
        template = pd.read_sql("SELECT * FROM runs", store).iloc[0].to_dict()
        for trial in trials:
            _add(rows, template, parent, trial, 70 + ARMS.index(trial.arm) * 0.05 + float(rng.normal(0, 0.3)))
        for table, of in rows.items():
            pd.DataFrame(of).to_sql(table, store, if_exists="append", index=False)


def _add(
    rows: dict[str, list[dict[str, Any]]], template: dict[str, Any], parent: str, trial: Trial, value: float
) -> None:
    """Add a finished run, whose every metric has this value, to the rows of each table."""
    own = {"run_uuid": uuid.uuid4().hex}
    rows["runs"].append({**template, **own, "status": "FINISHED", "end_time": template["start_time"] + 1})
    tags = {"mixlab.level": "seed", "mixlab.key": trial.key, "mixlab.study": STUDY, "mixlab.arm": trial.arm}
    tags |= {"mixlab.seed": str(trial.seed), "mixlab.commit": "0" * 40, "mixlab.dirty": "false", "mixlab.data": "1"}
    tags |= {"mixlab.constraints": "0" * 12, "mlflow.parentRunId": parent, "mlflow.runName": trial.name}
    rows["tags"] += [{"key": key, "value": text, **own} for key, text in tags.items()]
    params = {**PARAMS, "epochs": "200", "mixer": trial.levels["mixer"]}
    rows["params"] += [{"key": key, "value": text, **own} for key, text in params.items()]
    values = {"value": value, "timestamp": 0, "step": 200, "is_nan": 0, **own}
    rows["latest_metrics"] += [{"key": key, **values} for key in (*METRICS, *ENDS)]


if __name__ == "__main__":
    main()
