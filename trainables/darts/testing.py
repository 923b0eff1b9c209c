"""The steps that both phases of a run share: they normalise images, average losses and show a network to a test."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainables.constants import constant
from trainables.datasets.dataset import Dataset


def normalised(images: Tensor, dataset: Dataset) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1] as a network of the data set sees them."""
    mean, std = (constant(of, images.device, images.dtype).view(1, -1, 1, 1) for of in (dataset.mean, dataset.std))
    return (images - mean) / std


def mean_loss(losses: Sequence[tuple[Tensor, int]]) -> float:
    """Return the mean over all images of the losses () of batches, each of which comes with its number of images.

    They are read from the device here, once an epoch, so that no step waits for a GPU.
    """
    values, counts = torch.stack([loss for loss, _ in losses]).tolist(), [count for _, count in losses]
    return math.fsum(value * count for value, count in zip(values, counts, strict=True)) / sum(counts)


class FromPixels(nn.Module):
    """A network as a test sees it, which takes images as a source gives them."""

    def __init__(self, network: nn.Module, dataset: Dataset) -> None:
        super().__init__()
        self.network, self.dataset = network, dataset

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, L) of the first head for images (B, 3, H, W) in [0, 1]."""
        logits = self.network(normalised(images, self.dataset))
        return logits[0] if isinstance(logits, tuple) else logits
