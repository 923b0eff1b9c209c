"""The corruptions by hand, by other libraries, and against the published strengths."""

import colorsys
import itertools

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.robustness.blur_and_weather import defocus_blur, fog, gaussian_blur
from trainables.robustness.corruption import CORRUPT, corrupt
from trainables.robustness.noise_and_colour import shot_noise

# Where the published parameters trade one effect for another, distance need not rise: a stronger blur softens the
# shuffled pixels of glass, frost and elastic maps become weaker in one of two terms, spatter turns from water to mud.
NOT_MONOTONE = {"glass_blur", "frost", "saturate", "elastic_transform", "spatter"}
NOT_RANDOM = {
    *("defocus_blur", "gaussian_blur", "zoom_blur"),
    *("brightness", "saturate", "contrast", "pixelate", "jpeg_compression"),
}


@pytest.fixture(scope="module")
def images():
    """Return smooth oblong pictures of several scales, like photographs."""
    generator, pictures = torch.Generator().manual_seed(0), torch.zeros(12, 3, 40, 32)
    for cells in 3, 6, 12, 24:
        grid = torch.rand(12, 3, cells, cells, generator=generator)
        pictures += torch.nn.functional.interpolate(grid, (40, 32), mode="bicubic") * 3 / cells
    return (160 * pictures).clamp(0, 255).round().to(torch.uint8)


def distance(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).square().mean().sqrt())


@pytest.mark.parametrize("corruption", CORRUPT)
def test_severity_moves_the_image_away_and_the_seed_determines_it(corruption, images):
    before = images.clone()
    far = []
    for severity in range(1, 6):
        out = corrupt(images, corruption, severity)
        assert (out.dtype, out.shape) == (torch.uint8, images.shape)
        far.append(distance(out, images))
    assert torch.equal(images, before)
    assert 0.3 < far[0] <= max(far) < 128
    if corruption not in NOT_MONOTONE:
        # Two severities of motion blur differ only in the tail of their kernel, less than in their random angles.
        assert all(later > 0.98 * earlier for earlier, later in itertools.pairwise(far))
        assert far[4] > 1.3 * far[0]
    else:
        assert len({round(each, 2) for each in far}) == 5
    few = images[:2]
    torch.manual_seed(1)
    first = corrupt(few, corruption, 3, seed=0)
    torch.manual_seed(2)
    assert torch.equal(first, corrupt(few, corruption, 3, seed=0))
    assert torch.equal(first, corrupt(few, corruption, 3, seed=1)) == (corruption in NOT_RANDOM)


def constant(*colour: int) -> Tensor:
    return torch.tensor(colour, dtype=torch.uint8)[None, :, None, None].expand(1, 3, 20, 16).contiguous()


def test_pixelate_by_hand():
    image = torch.zeros(1, 3, 20, 20, dtype=torch.uint8)
    image[..., ::2] = 200
    out = corrupt(image, "pixelate", 5)
    ramp = (10 * torch.arange(20, dtype=torch.uint8)).expand(1, 3, 20, 20)
    columns = [len(corrupt(ramp, "pixelate", severity)[0, 0, 0].unique()) for severity in range(1, 6)]
    assert columns == [19, 18, 17, 15, 13]  # of 20, and back
    assert torch.equal(out[0, 0, 0], out[0, 0, 7])  # columns alone were merged
    assert out[0, 0, 0].float().mean() == pytest.approx(100, abs=8)


def cloud_point_by_point(decay: float, rng: np.random.Generator) -> np.ndarray:
    """Return the published plasma fractal of 32 x 32 points; its scale is free, for it is stretched to 0..1."""
    cloud, step, wibble = np.zeros((32, 32)), 32, 100.0
    while step >= 2:
        half, cells = step // 2, range(0, 32, step)
        middle, below, beside = wibble * wibble * rng.uniform(-1, 1, (3, 1, 32 // step, 32 // step))[:, 0]

        def mean(points: list[tuple[int, int]], cloud: np.ndarray = cloud) -> float:
            return sum(cloud[y % 32, x % 32] for y, x in points) / 4

        for y, x in itertools.product(cells, cells):
            around = [(y, x), (y + step, x), (y, x + step), (y + step, x + step)]
            cloud[y + half, x + half] = mean(around) + middle[y // step, x // step]
        for y, x in itertools.product(cells, cells):
            for (down, right), drawn in (((half, 0), below), ((0, half), beside)):
                at = y + down, x + right
                around = [(at[0] + dy, at[1] + dx) for dy, dx in ((half, 0), (-half, 0), (0, half), (0, -half))]
                cloud[at] = mean(around) + drawn[y // step, x // step]
        step, wibble = half, wibble / decay
    cloud -= cloud.min()
    return cloud / cloud.max()


@pytest.mark.parametrize(
    ("severity", "amount", "decay"), [(1, 0.2, 3), (2, 0.5, 3), (3, 0.75, 2.5), (4, 1, 2), (5, 1.5, 1.75)]
)
def test_fog_is_the_published_fractal_point_by_point(severity, amount, decay):
    image = np.random.default_rng(0).random((1, 32, 32, 3)) / 2
    cloud = cloud_point_by_point(decay, np.random.default_rng(7))[None, :, :, None]
    wanted = (image + amount * cloud) * image.max() / (image.max() + amount)
    np.testing.assert_allclose(fog(image, severity, np.random.default_rng(7)), wanted, rtol=1e-12, atol=1e-12)


# The published parameters, by severity.
NOISE = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
}
IMPULSES = (0.01, 0.02, 0.03, 0.05, 0.07)
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)
SATURATION = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))
BLUR = (0.4, 0.6, 0.7, 0.8, 1)
QUALITY = (80, 65, 58, 50, 40)
DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))


