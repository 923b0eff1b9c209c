"""The history of a search: equal budgets, censored trials, drivers that die, drivers that share."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from mixlab import Arm, Choice, Float, Int
from mixlab.cluster.schedule import Events
from mixlab.cluster.source import End, Job
from mixlab.errors import BadInput
from mixlab.launching.proposed import ProposedTrials
from mixlab.search.history import DRIVER, ERROR, Claim, History
from mixlab.search.trial_store import TrialStore, shown
from mixlab.spec.epoch import Epoch
from mixlab.spec.search import TWIN
from mixlab.spec.state import State
from mixlab.spec.trial import Trial
from mixlab.storage.journal import Saved
from tests.mixlab.search_toy import TRAIN, InMemory, NoCheckpoints, accuracy, proposed, run, search, store_of

KINDS = ("journal", "sqlite", pytest.param("server", marks=pytest.mark.slow))


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of store that holds the trials; for ``server``, the URL of an empty PostgreSQL database."""
    if request.param != "server":
        return str(request.param)
    return str(request.getfixturevalue("new_database")())


def states(history: History, arm: str) -> list[str]:
    return [trial.state.name for trial in history.trials(arm)]


def claimed(history: History) -> Claim:
    claim = history.claim()
    assert claim is not None
    return claim


def die(history: History) -> None:
    """Give the running trials to a driver of this machine that no longer exists."""
    host = history.drivers.me.rpartition("#")[0]
    for arm in history.arms.values():
        for trial in arm.get_trials():
            if trial.state == TrialState.RUNNING:
                arm._storage.set_trial_user_attr(trial._trial_id, DRIVER, f"{host}#999999999@1")


def test_every_arm_gets_the_same_trials_however_good_it_is() -> None:
    history = History(search(budget=30, scheduler="none"), TRAIN, InMemory())
    order: list[str] = []

    def much_better_in_one(config: Mapping[str, Any], epoch: int) -> float:
        if epoch == 1:
            order.append(config["arm"])
        return accuracy(config, epoch) + 50 * (config["arm"] == "high")

    run(history, much_better_in_one)
    assert {arm: len(history.trials(arm)) for arm in history.arms} == {"low": 15, "high": 15}
    # At no time is one ahead by more than one, so that a driver that is stopped leaves a fair half.
    for count in range(1, 31):
        assert abs(order[:count].count("low") - order[:count].count("high")) <= 1


def test_a_driver_that_died_before_the_first_draw_leaves_no_twin() -> None:
    history = History(search(budget=8, scheduler="none", sampler="random"), TRAIN, InMemory())
    for arm in history.arms.values():
        arm.ask()
    run(history)
    undisturbed = History(search(budget=8, scheduler="none", sampler="random"), TRAIN, InMemory())
    run(undisturbed)
    for name in history.arms:
        points = [trial.params for trial in history.trials(name)]
        assert points == [trial.params for trial in undisturbed.trials(name)]
        assert len({point["zeta"] for point in points}) == 4


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median"])
def test_stopped_trials_are_pruned_with_their_last_value_and_are_never_the_best(scheduler: str) -> None:
    history = History(search(scheduler=scheduler, budget=60), TRAIN, InMemory())
    epochs = run(history)
    pruned = [t for arm in history.arms for t in history.trials(arm) if t.state == TrialState.PRUNED]
    complete = [t for arm in history.arms for t in history.trials(arm) if t.state == TrialState.COMPLETE]
    assert len(pruned) + len(complete) == 60
    assert len(pruned) >= 10
    assert epochs < 60 * 27
    for trial in pruned:
        assert trial.last_step is not None
        assert trial.last_step < 27
        assert trial.value == trial.intermediate_values[trial.last_step]
    for trial in complete:
        assert trial.last_step == 27
        assert trial.value == trial.intermediate_values[27]
    for arm in history.arms:
        best = history.best(arm)
        assert best is not None
        assert best.state == TrialState.COMPLETE
        assert best.value == max(t.value for t in history.trials(arm) if t.state == TrialState.COMPLETE and t.value)


