"""The colour and the mark by which a figure tells an arm, from its position among the arms of a study.

No two of the first 119 arms have both in common, and arms that follow each other differ in both. Seventeen arms differ
in their marks alone, of which seven are hollow, so that a figure can also be read in grey.
"""

from matplotlib.markers import MarkerStyle

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A900")
BASELINE_COLOUR = "#555555"
# Their number and that of the colours have no common divisor. Crosses and stars are too fine to be hollow.
MARKS = [*(MarkerStyle(shape, "full") for shape in "osD^vP*X<>"), *(MarkerStyle(shape, "none") for shape in "<>osD^v")]


def arm_colour(index: int) -> str:
    """Return the colour of the arm at a position in the study, 0 for the baseline."""
    return PALETTE[(index - 1) % len(PALETTE)] if index else BASELINE_COLOUR


def arm_mark(index: int) -> MarkerStyle:
    """Return the mark of the arm at a position in the study, 0 for the baseline."""
    return MARKS[index % len(MARKS)]
