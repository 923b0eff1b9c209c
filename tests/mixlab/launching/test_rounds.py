"""Seeds are added in rounds until every comparison is decided: by hand, simulated, and in launches that are stopped.

A killed driver goes on in ``test_racing_search``.
"""

import io
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.report import decide
from analysis.statistics.verdicts import sequential_verdicts
from mixlab import Arm, Epoch, Options, Study, run
from mixlab.cluster import schedule
from mixlab.cluster.source import End
from mixlab.configure import configure
from mixlab.launching.phase import ListedTrials
from mixlab.launching.sequential import SequentialTrials
from mixlab.launching.start import Start
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Saved
from mixlab.tracking.stored_runs import StoredRun
from tests.endings import refused
from tests.mixlab.launching.test_plan import dry_run_of
from tests.mixlab.sequential_toy import ARMS, BUDGET, TRAIN, asked_of, rounds_of, seeds_by_arm, simulated, study_of
from tests.mixlab.without_ray import in_this_process, raising
from tests.toy import SEARCH, STUDIES, Toy, score

START = Start("toy", TRAIN, Options(), Console(), Path("study.py"), SimpleNamespace(decide=decide))
METRIC = "metric.test_top1_median10"


def test_an_arm_that_is_decided_gets_no_more_seeds_and_the_baseline_goes_on():
    study = study_of()
    values = simulated(study.trials(TRAIN))
    rounds = rounds_of(study)
    seeds = seeds_by_arm(asked_of(rounds, values))
    by_seed = {arm.name: [values[t.key] for t in study.trials(TRAIN) if t.arm == arm.name] for arm in ARMS}
    differences = np.array([by_seed[arm] for arm in ("real", "null")]) - by_seed["plain"]
    verdicts, (real, null) = sequential_verdicts(differences, BUDGET)
    assert list(rounds.verdicts.values()) == verdicts
    assert real != null
    assert seeds == {"plain": [*range(max(real, null))], "real": [*range(real)], "null": [*range(null)]}
    assert (rounds.decided(), rounds.most()) == (2, [])


@pytest.mark.parametrize("seed", [0, 3])
def test_it_decides_the_same_wherever_it_was_stopped_and_whatever_else_was_run(seed):
    study = study_of()
    trials = study.trials(TRAIN)
    values = simulated(trials, seed)
    undisturbed = rounds_of(study)
    asked = asked_of(undisturbed, values)
    for stop in range(0, len(asked), 8):
        again = rounds_of(study)
        again.results |= {trial.key: values[trial.key] for trial in asked[:stop]}
        assert asked_of(again, values) == asked
        assert again.verdicts == undisturbed.verdicts
    fixed = rounds_of(study)  # after a plan of six seeds in every arm
    fixed.results |= {trial.key: values[trial.key] for trial in trials if trial.seed < 6}
    assert asked_of(fixed, values) == asked


def test_what_an_undecided_arm_is_compared_with_goes_on_though_it_is_decided_itself():
    arms = (Arm("plain", {}), Arm("a", {"lift": 1.0}), Arm("b", {"lift": 2.0}, against="a"))
    verdicts = {1: {((), "a"): "win"}, 3: {((), "b"): "given up"}}
    rounds = rounds_of(study_of(arms), lambda plan, runs: verdicts.get(runs["seed"].nunique(), {}), first=1)
    seeds = seeds_by_arm(asked_of(rounds, dict.fromkeys((t.key for t in study_of(arms).trials(TRAIN)), 1.0)))
    assert seeds == {"plain": [0], "a": [0, 1, 2], "b": [0, 1, 2]}


def test_an_arm_that_nothing_is_compared_with_gets_the_seeds_of_the_first_round():
    study = replace(study_of(), tuned={"plain": {}})  # after a search in which only the baseline has a winner
    rounds = rounds_of(study, first=2)
    assert len(rounds.most()) == 2
    assert seeds_by_arm(asked_of(rounds, simulated(study.trials(TRAIN)))) == {"plain": [0, 1]}


