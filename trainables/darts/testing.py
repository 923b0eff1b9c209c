"""The steps that both phases of a run share: they normalise images, average losses and test a network."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainables.datasets.dataset import BatchSource, Dataset


def normalised(images: Tensor, dataset: Dataset) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1] as a network of the data set sees them."""
    mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (dataset.mean, dataset.std))
    return (images - mean) / std


def mean_loss(losses: Sequence[tuple[float, int]]) -> float:
    """Return the mean over all images of the losses of batches, each of which comes with its number of images."""
    return math.fsum(loss * count for loss, count in losses) / sum(count for _, count in losses)


@torch.no_grad()
def accuracies(
    predict: Callable[[Tensor], Tensor], source: BatchSource, dataset: Dataset, batch_size: int
) -> tuple[float, float]:
    """Return the top-1 and the top-5 accuracy on a source, in percent.

    ``predict`` maps normalised images (B, 3, H, W) to logits (B, L), in evaluation mode.
    """
    first = among_five = seen = 0
    for images, labels in source.test_batches(batch_size):
        logits = predict(normalised(images, dataset))
        hits = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]  # (B, 5)
        first += int((logits.argmax(dim=1) == labels).sum())
        among_five += int(hits.sum())
        seen += len(labels)
    return 100 * first / seen, 100 * among_five / seen
