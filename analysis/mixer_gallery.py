"""Draws what every mixer makes of the same two real images.

    python analysis/mixer_gallery.py [--out results/mixer_gallery.png] [--data-root data]

Takes a minute on two cores: most of it trains a ResNet-8 on 4,000 images, for the mixers that ask a network
where to look. Columns are lambda 0.3, 0.5 and 0.7: of some hundred draws the one whose share of the first image is
nearest, with that share written beside it. Feature maps are drawn as the mean over channels.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from trainables.backbones.backbone import Network
from trainables.classify import train
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.datasets.dataset import Split
from trainables.methods import build_network
from trainables.methods.inputs import INPUTS
from trainables.mixers import MIXERS
from trainables.mixers.mixed import Mixed
from trainables.recipes.presets import PRESETS

LAMBDAS = (0.3, 0.5, 0.7)
CLASSES = (7, 0)  # a horse and an aeroplane: the first of each in the test set that the network recognises
COPIES = 48  # the copies of the pair in a batch, which are the rows to choose from
DRAWS = 6
NO_RATIO = ("none", "cutout", "augmix")  # mixers of one image alone
# The images that cutmix and mixup make; masks that are learned; a mixer of transformers.
NOT_DRAWN = ("transmix", "mixup_cutmix", "automix", "samix", "adautomix", "mergemix")


def main() -> int:
    """Write the picture, and say where it is."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("results/mixer_gallery.png"))
    options.add_argument("--data-root", type=Path, default=Path("data"))
    given = options.parse_args()
    try:
        DATASETS["cifar10"].prepare(given.data_root)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    test = DATASETS["cifar10"].load(given.data_root).test
    assert isinstance(test, Split)
    print("training a ResNet-8 for the mixers that look through a network ...", file=sys.stderr)
    network = trained_network(given.data_root)
    images, labels = test.images[:1000].float() / 255, test.labels[:1000]
    with torch.no_grad():
        known = network(images).argmax(dim=1) == labels
    chosen = torch.stack([(known & (labels == wanted)).nonzero()[0, 0] for wanted in CLASSES])
    pair, labels = images[chosen], labels[chosen]
    names = [name for name in MIXERS if name not in NOT_DRAWN]
    drawn = {name: nearest_draws(name, pair, labels, network) for name in tqdm(names, desc="mixers")}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    draw(pair, drawn, given.out)
    print(f"{len(drawn)} mixers in {given.out}; without {', '.join(NOT_DRAWN)}")
    return 0


def trained_network(data_root: Path) -> Network:
    """Return a ResNet-8 after the epochs of the preset ``quick``."""
    config = {key: value for key, value in PRESETS["quick"].items() if key != "seeds"}
    config |= {"dataset": "cifar10", "mixer": "none", "test_images": 1000}
    network = build_network(parse(config), DATASETS["cifar10"])
    with tempfile.TemporaryDirectory() as folder:
        train(config, 0, lambda epoch, save: save(Path(folder)), data_root=data_root)
        network.backbone.load_state_dict(torch.load(Path(folder) / "model.pt", weights_only=True))
    return network.eval()


def nearest_draws(name: str, pair: Tensor, labels: Tensor, network: Network) -> list[tuple[Tensor, float]]:
    """Return for each of ``LAMBDAS`` the image (C, H, W), or map, and the first image's share of it.

    Args:
        name: the name of the mixer.
        pair: (2, C, H, W) pixels in [0, 1].
        labels: (2,) int64.
        network: the network that the mixer may ask where to look.
    """
    images, repeated = pair.repeat(COPIES, 1, 1, 1), labels.repeat(COPIES)
    wanted = [key for key in INPUTS if key in inspect.signature(MIXERS[name]).parameters]
    inputs = {key: INPUTS[key](network, images, repeated) for key in wanted}
    candidates: list[tuple[Tensor, float]] = []
    for seed in range(DRAWS):
        rng = torch.Generator().manual_seed(seed)
        mixed = MIXERS[name](images, rng, alpha=1.0, **inputs)
        share = share_of_first(mixed)
        candidates += [(mixed.images[row].detach(), float(share[row])) for row in range(0, len(images), 2)]
    if name in NO_RATIO:
        return candidates[: len(LAMBDAS)]
    return [min(candidates, key=lambda candidate: abs(candidate[1] - lam)) for lam in LAMBDAS]


def share_of_first(mixed: Mixed) -> Tensor:
    """Return for each row, (B,), the weight of the sources that are the pair's first image: those with even rows."""
    return (mixed.weights * (mixed.sources % 2 == 0)).sum(dim=1)


def draw(pair: Tensor, drawn: Mapping[str, list[tuple[Tensor, float]]], out: Path) -> None:
    """Draw two mixers per row, each with its three images, and the pair on top."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = 3
    lines = -(-len(drawn) // columns)
    figure = plt.figure(figsize=(3.6 * columns, 1.2 * (lines + 1)), dpi=150)
    grid = figure.add_gridspec(
        lines + 1, 4 * columns, hspace=0.3, wspace=0.12, left=0.005, right=0.995, top=0.975, bottom=0.01
    )
    for place, (image, name) in enumerate(zip(pair, "ab", strict=True)):
        show(figure.add_subplot(grid[0, 1 + place]), image, f"image {name}")
    note = figure.add_subplot(grid[0, 3:])
    note.axis("off")
    text = "Every mixer on the same two images. Below each: what a and b weigh in its label.\nGrey: feature maps."
    note.text(0.02, 0.5, text, va="center", fontsize=9)
    for index, (name, images) in enumerate(drawn.items()):
        line, column = index // columns + 1, 4 * (index % columns)
        title = figure.add_subplot(grid[line, column])
        title.axis("off")
        title.text(1.0, 0.5, name.replace("_", "\n"), ha="right", va="center", fontsize=8.5, fontweight="bold")
        for place, (image, share) in enumerate(images):
            caption = "a 1.00" if name in NO_RATIO else f"a {share:.2f}  b {1 - share:.2f}"
            show(figure.add_subplot(grid[line, column + 1 + place]), image, caption)
    figure.savefig(out)


def show(axis: Any, image: Tensor, caption: str) -> None:
    """Show an image (3, H, W), or the channels' mean of a feature map (C, h, w), with a line of text below."""
    axis.set_xticks([])
    axis.set_yticks([])
    if image.shape[0] == 3:
        axis.imshow(image.permute(1, 2, 0).clamp(0, 1))
    else:
        axis.imshow(image.mean(dim=0), cmap="gray")
    axis.set_xlabel(caption, fontsize=7, labelpad=2)


if __name__ == "__main__":
    sys.exit(main())
