"""Every mixer has a picture of the same pair, AutoMix by its block and TransMix through a transformer."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from torch import Generator

from analysis import mixer_gallery
from analysis.networks.own_mixer import ALONE, learns_masks, load_block, needs_weights
from trainables.datasets.opening import dataset_of
from trainables.methods import build_method, build_network
from trainables.mixers import MIXERS

SECONDS_EACH = ("supermix", "comixup", "puzzlemix", "alignmix")  # they optimise a mask or a transport


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SECONDS_EACH else [])
        for name in MIXERS
        if not needs_weights(name)
    ],
)
def test_every_mixer_is_drawn_near_the_three_lambdas(name: str) -> None:
    config = mixer_gallery.config_of(name)
    network = build_network(config, dataset_of(config)).eval()
    if learns_masks(name):
        content = io.BytesIO()
        torch.save(build_method(config, dataset_of(config), seed=0).block.state_dict(), content)  # type: ignore[union-attr]
        network.mix_block = load_block(network, config, content.getvalue())
    pair = torch.rand(2, 3, 32, 32, generator=Generator().manual_seed(0))
    drawn = mixer_gallery.draws(network, config, pair, torch.tensor([7, 0]))
    assert len(drawn) == 3
    # Co-Mixup chooses among all images of a batch by their saliency; its shares are only roughly those of lambda.
    near = 0.35 if name == "comixup" else 0.25
    if name not in ALONE:
        for (image, share), lam in zip(drawn, mixer_gallery.LAMBDAS, strict=True):
            assert image.ndim == 3
            assert share == pytest.approx(lam, abs=near)


def test_the_picture_holds_every_mixer(tmp_path: Path) -> None:
    pair = torch.rand(2, 3, 32, 32)
    drawn = {name: [(pair[0], lam) for lam in mixer_gallery.LAMBDAS] for name in MIXERS}
    mixer_gallery.draw(pair, drawn, tmp_path / "gallery.png")
    assert (tmp_path / "gallery.png").stat().st_size > 20_000
