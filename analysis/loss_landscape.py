"""The loss around the minimum that each arm found, along one random direction and along two.

    python analysis/loss_landscape.py ablation_cifar100                     every arm, the first seed, 500 test images
    python analysis/loss_landscape.py ablation_cifar100 --images 2000 --steps 31

Directions are filter-normalised (Li et al., NeurIPS 2018, arXiv:1712.09913): at 1 every filter has moved by its own
length. All networks move along the same directions, except for that scale. The line is the mean of several directions
and of the seeds; the plane is that of one seed. The command needs the runs' ``model.pt``. A network takes some 60
passes over the images, and the one with the plane 180: minutes per network for a ResNet-18 on one CPU; --plane 0 leaves
it out. The command writes into results/loss_landscape: line.png, .pdf, .tex and .csv, plane.png, .pdf, .tex and .csv,
and sharpness.md, .csv and .tex.
"""

import argparse
import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Generator

from analysis import command, evaluation
from analysis.command import at_least
from analysis.figures import drawing
from analysis.figures.captioned import COLUMN, TEXT, caption_lines, titled
from analysis.figures.naming import in_lines
from analysis.networks.evaluate import Measure, Result, batches
from analysis.records.runs import at_levels, done
from analysis.statistics.tables import LevelTable
from mixlab.messages import counted
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.dataset import BatchSource
from trainables.robustness.landscape import REACH, Direction, loss_at, random_direction, sharpness

RISE = Metric("sharpness_loss", "nats", 4, higher_is_better=False, label="rise of the loss within half the reach")
BESIDE = 1.25  # inches, the width of what is beside the planes
MOST_TILES = 4  # beside each other, 2 in a column
CONTOURS = 12
Y_LABEL = "test loss, nats (log scale)"
PLANE_LABELS = ("step along the first direction, filter lengths", "step along the second")


