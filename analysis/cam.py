"""Shows where a study's networks look: Grad-CAM on test images, and on mixtures of two of them.

    python analysis/cam.py sumix_cam                                the arms, at most three, 6 images
    python analysis/cam.py ablation_cifar100 --arms baseline,"+ l_su" --pick 3,17,42 --seed 1

Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391) by Captum, on the last feature map. All arms see the same
images: on a test image the map of its own class (SUMix, Fig. 3, 6, 7); on a mixture of it and the next one, made by
the mixer of the network's own run at a lambda near one half, the maps of the two classes that the network finds
likeliest (AutoMix, Fig. 3). A network that was trained without mixtures sees the left half of one and the right half
of the other. The command needs the finished runs' ``model.pt``, takes seconds per network, and writes cam.png, .pdf
and top2.csv into results/cam, with a cam_NAME.png for each data set where there are several.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerGradCam
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis import command, evaluation
from analysis.figures.captioned import TEXT, save
from analysis.figures.drawing import colours_of
from analysis.figures.naming import in_lines, plain
from analysis.figures.tiles import LABEL, name_line, show_image, tile_figure, write_below
from analysis.networks.checkpoint import CheckpointError
from analysis.networks.evaluate import Result, all_of
from analysis.networks.own_mixer import ALONE, mixer_of, nearest_mixture
from analysis.records.runs import Plan, cell_of_run, of_arms, of_one_seed
from analysis.shown_images import choose_images, shown_images
from analysis.statistics.tables import LevelTable, level_tables
from mixlab.messages import counted
from trainables.backbones.backbone import Backbone, Network
from trainables.config import Config
from trainables.datasets.dataset import BatchSource

HALF = 0.5  # the lambda of the mixtures, as nearly as the mixer draws it
MOST_ARMS = 3  # shown by default
MOST = 0.75  # inches, the side of the largest tile
BELOW = 0.26  # inches, the height of a text below a tile
LETTER = 0.055  # inches, the width of a letter of it
SHADES = "inferno"  # the colours of a map, from nothing to its maximum; their lightness alone shows the order


class CamRow(NamedTuple):
    """The maps of one network."""

    name: str  # level and arm
    arm: str
    labels: list[int]  # the classes of the N test images
    result: Result  # of :func:`measure`

    def pair(self, index: int) -> tuple[int, int]:
        """Return the classes of the two images of a mixture: the image of that index, and the next."""
        return self.labels[index], self.labels[(index + 1) % len(self.labels)]


def grad_cam(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    """Return Grad-CAM of the last feature map, (B, h, w), at least 0: the evidence for a class at each position.

    The network is in evaluation mode, the images are (B, C, H, W) pixels in [0, 1], and the classes (B,) int64 those
    that are explained.

    Raises:
        CheckpointError: the network reads its class from a token, so the positions of its last map have no gradient.
    """
    backbone = network.backbone
    if not reads_positions(backbone, backbone.encode(network.normalise(images[:1]))):
        name = type(backbone).__name__
        raise CheckpointError(f"Grad-CAM needs a network that ends with the mean of a map, which {name} does not")
    explained = LayerGradCam(network, backbone.stages[-1])
    maps = explained.attribute(images, target=classes, relu_attributions=True, attr_dim_summation=True)
    return backbone.grid(maps.detach()).squeeze(1)


def reads_positions(backbone: Backbone, maps: Tensor) -> bool:
    """Return whether the features of the last stage's map (B, C, H, W) depend on what is at the image's positions."""
    maps = maps.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(backbone.pool(maps).square().sum(), maps)
    return bool(backbone.grid(gradient).any())


def half_mixed(images: Tensor) -> Tensor:
    """Return CutMix at lambda 0.5, (N, C, H, W): each image gets the right half of the next, the last the first's."""
    half = images.shape[3] // 2
    return torch.cat((images[..., :half], images.roll(-1, 0)[..., half:]), dim=3)


