"""Measures how well a study's networks recognise both images of a mixture, over lambda (AutoMix, Figure 4, right).

    python analysis/mixed_accuracy.py mixers_cifar100                       each network on mixtures by its own mixer
    python analysis/mixed_accuracy.py mixers_cifar100 --mixer cutmix        all of them on CutMix's

A prediction is right at top-1 if the likeliest class is that of any image of the mixture, and at top-2 if the two
likeliest classes are the two that are in it (with K images: the K likeliest). Pairs of one class do not count. Lambda
is drawn from Beta(1, 1), and the shares of K images from Dirichlet(1), whatever the run's alpha; the means are over ten
equal ranges of lambda, without those of fewer than 20 mixtures. The command needs the finished runs' ``model.pt``, and
writes into results/mixed_accuracy: table.md, .csv and .tex, and curves.png, .pdf, .tex and .csv.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from analysis import command, evaluation
from analysis.command import count
from analysis.figures.drawing import line_and_band
from analysis.figures.plots import plot_two_lines
from analysis.networks.evaluate import Result, batches
from analysis.networks.own_mixer import ALONE, mixer_of, needs_weights
from analysis.records.runs import setting
from mixlab.messages import counted
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config, mixer_options, parse, require_known
from trainables.datasets.dataset import BatchSource
from trainables.mixers import MIXERS, learns_masks

BINS = 10  # ranges of lambda
FEWEST = 20  # the fewest mixtures of a range: the accuracy on fewer is noise
TOP1, TOP2 = "mixed_top1", "mixed_top2"
OF_MANY = (
    "K images have shares from Dirichlet(1), of which lambda is the first; top-1 is easier with more of them, and "
    "top-2, where all K classes are to be found, is harder."
)
LABELS = {name: f"{top} accuracy on mixed images, mean over lambda" for name, top in ((TOP1, "top-1"), (TOP2, "top-2"))}
MEASURES = {name: Metric(name, "%", 2, higher_is_better=True, label=label) for name, label in LABELS.items()}


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return the accuracy in every range with enough mixtures, ``[lambda, top-1, top-2]``, and the two means."""
    if protocol["mixer"] is not None and protocol["mixer"] != config.mixer:
        config = replace(config, mixer=protocol["mixer"], mixer_options=mixer_options(protocol["mixer"], {}))
    mix, sums = mixer_of(network, config), torch.zeros(3, BINS, dtype=torch.float64)
    for draw in range(protocol["draws"]):
        rng: Generator | None = None
        for images, labels in batches(source, config):
            rng = Generator(images.device).manual_seed(draw) if rng is None else rng
            mixed = mix(images, labels, rng)
            with torch.no_grad():
                logits = network.head(network.forward_features(mixed.images, mixed.depth))
            counts, first, both = recognised(logits, labels[mixed.sources])
            index = (mixed.weights[:, 0] * BINS).long().clamp(0, BINS - 1)
            for row, values in zip(sums, (counts, counts * first, counts * both), strict=True):
                row.index_add_(0, index.cpu(), values.double().cpu())
    seen = sums[0] >= FEWEST
    lam = (torch.arange(BINS, dtype=torch.float64) + 0.5) / BINS
    curves = [100 * hits[seen] / sums[0][seen] for hits in sums[1:]]
    points = torch.stack((lam[seen], *curves), dim=1).tolist()
    return {"points": points, TOP1: float(curves[0].mean()), TOP2: float(curves[1].mean())}


def recognised(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (B,) bool each: whether a mixture counts, and whether its logits (B, L) are right at top-1 and at top-K.

    The classes (B, K) int64 are those of the sources; a mixture counts if they all differ.
    """
    in_order = classes.sort(dim=1).values
    counts = (in_order[:, 1:] != in_order[:, :-1]).all(dim=1)
    likeliest = logits.topk(classes.shape[1]).indices
    first = (likeliest[:, :1] == classes).any(dim=1)
    return counts, first, (likeliest.sort(dim=1).values == in_order).all(dim=1)


def curve(result: Result) -> list[dict[str, Any]]:
    """Return ``part``, ``x`` (lambda) and ``y`` (percent) of every point."""
    rows = result.get("points", [])
    return [{"part": part, "x": row[0], "y": row[1 + index]} for index, part in enumerate((TOP1, TOP2)) for row in rows]


def _work(options: argparse.Namespace) -> int:
    left_out = {*ALONE, *filter(needs_weights, MIXERS)}
    if options.mixer is not None:
        known = [name for name in MIXERS if name not in left_out and not learns_masks(name)]  # which only a run has
        require_known("--mixer", options.mixer, known)
    study = evaluation.Evaluation.read(options)
    runs = study.runs
    if options.mixer is None:
        runs = runs[~setting(runs, "mixer").isin(left_out)]
        for arm in sorted(set(study.runs["arm"]) - set(runs["arm"])):
            why = "which mixes no images, or by weights that are not kept with a run; see --mixer"
            print(f"mixed_accuracy.py: left out: {arm!r}, {why}", file=sys.stderr)
    protocol = {"kind": "mixed accuracy", "version": 2, "mixer": options.mixer, "draws": options.draws}
    study.measure(measure, protocol, runs)
    points = study.points(curve)
    if points.empty:
        few = f"no range of lambda has {FEWEST} mixtures of different classes"
        raise ValueError(f"{few}: give more --images than {options.images}")
    tables = {name: study.tables(metric, name) for name, metric in MEASURES.items()}
    whose = f"Mixtures by {options.mixer}" if options.mixer else "Mixtures by the mixer of each network's own run"
    shown = f"{counted(options.draws, 'draw')} of {study.images()}"
    how = f"{whose}, lambda from Beta(1, 1); {shown}. Ranges of lambda with fewer than {FEWEST} mixtures are left out."
    own = [parse(config).mixer_options for config in study.configs.values()]
    mixers = [mixer_options(options.mixer, {})] if options.mixer else own
    if any(given.get("num_images", 2) > 2 for given in mixers):
        how += f" {OF_MANY}"
    text = study.write_tables(tables.values(), how)
    caption = (
        f"{how} Solid: top-1, the likeliest class is in the mixture; dashed: top-2, so are the two likeliest; "
        f"{line_and_band(points)}."
    )
    looks = {"parts": (TOP1, TOP2), "labels": ("lambda", "accuracy on mixed images, %"), "width": 1}
    study.draw("curves", plot_two_lines, points, tables[TOP1], caption, **looks)
    return study.finish(text)


parser = evaluation.parser("mixed_accuracy.py", "Measure accuracy on mixed images over lambda.")
parser.add_argument("--mixer", metavar="NAME", help="mix by this mixer for all networks (default: each run's own)")
words = "mixtures of each image (default: %(default)s)"
parser.add_argument("--draws", type=count, default=5, metavar="N", help=words)
main = command.main(__name__, _work, parser)
