"""SaliencyMix: the rectangle around the most salient pixel of one image, pasted into another.

A. F. M. S. Uddin, M. S. Monira, W. Shin, T. Chung and S.-H. Bae, "SaliencyMix: A Saliency Guided Data
Augmentation Strategy for Better Regularization", ICLR 2021, arXiv:2006.01791.
"""

from typing import Literal

from torch import Generator, Tensor

from trainables.constants import constant
from trainables.mixers.boxes import Label, clipped_boxes, paste
from trainables.mixers.mixed import Mixed, beta, partners
from trainables.mixers.saliency import fine_grained_saliency, misread_saliency, salient_pixel

SaliencyInput = Literal["uint8", "raw_float"]

# The release normalises with these, on CIFAR-10 and CIFAR-100 alike.
RELEASE_MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
RELEASE_STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)


def saliency_map(images: Tensor, saliency_input: SaliencyInput) -> Tensor:
    """Return the saliency (B, H, W) of images (B, C, H, W): of their bytes or, as released, of normalised floats."""
    if saliency_input == "uint8":
        return fine_grained_saliency(images.detach())
    if images.shape[1] != 3:  # a grey image would be normalised as three colours
        raise ValueError(f"saliency_input 'raw_float' needs images of 3 channels, got {images.shape[1]}")
    mean, std = constant((RELEASE_MEAN, RELEASE_STD), images.device)[..., None, None]
    return misread_saliency((images.detach().float() - mean) / std)


def saliencymix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    per_batch: bool = False,
    saliency_input: SaliencyInput = "uint8",
    label: Label = "area",
) -> Mixed:
    """Paste the box around the partner's most salient pixel into every image, RGB or, with bytes, grey.

    Args:
        alpha: draws lambda ~ Beta(alpha, alpha); the box has the area ``1 - lam`` before it is clipped.
        per_batch: one box for the whole batch, around the salient pixel of the partner of row 0.
        saliency_input: ``uint8`` is the paper's saliency, of the image. ``raw_float`` is what the release
            computes: OpenCV's detector reads the normalised floats as bytes, so that the centre hardly depends on the
            image (within 5 pixels of the object for 11 % of images, not 42 %).
        label: as in ``cutmix``.

    The official code is ``per_batch=True, saliency_input="raw_float"``, with ``mixer.probability=0.5``. Here each
    row has its own box, around the salient pixel of its own partner.
    """
    size, _, height, width = images.shape
    lam, partner = beta(alpha, 1 if per_batch else size, rng), partners(size, rng)
    row, column = salient_pixel(saliency_map(images[partner[:1]] if per_batch else images, saliency_input))
    centre = (row, column) if per_batch else (row[partner], column[partner])
    boxes = clipped_boxes(centre, (1 - lam).sqrt(), height, width)
    return paste(images, partner, boxes, lam, label)
