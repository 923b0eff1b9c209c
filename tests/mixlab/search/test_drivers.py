"""Drivers of one search: those that die, those that share its trials, and what the journal completes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from optuna.trial import TrialState

from mixlab import Arm, Epoch
from mixlab.cluster.events import Events
from mixlab.launching.proposed import ProposedTrials
from mixlab.processes import GONE_SECONDS, WATCH_SECONDS, machine_of, name_of
from mixlab.search.history import DRIVER, History
from mixlab.spec.trial import State
from mixlab.storage.journal import Saved
from tests.mixlab.search_toy import TRAIN, InMemory, run, search, states, store_of

KINDS = ("journal", "sqlite", pytest.param("server", marks=pytest.mark.slow))


@pytest.fixture
def kind(request) -> str:
    """Return the kind of store that holds the trials; for ``server``, the URL of an empty PostgreSQL database."""
    if request.param != "server":
        return str(request.param)
    return str(request.getfixturevalue("new_database")())


def die(history: History) -> None:
    """Give the running trials to a driver of this machine that no longer exists."""
    dead = f"{machine_of(history.drivers.me)}#999999999@1"
    for arm in history.arms.values():
        for trial in arm.get_trials():
            if trial.state == TrialState.RUNNING:
                arm._storage.set_trial_user_attr(trial._trial_id, DRIVER, dead)


def test_a_driver_that_died_before_the_first_draw_leaves_no_twin():
    spec = search(budget=8, scheduler="none", sampler="random")
    history, undisturbed = (History(spec, TRAIN, InMemory()) for _ in range(2))
    for arm in history.arms.values():
        arm.ask()
    run(history)
    run(undisturbed)
    for name in history.arms:
        points = [trial.params for trial in history.trials(name)]
        assert points == [trial.params for trial in undisturbed.trials(name)]
        assert len({point["zeta"] for point in points}) == 4


def test_a_driver_is_alone_while_every_other_has_ended_for_certain():
    drivers = History(search(), TRAIN, InMemory()).drivers
    here = machine_of(drivers.me)
    with drivers.joined():
        assert drivers.alone()
        for other, alone in (("#999999999@1", True), (f"#{name_of(os.getppid())}", False)):
            drivers.study.set_user_attr(f"beat {here}{other}", 0.0)
            assert drivers.alone() is alone
    elsewhere = History(search(), TRAIN, InMemory()).drivers
    elsewhere.study.set_user_attr("beat node7/1-2 pid:[1]#12@34", 0.0)
    assert not elsewhere.alone()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_dead_drivers_trials_are_finished_with_their_numbers_and_none_is_repeated(tmp_path, kind):
    spec = search(budget=8)
    first = History(spec, TRAIN, store_of(kind, tmp_path))
    lost = [first.claim() for _ in range(3)]
    first.report(lost[0], 1, 42.0)
    die(first)

    second = History(spec, TRAIN, store_of(kind, tmp_path))
    taken = [second.claim() for _ in range(3)]
    assert all(claim.again for claim in taken)
    trials = {claim.trial.key: claim.trial for claim in taken}
    assert trials == {claim.trial.key: claim.trial for claim in lost}
    assert second.of(trials[lost[0].trial.key]).intermediate_values == {1: 42.0}
    for claim in taken:
        second.tell(claim, State.DONE, 1.0)
    run(second)
    assert second.finished()
    keys = [trial.user_attrs["mixlab.key"] for arm in second.arms for trial in second.trials(arm)]
    assert len(keys) == len(set(keys)) == 8


OTHER = "elsewhere/x#7@1"


@pytest.fixture
def now(monkeypatch) -> list[float]:
    """Return the time in seconds, which the test lets pass."""
    now = [1000.0]
    clock = SimpleNamespace(time=lambda: now[0] + 1e9, monotonic=lambda: now[0])
    monkeypatch.setattr("mixlab.search.drivers.time", clock)
    return now


@pytest.mark.parametrize("ahead", [-18_000.0, 0.0, 18_000.0], ids=["five hours behind", "right", "five hours ahead"])
def test_a_driver_of_another_machine_is_gone_when_its_heart_is_silent_whatever_its_clock_says(ahead, now):
    history = History(search(budget=4), TRAIN, InMemory())

    def beats() -> None:
        history.drivers.study.set_user_attr(f"beat {OTHER}", now[0] + 1e9 + ahead)

    assert not history.drivers.alive(OTHER)  # it was never there
    for _ in range(20):
        beats()
        assert history.drivers.alive(OTHER)
        now[0] += 20
        assert history.drivers.alive(OTHER)
    # A beat that may be of now is waited for longer than one that may be of yesterday.
    now[0] += (WATCH_SECONDS if ahead else GONE_SECONDS) - 21
    assert history.drivers.alive(OTHER)
    now[0] += 2
    assert not history.drivers.alive(OTHER)
    beats()  # its machine has slept
    assert history.drivers.alive(OTHER)
    assert not history.drivers.alive("")


def test_a_driver_is_alive_to_others_from_its_start(now):
    drivers = History(search(budget=4), TRAIN, InMemory()).drivers
    me, drivers.me = drivers.me, OTHER
    with drivers.joined():
        drivers.me = me
        assert drivers.alive(OTHER)


def test_drivers_of_one_machine_are_looked_up_and_need_no_beat(now):
    drivers = History(search(budget=4), TRAIN, InMemory()).drivers
    for name, alive in ((name_of(os.getppid()), True), (f"{os.getppid()}@1", False), ("999999999@1", False)):
        assert drivers.alive(f"{machine_of(drivers.me)}#{name}") is alive


WORKER = """
import json, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from tests.mixlab.search_toy import TRAIN, store_of, run, search
from mixlab.search.history import History
ran = []
def value(config, epoch):
    if epoch == 1:
        ran.append([config["arm"], config["zeta"], config["alpha"]])
    return float(epoch)
