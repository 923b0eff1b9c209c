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
from numpy.typing import NDArray

from analysis.figures.captioned import COLUMN, TEXT, titled
from analysis.figures.drawing import BASELINE_COLOUR, colours_of, whole_ticks
from analysis.figures.naming import in_lines
from analysis.records.runs import done, setting
from analysis.statistics.tables import LevelTable
from analysis.words.captions import provenance_text, seeds_text
from mixlab.tracking import artifacts, names, store

BINS = 10
MOST_CELLS = 24  # the most cells in the figure
HEIGHT = 1.5  # inches, of a panel


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

    A tracking store or a folder of its artifacts that is not there raises ``BadInput``.
    """
    client = store.connect(tracking_uri, make=False)
    found: list[Histograms] = []
    for level in levels:
        runs = done(level.runs)
        learned = runs[setting(runs, "sumix.lam") == "learned"]
        for row in learned.drop_duplicates("arm").to_dict("records"):
            if len(found) == MOST_CELLS:
                return found
            held = artifacts.read_json(client, row["run_id"], names.HISTOGRAMS_FILE)
            if held is not None:
                shares = (np.array(held[name], dtype=float) for name in ("lam_drawn", "lam_learned"))
                found.append(Histograms(level.name, row["arm"], int(row["seed"]), np.array(held["epochs"]), *shares))
    return found


def plot_lambda(study: str, histograms: Sequence[Histograms], levels: Sequence[LevelTable]) -> Figure:
    """Draw one strip per cell: epochs to the right, lambda upwards, and learned beside drawn lambda at its end."""
    colours = colours_of(levels[0])
    columns = min(2, len(histograms))
    rows = math.ceil(len(histograms) / columns)
    most = max(float(np.max([found.learned.max(), found.drawn.mean(0).max()])) for found in histograms)
    seeds = seeds_text(found.seed for found in histograms)
    caption = (
        "Share of the mixed images by lambda, the weight of an image's own label. Shaded, by epoch: lambda as SUMix "
        f"learned it, from white for none to the full colour for {100 * most:.0f} %. At the right, all epochs: filled, "
        f"learned; grey line, as the mixer drew it. Each cell has one seed ({seeds}), so there is no band. "
        f"{provenance_text(*levels, one_seed=True)}"
    )
    with titled(study, caption, (COLUMN if columns == 1 else TEXT, rows * HEIGHT + 0.4)) as (figure, upper):
        axes = upper.subplots(rows, 2 * columns, squeeze=False, gridspec_kw={"width_ratios": [3, 1] * columns})
        for axis in axes.flat[2 * len(histograms) :]:
            axis.set_visible(False)
        arms = [found.arm + levels[0].role(found.arm) for found in histograms]
        titles = [f"{found.level}, {arm}" if found.level else arm for found, arm in zip(histograms, arms, strict=True)]
        names = in_lines(titles, 44, 2)
        for index, found in enumerate(histograms):
            strip, sides = axes.flat[2 * index : 2 * index + 2]
            _draw(strip, sides, found, colours[found.arm], most)
            strip.set_title(names[titles[index]], fontsize=8)
            if index + columns >= len(histograms):
                strip.set_xlabel("epoch")
                sides.set_xlabel("share, %")
        upper.supylabel("lambda")
        return figure


def _draw(strip: Axes, sides: Axes, found: Histograms, colour: str, most: float) -> None:
    """Draw the learned lambda of a cell by epoch, and at its right both over all epochs."""
    bins = np.linspace(0, 1, BINS + 1)
    shades = LinearSegmentedColormap.from_list("arm", ["white", colour])
    edges = np.append(found.epochs, found.epochs[-1] + 1) - 0.5
    strip.pcolormesh(edges, bins, found.learned.T, cmap=shades, vmin=0, vmax=most)
    whole_ticks(strip, 6)
    strip.set_yticks([0, 0.5, 1])
    strip.grid(visible=False)
    learned, drawn = 100 * found.learned.mean(0), 100 * found.drawn.mean(0)
    sides.stairs(learned, bins, orientation="horizontal", fill=True, color=colour, alpha=0.6)
    sides.stairs(drawn, bins, orientation="horizontal", color=BASELINE_COLOUR, linewidth=1.4)
    sides.set_xlim(0, 105 * most)
    sides.set_ylim(0, 1)
    sides.set_yticks([0, 0.5, 1], labels=[])
