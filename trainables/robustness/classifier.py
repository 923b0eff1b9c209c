"""A model as every evaluation here uses it: logits from pixels, in evaluation mode.

Shape letters: B batch, C channels, H height, W width, L classes, S of which count, N images.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trainables.backbones.modes import evaluation_mode

Classifier = Callable[[Tensor], Tensor]  # (B, C, H, W) pixels in [0, 1] -> (B, L) logits; it normalises them itself


@torch.no_grad()
def predict(model: Classifier, images: Tensor, batch_size: int = 500) -> Tensor:
    """Return the logits (N, L) of pixels (N, C, H, W), ``batch_size`` at a time, in evaluation mode."""
    with evaluation_mode(model):
        return torch.cat([model(batch) for batch in images.split(batch_size)])


def top1(logits: Tensor, labels: Tensor, classes: Tensor | None = None) -> float:
    """Return the share of rows in which the largest logit (N, L) of ``classes`` (S,) int64 is the label's, in percent.

    Labels (N,) int64 are numbered from 0 to L - 1, whichever classes count; for None all do.
    """
    predicted = logits.argmax(1) if classes is None else classes[logits[:, classes].argmax(1)]
    return 100 * float((predicted == labels).double().mean())
