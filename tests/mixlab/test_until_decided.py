"""Seeds are added until every comparison is decided: the rounds by hand and simulated, and a study that is killed."""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.report import decide
from analysis.statistics.verdicts import sequential_verdicts
from mixlab import Arm, Options, Study, run
from mixlab.api import configure
from mixlab.cluster import schedule
from mixlab.cluster.connect import Share
from mixlab.cluster.source import WAIT, End, Job, Listener, Source
from mixlab.errors import BadInput
from mixlab.launching.phase import ListedTrials
from mixlab.launching.sequential import Rounds, SequentialTrials
from mixlab.launching.start import Start
from mixlab.spec.epoch import Epoch
from mixlab.spec.search import Search
from mixlab.spec.state import State
from mixlab.spec.study import FIRST_ROUND, Trial
from mixlab.spec.trainable import complete
from mixlab.tracking.store import Recorded
from tests.study_folder import toy_folder
from tests.toy import SEARCH, STUDIES, Toy, epochs_of, hold, release, score
from tests.waiting import wait_for

TRAIN = complete(Toy())
BUDGET = 16
METRIC = "metric.test_top1_median10"
ARMS = (Arm("plain", {}), Arm("real", {"lift": 2.0}), Arm("null", {"lift": 0.0, "fault": 9}))


def study_of(arms: tuple[Arm, ...] = ARMS, budget: int = BUDGET) -> Study:
    return Study(name="toy", base={}, arms=arms, seeds=range(budget), sequential=True)


def rounds_of(study: Study, rule: Any = decide, first: int = FIRST_ROUND) -> Rounds:
    trials = study.trials(TRAIN)
    return Rounds(study.plan(trials, "paper", TRAIN), trials, rule, first)


def simulated(trials: list[Trial] | tuple[Trial, ...], seed: int = 3) -> dict[str, float]:
    """Return a result for every trial: "real" is better by two standard deviations of a difference."""
    rng = np.random.default_rng(seed)
    return {trial.key: 70 + rng.normal(0, 0.5**0.5) + 2 * (trial.arm == "real") for trial in trials}


def asked_of(rounds: Rounds, values: Mapping[str, float]) -> list[Trial]:
    """Run until nothing is due; return every trial that was asked for."""
    while due := rounds.due():
        rounds.results[due[0].key] = values[due[0].key]
    return rounds.asked


