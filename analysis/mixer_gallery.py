"""Draws what every mixer makes of the same two real images.

    python analysis/mixer_gallery.py [--out results/mixer_gallery.png] [--data-root data]

Takes minutes on two cores: most of it trains small networks on 4,000 images, a ResNet-8 for the mixers that ask a
network where to look, one for each mixer that learns its masks, and a transformer for TransMix and MergeMix. Columns
are lambda 0.3, 0.5 and 0.7: of some hundred draws the one whose share of the first image is nearest, with that share
written below it. Feature maps are drawn as the mean over channels.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Generator, Tensor

from analysis import command
from analysis.figures.tiles import name_line, show_image, tile_figure, write_below
from analysis.networks.checkpoint import BLOCK_FILE
from analysis.networks.own_mixer import ALONE, load_block, mixer_of, nearest_mixture, needs_weights
from trainables.backbones.backbone import Network
from trainables.classify import train
from trainables.config import Config, parse
from trainables.datasets import DATASETS
from trainables.datasets.dataset import Split
from trainables.methods import build_network
from trainables.mixers import MIXERS, learns_masks
from trainables.progress import progress
from trainables.recipes.learned_masks import automix_settings
from trainables.recipes.presets import PRESETS

LAMBDAS = (0.3, 0.5, 0.7)
CLASSES = (7, 0)  # a horse and an aeroplane: the first of each in the test set that the network recognises
CAPTION = "Every mixer on the same two images. Below each: what a and b weigh in its label. Grey: feature maps."
# The networks that mixers look through, and the settings that these are trained with. The pictures need no more than
# a start of those besides the first: masks that are learned are then still smooth.
SHORT: dict[str, Any] = {"epochs": 1, "train_images": 1000}
NETWORKS: dict[str, dict[str, Any]] = {
    "convolutional": {"mixer": "none"},
    "transformer": {"mixer": "none", "backbone": "vit_tiny_32", "lr": 0.01, **SHORT},
    **{name: {"mixer": name, "mixer.layer": 2, **SHORT} for name in MIXERS if learns_masks(name)},
}
LOOKS_THROUGH = {"transmix": "transformer", "mergemix": "transformer", **{name: name for name in NETWORKS}}
PICTURES = (".jpg", ".pdf", ".png", ".svg")
Drawn = tuple[Tensor, float]  # an image (C, H, W), or map, and the share of the first image


def make(given: argparse.Namespace) -> int:
    """Write the picture, and say where it is."""
    DATASETS["cifar10"].prepare(given.data_root)
    test = DATASETS["cifar10"].load(given.data_root).test
    assert isinstance(test, Split)
    print(f"training {len(NETWORKS)} small networks for the mixers that look through one ...", file=sys.stderr)
    networks = {name: trained_network(settings, given.data_root) for name, settings in NETWORKS.items()}
    images, labels = test.images[:1000].float() / 255, test.labels[:1000]
    with torch.no_grad():
        known = networks["convolutional"](images).argmax(dim=1) == labels
    chosen = torch.stack([(known & (labels == wanted)).nonzero()[0, 0] for wanted in CLASSES])
    pair, labels = images[chosen], labels[chosen]
    drawn = {}
    left_out = [name for name in MIXERS if needs_weights(name)]
    for name in progress([name for name in MIXERS if name not in left_out], "mixers"):
        kind = LOOKS_THROUGH.get(name, "convolutional")
        drawn[name] = draws(networks[kind], config_of(name), pair, labels)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    draw(pair, drawn, given.out)
    without = f"; without {', '.join(left_out)}, which need weights of another network" if left_out else ""
    return command.finish([], f"{len(drawn)} mixers in {given.out}{without}")


def config_of(mixer: str) -> Config:
    """Return the configuration of a mixer with the network that it looks through."""
    kind = LOOKS_THROUGH.get(mixer, "convolutional")
    architecture = {key: value for key, value in NETWORKS[kind].items() if key not in ("mixer", "lr", *SHORT)}
    return parse({"dataset": "cifar10", "backbone": "resnet8", **architecture, "mixer": mixer})


def trained_network(settings: Mapping[str, Any], data_root: Path) -> Network:
    """Return a network after the epochs of the preset ``quick``, with its Mix Block if it has one."""
    config = {key: value for key, value in PRESETS["quick"].items() if key != "seeds"}
    config |= {"dataset": "cifar10", "test_images": 1000, **settings}
    config |= automix_settings(config)
    parsed = parse(config)
    network = build_network(parsed)
    with tempfile.TemporaryDirectory() as folder:
        train(config, 0, lambda epoch, save: save(Path(folder)), data_root=data_root)
        network.backbone.load_state_dict(torch.load(Path(folder) / "model.pt", weights_only=True))
        if (block := Path(folder) / BLOCK_FILE).exists():
            network.mix_block = load_block(network, parsed, block.read_bytes())
    return network.eval()


def draws(network: Network, config: Config, pair: Tensor, labels: Tensor) -> list[Drawn]:
    """Return what the configuration's mixer makes of a pair (2, C, H, W) in [0, 1] at each of ``LAMBDAS``."""
    if config.mixer in ALONE:
        seeds = (Generator().manual_seed(seed) for seed in range(len(LAMBDAS)))
        return [(MIXERS[config.mixer](pair, rng).images[0], 1.0) for rng in seeds]
    mix = mixer_of(network, config)
    found = [nearest_mixture(mix, pair, labels, lam) for lam in LAMBDAS]
    return [(mixture.image, mixture.share) for mixture in found]


def draw(pair: Tensor, drawn: Mapping[str, list[Drawn]], out: Path) -> None:
    """Draw three mixers per row, each with its name and its three images, and the pair on top."""
    columns = 3
    lines = -(-len(drawn) // columns)
    size = (3.6 * columns, 1.2 * (lines + 1))
    with tile_figure("", CAPTION, size, (lines + 1, 4 * columns)) as (figure, axes):
        for axis, image, name in zip(axes[0, 1:3], pair, "ab", strict=True):
            _show(axis, image, f"image {name}")
        for index, (name, images) in enumerate(drawn.items()):
            line, column = index // columns + 1, 4 * (index % columns)
            name_line(axes[line, column], name.replace("_", "\n"))
            for axis, (image, share) in zip(axes[line, column + 1 :], images, strict=False):
                _show(axis, image, "a 1.00" if name in ALONE else f"a {share:.2f}  b {1 - share:.2f}")
        figure.savefig(out)


def _show(axis: Axes, image: Tensor, text: str) -> None:
    """Show an image (3, H, W), or the channels' mean of a feature map (C, h, w) scaled to its range, above a text."""
    if image.shape[0] != 3:
        image = image.mean(dim=0, keepdim=True)
        image = (image - image.min()) / (image.max() - image.min()).clamp(min=1e-12)
    show_image(axis, image.clamp(0, 1))
    write_below(axis, text)


def picture(text: str) -> Path:
    """Return the file of a picture, as a type of ``argparse``: other endings are refused before the training."""
    file = command.new_file(text)
    if file.suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"a picture ends in {', '.join(PICTURES)}, got {text!r}")
    return file


parser = command.parser("mixer_gallery.py", "Draw what every mixer makes of the same two images.", tracked=False)
usual, words = Path("results/mixer_gallery.png"), "picture to write (default: %(default)s)"
parser.add_argument("--out", type=picture, default=usual, metavar="FILE", help=words)
command.add_data_root(parser)
main = command.main(__name__, make, parser)
