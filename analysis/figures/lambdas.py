"""Lambda as the mixer drew it and as SUMix relearned it (Eq. 4 of arXiv:2407.07805), epoch by epoch.

A finished run that learned lambda has two histograms per epoch in its artifact ``histograms.json``, ``lam_drawn`` and
``lam_learned``, each with ten bins of width 0.1: shares of the mixed images.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.figures.drawing import BASELINE_COLOUR, arm_colours, plain, titled
from analysis.records.runs import CONFIG, done
from analysis.statistics.tables import LevelTable
from analysis.words.captions import provenance_text
from mixlab.tracking import artifacts, names, store

BINS = 10
LEARNS = CONFIG + "sumix.lam"
MOST_CELLS = 24  # the most cells in the figure
PANEL = (3.4, 1.75)  # inches
CAPTION = (
    "Share of the mixed images by lambda, the weight of an image's own label. Shaded, by epoch: lambda as SUMix "
    "learned it. At the right, all epochs: filled, learned; grey line, as the mixer drew it. Of each cell one seed "
    "({seeds}), so no bands. {provenance}"
)


class Histograms(NamedTuple):
    """The histograms of one run, rows in order of epoch; every row sums to 1."""

    level: str  # the name of its table
    arm: str
    seed: int
    epochs: NDArray[np.int64]  # (E,)
    drawn: NDArray[np.float64]  # (E, 10)
    learned: NDArray[np.float64]  # (E, 10)


def load_histograms(tracking_uri: str, levels: Sequence[LevelTable]) -> list[Histograms]:
    """Return the histograms of the first seed that is done of every cell that learned lambda.

    Raises:
        BadInput: no such tracking store, or the folder of its artifacts is not there.
    """
    client = store.connect(tracking_uri, make=False)
    found: list[Histograms] = []
    for level in levels:
        if LEARNS not in level.runs:
            continue
        runs = done(level.runs)
        learned = runs[runs[LEARNS] == "learned"]
        for row in learned.sort_values("seed", kind="stable").drop_duplicates("arm").to_dict("records"):
            if len(found) == MOST_CELLS:
                return found
            held = artifacts.read_json(client, row["run_id"], names.HISTOGRAMS_FILE)
            if held is not None:
                shares = (np.array(held[name], dtype=float) for name in ("lam_drawn", "lam_learned"))
                found.append(Histograms(level.name, row["arm"], int(row["seed"]), np.array(held["epochs"]), *shares))
    return found


def plot_lambda(study: str, histograms: Sequence[Histograms], levels: Sequence[LevelTable]) -> Figure:
    """Draw one strip per cell: epochs to the right, lambda upwards, and learned beside drawn lambda at its end."""
    colours = arm_colours(list(levels[0].table.index), levels[0].baseline)
    columns = min(2, len(histograms))
    rows = math.ceil(len(histograms) / columns)
    most = max(float(np.max([found.learned.max(), found.drawn.mean(0).max()])) for found in histograms)
    caption = CAPTION.format(seeds=_seeds(histograms), provenance=provenance_text(*levels))
    with titled(study, caption, (columns * PANEL[0] + 0.4, rows * PANEL[1] + 1.1)) as (figure, upper):
        axes = upper.subplots(rows, 2 * columns, squeeze=False, gridspec_kw={"width_ratios": [3, 1] * columns})
        for place, pair in enumerate(axes.reshape(rows * columns, 2)):
            if place >= len(histograms):
                pair[0].set_visible(False)
                pair[1].set_visible(False)
                continue
            found = histograms[place]
            _draw_strip(pair[0], found, colours[found.arm], most)
            _draw_sides(pair[1], found, colours[found.arm], most)
            if place + columns >= len(histograms):
                pair[0].set_xlabel("epoch")
                pair[1].set_xlabel("share, %")
        upper.supylabel("lambda", fontsize=9)
        return figure


def _draw_strip(axis: Axes, found: Histograms, colour: str, most: float) -> None:
    shades = LinearSegmentedColormap.from_list("arm", ["white", colour])
    edges = np.append(found.epochs, found.epochs[-1] + 1) - 0.5
    axis.pcolormesh(edges, np.linspace(0, 1, BINS + 1), found.learned.T, cmap=shades, vmin=0, vmax=most)
    axis.set_title(plain(f"{found.level}, {found.arm}" if found.level else found.arm, 44), fontsize=8)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axis.set_yticks([0, 0.5, 1])
    axis.grid(visible=False)


def _draw_sides(axis: Axes, found: Histograms, colour: str, most: float) -> None:
    edges = np.linspace(0, 1, BINS + 1)
    learned, drawn = 100 * found.learned.mean(0), 100 * found.drawn.mean(0)
    axis.stairs(learned, edges, orientation="horizontal", fill=True, color=colour, alpha=0.6)
    axis.stairs(drawn, edges, orientation="horizontal", color=BASELINE_COLOUR, linewidth=1.4)
    axis.set_xlim(0, 105 * most)
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 0.5, 1], labels=[])


def _seeds(histograms: Sequence[Histograms]) -> str:
    seeds = sorted({found.seed for found in histograms})
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