def seeds_by_arm(trials: list[Trial]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for trial in trials:
        found.setdefault(trial.arm, []).append(trial.seed)
    return found


def test_an_arm_that_is_decided_gets_no_more_seeds_and_the_baseline_goes_on() -> None:
    study = study_of()
    values = simulated(study.trials(TRAIN))
    rounds = rounds_of(study)
    seeds = seeds_by_arm(asked_of(rounds, values))
    by_seed = {arm.name: [values[t.key] for t in study.trials(TRAIN) if t.arm == arm.name] for arm in ARMS}
    differences = np.array([by_seed[arm] for arm in ("real", "null")]) - by_seed["plain"]
    verdicts, seen = sequential_verdicts(differences, BUDGET)
    assert list(rounds.verdicts.values()) == verdicts
    counts = [int(count) for count in np.isfinite(seen).sum(axis=1)]
    assert counts[0] != counts[1]
    assert seeds == {
        "plain": list(range(max(counts))),
        "real": list(range(counts[0])),
        "null": list(range(counts[1])),
    }
    assert rounds.decided() == 2
    assert rounds.most() == []


@pytest.mark.parametrize("seed", range(4))
def test_it_decides_the_same_wherever_it_was_stopped_and_whatever_else_was_run(seed: int) -> None:
    study = study_of()
    trials = study.trials(TRAIN)
    values = simulated(trials, seed)
    undisturbed = rounds_of(study)
    asked = asked_of(undisturbed, values)
    for stop in range(0, len(asked), 5):
        again = rounds_of(study)
        again.results |= {trial.key: values[trial.key] for trial in asked[:stop]}
        assert asked_of(again, values) == asked
        assert again.verdicts == undisturbed.verdicts
    fixed = rounds_of(study)  # after a plan of six seeds in every arm
    fixed.results |= {trial.key: values[trial.key] for trial in trials if trial.seed < 6}
    assert asked_of(fixed, values) == asked


def test_what_an_undecided_arm_is_compared_with_goes_on_though_it_is_decided_itself() -> None:
    arms = (Arm("plain", {}), Arm("a", {"lift": 1.0}), Arm("b", {"lift": 2.0}, against="a"))
    verdicts = {1: {((), "a"): "win"}, 3: {((), "b"): "given up"}}
    rounds = rounds_of(study_of(arms), lambda plan, runs: verdicts.get(runs["seed"].nunique(), {}), first=1)
    seeds = seeds_by_arm(asked_of(rounds, dict.fromkeys((t.key for t in study_of(arms).trials(TRAIN)), 1.0)))
    assert seeds == {"plain": [0], "a": [0, 1, 2], "b": [0, 1, 2]}


def test_the_rule_sees_whole_rounds_alone_and_a_failed_run_as_failed() -> None:
    seen: list[pd.DataFrame] = []

    def rule(plan: Mapping[str, Any], runs: pd.DataFrame) -> dict[Any, str]:
        seen.append(runs)
        return {}

    study = study_of(budget=2)
    rounds = rounds_of(study, rule, first=1)
    first = rounds.due()
    assert [trial.name for trial in first] == ["plain · seed 0", "real · seed 0", "null · seed 0"]
    rounds.results |= {first[0].key: 70.0, first[2].key: math.nan}
    assert rounds.due() == [first[1]]
    assert not seen
    assert len(rounds.most()) == 4
    rounds.results[first[1].key] = 71.5
    assert [trial.seed for trial in rounds.due()] == [1, 1, 1]
    (runs,) = seen
    assert list(runs["status"]) == ["done", "done", "failed"]
    assert list(runs[METRIC])[:2] == [70.0, 71.5]
    assert math.isnan(runs[METRIC][2])
    asked_of(rounds, dict.fromkeys((trial.key for trial in study.trials(TRAIN)), 70.0))
    assert [len(runs) for runs in seen] == [3, 6]  # also when the budget is spent
    rounds.due()
    assert len(seen) == 2


def test_an_arm_that_always_fails_is_given_up() -> None:
    study = study_of()
    values = {t.key: math.nan if t.arm == "null" else 70.0 + t.seed for t in study.trials(TRAIN)}
    rounds = rounds_of(study)
    assert len(seeds_by_arm(asked_of(rounds, values))["null"]) == 4


def drive(phase: ListedTrials, values: Mapping[str, float], at_a_time: int) -> list[str]:
    """Do what Ray Tune does with a phase; return the names of the trials that it ran, in order."""
    running: list[Trial] = []
    names = []
    while True:
        while len(running) < at_a_time and isinstance(job := phase.next(at_a_time), Job):
            running.append(job.trial)
            names.append(job.trial.name)
        if not running:
            assert job is None
            return names
        assert job is WAIT or job is None or len(running) == at_a_time
        trial = running.pop(0)
        phase.reported(trial, Epoch(1, 1, {"test_top1_median10": values[trial.key]}))
        phase.ended(trial, End(State.DONE))


@pytest.mark.parametrize("at_a_time", [1, 2, 9])
def test_the_phase_runs_a_round_after_the_other_and_goes_on_after_what_is_recorded(at_a_time: int) -> None:
    study = study_of()
    trials = study.trials(TRAIN)
    values = simulated(trials)

    def phase_after(done: int) -> SequentialTrials:
        recorded = {
            trial.key: Recorded("", "FINISHED", "", {"test_top1_median10": values[trial.key]})
            for trial in asked_of(rounds_of(study), values)[:done]
        }
        return SequentialTrials(study, TRAIN, trials, "paper", recorded, {}, "here", decide)

    whole = phase_after(0)
    names = drive(whole, values, at_a_time)
    assert whole.over()
    assert whole.counts() == f"{len(names)}/{len(names)} done, 2 of 2 comparisons decided"
    assert {whole.state(cell) for cell in whole.tracked.cells} == {State.DONE}
    assert whole.tracked.plan["sequential"] == {"budget": BUDGET}
    later = phase_after(10)
    assert not later.over()
    assert len(later.done()) == 10
    assert drive(later, values, at_a_time) == names[10:]
    assert phase_after(len(names)).over()


def test_the_budget_is_the_number_of_seeds_or_twenty() -> None:
    fixed = Study(name="toy", base={}, arms=ARMS, seeds=range(6))
    assert not configure(fixed, TRAIN, Options()).sequential
    study = configure(fixed, TRAIN, Options(until="decided", preset="quick"))
    assert study.sequential
    assert list(study.seeds) == list(range(20))
    assert list(configure(fixed, TRAIN, Options(until="decided", seeds=12)).seeds) == list(range(12))
    search = configure(SEARCH, TRAIN, Options(until="decided"))
    assert isinstance(search, Search)
    assert search.confirmation({}).sequential  # its arms race on the winners' seeds
    assert list(search.study.seeds) == list(range(20))


@pytest.mark.parametrize(
    ("study", "options", "sentence"),
    [
        (study_of(), Options(until="deceided"), "unknown end of --until 'deceided'; did you mean 'decided'?"),
        (study_of(), Options(until="decided", seeds=0), "--seeds must be a whole number, at least 1, got 0"),
        (study_of(ARMS[:1]), Options(), "seeds until decided need a comparison, and 'plain' is the only arm"),
    ],
)
def test_what_cannot_be_decided_is_refused(study: Study, options: Options, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{sentence}"):
        run(study, Toy(), options)
    with pytest.raises(BadInput, match="need a report with a function decide, which 'json' has not"):
        run(study_of(), Toy(), report="json")


def test_a_dry_run_says_what_may_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(record=True, width=200, file=io.StringIO())
    options = Options(until="decided", seeds=12, dry_run=True, tracking_uri=f"sqlite:///{tmp_path}/none.db")
    run(STUDIES["sequential"](), Toy(), options, console=console)
    said = console.export_text()
    assert "12 trials: 12 pending" in said
    assert "clear: not decided\n  unsure: not decided" in said
    assert "Seeds are added one by one to the arms that are not decided: at most 36 trials are left" in said
    assert "36 s of training" in said
    assert list(tmp_path.iterdir()) == []


def in_this_process(stop_after: int) -> Callable[..., None]:
    """Return what runs the trials of a source one by one, instead of Ray, and is interrupted in a trial."""

    def run_trials(source: Source, listener: Listener, *_: Any) -> None:
        begun = 0
        while isinstance(job := source.next(1), Job):
            listener.started(job.trial)
            begun += 1
            if begun > stop_after:
                raise KeyboardInterrupt
            value = score(job.trial.config, job.trial.seed, 1)
            epoch = Epoch(1, 1, {"test_top1": value, "test_top1_median10": value})
            listener.reported(job.trial, epoch)
            source.reported(job.trial, epoch)
            source.ended(job.trial, End(State.DONE))
            listener.ended(job.trial, End(State.DONE), "")

    return run_trials


def test_a_launch_that_is_stopped_twice_decides_the_same_and_its_table_and_page_say_how(
    tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole launch, with MLflow and the report, but without Ray."""
    study = STUDIES["sequential"]()
    options = Options(
        until="decided", seeds=12, tracking_uri=tracking_uri, storage=str(tmp_path / "results"), quiet=True
    )
    configured = configure(study, TRAIN, options)
    values = {trial.key: score(trial.config, trial.seed, 1) for trial in configured.trials(TRAIN)}
    expected = seeds_by_arm(asked_of(rounds_of(configured), values))
    monkeypatch.setattr(Start, "share_of", lambda *_: Share(cpus=1, gpus=0))
    for stop_after, code in ((7, 130), (9, 130), (99, 0)):
        monkeypatch.setattr(schedule, "run", in_this_process(stop_after))
        result = run(study, Toy(), options)
        assert result.exit_code == code
    assert result.plan["sequential"] == {"budget": 12}
    (table,) = result.tables
    assert table["n"].to_dict() == {arm: len(seeds) for arm, seeds in expected.items()}
    assert table.loc["clear", "n"] < table.loc["unsure", "n"] == table.loc["plain", "n"] < 12
    assert [(verdict["arm"], verdict["verdict"]) for verdict in result.verdicts] == [
        ("clear", "win"),
        ("unsure", "given up"),
    ]
    assert result.verdicts[0]["e_family"] >= 20
    assert {verdict["p_family"] for verdict in result.verdicts} == {None}
    assert result.page is not None
    page = result.page.read_text()
    assert "Evidence by seed" in page
    assert "no p holds" in page
    assert "wealth.png" in {file.name for file in result.files}
    said = io.StringIO()
    run(study, Toy(), replace(options, dry_run=True), console=Console(file=said))
    assert "clear: win\n  unsure: given up" in said.getvalue()
    assert "no trial is left" in said.getvalue()


@pytest.mark.slow
def test_one_arm_stops_early_another_goes_on_and_a_killed_driver_decides_the_same(
    tmp_path: Path, empty_store: Path
) -> None:
    options = ("--until", "decided", "--seeds", "12")
    study = replace(STUDIES["sequential"](), sequential=True, seeds=range(12))
    trials = study.trials(TRAIN)
    values = {t.key: (score(t.config, t.seed, 1) + score(t.config, t.seed, 2)) / 2 for t in trials}
    expected = {(trial.arm, str(trial.seed)) for trial in asked_of(rounds_of(study), values)}
    folder = toy_folder(tmp_path, "sequential", empty_store=empty_store)
    hold(tmp_path, epoch=2, seeds=(5,))
    driver = folder.start(*options)
    wait_for(lambda: 5 in epochs_of(tmp_path), account=lambda: driver.said[-4000:])
    driver.process.kill()
    driver.process.wait()
    release(tmp_path)
    folder.run(*options)
    assert set(folder.results()) == expected
    table = pd.read_csv(tmp_path / "results" / "toy" / "paper" / "table.csv").set_index("arm")
    assert list(table["verdict"][1:]) == ["win", "given up"]
    assert table.loc["clear", "n"] < table.loc["unsure", "n"] == table.loc["plain", "n"] < 12
    assert table["p_family"].isna().all()
    page = (tmp_path / "results" / "toy" / "paper" / "report.html").read_text()
    assert "Evidence by seed" in page
    assert "no p holds" in page
