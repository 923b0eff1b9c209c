"""The whole launch of a search, with MLflow and the report but without Ray."""

import subprocess
from dataclasses import replace
from unittest.mock import Mock

import optuna
import pytest

from mixlab import Arm
from mixlab.cluster.source import End, Listener
from mixlab.launching import launch_search
from mixlab.launching.start import Start
from mixlab.processes import machine_of, name_of, this_process
from mixlab.search.drivers import Drivers
from mixlab.search.trial_store import TrialStore, url_of
from mixlab.spec.search import SearchTrial
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Storage
from mixlab.tracking import store
from mixlab.tracking.stored_runs import experiment_id, recorded
from tests.mixlab.without_ray import raising
from tests.toy import SEARCH

SEARCHED = SEARCH.study.with_base(epochs=1)
SMALL_SEARCH = replace(SEARCH, study=SEARCHED, budget=4, scheduler="none", sampler="random")


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
    launch, client, tmp_path, request
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
    request.addfinalizer(neighbour.kill)
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


def test_a_quiet_search_says_failures_alone_and_one_without_a_winner_what_the_same_command_does(launch):
    search = replace(SEARCH, study=replace(SEARCHED, seeds=range(1)), budget=2)
    failed = End(State.FAILED, error="RuntimeError: CUDA error")
    said = launch(search, lambda *_: failed, code=1, quiet=True).splitlines()
    none = "no trial was completed, so there is nothing to confirm"
    why = "2 of the search's 2 trials failed, of which a quarter is too many to trust the rest"
    assert said == [
        "low · trial 0: failed: RuntimeError: CUDA error",
        "high · trial 0: failed: RuntimeError: CUDA error",
        f"failed: low: {none}",
        f"failed: high: {none}",
        f"failed: {why}; the same command tries those again",
    ]


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
