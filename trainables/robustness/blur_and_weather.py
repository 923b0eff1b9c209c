"""CIFAR-C-style corruptions that move pixels or lay something over them: blurs, snow, frost, fog, spatter, elastic.

Severities are those published with CIFAR-10-C (``corruption.py``). Every function takes images (N, H, W, 3) float64 in
[0, 1], a severity from 1 to 5 and a generator, and returns the same shape; the caller clamps. The original blurs motion
and snow with ImageMagick, and lays photographs of frozen windows over the images: here motion is a Gaussian line, and
frost is drawn (``frost``).
"""

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, convolve, distance_transform_edt, gaussian_filter, map_coordinates
from torch.nn.functional import interpolate

from trainables.robustness.noise_and_colour import Pixels, cut_to_bytes

Grey = NDArray[np.float64]  # (N, H, W), or a kernel (K, K)


def gaussian_blur(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Convolve with a Gaussian."""
    sd = (0.4, 0.6, 0.7, 0.8, 1)[severity - 1]
    return gaussian_filter(images, (0, sd, sd, 0), mode="nearest", truncate=4)


def defocus_blur(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Convolve with a disk that has an edge softened by a Gaussian."""
    radius, alias = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))[severity - 1]
    at = np.arange(-8, 9)
    disk = (at[:, None] ** 2 + at**2 <= radius**2).astype(float)
    kernel = gaussian_filter(disk / disk.sum(), alias, mode="mirror", radius=1)
    return convolve(images, kernel[None, :, :, None], mode="mirror")


def glass_blur(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Blur, replace each pixel by itself or one above or to the left of it (once or twice), and blur again.

    The original means to swap pixels, but copies them, because they are views of one array, and leaves the first rows
    and columns as they are. So does this.
    """
    sd, reach, times = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))[severity - 1]
    out = cut_to_bytes(gaussian_filter(images, (0, sd, sd, 0), mode="nearest")) / 255
    count, height, width, _ = images.shape
    for _ in range(times):
        step = rng.integers(-reach, reach, (2, count, height, width))
        step[:, :, : reach + 1] = step[..., : reach + 1] = 0
        rows, columns = np.arange(height)[:, None] + step[0], np.arange(width) + step[1]
        out = out[np.arange(count)[:, None, None], rows, columns]
    return gaussian_filter(out, (0, sd, sd, 0), mode="nearest")


def motion_blur(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Convolve with a line of Gaussian weights that starts at the pixel, at an angle of -45 to 45 degrees."""
    radius, sd = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))[severity - 1]
    return _move(images, radius, sd, rng.uniform(-45, 45, len(images)))


