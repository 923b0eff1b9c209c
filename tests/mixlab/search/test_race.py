"""A race in a search's history: who gets more seeds, and that it goes on as if it had not been stopped."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState

from analysis.report import race
from mixlab import Epoch
from mixlab.launching.proposed import ProposedTrials
from mixlab.search.history import History
from mixlab.search.race import Race
from mixlab.spec.search import RACE
from mixlab.spec.trial import State
from tests.mixlab.search_toy import NO_CHECKPOINTS, TRAIN, InMemory, accuracy, go_on, search
from tests.toy import SEARCH

SEEDS = range(1000, 1006)
EPOCHS = 3  # for each seed


def racing(sequential: bool = True, **changes: Any) -> History:
    """Return the new history of a search that races, unless it is not ``sequential``."""
    changes = {"base": {"epochs": EPOCHS}, "budget": 24, "scheduler": "none", "search_seeds": SEEDS, **changes}
    store = changes.pop("store", None) or InMemory()
    found = search(**changes)
    return History(replace(found, study=replace(found.study, sequential=sequential)), TRAIN, store)


def result(config: Mapping[str, Any], seed: int, epoch: int = EPOCHS) -> float:
    """Return the result of a configuration with a seed, which moves it by a point at most."""
    return accuracy(config, epoch) + math.sin(1e4 * config["zeta"] + seed**2)


def proceed(history: History, reports: int = 10**6) -> int:
    return go_on(history, Race(history, race), result, reports)


def account(history: History) -> list[Any]:
    """Return everything that a search has found and decided."""
    trials = [trial for arm in history.arms for trial in history.trials(arm)]
    return [(t.number, t.params, t.state, t.value, t.intermediate_values, t.user_attrs.get(RACE)) for t in trials]


def test_every_trial_begins_with_one_seed_and_the_rule_says_which_get_more():
    history = racing()
    proceed(history)
    for name in history.arms:
        values: dict[int, list[float]] = {}
        for trial in history.trials(name):
            mine = trial.user_attrs[RACE]["values"]
            config = {**TRAIN.resolve({**trial.params}).flat}
            assert mine == pytest.approx([result(config, seed) for seed in SEEDS[: len(mine)]], rel=1e-10)
            assert len(trial.intermediate_values) == EPOCHS * len(mine)
            for over in range(1, len(mine) + 1):
                values[trial.number] = mine[:over]
                out = race(values, trial.number, len(SEEDS), True)
                assert bool(out) == (over == len(mine) < len(SEEDS))
            assert trial.user_attrs[RACE]["out"] == out
            assert trial.state == (TrialState.PRUNED if out else TrialState.COMPLETE)
            assert trial.value == pytest.approx(math.fsum(mine) / len(mine))
        counts = [len(mine) for mine in values.values()]
        assert counts[0] == len(SEEDS)
        assert 1 in counts
        assert len(values[history.best(name).number]) == len(SEEDS)


def test_a_race_that_is_killed_and_goes_on_decides_the_same():
    undisturbed = racing()
    total = proceed(undisturbed)
    store, count = InMemory(), 0
    while (after := proceed(racing(store=store), 11)) == 11:
        count += after
    assert count + after == total
    assert account(racing(store=store)) == account(undisturbed)


@pytest.mark.parametrize(("direction", "higher"), [("maximize", True), ("minimize", False)])
def test_the_rule_is_given_each_seeds_own_result_once_and_what_it_decides_stands(direction, higher):
    history = racing(budget=4, direction=direction)
    asked: list[Any] = []

    def rule(*given: Any) -> str:
        asked.append(given)
        return "out of luck" if len(asked) == 3 else ""

    claim, results = history.claim(), (70.1, 70.3, -0.7)
    means = {over * EPOCHS: statistics.fmean(results[:over]) for over in (1, 2, 3)}
    for again in (Race(history, rule), Race(history, rule)):
        said = [again.out(claim, Epoch(number, 18, {}), means.get(number, 80.0)) for number in range(1, 10)]
        assert said == [*8 * [""], "out of luck"]
    assert asked == [({0: [*results[:over]]}, 0, len(SEEDS), higher) for over in (1, 2, 3)]
    assert history.of(claim.trial).user_attrs[RACE] == {"values": [*results], "out": "out of luck"}


def test_a_scheduler_stops_trials_within_their_first_seed_alone():
    history = racing(scheduler="median", base={"epochs": 16}, budget=40)
    source = ProposedTrials(history, NO_CHECKPOINTS, "paper", Race(history, lambda *_: ""))
    ends = []
    while job := source.next(1):
        for number in range(1, 16 * len(SEEDS) + 1):
            value = accuracy(job.trial.config, number) - (number > 16) * job.trial.config["zeta"]
            end = source.reported(job.trial, Epoch(number, 16 * len(SEEDS), {history.search.objective: value}))
            if end is not None:
                ends.append((end.state, number))
                source.ended(job.trial, end)
                break
    assert {state for state, _ in ends} == {State.DONE, State.PRUNED}
    assert all(number < 16 if state is State.PRUNED else number == 96 for state, number in ends)


def test_a_race_has_a_history_of_its_own_and_a_search_that_does_not_race_keeps_its_own():
    several, sequential = replace(SEARCH, search_seeds=SEEDS), replace(SEARCH.study, sequential=True)
    searches = (SEARCH, replace(SEARCH, study=sequential), several, replace(several, study=sequential))
    assert [each.racing for each in searches] == [False, False, False, True]
    first, same, other, raced = (each.history_name(SEARCH.study.cells()[0], TRAIN) for each in searches)
    assert first == same
    assert len({first, other, raced}) == 3
