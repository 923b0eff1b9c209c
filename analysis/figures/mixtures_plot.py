"""The figure of ``mixtures.py``: for each run, masks and mixtures over lambda, and mixtures over the training."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import distinct
from analysis.figures.tiles import LABEL, name_line, show_image, tile_figure
from trainables.methods.mixture_album import LAMBDAS

TILE = 0.95  # inches
PAIR = 1  # the image that is shown, mixed with the one before it
CAPTION = (
    "A training image, mixed by lambda with the one at its left: the mixtures and the image's own share (white) after "
    "the last epoch; below, the mixtures at lambda 0.5 after the epochs above them. Masks are kept at 16 pixels a side."
)


class MixtureRow(NamedTuple):
    """The mixtures that one run has kept."""

    name: str  # levels and arm
    seed: int
    images: Tensor  # (N, C, H, W) uint8
    masks: Tensor  # (S, R * N, h, w) uint8: the partner's share of 255
    epochs: Tensor  # (S,)


def mixture(row: MixtureRow, picture: int, lam: int) -> tuple[Tensor, Tensor]:
    """Return the mixture (C, H, W) in [0, 1] and the own image's share (H, W) of a picture at one of ``LAMBDAS``."""
    own, partner = (row.images[index].float() / 255 for index in (PAIR, PAIR - 1))
    mask = row.masks[picture, lam * len(row.images) + PAIR].float() / 255  # (h, w)
    mask = F.interpolate(mask[None, None], size=own.shape[1:], mode="nearest")[0, 0]
    return torch.lerp(own, partner, mask), 1 - mask


def plot_mixtures(study: str, rows: Sequence[MixtureRow]) -> Figure:
    """Draw three lines of tiles for each run, of which there is at least one."""
    columns = 2 + max(len(LAMBDAS), *(len(row.epochs) for row in rows))
    size = (LABEL + TILE * columns, 3.4 * TILE * len(rows) + 1.2)
    widths = [LABEL, *[TILE] * columns]
    with tile_figure(study, CAPTION, size, (3 * len(rows), 1 + columns), width_ratios=widths) as (figure, axes):
        names = distinct([row.name for row in rows], 24)
        for index, row in enumerate(rows):
            _draw(axes[3 * index : 3 * index + 3], row, names[row.name])
        return figure


def _draw(axes: Any, row: MixtureRow, name: str) -> None:
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
