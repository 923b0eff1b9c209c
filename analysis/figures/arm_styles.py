"""The colour, the line and the mark by which a figure tells an arm, from its position among the arms of a study."""

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A900")
LINES = ("-", "--", ":")  # the first three uses of the palette
MARKS = "osD^vP*X<>hpd8H"  # one for each use of the palette: 105 arms can be told apart


def arm_line(index: int) -> str:
    """Return the line of the arm at a position in the study, 0 for the baseline, which separates equal colours.

    It is one of ``LINES``, and for later uses of the palette a mark besides.
    """
    use = (index - 1) // len(PALETTE) if index else 0
    return LINES[use % len(LINES)] + (MARKS[use % len(MARKS)] if use >= len(LINES) else "")


def mark_of(line: str) -> str:
    """Return the mark of the arm with this line, for a figure in which lines show something else, or nothing."""
    return MARKS[LINES.index(line)] if line in LINES else line[-1]


def marked(line: str) -> str:
    """Return the line of an arm with its mark, for a figure that shows every point."""
    return line + (mark_of(line) if line in LINES else "")
