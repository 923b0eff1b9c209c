"""Calibration errors by hand, in bins of equal width and of equal counts."""

import math

import pytest
import torch
from torch import Tensor

from trainables.robustness.calibration import calibration_error, reliability


def logits_of(confidences: list[float]) -> Tensor:
    """Return logits of two classes; class 0 has the given probability."""
    p = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack((p.log(), (1 - p).log()), 1)


LOGITS = logits_of([0.9, 0.8, 0.7, 0.62])
LABELS = torch.tensor([0, 1, 0, 1])


def test_bins_and_their_error_by_hand():
    bins = reliability(LOGITS, LABELS, bins=4)
    assert bins.predictions.tolist() == [0, 0, 2, 2]
    assert bins.confidence[2:].tolist() == pytest.approx([0.66, 0.85])
    assert bins.accuracy.tolist() == pytest.approx([math.nan, math.nan, 0.5, 0.5], nan_ok=True)
    assert calibration_error(bins) == pytest.approx(100 * (0.5 * 0.16 + 0.5 * 0.35))
    assert calibration_error(reliability(LOGITS, LABELS, bins=1)) == pytest.approx(100 * (0.755 - 0.5))
    # Fifteen bins part all four: |1 - 0.9|, |0 - 0.8|, |1 - 0.7|, |0 - 0.62|.
    assert len(reliability(LOGITS, LABELS).predictions) == 15
    assert calibration_error(reliability(LOGITS, LABELS)) == pytest.approx(100 * (0.1 + 0.8 + 0.3 + 0.62) / 4)


def test_bins_keep_their_own_pairs():
    # Sorting accuracies and confidences apart, as OpenMixup does, would find 25 %.
    bins = reliability(logits_of([0.999999, 0.500001]), torch.tensor([1, 0]), bins=3)
    assert bins.predictions.tolist() == [0, 1, 1]
    assert calibration_error(bins) == pytest.approx(100 * (0.999999 + 0.499999) / 2)


def test_adaptive_bins_hold_equally_many():
    logits, labels = logits_of([0.99, 0.51, 0.98, 0.97, 0.96]), torch.tensor([0, 0, 1, 0, 0])
    bins = reliability(logits, labels, bins=2, binning="count")
    assert bins.predictions.tolist() == [3, 2]  # 0.51, 0.96, 0.97 and 0.98, 0.99
    assert bins.accuracy.tolist() == [1, 0.5]
    expected = 0.6 * (1 - (0.51 + 0.96 + 0.97) / 3) + 0.4 * (0.985 - 0.5)
    assert calibration_error(bins) == pytest.approx(100 * expected)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    certain = torch.tensor([[100.0, 0, 0]] * 7)
    right, wrong = torch.zeros(7, dtype=torch.long), torch.ones(7, dtype=torch.long)
    assert calibration_error(reliability(certain, right)) == pytest.approx(0)
    assert calibration_error(reliability(certain, wrong)) == pytest.approx(100)
    assert calibration_error(reliability(certain, wrong, binning="count")) == pytest.approx(100)


def test_the_error_of_a_network_that_has_diverged_is_no_number():
    logits = LOGITS.clone()
    logits[1] = math.nan
    for binning in ("width", "count"):
        assert math.isnan(calibration_error(reliability(logits, LABELS, binning=binning)))
