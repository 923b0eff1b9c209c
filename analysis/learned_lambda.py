"""Shows how SUMix changes lambda for single pairs: mixtures of one lambda above the learned lambda (Figure 1).

    python analysis/learned_lambda.py sumix_cam                                 two pairs, arms that learn lambda
    python analysis/learned_lambda.py ablation_cifar100 --pick 3,17,42,8 --lam 0.5 --seed 1

A pair is two test images that follow each other in --pick. Its mixtures, by the mixer of the network's own run, all
have nearly the lambda of --lam, and differ in what they show of either image; they are sorted by the lambda that the
network learns for them, from the least to the most for the first image. The command needs the finished runs'
``model.pt``, takes seconds per network, and writes strip.png, .pdf, .tex and .csv into results/learned_lambda, named
strip_NAME for each data set where there are several.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from analysis import command, evaluation
from analysis.figures.captioned import TEXT, save_with_points
from analysis.figures.drawing import colours_of
from analysis.figures.naming import in_lines, plain
from analysis.figures.tiles import LABEL, name_line, show_image, tile_figure, write_below
from analysis.networks.evaluate import Result, all_of
from analysis.networks.own_mixer import mixer_of
from analysis.records.runs import cell_of_run, done, of_one_seed, setting
from analysis.shown_images import choose_images, shown_images
from analysis.statistics.tables import LevelTable, level_tables
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.dataset import BatchSource
from trainables.methods.mixing import SUMIX_PRESETS
from trainables.mixers.mixed import Mixed

SHOWN = 6  # mixtures of a pair
NEAR = 0.02  # how far from the wanted lambda a mixture may be
DRAWS = 40  # batches of mixtures of a pair
TILE = (TEXT - LABEL) / (2 + SHOWN)  # inches


class Strip(NamedTuple):
    """The mixtures of one pair, as one network sees them."""

    cell: str  # level and arm
    arm: str
    pair: Tensor  # (2, C, H, W) in [0, 1]
    names: list[str]  # the classes of the pair
    mixtures: list[dict[str, Any]]  # from :func:`strip_of`


def learned_weights(network: Network, config: Config, raw: Tensor, labels: Tensor, mixed: Mixed) -> Tensor:
    """Return the weights (B, K) that the run's SUMix learns for mixtures, Eq. 4, with the network as it is.

    The network is in evaluation mode, ``raw`` (B, D) are the features of the batch before mixing, and the labels (B,)
    int64; ``config.sumix`` says by which definition.
    """
    terms = replace(config.sumix, lam="learned", regulariser="none")
    head = network.backbone.head
    loss = SUMIX_PRESETS[terms.preset](head.in_features, head.out_features, terms).to(raw.device)
    with torch.no_grad():
        after = network.forward_features(mixed.images, mixed.depth)
        return loss(raw, network.head(raw), after, network.head(after), labels, mixed).weights


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return for each pair its mixtures, as bytes, with drawn and learned lambda, in the order of the latter."""
    images, labels = all_of(source, config)
    pairs = zip(images.split(2), labels.split(2), strict=True)
    return {"strips": [strip_of(network, config, *pair, lam=protocol["lam"]) for pair in pairs]}


