"""Reads figures."""

from matplotlib.figure import Figure
from matplotlib.text import Text


def texts(figure: Figure) -> str:
    """Return all text of a figure, in one line."""
    return " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")
