"""Histograms of all epochs become one artifact."""

from mixlab import Epoch
from mixlab.tracking.trial_runs import histograms_of


def test_the_shares_of_every_epoch_in_order() -> None:
    epochs = [Epoch(n, 2, {"loss": 1.0}, {}, {"lam": (n / 3, 1 - n / 3), "drawn": (0.5, 0.5)}) for n in (1, 2)]
    assert histograms_of(epochs) == {
        "epochs": [1, 2],
        "drawn": [[0.5, 0.5], [0.5, 0.5]],
        "lam": [[0.333333, 0.666667], [0.666667, 0.333333]],
    }


def test_no_histogram_no_file() -> None:
    assert histograms_of([Epoch(1, 1, {"loss": 1.0})]) == {}
