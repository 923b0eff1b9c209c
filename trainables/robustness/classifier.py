"""The one thing that every evaluation here asks of a model: logits from pixels, in evaluation mode.

Shape letters: B batch, C channels, H height, W width, L classes, N images.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trainables.backbones.modes import evaluation_mode

Classifier = Callable[[Tensor], Tensor]  # (B, C, H, W) pixels in [0, 1] -> (B, L) logits; it normalises them itself


@torch.no_grad()
def predict(model: Classifier, images: Tensor, batch_size: int = 500) -> Tensor:
    """Return logits (N, L).

    Args:
        model: run in evaluation mode.
        images: (N, C, H, W) pixels in [0, 1].
        batch_size: the number of images at a time.
    """
    with evaluation_mode(model):
        return torch.cat([model(batch) for batch in images.split(batch_size)])


def top1(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows in which the largest logit is the label's, in percent.

    Args:
        logits: (N, L).
        labels: (N,) int64.
    """
    return 100 * float((logits.argmax(1) == labels).double().mean())
