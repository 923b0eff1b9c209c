"""The figure of ``mixtures.py``: for each run, masks and mixtures over lambda, and mixtures over the training."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import plain, show_image, titled
from trainables.methods.mixture_album import LAMBDAS

TILE = 0.95  # inches
LABEL = 1.3  # inches, the width of the names at the left
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
    own, partner = (row.images[place].float() / 255 for place in (PAIR, PAIR - 1))
    mask = row.masks[picture, lam * len(row.images) + PAIR].float() / 255  # (h, w)
    mask = F.interpolate(mask[None, None], size=own.shape[1:], mode="nearest")[0, 0]
    return torch.lerp(own, partner, mask), 1 - mask


def plot_mixtures(study: str, rows: Sequence[MixtureRow]) -> Figure:
    """Draw three lines of tiles for each run.

    Args:
        rows: at least one run.
    """
    columns = 2 + max(len(LAMBDAS), *(len(row.epochs) for row in rows))
    with titled(study, CAPTION, (LABEL + TILE * columns, 3.4 * TILE * len(rows) + 1.2)) as (figure, upper):
        ratios = {"width_ratios": [LABEL, *[TILE] * columns]}
        axes = upper.subplots(3 * len(rows), 1 + columns, squeeze=False, gridspec_kw=ratios)
        for axis in axes.flat:
            axis.set_axis_off()
        for place, row in enumerate(rows):
            _draw([list(line) for line in axes[3 * place : 3 * place + 3]], row)
        return figure


def _draw(axes: Sequence[Sequence[Axes]], row: MixtureRow) -> None:
    names = (f"{plain(row.name, 24)}\nseed {row.seed}: mixtures", "own share", "lambda 0.5, by epoch")
    for line, name in zip(axes, names, strict=True):
        line[0].text(1, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=7.5)
    last = int(row.epochs.argmax())
    for column, place in ((1, PAIR - 1), (2, PAIR)):
        _show(axes[0][column], row.images[place].float() / 255, "partner" if place == PAIR - 1 else "image")
    for number, lam in enumerate(LAMBDAS):
        mixed, own = mixture(row, last, number)
        _show(axes[0][3 + number], mixed, f"λ {lam:g}")
        _show(axes[1][3 + number], own[None], "")
    for number, epoch in enumerate(row.epochs.tolist()):
        if epoch:
            _show(axes[2][3 + number], mixture(row, number, LAMBDAS.index(0.5))[0], str(epoch))


def _show(axis: Axes, image: Tensor, title: str) -> None:
    """Draw an image (C, H, W) in [0, 1]."""
    show_image(axis, image)
    axis.set_title(title, fontsize=7, loc="center", pad=2)