def test_arms_are_never_pruned_for_being_worse_than_another_arm() -> None:
    """One arm is far worse than the other: with shared rungs it would never be trained to the end."""
    history = History(search(budget=40), TRAIN, InMemory())
    run(history, lambda config, epoch: accuracy(config, epoch) - 60 * (config["arm"] == "low"))
    for arm in history.arms:
        assert states(history, arm).count("COMPLETE") >= 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_trial_that_diverges_is_stopped_at_once_and_fails(value: float) -> None:
    history = History(search(budget=20, scheduler="none"), TRAIN, InMemory())
    ran: dict[str, int] = {}

    def diverging(config: Mapping[str, Any], epoch: int) -> float:
        if config["zeta"] > 0.6:
            ran[str(config)] = epoch
            return value if epoch >= 2 else 1.0
        return accuracy(config, epoch)

    run(history, diverging)
    assert ran
    assert set(ran.values()) == {2}
    failed = [t for arm in history.arms for t in history.trials(arm) if t.state == TrialState.FAIL]
    assert len(failed) == len(ran)
    for trial in failed:
        assert trial.params["zeta"] > 0.6
        assert "in epoch 2" in trial.user_attrs[ERROR]
    assert history.finished()


def test_a_failure_that_the_trial_reports_is_recorded() -> None:
    history = History(search(budget=2), TRAIN, InMemory())
    source = proposed(history)
    job = source.next(2)
    assert isinstance(job, Job)
    source.ended(job.trial, End(State.FAILED, error="Traceback\n  x\nDiverged: loss is nan"))
    assert states(history, "low") == ["FAIL"]
    assert "Diverged" in history.trials("low")[0].user_attrs[ERROR]


@pytest.mark.parametrize(
    ("failures", "answer", "said"),
    [(2, False, "2 of the search's 8 trials failed"), (1, False, ""), (8, True, "")],
)
def test_a_quarter_of_failed_trials_fails_the_search(failures: int, answer: bool, said: str) -> None:
    end = End(State.FAILED, error="Traceback\n  x\nValueError: said by whoever", answer=answer)
    source = proposed(History(search(budget=8, scheduler="none"), TRAIN, InMemory()))
    for number in range(8):
        job = source.next(2)
        assert isinstance(job, Job)
        source.ended(job.trial, end if number < failures else End(State.DONE, 1.0))
    assert said in source.failing()
    assert bool(said) == bool(source.failing())
    assert source.counts() == f"8/8 tried, {failures} failed"


def test_an_objective_that_is_never_reported_ends_the_search_in_one_sentence() -> None:
    history = History(search(objective="val_topp1"), TRAIN, InMemory())
    source = proposed(history)
    job = source.next(2)
    assert isinstance(job, Job)
    with pytest.raises(BadInput) as error:
        source.reported(job.trial, Epoch(1, 3, {"val_top1": 5.0, "train_loss": 1.0}))
    for part in ("'val_topp1'", "val_top1", "train_loss"):
        assert part in str(error.value)


