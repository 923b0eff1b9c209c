"""A whole search until decided: its configurations race, then its winners; killed in either, it decides the same."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from analysis.report import race
from analysis.search_report import report, write_page
from analysis.statistics.verdicts import sequential_verdicts
from mixlab import Options
from mixlab.configure import configure
from mixlab.search.history import History
from mixlab.search.race import Race
from mixlab.spec.complete import complete
from mixlab.spec.search import RACE
from tests.mixlab.search_toy import InMemory, go_on
from tests.mixlab.test_json import FIELDS
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import STUDIES, Toy, hold, notes, release, score
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

OPTIONS = ("--until", "decided", "--seeds", "10")
TRAIN = complete(Toy())


def undisturbed() -> History:
    """Return the history of the same search without Ray, and never stopped."""
    search = configure(STUDIES["racing search"](), TRAIN, Options(until="decided", seeds=10))
    history = History(search, TRAIN, InMemory())
    go_on(history, Race(history, race), score, 10**6)
    return history


def confirmed(config: Mapping[str, Any]) -> list[float]:
    """Return the results (S,) of a winner with every fresh seed: the median of two epochs."""
    flat = TRAIN.resolve(config).flat
    return [(score(flat, seed, 1) + score(flat, seed, 2)) / 2 for seed in range(10)]


def kill_in(toy: StudyFolder, seed: int) -> None:
    """Start the search and kill its driver in the last epoch of a seed."""
    hold(toy.folder, epoch=2, seeds=(seed,))
    with toy.start(*OPTIONS) as driver:
        driver.until(lambda: any(each["seed"] == seed for each in notes(toy.folder, "reported") if each["epoch"] == 1))
        trials = driver.children("ray::ImplicitFu")
        driver.interrupt(signal.SIGKILL)
        driver.process.wait()
    wait_for(lambda: not any(each.is_running() for each in trials))  # one that is left would finish its seed
    release(toy.folder)


def test_a_search_until_decided_that_is_killed_twice_decides_the_same(tmp_path, empty_store):
    toy = toy_folder(tmp_path, "racing search", empty_store=empty_store)
    kill_in(toy, 1002)  # a trial's third seed, in the search
    plan = toy.run_here(*OPTIONS, "--dry-run")
    assert "gets more only while it may still be the best of its arm" in plan
    assert "low: 1 interrupted, " in plan
    kill_in(toy, 3)  # the fourth seed of the winners
    command = [sys.executable, "-P", *toy.script, "--tracking-uri", toy.uri, "--json", *OPTIONS]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "goes on after epoch" in ended.stderr
    assert "Every run in the MLflow UI" in ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)  # on which neither Ray nor anything else has written
    assert set(said) == FIELDS
    assert [(each["verdict"], each["p"]) for each in said["verdicts"]] == [("win", None)]
    for file in (said["paths"]["page"], *said["paths"]["files"]):
        assert (tmp_path / file).is_file()
    assert toy.statuses() == {"FINISHED"}
    assert len(toy.runs("trial")) == 12

    expected = undisturbed()
    for arm, found in toy.trials().items():
        ours = expected.trials(arm)
        assert [trial.params for trial in found] == [trial.params for trial in ours]
        assert [trial.user_attrs[RACE] for trial in found] == [trial.user_attrs[RACE] for trial in ours]
        assert [trial.intermediate_values for trial in found] == [trial.intermediate_values for trial in ours]
        counts = [len(trial.user_attrs[RACE]["values"]) for trial in found]
        assert max(counts) == 4
        assert min(counts) < 4
    winners = {arm: best.params for arm in expected.arms if (best := expected.best(arm))}
    results = np.array([confirmed(cell.config) for cell in expected.search.confirmation(winners).cells()])
    (verdict,), (count,) = sequential_verdicts(results[1:] - results[0], 10)
    assert count < 10  # decided before the last seed
    head, *rows = [line.split(",") for line in toy.table("paper").splitlines()]
    assert [row[head.index("n")] for row in rows] == [str(count)] * 2
    assert [float(row[head.index("mean")]) for row in rows] == pytest.approx(results[:, :count].mean(axis=1))
    assert rows[1][head.index("verdict")] == verdict == "win"
    assert {row[head.index("p_family")] for row in rows} == {""}

    found = report(toy.uri, "toy")
    assert "low: " in found.text
    assert "out of reach" in found.text
    assert any("high is better than low" in claim for claim in found.claims)
    page, *_ = write_page(found, tmp_path / "search.html")
    assert "<h3>Race</h3>" in page.read_text()
