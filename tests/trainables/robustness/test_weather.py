"""Blurs and weather have the severities that are published with CIFAR-10-C, and do by hand what they say."""

import itertools

import cv2
import numpy as np
import pytest
from scipy.ndimage import zoom

from trainables.robustness import blur_and_weather
from trainables.robustness.blur_and_weather import (
    elastic_transform,
    frost,
    glass_blur,
    motion_blur,
    snow,
    spatter,
    zoom_blur,
)


class Constant:
    """A generator whose numbers are all ``score`` deviations above their mean, or as far from the middle of a range."""

    def __init__(self, score: float = 0.0) -> None:
        self.score = score

    def normal(self, mean, sd, shape):
        return np.full(shape, mean + self.score * sd)

    def uniform(self, low, high, shape):
        return np.full(shape, (low + high + self.score * (high - low)) / 2)

    def integers(self, low, high, shape):
        return np.full(shape, low)


def line(radius: int, sd: float) -> np.ndarray:
    """Return the weights of a motion, from its start on."""
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sd**2))
    return weights / weights.sum()


@pytest.mark.parametrize(("severity", "radius", "sd"), [(1, 6, 1), (2, 6, 1.5), (3, 6, 2), (4, 8, 2), (5, 9, 2.5)])
def test_motion_of_a_point_is_a_line_that_starts_at_each_pixel(severity, radius, sd):
    point = np.zeros((1, 5, 30, 1))
    point[0, 2, 25] = 1
    weights = line(radius, sd)
    wanted = np.zeros(30)
    wanted[25 - np.arange(len(weights))] = weights  # a pixel sees what lies ahead of it
    wanted = np.rint(255 * wanted) / 255
    moved = motion_blur(point, severity, Constant())  # at no angle
    np.testing.assert_allclose(moved[0, 2, :, 0], wanted, atol=1e-12)
    assert moved.sum() == pytest.approx(wanted.sum())
    slanted = motion_blur(point, severity, Constant(1.0))  # at the greatest angle, of 45 degrees
    assert np.argwhere(slanted[0, :, :, 0]).tolist() == [[0, 23], [1, 24], [2, 25]]


