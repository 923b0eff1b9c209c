"""What a dry run says of cost and data, from estimates that are given."""

import io
import platform
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY, Mock, call

import pytest
import torch
from rich.console import Console

from mixlab import Choice, Epoch, Options, run
from mixlab.cluster.resources import Share
from mixlab.launching import plan
from mixlab.launching.display import duration
from mixlab.launching.phase import Left
from mixlab.launching.plan import Timing, print_cost, print_outlook
from mixlab.options import AUTO
from mixlab.spec.complete import complete
from mixlab.spec.trial import State
from mixlab.storage.journal import Saved
from mixlab.tracking import names
from mixlab.tracking.stored_runs import StoredRun
from tests.endings import refused
from tests.mixlab.spec.minimal import STUDY, TRAIN, Toy
from tests.toy import SEARCH
from tests.toy import Toy as SearchToy

FIRST, _, SECOND, _ = STUDY.trials(TRAIN)  # of each arm
TOY = complete(SearchToy())


def start_of(train: Toy) -> Any:
    console = Console(file=io.StringIO(), width=300)
    return SimpleNamespace(train=complete(train), options=Options(data_root="/data"), console=console)


ONE, SHARE = [{"CPU": 1.0}], Share(1, 0)


def timing(*seconds: Any, machines: list[dict[str, float]] = ONE, share: Share = SHARE) -> Timing:
    """Return what the trials take, by default one by one."""
    return Timing([*seconds], machines, "a desk", share)


def cost(monkeypatch: pytest.MonkeyPatch, left: list[Left], timing: Timing, train: Any = None) -> tuple[list[Any], str]:
    """Return the trials that were timed, and what was said."""
    timed: list[Any] = []
    monkeypatch.setattr(plan, "_timed_here", lambda trials, start: timed.extend(trials) or timing)
    start = start_of(train or Toy())
    print_cost(left, start)
    return timed, start.console.file.getvalue()


@pytest.mark.parametrize(
    ("share", "machines", "said"),
    [
        (SHARE, ONE, "54 s with 1 at a time, on a desk. A rough"),
        (SHARE, ONE * 2, "29 s with 2 at a time, on a desk."),  # as long as the longest
        (SHARE, [{"CPU": 64.0}], "29 s with 3 at a time, on a desk."),  # no more are left
        (Share(1, 1 / 8), [{"CPU": 64.0, "GPU": 0.5}, {"CPU": 1.0, "GPU": 1.0}], "54 s with 1 at a time, on a desk."),
    ],
)
def test_the_cost_is_what_is_left_of_every_trial_times_its_seeds(monkeypatch, share, machines, said):
    left = [Left(FIRST, 0.5, times=3), Left(FIRST), Left(SECOND)]  # 15, 10 and 29 seconds
    timed, text = cost(monkeypatch, left, timing(10.0, 29.0, machines=machines, share=share))
    assert timed == [FIRST, SECOND]
    assert "  a: about 20 s a trial\n  b: about 29 s a trial\n" in text  # the mean of 30, with its seeds, and 10
    assert f"Estimated cost: 54 s of training, {said}" in text
    assert "take turns" not in text


@pytest.mark.parametrize(
    ("concurrent", "said"),
    [
        (None, "36 s of training, 14 s with at most 4 at a time, on a desk."),  # 24 / 4, then 12 / 2 and no less than 8
        (2, "36 s of training, 20 s with 2 at a time, on a desk."),
        (1, "36 s of training, 32 s with at most 2 at a time, on a desk."),
        (9, "36 s of training, 14 s with at most 4 at a time, on a desk."),
    ],
)
def test_the_winners_of_a_search_wait_for_its_trials_of_which_some_run_at_a_time(monkeypatch, concurrent, said):
    cell = SEARCH.study.cells()[0]
    first, second = SEARCH.completed(TOY).corners(cell, TOY)
    left = [*[Left(first), Left(second)] * 2, Left(FIRST), Left(SECOND)]
    monkeypatch.setattr(plan, "_timed_here", lambda *_: timing(6.0, 6.0, 4.0, 8.0, machines=[{"CPU": 4.0}]))
    start = start_of(Toy())
    print_cost(left, start, concurrent)
    assert f"Estimated cost: {said}" in start.console.file.getvalue()


