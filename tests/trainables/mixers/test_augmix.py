"""AugMix: mixtures of an image with its own chains of operations, which give the same as Pillow's."""

import importlib
from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from tests.trainables.pillow import as_pillow, as_tensor, photographs
from tests.trainables.seeded import seeded
from trainables.augment.colour import QUALITIES
from trainables.mixers.augmix import OPERATIONS, affine, apply_one_each, augmix, blend_one_each, moves, rotation
from trainables.mixers.mixed import beta, dirichlet

module = importlib.import_module("trainables.mixers.augmix")  # the package's attribute is the function

H, W = 16, 12


def test_the_mixture_is_the_papers(monkeypatch):
    """Every operation adds 1/255 to a pixel, so that the sum is m times the mean length of the chains."""
    monkeypatch.setattr(module, "apply_one_each", lambda chains, *others: chains + 1)
    images = torch.full((400, 1, 2, 3), 0.2)
    mixed = augmix(images, torch.Generator().manual_seed(0))
    assert torch.equal(mixed.sources, torch.arange(400)[:, None])
    assert torch.equal(mixed.weights, torch.ones(400, 1))  # the label stays
    added = (mixed.images - images)[:, 0, 0, 0] * 255
    assert added.min() > 0
    assert added.max() < 3
    assert added.mean().item() == pytest.approx(0.5 * 2, abs=0.1)  # E[m] = 1/2, a chain is of 1, 2 or 3 operations
    assert added.unique().numel() > 390
    monkeypatch.setattr(module, "apply_one_each", lambda chains, *others: chains)
    between = torch.full((1, 1, 2, 3), 51.6 / 255)
    assert (augmix(between, torch.Generator().manual_seed(0)).images > between).all()  # the nearest byte is above


@pytest.fixture
def drawn(monkeypatch):
    """Return the numbers of the operations and their signed strengths, a pair for each batch."""
    batches = []

    def kept(number, signed, height, width):
        batches.append((number, signed))
        return moves(number, signed, height, width)

    monkeypatch.setattr(module, "moves", kept)
    return batches


def test_strengths_are_uniform_from_a_tenth_to_the_severity_in_both_directions(drawn):
    apply_one_each(torch.zeros(4000, 1, 2, 3), torch.zeros(4000), torch.Generator().manual_seed(0), severity=3.0)
    ((_, signed),) = drawn
    strength = 10 * signed.abs()
    assert (strength.min().item(), strength.max().item()) == pytest.approx((0.1, 3.0), abs=0.01)
    assert strength.mean().item() == pytest.approx(1.55, abs=0.06)
    assert (signed < 0).float().mean().item() == pytest.approx(0.5, abs=0.04)


def require_pillows(move: Callable[[Image.Image], Image.Image], matrix: Tensor, moved: bool = True) -> None:
    """Check equality with Pillow up to a value of 1 in few positions, where a rounding falls the other way."""
    images = photographs()
    wanted = torch.stack([as_tensor(move(as_pillow(image))) for image in images])
    difference = (affine(images, matrix.expand(8, 2, 3)) - wanted).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.02
    assert torch.equal(wanted, images) is not moved


@pytest.mark.parametrize("degrees", [-8, -3, 0, 1, 5, 8, 29])
def test_rotation_is_pillow_s(degrees):
    matrix = rotation(torch.tensor([float(degrees)]), H, W)
    require_pillows(lambda image: image.rotate(degrees, Image.Resampling.BILINEAR), matrix, moved=degrees != 0)


@pytest.mark.parametrize(
    "matrix",
    [(1, 0.09, 0, 0, 1, 0), (1, -0.05, 0, 0, 1, 0), (1, 0, 0, -0.09, 1, 0), (1, 0, 3, 0, 1, 0), (1, 0, 0, 0, 1, -2)],
)
def test_shear_and_translation_are_pillow_s(matrix):
    how = (W, H), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    require_pillows(lambda image: image.transform(*how), torch.tensor(matrix).float().view(1, 2, 3))


