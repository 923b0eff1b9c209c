"""Draws what a study's arms reach against the time that they take to train, as AutoMix does in its Figure 1."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import colours_of, names_of, panel_figure
from analysis.records.runs import done
from analysis.statistics.pairs import finite_values, logged_metrics, metric_column
from analysis.statistics.tables import LevelTable
from analysis.words.captions import capitalised, label_text, provenance_text
from analysis.words.cells import metric_rule

SECONDS = "train_seconds_total"  # the metric by which a trainable says how long a run has trained
PANEL = (3.6, 2.8)  # inches
UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
MARKERS = "oDs^vP*X"
CAPTION = "{rule}, against the training time of a run, without tests. Mark: {seeds}. {hardware}{provenance}"


def plot_cost(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw one panel per table with one mark per arm; None where no run has logged its training time."""
    runs = done(pd.concat([level.runs for level in levels]))
    if SECONDS not in logged_metrics(runs):
        return None
    longest = runs[metric_column(runs, SECONDS)].max()
    size, name = next(((size, name) for size, name in UNITS if longest >= size), UNITS[-1])

    def draw(axis: Axes, level: LevelTable) -> None:
        for index, (arm, colour) in enumerate(colours_of(level).items()):
            mine = done(level.runs[level.runs["arm"] == arm])
            x = mine[metric_column(mine, SECONDS)] / size
            y = finite_values(mine, level.metric)
            if x.notna().any() and y.notna().any():
                mark = MARKERS[index % len(MARKERS)]
                label = names_of(level)[arm]
                axis.errorbar(x.mean(), y.mean(), _bars(y), _bars(x), fmt=mark, color=colour, label=label)

    machines = sorted(runs["hardware"].dropna().unique())
    hardware = f"Trained on {machines[0]}. " if len(machines) == 1 else "The runs differ in hardware. "
    several = max(level.table["n"].max() for level in levels) > 1
    seeds = "mean over seeds; bars: lowest to highest seed" if several else "one seed, so no bars"
    words = {"rule": capitalised(metric_rule(*levels)), "seeds": seeds, "hardware": hardware if machines else ""}
    caption = CAPTION.format(**words, provenance=provenance_text(*levels))
    labels = (f"training time of a run, {name}", label_text(levels[0].declared))
    return panel_figure(study, levels, draw, size=PANEL, labels=labels, caption=caption)


def _bars(values: pd.Series) -> list[list[float]]:
    """Return how far the lowest and the highest value are from the mean, which rounding may put beyond equal ones."""
    mean = values.mean()
    return [[max(0.0, mean - values.min())], [max(0.0, values.max() - mean)]]
