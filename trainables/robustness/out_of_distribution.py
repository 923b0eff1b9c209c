"""Measures how well a classifier tells images of its classes from others.

D. Hendrycks et al., "Natural adversarial examples", CVPR 2021, arXiv:1907.07174, for ImageNet-A and ImageNet-O: only
the logits of the 200 classes of the set count, and the largest probability is the classifier's confidence. An image of
none of the classes should get less; the area under the precision-recall curve (AUPR) measures how well it does.

Shape letters: N images, L classes, S classes that count.
"""

import torch
from torch import Tensor


def confidence(logits: Tensor, classes: Tensor | None = None) -> Tensor:
    """Return the largest probability of each image, (N,) float64, from the logits (N, L) of ``classes`` (S,) alone."""
    return (logits if classes is None else logits[:, classes]).double().softmax(1).amax(1)


def aupr_of_outsiders(inside: Tensor, outside: Tensor) -> float:
    """Return the area under the precision-recall curve of finding the outsiders by low confidence, in percent.

    ``inside`` are the confidences of images of known classes, ``outside`` those of the others. An outsider is a
    positive, and its score is the negative confidence. By chance the area is the outsiders' share.
    """
    scores = -torch.cat((outside, inside)).double()
    positive = torch.zeros(len(scores), dtype=torch.bool)
    positive[: len(outside)] = True
    return 100 * average_precision(scores.cpu(), positive)


def average_precision(scores: Tensor, positive: Tensor) -> float:
    """Return the sum over thresholds of the precision there, times the recall that the threshold adds; in [0, 1].

    The scores (N,) are higher for a positive, (N,) bool, of which there is one at least. Equal scores pass a threshold
    together, so that their order does not matter.
    """
    order = scores.argsort(descending=True)
    sorted_scores, hits = scores[order], positive[order].double().cumsum(0)
    last = torch.ones(len(scores), dtype=torch.bool)  # the last of each group of equal scores
    last[:-1] = sorted_scores[:-1] != sorted_scores[1:]
    found, seen = hits[last], torch.arange(1, len(scores) + 1)[last]
    gained = torch.diff(found, prepend=found.new_zeros(1)) / positive.sum()
    return float((gained * found / seen).sum())
