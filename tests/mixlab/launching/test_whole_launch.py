"""The whole launch, with MLflow and the report but without Ray: however it ends, its runs say so, and so does it."""

import errno
import io
import sys
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE
from mlflow.tracking import MlflowClient
from rich.console import Console

from analysis import report
from mixlab import main
from mixlab.cluster.source import End, Listener
from mixlab.errors import BadInput
from mixlab.launching import launch_search
from mixlab.spec.search import SearchTrial
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Storage
from mixlab.tracking import names, store, stored_runs
from mixlab.tracking.mirrors import MIRRORS
from mixlab.tracking.stored_runs import experiment_id, search_runs
from tests.endings import ended, refused
from tests.mixlab.without_ray import raising
from tests.toy import SEARCH, STUDIES, Toy

STUDY = STUDIES["sequential"]().with_base(epochs=1)
SMALL = replace(STUDY, arms=STUDY.arms[:2], seeds=range(1))
SEARCHED = SEARCH.study.with_base(epochs=1)
SMALL_SEARCH = replace(SEARCH, study=SEARCHED, budget=4, scheduler="none", sampler="random")
OUTLOOK = "1 table, 2 arms, 1 seed: 2 runs"


def test_whatever_ends_the_schedule_leaves_no_run_running_and_no_checkpoint_of_what_is_done(
    launch, client, monkeypatch
):
    """The sentence for it is in ``test_run_phase``."""
    monkeypatch.setattr(Storage, "forget", forget := Mock())
    said = launch(SMALL, raising(RuntimeError("a bug\nand more"), after=1), code=1)
    assert "stopped by RuntimeError: a bug; every trial is kept up to its last checkpoint" in said
    runs = client.search_runs([client.get_experiment_by_name(STUDY.name).experiment_id])
    assert sorted((run.data.tags["mixlab.level"], run.info.status) for run in runs) == [
        ("arm", "FINISHED"),
        ("arm", "KILLED"),
        ("seed", "FINISHED"),
        ("seed", "KILLED"),
        ("study", "KILLED"),
    ]
    seeds = [run for run in runs if run.data.tags["mixlab.level"] == "seed" and run.info.status == "FINISHED"]
    assert forget.call_args.args[0] == {run.data.tags["mixlab.key"] for run in seeds}


@pytest.mark.parametrize("file", ["mixlab.log", ".lock"])
def test_a_folder_of_results_that_is_another_users_is_a_sentence(launch, tmp_path, file):
    """Root may write everywhere, but to no folder as to a file."""
    folder = tmp_path / "results" / STUDY.name
    (folder / file).mkdir(parents=True)
    with pytest.raises(BadInput, match=f"^'{folder}', where tables and logs go, cannot be written \\(.*{file}"):
        launch(SMALL)


@pytest.mark.slow
def test_writes_that_mlflow_refuses_are_exit_1_and_the_table_is_made_all_the_same(launch, tracking_uri, monkeypatch):
    """One of a trial, or one of the table itself."""
    client, make = MlflowClient(tracking_uri), report.report

    def delete_the_run(listener: Any, trial: Trial, number: int) -> None:
        if number == 1:
            assert listener.runs.writer.drain(20)
            client.delete_run(listener.runs.run_ids[trial.key])

    def and_delete_the_study_s_run(uri: str, name: str, *rest: Any) -> report.StudyReport:
        made = make(uri, name, *rest)
        (run,) = search_runs(client, experiment_id(client, name), {names.LEVEL: names.STUDY_LEVELS[0]})
        client.delete_run(run.run_id)
        return made

    first = launch(SMALL, delete_the_run, code=1)
    assert OUTLOOK in first
    monkeypatch.setattr(report, "report", and_delete_the_study_s_run)
    for said in (first, launch(SMALL, code=1)):
        assert "MLflow refused a write: " in said
        assert "The table and the figures are in " in said


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (BadInput("no MLflow store answers at --tracking-uri 'http://127.0.0.1:1'"), "no MLflow store answers"),
        (OSError(errno.ENOSPC, "No space left on device"), "there is no room left in {} ([Errno 28] No space left"),
    ],
)
def test_a_store_that_is_gone_or_a_full_disk_when_the_table_is_made_is_exit_1(
    launch, tmp_path, monkeypatch, fault, why
):
    monkeypatch.setattr(report, "report", Mock(side_effect=fault))
    assert f"no table: {why.format(tmp_path / 'results' / STUDY.name / 'paper')}" in launch(SMALL, code=1)


def test_checkpoints_that_cannot_be_deleted_keep_nobody_from_the_table(launch, tmp_path, monkeypatch):
    monkeypatch.setattr(Storage, "forget", Mock(side_effect=PermissionError(13, "Permission denied")))
    said = launch(SMALL)
    assert "checkpoints that are needed no more cannot be deleted ([Errno 13] Permission denied)" in said
    assert list((tmp_path / "results").rglob("table.md"))