history = History(search(budget=24, sampler="random", scheduler="none", base={"epochs": 2}), TRAIN,
                  store_of(sys.argv[2], Path(sys.argv[1])))
with history.drivers.joined():
    run(history, value, at_a_time=2)
print(json.dumps(ran))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_drivers_that_start_together_share_the_trials_and_double_none(tmp_path, kind):
    command = [sys.executable, "-c", WORKER, str(tmp_path), kind, str(Path(__file__).parents[3])]
    drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ran = [json.loads(driver.communicate()[0]) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0]
    everything = [tuple(point) for each in ran for point in each]
    assert len(everything) == len(set(everything)) == 24
    history = History(search(budget=24, base={"epochs": 2}), TRAIN, store_of(kind, tmp_path))
    assert {arm: states(history, arm) for arm in history.arms} == {arm: ["COMPLETE"] * 12 for arm in ("low", "high")}


def test_one_driver_confirms_at_a_time(tmp_path):
    history = History(search(budget=4), TRAIN, store_of("journal", tmp_path))
    history.drivers.study.set_user_attr("mixlab.confirming", OTHER)
    history.drivers.study.set_user_attr(f"beat {OTHER}", 9e12)
    assert not history.begin_confirmation()
    history.drivers.study.set_user_attr("mixlab.confirming", f"{machine_of(history.drivers.me)}#999999999@1")
    assert history.begin_confirmation()
    other = History(search(budget=4), TRAIN, history.store)
    other.drivers.me = OTHER
    with history.drivers.joined():
        assert not other.begin_confirmation()
    assert history.begin_confirmation()
    history.end_confirmation()
    assert other.begin_confirmation()


def test_the_journal_of_a_killed_trial_completes_it_without_training_whatever_the_pruner_would_have_said():
    history = History(search(budget=7, scheduler="median", arms=(Arm("low", {"arm": "low"}),)), TRAIN, InMemory())
    claim = history.claim()
    for other in [history.claim() for _ in range(5)]:
        for epoch in range(1, 28):
            history.report(other, epoch, 99.0)
        history.tell(other, State.DONE, 99.0)
    history.report(claim, 1, 1.0)
    history.report(claim, 2, 1.0)
    assert claim.trial_in_optuna.should_prune()
    die(history)
    epochs = [Epoch(number, 27, {"val_top1": 1.0 + (number == 27)}) for number in range(1, 28)]
    journal: Any = SimpleNamespace(newest=lambda only: {claim.trial.key: Saved("somewhere", epochs)})
    listener: Any = Mock()
    given = Events(ProposedTrials(history, journal, "paper"), listener, lambda: 2).next()
    assert given.trial.key != claim.trial.key
    ends = [(call.args[0].key, call.args[1].state) for call in listener.ended.call_args_list]
    assert ends == [(claim.trial.key, State.DONE)]
    found = history.of(claim.trial)
    assert (found.state, found.value, len(found.intermediate_values)) == (TrialState.COMPLETE, 2.0, 27)


@pytest.mark.parametrize(("seen", "saved"), [(0, 4), (1, 4), (3, 4), (1, 5), (3, 5)])
def test_a_trial_whose_journal_is_ahead_of_a_killed_driver_is_stopped_where_it_would_have_been(seen, saved):
    """A later epoch must not stand for it at a rung, where the others have the epoch of the rung."""
    spec = search(budget=4, base={"epochs": 16}, arms=(Arm("low", {"arm": "low"}),))  # ASHA's rungs are at 1, 4 and 16
    history = History(spec, TRAIN, InMemory())
    good, bad = history.claim(), history.claim()
    for epoch in range(1, 17):
        history.report(good, epoch, 70.0)
        assert not good.trial_in_optuna.should_prune()
    history.tell(good, State.DONE, 70.0)
    values = {1: 75.0, 2: 69.0, 3: 69.0, 4: 69.0, 5: 71.0}
    for epoch in range(1, seen + 1):
        history.report(bad, epoch, values[epoch])
        assert not bad.trial_in_optuna.should_prune()
    die(history)
    epochs = [Epoch(number, 16, {"val_top1": values[number]}) for number in range(1, saved + 1)]
    journal: Any = SimpleNamespace(newest=lambda only: {bad.trial.key: Saved("somewhere", epochs)})
    assert Events(ProposedTrials(history, journal, "paper"), Mock(), lambda: 2).next().trial.number == 2
    found = history.of(bad.trial)
    assert (found.state, found.value, found.last_step) == (TrialState.PRUNED, 69.0, 4)
