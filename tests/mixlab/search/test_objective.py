"""The mean over a search's seeds, each of which is a training of its own."""

from pathlib import Path
from typing import Any

from mixlab import Epoch
from mixlab.search.objective import OverSeeds
from mixlab.spec.epoch import epoch_of

ENDS = {1000: 2, 1001: 4, 1002: 1}  # the epoch with which a training stops by itself, by its seed


def train(settings: Any, seed: int, report: Any, *_: Any) -> None:
    for number in range(1, ENDS[seed] + 1):
        report(Epoch(number, ENDS[seed] if number == ENDS[seed] else 5, {"acc": 1.0}), lambda folder: None)


def test_trainings_may_end_at_different_epochs():
    """One that ended sooner than those before was refused: "the number of an epoch must be from 1 to 3, got 7"."""
    reported: list[Epoch] = []
    whole: Any = OverSeeds(train, "acc", tuple(ENDS))
    whole(None, 0, lambda epoch, save: reported.append(epoch_of(epoch)), None, Path())
    assert [epoch.number for epoch in reported] == list(range(1, 8))
    assert [epoch.last for epoch in reported] == [False] * 6 + [True]