@pytest.mark.parametrize(
    ("severity", "mean", "sd", "size", "threshold", "radius", "blur", "share"),
    [
        (1, 0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (2, 0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (3, 0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (4, 0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (5, 0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ],
)
def test_snow_is_pale_and_has_flakes_above_a_threshold_that_fall_both_ways(
    severity, mean, sd, size, threshold, radius, blur, share, monkeypatch
):
    colour = np.array([0.2, 0.4, 0.8])
    image = np.broadcast_to(colour, (1, 80, 80, 3))
    grey = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8
    pale = share * colour + (1 - share) * (grey * 1.5 + 0.5)
    for flake in (threshold - 0.005, threshold + 0.005):
        wanted = pale + 2 * int(255 * flake) / 255 * (flake > threshold)
        found = snow(image, severity, Constant((flake - mean) / sd))
        np.testing.assert_allclose(found, np.broadcast_to(wanted, image.shape))
    flakes = np.zeros((1, 80, 80))
    flakes[0, 35:39, 30:34] = 1
    monkeypatch.setattr(Constant, "normal", lambda *_: flakes)
    large = blur_and_weather._magnify(flakes[..., None], size)[0, :, :, 0]
    large[large < threshold] = 0
    large = np.floor(255 * large)
    fallen = sum(weight * np.roll(large, step, 0) for step, weight in enumerate(line(radius, blur)))
    fallen = np.rint(fallen) / 255
    found = snow(image, severity, Constant())  # straight down
    np.testing.assert_allclose(found[0, :, :, 1] - pale[1], fallen + fallen[::-1, ::-1], atol=1e-12)


@pytest.fixture
def blurs(monkeypatch):
    """Return the widths of the Gaussians that are asked for, none of which blurs."""
    asked = []
    monkeypatch.setattr(blur_and_weather, "gaussian_filter", lambda image, sd, **_: asked.append(sd) or image)
    return asked


# Mean, deviation and threshold of the liquid, how much light a drop adds, and how wide the blurs are, by severity.
@pytest.mark.parametrize(
    ("severity", "mean", "sd", "threshold", "light", "widths"),
    [
        (1, 0.62, 0.1, 0.7, 0.5, [0.7]),
        (2, 0.65, 0.1, 0.7, 0.5, [0.8]),
        (3, 0.65, 0.3, 0.69, 0.5, [1]),
        (4, 0.65, 0.1, 0.69, 0, [0.7, 0.6]),
        (5, 0.65, 0.1, 0.68, 0, [0.5, 0.6]),
    ],
)
def test_spatter_is_water_that_lights_up_or_mud_that_covers(severity, mean, sd, threshold, light, widths, blurs):
    image = np.full((1, 16, 16, 3), 0.2)
    dry, wet = (spatter(image, severity, Constant((threshold + more - mean) / sd)) for more in (-0.005, 0.005))
    assert blurs == [(0, width, width) for width in widths] * 2
    np.testing.assert_allclose(dry, image)
    colour = np.array([175, 238, 238]) / 255 * light + 0.2 if light else np.array([63, 42, 20]) / 255
    np.testing.assert_allclose(wet, np.broadcast_to(colour, image.shape))


# Mean and deviation of the greens that the released code makes of grey 102 and of the same random numbers.
@pytest.mark.parametrize(
    ("severity", "mean", "sd"),
    [
        (1, 103.1217, 9.1756),
        (2, 105.1655, 14.1584),
        (3, 108.6895, 18.7722),
        (4, 100.1474, 9.5854),
        (5, 97.6943, 14.152),
    ],
)
def test_spatter_is_that_of_the_released_code(severity, mean, sd):
    drops = 255 * spatter(np.full((1, 32, 32, 3), 102 / 255), severity, np.random.default_rng(3)).clip(0, 1)
    assert (drops[..., 1].mean(), drops[..., 1].std()) == pytest.approx((mean, sd), abs=1e-4)


@pytest.mark.parametrize(
    ("severity", "of_image", "of_ice"), [(1, 1, 0.2), (2, 1, 0.3), (3, 0.9, 0.4), (4, 0.85, 0.4), (5, 0.75, 0.45)]
)
def test_frost_covers_the_image_by_the_published_shares(severity, of_image, of_ice):
    black, white = np.zeros((2, 1, 24, 16, 3))[0], np.ones((1, 24, 16, 3))
    ice, iced = (frost(image, severity, np.random.default_rng(3)) for image in (black, white))
    np.testing.assert_allclose(iced - ice, of_image)
    least = frost(black, 1, np.random.default_rng(3)) / 0.2  # the same crystals
    np.testing.assert_allclose(ice, of_ice * least)
    assert 0.5 < least.max() <= 1


# How far the smooth displacement moves, how smooth it is, and how far the affine map moves, in widths of the image.
@pytest.mark.parametrize(
    ("severity", "strength", "smoothness", "affine"),
    [(1, 0, 0, 0.08), (2, 0.05, 0.2, 0.07), (3, 0.08, 0.06, 0.06), (4, 0.1, 0.04, 0.05), (5, 0.1, 0.03, 0.03)],
)
def test_elastic_maps_move_as_far_as_is_published(severity, strength, smoothness, affine, blurs):
    """Where all numbers are the greatest of their range, both maps are shifts, in opposite directions."""
    ramp = np.broadcast_to(np.linspace(0, 1, 40)[None, :, None, None], (1, 40, 32, 3))
    moved = elastic_transform(ramp, severity, Constant(1.0))
    assert blurs == [32 * smoothness] * 2
    np.testing.assert_allclose((moved - ramp)[0, 8:-8], 32 * (strength - affine) / 39, atol=1e-9)


@pytest.mark.parametrize(
    ("severity", "sd", "times"), [(1, 0.05, 1), (2, 0.25, 1), (3, 0.4, 1), (4, 0.25, 2), (5, 0.4, 2)]
)
def test_glass_shifts_once_or_twice_between_two_blurs_and_zooms_go_by_hundredths(severity, sd, times, monkeypatch):
    point = np.zeros((1, 17, 17, 3))
    point[0, 8, 8] = 1
    blurred = cv2.GaussianBlur(np.floor(255 * cv2.GaussianBlur(point[0], (9, 9), sd)) / 255, (9, 9), sd)
    wanted = np.roll(blurred, (times, times), (0, 1))  # each pixel takes the next one's place
    np.testing.assert_allclose(glass_blur(point, severity, Constant())[0], wanted, atol=1e-4)
    factors = []
    monkeypatch.setattr(blur_and_weather, "_magnify", lambda images, factor: factors.append(factor) or 0 * images)
    count = 1 + 5 * severity
    np.testing.assert_allclose(zoom_blur(point, severity, Constant()), point / (count + 1))
    assert factors == pytest.approx([1 + step / 100 for step in range(count)])


@pytest.mark.parametrize(("severity", "times"), [(3, 1), (5, 2)])
def test_glass_copies_pixels_in_the_published_order(severity, times, blurs):
    image, rng = np.random.default_rng(0).integers(0, 256, (1, 20, 16, 3)) / 255, np.random.default_rng(1)
    wanted = image[0].copy()
    for _ in range(times):
        down, right = rng.integers(-1, 1, (2, 20, 16))
        for y, x in itertools.product(range(19, 1, -1), range(15, 1, -1)):
            wanted[y, x] = wanted[y + down[y, x], x + right[y, x]]
    np.testing.assert_array_equal(glass_blur(image, severity, np.random.default_rng(1))[0], wanted)


@pytest.mark.parametrize("factor", [1, 1.04, 1.05, 1.12, 1.25, 1.75, 2.25])
def test_a_magnified_centre_is_the_published_one(factor):
    image = np.random.default_rng(0).random((1, 32, 32, 3))
    side = int(np.ceil(32 / factor))
    first = (32 - side) // 2
    large = zoom(image[0, first : first + side, first : first + side], (factor, factor, 1), order=1)
    first = (len(large) - 32) // 2
    wanted = large[first : first + 32, first : first + 32]
    np.testing.assert_allclose(blur_and_weather._magnify(image, factor)[0], wanted, atol=1e-12)
