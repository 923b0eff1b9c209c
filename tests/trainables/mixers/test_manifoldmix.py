"""Manifold Mixup: the layer at which it mixes, the lambda, and the pass from there on."""

import itertools

import pytest
import torch
from torch import Tensor

from tests.trainables.methods.small import B, method_for, pixels
from trainables.backbones.backbone import Network
from trainables.mixers.choice import choose
from trainables.mixers.manifoldmix import manifoldmix
from trainables.mixers.mixed import Mixed

DEPTHS = {0: 0, 1: 2, 2: 3, 3: 4}  # layer: stages of resnet8, which has a stem and 3 residual stages


@pytest.fixture(scope="module")
def network():
    return method_for("none").network.double().eval()


def mix(network: Network, seed: int, images: Tensor | None = None, **options: object) -> Mixed:
    images = pixels(dtype=torch.float64) if images is None else images
    rng = torch.Generator().manual_seed(seed)
    return manifoldmix(images, rng, encode=network.encode, num_stages=4, **options)


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_the_maps_of_a_layer_are_mixed_row_by_row(network, layer):
    mixed = mix(network, 0, layers=(layer,))
    maps = network.encode(pixels(dtype=torch.float64), DEPTHS[layer])
    assert mixed.depth == DEPTHS[layer]
    assert mixed.weights[:, 0].unique().numel() == B
    for row in range(B):
        own, partner = (maps[mixed.sources[row, k]] for k in (0, 1))
        assert mixed.sources[row, 0] == row
        lam = mixed.weights[row, 0].double()
        torch.testing.assert_close(mixed.images[row], lam * own + (1 - lam) * partner)


def test_choose_is_uniform_repeats_with_the_seed_and_moves_the_generator():
    rng = torch.Generator().manual_seed(1)
    drawn = [choose("abc", rng) for _ in range(600)]
    again = torch.Generator().manual_seed(1)
    assert drawn == [choose("abc", again) for _ in range(600)]
    assert all(160 < drawn.count(letter) < 240 for letter in "abc")
    follows = sum(a == b for a, b in itertools.pairwise(drawn))
    assert 150 < follows < 250  # one draw says nothing about the next