class Heard:
    """Listens, and remembers how trials ended."""

    def __init__(self) -> None:
        self.ends: dict[str, State] = {}

    def resumed(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        pass

    def started(self, trial: Trial) -> None:
        pass

    def reported(self, trial: Trial, epoch: Epoch) -> None:
        pass

    def crashed(self, trial: Trial, account: str) -> None:
        pass

    def ended(self, trial: Trial, end: End, checkpoint: str) -> None:
        self.ends[trial.key] = end.state


def next_with_journal(history: History, saved: Mapping[str, Saved]) -> tuple[Any, Heard]:
    """Return what Ray Tune receives next if the journal has ``saved``, and the events that were heard."""

    class Journal(NoCheckpoints):
        def newest(self) -> dict[str, Saved]:
            return dict(saved)

    source, heard = ProposedTrials(history, Journal(), "paper"), Heard()  # type: ignore[arg-type]
    return Events(source, heard, lambda: 2).next(), heard


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_dead_drivers_trials_are_finished_with_their_numbers_and_none_is_repeated(tmp_path: Path, kind: str) -> None:
    spec = search(budget=8)
    first = History(spec, TRAIN, store_of(kind, tmp_path))
    lost = [claimed(first) for _ in range(3)]
    first.report(lost[0], 1, 42.0)
    die(first)

    second = History(spec, TRAIN, store_of(kind, tmp_path))
    taken = [claimed(second) for _ in range(3)]
    assert all(claim.again for claim in taken)
    assert {claim.trial.key for claim in taken} == {claim.trial.key for claim in lost}
    assert {(c.trial.cell, c.trial.number) for c in taken} == {(c.trial.cell, c.trial.number) for c in lost}
    same = next(claim for claim in taken if claim.trial.key == lost[0].trial.key)
    assert second.of(same.trial).intermediate_values == {1: 42.0}
    for claim in taken:
        second.tell(claim, State.DONE, 1.0)
    run(second)
    assert second.finished()
    keys = [trial.user_attrs["mixlab.key"] for arm in second.arms for trial in second.trials(arm)]
    assert len(keys) == len(set(keys)) == 8


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_live_drivers_trials_are_left_alone(tmp_path: Path, kind: str) -> None:
    spec = search(budget=4)
    mine, other = (History(spec, TRAIN, store_of(kind, tmp_path)) for _ in range(2))
    keys = {claimed(history).trial.key for history in (mine, other, mine, other)}
    assert len(keys) == 4
    assert mine.claim() is None
    assert not mine.finished()


def test_a_driver_of_another_machine_is_gone_when_its_heart_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(search(budget=4), TRAIN, InMemory())
    history.drivers.study.set_user_attr("beat elsewhere/x#7@1", 1000.0)
    monkeypatch.setattr("mixlab.search.drivers.time.time", lambda: 1100.0)
    assert history.drivers.alive("elsewhere/x#7@1")
    monkeypatch.setattr("mixlab.search.drivers.time.time", lambda: 1200.0)
    assert not history.drivers.alive("elsewhere/x#7@1")
    assert not history.drivers.alive("")


def test_more_trials_run_just_the_difference() -> None:
    store = InMemory()
    run(History(search(budget=40), TRAIN, store))
    before = History(search(budget=60), TRAIN, store)
    old = {arm: [trial.params for trial in before.trials(arm)] for arm in before.arms}
    assert not before.finished()
    run(before)
    for arm, params in old.items():
        assert [trial.params for trial in before.trials(arm)][:20] == params
        assert len(before.trials(arm)) == 30
    assert run(History(search(budget=40), TRAIN, store)) == 0


def test_the_journal_of_a_killed_trial_completes_it_without_training() -> None:
    spec = search(budget=2, scheduler="none")
    history = History(spec, TRAIN, InMemory())
    claim = claimed(history)
    die(history)
    epochs = [Epoch(number, 27, {"val_top1": float(number)}) for number in range(1, 28)]
    given, heard = next_with_journal(history, {claim.trial.key: Saved("somewhere", epochs)})
    assert given["trial"].key != claim.trial.key
    assert heard.ends == {claim.trial.key: State.DONE}
    found = history.of(claim.trial)
    assert (found.state, found.value, len(found.intermediate_values)) == (TrialState.COMPLETE, 27.0, 27)


def test_the_same_configuration_twice_is_trained_once() -> None:
    space = {"zeta": Choice(0.1, 0.2)}
    spec = search(base={"alpha": 1.0}, space=space, budget=20, sampler="random", scheduler="none")
    history = History(spec, TRAIN, InMemory())
    epochs = run(history)
    assert epochs == 2 * 2 * 27
    for arm in history.arms:
        trials = history.trials(arm)
        assert len(trials) == 10
        assert sum(TWIN in trial.user_attrs for trial in trials) == 8
        for trial in trials:
            assert trial.value == pytest.approx(accuracy({**trial.params, "alpha": 1.0}, 27))
            twin = trials[trial.user_attrs.get(TWIN, trial.number)]
            assert (twin.params, twin.value) == (trial.params, trial.value)


def test_a_grid_is_tried_whole_and_once() -> None:
    spec = search(space={"zeta": Float(0.5, 1.5, step=0.5), "alpha": Int(1, 4)}, budget=200, sampler="grid")
    history = History(spec, TRAIN, InMemory())
    run(history)
    assert history.finished()
    for arm in history.arms:
        points = {(trial.params["zeta"], trial.params["alpha"]) for trial in history.trials(arm)}
        assert points == {(zeta, alpha) for zeta in (0.5, 1.0, 1.5) for alpha in (1, 2, 3, 4)}
        assert len(history.trials(arm)) == 12


@pytest.mark.parametrize("sampler", ["tpe", "qmc", pytest.param("gp", marks=pytest.mark.slow), "random"])
def test_every_sampler_covers_the_space_and_a_restart_repeats_no_draw(sampler: str) -> None:
    store = InMemory()
    for budget in (6, 12, 24):  # a new driver each time
        run(History(search(budget=budget, sampler=sampler, scheduler="none"), TRAIN, store))
    history = History(search(budget=24, sampler=sampler), TRAIN, store)
    for arm in history.arms:
        points = [(trial.params["zeta"], trial.params["alpha"]) for trial in history.trials(arm)]
        assert len(set(points)) == 12
        assert all(0.05 <= zeta <= 2 and 0.1 <= alpha <= 4 for zeta, alpha in points)
    assert history.trials("low")[0].params != history.trials("high")[0].params


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
with History(search(budget=24, sampler="random", scheduler="none", base={"epochs": 2}), TRAIN,
             store_of(sys.argv[2], Path(sys.argv[1]))) as history:
    run(history, value, at_a_time=2)
print(json.dumps(ran))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_drivers_that_start_together_share_the_trials_and_double_none(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path), kind, str(Path(__file__).parents[3])]
    drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ran = [json.loads(driver.communicate(timeout=120)[0]) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0, 0]
    everything = [tuple(point) for each in ran for point in each]
    assert len(everything) == len(set(everything)) == 24
    history = History(search(budget=24, base={"epochs": 2}), TRAIN, store_of(kind, tmp_path))
    assert {arm: states(history, arm) for arm in history.arms} == {arm: ["COMPLETE"] * 12 for arm in ("low", "high")}


