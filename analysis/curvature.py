"""Measures how sharply the loss bends at the minimum that each arm found: under noise, and by the Hessian.

    python analysis/curvature.py ablation_cifar100                     every arm and seed, 200 test images
    python analysis/curvature.py ablation_cifar100 --images 1000 --sigma 0.05

K-image mixing, Figure 3. On its right, Gaussian noise of rising standard deviation sigma is added to every parameter,
without any normalisation. On its left, the two leading eigenvalues of the Hessian and the loss along their directions,
by power iteration, and the trace by Hutchinson's method (PyHessian, arXiv:1912.07145). The command needs the runs'
``model.pt``, and some 300 passes with gradient through a network: minutes for a ResNet-18 on one CPU. It writes into
results/curvature: table.md, .csv and .tex, noise.png, .pdf, .tex and .csv, and plane.png, .pdf, .tex and .csv, of the
first seed.
"""

import argparse
import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Generator

from analysis import command, evaluation
from analysis.command import at_least, count, positive
from analysis.figures.drawing import line_and_band
from analysis.loss_landscape import add_plane, grid, line_points, measure_all, plane_points, plot_line, plot_plane
from analysis.networks.evaluate import Result, batches
from mixlab.messages import counted
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.dataset import BatchSource
from trainables.robustness.hessian import gaussian_direction, hessian_product, hutchinson_trace, leading_eigenpairs
from trainables.robustness.landscape import Direction, loss_at

REACH = 0.5  # half the side of the plane, along directions of length 1, as PyHessian draws them
NOISE_STEPS = 7
LABELS = {
    "first_eigenvalue": "leading eigenvalue of the Hessian",
    "second_eigenvalue": "second eigenvalue of the Hessian",
    "hessian_trace": "trace of the Hessian",
    "noise_loss": "rise of the loss under noise, mean over the sigmas",
}
MEASURES = {name: Metric(name, "nats", 3, higher_is_better=False, label=label) for name, label in LABELS.items()}


def sigmas(most: float) -> list[float]:
    """Return the standard deviations of the noise, from 0, which is the network, to ``most``."""
    return [most * step / (NOISE_STEPS - 1) for step in range(NOISE_STEPS)]


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return the eigenvalues, the trace and its standard error, ``noise`` by draw and sigma, and ``plane`` by step."""

    count = sum(len(labels) for _, labels in batches(source, config))  # of those that can be decoded

    def product(direction: Direction) -> Direction:
        """Read the images again for every product: they are never all held at once."""
        return hessian_product(network, batches(source, config), count, direction)

    rng = Generator().manual_seed(0)
    pairs = leading_eigenpairs(product, partial(gaussian_direction, network, rng))
    trace, error = hutchinson_trace(product, pairs[0].direction, rng, protocol["draws"])
    noise = [gaussian_direction(network, Generator().manual_seed(seed)) for seed in range(protocol["noises"])]
    losses = loss_at(
        network, batches(source, config), [([one], (sigma,)) for one in noise for sigma in sigmas(protocol["sigma"])]
    )
    by_draw = losses.view(len(noise), NOISE_STEPS)
    found: Result = {
        "first_eigenvalue": pairs[0].value,
        "second_eigenvalue": pairs[1].value,
        "hessian_trace": trace,
        "trace_error": error,
        "noise_loss": float((by_draw - by_draw[:, :1]).mean()),
        "noise": by_draw.tolist(),
    }
    if protocol["plane"]:
        across = grid(protocol["plane"], REACH)
        directions = [pair.direction for pair in pairs]
        plane = loss_at(
            network, batches(source, config), [(directions, steps) for steps in itertools.product(across, repeat=2)]
        )
        found["plane"] = plane.view(len(across), len(across)).tolist()
    return found


def _work(options: argparse.Namespace) -> int:
    study = evaluation.Evaluation.read(options)
    protocol = {name: getattr(options, name) for name in ("sigma", "noises", "draws")}
    measure_all(study, measure, {"kind": "curvature", "version": 2, **protocol})
    tables = {name: study.tables(metric, name) for name, metric in MEASURES.items()}
    levels = tables["noise_loss"]
    how = (
        f"Mean cross-entropy on {study.images()}. Hessian of every parameter: power "
        f"iteration, and {options.draws} draws of Hutchinson's estimate. Noise: Gaussian, on every parameter, "
        f"{counted(options.noises, 'draw')}, {NOISE_STEPS} sigmas from 0 to {options.sigma:g}."
    )
    text = study.write_tables(tables.values(), how)
    noise = study.points(partial(line_points, key="noise", steps=sigmas(options.sigma)))
    caption = f"{how} {line_and_band(noise).capitalize()}."
    label = "standard deviation of the noise on every parameter"
    study.draw("noise", plot_line, noise, levels, caption, steps=sigmas(options.sigma)[::2], label=label)
    plane = study.points(partial(plane_points, steps=options.plane, reach=REACH))
    if len(plane):
        caption = f"{how} Each network along its own two directions, of length 1; seed {plane['seed'].iloc[0]} alone."
        labels = ("step along the leading eigenvector", "step along the second")
        study.draw("plane", plot_plane, plane, levels, caption, labels=labels)
    return study.finish(text)


parser = evaluation.parser("curvature.py", "Measure how sharply the loss bends around each network.", images=200)
add = parser.add_argument
add("--sigma", type=positive, default=0.03, metavar="S", help="greatest sd of the noise (default: %(default)s)")
add("--noises", type=count, default=3, metavar="N", help="average over N draws of the noise (default: %(default)s)")
add("--draws", type=at_least(2), default=30, metavar="N", help="estimate the trace from N draws (default: %(default)s)")
add_plane(parser, default=11)
main = command.main(__name__, _work, parser)