def test_trials_that_take_turns_on_a_gpu_are_four_times_as_fast_as_one(monkeypatch):
    on_a_gpu = timing(4.0, machines=[{"CPU": 64.0, "GPU": 1.0}], share=Share(1, 1 / 8))
    said = "48 s of training, 12 s with 8 at a time (they take turns on a GPU: 4 times as fast as one), on a desk"
    assert said in cost(monkeypatch, [Left(FIRST)] * 12, on_a_gpu)[1]


def test_a_cost_of_which_a_part_is_unknown_is_unknown(monkeypatch):
    said = cost(monkeypatch, [Left(FIRST), Left(SECOND)], timing(20.0, None))[1]
    assert said == "Cost unknown: this trainable does not estimate how long a run takes.\n"


def test_trials_that_differ_in_other_keys_than_those_that_take_time_are_timed_once(monkeypatch):
    train = Toy()
    train.timed = ("epochs",)
    timed, text = cost(monkeypatch, [Left(FIRST), Left(SECOND)], timing(20.0), train)
    assert timed == [SECOND]
    assert "  a: about 20 s a trial\n  b: about 20 s a trial\n" in text
    assert "Estimated cost: 40 s of training" in text


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (None, ""),
        (lambda *_: [], "Data: found in /data; the start checks it\n"),
        (
            lambda settings, root: [f"{root} is empty", f"{settings['lr']} is missing"],
            "Data: /data is empty; 0.1 is missing; 0.2 is missing\n",
        ),
    ],
)
def test_the_data_that_is_not_there_is_said_once(lacking, said):
    train = Toy()
    train.prepared = ("lr",)
    if lacking:
        train.lacking = lacking
    start = start_of(train)
    plan._print_data([Left(FIRST), Left(SECOND), Left(SECOND)], start)
    assert start.console.file.getvalue() == said


def test_the_state_of_every_trial_is_said_and_what_is_left_of_each_is_counted():
    start, study = start_of(Toy()), replace(STUDY, seeds=range(3))
    done, failed, running, saved, killed, last = trials = study.trials(TRAIN)  # as MLflow has all but saved and last
    found = {trial.key: Saved("folder", [Epoch(number, 4, {})]) for trial, number in ((done, 4), (saved, 1))}
    start.storage = SimpleNamespace(newest=lambda: found)
    ends = {State.DONE: done, State.FAILED: failed, State.RUNNING: running, State.INTERRUPTED: killed}
    tags = {State.FAILED: {names.ERROR: "ValueError: no"}}
    recorded = {trial.key: StoredRun("", end, 0, 1, tags.get(end, {}), {}, {}) for end, trial in ends.items()}
    left = plan._left_of_study(study, trials, start, recorded)
    assert left == [Left(failed), Left(running), Left(saved, 0.75), Left(killed), Left(last)]
    assert start.console.file.getvalue().splitlines() == [
        f"{done.key}  done         a · seed 0",
        f"{failed.key}  failed       a · seed 1: ValueError: no",
        f"{running.key}  interrupted  a · seed 2, unless another start runs it",
        f"{saved.key}  interrupted  b · seed 0 after epoch 1 of 4",
        f"{killed.key}  interrupted  b · seed 1",
        f"{last.key}  pending      b · seed 2",
        "6 trials: 1 done, 1 failed, 3 interrupted, 1 pending",
    ]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, "_timed_here"),
        ({"gpus_per_trial": 1.0}, "_timed_here"),
        ({"gpus_per_trial": AUTO}, "_timed_on_cluster"),  # it measures how many trials a GPU holds
        ({"address": "auto"}, "_timed_on_cluster"),
    ],
)
def test_trials_are_timed_where_they_will_run(monkeypatch, options, where):
    timed = {name: Mock(return_value=timing(20.0)) for name in ("_timed_here", "_timed_on_cluster")}
    for name, stub in timed.items():
        monkeypatch.setattr(plan, name, stub)
    start = start_of(Toy())
    start.options = Options(**options)
    print_cost([Left(FIRST)], start)
    assert [name for name, stub in timed.items() if stub.called] == [where]


