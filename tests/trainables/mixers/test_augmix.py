"""AugMix: mixtures of an image with its own chains of operations, which give the same as Pillow's."""

import importlib

import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tests.trainables.pillow import as_pillow, as_tensor, photographs
from trainables.mixers.augmix import OPERATIONS, affine, apply_one_each, augmix, moves, rotation

module = importlib.import_module("trainables.mixers.augmix")  # the package's attribute is the function

B, H, W = 6, 16, 12


def pixels() -> Tensor:
    return torch.randint(256, (B, 3, 16, 12), generator=torch.Generator().manual_seed(5)) / 255


def mix(seed: int = 0, images: Tensor | None = None, **options: object) -> Tensor:
    images = pixels() if images is None else images
    return augmix(images, torch.Generator().manual_seed(seed), **options).images


def test_every_image_changes_and_the_label_stays():
    mixed = augmix(pixels(), torch.Generator().manual_seed(0))
    assert mixed.sources.tolist() == [[row] for row in range(B)]
    assert mixed.weights.tolist() == [[1.0]] * B
    assert (mixed.images != pixels()).flatten(1).any(dim=1).all()


def test_the_mixture_is_the_papers(monkeypatch):
    """Every operation adds 1/255 to a pixel, so that the sum is m times the mean length of the chains."""
    monkeypatch.setattr(module, "apply_one_each", lambda chains, rng, severity: chains + 1)
    images = torch.full((400, 1, 2, 3), 0.2)
    added = (mix(images=images) - images)[:, 0, 0, 0] * 255
    assert added.min() > 0
    assert added.max() < 3
    assert added.mean().item() == pytest.approx(0.5 * 2, abs=0.1)  # E[m] = 1/2, a chain is of 1, 2 or 3 operations
    assert added.unique().numel() > 390


def test_severity_is_how_far_it_goes():
    change = [sum((mix(s, severity=v) - pixels()).abs().mean() for s in range(4)) for v in (0.1, 10.0)]
    assert change[1] > 1.3 * change[0]


def test_strengths_are_uniform_from_a_tenth_to_the_severity_in_both_directions(monkeypatch):
    drawn = []

    def kept(number, signed, height, width):
        drawn.append(signed)
        return moves(number, signed, height, width)

    monkeypatch.setattr(module, "moves", kept)
    apply_one_each(torch.zeros(4000, 1, 2, 3), torch.Generator().manual_seed(0), severity=3.0)
    strength = 10 * drawn[0].abs()
    assert (strength.min().item(), strength.max().item()) == pytest.approx((0.1, 3.0), abs=0.01)
    assert strength.mean().item() == pytest.approx(1.55, abs=0.06)
    assert (drawn[0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_rotation():
    images = photographs()
    for degrees in (-8, -3, 0, 1, 5, 8, 29):
        matrix = rotation(torch.full((8,), float(degrees)), H, W)
        wanted = torch.stack([as_tensor(as_pillow(i).rotate(degrees, Image.Resampling.BILINEAR)) for i in images])
        compare(affine(images, matrix), wanted, images, moved=degrees != 0)


@pytest.mark.parametrize(
    "matrix",
    [(1, 0.09, 0, 0, 1, 0), (1, -0.05, 0, 0, 1, 0), (1, 0, 0, -0.09, 1, 0), (1, 0, 3, 0, 1, 0), (1, 0, 0, 0, 1, -2)],
)
def test_shear_and_translation(matrix):
    images = photographs()
    wanted = torch.stack(
        [
            as_tensor(as_pillow(i).transform((W, H), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))
            for i in images
        ]
    )
    compare(affine(images, torch.tensor(matrix, dtype=torch.float32).view(1, 2, 3).repeat(8, 1, 1)), wanted, images)


def compare(found: Tensor, wanted: Tensor, images: Tensor, moved: bool = True) -> None:
    """Check equality with Pillow up to a value of 1 in few positions, where a rounding falls the other way."""
    difference = (found - wanted).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.02
    assert torch.equal(wanted, images) is not moved


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


def test_posterize_and_solarize_are_pillows_with_the_strength_of_augmix(monkeypatch):
    drawn = []

    def kept(number, signed, height, width):
        drawn.extend(zip(number.tolist(), signed.abs().tolist(), strict=True))
        return moves(number, signed, height, width)

    monkeypatch.setattr(module, "moves", kept)
    ramp = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    found = apply_one_each(ramp.repeat(300, 1, 1, 1), torch.Generator().manual_seed(0), severity=10.0)
    one, tested = as_pillow(ramp[0]), 0
    for (number, level), result in zip(drawn, found, strict=True):
        if OPERATIONS[number] == "posterize":
            wanted = ImageOps.posterize(one, 4 - int(level * 4))
        elif OPERATIONS[number] == "solarize":
            wanted = ImageOps.solarize(one, 256 - int(level * 256))
        else:
            continue
        assert torch.equal(result, as_tensor(wanted))
        tested += 1
    assert tested > 40


def test_each_row_gets_one_operation_of_its_own_and_all_are_drawn():
    """Each operation changes about a ninth of the rows, by a strength in the range of AugMix."""
    image = photographs(8, 32, 32)[6]
    images = image.repeat(200, 1, 1, 1)
    results = apply_one_each(images, torch.Generator().manual_seed(0), severity=3.0)
    assert (images == image).all()
    one = as_pillow(image)
    expected = {
        "autocontrast": [as_tensor(ImageOps.autocontrast(one))],
        "equalize": [as_tensor(ImageOps.equalize(one))],
        "posterize": [as_tensor(ImageOps.posterize(one, bits)) for bits in (3, 4)],
        "solarize": [as_tensor(ImageOps.solarize(one, t)) for t in range(180, 257)],
        "rotate": [as_tensor(one.rotate(d, Image.Resampling.BILINEAR)) for d in range(-8, 9)],
    }
    changed = (results - image).abs().amax(dim=(1, 2, 3)) > 1
    for kind, candidates in expected.items():
        like = torch.stack([(results - candidate).abs().amax(dim=(1, 2, 3)) <= 1 for candidate in candidates])
        assert 10 <= (changed & like.any(dim=0)).sum() <= 40, kind
