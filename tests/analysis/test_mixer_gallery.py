"""Every mixer has a picture of the same pair, AutoMix by its block and TransMix through a transformer."""

import io
from functools import partial
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Generator

from analysis import mixer_gallery
from analysis.networks.own_mixer import ALONE, load_block, nearest_mixture
from trainables.methods import build_method, build_network
from trainables.mixers import MIXERS, learns_masks

# They optimise a mask or a transport, or ask a transformer.
TAKE_LONG = ("supermix", "comixup", "puzzlemix", "alignmix", "transmix")


@pytest.mark.parametrize(
    "name",
    [
        *("cutmix", *ALONE, *filter(learns_masks, MIXERS)),
        *(pytest.param(name, marks=pytest.mark.slow) for name in TAKE_LONG),
    ],
)
def test_a_mixer_is_drawn_near_its_lambdas(name, monkeypatch):
    """One of each kind, and all that ``test_own_mixer`` does not try; some masks take long at each lambda."""
    monkeypatch.setattr(mixer_gallery, "nearest_mixture", partial(nearest_mixture, draws=2))
    if learns_masks(name) or name == "supermix":
        monkeypatch.setattr(mixer_gallery, "LAMBDAS", (0.5,))
    config = mixer_gallery.config_of(name)
    network = build_network(config).eval()
    if learns_masks(name):
        content = io.BytesIO()
        torch.save(build_method(config, seed=0).block.state_dict(), content)
        network.mix_block = load_block(network, config, content.getvalue())
    pair = torch.rand(2, 3, 32, 32, generator=Generator().manual_seed(0))
    drawn = mixer_gallery.draws(network, config, pair, torch.tensor([7, 0]))
    assert len(drawn) == len(mixer_gallery.LAMBDAS)
    for image, share in drawn:
        assert image.ndim == 3
        assert 0 <= share <= 1
    # An untrained network finds as much in one place of noise as in another, so that Co-Mixup leaves images whole.
    if name not in (*ALONE, "comixup"):
        assert [share for _, share in drawn] == pytest.approx(list(mixer_gallery.LAMBDAS), abs=0.25)


@pytest.mark.slow
def test_the_picture_holds_more_than_a_line_of_mixers(monkeypatch):
    pair, figures = torch.rand(2, 3, 32, 32), []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: figures.append(figure))
    drawn = {name: [(pair[0], lam) for lam in mixer_gallery.LAMBDAS] for name in [*MIXERS][:4]}
    mixer_gallery.draw(pair, drawn, Path("gallery.png"))
    assert len(figures[0].findobj(AxesImage)) == 2 + 4 * len(mixer_gallery.LAMBDAS)
