"""CIFAR-C-style corruptions of noise, brightness, contrast, saturation, JPEG and pixelation.

Severities are those published with CIFAR-10-C (``corruption.py``). Every function takes images (N, H, W, 3) float64 in
[0, 1], a severity from 1 to 5 and a generator, and returns the same shape; the caller clamps.
"""

import io

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float64]  # (N, H, W, 3)


def gaussian_noise(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Add normal noise of a fixed standard deviation."""
    return images + rng.normal(0, (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1], images.shape)


def shot_noise(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Draw each value from a Poisson distribution, with a fixed number of photons at white."""
    photons = (500, 250, 100, 75, 50)[severity - 1]
    return rng.poisson(images * photons) / photons


def impulse_noise(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Add salt and pepper: a share of the values becomes 0 or 1, either with the same probability."""
    uniform, share = rng.random(images.shape), (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    return np.where(uniform < share / 2, 0.0, np.where(uniform < share, 1.0, images))


def speckle_noise(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Add normal noise in proportion to the pixel."""
    return images + images * rng.normal(0, (0.06, 0.1, 0.12, 0.16, 0.2)[severity - 1], images.shape)


def brightness(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Add a constant to the value of HSV, which scales the three channels alike and keeps hue and saturation."""
    value = images.max(-1, keepdims=True)
    brighter = np.minimum(value + (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1], 1)
    # Black has no hue: it becomes grey.
    return np.where(value > 0, images * brighter / np.where(value > 0, value, 1), brighter)


def saturate(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Multiply the saturation of HSV by a factor, and add a constant; value and hue stay."""
    factor, constant = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[severity - 1]
    value, low = images.max(-1, keepdims=True), images.min(-1, keepdims=True)
    saturation = (value - low) / np.where(value > 0, value, 1)
    wanted = np.clip(saturation * factor + constant, 0, 1)
    coloured = value - (value - images) * wanted / np.where(saturation > 0, saturation, 1)
    # A grey pixel has hue 0, red: what is added to its saturation takes from green and blue.
    red = np.concatenate((value, value * (1 - wanted), value * (1 - wanted)), -1)
    return np.where(saturation > 0, coloured, red)


def contrast(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Multiply the distance from each channel's mean over the image by a factor."""
    mean = images.mean((1, 2), keepdims=True)
    return mean + (images - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]


def jpeg_compression(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Write the image as JPEG of some quality and read it again."""
    out = []
    for picture in _pictures(images):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=(80, 65, 58, 50, 40)[severity - 1])
        out.append(np.asarray(Image.open(file)))
    return np.stack(out) / 255


def pixelate(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Make the image smaller and then larger again, by box filters."""
    height, width = images.shape[1:3]
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    small = (int(width * share), int(height * share))
    box = Image.Resampling.BOX
    pictures = [picture.resize(small, box).resize((width, height), box) for picture in _pictures(images)]
    return np.stack([np.asarray(picture) for picture in pictures]) / 255


def cut_to_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return values in [0, 1] as bytes, cut off as in the released code; a whole one may lack what rounding took."""
    return (255 * values + 1e-6).astype(np.uint8)


def _pictures(images: Pixels) -> list[Image.Image]:
    return [Image.fromarray(image) for image in cut_to_bytes(images)]