def grid(steps: int, reach: float = REACH) -> list[float]:
    """Return ``steps`` multiples of a direction from ``-reach`` to ``reach``; the middle one, 0, is the network."""
    return [reach * (step - steps // 2) / (steps // 2) for step in range(steps)]


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return ``line``, the loss (nats) by direction and step, its ``rise``, and ``plane``, by two directions' steps."""
    along, across = grid(protocol["steps"]), grid(protocol["plane"]) if protocol["plane"] else []
    directions = [random_direction(network, Generator().manual_seed(seed)) for seed in range(protocol["directions"])]
    moves: list[tuple[Sequence[Direction], Sequence[float]]] = [
        ([direction], (step,)) for direction in directions for step in along
    ]
    moves += [(directions[:2], steps) for steps in itertools.product(across, repeat=2)]
    losses = loss_at(network, batches(source, config), moves)
    lines = losses[: len(directions) * len(along)].view(len(directions), len(along))
    found: Result = {"line": lines.tolist(), "rise": float(np.mean([sharpness(line, along) for line in lines]))}
    if across:
        found["plane"] = losses[lines.numel() :].view(len(across), len(across)).tolist()
    return found


def line_points(result: Result, key: str, steps: Sequence[float]) -> list[dict[str, float]]:
    """Return ``step`` and ``loss`` (nats) at every step, the mean over the lines that a result has under a key."""
    means = np.mean(result.get(key, [[]]), axis=0)
    return [{"step": step, "loss": float(loss)} for step, loss in zip(steps, means, strict=False)]


def plane_points(result: Result, steps: int, reach: float = REACH) -> list[dict[str, float]]:
    """Return ``first`` and ``second`` (steps) and ``loss`` (nats) of every point of a plane."""
    if "plane" not in result:
        return []
    points = itertools.product(grid(steps, reach), repeat=2)
    losses = itertools.chain.from_iterable(result["plane"])
    return [{"first": x, "second": y, "loss": loss} for (x, y), loss in zip(points, losses, strict=True)]


def measure_all(study: evaluation.Evaluation, measure: Measure, protocol: Mapping[str, Any]) -> None:
    """Measure every network, but the plane, which takes most of the time, for the first seed of each arm alone."""
    finished = done(study.runs)
    first_seed = finished["seed"] == finished["seed"].min()
    study.measure(measure, {**protocol, "plane": study.options.plane}, finished[first_seed], len(finished))
    if not first_seed.all():
        study.measure(measure, {**protocol, "plane": 0}, finished[~first_seed], len(finished))


def _work(options: argparse.Namespace) -> int:
    study = evaluation.Evaluation.read(options)
    protocol = {name: getattr(options, name) for name in ("steps", "directions")}
    measure_all(study, measure, {"kind": "landscape", "version": 1, **protocol})
    levels = study.tables(RISE, "rise")
    how = (
        f"Mean cross-entropy on {study.images()}. Directions: random, normal, each filter "
        "as long as the network's own (Li et al. 2018), the same for every network but for that scale; 1: every filter "
        "moved by its own length."
    )
    meaning = "Sharpness: mean rise of the loss over the network's own, within half a filter's length, nats."
    text = study.write_tables([levels], f"{how} {meaning}", stem="sharpness")
    line = study.points(partial(line_points, key="line", steps=grid(options.steps)))
    caption = f"{how} Mean over {counted(options.directions, 'direction')}; {drawing.line_and_band(line)}."
    study.draw("line", plot_line, line, levels, caption)
    plane = study.points(partial(plane_points, steps=options.plane))
    if len(plane):
        caption = f"{how} The first two directions, of seed {plane['seed'].iloc[0]} alone, so without bands."
        study.draw("plane", plot_plane, plane, levels, caption)
    return study.finish(text)


def plot_line(
    study: str,
    points: pd.DataFrame,
    levels: Sequence[LevelTable],
    caption: str,
    *,
    steps: Sequence[float] = (-REACH, -REACH / 2, 0, REACH / 2, REACH),
    label: str = "step along a random direction, filter lengths",
) -> Figure:
    """Draw one panel per table: every arm's mean loss by step, between lowest and highest seed.

    The points have the columns of the factors, ``arm``, ``seed``, ``step`` and ``loss``; ``steps`` are the ticks of the
    horizontal axis, and ``label`` says what a step is.
    """
    ticks = drawing.log_ticks(float(points["loss"].min()), float(points["loss"].max()))

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, look in drawing.arms_of(level, points):
            drawing.draw_band(axis, mine, "step", "loss", drawing.names_of(level)[arm], look)
        axis.set_yscale("log")
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xticks(steps)
        axis.minorticks_off()

    return drawing.panel_figure(study, levels, draw, height=drawing.PANEL, labels=(label, Y_LABEL), caption=caption)


def plot_plane(
    study: str, points: pd.DataFrame, levels: Sequence[LevelTable], caption: str, labels: tuple[str, str] = PLANE_LABELS
) -> Figure:
    """Draw contour maps of every table in rows of their own, one per arm, all on one scale of colours.

    The points have the columns of the factors, ``arm``, ``first``, ``second`` (steps, which ``labels`` name) and
    ``loss``, of one seed.
    """
    reach = float(points["first"].max())
    arms = list(levels[0].table.index)
    colours = drawing.colours_of(levels[0])
    low, high = max(float(points["loss"].min()), 1e-9), float(points["loss"].max())
    losses = np.geomspace(low, max(high, low * 1.01), CONTOURS)
    columns = min(len(arms), MOST_TILES)
    rows = len(levels) * math.ceil(len(arms) / columns)
    width = COLUMN if columns < MOST_TILES - 1 else TEXT
    height = rows * ((width - BESIDE) / columns + 0.25) + 0.5
    with titled(study, caption, (width, height)) as (figure, upper):
        axes = upper.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        drawn = None
        for tiles, level in zip(axes.reshape(len(levels), -1), levels, strict=True):
            titles = [arm + level.role(arm) for arm in arms]
            titles[0] = f"{level.name}, {titles[0]}" if level.name else titles[0]
            in_tile = in_lines(titles, 22)
            for axis in tiles[len(arms) :]:
                axis.set_visible(False)
            for axis in tiles[: len(arms)][-columns:]:
                axis.tick_params(labelbottom=len(tiles) > len(arms) or level is levels[-1])
            for axis, arm, title in zip(tiles, arms, titles, strict=False):
                axis.set_title(in_tile[title], fontsize=7.5, color=colours[arm])
                axis.set_box_aspect(1)
                axis.set_xticks([-reach, 0, reach])
                axis.set_yticks([-reach, 0, reach])
                drawn = _draw_contours(axis, at_levels(points[points["arm"] == arm], level.levels), losses) or drawn
        if drawn is not None:
            ticks = drawing.log_ticks(low, losses[-1])
            bar = upper.colorbar(drawn, ax=list(axes.flat), label=Y_LABEL.replace(", ", ",\n"), shrink=0.9, ticks=ticks)
            bar.ax.set_yticklabels([f"{tick:g}" for tick in ticks])
            bar.ax.minorticks_off()
        upper.supxlabel("\n".join(caption_lines(f"{labels[0]}; cross: the network", width)))
        upper.supylabel(labels[1])
        return figure


def _draw_contours(axis: Axes, points: pd.DataFrame, losses: NDArray[np.float64]) -> ContourSet | None:
    """Draw the map of one network with contours at ``losses`` and return its areas, or say that there is none."""
    if points.empty:
        axis.text(0.5, 0.5, "no network", transform=axis.transAxes, ha="center", color="#777777")
        return None
    table = points.pivot(index="second", columns="first", values="loss")
    contours = table.columns, table.index, table, losses
    areas = axis.contourf(*contours, cmap="viridis", norm=LogNorm(losses[0], losses[-1]))
    axis.contour(*contours, colors="white", linewidths=0.4)
    axis.plot(0, 0, "+", color="white", markersize=6)
    return areas


def add_plane(options: argparse.ArgumentParser, default: int) -> None:
    """Add the option ``--plane``."""
    words = "points on a side of the plane, or 0 for none (default: %(default)s)"
    options.add_argument("--plane", type=at_least(5, odd=True, or_zero=True), default=default, metavar="N", help=words)


parser = evaluation.parser("loss_landscape.py", "Draw the loss around the minimum of each network.", images=500)
add, points = parser.add_argument, at_least(5, odd=True)
add("--steps", type=points, default=21, metavar="N", help="points on a line, an odd number (default: %(default)s)")
add_plane(parser, default=15)
add("--directions", type=at_least(2), default=3, metavar="N", help="average over N lines (default: %(default)s)")
main = command.main(__name__, _work, parser)
