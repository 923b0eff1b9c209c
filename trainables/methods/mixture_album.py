"""The masks of a few images, kept through the training, from which figures are drawn of a finished run.

Shape letters: N images, C channels, H height, W width, S pictures of the training, R values of lambda.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.methods.method import Counting

SHOWN = 6  # N at most: the first images of the first batch, each mixed with the one before it
LAMBDAS = (0.1, 0.3, 0.5, 0.7, 0.9)
PICTURES = 8  # S at most, evenly spaced over the epochs
SIDE = 16  # pixels of a kept mask at most, which is as fine as most maps that masks are made from

Masks = Callable[[Tensor, Tensor, Tensor], Tensor]  # images (N, C, H, W), partner, lambda to (N, 1, H, W)


class Album(Counting):
    """Holds images (N, C, H, W) uint8, masks (S, R * N, h, w) uint8, the partner's share of 255, and epochs."""

    images: Tensor
    masks: Tensor
    epochs: Tensor  # 0 for a picture that is not taken yet

    def __init__(self, image_shape: Sequence[int], epochs: int) -> None:
        super().__init__()
        self.due = sorted({round(epochs * (k + 1) / PICTURES) for k in range(PICTURES)} - {0})
        self.of = epochs
        self.cells = (min(SIDE, image_shape[1]), min(SIDE, image_shape[2]))
        self.register_buffer("images", torch.zeros((SHOWN, *image_shape), dtype=torch.uint8))
        kept = (len(self.due), len(LAMBDAS) * SHOWN, *self.cells)  # a module on a GPU has four axes at most
        self.register_buffer("masks", torch.zeros(kept, dtype=torch.uint8))
        self.register_buffer("epochs", torch.zeros(len(self.due), dtype=torch.long))

    @torch.no_grad()
    def see(self, images: Tensor) -> None:
        """Keep the first of the images (B, C, H, W) in [0, 1], unless some are kept already or the shape differs."""
        if not self.count and images.shape[1:] == self.images.shape[1:]:
            self.count = 1  # batch, whose first images are kept
            self.images[: len(images)] = (images[:SHOWN] * 255).round().to(torch.uint8)

    @torch.no_grad()
    def take(self, progress: float, masks: Masks) -> None:
        """Keep the masks at the end of an epoch that is due; ``progress`` is the share of the training done."""
        done = progress * self.of
        number = round(done)
        if number not in self.due or abs(done - number) > 1e-6:
            return
        place = self.due.index(number)
        images = self.images.float() / 255
        partner = torch.arange(len(images), device=images.device).roll(1)
        for row, lam in enumerate(LAMBDAS):
            mask = masks(images, partner, torch.full((len(images),), lam, device=images.device))
            rows = slice(row * SHOWN, (row + 1) * SHOWN)
            self.masks[place, rows] = (F.adaptive_avg_pool2d(mask, self.cells)[:, 0] * 255).round().to(torch.uint8)
        self.epochs[place] = number