def test_the_operation_of_a_row_is_pillows_with_the_strength_of_augmix():
    """The strengths are those of the official code: whole degrees and pixels, and the directions of x and y."""
    name = {name: number for number, name in enumerate(OPERATIONS)}
    drawn = torch.tensor([name[n] for n in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y", "equalize")])
    signed = torch.tensor([-0.99, 0.2, -0.1, 0.3, -0.2, 0.3])
    wanted = torch.eye(2, 3).repeat(6, 1, 1)
    wanted[0] = rotation(torch.tensor([-29.0]), H, W)[0]  # int(0.99 * 30)
    wanted[1, 0, 1], wanted[2, 1, 0] = 0.06, -0.03
    wanted[3, 0, 2], wanted[4, 1, 2] = 1.0, -1.0  # int(0.3 * 12 / 3), int(0.2 * 16 / 3)
    torch.testing.assert_close(moves(drawn, signed, H, W), wanted)


def test_each_row_gets_one_operation_of_pillows(drawn):
    image = photographs(8, 32, 32)[6]
    images = image.repeat(90, 1, 1, 1)
    found = apply_one_each(images, torch.arange(90) % 9, torch.Generator().manual_seed(0), severity=10.0)
    assert (images == image).all()
    one, ((numbers, signed),) = as_pillow(image), drawn
    by_pillow = {
        "autocontrast": lambda level: ImageOps.autocontrast(one),
        "equalize": lambda level: ImageOps.equalize(one),
        "posterize": lambda level: ImageOps.posterize(one, 4 - int(level * 4)),
        "solarize": lambda level: ImageOps.solarize(one, 256 - int(level * 256)),
    }
    moved = affine(images, moves(numbers, signed, 32, 32))
    for row, (number, level) in enumerate(zip(numbers.tolist(), signed.abs().tolist(), strict=True)):
        name = OPERATIONS[number]
        wanted = as_tensor(by_pillow[name](level)) if name in by_pillow else moved[row]
        assert torch.equal(found[row], wanted), name


def test_all_operations_are_drawn_as_often_and_by_each_row_for_itself(drawn):
    augmix(torch.rand(300, 3, 2, 3), torch.Generator().manual_seed(0), width=1, depth=1)
    ((numbers, _),) = drawn
    counts = numbers.bincount(minlength=len(OPERATIONS))
    assert len(counts) == len(OPERATIONS)
    assert 18 < counts.min() <= counts.max() < 50  # about a ninth of the rows each


# OpenMixup's operations in its order, at the least strength, where they differ from the identity in values alone.
OF_OPENMIXUP = {
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "posterize": lambda image: ImageOps.posterize(image, 4),
    "solarize": lambda image: ImageOps.solarize(image, 254),
    **dict.fromkeys(("rotate", "translate_x", "translate_y"), lambda image: image),
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(0.118),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.118),
    "color": lambda image: ImageEnhance.Color(image).enhance(0.118),
    "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(0.118),
}


def test_legacy_draws_once_for_all_rows_and_cuts_normalised_images_to_bytes():
    """The mixture, draw by draw: its shares, m, lengths of chains, then the operation of each."""
    images = 2 * photographs() / 255 - 0.5
    cut = [as_pillow(image) for image in images.mul(255).floor().clamp(0, 255)]
    names, seen = (*OPERATIONS, *QUALITIES), set()
    for seed in range(40):
        rng = torch.Generator().manual_seed(seed)
        shares, m = dirichlet(1.0, (1, 2), rng)[0], beta(1.0, 1, rng)
        torch.randint(1, 2, (2,), generator=rng)
        drawn = [names[number] for number in torch.randint(13, (2,), generator=rng)]
        if drawn[0] in OF_OPENMIXUP and drawn[1] in OF_OPENMIXUP:
            seen.update(drawn)
            chains = [torch.stack([as_tensor(OF_OPENMIXUP[name](image)) for image in cut]) / 255 for name in drawn]
            wanted = (1 - m) * images + m * (shares[0] * chains[0] + shares[1] * chains[1])
            rng = torch.Generator().manual_seed(seed)
            found = augmix(images, rng, severity=0.1, width=2, depth=1, legacy=True).images
            torch.testing.assert_close(found, wanted, rtol=0, atol=1.01 / 255, msg=str(drawn))
    assert seen == set(OF_OPENMIXUP)


def test_a_network_in_half_precision_leaves_the_mixture_as_it_is():
    """Sharpness is changed by a convolution."""
    images = torch.rand(40, 3, 8, 8, generator=seeded())
    mixtures = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            mixtures.append(augmix(images, seeded(4), width=4, legacy=True).images)
    assert torch.equal(*mixtures)


def test_the_share_of_a_quality_that_is_left_grows_with_the_strength():
    white, brightness = torch.full((4000, 3, 3, 3), 255.0), torch.zeros(4000)
    found = blend_one_each(white, brightness, torch.Generator().manual_seed(0), severity=1.0)
    assert (found.min().item(), found.max().item()) == (int(255 * 0.118), int(255 * 0.28))  # as in Pillow, cut down