@pytest.mark.parametrize("severity", range(1, 6))
def test_every_severity_has_the_published_strength(severity):
    x = 128 / 255
    grey = constant(128, 128, 128).repeat(60, 1, 1, 1)
    for corruption, strengths in NOISE.items():
        strength = strengths[severity - 1]
        spread = {"gaussian_noise": strength, "speckle_noise": strength * x, "shot_noise": (x / strength) ** 0.5}
        noise = corrupt(grey, corruption, severity).float() / 255
        assert float(noise.mean()) == pytest.approx(x, abs=0.003)
        assert float(noise.std()) == pytest.approx(spread[corruption], rel=0.03)
    counts = NOISE["shot_noise"][severity - 1] * shot_noise(np.full(99, 0.5), severity, np.random.default_rng(0))
    assert counts == pytest.approx(counts.round())
    salted = corrupt(grey.repeat(3, 1, 1, 1), "impulse_noise", severity)
    for extreme in (0, 255):
        assert float((salted == extreme).float().mean()) == pytest.approx(IMPULSES[severity - 1] / 2, abs=0.001)
    halves = constant(100, 100, 100)
    halves[:, :, :10] = 200
    halves[:, 2] = 100  # the mean is of a channel: red's and green's are 150, blue's is 100
    contrast, half = corrupt(halves, "contrast", severity)[0, :, :, 0].float(), 50 * CONTRAST[severity - 1]
    assert contrast[:, 0].tolist() == [int(150 + half), int(150 + half), 100]  # cut off, as in the released code
    assert contrast[:, 19].tolist() == [int(150 - half), int(150 - half), 100]
    factor, added = SATURATION[severity - 1]
    for colour in ((180, 100, 140), (200, 100, 100), (250, 125, 0), (80, 80, 80), (0, 0, 0)):
        hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
        for corruption, hsv in (
            ("brightness", (hue, saturation, min(1, value + BRIGHTNESS[severity - 1]))),
            ("saturate", (hue, min(1, saturation * factor + added), value)),
        ):
            wanted = [int(255 * channel + 1e-6) for channel in colorsys.hsv_to_rgb(*hsv)]
            assert corrupt(constant(*colour), corruption, severity)[0, :, 3, 5].tolist() == wanted


@pytest.mark.parametrize("severity", range(1, 6))
def test_blurs_of_a_point_and_the_quality_of_jpeg_by_another_library(severity, images):
    for image, found in zip(images, corrupt(images, "jpeg_compression", severity), strict=True):
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY[severity - 1]]
        _, file = cv2.imencode(".jpg", image.permute(1, 2, 0).numpy()[..., ::-1], quality)
        wanted = cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1].copy()
        assert distance(found.permute(1, 2, 0), torch.from_numpy(wanted)) < 0.5
    point = np.zeros((1, 17, 17, 3))
    point[0, 8, 8] = 1
    rng = np.random.default_rng(0)
    sd = BLUR[severity - 1]
    blurred = cv2.GaussianBlur(point[0], (2 * round(4 * sd) + 1,) * 2, sd)
    np.testing.assert_allclose(gaussian_blur(point, severity, rng)[0], blurred, atol=1e-4)
    radius, alias = DEFOCUS[severity - 1]
    at = np.arange(-8, 9)
    disk = ((at[:, None] ** 2 + at**2) <= radius**2).astype(float)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (3, 3), alias)
    np.testing.assert_allclose(defocus_blur(point, severity, rng)[0, :, :, 0], kernel, atol=1e-6)


def test_noise_stops_at_black_and_at_white():
    for corruption in NOISE:
        red, green, _ = corrupt(constant(255, 0, 128).repeat(4, 1, 1, 1), corruption, 5).unbind(1)
        assert red.min() > 25, corruption  # five standard deviations of the strongest are 255
        assert green.max() < 230, corruption
        assert (red == 255).float().mean() > 0.4, corruption


def test_blurs_and_fewer_pixels_leave_a_constant_image():
    for corruption in ("gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "glass_blur", "pixelate"):
        assert torch.equal(corrupt(constant(9, 90, 200), corruption, 5), constant(9, 90, 200)), corruption


def test_images_of_another_kind_are_refused(images):
    for wrong in (images.float(), images[0], images[:, :1], images[:, :, :15], images[..., :15]):
        with pytest.raises(ValueError, match="need uint8 images"):
            corrupt(wrong, "fog", 1)
