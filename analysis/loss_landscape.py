"""The loss around the minimum that each arm found, along one random direction and along two.

    python analysis/loss_landscape.py ablation_cifar100                     every arm, the first seed, 500 test images
    python analysis/loss_landscape.py ablation_cifar100 --images 2000 --steps 31

Filter-normalised (Li et al., NeurIPS 2018, arXiv:1712.09913): at 1 every filter has moved by its own length. All
networks move along the same directions but for that scale. The line is the mean of several directions and of the seeds;
the plane is that of one seed. Needs the runs' ``model.pt``. A network takes some 60 passes over the images, and
the one with the plane 180: minutes a network for a ResNet-18 on one CPU; --plane 0 leaves it out. Writes into
results/loss_landscape: line.png, .pdf and .csv, plane.png, .pdf and .csv, and sharpness.md.

Exit codes: 0 done; 1 done, but some checkpoint could not be evaluated (named); 2 bad input, in one sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Generator, Tensor

from analysis import command
from analysis.figures.drawing import line_and_band, save
from analysis.figures.landscape_plot import plot_line, plot_plane
from analysis.networks.evaluate import Result
from analysis.records.runs import FACTOR, METRIC, done, load_plan, load_runs
from analysis.statistics.tables import level_tables
from analysis.words.captions import provenance_text
from analysis.words.rendering import markdown, terminal_text
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.robustness.landscape import REACH, loss_along, random_direction, sharpness

RISE = Metric("sharpness_loss", "nats", 4, higher_is_better=False, label="rise of the loss within half the reach")
VERSION = 1  # of the evaluation; raise it when its numbers change


def grid(steps: int, reach: float = REACH) -> list[float]:
    """``steps`` multiples of a direction from ``-reach`` to ``reach``; the middle one is 0, the network itself."""
    return [reach * (place - steps // 2) / (steps // 2) for place in range(steps)]


def measure(network: Network, images: Tensor, labels: Tensor, config: Config, protocol: Mapping[str, Any]) -> Result:
    """``line``, the loss (nats) by direction and step, its ``rise``, and ``plane``, by step of two directions."""
    along = grid(protocol["steps"])
    directions = [random_direction(network, Generator().manual_seed(seed)) for seed in range(protocol["directions"])]
    lines = [loss_along(network, images, labels, [direction], along) for direction in directions]
    found: Result = {"line": [line.tolist() for line in lines]}
    found["rise"] = float(np.mean([sharpness(line, along) for line in lines]))
    if protocol["plane"]:
        plane = loss_along(network, images, labels, directions[:2], grid(protocol["plane"]))
        found["plane"] = plane.tolist()
    return found


def line_points(runs: pd.DataFrame, results: Mapping[str, Result], factors: Sequence[str], steps: int) -> pd.DataFrame:
    """One row a run and a step: factors, ``arm``, ``seed``, ``step`` and ``loss`` (nats, mean over directions)."""
    rows = []
    for row in runs.to_dict("records"):
        if row["run_id"] not in results:
            continue
        means = np.mean(results[row["run_id"]]["line"], axis=0)
        named = {name: row[name] for name in (*(FACTOR + f for f in factors), "arm", "seed")}
        rows += [{**named, "step": step, "loss": loss} for step, loss in zip(grid(steps), means, strict=True)]
    return pd.DataFrame(rows)


def plane_points(runs: pd.DataFrame, results: Mapping[str, Result], factors: Sequence[str], steps: int) -> pd.DataFrame:
    """One row a run and a point: factors, ``arm``, ``seed``, ``first`` and ``second`` (steps) and ``loss`` (nats)."""
    rows = []
    for row in runs.to_dict("records"):
        named = {name: row[name] for name in (*(FACTOR + f for f in factors), "arm", "seed")}
        for first, losses in zip(grid(steps), results.get(row["run_id"], {}).get("plane", ()), strict=False):
            rows += [
                {**named, "first": first, "second": s, "loss": v} for s, v in zip(grid(steps), losses, strict=True)
            ]
    return pd.DataFrame(rows)


def draw(options: argparse.Namespace) -> int:
    """Evaluate, write the files, print the table; the exit code.

    Raises:
        ValueError: unknown store or study, no finished run, or an option out of range.
        DataError: the data set is missing or broken.
    """
    command.require_at_least_one(options, "images")
    for name, least in (("steps", 5), ("plane", 5)):
        value = getattr(options, name)
        if (value < least or value % 2 == 0) and (name, value) != ("plane", 0):
            raise ValueError(f"--{name} must be an odd number from {least}, so that the network is in it, got {value}")
    if options.directions < 2:
        raise ValueError(f"--directions must be at least 2, for the plane, got {options.directions}")
    plan = load_plan(options.tracking_uri, options.study, options.plan)
    runs = load_runs(options.tracking_uri, options.study, plan)
    protocol = {name: getattr(options, name) for name in ("steps", "plane", "directions")}
    finished = done(runs)
    first_seed = finished["seed"] == finished["seed"].min()
    results: dict[str, Result] = {}
    problems: list[str] = []
    # The plane takes most of the time: that of one seed an arm is drawn.
    for part, plane in ((finished[first_seed], options.plane), (finished[~first_seed], 0)):
        if len(part) or finished.empty:
            asked = {"kind": "landscape", "version": VERSION, **protocol, "plane": plane}
            found, _, missing = command.evaluate("loss_landscape.py", options, part, measure, asked)
            results |= found
            problems += missing
    if not results:
        return 1
    runs[METRIC + RISE.name] = (
        runs["run_id"].map({run_id: result["rise"] for run_id, result in results.items()}).astype(float)
    )
    levels = level_tables(runs, plan, RISE)
    how = (
        f"Mean cross-entropy on {options.images} test images. Directions: random, normal, each filter as long as the "
        f"network's own (Li et al. 2018), the same for every network but for that scale; 1: every filter moved by its "
        "own length."
    )
    meaning = "Sharpness: mean rise of the loss over the network's own, within half a filter's length, nats."
    text = f"{markdown(options.study, levels)}\n{how} {meaning}\n"
    (options.out / "sharpness.md").write_text(text, encoding="utf-8")
    line = line_points(runs, results, plan["factors"], options.steps)
    line.to_csv(options.out / "line.csv", index=False)
    caption = f"{how} Mean over {options.directions} directions; {line_and_band(line)}."
    figure = plot_line(options.study, line, levels, f"{caption} {provenance_text(*levels)}")
    files = [*save(figure, options.out / "line"), options.out / "line.csv", options.out / "sharpness.md"]
    plane_data = plane_points(runs, results, plan["factors"], options.plane)
    if len(plane_data):
        plane_data.to_csv(options.out / "plane.csv", index=False)
        caption = f"{how} The first two directions, of seed {plane_data['seed'].iloc[0]} alone, so without bands."
        figure = plot_plane(options.study, plane_data, levels, f"{caption} {provenance_text(*levels)}")
        files += [*save(figure, options.out / "plane"), options.out / "plane.csv"]
    print(f"{terminal_text(options.study, levels)}\n{how} {meaning}")
    for file in files:
        print(file)
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = command.evaluation_parser("loss_landscape.py", "The loss around the minimum of each network.", images=500)
    add = parser.add_argument
    add("--steps", type=int, default=21, metavar="N", help="points on a line, an odd number (default: %(default)s)")
    add(
        "--plane",
        type=int,
        default=15,
        metavar="N",
        help="points a side of the plane; 0 for none (default: %(default)s)",
    )
    add("--directions", type=int, default=3, metavar="N", help="lines that are averaged (default: %(default)s)")
    return command.run("loss_landscape.py", draw, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
