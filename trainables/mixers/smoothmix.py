"""SmoothMix: two images blended by a Gaussian mask, without the edges of a box.

J.-H. Lee, M. Z. Zaheer, M. Astrid and S.-I. Lee, "SmoothMix: a Simple Yet Effective Data Augmentation to Train
Robust Classifiers", CVPR Workshops 2020.
"""

import torch
from torch import Generator, Tensor

from trainables.mixers.boxes import uniform_pixels
from trainables.mixers.mixed import Mixed, blend, pair, partners


def smoothmix(
    images: Tensor, rng: Generator, *, alpha: float = 1.0, per_batch: bool = False, legacy_label: bool = False
) -> Mixed:
    """Replace every image by ``image * (1 - G) + partner * G``, where G is a Gaussian around a random pixel.

    Args:
        alpha: has no effect, as in OpenMixup; the width of G, U(0.25, 0.5) of each side, sets how much is mixed.
        per_batch: one mask for the whole batch, as OpenMixup has it.
        legacy_label: give the row's own label the weight mean(G), which is the partner's share. OpenMixup's
            numbers were made so; mean(G) is about 0.43, hence the mistake is small on average.

    The weights are 1 - mean(G) and mean(G): ``legacy_label`` exchanges them. Where the image is not square, G is
    stretched as much as the image.
    """
    size, _, height, width = images.shape
    count = 1 if per_batch else size
    row, column = uniform_pixels(count, height, width, rng)
    sigma = 0.25 + 0.25 * torch.rand(count, generator=rng, device=rng.device)  # share of a side
    y = (torch.arange(height, device=rng.device) - row[:, None]) / (sigma[:, None] * height)  # (B or 1, H)
    x = (torch.arange(width, device=rng.device) - column[:, None]) / (sigma[:, None] * width)
    gaussian = torch.exp(-y.square() / 2)[:, :, None] * torch.exp(-x.square() / 2)[:, None, :]  # the partner's share
    partner = partners(size, rng)
    own = 1 - gaussian
    lam = (gaussian if legacy_label else own).mean(dim=(1, 2))
    return pair(blend(images, partner, own[:, None]), partner, lam)
