"""The mean over a search's seeds, each of which is a training of its own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mixlab import Epoch
from mixlab.search.history import History
from mixlab.search.objective import PAST, OverSeeds
from mixlab.search.race import Race
from mixlab.spec.epoch import epoch_of
from tests.mixlab.search_toy import TRAIN, InMemory, search

OF = 5  # epochs of a training that does not end early
ENDS = {1000: 2, 1001: 4, 1002: 5, 1003: 1}  # the epoch with which a training stops by itself, by its seed


class Killed(Exception):
    """The trial's process is lost after a report."""


class Trial:
    """A trial over several seeds, and what it has reported; it may be killed, and goes on."""

    def __init__(self, folder: Path, ends: Mapping[int, int] = ENDS, announced: bool = True) -> None:
        self.folder, self.ends, self.announced = folder, ends, announced
        self.reported: list[Epoch] = []
        self.trained: list[tuple[int, int]] = []

    @property
    def numbers(self) -> list[int]:
        return [epoch.number for epoch in self.reported]

    def train(self, settings: Any, seed: int, report: Any, resume_from: Path | None, *_: Any) -> None:
        done = int((resume_from / "epoch").read_text()) if resume_from else 0
        for number in range(done + 1, self.ends[seed] + 1):
            self.trained.append((seed, number))
            of = number if self.announced and number == self.ends[seed] else OF
            report(Epoch(number, of, {"acc": float(seed)}), lambda folder, number=number: save(folder, number))

    def run(self, resume_from: Path | None = None, killed_after: int = 10**6, metric: str = "acc") -> None:
        def report(epoch: Any, save_all: Any) -> None:
            self.reported.append(epoch_of(epoch))
            save_all(self.folder)
            if len(self.reported) == killed_after:
                raise Killed

        whole: Any = OverSeeds(self.train, metric, tuple(self.ends))  # type: ignore[arg-type]
        whole(None, 0, report, resume_from, Path())


def save(folder: Path, number: int) -> None:
    (folder / "epoch").write_text(str(number))


def test_trainings_may_end_at_different_epochs_and_a_race_decides_after_each(tmp_path):
    """After one that ends early, the next begins at the number that a whole one would have reached.

    A race still finds the end of every seed after one that ends early.
    """
    trial = Trial(tmp_path)
    trial.run()
    assert trial.numbers == [1, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 20]
    assert {epoch.of for epoch in trial.reported} == {20}
    assert trial.reported[-1].metrics == {"acc": 1001.5}
    history = History(search(search_seeds=tuple(ENDS)), TRAIN, InMemory())
    claim, asked = history.claim(), []
    race = Race(history, lambda values, *_: asked.append(list(values[0])) or "")  # type: ignore[func-returns-value]
    for epoch in trial.reported:
        race.out(claim, epoch, epoch.metrics["acc"])
    assert asked == [[1000.0], [1000.0, 1001.0], [1000.0, 1001.0, 1002.0], [1000.0, 1001.0, 1002.0, 1003.0]]


@pytest.mark.parametrize("killed_after", range(1, 12))
def test_a_trial_that_is_killed_goes_on_from_its_last_epoch(tmp_path, killed_after):
    """This holds in the middle of its second seed, and of later ones, too."""
    undisturbed, trial = Trial(tmp_path), Trial(tmp_path)
    undisturbed.run()
    with pytest.raises(Killed):
        trial.run(killed_after=killed_after)
    trial.run(tmp_path)
    assert (trial.trained, trial.reported) == (undisturbed.trained, undisturbed.reported)


@pytest.mark.parametrize(("ends", "trained"), [((5, 3, 5), 8), ((5, 0, 5), 5), ((0, 5), 0)])
def test_a_training_that_returns_before_its_last_epoch_ends_the_trial_there(tmp_path, ends, trained):
    """It fails there, as it would in a study."""
    trial = Trial(tmp_path, dict(enumerate(ends, 1000)), announced=False)
    trial.run()
    assert trial.numbers == [*range(1, trained + 1)]
    assert len(trial.trained) == trained


def test_no_mean_is_reported_of_a_metric_that_is_not(tmp_path):
    trial = Trial(tmp_path, {7: 1})
    trial.run(metric="val_acc")
    assert [epoch.metrics for epoch in trial.reported] == [{"acc": 7.0}]


@pytest.mark.parametrize(("content", "left"), [([[1000.0], 5, True], 10), ([[], 2, False], 13)])
def test_a_checkpoint_of_an_earlier_version_goes_on(tmp_path, content, left):
    (tmp_path / PAST).write_text(json.dumps(content))
    save(tmp_path, 5 if content[0] else 2)
    trial = Trial(tmp_path, {1000: 5, 1001: 5, 1002: 5})
    trial.run(tmp_path)
    assert trial.numbers == [*range(16 - left, 16)]
