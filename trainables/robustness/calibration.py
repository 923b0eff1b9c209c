"""The expected calibration error (ECE): the distance of a classifier's confidence from its accuracy.

C. Guo et al., "On calibration of modern neural networks", ICML 2017, arXiv:1706.04599: 15 bins of equal width. With
bins of equally many predictions (J. Nixon et al., CVPR workshops 2019, arXiv:1904.01685) it is the adaptive error.
OpenMixup sorts the bins' accuracies and confidences apart before it subtracts them; here each bin keeps its own pair.

Shape letters: N predictions, L classes, M bins.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

BINS = 15

Binning = Literal["width", "count"]


class Reliability(NamedTuple):
    """The values of a reliability diagram, one row per bin; NaN in a bin without predictions."""

    predictions: Tensor  # (M,) int64, the number in each bin
    confidence: Tensor  # (M,) float64 mean of the largest probability, in [0, 1]
    accuracy: Tensor  # (M,) float64, in [0, 1]


def reliability(logits: Tensor, labels: Tensor, bins: int = BINS, binning: Binning = "width") -> Reliability:
    """Return confidence and accuracy by bin of confidence, from logits (N, L) and labels (N,) int64.

    With the binning ``width``, bin m holds confidences in (m / M, (m + 1) / M]; with ``count``, the N predictions in
    order of confidence are cut into M parts whose sizes differ by at most one.
    """
    confidence, predicted = logits.double().softmax(1).max(1)
    correct = (predicted == labels).double()
    if binning == "width":
        at = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)  # a NaN is in one of them
    else:
        place = confidence.argsort(stable=True).argsort()  # (N,) in order of confidence
        at = place * bins // len(place)
    count = torch.bincount(at, minlength=bins)
    empty = torch.zeros(bins, dtype=torch.float64, device=at.device)
    return Reliability(count, *(empty.index_add(0, at, x) / count for x in (confidence, correct)))  # 0 / 0 is NaN


def calibration_error(bins: Reliability) -> float:
    """Return the ECE: the mean distance of accuracy and confidence, weighted by a bin's predictions, in percent.

    It is NaN if a confidence is NaN, as for a network that has diverged.
    """
    some = bins.predictions > 0
    gap = (bins.accuracy - bins.confidence).abs()[some]
    return 100 * float((gap * bins.predictions[some]).sum() / bins.predictions.sum())
