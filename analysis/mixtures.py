"""Shows how AutoMix, SAMix or AdAutoMix mixed: masks and mixtures over lambda, and over the epochs of the training.

    python analysis/mixtures.py automix_definitions             the first finished run of every arm that learns masks
    python analysis/mixtures.py automix_definitions --arms paper --seed 1

A run keeps six training images and their masks after some of its epochs in ``model_mixtures.pt``, so that nothing is
evaluated. Writes mixtures.png, .pdf and .tex into results/mixtures: AutoMix, Fig. 4 (left) and 7.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from torch import Tensor

from analysis import command
from analysis.figures.captioned import TEXT, save
from analysis.figures.naming import in_lines
from analysis.figures.tiles import LABEL, name_line, show_image, tile_figure
from analysis.records.runs import FACTOR, cell_of_run, of_arms, of_one_seed
from analysis.statistics.tables import level_tables
from analysis.words.captions import provenance_text
from mixlab.errors import first_line
from mixlab.tracking import artifacts
from trainables.methods.mixture_album import LAMBDAS

FILE = "model_mixtures.pt"
PAIR = 1  # the image that is shown, mixed with the one before it
CAPTION = (
    "A training image, mixed by lambda with the one at its left: the mixtures and the image's own share (0 black, 1 "
    "white) after the last epoch; below, the mixtures at lambda 0.5 after the epochs above them. Masks are kept at 16 "
    "pixels a side."
)


class MixtureRow(NamedTuple):
    """The mixtures that one run has kept."""

    name: str  # levels and arm
    seed: int
    images: Tensor  # (N, C, H, W) uint8
    masks: Tensor  # (S, R * N, h, w) uint8: the partner's share of 255
    epochs: Tensor  # (S,)


def read(client: MlflowClient, run_id: str) -> dict[str, Tensor] | None:
    """Return what a run kept: images (N, C, H, W), masks (S, R * N, h, w) and epochs (S,); None if it kept nothing."""
    try:
        held = artifacts.read(client, run_id, FILE)
    except (MlflowException, OSError) as error:
        print(f"mixtures.py: {FILE} of run {run_id} cannot be read ({first_line(error)})", file=sys.stderr)
        return None
    return None if held is None else torch.load(io.BytesIO(held), map_location="cpu", weights_only=True)


def _work(options: argparse.Namespace) -> int:
    plan, every = command.read_study(options)
    runs = of_arms(every, plan, plan["arms"] if options.arms is None else options.arms)
    if options.seed is not None and not runs.empty:
        runs = of_one_seed(runs, options.seed)
    factors = [FACTOR + factor for factor in plan["factors"]]
    client = MlflowClient(options.tracking_uri)
    rows = []
    for run in runs.drop_duplicates([*factors, "arm"]).to_dict("records"):
        album = read(client, run["run_id"])
        if album is not None:
            name = cell_of_run(run, plan)
            rows.append(MixtureRow(name, int(run["seed"]), album["images"], album["masks"], album["epochs"]))
    if not rows:
        raise ValueError(f"no finished run of {options.study!r} has kept mixtures: only methods that learn masks do")
    origin = provenance_text(*level_tables(every, plan), one_seed=True)
    figure = plot_mixtures(options.study, rows, f"{CAPTION} {origin}")
    return command.finish(save(figure, options.out / "mixtures"))


def mixture(row: MixtureRow, picture: int, lam: int) -> tuple[Tensor, Tensor]:
    """Return the mixture (C, H, W) in [0, 1] and the own image's share (H, W) of a picture at one of ``LAMBDAS``."""
    own, partner = (row.images[index].float() / 255 for index in (PAIR, PAIR - 1))
    mask = row.masks[picture, lam * len(row.images) + PAIR].float() / 255  # (h, w)
    mask = F.interpolate(mask[None, None], size=own.shape[1:], mode="nearest")[0, 0]
    return torch.lerp(own, partner, mask), 1 - mask


def plot_mixtures(study: str, rows: Sequence[MixtureRow], caption: str) -> Figure:
    """Draw three lines of tiles for each run, of which there is at least one."""
    columns = 2 + max(len(LAMBDAS), *(len(row.epochs) for row in rows))
    tile = (TEXT - LABEL) / columns  # inches
    size = (TEXT, 3.4 * tile * len(rows) + 0.7)
    widths = [LABEL, *[tile] * columns]
    with tile_figure(study, caption, size, (3 * len(rows), 1 + columns), width_ratios=widths) as (figure, axes):
        names = in_lines([row.name for row in rows], 24)
        for index, row in enumerate(rows):
            _draw_run(axes[3 * index : 3 * index + 3], row, names[row.name])
        return figure


def _draw_run(axes: Any, row: MixtureRow, name: str) -> None:
    """Draw the mixtures of a run, below its name, in three lines of axes."""
    names = (f"{name}\nseed {row.seed}: mixtures", "own share", "lambda 0.5, by epoch")
    for line, text in zip(axes, names, strict=True):
        name_line(line[0], text)
    last = int(row.epochs.argmax())
    for axis, index, title in ((axes[0][1], PAIR - 1, "partner"), (axes[0][2], PAIR, "image")):
        show_image(axis, row.images[index].float() / 255, title)
    for number, lam in enumerate(LAMBDAS):
        mixed, own = mixture(row, last, number)
        show_image(axes[0][3 + number], mixed, f"λ {lam:g}")
        show_image(axes[1][3 + number], own[None])
    for number, epoch in enumerate(row.epochs.tolist()):
        if epoch:
            show_image(axes[2][3 + number], mixture(row, number, LAMBDAS.index(0.5))[0], str(epoch))


parser = command.study_parser("mixtures.py", "Draw the masks that a study's runs learned.", out=True)
arms = "show only these arms (default: all that kept mixtures)"
parser.add_argument("--arms", type=command.names, metavar="A,B", help=arms)
parser.add_argument("--seed", type=int, metavar="N", help="show this seed (default: the first that finished)")
main = command.main(__name__, _work, parser)
