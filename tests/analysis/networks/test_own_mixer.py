"""Mixtures by the mixer of a run: of every mixer of two images, and by the Mix Block that a run has kept."""

import io
import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Generator

from analysis.networks.own_mixer import ALONE, load_block, mixer_of, nearest_mixture, needs_weights
from trainables.config import parse
from trainables.methods import build_method, build_network
from trainables.mixers import MIXERS, learns_masks

SLOW_ONES = ("supermix", "comixup", "puzzlemix")  # they optimise their masks
LEFT_OUT = {*ALONE, *SLOW_ONES, *filter(learns_masks, MIXERS), *filter(needs_weights, MIXERS)}
BACKBONE = {"transmix": "vit_tiny_32", "mergemix": "vit_tiny_32"}


def pair() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=Generator().manual_seed(0))


def network_with(mixer: str, **options: object) -> tuple[Any, Any]:
    own = {"mixer": mixer, **({"mixer.layer": 2} if mixer == "automix" else {})}
    own |= {f"mixer.{name}": value for name, value in options.items()}
    config = parse({"dataset": "cifar10", "backbone": BACKBONE.get(mixer, "resnet8"), **own})
    return build_network(config).eval(), config


@pytest.mark.parametrize("mixer", [name for name in MIXERS if name not in LEFT_OUT])
def test_every_mixer_of_two_images_makes_a_mixture_that_its_network_can_classify(mixer):
    network, config = network_with(mixer)
    mixture = nearest_mixture(mixer_of(network, config), pair(), torch.tensor([3, 5]), 0.5, draws=2)
    assert mixture.share == pytest.approx(0.5, abs=0.35)
    assert network.head(network.forward_features(mixture.image[None], mixture.depth)).shape == (1, 10)


@pytest.mark.parametrize("per_batch", [False, True])
def test_the_nearest_mixture_of_cutmix_has_its_share_in_pixels(per_batch):
    network, config = network_with("cutmix", per_batch=per_batch)
    images = torch.stack((torch.ones(3, 32, 32), torch.zeros(3, 32, 32)))
    mix, labels, off = mixer_of(network, config), torch.tensor([0, 1]), {1: 0.0, 6: 0.0}
    for lam, draws in itertools.product((0.5, 0.6, 0.7), off):
        mixture = nearest_mixture(mix, images, labels, lam, draws)
        assert mixture.share == pytest.approx(float(mixture.image.mean()))
        off[draws] += abs(mixture.share - lam)
    assert off[6] < min(off[1], 0.02)


def test_automix_mixes_by_the_block_that_was_kept_and_not_without_it():
    network, config = network_with("automix")
    images, labels = pair(), torch.tensor([3, 5])
    with pytest.raises(ValueError, match="kept no Mix Block"):
        nearest_mixture(mixer_of(network, config), images, labels, 0.5)
    method = build_method(config, seed=0)
    content = io.BytesIO()
    torch.save(method.block.state_dict(), content)
    network.mix_block = load_block(network, config, content.getvalue())
    mixed = mixer_of(network, config)(images, labels, Generator().manual_seed(1))
    assert mixed.sources.tolist() == [[0, 1], [1, 0]]  # with itself any mask would do
    method.eval()
    with torch.no_grad():
        maps = network.backbone.grid(network.encode(images, 3))
        masks = method.masks(maps, (32, 32), Generator(), mixed.sources[:, 1], mixed.weights[:, 0])
    inner = mixed.images * 0 + images * (1 - masks) + images[mixed.sources[:, 1]] * masks
    far = (mixed.weights[:, 0] > 0.08) & (mixed.weights[:, 0] < 0.92)
    torch.testing.assert_close(mixed.images[far], inner[far])


def test_random_grids_need_no_block():
    """They are the first row of AutoMix's Table 7."""
    network, config = network_with("automix", masks="grids", lam_margin=0.0)
    images = torch.stack((torch.ones(3, 32, 32), torch.zeros(3, 32, 32)))
    mixture = nearest_mixture(mixer_of(network, config), images, torch.tensor([0, 1]), 0.3)
    cells = mixture.image[0, ::2, ::2]  # the map after the second stage is 16 x 16
    assert torch.equal(mixture.image[0], cells.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert set(cells.unique().tolist()) == {0.0, 1.0}
    assert float(cells.mean()) == pytest.approx(mixture.share, abs=0.5 / 256 + 1e-6)


@pytest.mark.parametrize(
    ("mixer", "why"), [("none", "does not mix two images"), ("stylemix", "needs weights of another network")]
)
def test_a_mixer_of_one_image_and_one_of_weights_that_no_run_keeps_are_refused(mixer, why):
    network, config = network_with("none")
    with pytest.raises(ValueError, match=f"'{mixer}' {why}"):
        mixer_of(network, replace(config, mixer=mixer))
