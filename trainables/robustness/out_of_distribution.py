"""Measures how well a classifier tells images of its classes from others, and how it does on some of its classes.

D. Hendrycks et al., "Natural adversarial examples", CVPR 2021, arXiv:1907.07174, for ImageNet-A and ImageNet-O: only
the logits of the 200 classes of the set count, and the largest probability is the classifier's confidence. An image of
none of the classes should have less of it; the area under the precision-recall curve (AUPR) says how often it has.

Shape letters: N images, L classes, S classes that count.
"""

import torch
from torch import Tensor


def confidence(logits: Tensor, classes: Tensor | None = None) -> Tensor:
    """Return the largest probability of each image, (N,) float64.

    Args:
        logits: (N, L).
        classes: (S,) int64, the classes that count; None for all.
    """
    return of_classes(logits, classes).double().softmax(1).amax(1)


def subset_top1(logits: Tensor, labels: Tensor, classes: Tensor | None = None) -> float:
    """Return the share of images whose largest logit of ``classes`` is the label's, in percent.

    Args:
        logits: (N, L).
        labels: (N,) int64, numbered 0 to L - 1.
        classes: (S,) int64, the classes that count; None for all.
    """
    best = of_classes(logits, classes).argmax(1)
    predicted = best if classes is None else classes.to(best.device)[best]
    return 100 * float((predicted == labels).double().mean())


def of_classes(logits: Tensor, classes: Tensor | None) -> Tensor:
    """Return the logits (N, S) of the classes that count."""
    return logits if classes is None else logits[:, classes.to(logits.device)]


def aupr_of_outsiders(inside: Tensor, outside: Tensor) -> float:
    """Return the area under the precision-recall curve of finding the outsiders by low confidence, in percent.

    An outsider is a positive, and its score is the negative confidence. By chance it is the outsiders' share.

    Args:
        inside: confidences of the images of known classes.
        outside: confidences of the others.
    """
    scores = -torch.cat((outside, inside)).double()
    positive = torch.zeros(len(scores), dtype=torch.bool)
    positive[: len(outside)] = True
    return 100 * average_precision(scores.cpu(), positive)


def average_precision(scores: Tensor, positive: Tensor) -> float:
    """Return the sum over thresholds of the precision there, times the recall that the threshold adds; in [0, 1].

    Equal scores pass a threshold together, so their order does not matter.

    Args:
        scores: (N,), higher for a positive.
        positive: (N,) bool, at least one True.

    Raises:
        ValueError: nothing is positive.
    """
    if not positive.any():
        raise ValueError("average precision needs a positive")
    order = scores.argsort(descending=True)
    sorted_scores, hits = scores[order], positive[order].double().cumsum(0)
    last = torch.ones(len(scores), dtype=torch.bool)  # the last of each group of equal scores
    last[:-1] = sorted_scores[:-1] != sorted_scores[1:]
    found, seen = hits[last], torch.arange(1, len(scores) + 1)[last]
    gained = torch.diff(found, prepend=found.new_zeros(1)) / positive.sum()
    return float((gained * found / seen).sum())