def mixtures(network: Network, config: Config, images: Tensor, labels: Tensor) -> tuple[Tensor, list[float]]:
    """Return each image (N, C, H, W) in [0, 1] mixed with the next, and what the first of the two weighs in the label.

    A mixer of hidden maps, which are not images, raises ``ValueError``.
    """
    if config.mixer in ALONE:
        return half_mixed(images), [HALF] * len(images)
    mix, mixed = mixer_of(network, config), []
    for index in range(len(images)):
        two = torch.tensor([index, (index + 1) % len(images)], device=images.device)
        found = nearest_mixture(mix, images[two], labels[two], HALF)
        if found.depth:
            raise ValueError(f"mixer {config.mixer!r} mixes hidden maps, which cannot be shown as images")
        mixed.append(found)
    return torch.stack([one.image for one in mixed]), [one.share for one in mixed]


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return maps (N, h, w) of the own class, the mixtures, their two likeliest classes, and the maps of these."""
    images, labels = all_of(source, config)
    mixed, shares = mixtures(network, config, images, labels)
    with torch.no_grad():
        sure = network(mixed).softmax(1).topk(2)
    return {
        "own": grad_cam(network, images, labels).tolist(),
        "mixed": (255 * mixed).round().to(torch.uint8).tolist(),
        "shares": shares,
        "maps": [grad_cam(network, mixed, sure.indices[:, index]).tolist() for index in range(2)],
        "classes": sure.indices.tolist(),
        "confidence": (100 * sure.values).tolist(),
    }


def chosen(runs: pd.DataFrame, plan: Plan, arms: Sequence[str] | None, seed: int | None) -> pd.DataFrame:
    """Return one run of each arm and level, all of one seed; ``ValueError`` if the study lacks an arm or the seed."""
    finished = of_arms(runs, plan, default_arms(plan) if arms is None else arms)
    if finished.empty:
        raise ValueError("the study has no run of these arms that is done: there is nothing to evaluate")
    return of_one_seed(finished, seed)


def default_arms(plan: Mapping[str, Any]) -> list[str]:
    """Return every arm that makes a claim if they are few, else the baseline and the last arm."""
    claiming = [arm for arm in plan["arms"] if arm not in plan.get("controls", ())]
    return claiming if len(claiming) <= MOST_ARMS else [plan["baseline"], claiming[-1]]


def top_two(rows: Sequence[CamRow], names: Sequence[str]) -> pd.DataFrame:
    """Return, per network and mixture, the two likeliest classes, in percent, and whether they are those in it.

    A mixture of two images of one class has no two classes to name: its ``both`` is missing.
    """
    found = []
    for row in rows:
        shares, classes, confidence = (row.result[name] for name in ("shares", "classes", "confidence"))
        for index, ((top1, top2), (sure1, sure2)) in enumerate(zip(classes, confidence, strict=True)):
            first, second = row.pair(index)
            both = {top1, top2} == {first, second} if first != second else None
            mixture = [row.name, index, names[first], names[second], shares[index]]
            found.append([*mixture, names[top1], names[top2], sure1, sure2, both])
    of_mixture = ["cell", "image", "first", "second", "share_of_first"]
    return pd.DataFrame(found, columns=[*of_mixture, "top1", "top2", "top1_percent", "top2_percent", "both"])


def _work(options: argparse.Namespace) -> int:
    if (count := choose_images(options)) < 2:
        option = "--images" if options.pick is None else "--pick"
        raise ValueError(f"{option} must give at least 2 images, for a mixture, got {count}")
    study = evaluation.Evaluation.read(options)
    levels = level_tables(study.runs, study.plan)
    runs = chosen(study.runs, study.plan, options.arms, options.seed)
    study.measure(measure, {"kind": "cam", "version": 2}, runs)
    caption = (
        "Grad-CAM of the last feature map, each map scaled to its own maximum. Above: test images, and the map of the "
        "image's own class. Below: each image mixed with the next by the mixer of the network's own run, and the share "
        "of the first; the maps of the two classes that the network finds likeliest, %; tick: it is in the mixture. "
        f"Seed {runs['seed'].iloc[0]}. {study.provenance(*levels, one_seed=True)}"
    )
    tables = []
    for stem, config, part in study.by_dataset("cam", runs):
        images, labels, names = shown_images(config, options.images, options.data_root)
        rows = [
            CamRow(cell_of_run(row, study.plan), row["arm"], labels.tolist(), study.results[row["run_id"]])
            for row in part.to_dict("records")
        ]
        tables.append(top_two(rows, names))
        figure = plot_cam(options.study, rows, levels[0], images, names, caption)
        study.files.extend(save(figure, options.out / stem))
    table = pd.concat(tables)
    study.files.append(options.out / "top2.csv")
    table.to_csv(study.files[-1], index=False)
    pairs = table.dropna(subset="both").groupby("cell", sort=False)["both"]
    text = [f"{cell}: names both classes of {sum(both)} of {counted(len(both), 'mixture')}" for cell, both in pairs]
    return study.finish("\n".join(text))


def plot_cam(
    study: str, rows: Sequence[CamRow], level: LevelTable, images: Tensor, names: Sequence[str], caption: str
) -> Figure:
    """Draw a column per image: test images with a map per network below, then each network's mixtures with two maps.

    The images are (N, C, H, W) in [0, 1], the names those of the classes. An arm has its colour in ``level``, any table
    of the study.
    """
    colours, cells = colours_of(level), [row.name + level.role(row.arm) for row in rows]
    of_cells = in_lines(cells, 22)
    tile = min(MOST, (TEXT - LABEL) / len(images))
    names = [plain(name, int(tile / LETTER)) for name in names]
    heights = [tile] * (1 + len(rows)) + [tile + BELOW] * 3 * len(rows)
    widths = [LABEL, *[tile] * len(images)]
    size = (TEXT, sum(heights) + 0.6)
    ratios = {"height_ratios": heights, "width_ratios": widths}
    with tile_figure(study, caption, size, (len(heights), len(widths)), **ratios) as (figure, axes):
        _line(axes[0], "test image", "black", images)
        for axis, label in zip(axes[0, 1:], rows[0].labels, strict=True):
            axis.set_title(names[label], fontsize=6.5, loc="center", pad=2)
        for index, row in enumerate(rows):
            first, name, colour = 1 + len(rows) + 3 * index, of_cells[cells[index]], colours[row.arm]
            _line(axes[1 + index], name, colour, images, row.result["own"])
            mixed = torch.tensor(row.result["mixed"], dtype=torch.uint8).float() / 255
            of_first = zip(row.labels, row.result["shares"], strict=True)
            texts = [f"{names[label]}\n{share:.2f}" for label, share in of_first]
            _line(axes[first], f"{name}\nmixture", colour, mixed, texts=texts)
            for rank, maps in enumerate(row.result["maps"]):
                texts = [_class(row, column, rank, names) for column in range(len(images))]
                _line(axes[first + 1 + rank], f"{name}\nclass {rank + 1}", colour, mixed, maps, texts)
        return figure


def _line(
    axes: Sequence[Axes], name: str, colour: str, images: Tensor, maps: Sequence[Any] = (), texts: Sequence[str] = ()
) -> None:
    """Draw a line of images (N, C, H, W), over each its map, and below each its text, if there are any."""
    name_line(axes[0], name, colour)
    for axis, image in zip(axes[1:], images, strict=True):
        show_image(axis, image)
    extent = (-0.5, images.shape[3] - 0.5, images.shape[2] - 0.5, -0.5)
    for axis, evidence in zip(axes[1:], maps, strict=False):
        shown = np.array(evidence, dtype=float)
        shown /= shown.max() or 1.0
        axis.imshow(shown, SHADES, vmin=0, vmax=1, alpha=0.6, interpolation="bilinear", extent=extent)
    for axis, text in zip(axes[1:], texts, strict=False):
        write_below(axis, text)


def _class(row: CamRow, index: int, rank: int, names: Sequence[str]) -> str:
    """Return a likeliest class and how likely it is, with a tick if it is in the mixture."""
    label, sure = row.result["classes"][index][rank], row.result["confidence"][index][rank]
    return f"{names[label]}\n{sure:.0f} %{' ✓' if label in row.pair(index) else ''}"


parser = evaluation.parser("cam.py", "Draw where a study's networks look, by Grad-CAM.", images=6, pick=True)
arms = "show these arms (default: all but controls, or the first and the last of more than three)"
parser.add_argument("--arms", type=command.names, metavar="A,B", help=arms)
main = command.main(__name__, _work, parser)