def zoom_blur(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Average the image and its centre, magnified by factors from 1 in steps of 0.01.

    The original has 1.06 and 1.11 too, the ends of its first two ranges, which rounding lets in.
    """
    factors = np.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1] - 1e-9, 0.01)
    return (images + sum(_magnify(images, factor) for factor in factors)) / (len(factors) + 1)


def snow(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Let flakes fall at a slant over an image that has become paler."""
    mean, sd, size, threshold, radius, blur, mix = (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    )[severity - 1]
    flakes = _magnify(rng.normal(mean, sd, images.shape[:3])[..., None], size)
    flakes = cut_to_bytes(np.where(flakes < threshold, 0, flakes).clip(0, 1)) / 255
    flakes = _move(flakes, radius, blur, rng.uniform(-135, -45, len(images)))
    pale = (images @ np.array([0.299, 0.587, 0.114]))[..., None] * 1.5 + 0.5
    return mix * images + (1 - mix) * np.maximum(images, pale) + flakes + flakes[:, ::-1, ::-1]


def frost(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Lay ice over the image: pale crystals drawn between random points, not the photographs of the original."""
    of_image, of_ice = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    count, height, width, _ = images.shape
    seeds = rng.random((count, height, width)) > 0.02  # False where a crystal starts
    edges = np.stack([distance_transform_edt(each) if not each.all() else np.ones(each.shape) for each in seeds])
    needles = 1 - edges / edges.max((1, 2), keepdims=True)
    ice = 0.6 * needles + 0.4 * _plasma(count, (height, width), 2.0, rng)
    return of_image * images + of_ice * ice[..., None] * np.array([0.85, 0.95, 1.0])


def fog(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Lay a cloud over the image, which is made darker so that its maximum stays."""
    amount, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[severity - 1]
    brightest = images.max((1, 2, 3), keepdims=True)
    cloud = _plasma(len(images), (images.shape[1], images.shape[2]), decay, rng)[..., None]
    return (images + amount * cloud) * brightest / (brightest + amount)


def spatter(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Put drops of water (severities 1 to 3) or mud (4 and 5) on the lens."""
    mean, sd, blur, threshold, amount, mud = (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    )[severity - 1]
    liquid = gaussian_filter(rng.normal(mean, sd, images.shape[:3]), (0, blur, blur), mode="nearest")
    drops = np.where(liquid < threshold, 0, liquid)
    if mud:
        share = gaussian_filter((drops > threshold).astype(float), (0, amount, amount), mode="nearest")
        share = np.where(share < 0.8, 0, share)[..., None]
        return images * (1 - share) + share * np.array([63, 42, 20]) / 255
    light = np.stack([_light(each) for each in cut_to_bytes(drops.clip(0, 1))])
    strength = (light / np.maximum(light.max((1, 2), keepdims=True), 1e-9) * amount)[..., None]
    return images + strength * np.array([175, 238, 238]) / 255


def _light(drops: NDArray[np.uint8]) -> Grey:
    """Return how bright drops (H, W) are: by depth, distance from the edges by Canny's method, and a lit side."""
    distance = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5).clip(max=20)
    even = cv2.equalizeHist(cv2.blur(distance, (3, 3)).astype(np.uint8))
    lit = cv2.filter2D(even, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    return drops.astype(np.float64) * cv2.blur(lit, (3, 3))


def elastic_transform(images: Pixels, severity: int, rng: Generator) -> Pixels:
    """Apply a random affine map and, from severity 2, a random smooth displacement."""
    strength, smoothness, affine = (
        (0.0, 0.0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    )[severity - 1]
    height, width = images.shape[1:3]
    out = np.empty_like(images)
    rows, columns = np.mgrid[:height, :width].astype(float)
    third = min(height, width) // 3
    corners = np.array([height // 2, width // 2]) + third * np.array([[1, 1], [1, -1], [-1, -1]])
    for place, image in enumerate(images):
        moved = corners + rng.uniform(-affine, affine, (3, 2)) * width
        matrix = np.linalg.solve(np.c_[moved, np.ones(3)], corners).T  # (2, 3): where each output pixel comes from
        turned = [
            affine_transform(image[..., c], matrix[:, :2], matrix[:, 2], order=1, mode="mirror") for c in range(3)
        ]
        shifts = rng.uniform(-1, 1, (2, height, width))
        down, right = (gaussian_filter(shift, smoothness * width, truncate=3) * strength * width for shift in shifts)
        where = (rows + down, columns + right)
        out[place] = np.stack([map_coordinates(channel, where, order=1, mode="reflect") for channel in turned], -1)
    return out


def _move(images: Pixels, radius: int, sd: float, degrees: NDArray[np.float64]) -> Pixels:
    """Return images (N, H, W, C) smeared along a line of 2 ``radius`` + 1 pixels from each pixel on, in whole bytes."""
    distance = np.arange(2 * radius + 1)
    weights = np.exp(-(distance**2) / (2 * sd**2))
    angle = np.deg2rad(degrees)[:, None]  # (N, 1)
    down, right = np.rint(distance * np.sin(angle)), np.rint(distance * np.cos(angle))  # (N, 2 radius + 1)
    count, height, width, _ = images.shape
    rows, columns = np.arange(height)[None, :, None], np.arange(width)[None, None, :]
    out = np.zeros_like(images)
    for step, weight in enumerate(weights / weights.sum()):
        row = (rows + down[:, step, None, None]).clip(0, height - 1).astype(int)
        column = (columns + right[:, step, None, None]).clip(0, width - 1).astype(int)
        out += weight * images[np.arange(count)[:, None, None], row, column]
    return np.rint(255 * out) / 255


def _magnify(images: Pixels, factor: float) -> Pixels:
    """Return the centre of the images, ``factor`` times as large, (N, H, W, C)."""
    height, width = images.shape[1:3]
    tall, wide = (int(np.ceil(side / factor)) for side in (height, width))
    large = _resize(_centre(images, tall, wide), round(tall * factor), round(wide * factor))
    return _centre(large, height, width)


def _centre(images: Pixels, tall: int, wide: int) -> Pixels:
    top, left = (images.shape[1] - tall) // 2, (images.shape[2] - wide) // 2
    return images[:, top : top + tall, left : left + wide]


def _resize(images: Pixels, height: int, width: int) -> Pixels:
    """Resize bilinearly to (N, height, width, C); the corners stay corners."""
    channels_first = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return interpolate(channels_first, (height, width), mode="bilinear", align_corners=True).permute(0, 2, 3, 1).numpy()


def _plasma(count: int, size: tuple[int, int], decay: float, rng: Generator) -> Grey:
    """Return fractal clouds (N, H, W) in [0, 1], by the diamond-square algorithm on a map that repeats itself.

    Halving the grid divides the deviation of its new points by ``decay`` squared, because the original draws them by
    ``wibble * uniform(-wibble, wibble)`` and divides ``wibble`` by the decay.
    """
    side = 1 << (max(size) - 1).bit_length()
    cloud, step, deviation = np.zeros((count, side, side)), side, 1.0
    while step > 1:
        half = step // 2
        corners = cloud[:, ::step, ::step]
        down, right = (corners + np.roll(corners, -1, axis) for axis in (1, 2))  # sums of neighbours
        drawn = deviation * rng.uniform(-1, 1, (3, *corners.shape))
        middles = (down + np.roll(down, -1, 2)) / 4 + drawn[0]
        cloud[:, half::step, half::step] = middles
        cloud[:, half::step, ::step] = (down + middles + np.roll(middles, 1, 2)) / 4 + drawn[1]
        cloud[:, ::step, half::step] = (right + middles + np.roll(middles, 1, 1)) / 4 + drawn[2]
        step, deviation = half, deviation / decay**2
    cloud = cloud[:, : size[0], : size[1]]
    cloud -= cloud.min((1, 2), keepdims=True)
    return cloud / cloud.max((1, 2), keepdims=True)
