"""A folder in which a study is started as a user starts it, and readers of its results there and in MLflow."""

import contextlib
import hashlib
import io
import runpy
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from mixlab.tracking import artifacts
from tests.servers.machines import Machine
from tests.servers.program import Program

TOY = Path(__file__).parent / "toy.py"
LOG = "out.txt"
TIMES_AND_MEMORY = {"train_seconds", "evaluation_seconds", "train_seconds_total", "step_seconds", "peak_memory_mib"}


@dataclass(frozen=True, eq=False)
class StudyFolder:
    """A folder with its own results and store.

    Args:
        folder: it is made if it does not exist.
        study: the name of the study, and so of its experiment.
        script: the command of the study, without Python.
        empty_store: a database that is copied, so that no start has to make one.
        tracking_uri: the store; the folder's own if empty.
        environment: that of every start; this process's if not given.
    """

    folder: Path
    study: str
    script: tuple[str, ...]
    empty_store: Path | None = None
    tracking_uri: str = ""
    environment: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        if self.empty_store is not None and not (self.folder / "mlflow.db").exists():
            shutil.copy(self.empty_store, self.folder / "mlflow.db")

    @property
    def uri(self) -> str:
        return self.tracking_uri or f"sqlite:///{self.folder}/mlflow.db"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def start(
        self, *options: str, log: str = LOG, at: Machine | None = None, environment: Mapping[str, str] | None = None
    ) -> Program:
        """Start the study, on another machine if one is given; it does not outlive this process."""
        # -P: the folder of tests/toy.py holds a folder mixlab too, which would hide the installed package.
        command = [sys.executable, "-P", *self.script, "--tracking-uri", self.uri, *options]
        command = at.inside(self.folder, *command) if at else command
        return Program(command, self.folder, log, environment or self.environment)

    def run(self, *options: str, code: int = 0) -> str:
        """Run the study to its end and return what it said."""
        with self.start(*options) as driver:
            return driver.finish(code)

    def run_here(self, *options: str, code: int = 0) -> str:
        """Do what ``run`` does in this process, which has imported the libraries already: it spares seconds."""
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            patch.chdir(self.folder)
            for name, value in (self.environment or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", [*self.script, "--tracking-uri", self.uri, *options])
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(self.script[0], run_name="__main__")
        assert ended.value.code == code, said.getvalue()
        return said.getvalue()

    def said(self, log: str = LOG) -> str:
        """Return the output of all starts."""
        return (self.folder / log).read_text(errors="replace")

    def journals(self) -> set[Path]:
        """Return every checkpoint that is whole."""
        return set((self.folder / "results").glob(f"{self.study}/trials/*/*/checkpoint_*/journal.json"))

    def wait_for_new_checkpoint(self, driver: Program) -> None:
        """Return once a trial has written a new checkpoint."""
        before = self.journals()
        driver.until(lambda: self.journals() - before)

    def runs(self, level: str = "") -> list[Run]:
        """Return MLflow's runs of the study, or those of a level."""
        client = self.client
        experiment = client.get_experiment_by_name(self.study)
        if experiment is None:
            return []
        condition = f"tags.`mixlab.level` = '{level}'" if level else ""
        return list(client.search_runs([experiment.experiment_id], condition, max_results=5000))

    def statuses(self) -> set[str]:
        return {run.info.status for run in self.runs()}

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return for each (arm, seed) the history of every metric except the times, and the hash of the model.

        Check that every run is finished, and exists once.
        """
        client = self.client
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for run in self.runs("seed"):
            cell = (run.data.tags["mixlab.arm"], run.data.tags["mixlab.seed"])
            assert cell not in found, f"{cell} is there twice"
            assert run.info.status == "FINISHED"
            names = sorted(set(run.data.metrics) - TIMES_AND_MEMORY)
            history = {n: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, n)] for n in names}
            model = artifacts.read(client, run.info.run_id, "model.pt") or b""
            found[cell] = {"model": hashlib.sha256(model).hexdigest(), **history}
        return found

    def table(self, preset: str) -> str:
        """Return the study's table as CSV."""
        return (self.folder / "results" / self.study / preset / "table.csv").read_text()

    def trials(self) -> dict[str, list[FrozenTrial]]:
        """Return the trials of a search by arm, as anybody reads them with Optuna."""
        storage = JournalStorage(JournalFileBackend(str(self.folder / "results" / self.study / "optuna.journal")))
        names = [name for name in optuna.get_all_study_names(storage) if "/" in name]
        return {name.split("/")[1]: optuna.load_study(study_name=name, storage=storage).trials for name in names}


def toy_folder(folder: Path, name: str, study: str = "toy", **options: Any) -> StudyFolder:
    """Return a folder for one of the studies of ``tests/toy.py``."""
    return StudyFolder(folder, study, (str(TOY), name), **options)
