"""Brightness, contrast, saturation and sharpness as Pillow defines them: a blend with an image that lacks the quality.

Images are bytes as whole float32 numbers, (B, C, H, W) in 0..255, left unchanged. One channel is grey already.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.constants import constant

# The principal components of ImageNet's colours, a column each, and their standard deviations for pixels in 0..1, as
# the CutMix code has them.
COMPONENTS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
DEVIATIONS = (0.2175, 0.0188, 0.0045)

QUALITIES = ("brightness", "contrast", "color", "sharpness")

LUMA = (19595 / 65536, 38470 / 65536, 7471 / 65536)  # the weights of red, green and blue in a grey value


def grey(pixels: Tensor) -> Tensor:
    """Return the brightness of each pixel, (B, 1, H, W)."""
    if pixels.shape[1] == 1:
        return pixels
    return (pixels * constant(LUMA, pixels.device).view(1, 3, 1, 1)).sum(dim=1, keepdim=True).add_(0.5).floor_()


def mean_grey(pixels: Tensor) -> Tensor:
    """Return the mean brightness of each image, (B, 1, 1, 1)."""
    return grey(pixels).mean(dim=(2, 3), keepdim=True).add_(0.5).floor_()


def smoothed(pixels: Tensor) -> Tensor:
    """Average each pixel with its eight neighbours, itself with weight 5; the border stays."""
    C = pixels.shape[1]
    weights = pixels.new_ones(C, 1, 3, 3)
    weights[:, :, 1, 1] = 5
    result = pixels.clone()
    with torch.autocast(pixels.device.type, enabled=False):  # a mixer calls this while a network computes in half
        result[:, :, 1:-1, 1:-1] = F.conv2d(pixels, weights / 13, groups=C).add_(0.5).floor_()
    return result


def lacking(pixels: Tensor, chosen: Mapping[str, Tensor]) -> Tensor:
    """Return each image without the quality for which its row is ``chosen``, (B,) bool by name; others are black."""
    without = torch.zeros_like(pixels)  # which lacks brightness
    for name, image in {"contrast": mean_grey(pixels), "color": grey(pixels), "sharpness": smoothed(pixels)}.items():
        without = torch.where(chosen[name][:, None, None, None], image, without)
    return without


def blend(without: Tensor, pixels: Tensor, factor: Tensor) -> Tensor:
    """Blend from ``without`` (factor 0) through ``pixels`` (factor 1) and beyond, in whole numbers, by factors (B,)."""
    mixed = without + factor[:, None, None, None] * (pixels - without)
    return mixed.add_(1e-3).floor_().clamp_(0, 255)  # a whole number up to rounding stays that number


def jitter(pixels: Tensor, rng: Generator, strength: float) -> Tensor:
    """Change brightness, contrast and saturation, in this order, each by its own factor per image.

    Factors are uniform in 1 - strength .. 1 + strength. torchvision's ColorJitter and CutMix's code draw the order too.
    """
    factors = 1 + strength * (2 * torch.rand(3, len(pixels), generator=rng, device=pixels.device) - 1)
    pixels = blend(torch.zeros_like(pixels), pixels, factors[0])
    pixels = blend(mean_grey(pixels), pixels, factors[1])
    return blend(grey(pixels), pixels, factors[2])


def turn_hue(images: Tensor, rng: Generator, *, strength: float) -> Tensor:
    """Turn the hues of an image by one angle; greys, the greatest and the least of a pixel's three values stay.

    Images are (B, 3, H, W) bytes; angles are uniform in -strength .. strength, in turns of the whole circle.
    """
    turns = strength * (2 * torch.rand(len(images), generator=rng, device=images.device) - 1)
    red, green, blue = (pixels := images.float()).unbind(dim=1)  # (B, H, W) each
    most, least = pixels.amax(dim=1), pixels.amin(dim=1)
    spread = most - least
    divisor = spread.clamp_min(1)  # avoids 0 / 0 for greys, whose differences are 0
    # Sixths of the circle from red, through green at 2 and blue at 4.
    blue_most = 4 + (red - green) / divisor
    hue = torch.where(most == red, (green - blue) / divisor, blue_most)
    hue = torch.where(most == green, 2 + (blue - red) / divisor, hue) + 6 * turns[:, None, None]
    # Each colour is at its most within a sixth of its own hue, and at its least beyond a third.
    away = torch.stack([(hue - own + 3).remainder(6).sub(3).abs() for own in (0, 2, 4)], dim=1)
    turned = least[:, None] + spread[:, None] * (2 - away).clamp(0, 1)
    return turned.round_().to(torch.uint8)


def lighting(images: Tensor, rng: Generator, *, strength: float) -> Tensor:
    """Move all pixels of an image by one colour, drawn along the principal components of ImageNet's colours.

    Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012,
    section 4.1. The CutMix code adds the noise to floating-point pixels; here bytes stay bytes, rounded and clipped.
    Images are (B, 3, H, W) bytes; ``strength`` is the standard deviation of the three factors, 0.1 in the papers.
    """
    factors = torch.randn(len(images), 3, generator=rng, device=images.device) * strength
    scaled = factors * constant(DEVIATIONS, factors.device)
    with torch.autocast(images.device.type, enabled=False):  # see ``resized_crop.cut``
        colour = 255 * scaled @ constant(COMPONENTS, factors.device).T  # (B, 3)
    return (images.float() + colour[:, :, None, None]).round_().clamp_(0, 255).to(torch.uint8)
