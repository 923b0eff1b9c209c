"""Moves give the same as Pillow, on bytes like those of photographs, and each row of AugMix gets its operation."""

import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tests.trainables.pillow import as_pillow, as_tensor, photographs
from trainables.mixers.augmix import OPERATIONS, affine, apply_one_each, moves, rotation

H, W = 16, 12


def test_rotation() -> None:
    images = photographs()
    for degrees in (-8, -3, 0, 1, 5, 8, 29):
        matrix = rotation(torch.full((8,), float(degrees)), H, W)
        wanted = torch.stack([as_tensor(as_pillow(i).rotate(degrees, Image.Resampling.BILINEAR)) for i in images])
        compare(affine(images, matrix), wanted, images, moved=degrees != 0)


@pytest.mark.parametrize(
    "matrix",
    [(1, 0.09, 0, 0, 1, 0), (1, -0.05, 0, 0, 1, 0), (1, 0, 0, -0.09, 1, 0), (1, 0, 3, 0, 1, 0), (1, 0, 0, 0, 1, -2)],
)
def test_shear_and_translation(matrix: tuple[float, ...]) -> None:
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


def test_the_operation_of_a_row_is_pillows_with_the_strength_of_augmix() -> None:
    """The strengths are those of the official code: whole degrees and pixels, and the directions of x and y."""
    name = {name: number for number, name in enumerate(OPERATIONS)}
    drawn = torch.tensor([name[n] for n in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y", "equalize")])
    signed = torch.tensor([-0.29, 0.2, -0.1, 0.3, -0.2, 0.3])
    wanted = torch.eye(2, 3).repeat(6, 1, 1)
    wanted[0] = rotation(torch.tensor([-8.0]), H, W)[0]  # int(0.29 * 30)
    wanted[1, 0, 1], wanted[2, 1, 0] = 0.06, -0.03
    wanted[3, 0, 2], wanted[4, 1, 2] = 1.0, -1.0  # int(0.3 * 12 / 3), int(0.2 * 16 / 3)
    torch.testing.assert_close(moves(drawn, signed, H, W), wanted)


def test_each_row_gets_one_operation_of_its_own_and_all_are_drawn() -> None:
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
    counts = dict.fromkeys(expected, 0)
    for result in results:
        for kind, candidates in expected.items():
            changed = (result - image).abs().max() > 1
            counts[kind] += bool(changed and any((result - c).abs().max() <= 1 for c in candidates))
    assert all(10 <= count <= 40 for count in counts.values()), counts
