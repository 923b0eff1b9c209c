"""Localisation by a classifier that was never shown a box: class activation maps, and how well their boxes fit.

MaxBoxAccV2 is from J. Choe, S. J. Oh, S. Lee, S. Chun, Z. Akata and H. Shim, "Evaluating Weakly Supervised Object
Localization Methods Right", CVPR 2020, arXiv:2001.07437, computed as their released code computes it; the maps are
from B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, arXiv:1512.04150.

Shape letters: B batch, C channels, H height, W width, D features, h, w cells of the last map, n boxes.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import box_iou

from trainables.backbones.backbone import Backbone, Network

OVERLAPS = (0.3, 0.5, 0.7)  # the intersections over union from which a box is right
LAST_PIXELS = np.array((0, 0, 1, 1))  # a box's last row and column are part of it
STEPS = 1000  # thresholds of a map: 0, 1 / STEPS, 2 / STEPS, ... of its greatest value, below 1


@torch.no_grad()
def class_activation_maps(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    """Return the evidence for a class (B,) at each cell of the last feature map, (B, h, w), of either sign.

    The network is in evaluation mode. ``ValueError`` refuses one whose head does not read the mean of its last map:
    such weights say nothing about a cell.
    """
    backbone = network.backbone
    if type(backbone).pool is not Backbone.pool or not isinstance(backbone.neck, nn.Identity | nn.Dropout):
        name = type(backbone).__name__
        raise ValueError(f"a class activation map needs a head that reads the mean of the last map, unlike {name}")
    maps = backbone.encode(network.normalise(images))  # (B, D, h, w)
    return torch.einsum("bdhw,bd->bhw", maps, backbone.head.weight[classes])


def as_shown(evidence: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """Return a map (h, w) as bytes (side, side): resized bicubically, then scaled from its own range to 0..255."""
    large = cv2.resize(evidence, (side, side), interpolation=cv2.INTER_CUBIC)
    large = large - large.min()
    return (255 * (large / (large.max() or 1))).astype(np.uint8)


def overlaps(shown: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each threshold the best overlap of a box of the map with a true one, (STEPS,).

    At a threshold, every contour of the cells above it, also one around a hole, gives a box. The map (H, W) is one that
    ``as_shown`` returns; the true boxes (n, 4) are left, top, right and bottom in its pixels.
    """
    top = int(shown.max())
    levels, place = np.unique([int(step / STEPS * top) for step in range(STEPS)], return_inverse=True)
    found = [boxes_above(shown, level) for level in levels.tolist()]
    each, true = (torch.from_numpy(of + LAST_PIXELS) for of in (np.concatenate(found), boxes))
    first = np.cumsum([0, *map(len, found[:-1])])  # the first box of each level
    return np.maximum.reduceat(box_iou(each, true).amax(dim=1).numpy(), first)[place]


def boxes_above(shown: NDArray[np.uint8], level: int) -> NDArray[np.float64]:
    """Return the boxes (n, 4) of all contours around the cells above a level; one empty box where there are none."""
    height, width = shown.shape
    above = cv2.threshold(shown, level, 255, cv2.THRESH_BINARY)[1]
    contours, _ = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    found = [cv2.boundingRect(contour) for contour in contours]
    ends = [(x, y, min(x + w, width - 1), min(y + h, height - 1)) for x, y, w, h in found]
    return np.array(ends or [(0, 0, 0, 0)], np.float64)


def resized(box: Sequence[float], image: tuple[int, int], side: int) -> list[int]:
    """Return a box of an image of ``image`` (width, height) pixels as one of the image squeezed to ``side`` a side."""
    width, height = image
    return [int(value * side / whole) for value, whole in zip(box, (width, height, width, height), strict=True)]


def accuracies(found: Sequence[NDArray[np.float64]]) -> list[float]:
    """Return the accuracy in percent at each of ``OVERLAPS`` and its best threshold; their mean is MaxBoxAccV2.

    ``found`` has the result of ``overlaps`` for each image.
    """
    best = np.stack(found)  # (N, STEPS)
    return [float(100 * (best >= overlap).sum(axis=0).max() / len(best)) for overlap in OVERLAPS]