def test_the_rule_sees_whole_rounds_alone_and_a_failed_run_as_failed():
    seen: list[pd.DataFrame] = []

    def rule(plan: Mapping[str, Any], runs: pd.DataFrame) -> dict[Any, str]:
        seen.append(runs)
        return {}

    study = study_of(budget=3)
    rounds = rounds_of(study, rule, first=1)
    first = rounds.due()
    assert [trial.name for trial in first] == ["plain · seed 0", "real · seed 0", "null · seed 0"]
    rounds.results |= {first[0].key: 70.0, first[2].key: math.nan}
    assert rounds.due() == [first[1]]
    assert not seen
    assert len(rounds.most()) == 7
    last = study.trials(TRAIN)[-1]
    rounds.results[last.key] = 70.0  # the plan has a fixed number of seeds
    assert len(rounds.most()) == 6
    assert last not in rounds.most()
    rounds.results[first[1].key] = 71.5
    assert [trial.seed for trial in rounds.due()] == [1, 1, 1]
    (runs,) = seen
    assert list(runs["status"]) == ["done", "done", "failed"]
    assert list(runs[METRIC])[:2] == [70.0, 71.5]
    assert math.isnan(runs[METRIC][2])
    asked_of(rounds, dict.fromkeys((trial.key for trial in study.trials(TRAIN)), 70.0))
    assert [len(runs) for runs in seen] == [3, 6, 9]  # also when the budget is spent
    rounds.due()
    assert len(seen) == 3


def test_the_rule_is_told_the_levels_of_the_factors():
    seen: list[pd.DataFrame] = []
    study = replace(study_of(budget=1), factors={"mixer": ("cutmix", "fmix")})
    rounds = rounds_of(study, lambda plan, runs: seen.append(runs) or {})
    asked_of(rounds, {trial.key: 70.0 for trial in study.trials(TRAIN)})
    assert list(seen[0]["factor.mixer"]) == ["cutmix"] * 3 + ["fmix"] * 3


def test_an_arm_that_always_fails_is_given_up():
    study = study_of()
    values = {t.key: math.nan if t.arm == "null" else 70.0 + t.seed for t in study.trials(TRAIN)}
    assert len(seeds_by_arm(asked_of(rounds_of(study), values))["null"]) == 4


def drive(phase: ListedTrials, values: Mapping[str, float], at_a_time: int) -> list[str]:
    """Do what Ray Tune does with a phase; return the names of the trials that it ran, in order."""
    running: list[Trial] = []
    names = []
    while True:
        while len(running) < at_a_time and (job := phase.next(at_a_time)):
            running.append(job.trial)
            names.append(job.trial.name)
        if not running:
            assert phase.over()
            return names
        trial = running.pop(0)
        phase.reported(trial, Epoch(1, 1, {"test_top1_median10": values[trial.key]}))
        phase.ended(trial, End(State.DONE))


def phase_after(done: list[Trial], values: Mapping[str, float]) -> SequentialTrials:
    """Return the phase of a study of which MLflow holds the runs that are done."""
    metrics = {trial.key: {"test_top1_median10": values[trial.key]} for trial in done}
    recorded = {key: StoredRun("", State.DONE, 0, 1, {}, {}, found) for key, found in metrics.items()}
    return SequentialTrials(study_of(), study_of().trials(TRAIN), START, recorded, {})


def test_a_trial_that_fails_has_no_value_whatever_it_reported():
    phase = phase_after([], {})
    trial = phase.next(1).trial
    phase.reported(trial, Epoch(1, 2, {"test_top1_median10": 70.0}))
    phase.ended(trial, End(State.FAILED))
    assert math.isnan(phase.rounds.results[trial.key])
    with refused("the metric 'test_top1_median10' was not reported by plain · seed 0; it reports nothing: report it"):
        phase.reported(trial, Epoch(2, 2, {}))


def test_a_trial_that_the_journal_completes_has_the_value_of_its_last_epoch():
    trials = rounds_of(study_of()).due()
    epochs = [Epoch(number, 2, {"test_top1_median10": number}) for number in (1, 2)]
    saved = {trials[0].key: Saved("folder", epochs), trials[1].key: Saved("begun", epochs[:1])}
    phase = SequentialTrials(study_of(), study_of().trials(TRAIN), START, {}, saved)
    assert phase.rounds.results == {trials[0].key: 2}
    jobs = [phase.next(2) for _ in range(2)]
    assert [(job.trial.key, job.saved) for job in jobs] == [
        (trials[1].key, saved[trials[1].key]),
        (trials[2].key, None),
    ]


@pytest.mark.parametrize("at_a_time", [1, 9])
def test_the_phase_runs_a_round_after_the_other_and_goes_on_after_what_is_recorded(at_a_time):
    values = simulated(study_of().trials(TRAIN))
    asked = asked_of(rounds_of(study_of()), values)
    whole = phase_after([], values)
    assert len(whole.rows) == 12  # the first four seeds of every arm
    assert whole.verdicts() == {}
    names = drive(whole, values, at_a_time)
    assert whole.verdicts() == {"real": "win", "null": "given up"}
    assert whole.counts() == f"{len(names)}/{len(names)} done, 2 of 2 comparisons decided"
    assert {whole.state(cell) for cell in whole.tracked.cells} == {State.DONE}
    assert whole.tracked.plan["sequential"] == {"budget": BUDGET}
    later = phase_after(asked[:10], values)
    assert (later.over(), len(later.done())) == (False, 10)
    assert drive(later, values, at_a_time) == names[10:]
    assert phase_after(asked, values).over()


