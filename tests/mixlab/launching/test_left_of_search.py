"""What a dry run of a search says is left, from the real history in a file."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mixlab import Arm, Options, Search
from mixlab.launching.left_of_search import left_of_search
from mixlab.launching.phase import Left
from mixlab.launching.start import Start
from mixlab.processes import machine_of, name_of, this_process
from mixlab.search.history import History
from mixlab.search.trial_store import TrialStore, url_of
from mixlab.spec.search import SearchTrial
from mixlab.spec.trial import State
from tests.mixlab.search_toy import TRAIN, run, search


def start_of(spec: Search, folder: Path) -> Start:
    return Start(spec.name, TRAIN, Options(storage=str(folder)), Console(), folder / "study.py")


def history_of(spec: Search, folder: Path) -> History:
    return History(spec, TRAIN, TrialStore(url_of(None, folder / spec.name), spec.name))


@pytest.mark.parametrize(("killed", "state"), [(False, "running"), (True, "interrupted")])
def test_a_trial_runs_while_its_driver_does(tmp_path, capsys, request, killed, state):
    spec = search(budget=2)
    history = history_of(spec, tmp_path)
    driver = subprocess.Popen(["sleep", "600"])
    request.addfinalizer(driver.kill)
    history.drivers.me = f"{machine_of(this_process())}#{name_of(driver.pid)}"
    history.claim()
    if killed:
        driver.kill()
        driver.wait()
    left_of_search(spec, start_of(spec, tmp_path), ())
    assert capsys.readouterr().out.startswith(f"low: 1 {state}, 1 of 1 left\nhigh: nothing tried, 1 of 1 left\n")


def test_the_winners_of_arms_with_no_trial_left_are_known_and_those_of_the_others_run_whole(tmp_path):
    spec = search(budget=4, seeds=range(3), scheduler="none")
    history = history_of(spec, tmp_path)
    run(history)
    best = {name: history.best(name).params for name in history.arms}
    first, *others = (trial for trial in spec.confirmation(best).trials(TRAIN) if trial.arm == "low")
    more = replace(spec.study, arms=(*spec.study.arms, Arm("new", {"arm": "new"})))
    added = replace(spec, study=more, budget=6)
    left, study = left_of_search(added, start_of(added, tmp_path), {first.key})
    assert study is more
    assert [each.trial.arm for each in left if isinstance(each.trial, SearchTrial)] == ["new"] * 2
    runs = [each for each in left if not isinstance(each.trial, SearchTrial)]
    assert [each.trial.arm for each in runs] == ["new"] * 3 + ["low"] * 2 + ["high"] * 3
    assert [each.trial.key for each in runs[3:5]] == [other.key for other in others]
    assert runs[0] == Left(more.trials(TRAIN)[6])


def test_a_budget_that_was_larger_is_counted_as_what_was_tried(tmp_path, capsys):
    spec = search(budget=6, scheduler="none")
    run(history_of(spec, tmp_path))
    less = replace(spec, budget=2)
    assert left_of_search(less, start_of(less, tmp_path), ())[0] == []
    said = capsys.readouterr().out
    assert said.startswith(
        "low: 3 done, 0 of 3 left\nhigh: 3 done, 0 of 3 left\n6 trials of zeta, alpha proposed by tpe,"
    )


def test_a_search_without_a_winner_has_nothing_to_confirm(tmp_path, capsys):
    spec = search(budget=2)
    history = history_of(spec, tmp_path)
    for _ in range(2):
        history.tell(history.claim(), State.FAILED, error="ValueError: no", answer=True)
    assert left_of_search(spec, start_of(spec, tmp_path), ()) == ([], None)
    said = capsys.readouterr().out
    assert said.startswith("low: 1 failed, 0 of 1 left\nhigh: 1 failed, 0 of 1 left\n")
    assert said.endswith("stopped early by asha; no trial was completed, so there is nothing to confirm\n")
