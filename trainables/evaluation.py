"""Testing a network: its accuracy and its loss over all images of a source."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.datasets.data_config import DataConfig
from trainables.datasets.dataset import BatchSource
from trainables.datasets.opening import dataset_of
from trainables.device.cuda_graph import GraphedStep

MOST = 65472.0  # the second largest number of float16
TEST_BATCH = 500  # images of up to 80 pixels a side; fewer of larger ones, so that memory does not grow with them
Tested = tuple[Tensor, Tensor]  # logits (B, L) float32 and labels (B,) of a batch


class Evaluation:
    """Tests one network, as often as it is called.

    Args:
        settings: the configuration of the run.
        precision: the precision of the passes through the network.
        device: the device of the network.
        network: from pixels (B, C, H, W) to logits (B, L); its weights keep their places in memory.
        graphed: whether the passes are a CUDA graph.
    """

    def __init__(
        self, settings: DataConfig, precision: torch.dtype, device: torch.device, network: nn.Module, *, graphed: bool
    ) -> None:
        self.network = network
        self.batch_size = test_batch(settings)
        self.logits = torch.zeros(self.batch_size, dataset_of(settings).num_classes, device=device)
        self.hits = torch.zeros(2, dtype=torch.long, device=device)  # images whose label ranks first, in the top 5
        self.loss = torch.zeros((), dtype=torch.double, device=device)
        self.graphed = GraphedStep(self.batch_size) if graphed else None
        # The weights are cast once for all batches, but anew in each use of a graph: they change between tests.
        half = precision != torch.float32
        self.autocast = torch.autocast(device.type, precision, enabled=half, cache_enabled=not graphed)

    @torch.no_grad()
    def __call__(self, source: BatchSource, tested: list[Tested] | None = None) -> dict[str, float]:
        """Return ``top1`` and ``top5``, in percent, and ``loss``, the mean cross-entropy, on a source.

        Each batch's logits and labels are appended to ``tested``.
        """
        self.network.eval()
        self.hits.zero_()
        self.loss.zero_()
        seen = 0
        with self.autocast:
            for images, labels in source.test_batches(self.batch_size):
                if self.graphed is None:
                    self.add(images, labels)
                else:
                    self.graphed(self.add, images, labels)
                seen += len(labels)
                if tested is not None:
                    tested.append((self.logits[: len(labels)].clone(), labels))
        top1, top5 = (100 * self.hits.double() / seen).tolist()
        return {"top1": top1, "top5": top5, "loss": float(self.loss) / seen}

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Pass a batch through the network, keep its logits, and count its hits and its loss."""
        logits = self.network(images)
        self.logits[: len(logits)] = logits
        best = logits.topk(min(5, logits.shape[1])).indices  # (B, 5)
        hit = best == labels[:, None]
        self.hits += torch.stack((hit[:, 0].sum(), hit.sum()))
        self.loss += cross_entropy(logits.double(), labels, reduction="sum")


def test_batch(settings: DataConfig) -> int:
    """Return the number of images in a batch of testing."""
    return min(TEST_BATCH, max(1, TEST_BATCH * 80**2 // settings.tested_side**2))


def rounded(logits: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return logits (N, L) in float16, in which the largest of each row is still the only largest.

    Where rounding makes it equal to others, it becomes the next number of float16. Logits beyond float16's range become
    its second largest number, which has a next one.
    """
    near = logits.clip(-MOST, MOST).astype(np.float16)
    largest = near.max(axis=1, keepdims=True)
    tied = np.flatnonzero((near == largest).sum(axis=1) > 1)
    near[tied, logits[tied].argmax(axis=1)] = np.nextafter(largest[tied, 0], np.float16(np.inf))
    return near