def test_a_metric_that_became_infinite_decides_the_same_after_a_stop():
    """MLflow's database holds 1.8e308 in place of infinity, and a difference of that size would end every bet."""
    trials = study_of().trials(TRAIN)
    values = simulated(trials)
    values[next(trial.key for trial in trials if trial.arm == "real")] = math.inf
    asked = asked_of(rounds_of(study_of()), values)
    held = {key: min(value, sys.float_info.max) for key, value in values.items()}
    later = phase_after(asked[:12], held)
    assert drive(later, values, 1) == [trial.name for trial in asked[12:]]
    assert set(later.rounds.verdicts.values()) == {"win", "given up"}


def test_the_budget_is_the_number_of_seeds_or_twenty():
    fixed = Study(name="toy", base={}, arms=ARMS, seeds=range(6))
    assert not configure(fixed, TRAIN, Options()).sequential
    for seeds, budget in ((None, 20), (12, 12)):
        study = configure(fixed, TRAIN, Options(until="decided", preset="quick", seeds=seeds))
        assert (study.sequential, [*study.seeds]) == (True, [*range(budget)])
    search = configure(SEARCH, TRAIN, Options(until="decided"))
    assert search.confirmation({}).sequential  # its arms race on the winners' seeds
    assert [*search.study.seeds] == [*range(20)]


RULES = ("report", "decide", "race")  # the functions of a report
LACKING = "seeds until decided need a report with a function"


@pytest.mark.parametrize(
    ("spec", "options", "rules", "sentence"),
    [
        (study_of(), {"until": "deceided"}, RULES, "unknown end of --until 'deceided'; did you mean 'decided'?"),
        (study_of(), {"until": "decided", "seeds": 0}, RULES, "--seeds must be a whole number, at least 1, got 0"),
        (study_of(), {}, RULES[:1], f"{LACKING} decide"),
        (SEARCH, {"until": "decided"}, RULES[:2], f"{LACKING} race"),
    ],
)
def test_what_cannot_be_decided_is_refused(spec, options, rules, sentence):
    with refused(sentence):
        run(spec, Toy(), Options(**options), report=SimpleNamespace(**dict.fromkeys(rules, print)))


def test_a_dry_run_says_what_may_come(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = dry_run_of(replace(STUDIES["sequential"](), seeds=range(12), sequential=True), tmp_path)
    assert "12 trials: 12 pending" in said
    assert "clear: not decided\n  unsure: not decided" in said
    assert "Seeds are added one by one to the arms that are not decided: at most 36 trials left" in said
    assert "36 s of training" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_a_launch_that_is_stopped_twice_decides_the_same_and_its_table_and_page_say_how(
    tmp_path, tracking_uri, monkeypatch
):
    """The whole launch, with MLflow and the report, but without Ray."""
    study, where = STUDIES["sequential"](), {"tracking_uri": tracking_uri, "storage": str(tmp_path / "results")}
    options = Options(until="decided", seeds=12, quiet=True, **where)
    configured = configure(study, TRAIN, options)
    values = {trial.key: score(trial.config, trial.seed, 2) for trial in configured.trials(TRAIN)}
    expected = seeds_by_arm(asked_of(rounds_of(configured), values))
    for stop_after, code in ((7, 130), (9, 130), (99, 0)):
        monkeypatch.setattr(schedule, "run", in_this_process(raising(KeyboardInterrupt(), stop_after)))
        result = run(study, Toy(), options)
        assert result.exit_code == code
    assert result.plan["sequential"] == {"budget": 12}
    (table,) = result.tables
    assert table["n"].to_dict() == {arm: len(seeds) for arm, seeds in expected.items()}
    assert table.loc["clear", "n"] < table.loc["unsure", "n"] == table.loc["plain", "n"] < 12
    verdicts = [(verdict["arm"], verdict["verdict"], verdict["p_family"]) for verdict in result.verdicts]
    assert verdicts == [("clear", "win", None), ("unsure", "given up", None)]
    assert result.verdicts[0]["e_family"] >= 20
    page = result.page.read_text()
    assert "Evidence by seed" in page
    assert "no p holds" in page
    assert "wealth.png" in {file.name for file in result.files}
    said = io.StringIO()
    run(study, Toy(), replace(options, dry_run=True), console=Console(file=said))
    assert "clear: win\n  unsure: given up" in said.getvalue()
    assert "no trial is left" in said.getvalue()