def strip_of(network: Network, config: Config, pair: Tensor, labels: Tensor, lam: float) -> list[dict[str, Any]]:
    """Return ``SHOWN`` mixtures of a pair (2, C, H, W), evenly spaced in the order of the learned lambda.

    A batch is as large as in training, because the release's arithmetic depends on its size.
    """
    copies = max(2, config.batch_size // 2)
    images, repeated = pair.repeat(copies, 1, 1, 1), labels.repeat(copies)
    mix = mixer_of(network, config)
    with torch.no_grad():
        raw = network.forward_features(images)
    found: list[dict[str, Any]] = []
    for seed in range(DRAWS):
        mixed = mix(images, repeated, Generator(images.device).manual_seed(seed))
        learned = learned_weights(network, config, raw, repeated, mixed)
        first = mixed.sources % 2 == 0
        drawn, after = ((weights * first).sum(dim=1) for weights in (mixed.weights, learned))
        for row in range(0, len(images), 2):
            if abs(float(drawn[row]) - lam) <= NEAR:
                pixels = (255 * mixed.images[row]).round().clamp(0, 255).to(torch.uint8)
                found.append({"image": pixels, "drawn": float(drawn[row]), "learned": float(after[row])})
    found.sort(key=lambda one: one["learned"])
    chosen = [round(index) for index in torch.linspace(0, max(len(found) - 1, 0), min(SHOWN, len(found))).tolist()]
    return [{**found[index], "image": found[index]["image"].tolist()} for index in chosen]


def rows_of(result: Result) -> list[dict[str, float]]:
    """Return ``pair``, ``drawn`` and ``learned`` of every mixture."""
    return [
        {"pair": pair, "drawn": one["drawn"], "learned": one["learned"]}
        for pair, strip in enumerate(result.get("strips", []))
        for one in strip
    ]


def chosen(runs: pd.DataFrame, seed: int | None) -> pd.DataFrame:
    """Return one run of each arm and level that learns lambda, all of one seed; ``ValueError`` if there is none."""
    finished = done(runs)
    learns = finished[setting(finished, "sumix.lam") == "learned"]
    if learns.empty:
        raise ValueError("the study has no run that is done and learns lambda (sumix.lam=learned)")
    return of_one_seed(learns, seed)


def _work(options: argparse.Namespace) -> int:
    count = choose_images(options)
    if count < 2 or count % 2:
        raise ValueError(f"pairs need an even number of images, from 2, got {count}")
    if not 0 < options.lam < 1:
        raise ValueError(f"--lam must be between 0 and 1, got {options.lam}")
    study = evaluation.Evaluation.read(options)
    levels, runs = level_tables(study.runs, study.plan), chosen(study.runs, options.seed)
    study.measure(measure, {"kind": "learned lambda", "version": 1, "lam": options.lam}, runs)
    table = study.points(rows_of)
    if table.empty:
        raise ValueError(f"no mixture has a lambda within {NEAR:g} of --lam {options.lam:g}: give another lambda")
    for stem, config, part in study.by_dataset("strip", runs):
        strips = strips_of(part, study, config)
        whole = all(strip.mixtures for strip in strips)
        lacking = "" if whole else f"Where a pair has no mixtures, none came within {NEAR:g} of that lambda. "
        caption = (
            f"Mixtures of two test images by the mixer of the network's own run, lambda {options.lam:g}. Below: drawn "
            f"and learned lambda, the share of the first image in the label; sorted by the learned one. {lacking}"
            f"Seed {runs['seed'].iloc[0]}. {study.provenance(*levels, one_seed=True)}"
        )
        figure = plot_strips(options.study, strips, levels[0], caption)
        study.files.extend(save_with_points(figure, replace(study, runs=part).points(rows_of), options.out / stem))
    spread = table.groupby("arm", sort=False)["learned"].agg(["min", "max"])
    text = [f"{arm}: learned lambda from {low:.2f} to {high:.2f}" for arm, (low, high) in spread.iterrows()]
    return study.finish("\n".join(text))


def strips_of(runs: pd.DataFrame, study: evaluation.Evaluation, config: Config) -> list[Strip]:
    """Return the mixtures of each pair and run; the configuration reads the data set that all these runs share."""
    images, labels, names = shown_images(config, study.options.images, study.options.data_root)
    classes = [[names[label] for label in two] for two in labels.view(-1, 2).tolist()]
    pairs = list(zip(images.split(2), classes, strict=True))
    return [
        Strip(cell_of_run(row, study.plan), row["arm"], *pair, strip)
        for row in runs.to_dict("records")
        for pair, strip in zip(pairs, study.results[row["run_id"]]["strips"], strict=True)
    ]


def plot_strips(study: str, strips: Sequence[Strip], level: LevelTable, caption: str) -> Figure:
    """Draw a line per network and pair: the two images, then mixtures; ``level``, any table, has the arms' colours."""
    colours, cells = colours_of(level), [strip.cell + level.role(strip.arm) for strip in strips]
    names = in_lines(cells, 24)
    size = (TEXT, len(strips) * (TILE + 0.3) + 0.5)
    widths = [LABEL, *[TILE] * (2 + SHOWN)]
    with tile_figure(study, caption, size, (len(strips), 3 + SHOWN), width_ratios=widths) as (figure, axes):
        for line, strip, cell in zip(axes, strips, cells, strict=True):
            name_line(line[0], names[cell], colours[strip.arm])
            for axis, image, name in zip(line[1:3], strip.pair, strip.names, strict=True):
                show_image(axis, image)
                write_below(axis, plain(name, 13))
            for axis, one in zip(line[3:], strip.mixtures, strict=False):
                show_image(axis, torch.tensor(one["image"], dtype=torch.uint8).float() / 255)
                write_below(axis, f"{one['drawn']:.2f} → {one['learned']:.2f}")
        return figure


parser = evaluation.parser("learned_lambda.py", "Draw the lambda that SUMix learns for pairs.", images=4, pick=True)
parser.add_argument("--lam", type=float, default=0.5, metavar="X", help="drawn lambda (default: %(default)s)")
main = command.main(__name__, _work, parser)
