"""Saliency-DCutMix: DCutMix whose patches are cut around the most salient pixel of their image.

J. Jeong, S. Cha, J. Choi, S. Yun, T. Moon and Y. Yoo, "Observations on K-image Expansion of Image-Mixing
Augmentation", IEEE Access 2023, arXiv:2110.04248; the saliency is that of SaliencyMix.
"""

from typing import Literal

import torch
from torch import Generator, Tensor

from trainables.mixers.boxes import Boxes, centre_in, place, whole
from trainables.mixers.kimage import draw_phi, layered, patch_sides, stack_layers
from trainables.mixers.mixed import Mixed
from trainables.mixers.saliency import fine_grained_saliency, salient_pixel
from trainables.ranges import Several


def saliency_dcutmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    num_images: Several = 5,
    paste: Literal["same", "random_in_parent"] = "same",
    per_batch: bool = False,
) -> Mixed:
    """Paste K - 1 nested patches into every image, each cut around its image's most salient pixel.

    Args:
        alpha: draws phi ~ Dirichlet(alpha, ..., alpha), the share of the area that each image gets.
        num_images: K.
        paste: where a patch goes. ``same``: to the coordinates it was cut from, shifted (not shrunk, so
            that areas stay those of phi) into the patch before. ``random_in_parent``: to a uniform place there.
        per_batch: one set of patches for the whole batch, around the salient pixels of the sources of row 0.

    The weights are counted in pixels. No code is released, and the paper leaves open both the position and what happens
    at the border.
    """
    size, _, height, width = images.shape
    phi, sources = draw_phi(size, rng, alpha=alpha, num_images=num_images, per_batch=per_batch)
    row, column = salient_pixel(fine_grained_saliency(images))
    everything = whole(len(phi), height, width, images.device)
    boxes, cuts = [everything], [everything]
    for k, sides in enumerate(patch_sides(phi, height, width), start=1):
        source = sources[: len(phi), k]
        if paste == "same":
            boxes.append(centre_in(boxes[-1], sides, row[source], column[source]))
        else:
            boxes.append(place(boxes[-1], sides, rng))
            cuts.append(centre_in(everything, sides, row[source], column[source]))
    layer, weights = layered(boxes, images)
    if paste == "same":
        return Mixed(stack_layers(images, sources, layer), sources, weights)
    return Mixed(stack_moved_layers(images, sources, layer, boxes, cuts), sources, weights)


def stack_moved_layers(images: Tensor, sources: Tensor, layer: Tensor, boxes: list[Boxes], cuts: list[Boxes]) -> Tensor:
    """Return the same as ``stack_layers``, but with the pixels of ``cuts[k]`` of source k in ``boxes[k]``."""
    size, channels, height, width = images.shape

    def moved(start: int, side: int) -> Tensor:
        """Return the row or column to read at each pixel, (B, HW)."""
        shift = torch.stack([cut[start] - box[start] for cut, box in zip(cuts, boxes, strict=True)], dim=1)
        at = torch.arange(side, device=images.device)
        at = at[:, None].expand(height, width) if start == 0 else at.expand(height, width)
        return at.flatten() + shift.gather(1, layer.flatten(1))

    row = sources.gather(1, layer.expand(size, -1, -1).flatten(1))
    pixel = row * (height * width) + moved(0, height) * width + moved(2, width)  # (B, HW)
    by_channel = images.transpose(0, 1).flatten(1)  # (C, BHW)
    return by_channel[:, pixel].transpose(0, 1).reshape(size, channels, height, width)