def test_one_driver_confirms_at_a_time(tmp_path: Path) -> None:
    history = History(search(budget=4), TRAIN, store_of("journal", tmp_path))
    host = history.drivers.me.rpartition("#")[0]
    history.drivers.study.set_user_attr("mixlab.confirming", "elsewhere/x#7@1")
    history.drivers.study.set_user_attr("beat elsewhere/x#7@1", 9e12)
    assert not history.begin_confirmation()
    history.drivers.study.set_user_attr("mixlab.confirming", f"{host}#999999999@1")
    assert history.begin_confirmation()
    history.end_confirmation()


def test_a_store_that_cannot_be_opened_is_one_sentence_without_the_password() -> None:
    with pytest.raises(BadInput, match="cannot be opened") as error:
        TrialStore("nosuchdatabase://me:secret@host/db", "toy")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert shown("postgresql://me:secret@host/db") == "postgresql://me@host/db"


def test_a_journal_that_is_whole_is_complete_whatever_the_pruner_would_have_said() -> None:
    history = History(search(budget=7, scheduler="median", arms=(Arm("low", {"arm": "low"}),)), TRAIN, InMemory())
    claim = claimed(history)
    for other in [claimed(history) for _ in range(5)]:
        for epoch in range(1, 28):
            history.report(other, epoch, 99.0)
        history.tell(other, State.DONE, 99.0)
    history.report(claim, 1, 1.0)
    history.report(claim, 2, 1.0)
    assert history.hopeless(claim)
    die(history)
    epochs = [Epoch(number, 27, {"val_top1": 1.0}) for number in range(1, 28)]
    next_with_journal(history, {claim.trial.key: Saved("somewhere", epochs)})
    assert history.of(claim.trial).state == TrialState.COMPLETE
