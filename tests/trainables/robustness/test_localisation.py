"""Maps of evidence, the boxes of what is above a threshold, and MaxBoxAccV2, by hand and by another library."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from trainables.config import parse
from trainables.methods import build_network
from trainables.robustness.localisation import (
    OVERLAPS,
    accuracies,
    as_shown,
    boxes_above,
    class_activation_maps,
    overlaps,
    resized,
)


def square(side=100, box=(20, 30, 59, 79), inside=255):
    """Return a map that is ``inside`` in a box, whose last pixels are its own, and 0 elsewhere."""
    shown = np.zeros((side, side), np.uint8)
    left, top, right, bottom = box
    shown[top : bottom + 1, left : right + 1] = inside
    return shown


def test_the_mean_of_a_map_is_the_logit_without_its_bias():
    images, classes = torch.rand(5, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 3, 9, 1, 3])
    network = build_network(parse({"dataset": "cifar10", "backbone": "resnet8"}), seed=1).double().eval()
    maps = class_activation_maps(network, images, classes)
    assert maps.shape == (5, 8, 8)
    logits = network(images) - network.backbone.head.bias
    torch.testing.assert_close(maps.mean(dim=(1, 2)), logits.gather(1, classes[:, None])[:, 0])
    network.backbone.neck = nn.Dropout(0.2)  # as MobileNetV2 has it: it does nothing in evaluation mode
    assert torch.equal(class_activation_maps(network.eval(), images, classes), maps)
    reads_a_token = build_network(parse({"dataset": "cifar100", "backbone": "vit_tiny_32"}))
    reads_a_token.backbone.neck = nn.Identity()
    network.backbone.neck = nn.LayerNorm(64)
    for other in (reads_a_token, network):
        with pytest.raises(ValueError, match="needs a head that reads the mean of the last map, unlike"):
            class_activation_maps(other, images, classes)


def test_the_boxes_are_those_of_every_blob_and_of_every_hole():
    rng = np.random.default_rng(0)
    for _ in range(20):
        shown = (255 * ndimage.gaussian_filter(rng.random((60, 50)), 1.5)).astype(np.uint8)
        level = int(np.median(shown))
        above = np.pad(shown > level, 1)
        blobs = ndimage.find_objects(ndimage.label(above, np.ones((3, 3)))[0])
        around = ndimage.label(~above)[0]  # holes; number 1 is the outside
        holes = [piece for number, piece in enumerate(ndimage.find_objects(around), 1) if number != around[0, 0]]
        wanted = {(x.start - 1, y.start - 1, min(x.stop - 1, 49), min(y.stop - 1, 59)) for y, x in blobs}
        # A hole's contour runs on the pixels that enclose it.
        wanted |= {(x.start - 2, y.start - 2, min(x.stop, 49), min(y.stop, 59)) for y, x in holes}
        assert {tuple(box) for box in boxes_above(shown, level).astype(int).tolist()} == wanted


def test_an_overlap_counted_by_hand():
    # The box of the map ends one pixel after its last: 20..60 x 30..80, 41 x 51 pixels.
    true, half, elsewhere = np.array([[20, 30, 60, 80], [20, 30, 40, 54], [90, 90, 99, 99]], np.float64)[:, None]
    assert overlaps(square(), true)[1:].tolist() == [1.0] * 999
    assert overlaps(square(), half)[1] == pytest.approx(21 * 25 / (41 * 51))  # 21 x 25 pixels, all of them in the box
    assert overlaps(square(), elsewhere).max() == 0
    assert overlaps(square(), np.concatenate((elsewhere, true)))[1] == 1.0


def test_each_overlap_has_its_own_best_threshold():
    """A core in a halo: the halo fits one image, the core two others."""
    shown = np.maximum(square(inside=100), square(box=(30, 40, 49, 69), inside=250))
    halo = overlaps(shown, np.array([[20, 30, 60, 80]], np.float64))
    core = overlaps(shown, np.array([[30, 40, 50, 70]], np.float64))  # 21 x 31 of the halo's 41 x 51
    core_in_halo = 21 * 31 / (41 * 51)
    assert 0.3 < core_in_halo < 0.5
    assert accuracies([halo, core, core]) == [100.0, pytest.approx(200 / 3), pytest.approx(200 / 3)]
    assert accuracies([np.full(1000, 0.5)]) == [100.0, 100.0, 0.0]
    assert [f"{overlap:g}" for overlap in OVERLAPS] == ["0.3", "0.5", "0.7"]


@pytest.mark.filterwarnings("error")  # NumPy's, of a division by zero
def test_a_map_is_scaled_to_its_own_range_and_an_even_one_has_one_box():
    shown = as_shown(np.array([[-3.0, -3.0], [-3.0, 5.0]], np.float32), 8)
    assert (shown.min(), shown.max(), shown[7, 7]) == (0, 255, 255)
    assert as_shown(np.array([[-1.0, 0.0], [1.0, 3.0]], np.float32), 2).tolist() == [[0, 63], [127, 255]]
    bicubic = as_shown(np.array([[0.0, 0.0, 1.0, 1.0]], np.float32), 8)  # from -0.1055 to 1.1055
    assert bicubic[0].tolist() == [22, 14, 0, 69, 185, 255, 240, 232]
    even = as_shown(np.full((2, 2), 7.0, np.float32), 8)
    assert even.max() == 0
    assert boxes_above(even, 0).tolist() == [[0, 0, 0, 0]]
    assert resized((50, 30, 150, 90), (200, 120), 100) == [25, 25, 75, 75]  # a box is squeezed with its image
