"""The whole launch, with MLflow and the report but without Ray: however it ends, its runs say so, and so does it."""

import errno
import io
import subprocess
import sys
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import optuna
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE
from mlflow.tracking import MlflowClient
from rich.console import Console

from analysis import report
from mixlab import Arm, main
from mixlab.cluster.source import End, Listener
from mixlab.errors import BadInput
from mixlab.launching import launch_search
from mixlab.launching.start import Start
from mixlab.processes import machine_of, name_of, this_process
from mixlab.search.drivers import Drivers
from mixlab.search.trial_store import TrialStore, url_of
from mixlab.spec.search import SearchTrial
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Storage
from mixlab.tracking import names, store, stored_runs
from mixlab.tracking.mirrors import MIRRORS
from mixlab.tracking.stored_runs import experiment_id, recorded, search_runs
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
    assert "stopped by RuntimeError: a bug; finished epochs are kept" in said
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
def test_a_search_of_which_a_quarter_failed_is_exit_1_and_the_same_command_tries_those_again(launch, tracking_uri):
    failed = End(State.FAILED, error="RuntimeError: CUDA error")
    search = replace(SMALL_SEARCH, study=replace(SEARCHED, seeds=range(1)))
    said = launch(search, lambda _, trial, n: failed if n == 0 and isinstance(trial, SearchTrial) else None, code=1)
    assert "1 of the search's 4 trials failed" in said
    assert "which a quarter is too many to trust the rest; the same command tries those again" in said
    assert "low: 1 done, 1 failed, 1 of 2 left" in launch(search, dry_run=True)
    assert [line for line in launch(search).splitlines() if line.endswith("· trial 2: started")]
    assert "low: 2 done, 0 of 2 left" in launch(search, dry_run=True)
    runs = recorded(store.connect(tracking_uri), SEARCH.name, "trial")
    assert [run.state for run in runs.values()] == [State.DONE] * 4


@pytest.mark.slow
def test_the_runs_of_a_search_that_was_killed_are_ended_by_a_start_of_another_plan_once_no_driver_is_left(
    launch, client, tmp_path
):
    search = replace(SMALL_SEARCH, study=replace(SEARCHED, seeds=range(1)))
    launch(search, raising(KeyboardInterrupt(), after=1), code=130)
    experiment = experiment_id(client, SEARCH.name)
    before = [run.info.run_id for run in client.search_runs([experiment]) if run.info.status == "KILLED"]
    assert len(before) == 4  # the search, its two arms and a trial
    for run_id in before:
        client.update_run(run_id, "RUNNING")
    other = replace(search, space={"zeta": SEARCH.space["zeta"]})
    url = url_of(None, tmp_path / "results" / SEARCH.name)
    drivers = Drivers(optuna.load_study(study_name=SEARCH.name, storage=TrialStore(url, SEARCH.name).storage))
    neighbour = subprocess.Popen(["sleep", "600"])
    drivers.me = f"{machine_of(this_process())}#{name_of(neighbour.pid)}"
    with drivers.joined():
        launch(other)
    assert {client.get_run(run_id).info.status for run_id in before} == {"RUNNING"}
    neighbour.kill()
    neighbour.wait()
    launch(other)
    assert {client.get_run(run_id).info.status for run_id in before} == {"KILLED"}


@pytest.mark.slow
def test_an_arm_that_is_added_to_a_search_and_gets_fewer_trials_is_told_with_its_table(launch, capsys):
    search = replace(SMALL_SEARCH, study=replace(SEARCHED, seeds=range(1)))
    launch(search)
    assert "different numbers" not in capsys.readouterr().out
    more = replace(search.study, arms=[*search.study.arms, Arm("middle", {"peak": 0.4})])
    assert "Search over: 5/5 tried" in launch(replace(search, study=more, budget=3))  # it was 5/3
    told = "different numbers of a search's trials: 'low' 2, 'high' 2, 'middle' 1."
    assert told in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arm", ["low", pytest.param("high", marks=pytest.mark.slow)])
def test_a_search_whose_baseline_has_no_winner_compares_nothing_and_says_so(launch, arm):
    """This is known only after all trials, and is no bad input. Without another arm's winner the rest is compared."""
    failed = End(State.FAILED, error="ValueError: no", answer=True)
    search = replace(SEARCH, study=replace(SEARCHED, seeds=range(1)), budget=2)
    said = launch(search, lambda listener, trial, number: failed if trial.arm == arm else None, code=1)
    assert f"failed: {arm}: no trial was completed, so there is nothing to confirm\n" in said
    nothing = "failed: high: what it is compared with has no winner, so there is nothing to compare\n" in said
    assert nothing is (arm == "low") is ("Everything about the search: " not in said)


@pytest.mark.parametrize(
    ("storage", "lacking"),
    [
        ("journal:///results/toy/optuna.journal", ""),
        ("postgresql+psycopg2://me:secret@host/db", " --optuna-storage postgresql+psycopg2://me:***@host/db"),
    ],
)
def test_the_command_of_a_search_s_report_shows_where_a_password_is_to_be_filled_in(storage, lacking):
    plain = "python -m analysis.search_report toy --tracking-uri sqlite:///mlflow.db"
    assert launch_search.report_command("toy", "sqlite:///mlflow.db", storage) == plain + lacking


@pytest.mark.slow
def test_a_dry_run_of_a_search_that_is_over_counts_the_winners_runs_that_are_left(launch, monkeypatch):
    monkeypatch.setattr(Storage, "forget", forget := Mock())
    forgotten = []
    confirmed = []

    def stop(_: Listener, trial: Trial, number: int) -> None:
        confirmed.extend([] if isinstance(trial, SearchTrial) else [trial])
        if len(confirmed) == 3:
            raise KeyboardInterrupt

    for begins, code, counted, cost in (
        (raising(KeyboardInterrupt(), after=2), 130, "low: 1 interrupted, 1 done, 1 of 2 left", 2 + 4),
        (stop, 130, "4 trials: 2 done, 1 interrupted, 1 pending", 2),
        (lambda *_: None, 0, "4 trials: 4 done", 0),
    ):
        launch(SMALL_SEARCH, begins, code=code)
        forgotten += [len(each.args[0]) for each in forget.call_args_list]
        forget.reset_mock()
        said = launch(SMALL_SEARCH, dry_run=True)
        assert counted in said
        assert (f"Estimated cost: {cost} s of training" in said) is bool(cost)
    # None while the search is not over; then all of its own, and those of the winners that are done.
    assert forgotten == [0, 4, 2, 4, 4]
    monkeypatch.setattr(Start, "share_of", Mock(side_effect=AssertionError))
    said = launch(SMALL_SEARCH)  # nothing is left to train, so it connects to no cluster
    assert "Search over: 4/4 tried" in said
    assert "1 table, 2 arms, 2 seeds: 4 runs" not in said


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