def test_the_outlook_is_given_the_results_of_the_runs_that_are_done():
    def run(state: State, **metrics: float) -> StoredRun:
        return StoredRun("", state, 0, 1, {}, {}, metrics)

    recorded = {"a": run(State.DONE, top1=70.0), "b": run(State.INTERRUPTED, top1=9.0), "c": run(State.DONE, loss=1.0)}
    start = start_of(Toy())
    start.report = SimpleNamespace(outlook=lambda plan, results: [f"{plan['metric']}: {results}"])
    lines = print_outlook({"metric": "top1"}, start, recorded)
    assert lines == [start.console.file.getvalue().strip()] == ["top1: {'a': 70.0}"]
    start.report = SimpleNamespace()
    assert print_outlook({"metric": "top1"}, start, recorded) == []


def dry_run_of(spec: Any, folder: Path, **train: Any) -> str:
    """Return what a dry run says of a study or search of the toy, which takes a second a run."""
    toy, console = SearchToy(), Console(record=True, width=200, file=io.StringIO())
    vars(toy).update(train)
    options = Options(dry_run=True, tracking_uri=f"sqlite:///{folder}/none.db", cpus_per_trial=1.0)
    assert run(spec, toy, options, console=console).exit_code == 0
    return console.export_text()


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 16 + 2 * 2),  # the budget, then two winners on two fresh seeds
        ({"search_seeds": (1000, 1001, 1002)}, 3 * 16 + 2 * 2),
        ({"search_seeds": (1000, 1001), "budget": 10, "study": replace(SEARCH.study, seeds=range(6))}, 2 * 10 + 2 * 6),
    ],
)
def test_a_dry_run_of_a_search_counts_every_seed_and_the_confirmation(tmp_path, monkeypatch, changes, seconds):
    monkeypatch.chdir(tmp_path)
    assert f"Estimated cost: {seconds} s of training, " in dry_run_of(replace(SEARCH, **changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_cost_of_a_search_is_that_of_all_its_space_and_each_arms_says_what_its_winners_runs_take(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    spec = replace(SEARCH, space={"epochs": Choice(3, 5), "zeta": SEARCH.space["zeta"]}, search_seeds=(1000, 1001))
    said = dry_run_of(spec, tmp_path, estimate_seconds=lambda config, _: float(config["epochs"]))
    assert "\n  low: about 8 s a trial, 9 s a run of its winner\n  high: about 8 s" in said  # 4 s with each seed
    assert f"Estimated cost: {duration(16 * 8 + 2 * 2 * 9)} of training, " in said


UNDECIDED = replace(SEARCH.study, sequential=True)
RACING = {"scheduler": "none", "study": UNDECIDED, "search_seeds": (1000, 1001)}
TO_ITS_END, EVERY_SEED = "every trial to its end", "every seed of the winners"


@pytest.mark.parametrize(
    ("changes", "early", "most", "begins", "seeds"),
    [
        ({"scheduler": "asha"}, "stopped early by asha", TO_ITS_END, 0, "2"),
        ({"scheduler": "none"}, "none stopped early", "", 0, "2"),
        (RACING, "none stopped early", f"{TO_ITS_END} and {EVERY_SEED}", 1, "at most 2"),
        ({**RACING, "search_seeds": (1000,)}, "none stopped early", EVERY_SEED, 0, "at most 2"),
    ],
)
def test_a_cost_that_counts_what_may_be_stopped_early_is_called_the_most(
    tmp_path, monkeypatch, changes, early, most, begins, seeds
):
    monkeypatch.chdir(tmp_path)
    said = dry_run_of(replace(SEARCH, **changes), tmp_path)
    if most:
        assert f"The cost that follows counts {most}, as if none was stopped early\n" in said
    else:
        assert "The cost that follows" not in said
    assert said.count("Each trial begins with 1 of 2 seeds and gets more only while it may still be the best") == begins
    assert f", {early}, with validation=0.1, evaluate=validation; then 2 winners on {seeds} fresh seeds" in said
    assert said.index("The winners' runs") < said.index("Every run: 9 epochs")


@pytest.mark.parametrize(("load", "times"), [(1e6, 1), (0.0, 0)])
def test_other_work_on_the_machine_is_named_with_the_cost(tmp_path, monkeypatch, load, times):
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr("mixlab.cluster.resources.cpu_count", lambda: 3)
    said = dry_run_of(SEARCH.study, tmp_path)
    assert f" with 3 at a time, on 3 CPU cores ({platform.machine()}), no GPU" in said
    assert said.count(f", where trials take longer while other work has a load of {load:.1f}. A rough figure") == times


def test_a_trial_is_timed_with_the_threads_that_it_will_have_and_a_notebook_keeps_its_own(tmp_path, monkeypatch):
    done = Mock(estimate=Mock(return_value=1.0))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", done.set_num_threads)
    dry_run_of(replace(SEARCH.study, arms=SEARCH.study.arms[:1]), tmp_path, estimate_seconds=done.estimate)
    assert done.mock_calls == [call.set_num_threads(1), call.estimate(ANY, ANY), call.set_num_threads(7)]


def test_an_estimate_that_fails_leaves_the_cost_unknown(tmp_path):
    said = dry_run_of(SEARCH.study, tmp_path, estimate_seconds=Mock(side_effect=LookupError("no such\nnetwork")))
    assert "Cost unknown: the estimate of this trainable failed: LookupError: no such\n" in said


def test_a_check_promises_no_more_than_it_has_looked_at():
    """The cluster for which the options are may have more processors than this machine, and the server be away."""
    options = Options(check_only=True, cpus_per_trial=64.0, tracking_uri="http://localhost:1")
    run(SEARCH.study, SearchToy(), options, console=(console := Console(file=io.StringIO(), width=200)))
    said = "Nothing wrong was found in toy and these options; machines, data and stores were not looked at\n"
    assert console.file.getvalue() == said


def test_what_a_search_varies_is_fetched_too(tmp_path):
    toy, fetched = SearchToy(), []
    vars(toy).update(prepared=("network",), prepare=lambda config, _: fetched.append(config["network"]))
    spec = replace(SEARCH, space={"network": Choice("a", "b", "c")}, study=SEARCH.study.with_base(network="d"))
    options, console = Options(fetch=True, data_root=str(tmp_path)), Console(file=io.StringIO())
    run(spec, toy, options, console=console)
    assert sorted(fetched) == ["a", "b", "c", "d"]
    assert console.file.getvalue().startswith("All that toy reads is in ")
    run(spec, SearchToy(), options, console=console)
    assert "Nothing was fetched: the trainable of toy has no function prepare" in console.file.getvalue()


@pytest.mark.parametrize("spec", [SEARCH, SEARCH.study])
def test_a_dry_run_refuses_the_storage_that_the_start_would_refuse(tmp_path, spec):
    (file := tmp_path / "results").touch()
    options = Options(dry_run=True, tracking_uri=f"sqlite:///{tmp_path}/none.db", storage=str(file))
    with refused(f"--storage '{file}' cannot be read ('{file}' is a file); give a folder"):
        run(spec, SearchToy(), options)