@pytest.mark.slow
def test_a_dry_run_sees_what_is_done_and_a_store_that_refuses_to_show_it_is_a_sentence(
    launch, tracking_uri, monkeypatch
):
    """It has answered before, as a server does whose database is away."""
    uri = f"{tracking_uri}?timeout=60"
    launch(SMALL, tracking_uri=uri)
    said = launch(SMALL, tracking_uri=uri, dry_run=True)
    assert "2 trials: 2 done" in said
    read, refused = stored_runs.runs_in_database, [""]

    def broken(client: Any, experiment: str, tags: Any, **options: Any) -> Any:
        if tags.get(names.LEVEL) == refused[-1]:
            raise MlflowException("it is broken", error_code=INVALID_STATE)
        return read(client, experiment, tags, **options)

    monkeypatch.setattr(stored_runs, "runs_in_database", broken)
    for level, dry_run in (("study", False), ("seed", True), ("seed", False)):
        refused.append(level)
        with pytest.raises(BadInput, match=r"MLflow at 'sqlite:.*' cannot be read: it is broken"):
            launch(SMALL, dry_run=dry_run, tracking_uri=uri)


def test_a_launch_ends_well_though_a_mirror_fails(launch, tmp_path, monkeypatch):
    faulty = Mock(start=Mock(side_effect=IndexError("list index out of range")))
    monkeypatch.setitem(MIRRORS, "faulty", lambda study, folder: faulty)
    said = launch(SMALL, mirrors=("faulty", "tensorboard"), quiet=True)
    assert OUTLOOK not in said
    assert said.count("the mirror faulty is dropped: list index out of range") == 1
    assert len(list((tmp_path / "results" / "toy" / "tensorboard").glob("*/seed 0/events*"))) == 2  # arms


@pytest.mark.slow
def test_a_trial_that_failed_while_mlflow_was_away_has_the_line_that_says_why(launch, tmp_path):
    """Optuna alone knows of it, and holds the end of its traceback."""
    trace = "Traceback (most recent call last):\n  File\nValueError: first\nsecond\nValueError: first"
    failed = End(State.FAILED, error=trace, answer=True)
    launch(SMALL_SEARCH, lambda _, trial, number: failed if isinstance(trial, SearchTrial) and number == 1 else None)
    other = f"sqlite:///{tmp_path}/other.db"
    launch(SMALL_SEARCH, tracking_uri=other)
    client = store.connect(other)
    runs = search_runs(client, experiment_id(client, SEARCH.name), {names.LEVEL: "trial"})
    assert [run.tags[names.ERROR] for run in runs if run.state is State.FAILED] == ["ValueError: first"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlflow.db", "other.db"])
def test_a_second_start_with_another_storage_does_not_write_the_same_runs(launch, tmp_path, tracking_uri, name):
    refusals = []
    link = tmp_path / "links" / name
    link.parent.mkdir()
    link.symlink_to(tracking_uri.removeprefix("sqlite:///"))

    def start_again(_: Listener, trial: Trial, number: int) -> None:
        if not refusals:
            refusals.append(number)
            uri = tracking_uri if name == "mlflow.db" else f"sqlite:///{link}"
            with refused("another start of this study, with another --storage, writes the same runs to --tracking-uri"):
                launch(SMALL, storage=str(tmp_path / "elsewhere"), tracking_uri=uri)

    launch(SMALL, start_again)
    assert refusals
    launch(SMALL, storage=str(tmp_path / "elsewhere"))  # the first has ended


@pytest.mark.slow
def test_starts_of_two_plans_of_a_study_write_to_one_database(launch, tmp_path):
    started = []

    def start_other(_: Listener, trial: Trial, number: int) -> None:
        if not started:  # not once more by the other
            started.append(trial)
            launch(SMALL, storage=str(tmp_path / "elsewhere"), epochs=2)

    launch(SMALL, start_other)
    assert started


@pytest.mark.slow
def test_a_terminal_of_ascii_gets_the_whole_table_and_the_files_have_every_letter(
    one_process, tracking_uri, tmp_path, monkeypatch
):
    study = replace(SMALL, arms=(STUDY.arms[0], replace(STUDY.arms[1], name="Größe λ ≤ ½")))
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.chdir(tmp_path)
    with ended(0):
        main(study, Toy(), ["--tracking-uri", tracking_uri])
    said = screen.buffer.getvalue().decode("ascii")
    assert "[2/2 done" in said
    assert [line for line in said.splitlines() if line.startswith("Gr??e ? <= ?") and "+2.00" in line]  # in the table
    for name in ("table.md", "table.csv", "table.html", "report.html"):
        assert "Größe λ ≤ ½" in (tmp_path / "results" / "toy" / "paper" / name).read_text(encoding="utf-8")


def test_a_driver_whose_turn_it_is_not_says_once_why_it_waits(monkeypatch):
    history = Mock(begin_confirmation=Mock(side_effect=[False, False, False, True]))
    monkeypatch.setattr(launch_search.time, "sleep", lambda seconds: None)
    launch_search._wait_for_turn(history, console := Console(file=io.StringIO(), width=200))
    assert history.begin_confirmation.call_count == 4
    assert console.file.getvalue() == "Another driver of this search trains the winners; waiting for it to end ...\n"
