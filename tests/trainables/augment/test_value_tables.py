"""Every table gives the same as Pillow, on bytes like those of photographs."""

import pytest
import torch
from PIL import ImageOps

from tests.trainables.pillow import as_pillow, as_tensor, photographs
from trainables.augment.value_tables import autocontrast, counted, equalize, posterize, replaced, solarize

ALL = torch.tensor([True])


@pytest.mark.parametrize(("height", "width"), [(16, 12), (32, 32), (15, 17), (64, 48)])
@pytest.mark.parametrize(("table", "pillows"), [(autocontrast, ImageOps.autocontrast), (equalize, ImageOps.equalize)])
def test_autocontrast_and_equalize(table, pillows, height, width):
    images = photographs(8, height, width)
    wanted = torch.stack([as_tensor(pillows(as_pillow(i))) for i in images])
    assert torch.equal(replaced(images, [(ALL, table(counted(images)))]), wanted)
    few = height * width < 256  # fewer pixels than values: Pillow lets them be
    assert torch.equal(wanted, images) is (few and table is equalize)


def test_posterize_and_solarize():
    images = photographs()
    bits = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8])
    posterized = [as_tensor(ImageOps.posterize(as_pillow(i), int(b))) for i, b in zip(images, bits, strict=True)]
    assert torch.equal(replaced(images, [(ALL, posterize(bits))]), torch.stack(posterized))
    thresholds = torch.tensor([256, 255, 230, 180, 128, 64, 1, 0])
    solarized = [as_tensor(ImageOps.solarize(as_pillow(i), int(t))) for i, t in zip(images, thresholds, strict=True)]
    assert torch.equal(replaced(images, [(ALL, solarize(thresholds))]), torch.stack(solarized))
